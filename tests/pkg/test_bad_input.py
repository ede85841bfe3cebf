# SPDX-License-Identifier: GPL-2.0
"""What goes wrong on a guest while the package is installed or removed: a clear message, nothing half-done, and the old
initramfs as it was."""

import shutil
import signal
import subprocess
import time

import pytest
from root import digest
from test_install import NONE, OTHER, WHOLE, assert_stock, assert_whole, installed

STACK = "/usr/libexec/virtio-modern/stack"


@pytest.fixture
def two(root, oldest, packages):
    """A root folder with two kernels."""
    for package in (packages(oldest), packages(oldest, release=OTHER)):
        assert root.install_kernel(package).status == 0
    return root


def used(root):
    """MiB in /boot."""
    return sum(path.stat().st_size for path in root.path("boot").iterdir()) // 2 ** 20 + 1


def images(root):
    return {path.name: digest(path) for path in root.path("boot").glob("initramfs-*")}


def test_boot_is_full_before(two, kmod):
    """Nothing is installed at all."""
    before = two.snapshot()
    done = two.run(f"rpm -iv {two.bring(kmod)}", boot_size=f"{used(two) + 2}m")
    assert done.status != 0
    assert "virtio-modern: /boot has " in done.said and "Nothing was changed. Make room" in done.said
    assert two.snapshot() == before
    assert two.run("rpm -q kmod-virtio-modern").status != 0


def test_boot_fills_up(two, oldest, kmod):
    """There was room when it was asked, and it is gone when the second image is to be written."""
    installed_first = two.path("usr/sbin/dracut")
    before = images(two)
    # A dracut that leaves something big in /boot, after its first image.
    real = "/usr/sbin/dracut.real" if two.el6 else "/usr/bin/dracut"
    if two.el6:
        installed_first.rename(two.path("usr/sbin/dracut.real"))
    two.write("usr/sbin/dracut", f"#!/bin/sh\n{real} \"$@\"; status=$?\n"
              "head -c 100m /dev/zero > /boot/big 2> /dev/null\nexit $status\n# dracut.conf.d\n", 0o755)
    done = two.run(f"rpm -iv {two.bring(kmod)}", boot_size=f"{used(two) * 2 + 20}m")
    assert "MiB free, and the new initramfs has" in done.said and "is as it was" in done.said, done
    assert {name: data for name, data in images(two).items() if "before" not in name} == before
    for release in (oldest.release, OTHER):
        assert_stock(two, oldest, release)
    assert two.state() == {oldest.release: NONE, OTHER: NONE}
    # Room again, and what the message says.
    two.path("boot/big").unlink()
    done = two.run(f"{STACK} settle")
    assert done.status == 0, done
    for release in (oldest.release, OTHER):
        assert_whole(two, oldest, release)


def test_depmod_later_does_not_make_half(two, oldest, kmod):
    """dracut fails; whoever runs depmod afterwards does not bring in what the initramfs does not have."""
    two.write("usr/sbin/dracut", "#!/bin/sh\necho dracut: no space left on device >&2\nexit 1\n", 0o755)
    before = images(two)
    said = two.run(f"rpm -iv {two.bring(kmod)}").said
    assert f"{OTHER}: dracut failed: dracut: no space left on device" in said
    assert f"{OTHER}: is as it was, with the kernel's own virtio drivers; after mending that, run: {STACK} settle" in said
    two.check(f"depmod -a {OTHER}; depmod -a {oldest.release}")
    assert images(two) == before
    for release in (oldest.release, OTHER):
        assert_stock(two, oldest, release)
    assert two.state() == {oldest.release: NONE, OTHER: NONE}


def test_removal_without_dracut(two, oldest, kmod):
    """The images from before take the place of those that cannot be made."""
    before = images(two)
    installed(two, kmod)
    two.write("usr/sbin/dracut", "#!/bin/sh\nexit 1\n", 0o755)
    done = two.run("rpm -ev kmod-virtio-modern")
    assert done.status == 0, done
    assert f"initramfs-{OTHER}.img is the one from before virtio-modern" in done.said
    assert images(two) == before


def test_removal_that_cannot_be(two, oldest, kmod):
    """Without dracut and without the old images the package stays, whole."""
    installed(two, kmod)
    for path in two.path("boot").glob("*.before-virtio-modern"):
        path.unlink()
    two.write("usr/sbin/dracut", "#!/bin/sh\nexit 1\n", 0o755)
    before = two.snapshot()
    done = two.run("rpm -ev kmod-virtio-modern")
    assert done.status != 0
    assert "virtio-modern: not removed, because a kernel would be left without drivers for its initramfs" in done.said
    assert two.snapshot() == before
    assert two.state() == {oldest.release: WHOLE, OTHER: WHOLE}


