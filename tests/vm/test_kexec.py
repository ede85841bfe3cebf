# SPDX-License-Identifier: GPL-2.0
"""Another kernel in the place of a running one: kexec, and kdump after a crash.

Nobody resets the machine in between. By kexec and `reboot -f` the bus's shutdown does it to the devices; after a crash
nobody does, before the next kernel probes them.
"""

import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections import Counter

import pytest

from test_data import sparse
from vmlib import devices, userland
from vmlib.guest import make_ext4
from vmlib.machine import BAD
from vmlib.net import PORT
from vmlib.ports import transfer

pytestmark = pytest.mark.long

MIB = 1 << 20
PAGE = 4096
MEMORY = 320
USED = 8 * MIB                  # of a disk with data
MAC = "52:54:00:56:4b:01"
MARKERS = 32                    # pages of the first kernel's that have to be in a dump
# What a kernel says that is told to crash, and how often: 2.6.32 follows a null pointer, today's panics.
CRASH = (r"BUG: unable to handle kernel NULL pointer dereference at ", r"Oops: 0002 \[#1\]",
         r"Kernel panic - not syncing: sysrq triggered crash", r"Call Trace:")


@pytest.fixture(scope="module")
def guest(make_guest):
    return make_guest(files=userland.kexec())


class Restarter:
    """A machine with a device of each kind in use, that can load another kernel."""

    def __init__(self, vm, traffic):
        """traffic: the command that keeps the network card busy; {host} and {nic} are filled in."""
        self.vm = vm
        self.traffic = traffic
        self.busy = []

    @classmethod
    def devices(cls, guest, folder, backend):
        """A disk to load from, disks whose data is known, disks that are written to, and one of all else."""
        boot = folder / "boot"
        boot.mkdir()
        guest.write_initramfs(boot / "initramfs")
        (boot / "vmlinuz").write_bytes(guest.kernel.vmlinuz.read_bytes())
        make_ext4(folder / "boot.img", "64M", boot)
        images = {name: sparse(folder / f"{name}.img", 64 * MIB) for name in ("blk", "blk2", "unit", "unit2")}
        return [devices.disk("boot", folder / "boot.img"),
                devices.disk("blk", images["blk"]), devices.disk("blk2", images["blk2"]),
                devices.scsi("scsi", [devices.scsi_disk(name, images[name], 0, lun)
                                      for lun, name in enumerate(("unit", "unit2"))]),
                devices.nic("nic", backend, mac=MAC),
                devices.serial("serial", [devices.Port("port", folder, port_name="port", nr=1)]),
                devices.rng("rng"), devices.balloon()]

    def wait(self, *names):
        vm = self.vm
        disks = ("boot", "blk", "blk2", "unit", "unit2", *names)
        vm.wait_until(lambda: all(map(vm.disk, disks)) and vm.port("port"), "all devices", timeout=60)

    def write(self):
        """The data that is to be found again."""
        for seed, name in enumerate(("blk", "unit"), 7):
            self.vm.run(f"blkio write /dev/{self.vm.disk(name)} seed={seed} total={2 * USED} size={USED}")

    def verify(self):
        for seed, name in enumerate(("blk", "unit"), 7):
            self.vm.run(f"blkio verify /dev/{self.vm.disk(name)} seed={seed} total={2 * USED} size={USED} fresh=1")

    def resize(self, mib):
        self.vm.qmp.command("balloon", value=mib * MIB)
        self.vm.wait_until(lambda: self.vm.qmp.command("query-balloon")["actual"] == mib * MIB, "the balloon",
                           timeout=90)

    def load(self, how, command_line):
        """Loads the other kernel from the disk with both, which is then mounted no more."""
        self.vm.run(f"mount -t ext4 -o ro /dev/{self.vm.disk('boot')} /mnt && kexec -c {how} /mnt/vmlinuz "
                    f"--initrd=/mnt/initramfs --command-line='{command_line}' && umount /mnt", timeout=120)

    @contextlib.contextmanager
    def at_work(self):
        """All devices are in use, by processes that know of no end."""
        vm = self.vm
        jobs = [vm.start(f"blkio read /dev/{vm.disk(name)} size={USED} count=1000000000 depth=8 max=65536")
                for name in ("blk", "unit")]
        jobs += [vm.start(f"blkio churn /dev/{vm.disk(name)} seconds=100000 depth=8 max=65536")
                 for name in ("blk2", "unit2")]
        jobs += [vm.start(f"until ! {command}; do :; done")
                 for command in (self.traffic, f"cat /proc/cpuinfo > {vm.port('port')}",
                                 "dd if=/dev/hwrng of=/dev/null bs=64 count=4 2> /dev/null")]
        with drained(vm, "port") as got:
            moved = self.moved(got)
            vm.wait_until(lambda: all(now > then for now, then in zip(self.moved(got), moved)), "something of each",
                          timeout=60)
            assert [job.output[-500:] for job in jobs if job.status is not None] == []
            yield

    def moved(self, got):
        """Numbers that grow while the devices are in use."""
        vm, stats = self.vm, self.vm.block_stats
        return [*(stats(name)["rd_operations"] for name in ("blk", "unit")),
                *(stats(name)["wr_operations"] for name in ("blk2", "unit2")),
                int(vm.read(f"/sys/class/net/{vm.nic('nic')}/statistics/rx_packets")), got[0],
                sum(count for _, _, count in vm.interrupts("rng").values())]


