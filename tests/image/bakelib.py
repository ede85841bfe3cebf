# SPDX-License-Identifier: GPL-2.0
"""What the tests of image/bake share: running it, changing images, and small ones that are not what it wants."""

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from diskimage import LINUX, write_disk
from vmlib.guest import make_ext4
from vmlib.host import REPO, run

BAKE = REPO / "image/bake"
MIB = 1 << 20
SWAP = 0x82                     # a kind of partition
ELSEWHERE = "0b0b0b0b-0000-0000-0000-444444444444"


def bake(image, *options, **env):
    """Runs it."""
    return subprocess.run([BAKE, image, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=1500, env={**os.environ, **env})


def steps(said):
    """What it said it was doing."""
    return [line.partition("] ")[2] for line in said.splitlines() if line.startswith("[")]


def left_over(folder):
    return [name for name in os.listdir(folder) if name.startswith(".bake-")]


def on_top(image, folder):
    """An image that is the same, to be changed."""
    made = folder / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", made)
    return made


# ---- images that are too small to boot, and enough to be looked at ----

def elf(machine, bits):
    """The beginning of a program for a processor."""
    header = b"\x7fELF" + bytes([bits // 32, 2 if machine == 21 else 1, 1]) + bytes(9)
    return header + struct.pack(">HHI" if machine == 21 else "<HHI", 2, machine, 1) + bytes(100)


def write_system(folder, release="CentOS release 6.8 (Final)", program=None, fstab="/dev/sda1 / ext4 defaults 1 1\n"):
    for name in ("bin", "boot", "dev", "etc", "lib/modules/2.6.32-1.el6.x86_64/kernel", "proc", "sbin", "usr/bin",
                 "var/tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "etc/redhat-release").write_text(release + "\n")
    (folder / "etc/fstab").write_text(fstab)
    for name in ("bin/bash", "bin/sh", "bin/ls", "bin/rpm"):
        (folder / name).write_bytes(program or elf(62, 64))
    (folder / "boot/vmlinuz-2.6.32-1.el6.x86_64").write_bytes(b"kernel")


def another_system(folder):
    write_system(folder, "Fedora release 38 (Thirty Eight)")


def a_newer_one(folder):
    write_system(folder, "CentOS Linux release 7.9.2009 (Core)")


def for_power(folder):
    write_system(folder, program=elf(21, 64))


def for_i386(folder):
    write_system(folder, program=elf(3, 32))


def boot_elsewhere(folder):
    write_system(folder, fstab=f"/dev/sda1 / ext4 defaults 1 1\nUUID={ELSEWHERE} /boot ext4 defaults 1 2\n")


def no_kernel(folder):
    write_system(folder)
    (folder / "lib/modules/2.6.32-1.el6.x86_64/kernel").rmdir()


def no_rpm(folder):
    write_system(folder)
    (folder / "bin/rpm").unlink()


class Tiny:
    """A small disk that bake has to refuse, with this text."""

    def __init__(self, text, system=write_system, root=None, second=None):
        """system(folder): writes the system. root(image): changes its file system. second(image): writes another
        partition, which may be a copy of the first; returns its kind."""
        self.text, self.system, self.root, self.second = text, system, root, second

    def write(self, disk):
        with tempfile.TemporaryDirectory(dir=disk.parent) as tmp:
            system, root, second = Path(tmp, "system"), Path(tmp, "root.img"), Path(tmp, "second.img")
            self.system(system)
            make_ext4(root, "16M", system)
            partitions = [(LINUX, root)]
            if self.second:
                shutil.copy(root, second)
                partitions.append((self.second(second), second))
            if self.root:
                self.root(root)
            write_disk(disk, partitions)


def read_only(image):
    run("/sbin/tune2fs", "-O", "read-only", image)


def hibernated(image):
    run("/sbin/mkswap", image)
    with open(image, "r+b") as swap:
        swap.seek(4096 - 10)
        swap.write(b"S1SUSPEND\0")
    return SWAP


def another_one(image):
    run("/sbin/tune2fs", "-U", "random", image)
    return LINUX


TINY = {
    "another_system": Tiny("has no RHEL 6 or CentOS 6 in it, but Fedora release 38", another_system),
    "a_newer_one": Tiny("has no RHEL 6 or CentOS 6 in it, but CentOS Linux release 7.9.2009", a_newer_one),
    "for_power": Tiny("disk.img: its EL6 is for ppc64; virtio-modern is for x86_64 and i686", for_power),
    "for_i386": Tiny(r"disk.img: its EL6 is for i386, and \S+ is for x86_64", for_i386),
    "boot_elsewhere": Tiny(f"disk.img: its /boot is on UUID={ELSEWHERE}, which is not in this image", boot_elsewhere),
    "no_kernel": Tiny("disk.img: has no kernel in /lib/modules", no_kernel),
    "no_rpm": Tiny("disk.img: has no rpm, so no package can be installed in it", no_rpm),
    "programs_do_not_run": Tiny("disk.img: its own programs do not run here: "),
    "read_only": Tiny("disk.img: its / is read-only or damaged: ", root=read_only),
    "hibernated": Tiny(r"disk.img: the guest is hibernated \(/dev/sda2\)", second=hibernated),
    "two_of_them": Tiny("disk.img: has more than one EL6 in it: /dev/sda1, /dev/sda2", second=another_one),
}
