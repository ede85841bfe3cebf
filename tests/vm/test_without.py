# SPDX-License-Identifier: GPL-2.0
"""Without the pack: what RHEL 6's own modules make of modern-only devices."""

import pytest

from test_data import sparse
from vmlib import devices
from vmlib.guest import Guest

MIB = 1 << 20


def test_no_disk_no_network(kernel, folder, make_machine):
    """The devices are there, no driver takes them, and nobody says a word of it."""
    if not kernel.old:
        pytest.skip("this kernel's own modules drive modern devices")
    sparse(folder / "disk.img", 16 * MIB)
    with make_machine(Guest(kernel, pack=False), [devices.disk("disk", folder / "disk.img"),
                                                  devices.nic("nic", devices.user_network())],
                      "stock", load=("virtio_pci", "virtio_blk", "virtio_net")) as vm:
        assert {"virtio_pci", "virtio_blk", "virtio_net"} <= set(vm.run("lsmod | cut -d ' ' -f 1").split())
        found = vm.run("cd /sys/bus/pci/devices; for d in *; do "
                       "echo $(cat $d/vendor $d/device) $(readlink $d/driver || echo none); done").splitlines()
        assert {"0x1af4 0x1041 none", "0x1af4 0x1042 none"} <= set(found)
        assert vm.run("ls /sys/bus/virtio/devices; ls /dev | grep '^vd'; true") == ""
        assert vm.run("ls /sys/class/net").split() == ["lo"]
        assert vm.run("dmesg | grep -i virtio | grep -v 'ommand line:'; true") == ""
