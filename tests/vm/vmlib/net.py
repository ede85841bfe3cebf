# SPDX-License-Identifier: GPL-2.0
"""The host's side of a guest's network: a namespace of its own with taps, and peers in it.

Nothing here has a name outside this process. The namespace lives as long as a file that holds it
and a tap as long as its queue's files, so two runs cannot meet, and a killed one leaves nothing.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import subprocess
import threading
import time

from . import userland
from .channels import Silence
from .devices import Backend
from .host import VmError, run

CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETQUEUE = 0x400454CA, 0x400454D9
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_ATTACH_QUEUE = 0x2, 0x1000, 0x4000, 0x100, 0x200
PORT = 5000                     # where `netio serve` is
FRAME_TYPE = 0x88B5             # what `netio sniff` counts
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 263, 8, 15
VNET_HDR = 10                   # bytes of struct virtio_net_hdr, as the kernel's own side has it


class NoNetwork(VmError):
    """What this machine does not let us have."""


def _enter(flag_or_fd, libc=ctypes.CDLL(None, use_errno=True)):
    """Puts the calling thread into a new namespace (None) or into that of a file."""
    if libc.unshare(CLONE_NEWNET) if flag_or_fd is None else libc.setns(flag_or_fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _in_thread(function):
    """Runs a function in a thread of its own, which may then be in any namespace."""
    result = []

    def body():
        try:
            result.extend((True, function()))
        except BaseException as error:
            result.extend((False, error))
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if not result[0]:
        raise result[1]
    return result[1]


def attach_queues(fds):
    """Puts the queues of taps where a QEMU wants to find them. One that ended has left those detached that its guest
    did not use, and the next would end at once, for it cannot detach them again."""
    for fd in fds:
        with contextlib.suppress(OSError):      # it is attached, or no queue
            fcntl.ioctl(fd, TUNSETQUEUE, struct.pack("16sH22x", b"", IFF_ATTACH_QUEUE))


class Peer:
    """A program in the namespace, with its output."""

    def __init__(self, argv, fds):
        self.argv = argv
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=fds,
                                        bufsize=0)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.output = ""

    def _read(self):
        """Reads what there is; returns whether the program may say more."""
        data = self.process.stdout.read()
        self.output += (data or b"").decode(errors="replace")
        return data != b""

    def expect(self, pattern, timeout=20):
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.output)):
            if not self._read():
                raise VmError(f"{self.argv[-5:]} ended: {self.output[-500:]}")
            if time.monotonic() > deadline:
                raise Silence(f"{self.argv[-5:]}: no {pattern!r} in {self.output[-500:]!r}")
            time.sleep(0.01)
        return found

    def wait(self, timeout=60):
        """Waits for its end; returns its output, raises if it failed."""
        deadline = time.monotonic() + timeout
        while self._read():
            if time.monotonic() > deadline:
                self.kill()
                raise Silence(f"{self.argv[-5:]}: not at its end in time: {self.output[-500:]!r}")
            time.sleep(0.01)
        if self.process.wait():
            raise VmError(f"{self.argv[-5:]} gave {self.process.returncode}: {self.output[-500:]}")
        return self.output

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Tap:
    """A tap device with offloads, as a backend for a card: one file for each pair of queues."""

    def __init__(self, name, fds, mtu):
        self.name = name
        self.fds = fds
        self.mtu = mtu

    @property
    def backend(self):
        return Backend("tap", self.fds, fds=":".join(map(str, self.fds)), vhost=False)


class Network:
    """A namespace of this process's own. The host is 10.77.N.1 on its N-th tap, from 0."""

    def __init__(self):
        self._peers, self._files = [], []

    def __enter__(self):
        try:
            self.fd = _in_thread(self._new_namespace)
            self._files.append(self.fd)
            self.run("ip", "link", "set", "lo", "up")
        except (OSError, VmError) as error:
            self.close()
            raise NoNetwork(f"no network namespace can be had here: {error}") from error
        self.taps = []
        return self

    @staticmethod
    def _new_namespace():
        _enter(None)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __exit__(self, *_):
        self.close()

    def close(self):
        for peer in self._peers:
            with contextlib.suppress(ValueError):       # it has been closed
                peer.kill()
        for fd in self._files:
            os.close(fd)
        self._peers, self._files = [], []

    def call(self, function):
        """Runs a function in the namespace: the sockets that it makes are there."""
        def inside():
            _enter(self.fd)
            return function()
        return _in_thread(inside)

    def _argv(self, argv):
        return ["nsenter", f"--net=/proc/self/fd/{self.fd}", "--", *map(str, argv)]

    def run(self, *argv):
        return run(*self._argv(argv), pass_fds=[self.fd])

    def start(self, *argv):
        self._peers.append(Peer(self._argv(argv), [self.fd]))
        return self._peers[-1]

    def netio(self, *args):
        """Starts netio on this side."""
        return self.start(userland.host_program("netio"), *args)

    def serve(self, port=PORT):
        """Starts the peer of `netio put`, `get`, `talk` and `udp`."""
        peer = self.netio("serve", port)
        peer.expect("listening")
        return peer

    def _open_tap(self, name, flags):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        except OSError:
            os.close(fd)
            raise
        return fd

    def tap(self, queues=1, mtu=1500, address=True, flags=IFF_VNET_HDR):
        """A further tap; with an address unless it is for others to give it one."""
        name = f"tap{len(self.taps)}"
        flags |= IFF_TAP | IFF_NO_PI | (IFF_MULTI_QUEUE if queues > 1 else 0)
        fds = []
        try:
            for _ in range(queues):
                fds.append(self.call(lambda: self._open_tap(name, flags)))
                self._files.append(fds[-1])
        except OSError as error:
            raise NoNetwork(f"no tap device can be had here: {error}") from error
        self.run("ip", "link", "set", name, "mtu", mtu, "up")
        if address:
            self.run("ip", "address", "add", f"10.77.{len(self.taps)}.1/24", "dev", name)
            self.run("ip", "address", "add", f"fd77:{len(self.taps)}::1/64", "dev", name, "nodad")
        self.taps.append(Tap(name, fds, mtu))
        return self.taps[-1]

    def mac(self, tap):
        """The address of the host's end."""
        return re.search(r"link/ether (\S+)", self.run("ip", "link", "show", tap.name))[1]

    def counters(self, tap):
        """Counters of a tap, as the host sees them: what the guest sends is rx."""
        names = ("bytes", "packets", "errs", "drop")
        for line in self.run("cat", "/proc/net/dev").splitlines():
            if line.split(":")[0].strip() == tap.name:
                cells = [int(cell) for cell in line.split(":")[1].split()]
                return {f"{way}_{key}": cells[start + n] for way, start in (("rx", 0), ("tx", 8))
                        for n, key in enumerate(names)}
        raise VmError(f"no {tap.name}")

    def packets(self, tap):
        """A raw socket on a tap; close it."""
        def make():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            sock.bind((tap.name, ETH_P_ALL))
            return sock
        return self.call(make)

    def inject(self, tap, destinations, size=200):
        """Sends a frame of the experimental type to each of these addresses."""
        with self.packets(tap) as sock:
            for mac in destinations:
                sock.send(mac_bytes(mac) + mac_bytes("02:00:00:00:77:77") + struct.pack(">H", FRAME_TYPE) +
                          bytes(size))


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


