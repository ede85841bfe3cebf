# SPDX-License-Identifier: GPL-2.0
"""The pack beside the kernel's own drivers, in one run: make bench [KERNEL=NAME].

Disks, SCSI controller and network card are transitional, because that is what a 0.9 driver can use; the
pack drives them as modern ones, and also gets the modern-only ones that it is made for. AHCI is measured
beside the SCSI controller; the card is on a tap with offloads, and an e1000e in its place is measured too;
what is sent is neither made nor checked, since that would take longer than the way.
Counts are of QEMU's trace events and of the guest's interrupts; the depth is what the guest's block layer
had in flight on average. Times are of a noisy machine, on which all sides take turns: look at the ratios.
"""

import argparse
import contextlib
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from vmlib import devices, kernels, machine, net  # noqa: E402
from vmlib.guest import Guest  # noqa: E402
from vmlib.host import VmError  # noqa: E402

# A thread for each processor, as on real hardware; there is one machine at a time here.
ACCEL = os.environ.get("VM_ACCEL", "tcg")
SIZE = 256 << 20
EVENTS = ("virtio_queue_notify", "virtio_notify", "virtio_notify_irqfd")
# name: what blkio is told
LOADS = {
    "4 KiB random reads, depth 32": ("read", "count=20000 depth=32"),
    "64 KiB random reads, depth 32": ("read", "count=5000 depth=32 max=65536"),
    "1 MiB sequential reads, depth 32": ("read", "count=1024 depth=32 max=1048576 seq=1"),
    "random writes of 512 B to 64 KiB, depth 32": ("write", f"depth=32 total={SIZE} max=65536"),
    "4 KiB random reads, depth 1": ("read", "count=5000 depth=1"),
}
TRANSITIONAL = {"disable_legacy": "off", "disable_modern": False}
# What is compared: name, whether it is the pack's, properties of the device.
SIDES = (
    ("stock, transitional", False, TRANSITIONAL),
    ("pack, transitional", True, TRANSITIONAL),
    ("pack, modern-only", True, {}),
)


def virtio_disk(image, **properties):
    """Without ioeventfd: QEMU answers each kick at once, and none is taken for two."""
    return devices.disk("disk", image, ioeventfd=False, **properties)


def scsi_disk(image, **properties):
    """As QEMU sets it up, for that is what stands beside AHCI."""
    return devices.scsi("bus", [devices.scsi_disk("disk", image)], **properties)


def ahci_disk(image):
    return devices.ahci("bus", "disk", image)


# With the device's maker, and the module of the kernel's own that a stock side needs.
DISK_SIDES = tuple((*side, virtio_disk, "virtio_blk") for side in SIDES)
SCSI_SIDES = (*((*side, scsi_disk, "virtio_scsi") for side in SIDES), ("AHCI", False, {}, ahci_disk, "ahci"))

# The same for a network card; the last entry is its model.
NIC_SIDES = (*((*side, "virtio-net-pci") for side in SIDES), ("e1000e", False, {}, "e1000e"))
MIB = 1 << 20
# name: netio's mode, MiB to move, in how many flows
NIC_LOADS = {"TCP, guest to host": ("put", 512, 1), "TCP, host to guest": ("get", 512, 1),
             "TCP, host to guest, 4 flows": ("get", 512, 4)}


def counts(vm, owner):
    """QEMU's kicks, which it counts of virtio only, and the interrupts that have this in their names."""
    kicks = (vm.logs / "trace.log").read_text().count("virtio_queue_notify ")
    interrupts = 0
    for line in vm.read("/proc/interrupts").splitlines()[1:]:
        if re.search(rf"\b{owner}\b", line):
            interrupts += sum(map(int, re.match(r"\s*\d+:((?:\s+\d+)+)", line)[1].split()))
    return kicks, interrupts


def in_flight(vm, disk):
    """(for how long the disk was busy, for how long its requests were in flight, summed up), in ms."""
    cells = vm.read(f"/sys/block/{disk}/stat").split()
    return int(cells[9]), int(cells[10])


class Sample(NamedTuple):
    """What one run of a load has taken, or the sum of several."""
    amount: float       # requests, or MiB
    seconds: float
    kicks: int
    interrupts: int
    busy: int = 0       # ms that the disk was busy
    in_flight: int = 0  # ms that its requests were in flight, summed up

    def total(self, others):
        return Sample(*map(sum, zip(self, *others)))


class Disk:
    """A machine with the disk to measure."""
    loads = LOADS

    def __init__(self, vm):
        self.vm = vm
        vm.wait_until(lambda: vm.disk("disk"), "the disk")
        self.disk, self.owner = vm.disk("disk"), vm.virtio(0) or "ahci"

    def run(self, load):
        mode, options = self.loads[load]
        before = (*counts(self.vm, self.owner), *in_flight(self.vm, self.disk))
        said = re.search(r"requests=(\d+) .* ms=(\d+)",
                         self.vm.run(f"blkio {mode} /dev/{self.disk} {options}", timeout=300))
        after = (*counts(self.vm, self.owner), *in_flight(self.vm, self.disk))
        return Sample(int(said[1]), int(said[2]) / 1000, *(now - then for now, then in zip(after, before)))


