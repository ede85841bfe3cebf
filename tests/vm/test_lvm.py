# SPDX-License-Identifier: GPL-2.0
"""LVM on virtio disks, as RHEL 6's installer has it: what is in its volumes is there after another start, and the
root file system can be."""

import os
import re

import pytest

from test_blk import partitioned
from test_data import sparse, synced
from vmlib import devices, userland
from vmlib.guest import make_ext4

MIB = 1 << 20
LOAD = ("virtio_pci", "virtio_blk", "dm_mod")
SIZE = 128 * MIB
FIRST = 2048                        # the sector at which the physical volume begins, on its disk
GROUP = "VolGroup"
VOLUMES = {"lv_root": 32, "lv_swap": 16, "lv_data": 32}     # in MiB
DATA = f"blkio {{}} /dev/{GROUP}/lv_data seed=11 total={48 * MIB} fresh=1"


@pytest.fixture(scope="module")
def lvm_guest(kernel, make_guest):
    if not kernel.module_file("dm_mod"):
        pytest.skip("this kernel has no module dm_mod")
    return make_guest(also=("dm_mod",), files=userland.lvm())


@pytest.fixture
def disks(folder):
    """The system's disk, one that is all LVM's, and a file system to copy."""
    contents = folder / "contents"
    contents.mkdir()
    for n, size in enumerate((1, 4097, 3 * MIB + 17)):
        (contents / f"file{n}").write_bytes(bytes((n + i * 7) % 251 for i in range(size)))
    make_ext4(folder / "filled.img", "16M", contents)
    return [system_disk(folder), devices.disk("second", sparse(folder / "second.img", SIZE)),
            devices.disk("filled", folder / "filled.img")]


def system_disk(folder):
    """A disk with a partition for LVM."""
    image = partitioned(folder / "system.img", (FIRST, SIZE // 512 - FIRST), size=SIZE, kind=0x8e)
    return devices.disk("system", image)


def wait(vm, *names):
    """Until the disks are there, and the system's partition."""
    vm.wait_until(lambda: all(map(vm.disk, names)), "the disks")
    part = f"/dev/{vm.disk('system')}1"
    vm.wait_until(lambda: vm.status(f"[ -b {part} ]")[0] == 0, "the partition")
    return part


def active(vm):
    """Sizes in MiB of the group's volumes that the kernel has, by the names that they have in /dev/mapper."""
    said = vm.run(f"for node in /dev/mapper/{GROUP}-*; do [ -b $node ] && echo $node $(blockdev --getsize64 $node); "
                  "done; true")
    return {name: int(size) // MIB for name, size in re.findall(rf"/dev/mapper/{GROUP}-(\w+) (\d+)", said)}


def deactivate(vm):
    """Nothing is left that would hold the disks."""
    vm.run(f"lvm vgchange -an {GROUP}")
    assert active(vm) == {}


def sums(vm, device):
    """The checksums of a file system's files."""
    return vm.run(f"mount -t ext4 -o ro {device} /mnt && (cd /mnt && sha256sum file*) && umount /mnt").splitlines()


def test_volumes_survive(lvm_guest, disks, make_machine):
    """A volume group over two disks: a file system and swap in linear volumes, raw data in a striped one. Another
    machine finds the group by itself, and the data in it."""
    with make_machine(lvm_guest, disks, load=LOAD) as vm:
        parts = wait(vm, "system", "second", "filled"), f"/dev/{vm.disk('second')}"
        for device in vm.devices:
            assert vm.pci_id(device.name) == "1af4:1042"
        vm.run(f"lvm pvcreate {' '.join(parts)} && lvm vgcreate {GROUP} {' '.join(parts)}")
        vm.run(f"lvm lvcreate -n lv_root -L {VOLUMES['lv_root']}M {GROUP} {parts[0]} && "
               f"lvm lvcreate -n lv_swap -L {VOLUMES['lv_swap']}M {GROUP} {parts[1]} && "
               f"lvm lvcreate -n lv_data -L {VOLUMES['lv_data']}M -i 2 -I 64k {GROUP}")
        assert active(vm) == VOLUMES
        filled = sums(vm, f"/dev/{vm.disk('filled')}")
        assert len(filled) == 3
        vm.run(f"dd if=/dev/{vm.disk('filled')} of=/dev/{GROUP}/lv_root bs=1M conv=fsync && "
               f"mkswap /dev/{GROUP}/lv_swap")
        before = [vm.block_stats(name)["wr_bytes"] for name in ("system", "second")]
        vm.run(DATA.format("write"), timeout=120)
        for name, written in zip(("system", "second"), before):
            assert vm.block_stats(name)["wr_bytes"] - written >= 16 * MIB, f"no stripes on {name}"
        deactivate(vm)
    with make_machine(lvm_guest, disks[:2], "again", load=LOAD) as vm:
        wait(vm, "system", "second")
        assert active(vm) == {}
        vm.run("lvm vgchange -ay --sysinit")
        assert active(vm) == VOLUMES
        assert sums(vm, f"/dev/{GROUP}/lv_root") == filled
        assert f"bytes={VOLUMES['lv_data'] * MIB} failed=0" in vm.run(DATA.format("verify"), timeout=120)
        # And the comparison is one that can fail.
        status, report = vm.status(DATA.format("verify").replace("seed=11", "seed=12"), timeout=120)
        assert status == 1 and "generation" in report
        vm.run(f"swapon /dev/{GROUP}/lv_swap && grep '^/dev/mapper/{GROUP}-lv_swap ' /proc/swaps && "
               f"swapoff /dev/{GROUP}/lv_swap")
        deactivate(vm)


def test_root_on_lvm(lvm_guest, folder, make_machine):
    """The root file system is on a volume. What was reported as synced is there after the power was cut: device mapper
    passes flushes on."""
    system = system_disk(folder)
    lvm_guest.write_root(folder / "root.img", "64M")
    with make_machine(lvm_guest, [system, devices.disk("root", folder / "root.img")], "install", load=LOAD) as vm:
        part = wait(vm, "system", "root")
        vm.run(f"lvm vgcreate {GROUP} {part} && lvm lvcreate -n lv_root -L 64M {GROUP} && "
               f"dd if=/dev/{vm.disk('root')} of=/dev/{GROUP}/lv_root bs=1M conv=fsync")
        deactivate(vm)
    with make_machine(lvm_guest, [system], root=True, volume=f"{GROUP}/lv_root", load=LOAD) as vm:
        number = os.makedev(*map(int, vm.read("/sys/block/dm-0/dev").split(":")))
        assert vm.run("stat -c %d /").strip() == str(number)
        assert vm.read("/sys/block/dm-0/dm/name") == f"{GROUP}-lv_root"
        before = vm.block_stats("system")["flush_operations"]
        job = vm.start("blkio sync /records seed=1 count=2000")
        job.expect(r"synced 20\n", timeout=120)
        flushes = vm.block_stats("system")["flush_operations"] - before
        vm.kill()
        kept = f"seed=1 count={synced(job)}"
        assert flushes >= 20, "an fsync did not reach the host"
        vm.boot()
        assert f"requests={synced(job)} " in vm.run(f"blkio synced /records {kept}")
        status, report = vm.status(f"blkio synced /records {kept.replace('seed=1', 'seed=9')}")
        assert status == 1 and "record 1 is not there" in report
