# SPDX-License-Identifier: GPL-2.0
"""Installed into a guest that is running with the kernel's own modules: nothing changes, and the log says so, until it
boots with the pack."""

import re

import pytest

from test_data import sparse
from vmlib import devices
from vmlib.guest import Guest, build_pack
from vmlib.host import REPO

MIB = 1 << 20
VERSION = (REPO / "VERSION").read_text().strip()
STOCK = ("virtio_pci", "virtio_blk", "virtio_net")
TRANSITIONAL = {"disable_legacy": "off", "disable_modern": False}
# 6.0's own virtio devices are not below their PCI devices, so these are known by their names: there is one of each.
DISK = "/dev/vda"
MESSAGE = f"virtio-modern {VERSION} is installed and takes over then"
# How a kernel says that a module is not for the bus that is loaded.
REFUSED = ("disagrees about version of symbol", "Unknown symbol")


def machine(make_machine, guest, folder, tag, **options):
    image = folder / "disk.img"
    return make_machine(guest, [devices.on_root(devices.disk("disk", image, **TRANSITIONAL)),
                                devices.on_root(devices.nic("nic", devices.user_network(), **TRANSITIONAL))],
                        tag, smp=2, load=STOCK, **options)


def network_works(vm):
    vm.run("ip address add 10.0.2.15/24 dev eth0 2> /dev/null; ip link set eth0 up && ping -c 2 -W 20 10.0.2.2")


def disk_works(vm, seed, modes=("write", "verify")):
    for mode in modes:
        vm.run(f"blkio {mode} {DISK} seed={seed} depth=8 total={4 * MIB} size={8 * MIB}")


def modules(vm):
    """{name: its line in /proc/modules, without users, which come and go}."""
    return {line.split()[0]: line.split()[1] for line in vm.read("/proc/modules").splitlines()}


def installed(vm, *args):
    """What the script says, and what has come into the kernel's log."""
    before = vm.run("dmesg | grep -c 'virtio-modern '; true")
    said = vm.run(f"sh /installed {' '.join(args)}")
    after = vm.run("dmesg | grep -c 'virtio-modern '; true")
    return said, int(after) - int(before)


def test_installed_into_a_running_guest(kernel, folder, make_machine):
    if not kernel.old:
        pytest.skip("this kernel's own modules drive modern devices; the pack takes their place on RHEL 6 only")
    pack = build_pack(kernel)
    files = {f"pack/{name}.ko": path for name, path in pack.items()}
    files["installed"] = REPO / "tools/installed"
    sparse(folder / "disk.img", 16 * MIB)
    # A module that is refused is what the log is to have here.
    with machine(make_machine, Guest(kernel, pack=False, files=files), folder, "stock", allow=REFUSED) as vm:
        disk_works(vm, 1)
        network_works(vm)
        before = modules(vm)
        assert set(STOCK) <= set(before)
        # For others, it has nothing to say.
        for args in ((VERSION, "2.6.32-1.el6.x86_64"), (VERSION, kernel.release, "/mnt")):
            assert installed(vm, *args) == ("", 0), args
        said, lines = installed(vm, VERSION, kernel.release)
        assert said.startswith("virtio-modern: the kernel's own virtio modules: in use until the next boot; ")
        assert MESSAGE in said and f"initramfs of {kernel.release} has been made anew" in said
        assert lines == 1 and said.strip() in vm.run("dmesg")
        assert vm.status("sh /installed")[0] == 2

        busy = vm.start(f"blkio churn {DISK} seconds=600 once=1")
        busy.expect("churning")
        for name in sorted(pack):
            log = vm.run("dmesg | wc -l")
            status, text = vm.status(f"insmod /pack/{name}.ko")
            assert status != 0, name
            new = vm.run(f"dmesg | tail -n +{int(log) + 1}")
            assert "File exists" in text if name in before else any(word in new for word in REFUSED), (name, text, new)
            assert modules(vm) == before, name
        assert busy.status is None and "churn ok" not in busy.output, busy.output
        busy.kill()
        network_works(vm)
        disk_works(vm, 2)

    # The next boot, with an initramfs that has the pack.
    with machine(make_machine, Guest(kernel, files={"installed": files["installed"]}), folder, "pack") as vm:
        disk_works(vm, 2, ["verify"])
        assert vm.read("/sys/module/virtio/version") == VERSION
        assert "VERSION_1" in vm.features("disk") and "VERSION_1" in vm.features("nic")
        network_works(vm)
        assert installed(vm, VERSION, kernel.release) == ("", 0)
        said, lines = installed(vm, "99.0.0", kernel.release)
        assert re.match(f"virtio-modern: virtio-modern {re.escape(VERSION)}: in use until the next boot; ", said)
        assert lines == 1
