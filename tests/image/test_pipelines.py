# SPDX-License-Identifier: GPL-2.0
"""The pieces for image pipelines, each run in a root folder with a kernel, with real rpm, depmod and dracut."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/pkg"))

import packages as pkg_conftest  # noqa: E402
import root as pkg  # noqa: E402
from vmlib import kernels  # noqa: E402

pytestmark = pytest.mark.xdist_group("pipelines")

IMAGE = REPO / "image"
UUID = "0f0f0f0f-1111-2222-3333-444444444444"
YUM = """#!/bin/sh
# Stands in for yum -y install PACKAGE.
[ "$1 $2" = "-y install" ] || exit 9
shift 2
exec rpm -U "$@"
"""


@pytest.fixture(scope="module")
def kernel():
    found = [kernels.find(name) for name in kernels.registered()]
    if not found:
        pytest.skip("no EL6 kernel registered (tests/vm/add-kernel)")
    return found[0]


@pytest.fixture(scope="module")
def prepared(kernel, tmp_path_factory):
    pkg_conftest.OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=pkg_conftest.OUT, prefix="image-"))
    try:
        root = pkg.Root(folder)
    except pkg.NoRoot as error:
        shutil.rmtree(folder)
        pytest.skip(str(error))
    root.check(f"rpm -i {root.bring(pkg.platform_package(tmp_path_factory.mktemp('platform')))}")
    done = root.install_kernel(pkg.kernel_package(kernel, tmp_path_factory.mktemp("kernel")))
    assert done.status == 0, done
    root.write("boot/grub/grub.conf", f"default=0\ntitle x\n\tkernel /vmlinuz-{kernel.release} ro root=UUID={UUID}\n"
               f"\tinitrd /initramfs-{kernel.release}.img\n")
    root.write("etc/fstab", f"UUID={UUID} / ext4 defaults 1 1\n")
    root.write("usr/bin/yum", YUM, 0o755)
    yield root
    shutil.rmtree(folder)


@pytest.fixture
def image(prepared):
    """A system without the pack, to be changed."""
    folder = Path(tempfile.mkdtemp(dir=pkg_conftest.OUT, prefix="image-"))
    yield prepared.copy(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def package(kernel):
    return pkg_conftest.built(kernel)[0]


def assert_baked(image, kernel):
    assert image.state() == {kernel.release: ("whole", "whole")}
    assert set(image.image_makes(kernel).values()) == {pkg.VERSION}
    assert image.run("virtio-modern preflight").status == 0


def break_fstab(image):
    image.write("etc/fstab", "/dev/sda1 / ext4 defaults 1 1\n")


def test_packer(image, kernel, package):
    image.bring(package, IMAGE / "packer/virtio-modern.sh")
    command = f"VIRTIO_MODERN_PACKAGE=/tmp/{package.name} sh /tmp/virtio-modern.sh"
    done = image.run(command)
    assert done.status == 0 and "This guest will boot" in done.said, done
    assert_baked(image, kernel)
    assert not image.path(f"tmp/{package.name}").exists()
    # Again, it changes nothing; and it fails where the guest would.
    before = image.snapshot()
    assert image.run(command).status == 0
    changed = {name for name, what in image.snapshot().items() if before.get(name) != what and "/modules." not in name}
    assert changed == set()
    break_fstab(image)
    assert image.run(command).status == 1


def test_diskimage_builder(image, kernel, package, tmp_path):
    element = IMAGE / "diskimage-builder/virtio-modern"
    assert (element / "element-deps").read_text().split() == ["package-installs"]
    hooks = image.path("tmp/in_target.d")
    hooks.mkdir()
    for name in ("install.d", "finalise.d"):
        shutil.copytree(element / name, hooks / name)
    env = {"TMP_HOOKS_PATH": str(hooks), "DIB_VIRTIO_MODERN_PACKAGE": str(package), "PATH": "/usr/bin:/bin"}
    script = element / "extra-data.d/60-virtio-modern"
    subprocess.run([script], check=True, env=env)
    for name in ("install.d", "finalise.d"):
        done = image.run(f"/tmp/in_target.d/{name}/60-virtio-modern")
        assert done.status == 0, done
    assert_baked(image, kernel)
    break_fstab(image)
    assert image.run("/tmp/in_target.d/finalise.d/60-virtio-modern").status
    done = subprocess.run([script], env={**env, "DIB_VIRTIO_MODERN_PACKAGE": "/nonexistent"}, text=True, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "/nonexistent: no such file" in done.stderr


PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles:
    - role: virtio_modern
"""


@pytest.mark.skipif(not shutil.which("ansible-playbook"), reason="ansible-playbook is not installed (make deps)")
def test_ansible(image, kernel, package):
    shutil.copytree(IMAGE / "ansible/virtio_modern", image.path("srv/roles/virtio_modern"))
    image.write("srv/play.yml", PLAYBOOK)
    image.bring(package)
    env = {"ANSIBLE_ROLES_PATH": "/srv/roles", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "LC_ALL": "C.UTF-8"}
    play = (f"ansible-playbook -i localhost, -c local -e virtio_modern_package=/tmp/{package.name} /srv/play.yml")
    done = image.run(f"{play} --syntax-check", env=env)
    assert done.status == 0, done
    done = image.run(play, env=env)
    assert done.status == 0 and "failed=0" in done.said and "changed=0" not in done.said, done
    assert_baked(image, kernel)
    done = image.run(play, env=env)
    assert done.status == 0 and "changed=0" in done.said, done
    break_fstab(image)
    done = image.run(play, env=env)
    assert done.status and "failed=1" in done.said, done


def test_kickstart():
    """The sections that anaconda of RHEL 6 knows, each closed."""
    lines = (IMAGE / "kickstart/virtio-modern.ks").read_text().splitlines()
    sections = [line.split()[0] for line in lines if line.startswith("%")]
    assert sections == ["%packages", "%end", "%post", "%end"]
    body = "\n".join(lines).split("%post")[1].split("\n", 1)[1].split("%end")[0]
    assert subprocess.run(["sh", "-n"], input=body, text=True).returncode == 0
    assert any(line.startswith("repo --name=virtio-modern --baseurl=") for line in lines)
