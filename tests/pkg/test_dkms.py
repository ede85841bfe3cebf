# SPDX-License-Identifier: GPL-2.0
"""DKMS: the tree is built, installed and removed by the distribution's DKMS, for its kernel and for EL6's; and the package
that brings the tree."""

import re
import subprocess
import sys

import pytest
from root import MODULES, VERSION
from test_install import assert_stock
from vmlib import kernels
from vmlib.host import REPO, run



@pytest.fixture(scope="module")
def package(tmp_path_factory):
    out = tmp_path_factory.mktemp("dkms")
    run(REPO / "rpm/package", "dkms", out)
    [package] = out.glob("*.noarch.rpm")
    return package


def names():
    yield kernels.DISTRO
    found = [name for name in map(sys.intern, kernels.registered())]
    yield from found or [pytest.param("el6", marks=pytest.mark.skip(reason="no EL6 kernel registered (tests/vm/add-kernel)"))]


@pytest.mark.parametrize("name", names())
def test_build_install_remove(name):
    kernel = kernels.find(name)
    done = subprocess.run([REPO / "rpm/dkms-try", kernel.build], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("dkms ")] == [f"dkms {step}: done" for step in ("add", "build", "install", "remove")]
    [installed] = [line for line in lines if line.startswith("installed for ")]
    assert set(installed.split()[3:]) == set(MODULES)


def test_no_such_kernel(tmp_path):
    done = subprocess.run([REPO / "rpm/dkms-try", tmp_path / "none"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode and "none" in done.stdout


def test_package(package):
    requires = run("rpm", "-qp", "--requires", package).splitlines()
    assert {"gcc", "make", "kernel-devel", "/sbin/dracut"} <= {line.split()[0] for line in requires}
    assert run("rpm", "-qp", "--conflicts", package).split() == ["kmod-virtio-modern"]
    files = set(run("rpm", "-qpl", package).splitlines())
    tree = f"/usr/src/virtio-modern-{VERSION}"
    assert {f"{tree}/{name}" for name in ("dkms.conf", "Makefile", "Kbuild", "VERSION", "rpm/dkms-hook", "rpm/stack")} <= files
    assert not [name for name in files if "/tests/" in name or name.endswith(".spec")]


def test_dkms_conf_is_read_by_old_dkms():
    """2.2.0.3 sources the file: plain assignments, with what it knows of the kernel."""
    script = "set -eu; kernelver=2.6.32-1.el6.x86_64; kernel_source_dir=/x; . ./dkms.conf; declare -p"
    said = run("bash", "-c", script, cwd=REPO)
    assert f'PACKAGE_VERSION="{VERSION}"' in said
    assert len(re.findall(r"\[\d+\]=\"/extra\"", said)) == len(MODULES)
    assert 'POST_INSTALL="rpm/dkms-hook 2.6.32-1.el6.x86_64"' in said


@pytest.fixture
def with_dkms(make_root, oldest, packages):
    """A root folder with DKMS, a kernel and its kernel-devel."""
    root = make_root()
    assert root.install_kernel(packages(oldest)).status == 0
    devel = root.path(f"usr/src/kernels/{oldest.release}")
    devel.parent.mkdir(parents=True)
    run("cp", "-a", oldest.build, devel)
    root.path(f"lib/modules/{oldest.release}/build").symlink_to(f"/usr/src/kernels/{oldest.release}")
    return root


def test_package_in_a_system(with_dkms, oldest, package, kmod):
    root = with_dkms
    done = root.run(f"rpm -iv --nodeps {root.bring(package)}")
    assert done.status == 0, done
    assert f"{oldest.release}.img made anew with virtio-modern {VERSION}" in done.said, done
    chosen = root.chosen(oldest)
    assert set(chosen) == set(MODULES) and not [file for file in chosen.values() if file.startswith("kernel/")]
    makes = root.image_makes(oldest)
    assert {"virtio", "virtio_blk"} <= set(makes) and set(makes.values()) == {VERSION}
    # The two packages do not go together, and say so.
    done = root.run(f"rpm -iv {root.bring(kmod)}")
    assert done.status and re.search(r"dkms-virtio-modern.* conflicts with .*kmod-virtio-modern|"
                                     r"kmod-virtio-modern.* conflicts with .*dkms-virtio-modern", done.said), done
    done = root.run("rpm -ev dkms-virtio-modern")
    assert done.status == 0, done
    assert_stock(root, oldest)
    assert not root.path(f"usr/src/virtio-modern-{VERSION}").exists()


def test_dkms_that_leaves_some_out(with_dkms, oldest, package):
    """As 2.4 does where the kernel's own module has no version: it puts in one of them and goes on."""
    root = with_dkms
    root.check(f"rpm -i --nodeps --noscripts {root.bring(package)} && dkms add -m virtio-modern -v {VERSION} && "
               f"dkms build -m virtio-modern -v {VERSION} -k {oldest.release}")
    built = f"/var/lib/dkms/virtio-modern/{VERSION}/{oldest.release}/x86_64/module"
    extra = f"/lib/modules/{oldest.release}/extra"
    done = root.run(f"mkdir -p {extra} && cp {built}/virtio_pci.ko {extra}/ && "
                    f"/usr/src/virtio-modern-{VERSION}/rpm/dkms-hook {oldest.release}")
    assert done.status == 0, done
    assert f"{oldest.release}: DKMS has left out virtio_ring.ko; it is put beside the others" in done.said
    assert {name: file for name, file in root.chosen(oldest).items() if not file.startswith("extra/")} == {}
    assert set(root.image_makes(oldest).values()) == {VERSION}


def test_kernel_without_devel(make_root, oldest, packages, package):
    root = make_root()
    assert root.install_kernel(packages(oldest)).status == 0
    done = root.run(f"rpm -iv --nodeps {root.bring(package)}")
    assert f"{oldest.release}: goes without, as its kernel-devel is not installed" in done.said
    assert_stock(root, oldest)
