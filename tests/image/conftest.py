# SPDX-License-Identifier: GPL-2.0
"""What the tests of images share: a guest's disk that takes a minute to make."""

import contextlib
import fcntl
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("vm", "pkg")]

import el6image  # noqa: E402
import root as pkg  # noqa: E402
import tree  # noqa: E402
from bakelib import bake  # noqa: E402
from packages import built  # noqa: E402
from vmlib import kernels  # noqa: E402
from vmlib.host import BUILD, alone, run  # noqa: E402

SHARED = BUILD.parent / "image"


@pytest.fixture(scope="session", autouse=True)
def emulation():
    """libguestfs without KVM, which is there on some machines and does not run guests."""
    os.environ["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    os.environ["LIBGUESTFS_BACKEND"] = "direct"


@pytest.fixture(scope="session")
def shared():
    """A folder of this run's, for all of its processes; the last one removes it, or the next run."""
    SHARED.mkdir(parents=True, exist_ok=True)
    folder = SHARED / os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        folder.mkdir(exist_ok=True)
        for other in SHARED.glob("*.lock"):
            if other.with_suffix("") != folder:
                remove_unless_used(other)
        yield folder
    remove_unless_used(Path(f"{folder}.lock"))


def remove_unless_used(lock):
    with contextlib.suppress(OSError), open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink()


@pytest.fixture(scope="module")
def made(shared, request):
    """A folder of the module's."""
    folder = shared / f"{request.module.__name__}-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


class Original:
    """A guest's disk, raw and as qcow2, and its kernels: [(kernel, what it is called)], the default one first."""

    def __init__(self, folder, guests):
        self.raw, self.qcow2, self.kernels = folder / "centos6.img", folder / "centos6.qcow2", guests


@pytest.fixture(scope="session")
def el6_kernels():
    """The registered kernels of EL6, oldest first."""
    found = [kernel for kernel in map(kernels.find, kernels.registered()) if kernel.old]
    if not found:
        pytest.skip("no EL6 kernel registered (tests/vm/add-kernel)")
    return found


@pytest.fixture(scope="session")
def original(shared, el6_kernels):
    """The disk of a guest without the pack, laid out like CentOS 6's."""
    if reason := el6image.missing():
        pytest.skip(reason)
    found = [kernel for kernel in el6_kernels if kernel.module_file("dm_mod")]
    if not found:
        pytest.skip("no EL6 kernel with the module dm-mod registered (tests/vm/add-kernel)")
    oldest, newest = found[0], found[-1]
    disk = Original(shared, [(oldest, oldest.release), (newest, newest.release if newest is not oldest else pkg.OTHER)])
    with alone(shared / "original"):
        if not disk.qcow2.exists():
            make_original(disk, shared)
    return disk


def make_original(disk, folder):
    packages = [pkg.platform_package(folder / "platform")]
    packages += [pkg.kernel_package(kernel, folder / f"kernel-{n}", release=release)
                 for n, (kernel, release) in enumerate(disk.kernels)]
    try:
        system = el6image.System(folder / "system", disk.kernels, packages, more=("policycoreutils",))
    except tree.NoTree as error:
        pytest.skip(str(error))
    system.old_clock()
    # kernel-devel of the default kernel.
    kernel, release = disk.kernels[0]
    devel = system.upper / "usr/src/kernels"
    devel.mkdir(parents=True)
    shutil.copytree(kernel.build, devel / release, symlinks=True)
    el6image.write_disk(system, disk.raw)
    run("qemu-img", "convert", "-O", "qcow2", disk.raw, folder / "new.qcow2")
    shutil.rmtree(system.folder)
    (folder / "new.qcow2").rename(disk.qcow2)


@pytest.fixture(scope="session")
def kmod(shared, el6_kernels):
    """The package, built for the oldest kernel."""
    # A copy, since whoever edits the source has it built anew.
    folder = shared / f"kmod-{os.getpid()}"
    folder.mkdir()
    return Path(shutil.copy(built(el6_kernels[0])[0], folder))


@pytest.fixture(scope="session")
def baked(original, kmod, shared):
    """(the disk that bake makes of it, what it said)."""
    image, said = shared / "baked.qcow2", shared / "baked.log"
    with alone(shared / "baked"):
        if not said.exists():
            before = pkg.digest(original.qcow2)
            done = bake(original.qcow2, "--rpm", kmod, "--output", image)
            assert done.returncode == 0, done
            assert pkg.digest(original.qcow2) == before
            said.write_text(done.stdout)
    return image, said.read_text()
