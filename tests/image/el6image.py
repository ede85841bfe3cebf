# SPDX-License-Identifier: GPL-2.0
"""A guest's disk that is laid out like CentOS 6's: /boot on the first partition, the rest an LVM volume group with root
and swap, two kernels of RHEL's with an initramfs each, grub.conf, an RPM database, SELinux's configuration.

Its programs are Debian's, for EL6's own are not at hand: they do what bake has done in the image. They do not run on
EL6's kernel (their C library wants a newer one), so what boots are static programs in /el6, which dracut puts into the
initramfs, too: dracut, its choice of modules, depmod and the boot loader's file are what is tested."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("vm", "pkg")]

import bootloader  # noqa: E402
import tree  # noqa: E402
from diskimage import Entry, grub_conf  # noqa: E402
from vmlib import userland  # noqa: E402
from vmlib.guest import EXT4  # noqa: E402
from vmlib.host import run  # noqa: E402
from vmlib.p9io import build_p9io  # noqa: E402

MIB = 1 << 20
SIZE = 1024 * MIB
GUEST = Path(__file__).resolve().parent / "guest"
BOOT_UUID = "0b0b0b0b-1111-2222-3333-444444444444"
MAC = "52:54:00:56:4d:01"
LVM_ROOT = "/dev/mapper/VolGroup-lv_root"
# The second line is for emulation, see machine.py.
ARGS = f"root={LVM_ROOT} rd_NO_LUKS rd_LVM_LV=VolGroup/lv_root rd_LVM_LV=VolGroup/lv_swap LANG=en_US.UTF-8 rhgb " \
       "console=ttyS0,115200 panic=-1 printk.time=1 nmi_watchdog=0 no_timer_check sysrq_always_enabled"
FSTAB = f"""#
# /etc/fstab
#
{LVM_ROOT} /                       ext4    defaults        1 1
UUID={BOOT_UUID} /boot                   ext4    defaults        1 2
/dev/mapper/VolGroup-lv_swap swap                    swap    defaults        0 0
tmpfs                   /dev/shm                tmpfs   defaults        0 0
"""
# dracut's own kernel-modules takes its time under emulation; it is tested in tests/pkg.
DRACUT = 'dracutmodules+=" el6 "\nhostonly="no"\ncompress="gzip"\nearly_microcode="no"\n'
# A module of dracut's: the programs that run on EL6's kernel, and modules for all disks that the kernel itself can have.
DRACUT_MODULE = """#!/bin/bash
check() { return 0; }
depends() { return 0; }
installkernel() { instmods ahci ata_piix dm_mod ext4 sd_mod virtio_pci virtio_blk virtio_scsi virtio_net; }
install() {
	mkdir -p "$initdir/el6"
	cp -a /el6/bin "$initdir/el6/"
	cp /el6/initramfs-init "$initdir/init"
}
"""
FILE_CONTEXTS = """/.*	system_u:object_r:default_t:s0
/boot(/.*)?	system_u:object_r:boot_t:s0
/lib/modules(/.*)?	system_u:object_r:modules_object_t:s0
/usr/lib/modules(/.*)?	system_u:object_r:modules_object_t:s0
/etc(/.*)?	system_u:object_r:etc_t:s0
/usr/sbin(/.*)?	system_u:object_r:bin_t:s0
"""
OLD_CLOCK = """#!/bin/sh
/usr/libexec/oldtime > /dev/null || exit
exec /usr/libexec/rpm "$@"
"""


def missing():
    """Why such an image cannot be made here, or None."""
    if os.geteuid():
        return "only root can make a guest's disk"
    if not importlib.util.find_spec("guestfs"):
        return "libguestfs's Python binding is not installed (python3-guestfs)"
    return bootloader.missing()


class System(tree.Tree):
    """Such a system in a folder, to be changed before a disk is made of it."""

    def __init__(self, folder, kernels, packages, release="CentOS release 6.8 (Final)", more=()):
        """kernels: [(kernel, what it is called)], the default one first. packages: of them, and whatever else."""
        super().__init__(Path(folder))
        self.fill(more)
        for name in ("etc/os-release", "usr/lib/os-release", "etc/debian_version", "etc/lsb-release"):
            (self.upper / name).unlink(missing_ok=True)
        self.write("etc/redhat-release", f"{release}\n")
        self.write("etc/centos-release", f"{release}\n")
        self.write("etc/fstab", FSTAB)
        self.write("etc/dracut.conf.d/00-test.conf", DRACUT)
        self.write("usr/lib/dracut/modules.d/95el6/module-setup.sh", DRACUT_MODULE, 0o755)
        self.write("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\nONBOOT=yes\n")
        self.write("etc/sysconfig/network-scripts/ifcfg-eth0", f"DEVICE=eth0\nHWADDR={MAC}\nONBOOT=yes\n")
        self.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        self.write("etc/selinux/targeted/contexts/files/file_contexts", FILE_CONTEXTS)
        self.write("usr/bin/yum", tree.YUM, 0o755)
        self._programs()
        self._p9io(kernels)
        self.check(f"rpm -i {self.bring(*packages)} && rm -f /tmp/*.rpm")
        self.write("boot/grub/grub.conf", grub_conf([Entry(name, None, None, ARGS) for _, name in kernels]))

    def _programs(self):
        """What runs when it boots."""
        el6 = self.upper / "el6"
        for name in ("bin", "dev", "proc", "sys", "tmp", "run", "etc", "mnt", "sysroot", "lib/modules"):
            (el6 / name).mkdir(parents=True, exist_ok=True)
        for name, what in {**userland.files(), **userland.lvm()}.items():
            if not name.startswith(("bin/", "sbin/")):
                continue
            path = el6 / "bin" / Path(name).name
            if isinstance(what, str):
                path.symlink_to(what)
            else:
                shutil.copy(what, path)
        shutil.copy(GUEST / "initramfs-init", el6)
        shutil.copy(GUEST / "init", self.upper / "usr/sbin/init")

    def _p9io(self, kernels):
        """A user for the 9p client, which RHEL 6 has none for; of those kernels that it can be built for."""
        for kernel, release in kernels:
            if kernel.release == release:
                place = self.upper / f"usr/lib/modules/{release}/extra/test"
                place.mkdir(parents=True)
                shutil.copy(build_p9io(kernel), place)

    def old_clock(self):
        """Its rpm asks for the time as EL6's does, in a way that kernels of today have to be asked for."""
        real = self.upper / "usr/libexec/rpm"
        real.parent.mkdir(exist_ok=True)
        (self.upper / "usr/bin/rpm").rename(real)
        run("musl-gcc", "-static", "-O1", "-o", self.upper / "usr/libexec/oldtime", GUEST / "oldtime.c")
        self.write("usr/bin/rpm", OLD_CLOCK, 0o755)


