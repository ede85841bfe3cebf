# SPDX-License-Identifier: GPL-2.0
"""The host's end of a port: what guest/portio.c writes and compares."""

import array
import socket
import threading
import time

from .host import VmError

MASK = (1 << 64) - 1


def pattern(seed, length):
    """What portio's put= writes and get= compares."""
    x = (seed + 1) & MASK
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb & MASK
    key, golden = x ^ (x >> 31), 0x9e3779b97f4a7c15
    words = array.array("Q", [(key + golden * n) & MASK for n in range(1, length // 8 + 2)])
    return words.tobytes()[:length]


def receive(sock, length, timeout=120):
    """Exactly so many bytes."""
    data, deadline = bytearray(), time.monotonic() + timeout
    while len(data) < length:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            piece = sock.recv(min(65536, length - len(data)))
        except TimeoutError as error:
            raise VmError(f"{len(data)} of {length} bytes have come in {timeout} s") from error
        if not piece:
            raise VmError(f"the host's end was closed after {len(data)} of {length} bytes")
        data += piece
    return bytes(data)


def transfer(vm, name, total, seed=1, piece=65536):
    """So many bytes from the guest's end of a port, then as many to it, each compared; returns what the guest says."""
    data, failed = pattern(seed, total), []
    with vm.unit(name)[1].connect() as sock:
        job = vm.start(f"portio {vm.port(name)} seed={seed} piece={piece} put={total} get={total}")

        def send():
            try:
                sock.sendall(data)
            except OSError as error:
                failed.append(error)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            if receive(sock, total) != data:
                raise VmError(f"{name}: what the host has received is not what the guest has sent")
            if job.wait(120):
                raise VmError(f"{name}: {job.output.strip()}")
        finally:
            sock.shutdown(socket.SHUT_RDWR)     # else the sender might wait for ever
            sender.join()
    if failed:
        raise VmError(f"{name}: sending to the guest: {failed[0]}")
    return job.output
