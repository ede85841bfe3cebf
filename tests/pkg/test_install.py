# SPDX-License-Identifier: GPL-2.0
"""Installing, upgrading and removing the kmod package, and kernels that come and go, with real rpm, depmod and dracut."""

import re

import pytest
from packages import built
from root import MODULES, OTHER, VERSION, digest

WHOLE, NONE = ("whole", "whole"), ("none", "none")
# What an initramfs has to have, and what it may have.
NEEDED = {"virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"}
NEW = "kmod-virtio-modern"


def assert_whole(root, kernel, release=None, version=VERSION):
    """depmod chooses the pack, and the initramfs holds nothing else."""
    assert {root.path(f"lib/modules/{release or kernel.release}/{file}").parent.name
            for file in root.chosen(kernel, release).values()} == {"virtio-modern"}
    assert set(root.chosen(kernel, release)) == set(MODULES)
    makes = root.image_makes(kernel, release)
    assert set(makes) >= NEEDED and set(makes.values()) == {version}, makes


def assert_stock(root, kernel, release=None):
    """depmod chooses the kernel's own, and the initramfs holds nothing else; no link or file of ours is left there."""
    chosen = root.chosen(kernel, release)
    own = {p.name.partition(".")[0] for p in (kernel.modules / "kernel").rglob("*.ko*")} & set(MODULES)
    assert {name: file for name, file in chosen.items() if name in own and not file.startswith("kernel/")} == {}
    makes = root.image_makes(kernel, release)
    assert {"virtio", "virtio_blk"} <= set(makes) and set(makes.values()) == {""}, makes
    assert not list(root.path(f"lib/modules/{release or kernel.release}").glob("weak-updates/virtio-modern/*"))


def installed(root, kmod):
    done = root.run(f"rpm -iv {root.bring(kmod)}")
    assert done.status == 0, done
    return done.said


def test_install_upgrade_remove(root, oldest, kmod, packages):
    """Two kernels: the one that the package is built for, and another of the same kABI."""
    for package in (packages(oldest), packages(oldest, release=OTHER)):
        done = root.install_kernel(package)
        assert done.status == 0, done
    before = root.snapshot()
    for release in (oldest.release, OTHER):
        assert_stock(root, oldest, release)

    said = installed(root, kmod)
    for release in (oldest.release, OTHER):
        assert_whole(root, oldest, release)
        assert f"{release}: has virtio-modern {VERSION} from its next boot on" in said
        # The image from before is where the message says, and as it was.
        [backup] = re.findall(rf"the one before it is (/boot/initramfs-{re.escape(release)}\S+)", said)
        assert digest(root.path(backup)) == before[f"boot/initramfs-{release}.img"]
    assert root.state() == {oldest.release: WHOLE, OTHER: WHOLE}
    assert root.check("/usr/libexec/virtio-modern/stack confirm") == ""

    newer = built(oldest, "1.0.1")[0]
    done = root.run(f"rpm -Uv {root.bring(newer)}")
    assert done.status == 0, done
    for release in (oldest.release, OTHER):
        assert_whole(root, oldest, release, "1.0.1")
        assert digest(root.path(f"boot/initramfs-{release}.img.before-virtio-modern")) == \
            before[f"boot/initramfs-{release}.img"]

    done = root.run(f"rpm -ev {NEW}")
    assert done.status == 0, done
    after = root.snapshot()
    for release in (oldest.release, OTHER):
        assert_stock(root, oldest, release)
        assert f"{release}.img made anew with the kernel's own virtio drivers" in done.said
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    # depmod's files and the images are made anew; nothing else is new, changed or gone.
    assert not [name for name in changed if not re.search(r"/modules\.\w+(\.\w+)*$|boot/initramfs-[^/]*\.img$", name)]
    assert set(before) == set(after)


def test_kernel_update(root, oldest, kmod, packages):
    """A kernel that comes later has the pack from its first boot on; one that goes leaves nothing."""
    assert root.install_kernel(packages(oldest)).status == 0
    installed(root, kmod)
    done = root.install_kernel(packages(oldest, release=OTHER))
    assert done.status == 0, done
    assert_whole(root, oldest, OTHER)
    assert_whole(root, oldest)
    done = root.run(f"rpm -e kernel-{OTHER.removesuffix('.x86_64')}")
    assert done.status == 0, done
    assert not list(root.path("boot").glob(f"*{OTHER}*"))
    assert not root.path(f"lib/modules/{OTHER}").exists()
    assert root.state() == {oldest.release: WHOLE}


