# SPDX-License-Identifier: GPL-2.0
"""Data that was written is there: after a reboot, and after the power was cut."""

import hashlib
import re

import pytest

from vmlib import devices

GIB = 1 << 30


def sparse(path, size):
    with open(path, "wb") as out:
        out.truncate(size)
    return path


def assert_same_places(vm, image, disk, samples=16, length=65536):
    """What the guest reads at a place is what the host's file has there."""
    places = [n * (image.stat().st_size - length) // (samples - 1) // 512 for n in range(samples)]
    sums = vm.run(f"for n in {' '.join(map(str, places))}; do dd if=/dev/{disk} bs=512 skip=$n count={length // 512} "
                  "2>/dev/null | sha256sum; done", timeout=120).split()[::2]
    with open(image, "rb") as data:
        for place, found in zip(places, sums, strict=True):
            data.seek(place * 512)
            assert hashlib.sha256(data.read(length)).hexdigest() == found, f"sector {place} is elsewhere"


def on(kind, **images):
    """The devices of a machine with these disks: virtio disks, or units of one SCSI controller."""
    if kind == "blk":
        return [devices.disk(name, image) for name, image in images.items()]
    return [devices.scsi("scsi", [devices.scsi_disk(name, image, 0, lun)
                                  for lun, (name, image) in enumerate(images.items())])]


@pytest.mark.parametrize("kind", ["blk", "scsi"])
def test_two_gib_in_random_pieces(guest, folder, make_machine, kind):
    """2 GiB in pieces of 512 bytes to 1 MiB, 32 at a time; compared after a reboot."""
    with make_machine(guest, on(kind, data=sparse(folder / "data.img", 2 * GIB)), smp=2) as vm:
        vm.wait_until(lambda: vm.disk("data"), "the disk")
        args = f"/dev/{vm.disk('data')} seed=2048 depth=32 total={2 * GIB} max={1 << 20} fresh=1"
        vm.run(f"blkio write {args}", timeout=400)
        assert_same_places(vm, folder / "data.img", vm.disk("data"))
        vm.reboot()
        vm.wait_until(lambda: vm.disk("data"), "the disk")
        report = vm.run(f"blkio verify {args}", timeout=400)
        assert f"bytes={2 * GIB} failed=0" in report
        # And the comparison is one that can fail.
        status, report = vm.status(f"blkio verify {args.replace('seed=2048', 'seed=2049')}")
        assert status == 1 and "generation" in report


def synced(job):
    return max(int(number) for number in re.findall(r"synced (\d+)\n", job.output))


@pytest.mark.parametrize("kind", ["blk", "scsi"])
def test_power_cut_after_fsync(guest, folder, make_machine, kind):
    """QEMU is killed right after an fsync was reported: everything that was reported is there."""
    root = folder / "root.img"
    guest.write_root(root, "256M")
    disks = {"root": root, "raw": sparse(folder / "raw.img", 128 << 20)}
    kept = {}
    with make_machine(guest, on(kind, **disks), root=True) as vm:
        vm.wait_until(lambda: vm.disk("raw"), "the disk")
        for cut in (1, 2):
            before = {name: vm.block_stats(name)["flush_operations"] for name in disks}
            raw, records = f"/dev/{vm.disk('raw')}", f"/records{cut}"
            jobs = {target: vm.start(f"blkio sync {target} seed={cut} count=2000") for target in (raw, records)}
            for job in jobs.values():
                job.expect(rf"synced {20 * cut}\n", timeout=120)
            flushes = {name: vm.block_stats(name)["flush_operations"] - n for name, n in before.items()}
            vm.kill()
            kept[records] = f"seed={cut} count={synced(jobs[records])}"
            kept["raw"] = f"seed={cut} count={synced(jobs[raw])}"       # the round before is overwritten
            assert min(flushes.values()) >= 20 * cut, "an fsync did not reach the host"
            vm.boot()
            vm.wait_until(lambda: vm.disk("raw"), "the disk")
            for target, what in kept.items():
                path = f"/dev/{vm.disk('raw')}" if target == "raw" else target
                assert f"requests={what.split('=')[-1]} " in vm.run(f"blkio synced {path} {what}")
        status, report = vm.status(f"blkio synced /records1 {kept['/records1'].replace('seed=1', 'seed=9')}")
        assert status == 1 and "record 1 is not there" in report