def appliance():
    """libguestfs's, without disks, to be launched. KVM is there in some places where it does not run guests."""
    import guestfs
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend_settings(["force_tcg"])
    return handle


@contextlib.contextmanager
def opened(image, image_format="qcow2", readonly=False):
    """Such a disk's system, mounted in the appliance."""
    handle = appliance()
    handle.add_drive_opts(str(image), format=image_format, readonly=readonly)
    handle.launch()
    mount = handle.mount_ro if readonly else handle.mount
    mount("/dev/VolGroup/lv_root", "/")
    mount("/dev/sda1", "/boot")
    yield handle
    handle.umount_all()
    handle.shutdown()
    handle.close()


def write_disk(system, path, size=SIZE, boot=192 * MIB):
    """Makes a raw disk of a System, with a boot loader."""
    path.unlink(missing_ok=True)
    with open(path, "wb") as disk:
        disk.truncate(size)
    handle = appliance()
    handle.add_drive_opts(str(path), format="raw", cachemode="unsafe")
    handle.launch()
    handle.part_init("/dev/sda", "mbr")
    middle = (MIB + boot) // 512
    handle.part_add("/dev/sda", "p", MIB // 512, middle - 1)
    handle.part_add("/dev/sda", "p", middle, -1)
    handle.part_set_bootable("/dev/sda", 1, True)
    handle.part_set_mbr_id("/dev/sda", 2, 0x8e)
    handle.pvcreate("/dev/sda2")
    handle.vgcreate("VolGroup", ["/dev/sda2"])
    handle.lvcreate("lv_swap", "VolGroup", 64)
    handle.lvcreate_free("lv_root", "VolGroup", 100)
    handle.mkswap("/dev/VolGroup/lv_swap")
    for device in ("/dev/sda1", "/dev/VolGroup/lv_root"):
        handle.mkfs("ext4", device, features=EXT4, inode=256)
    handle.set_uuid("/dev/sda1", BOOT_UUID)
    handle.mount("/dev/VolGroup/lv_root", "/")
    handle.mkdir("/boot")
    handle.mount("/dev/sda1", "/boot")
    with tempfile.TemporaryDirectory(dir=path.parent) as tmp:
        archive = f"{tmp}/system.tar"
        subprocess.run(["tar", "-C", system.upper, "--numeric-owner", "-cf", archive, "."], check=True)
        handle.tar_in(archive, "/")
    handle.umount_all()
    handle.shutdown()
    handle.close()
    bootloader.install(path)
