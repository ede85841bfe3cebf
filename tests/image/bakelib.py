# SPDX-License-Identifier: GPL-2.0
"""What the tests of image/bake share: running it, changing images, and small ones that are not what it wants."""

import os
import struct
import subprocess
import tempfile
from pathlib import Path

import el6image
from diskimage import LINUX, write_disk
from vmlib.guest import make_ext4
from vmlib.host import REPO, run

BAKE = REPO / "image/bake"
MIB = 1 << 20
# What the second kernel of an image is called, where there is but one to boot.
OTHER = "2.6.32-999.el6.x86_64"


def bake(image, *options):
    """Runs it; all that it says is together."""
    return subprocess.run([BAKE, image, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=1500)


def lines_of(done):
    """What it said it was doing."""
    return [line.partition("] ")[2] for line in done.stdout.splitlines() if line.startswith("[")]


def left_over(folder):
    return [name for name in os.listdir(folder) if name.startswith(".bake-")]


def altered(image, change):
    """Changes the system in a qcow2 image by change(handle)."""
    handle = el6image.appliance()
    handle.add_drive_opts(str(image), format="qcow2")
    handle.launch()
    handle.mount("/dev/VolGroup/lv_root", "/")
    handle.mount("/dev/sda1", "/boot")
    change(handle)
    handle.umount_all()
    handle.shutdown()
    handle.close()


# ---- images that are too small to boot, and enough to be looked at ----

def elf(machine, bits):
    """The beginning of a program for a processor."""
    header = b"\x7fELF" + bytes([bits // 32, 2 if machine == 21 else 1, 1]) + bytes(9)
    return header + struct.pack(">HHI" if machine == 21 else "<HHI", 2, machine, 1) + bytes(100)


def write_system(folder, release="CentOS release 6.8 (Final)", program=None, fstab="/dev/sda1 / ext4 defaults 1 1\n"):
    for name in ("bin", "boot", "dev", "etc", "lib/modules/2.6.32-1.el6.x86_64/kernel", "proc", "sbin", "usr/bin", "var/tmp"):
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
    write_system(folder, fstab="/dev/sda1 / ext4 defaults 1 1\nUUID=0b0b0b0b-0000-0000-0000-444444444444 /boot ext4 defaults 1 2\n")


def no_kernel(folder):
    write_system(folder)
    (folder / "lib/modules/2.6.32-1.el6.x86_64/kernel").rmdir()


def no_rpm(folder):
    write_system(folder)
    (folder / "bin/rpm").unlink()


def programs_do_not_run(folder):
    write_system(folder)


def read_only(folder):
    write_system(folder)


def hibernated(folder):
    write_system(folder)


def two_of_them(folder):
    write_system(folder)


TINY = [(another_system, "has no RHEL 6 or CentOS 6 in it, but Fedora release 38"),
        (a_newer_one, "has no RHEL 6 or CentOS 6 in it, but CentOS Linux release 7.9.2009"),
        (for_power, "disk.img: its EL6 is for ppc64; virtio-modern is for x86_64 and i686"),
        (for_i386, r"disk.img: its EL6 is for i386, and \S+ is for x86_64"),
        (boot_elsewhere, "disk.img: its /boot is on UUID=0b0b0b0b-0000-0000-0000-444444444444, which is not in this image"),
        (no_kernel, "disk.img: has no kernel in /lib/modules"),
        (no_rpm, "disk.img: has no rpm, so no package can be installed in it"),
        (programs_do_not_run, "disk.img: its own programs do not run here: "),
        (read_only, "disk.img: its / is read-only or damaged: "),
        (hibernated, r"disk.img: the guest is hibernated \(/dev/sda2\)"),
        (two_of_them, "disk.img: has more than one EL6 in it: /dev/sda1, /dev/sda2")]


def tiny_system(disk, change):
    """A disk of a system that change(folder) writes."""
    with tempfile.TemporaryDirectory(dir=disk.parent) as tmp:
        system, root, second = Path(tmp, "system"), Path(tmp, "root.img"), Path(tmp, "second.img")
        change(system)
        make_ext4(root, "16M", system)
        partitions = [(LINUX, root)]
        if change is read_only:
            run("/sbin/tune2fs", "-O", "read-only", root)
        if change is hibernated:
            second.write_bytes(bytes(2 * MIB))
            run("/sbin/mkswap", second)
            with open(second, "r+b") as swap:
                swap.seek(4096 - 10)
                swap.write(b"S1SUSPEND\0")
            partitions.append((0x82, second))
        if change is two_of_them:
            make_ext4(second, "16M", system)
            partitions.append((LINUX, second))
        write_disk(disk, partitions)