def test_kernel_of_the_package_is_not_there(root, oldest, kmod, packages):
    """Most guests have never had the kernel that the package is built for."""
    assert root.install_kernel(packages(oldest, release=OTHER)).status == 0
    installed(root, kmod)
    assert_whole(root, oldest, OTHER)
    assert root.state() == {OTHER: WHOLE}
    done = root.run(f"rpm -e {NEW}")
    assert done.status == 0, done
    assert_stock(root, oldest, OTHER)
    assert not root.path(f"lib/modules/{oldest.release}").exists()


@pytest.mark.parametrize("order, symbol", [("kernel-first", "p9_client_cb"), ("package-first", "blk_init_queue")])
def test_one_symbol_is_another(root, oldest, kmod, packages, order, symbol):
    """Nothing is linked for such a kernel, whoever decides; it says so, and the kernel keeps its own drivers."""
    package = packages(oldest, release=OTHER, altered={symbol: "0xdeadbeef"})
    assert root.install_kernel(packages(oldest)).status == 0
    if order == "kernel-first":
        assert root.install_kernel(package).status == 0
        said = installed(root, kmod)
    else:
        installed(root, kmod)
        done = root.install_kernel(package)
        assert done.status == 0, done
        said = done.said
    assert f"{OTHER}: goes without virtio-modern, with the kernel's own virtio drivers: symbol {symbol}, which" in said
    assert "there 0xdeadbeef" in said
    assert_stock(root, oldest, OTHER)
    assert_whole(root, oldest)
    # weak-modules, which looks at each module alone, cannot make half of it.
    if "weak-modules" in root.check("ls /sbin"):
        root.run(f"/sbin/weak-modules --add-kernel {OTHER}")
        root.run("find /lib/modules/*/extra -name '*.ko' | /sbin/weak-modules --add-modules")
        assert_stock(root, oldest, OTHER)
    assert root.state() == {oldest.release: WHOLE, OTHER: NONE}
    # A package that fits is not held up by that.
    done = root.run(f"zcat /boot/symvers-{OTHER}.gz | sed 's/0xdeadbeef/{good(oldest, symbol)}/' | gzip > /tmp/s && "
                    f"cat /tmp/s > /boot/symvers-{OTHER}.gz && /usr/libexec/virtio-modern/stack confirm")
    assert done.status == 0, done
    assert_whole(root, oldest, OTHER)


def good(kernel, symbol):
    lines = (kernel.build / "Module.symvers").read_text().splitlines()
    return next(line.split("\t")[0] for line in lines if line.split("\t")[1] == symbol)


def test_weak_modules_comes_later(make_root, oldest, kmod, packages):
    """Another package's scripts have weak-modules look at all modules again: nothing changes."""
    from root import el6_tools
    if "weak-modules" not in el6_tools():
        pytest.skip("EL6's weak-modules is not at hand")
    root = make_root(el6=True)
    for package in (packages(oldest), packages(oldest, release=OTHER)):
        assert root.install_kernel(package).status == 0
    installed(root, kmod)
    before = root.snapshot()
    done = root.run(f"weak-modules --add-kernel {OTHER}; find /lib/modules/*/extra -name '*.ko' | weak-modules --add-modules")
    after = root.snapshot()
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert not [name for name in changed if not re.search(r"/modules\.\w+(\.\w+)*$|boot/initramfs-[^/]*\.img$", name)], done
    for release in (oldest.release, OTHER):
        assert_whole(root, oldest, release)


def test_host_only(make_root, oldest, kmod, packages):
    """An initramfs for this host only, on a host that has none of the drivers loaded, has them nevertheless."""
    root = make_root()
    root.write("etc/dracut.conf.d/50-host.conf", 'hostonly="yes"\n')
    assert root.install_kernel(packages(oldest)).status == 0
    installed(root, kmod)
    makes = root.image_makes(oldest)
    assert NEEDED <= set(makes) and set(makes.values()) == {VERSION}