@pytest.mark.parametrize("missing", ["symvers", "system_map", "image"])
def test_file_of_a_kernel_is_missing(root, oldest, kmod, packages, missing):
    assert root.install_kernel(packages(oldest, release=OTHER, **{missing: False})).status in (0, 1)
    said = installed(root, kmod)
    if missing == "symvers":
        assert f"{OTHER}: goes without virtio-modern" in said
        assert f"there is neither /boot/symvers-{OTHER}.gz nor a Module.symvers" in said
        assert_stock(root, oldest, OTHER)
    elif missing == "system_map":
        assert_whole(root, oldest, OTHER)
    else:
        assert f"{OTHER}: there is no /boot/initramfs-{OTHER}.img, so none was made" in said
        assert root.state() == {OTHER: ("whole", "missing")}
        assert not root.image(oldest, OTHER).exists()
        root.check(f"dracut -f /boot/initramfs-{OTHER}.img {OTHER}")
        assert root.state() == {OTHER: WHOLE}


@pytest.mark.parametrize("damage", ["truncated", "empty"])
def test_symvers_is_damaged(root, oldest, kmod, packages, damage):
    assert root.install_kernel(packages(oldest, release=OTHER)).status == 0
    symvers = root.path(f"boot/symvers-{OTHER}.gz")
    symvers.write_bytes(symvers.read_bytes()[:100] if damage == "truncated" else b"")
    said = installed(root, kmod)
    assert f"{OTHER}: goes without virtio-modern" in said
    assert_stock(root, oldest, OTHER)


def test_image_is_damaged(root, oldest, kmod, packages):
    """An initramfs that nobody can read is not the one to keep; it is replaced, and kept nevertheless."""
    assert root.install_kernel(packages(oldest)).status == 0
    image = root.image(oldest)
    image.write_bytes(image.read_bytes()[:50000])
    broken = digest(image)
    installed(root, kmod)
    assert_whole(root, oldest)
    assert digest(image.with_name(f"{image.name}.before-virtio-modern")) == broken


def test_one_kernel_of_two_is_broken(two, oldest, kmod):
    """Half a kernel, whose modules are gone but for a file, keeps nobody from having the pack."""
    shutil.rmtree(two.path(f"lib/modules/{OTHER}/kernel"))
    two.path(f"lib/modules/{OTHER}/kernel").mkdir()
    before = digest(two.image(oldest, OTHER))
    said = installed(two, kmod)
    assert_whole(two, oldest)
    assert OTHER in said
    # Its initramfs is good as long as nothing better can be made.
    assert digest(two.image(oldest, OTHER)) == before or two.state()[OTHER] == WHOLE


@pytest.mark.parametrize("during", ["depmod", "dracut", "cp", "mv"])
def test_interrupted(root, oldest, kmod, packages, during):
    """The power goes while %post runs the named command; the next boot, and the next run, find nothing half-done."""
    assert root.install_kernel(packages(oldest, release=OTHER)).status == 0
    before = images(root)
    command = root.check(f"command -v {during}").strip()
    # The real one goes elsewhere, under its own name: kmod's programs are links that go by it.
    root.check(f"mkdir /usr/real && cp -a $(readlink -f {command}) /usr/real/{during}")
    shadowed = root.path(command)
    aside = shadowed.with_name(f"{during}.aside")
    if shadowed.exists():
        shadowed.rename(aside)
    root.write(command, "#!/bin/sh\ncase \"$*\" in *virtio-modern*) touch /tmp/reached; sleep 600 ;; esac\n"
               f"exec /usr/real/{during} \"$@\"\n", 0o755)
    script = f"rpm -iv {root.bring(kmod)} & wait"
    folder = root.folder
    mounts = (f"cd {folder}; mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root;"
              "for each in proc dev sys; do mount --rbind /$each root/$each; done; exec chroot root /bin/sh -c \"$0\"")
    process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c",
                                mounts, script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C"})
    deadline = time.monotonic() + 120
    while not root.path("tmp/reached").exists():
        assert time.monotonic() < deadline and process.poll() is None, f"{during} was not reached"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shadowed.unlink()
    if aside.exists():
        aside.rename(shadowed)
    # As it was, or as it is to be.
    assert root.state()[OTHER] in (NONE, WHOLE)
    if root.state()[OTHER] == NONE:
        assert {name: data for name, data in images(root).items() if name.endswith(".img")} == before
        assert_stock(root, oldest, OTHER)
    done = root.run(f"{STACK} confirm")
    assert done.status == 0, done
    assert_whole(root, oldest, OTHER)
    assert not list(root.path("usr/lib").glob(".virtio-modern*")) and not list(root.path("boot").glob("*-new"))


def test_strange_arguments(root, oldest, kmod, packages):
    assert root.install_kernel(packages(oldest)).status == 0
    installed(root, kmod)
    done = root.run(f"{STACK} settle 2.6.32-1.el6.x86_64")
    assert done.status == 1 and "2.6.32-1.el6.x86_64: there is no such kernel (/lib/modules/2.6.32-1.el6.x86_64/kernel)" in done.said
    for args in ("", "frobnicate", "--help"):
        done = root.run(f"{STACK} {args}")
        assert done.status == 2 and "settle" in done.said, done
