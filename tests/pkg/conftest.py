# SPDX-License-Identifier: GPL-2.0
"""What the tests of the packages share: kernels, packages, root folders."""

import shutil
import tempfile
from pathlib import Path

import pytest
import root as pkg
from packages import OUT, built
from vmlib import kernels


def pytest_collection_modifyitems(config, items):
    """Tests of a file share packages: with pytest-xdist they stay in one process."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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
