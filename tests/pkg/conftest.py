# SPDX-License-Identifier: GPL-2.0
"""What the tests of the packages share: kernels, packages, root folders."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import root as pkg
from vmlib import kernels
from vmlib.host import BUILD, REPO, alone

OUT = BUILD.parent / "pkg"


def pytest_collection_modifyitems(config, items):
    """Tests of a file share packages: with pytest-xdist they stay in one process."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def built(kernel, version=None):
    """The kmod package for a kernel, built once: (binary, source). version: of a copy of the source with another number."""
    out = OUT / "packages" / f"{kernel.name}-{version or pkg.VERSION}"
    with alone(out):
        stamp = out / "source"
        current = newest_source()
        if not stamp.exists() or stamp.read_text() != current:
            shutil.rmtree(out, ignore_errors=True)
            with tempfile.TemporaryDirectory() as tmp:
                top = renumbered(Path(tmp), version) if version else REPO
                subprocess.run([top / "rpm/package", "kmod", out, f"KDIR={kernel.build}"], check=True, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            stamp.write_text(current)
    [binary] = out.glob("*.x86_64.rpm")
    [source] = out.glob("*.src.rpm")
    return binary, source


def source_files():
    """Files that are, or would be, in the repository."""
    names = subprocess.check_output(["git", "-C", REPO, "ls-files", "--cached", "--others", "--exclude-standard"],
                                    text=True)
    return [name for name in names.splitlines() if (REPO / name).is_file()]


def newest_source():
    """Changes whenever a file of the source does."""
    times = [(REPO / name).stat().st_mtime_ns for name in source_files() if not name.startswith(("tests/", "docs/"))]
    # The last commit's time is the packages' time.
    head = subprocess.check_output(["git", "-C", REPO, "log", "-1", "--format=%ct"], text=True).strip()
    return f"{max(times)} {len(times)} {head}"


def renumbered(folder, version):
    """A copy of the source that says to be of another version."""
    top = folder / "source"
    for name in source_files():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, top / name)
    (top / "VERSION").write_text(version + "\n")
    for name in ("dkms.conf", "rpm/kmod-virtio-modern.spec", "rpm/dkms-virtio-modern.spec"):
        text = (top / name).read_text()
        assert pkg.VERSION in text
        (top / name).write_text(text.replace(pkg.VERSION, version))
    return top


@pytest.fixture(scope="session")
def el6_kernels():
    """The registered kernels of EL6, oldest first."""
    found = [kernels.find(name) for name in kernels.registered()]
    found = [kernel for kernel in found if kernel.old]
    if not found:
        pytest.skip("no EL6 kernel registered (tests/vm/add-kernel)")
    return found


@pytest.fixture(scope="session")
def oldest(el6_kernels):
    return el6_kernels[0]


@pytest.fixture(scope="session")
def kmod(oldest, tmp_path_factory):
    """The kmod package, built for the oldest kernel: a copy, since whoever edits the source has it built anew."""
    return Path(shutil.copy(built(oldest)[0], tmp_path_factory.mktemp("kmod")))


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """packages(kernel, …): a package of that kernel, made once (see kernel_package())."""
    made = {}

    def package(kernel, **options):
        key = (kernel.name, repr(sorted(options.items())))
        if key not in made:
            made[key] = pkg.kernel_package(kernel, tmp_path_factory.mktemp("kernel"), **options)
        return made[key]
    return package


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    return pkg.platform_package(tmp_path_factory.mktemp("platform"))


@pytest.fixture(params=["el6", "distro"])
def tools(request):
    """Whose depmod, modinfo, dracut and weak-modules."""
    if request.param == "el6" and not {"depmod", "dracut", "weak-modules"} <= pkg.el6_tools():
        pytest.skip(f"EL6's own depmod, dracut and weak-modules are not at hand (see tests/pkg/README.md: {pkg.EL6_TOOLS})")
    return request.param


@pytest.fixture
def make_root(platform):
    """make_root(el6=…): a root folder with rpm's database, gone after the test."""
    folders = []

    def make(el6=False):
        folder = Path(tempfile.mkdtemp(dir=OUT, prefix="root-"))
        folders.append(folder)
        try:
            made = pkg.Root(folder, el6)
        except pkg.NoRoot as error:
            pytest.skip(str(error))
        made.check(f"rpm -i {made.bring(platform)}")
        return made
    OUT.mkdir(parents=True, exist_ok=True)
    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def root(make_root, tools):
    return make_root(tools == "el6")