@contextlib.contextmanager
def drained(vm, name):
    """Somebody on the host reads what comes from a port; gives a list with how much that was."""
    got = [0]
    _, port = vm.unit(name)
    with port.connect() as sock:
        sock.settimeout(None)

        def drain():
            while data := sock.recv(65536):
                got[0] += len(data)
        thread = threading.Thread(target=drain)
        thread.start()
        try:
            yield got
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def knocking(network, tap):
    """The host sends frames to the card all the time, whether it has a driver or not."""
    stop = threading.Event()

    def knock():
        while not stop.wait(0.02):
            network.inject(tap, [MAC] * 8, size=1400)
    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_kexec_and_reboot_under_load(guest, network, folder, make_machine):
    """The next kernel has all devices, and finds on the disks what was written; no device wrote into its memory."""
    network.serve(PORT)
    tap = network.tap()
    number = network.taps.index(tap)
    host = f"10.77.{number}.1"
    with make_machine(guest, Restarter.devices(guest, folder, tap.backend), memory=MEMORY) as vm:
        machine = Restarter(vm, f"netio talk {host} {PORT} seconds=2 max=60000")

        def up():
            machine.wait()
            vm.run(f"ip address add 10.77.{number}.2/24 dev {vm.nic('nic')} && ip link set {vm.nic('nic')} up && "
                   f"ping -c 1 -W 20 {host}")
            machine.resize(MEMORY)
            machine.resize(MEMORY - 64)
        up()
        machine.write()
        command_line = vm.read("/proc/cmdline")
        with knocking(network, tap):
            for way in "kexec", "reboot":
                if way == "kexec":
                    machine.load("-l", f"{command_line} VM_SECOND=1")
                with machine.at_work():
                    getattr(vm, way)()
                assert ("VM_SECOND=1" in vm.read("/proc/cmdline").split()) == (way == "kexec")
                up()
                machine.verify()
                vm.run(f"netio put {host} {PORT} bytes={MIB} && netio get {host} {PORT} bytes={MIB}")
                transfer(vm, "port", MIB // 4)
                machine.write()


def check_dump(image, size, processors, release, markers):
    """What is on the disk is an ELF core of the first kernel: its processors, its memory, and our pages in it."""
    with open(image, "rb") as file:
        dump = file.read(size)
    assert len(dump) == size
    assert dump[:7] == b"\x7fELF\2\1\1", "no ELF file of 64 bits"
    kind, machine, _, _, at, _, _, _, entry_size, count = struct.unpack_from("<HHIQQQIHHH", dump, 16)
    assert (kind, machine, entry_size) == (4, 62, 56) and count >= 2, "no core of an x86-64 machine"
    headers = [struct.unpack_from("<IIQQQQQQ", dump, at + n * entry_size) for n in range(count)]
    notes = [header for header in headers if header[0] == 4]
    loads = sorted((header for header in headers if header[0] == 1), key=lambda header: header[4])
    assert len(notes) == 1 and len(loads) == count - 1
    assert size == max(offset + length for _, _, offset, _, _, length, _, _ in headers)
    for header in headers:
        assert header[2] >= at + count * entry_size and header[2] + header[5] <= size
    # The kernel's own text is in it twice: as what it is, and as memory.
    memory = [load for load in loads if load[3] >> 40 != 0xffffff]
    for load, above in zip(memory, memory[1:]):
        assert load[4] + load[6] <= above[4], "segments overlap"
    found = Counter()
    at, end = notes[0][2], notes[0][2] + notes[0][5]
    while at + 12 <= end:
        name_size, length, kind = struct.unpack_from("<III", dump, at)
        if not name_size:
            break
        name = dump[at + 12:at + 12 + name_size].rstrip(b"\0").decode()
        at += 12 + (name_size + 3 & ~3)
        found[name, kind] += 1
        if name == "VMCOREINFO":
            assert f"OSRELEASE={release}\n".encode() in dump[at:at + length]
        at += length + 3 & ~3
    assert found["CORE", 1] == processors, found
    assert found["VMCOREINFO", 0] == 1, found
    assert re.search(rb"[Ss]ys[Rr]q ?: Trigger a crash", dump), "the first kernel's log is not in it"
    pages = {hashlib.md5(dump[at:at + PAGE]).hexdigest()
             for _, _, offset, _, _, length, _, _ in memory for at in range(offset, offset + length, PAGE)}
    assert set(markers) <= pages, "the first kernel's memory is not in it"
    return sum(load[5] for load in memory)


def check_crash(log):
    """Of what no kernel should say the first one has said what belongs to a crash, each once, and the next nothing."""
    starts = [found.start() for found in re.finditer(r"Linux version ", log)]
    assert len(starts) == 2, f"{len(starts)} kernels have started"
    crash = re.search(r"[Ss]ys[Rr]q ?: Trigger a crash", log).start()
    assert starts[0] < crash < starts[1]
    said = Counter()
    for line in log[crash:starts[1]].splitlines():
        if BAD.search(line):
            [pattern] = [each for each in CRASH if re.search(each, line)]
            said[pattern] += 1
    assert set(said.values()) == {1} and len(said) >= 2, said
    for part in log[:crash], log[starts[1]:]:
        assert [line for line in part.splitlines() if BAD.search(line)] == []


@pytest.mark.parametrize("target", ["blk", "scsi"])
def test_kdump(kernel, guest, folder, make_machine, target):
    """A crash in the middle of work; the crash kernel writes the dump through the pack's driver."""
    (folder / "tftp").mkdir()
    (folder / "tftp" / "file").write_bytes(bytes(range(256)) * 4096)
    made = Restarter.devices(guest, folder, devices.user_network(tftp=str(folder / "tftp")))
    memory = 256                # beside the crash kernel's
    image = sparse(folder / "dump.img", 2 * memory * MIB)
    made.append(devices.disk("dump", image) if target == "blk" else
                devices.scsi("dumper", [devices.scsi_disk("dump", image)]))
    reserve = 128 if kernel.old else 160
    with make_machine(guest, made, memory=memory + reserve, smp=2, append=f"crashkernel={reserve}M", allow=CRASH) as vm:
        machine = Restarter(vm, "tftp -g -r file -l /dev/null 10.0.2.2")
        machine.wait("dump")
        vm.run(f"ip address add 10.0.2.15/24 dev {vm.nic('nic')} && ip link set {vm.nic('nic')} up")
        machine.write()
        # The balloon would take what little memory the crash kernel has: like RHEL's own, it goes without.
        command_line = re.sub(r"crashkernel=\S+ ?", "", vm.read("/proc/cmdline"))
        command_line = command_line.replace(",virtio_balloon", "")
        machine.load("-p", f"{command_line} irqpoll nr_cpus=1 reset_devices VM_SECOND=1")
        assert vm.read("/sys/kernel/kexec_crash_loaded") == "1"
        # Not sooner: today's kernel loads no other one that would take half of what the balloon leaves it.
        machine.resize(memory + reserve - 64)
        vm.run(f"dd if=/dev/urandom of=/tmp/marker bs={PAGE} count={MARKERS}")
        markers = vm.run(f"for n in $(seq 0 {MARKERS - 1}); do dd if=/tmp/marker bs={PAGE} skip=$n count=1 "
                         "2> /dev/null | md5sum; done").split()[::2]
        assert len(set(markers)) == MARKERS
        with machine.at_work():
            # Not on the second processor: there, long before process 1, 2.6.32 may wait for a timer for ever.
            vm.kexec("taskset 1 sh -c 'echo c > /proc/sysrq-trigger'")
        assert "VM_SECOND=1" in vm.read("/proc/cmdline").split()
        machine.wait("dump")
        size = int(vm.run("stat -c %s /proc/vmcore"))
        disk = vm.disk("dump")
        assert disk.startswith("vd" if target == "blk" else "sd")
        vm.run(f"dd if=/proc/vmcore of=/dev/{disk} bs=1M conv=fsync", timeout=180)
        checksum = vm.run("md5sum /proc/vmcore", timeout=180).split()[0]
        machine.verify()
        vm.run(f"ip address add 10.0.2.15/24 dev {vm.nic('nic')} && ip link set {vm.nic('nic')} up && "
               f"{machine.traffic}")
        transfer(vm, "port", MIB // 4)
    with open(image, "rb") as file:
        assert hashlib.md5(file.read(size)).hexdigest() == checksum
    dumped = check_dump(image, size, 2, guest.kernel.release, markers)
    assert (memory - 16) * MIB <= dumped <= memory * MIB
    check_crash(vm.console.read_text(errors="replace"))
