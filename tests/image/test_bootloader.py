# SPDX-License-Identifier: GPL-2.0
"""The boot loader of the tests' disks boots what their grub.conf says, from both kinds of virtio disk."""

import pytest

import bootloader
from diskimage import LINUX, DiskMachine, Entry, write_boot, write_disk
from vmlib import devices, kernels
from vmlib.guest import Guest
from vmlib.host import VmError, scratch

pytestmark = pytest.mark.xdist_group("bootloader")


@pytest.fixture(scope="module")
def kernel():
    if reason := bootloader.missing():
        pytest.skip(reason)
    found = kernels.registered()
    if not found:
        pytest.skip("no EL6 kernel registered (tests/vm/add-kernel)")
    return kernels.find(found[-1])


@pytest.mark.parametrize("default", [0, 1])
@pytest.mark.parametrize("board", ["q35", "pc"])
def test_boots_the_default(kernel, board, default):
    """A modern-only disk on Q35, a legacy-only one on i440fx."""
    name = f"image/bootloader-{board}-{default}"
    with scratch(name) as folder:
        image = folder / "disk.img"
        disk = devices.disk("root", image) if board == "q35" else \
            devices.on_root(devices.disk("root", image, disable_modern=True))
        vm = DiskMachine(name, Guest(kernel, pack=False), [disk], load=(), board=board)
        entries = [Entry(f"{kernel.release}.{n}", kernel.vmlinuz, vm.initramfs, f"{vm.told} rhgb quiet ENTRY={n}")
                   for n in (0, 1)]
        write_boot(folder / "boot.img", entries, default)
        write_disk(image, [(LINUX, folder / "boot.img")])
        with vm:
            told = vm.read("/proc/cmdline")
            assert told.endswith(f"ro {vm.told.strip()} rhgb quiet ENTRY={default}"), told
            assert vm.run("uname -r").strip() == kernel.release
            assert vm.pci_id("root") == ("1af4:1042" if board == "q35" else "1af4:1001")
            assert bool(vm.io_bars("root")) == (board == "pc")


def test_no_place(kernel, tmp_path):
    """A disk whose first partition begins where the boot loader would be stays as it is."""
    image = tmp_path / "disk.img"
    table = bytearray(512)
    table[0x1be:0x1ce] = bytes([0x80, 0, 2, 0, LINUX, 0, 0, 0]) + (63).to_bytes(4, "little") + bytes([0, 8, 0, 0])
    table[0x1fe:] = b"\x55\xaa"
    for what, told in ((bytes(1 << 20), "no partition table"), (table + bytes(1 << 20), "no place")):
        image.write_bytes(what)
        with pytest.raises(VmError, match=told):
            bootloader.install(image)
        assert image.read_bytes() == what
