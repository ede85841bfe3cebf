# SPDX-License-Identifier: GPL-2.0
"""A machine whose root ports are all taken, and a processor that has not enough interrupts for it."""

import re

from test_data import sparse
from vmlib import devices

MIB = 1 << 20
DISKS, CARDS, CONTROLLERS, SERIALS, RNGS = 12, 4, 4, 4, 3
GREEDY = 66                     # vectors of a console device: for two queues of each of 32 ports, and the config


def test_twenty_eight_devices(guest, folder, make_machine):
    """All of them on one processor, which has 200 vectors at most: who gets none to each queue shares, and says so."""
    made = [devices.disk(f"disk{n}", sparse(folder / f"{n}.img", 16 * MIB)) for n in range(DISKS)]
    made += [devices.serial(f"serial{n}", max_ports=31, vectors=GREEDY) for n in range(SERIALS)]
    made += [devices.nic(f"nic{n}", devices.user_network(), mac=f"52:54:00:56:4d:{n:02x}") for n in range(CARDS)]
    made += [devices.scsi(f"scsi{n}", [devices.scsi_disk(f"unit{n}", sparse(folder / f"unit{n}.img", 16 * MIB))])
             for n in range(CONTROLLERS)]
    made += [devices.rng(f"rng{n}") for n in range(RNGS)] + [devices.balloon()]
    assert len(made) == 28
    with make_machine(guest, made, memory=512, boot_timeout=300) as vm:
        units = [f"disk{n}" for n in range(DISKS)] + [f"unit{n}" for n in range(CONTROLLERS)]
        vm.wait_until(lambda: all(vm.disk(name) for name in units), "all disks", timeout=60)
        for device in made:
            driver = vm.run(f"basename $(readlink -f /sys/bus/virtio/devices/{vm.virtio(device.name)}/driver)").strip()
            assert driver in ("virtio_blk", "virtio_console", "virtio_net", "virtio_scsi", "virtio_rng",
                              "virtio_balloon"), (device.name, driver)
            assert "VERSION_1" in vm.features(device.name) and vm.io_bars(device.name) == 0

        for action in ("write", "verify"):
            jobs = [vm.start(f"blkio {action} /dev/{vm.disk(name)} seed={n} depth=8 total={2 * MIB} max=65536 fresh=1")
                    for n, name in enumerate(units)]
            assert [job.output for job in jobs if job.wait(200)] == []
        for n in range(CARDS):
            dev = vm.nic(f"nic{n}")
            vm.run(f"ip address add 10.0.2.15/24 dev {dev} && ip link set {dev} up && ping -c 1 -W 20 10.0.2.2 && "
                   f"ip link set {dev} down && ip address flush dev {dev}")
        assert vm.run("cat /sys/class/misc/hw_random/rng_available").count("virtio") == RNGS
        vm.run("dd if=/dev/hwrng of=/dev/null bs=64 count=4")
        vm.qmp.command("balloon", value=448 * MIB)
        vm.wait_until(lambda: vm.qmp.command("query-balloon")["actual"] == 448 * MIB, "the balloon", timeout=60)

        log = vm.run("dmesg")
        for device in made:
            kinds = {kind for kind, _, _ in vm.interrupts(device.name).values()}
            address = vm.pci(device.name).rstrip("/").rsplit("/", 1)[1]
            lines = re.findall(rf"{address}: no .*MSI-X vectors.*", log)
            shared = not device.name.startswith("balloon") and (
                len(vm.interrupts(device.name)) == 2 and device.name.startswith(("nic", "scsi", "serial")) or
                not any(kind.startswith("PCI-MSI") for kind in kinds))
            assert len(lines) == (1 if shared else 0), (device.name, kinds, lines)
        assert "MSI-X vectors" in log, "nobody had to share"