class Vlan:
    """The host's end of a VLAN on a tap: a further tap, whose frames have the tag there.

    A host's kernel may have no 8021q, so the frames are carried by hand. What the guest sends may be a
    large segment without a checksum; the header that says so goes along.
    """

    def __init__(self, network, tap, tag):
        self.tag = tag
        self.inner = network.tap()
        self.outer = network.packets(tap)
        self.outer.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.outer.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.outer.settimeout(0.2)
        self.seen = set()       # the tags that the guest has sent
        self.ended = False
        os.set_blocking(self.inner.fds[0], True)
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._inwards, self._outwards)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.threads[0].join()
        self.outer.close()

    def _inwards(self):
        while not self.ended:
            try:
                data, control, _, address = self.outer.recvmsg(VNET_HDR + 70000, 256)
            except TimeoutError:
                continue
            if address[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, aux in control:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", aux[:20])
                    if status & 0x10:           # TP_STATUS_VLAN_VALID
                        self.seen.add(tci & 0xFFF)
                        if tci & 0xFFF == self.tag:
                            os.write(self.inner.fds[0], data)

    def _outwards(self):
        # Nobody has asked this tap for offloads, so its frames are complete.
        while not self.ended:
            data = os.read(self.inner.fds[0], 70000)
            frame = data[VNET_HDR:]
            with contextlib.suppress(OSError):
                self.outer.send(bytes(VNET_HDR) + frame[:12] + struct.pack(">HH", 0x8100, self.tag) + frame[12:])