class Nic:
    """A machine with the network card to measure, whose peer is 10.77.N.1."""
    loads = NIC_LOADS

    def __init__(self, vm, n):
        self.vm, self.host = vm, f"10.77.{n}.1"
        interface = vm.nic("nic")
        if not interface:
            raise VmError("the guest has no network interface: is there a driver for this card?")
        self.owner = vm.virtio("nic") or interface
        vm.run(f"ip address add 10.77.{n}.2/24 dev {interface} && ip link set {interface} up")
        # An e1000e takes its time.
        vm.wait_until(lambda: vm.status(f"ping -c 1 -W 2 {self.host}")[0] == 0, "a link")

    def run(self, load):
        way, size, flows = self.loads[load]
        before = counts(self.vm, self.owner)
        said = re.search(r"bytes=(\d+) ms=(\d+)",
                         self.vm.run(f"netio {way} {self.host} {net.PORT} bytes={size * MIB // flows} flows={flows} "
                                     "check=0", timeout=300))
        return Sample(int(said[1]) / MIB, int(said[2]) / 1000,
                      *(now - then for now, then in zip(counts(self.vm, self.owner), before)))


def take_turns(sides, rounds):
    """{load: {side: (amount a second, the median; a Sample of all rounds)}}. All machines are there at a time
    and take turns with each load, so that what else the host does is the same for all of them."""
    found = {}
    for load in next(iter(sides.values())).loads:
        for side in sides.values():
            side.run(load)
        samples = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                samples[name].append(side.run(load))
        found[load] = {name: (statistics.median(one.amount / one.seconds for one in all_), all_[0].total(all_[1:]))
                       for name, all_ in samples.items()}
        print(f"  {load}: done", flush=True)
    return found


def has_module(kernel, guest, name, module):
    if module in guest.modules:
        return True
    print(f"  {name}: skipped: {kernel.release} has no module {module}", flush=True)
    return False


def bench_nic(kernel, rounds):
    with contextlib.ExitStack() as stack:
        network, sides = stack.enter_context(net.Network()), {}
        machines = []
        for name, pack, properties, driver in NIC_SIDES:
            module = "virtio_net" if driver.startswith("virtio") else driver
            guest = Guest(kernel, pack=pack, also=(module,))
            if has_module(kernel, guest, name, module):
                card = devices.nic("nic", network.tap().backend, driver=driver, **properties)
                machines.append((name, guest, card))
        network.serve()
        for n, (name, guest, card) in enumerate(machines):
            vm = machine.Machine(f"bench-net-{kernel.name}-{n}", guest, [card], smp=2, trace=EVENTS, accel=ACCEL,
                                 load=("virtio_pci", "virtio_net", "e1000e"))
            sides[name] = Nic(stack.enter_context(vm), n)
        found = take_turns(sides, rounds)
    for load, results in found.items():
        base = results[NIC_SIDES[0][0]][0]
        print(f"\n{kernel.release}: {load}\n{'':24}{'MiB/s':>12}{'ratio':>8}{'kicks/MiB':>12}{'interrupts/MiB':>17}")
        for name, (speed, all_) in results.items():
            kicked = "-" if name == "e1000e" else f"{all_.kicks / all_.amount:.1f}"
            print(f"{name:24}{speed:12.1f}{speed / base:8.2f}{kicked:>12}{all_.interrupts / all_.amount:17.1f}")


def bench_disk(kernel, rounds, sides):
    """Measures these sides of a disk; a stock driver that the kernel has not is left out, and said to be."""
    with contextlib.ExitStack() as stack:
        folder, there = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")), {}
        for name, pack, properties, make, module in sides:
            guest = Guest(kernel, pack=pack, also=() if pack else (module,))
            if not has_module(kernel, guest, name, module):
                continue
            image = Path(folder, f"{len(there)}.img")
            with open(image, "wb") as out:
                out.truncate(SIZE)
            vm = machine.Machine(f"bench-{module}-{kernel.name}-{len(there)}", guest, [make(image, **properties)],
                                 smp=2, trace=EVENTS, accel=ACCEL,
                                 load=("virtio_pci", "virtio_blk", "sd_mod", "virtio_scsi", "ahci"))
            there[name] = Disk(stack.enter_context(vm))
        found = take_turns(there, rounds)
    for load, results in found.items():
        print(f"\n{kernel.release}: {load}\n{'':24}{'requests/s':>12}{'/ stock':>9}"
              f"{'/ AHCI' if 'AHCI' in results else '':>8}{'kicks/1000':>12}{'interrupts/1000':>17}{'depth':>7}")
        for name, (speed, all_) in results.items():
            ratios = "".join(f"{speed / results[base][0]:{width}.2f}" if base in results else " " * width
                             for base, width in ((SIDES[0][0], 9), ("AHCI", 8)))
            kicked = "-" if name == "AHCI" else f"{all_.kicks * 1000 / all_.amount:.1f}"
            print(f"{name:24}{speed:12.0f}{ratios}{kicked:>12}{all_.interrupts * 1000 / all_.amount:17.1f}"
                  f"{all_.in_flight / max(all_.busy, 1):7.1f}")


PARTS = {
    "disk": lambda kernel, rounds: bench_disk(kernel, rounds, DISK_SIDES),
    "scsi": lambda kernel, rounds: bench_disk(kernel, rounds, SCSI_SIDES),
    "net": bench_nic,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", help="a registered one; default: the distribution's")
    parser.add_argument("--rounds", type=int, default=3, help="of each load; the median is taken (default: 3)")
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS), help="which (default: all)")
    args = parser.parse_args()
    try:
        if unknown := set(args.parts) - set(PARTS):
            raise VmError(f"there is no part {', '.join(unknown)}: it is {', '.join(PARTS)}")
        kernel = kernels.find(args.kernel or kernels.DISTRO)
        for part in args.parts or PARTS:
            print(f"\n{part}:", flush=True)
            PARTS[part](kernel, args.rounds)
    except VmError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
