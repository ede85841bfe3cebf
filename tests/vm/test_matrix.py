# SPDX-License-Identifier: GPL-2.0
"""Sixteen disks, virtio or SCSI, on sixteen root ports, in every interrupt mode, on one, two and four processors."""

import pytest

from vmlib import devices
from test_data import sparse

MIB = 1 << 20
MODES = (0, 1, 2, None)         # of `vectors`; None is QEMU's default


def check_mode(mode, interrupts):
    """{interrupt: (kind, name, count)} is what the number of vectors leads to."""
    kinds = [kind for kind, _, _ in interrupts.values()]
    if mode == 0:
        assert len(kinds) == 1 and kinds[0].startswith("IO-APIC"), interrupts
    elif mode == 1:
        assert len(kinds) == 1, interrupts
    elif mode == 2:
        assert 1 <= len(kinds) <= 2 and all(kind.startswith("PCI-MSI") for kind in kinds), interrupts
    else:
        assert len(kinds) >= 2 and all(kind.startswith("PCI-MSI") for kind in kinds), interrupts
        assert any("config" in name for _, name, _ in interrupts.values()), interrupts


def make_disk(kind, name, image, **properties):
    """A virtio disk, or a SCSI disk on a controller of its own."""
    if kind == "blk":
        return devices.disk(name, image, serial=f"number-{name}", **properties)
    return devices.scsi(f"on-{name}", [devices.scsi_disk(name, image)], **properties)


@pytest.mark.parametrize("kind,smp", [("blk", 1), ("blk", 2), ("blk", 4), ("scsi", 1), ("scsi", 4)])
def test_sixteen_disks(guest, folder, make_machine, kind, smp):
    modes = [MODES[n % len(MODES)] for n in range(16)]
    disks = [make_disk(kind, f"disk{n}", sparse(folder / f"{n}.img", 16 * MIB),
                       **({} if mode is None else {"vectors": mode})) for n, mode in enumerate(modes)]
    with make_machine(guest, disks, smp=smp) as vm:
        assert int(vm.run("nproc")) == smp
        vm.wait_until(lambda: all(vm.disk(f"disk{n}") for n in range(16)), "all disks")
        names = [vm.disk(f"disk{n}") for n in range(16)]
        # Buses are scanned side by side, so their disks have no order.
        assert (names if kind == "blk" else sorted(names)) == [f"{'vs'[kind == 'scsi']}d{letter}"
                                                               for letter in "abcdefghijklmnop"]
        if kind == "blk":
            assert [vm.read(f"/sys/block/{name}/serial") for name in names] == [f"number-disk{n}" for n in range(16)]
        before = [vm.interrupts(n) for n in range(16)]
        for action in ("write", "verify"):
            jobs = [vm.start(f"blkio {action} /dev/{name} seed={100 + n} depth=8 total={4 * MIB} max=131072 fresh=1")
                    for n, name in enumerate(names)]
            assert [(job.wait(120), job.output) for job in jobs if job.wait(120)] == []
        for n, mode in enumerate(modes):
            after = vm.interrupts(n)
            check_mode(mode, after)
            assert sum(i[2] for i in after.values()) > sum(i[2] for i in before[n].values()), \
                f"disk {n} (vectors={mode}) was served without an interrupt"
