# SPDX-License-Identifier: GPL-2.0
"""A boot loader for disk images that are laid out like CentOS 6's, in place of the GRUB legacy that such a guest has.

It obeys the guest's own /grub/grub.conf on the first partition, by what GRUB 2 has for files of GRUB legacy, so that
what is in that file is what boots: its default=, its root (hd0,0), its kernel and initrd lines.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from vmlib.host import VmError, run  # noqa: E402

GRUB = Path("/usr/lib/grub/i386-pc")
SECTOR = 512
BOOT = "(hd0,msdos1)"           # the BIOS's first disk is the one that it boots from
# To read that file; to do what its lines ask for, among them hiddenmenu, serial and terminal.
MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "legacycfg", "linux16", "test", "sleep", "serial", "terminal",
           "terminfo", "echo")
# What GRUB says, and its menu, go to the serial port: who looks for the reason why nothing boots looks there.
EMBEDDED = f"""serial --unit=0 --speed=115200
terminal_output serial
legacy_configfile {BOOT}/grub/grub.conf
"""
TABLE = slice(0x1b8, SECTOR)    # of the MBR: what is not the boot loader's


def missing():
    """Why there is no boot loader to be had here, or None."""
    needed = ("boot.img", "diskboot.img", *(f"{name}.mod" for name in MODULES))
    if lacking := [name for name in needed if not (GRUB / name).exists()]:
        return f"{GRUB} has no {', '.join(lacking)} (grub-pc-bin)"
    return None


def _core():
    """GRUB itself; its first sector loads the others from where they are after an MBR."""
    with tempfile.TemporaryDirectory() as tmp:
        config, core = Path(tmp, "embedded.cfg"), Path(tmp, "core.img")
        config.write_text(EMBEDDED)
        run("grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", f"{BOOT}/grub", "-c", config, "-o", core, *MODULES)
        return core.read_bytes()


def install(disk):
    """Makes a raw image that has a partition table, and a gap before its first partition, bootable."""
    code, core = (GRUB / "boot.img").read_bytes(), _core()      # the former loads sector 1
    with open(disk, "r+b") as image:
        mbr = bytearray(image.read(SECTOR))
        starts = [int.from_bytes(mbr[at + 8:at + 12], "little") for at in range(0x1be, 0x1fe, 16) if mbr[at + 4]]
        if mbr[0x1fe:] != b"\x55\xaa" or not starts:
            raise VmError(f"{disk}: no partition table")
        if min(starts) * SECTOR < SECTOR + len(core):
            raise VmError(f"{disk}: its first partition begins at sector {min(starts)}: there is no place for "
                          f"{len(core)} bytes of GRUB before it")
        image.seek(0)
        image.write(code[:TABLE.start] + mbr[TABLE] + core)
