# SPDX-License-Identifier: GPL-2.0
"""What the package leaves boots: the modules of the initramfs that dracut made, and those of /lib/modules, as they are, on
the kernel that they are for. (The programs around them are the test's own: what runs here does not run on 2.6.32.)"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from packages import built
from root import VERSION
from test_install import assert_stock, assert_whole, installed
from vmlib import devices, kernels, machine
from vmlib.guest import Guest, make_ext4
from vmlib.host import run

# From one kernel to the next: the package is built for the first.
UPDATES = [("6.0", "6.6"), ("6.1", "6.8"), ("6.3", "6.10")]


class Booted(Guest):
    """A guest with the modules of an unpacked initramfs, and a root file system with those of a root folder."""

    def __init__(self, kernel, image, modules, release=None):
        """release: what the kernel is called in there, if it has been given another name."""
        self.kernel = kernel
        self.release = release or kernel.release
        self.image = image
        self.folder = modules
        self.pack = {}
        self.modules = {path.name.partition(".ko")[0].replace("-", "_"): (path, [])
                        for path in self.image.rglob("*.ko*")}

    def _tree(self):
        """The initramfs: its modules are where dracut has put them."""
        tree = self._plain()
        [base] = {path.parents[1].resolve() for path in self.image.glob("**/lib/modules/*/modules.dep")}
        for path in sorted(base.rglob("*")):
            name = f"lib/modules/{path.relative_to(base)}".replace(self.release, self.kernel.release)
            tree[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path
        return tree

    def write_root(self, path, size="96M"):
        with tempfile.TemporaryDirectory() as tmp:
            self._write(self._plain(), tmp)
            run("cp", "-a", f"{self.folder}/.", f"{tmp}/lib/modules/")
            if self.release != self.kernel.release:
                shutil.rmtree(f"{tmp}/lib/modules/{self.kernel.release}", ignore_errors=True)
                Path(tmp, "lib/modules", self.release).rename(Path(tmp, "lib/modules", self.kernel.release))
            make_ext4(path, size, tmp)


def boot(root, kernel, name, board="q35"):
    """A machine that boots the kernel from a disk with what is in the root folder."""
    guest = Booted(kernel, root.unpack(root.image(kernel)), root.path("lib/modules"))
    image = root.folder / "root.img"
    guest.write_root(image)
    made = [devices.disk("root", image), devices.nic("card", devices.user_network())]
    return machine.Machine(f"pkg/{name}", guest, made if board == "q35" else list(map(devices.on_root, made)), root=True,
                           load=("virtio_pci", "virtio_blk"), board=board)


def registered(name):
    if name not in kernels.registered():
        pytest.skip(f"no kernel named {name} is registered (tests/vm/add-kernel)")
    return kernels.find(name)


def updated(make_root, packages, old, new, altered=None):
    """A root folder in which the package, built for the old kernel, was installed beside it, and the new one came then."""
    root = make_root()
    assert root.install_kernel(packages(old)).status == 0
    installed(root, built(old)[0])
    done = root.install_kernel(packages(new, altered=altered))
    assert done.status == 0, done
    return root, done.said


@pytest.mark.parametrize("names", [*UPDATES, ("oldest", "newest")], ids="-".join)
def test_new_kernel_boots(make_root, packages, el6_kernels, names):
    """From a modern-only disk, with the modules that were built for the kernel before it."""
    if names == ("oldest", "newest"):
        if len(el6_kernels) < 2:
            pytest.skip("one EL6 kernel is registered: an update takes two (tests/vm/add-kernel)")
        old, new = el6_kernels[0], el6_kernels[-1]
        if (old.name, new.name) in UPDATES:
            pytest.skip(f"{old.name} and {new.name} have a test of their own")
    else:
        old, new = map(registered, names)
    root, _ = updated(make_root, packages, old, new)
    assert_whole(root, new)
    for kernel in (new, old):
        with boot(root, kernel, f"{names[0]}-{names[1]}-{kernel.name}") as vm:
            assert vm.run("uname -r").strip() == kernel.release
            assert vm.run("cat /sys/module/virtio_blk/version").strip() == VERSION
            assert vm.virtio("root") and vm.run("cat /proc/mounts | grep -c '^/dev/vda / ext4'").strip() == "1"
            # The rest comes from the root file system, by way of depmod's files there.
            vm.run("modprobe virtio_net && modprobe virtio_console && modprobe virtio_balloon && modprobe virtio-rng")
            for name in ("virtio_net", "virtio_console", "virtio_balloon", "virtio_rng"):
                assert vm.run(f"cat /sys/module/{name}/version").strip() == VERSION
            vm.wait_until(lambda: vm.run("ls /sys/class/net").split() != ["lo"], "the network card")


def test_kernel_that_does_not_fit_boots(make_root, packages, el6_kernels):
    """It says to have another version of a symbol: it boots with its own drivers, as it did before."""
    kernel = el6_kernels[-1]
    old = el6_kernels[0]
    altered = {"blk_init_queue": "0x01234567"}
    if old is kernel:
        root = make_root()
        assert root.install_kernel(packages(kernel, altered=altered)).status == 0
        said = root.run(f"rpm -iv --nodeps {root.bring(built(old)[0])}").said
    else:
        root, said = updated(make_root, packages, old, kernel, altered)
    assert f"{kernel.release}: goes without virtio-modern" in said
    assert_stock(root, kernel)
    with boot(root, kernel, "stock", board="pc") as vm:
        assert vm.run("cat /sys/module/virtio_blk/version 2> /dev/null; true").strip() in ("", "1")
        vm.run("modprobe virtio_net")
        vm.wait_until(lambda: vm.run("ls /sys/class/net").split() != ["lo"], "the network card")
