# SPDX-License-Identifier: GPL-2.0
"""The pieces for image pipelines, each run by its own tool on a root folder, or a whole small system, with real rpm,
depmod and dracut."""

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/pkg"))

import packages  # noqa: E402
import root as pkg  # noqa: E402
import tree  # noqa: E402
from vmlib import kernels  # noqa: E402

IMAGE = REPO / "image"
UUID = "0f0f0f0f-1111-2222-3333-444444444444"


@pytest.fixture(scope="module")
def kernel():
    found = [kernels.find(name) for name in kernels.registered()]
    if not found:
        pytest.skip("no EL6 kernel registered (tests/vm/add-kernel)")
    return found[0]


def dress(root, kernel):
    """What a system has besides, and yum."""
    root.write("boot/grub/grub.conf", f"default=0\ntitle x\n\tkernel /vmlinuz-{kernel.release} ro root=UUID={UUID}\n"
               f"\tinitrd /initramfs-{kernel.release}.img\n")
    root.write("etc/fstab", f"UUID={UUID} / ext4 defaults 1 1\n")
    root.write("usr/bin/yum", tree.YUM, 0o755)


@pytest.fixture(scope="module")
def prepared(kernel, tmp_path_factory):
    packages.OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=packages.OUT, prefix="image-"))
    try:
        root = pkg.Root(folder)
    except pkg.NoRoot as error:
        shutil.rmtree(folder)
        pytest.skip(str(error))
    root.check(f"rpm -i {root.bring(pkg.platform_package(tmp_path_factory.mktemp('platform')))}")
    done = root.install_kernel(pkg.kernel_package(kernel, tmp_path_factory.mktemp("kernel")))
    assert done.status == 0, done
    dress(root, kernel)
    yield root
    shutil.rmtree(folder)


@pytest.fixture
def image(prepared):
    """A system without the pack, to be changed."""
    folder = Path(tempfile.mkdtemp(dir=packages.OUT, prefix="image-"))
    yield prepared.copy(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def package(kernel):
    return packages.built(kernel)[0]


def assert_baked(image, *releases):
    """Each of its kernels, and it has no others, has the whole pack."""
    assert image.state() == {release: ("whole", "whole") for release in releases}
    for release in releases:
        assert set(image.image_makes(None, release).values()) == {pkg.VERSION}
        chosen = image.chosen(None, release)
        assert set(chosen) == set(pkg.MODULES), chosen
        assert all(re.match("(extra|weak-updates)/virtio-modern/", file) for file in chosen.values()), chosen
    done = image.run("virtio-modern preflight")
    assert done.status == 0, done


def break_fstab(image):
    image.write("etc/fstab", "/dev/sda1 / ext4 defaults 1 1\n")


# ---- Packer ----

@contextlib.contextmanager
def ssh_server(image, folder):
    """An SSH server in the root folder; yields its port on 127.0.0.1 and the file with root's key. Dropbear: Debian's
    package of OpenSSH's would start one on the host."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    image.write("root/.ssh/authorized_keys", (folder / "key.pub").read_text(), 0o600)
    log = folder / "server"
    for port in random.sample(range(20000, 30000), 20):
        # Until its input ends: then all that ran in the root folder is gone, and so are its mounts.
        script = (f"mkdir -p /etc/dropbear /run; /usr/sbin/dropbear -R -F -E -s -p 127.0.0.1:{port} & "
                  "read nothing; kill $!; wait")
        with open(log, "w") as output:
            server = subprocess.Popen(image.command(script), stdin=subprocess.PIPE, stdout=output, stderr=output,
                                      env=image.ENV)
        with server:
            # It ends if it cannot have the port.
            while server.poll() is None and "Early exit" not in log.read_text():
                if greeting(port).startswith(b"SSH-2.0-dropbear"):
                    yield port, folder / "key"
                    return
                time.sleep(0.1)
    pytest.fail(f"no SSH server: {log.read_text()}")


def greeting(port):
    """What a server on 127.0.0.1 says first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            return connection.recv(64)
    except OSError:
        return b""


def shown_provisioners():
    """What the script's first lines tell to write into Packer's template."""
    lines = (IMAGE / "packer/virtio-modern.sh").read_text().splitlines()
    shown = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    return json.loads("[" + "\n".join(shown) + "]")


@pytest.mark.xdist_group("pipelines")
@pytest.mark.skipif(not shutil.which("packer"), reason="packer is not installed (make deps)")
@pytest.mark.skipif(not shutil.which("dropbear"), reason="dropbear is not installed (make deps)")
def test_packer(image, kernel, package, tmp_path):
    file, shell = shown_provisioners()
    assert file["source"] == package.name and shell["script"] == "image/packer/virtio-modern.sh"
    file["source"] = str(package)
    env = {**os.environ, "CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path), "PACKER_CONFIG_DIR": str(tmp_path)}

    def packer(command):
        """Runs it on the image, with what the script shows."""
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        with ssh_server(image, folder) as (port, key):
            builder = {"type": "null", "communicator": "ssh", "ssh_host": "127.0.0.1", "ssh_port": port,
                       "ssh_username": "root", "ssh_private_key_file": str(key)}
            (folder / "template.json").write_text(json.dumps({"builders": [builder], "provisioners": [file, shell]}))
            done = subprocess.run(["packer", *command.split(), folder / "template.json"], cwd=REPO, env=env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=600)
        return pkg.Done(done)

    done = packer("validate")
    assert done.status == 0, done
    done = packer("build -color=false")
    assert done.status == 0 and "This guest will boot" in done.said, done
    assert_baked(image, kernel.release)
    assert not image.path("tmp/kmod-virtio-modern.rpm").exists()
    # Again, it changes nothing; and it fails where the guest would.
    before = image.snapshot()
    done = packer("build -color=false")
    assert done.status == 0, done
    changed = {name for name, what in image.snapshot().items() if before.get(name) != what and "/modules." not in name}
    assert changed == set()
    break_fstab(image)
    done = packer("build -color=false")
    assert done.status == 1 and "FAIL  /etc/fstab" in done.said, done


# ---- diskimage-builder ----

@pytest.fixture(scope="module")
def system(kernel, tmp_path_factory):
    """A system with two kernels and without the pack, as a tar file."""
    folder = tmp_path_factory.mktemp("system")
    made = tree.Tree(folder / "tree")
    try:
        made.fill()
    except tree.NoTree as error:
        pytest.skip(str(error))
    made.write("etc/dracut.conf.d/00-test.conf", pkg.DRACUT)
    made.check(f"rpm -i {made.bring(pkg.platform_package(folder / 'platform'))}")
    for release in (kernel.release, pkg.OTHER):
        done = made.install_kernel(pkg.kernel_package(kernel, folder / release, release=release))
        assert done.status == 0, done
    dress(made, kernel)
    subprocess.run(["tar", "-C", made.upper, "-cf", folder / "system.tar", "."], check=True)
    shutil.rmtree(folder / "tree")
    yield folder / "system.tar"
    shutil.rmtree(folder)


# An element whose script changes the system in the image, before the pack is installed or after it.
CHANGE = """#!/bin/sh
set -eu
eval "${DIB_TEST_CHANGE:-}"
"""


@pytest.fixture
def build(system, package, tmp_path):
    """build(…): runs disk-image-create; returns what it has said, and the image or None."""
    hook = tmp_path / "elements/change/install.d/10-change"
    hook.parent.mkdir(parents=True)
    hook.write_text(CHANGE)
    hook.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    made = tmp_path / "made.tar"

    def run(change="", **variables):
        made.unlink(missing_ok=True)
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "USER": "root", "TMP_DIR": str(tmp_path / "tmp"),
               "ELEMENTS_PATH": f"{tmp_path}/elements:{IMAGE}/diskimage-builder", "DIB_EL6_ROOT": str(system),
               "DIB_VIRTIO_MODERN_PACKAGE": str(package), "DIB_TEST_CHANGE": change, **variables}
        # Mounts of its own: nothing stays mounted, whatever happens.
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "disk-image-create", "-n", "-t", "tar",
                               "--min-tmpfs", "1", "-o", made, "el6-root", "change", "virtio-modern"], env=env,
                              cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=600)
        return pkg.Done(done), made if made.exists() else None
    yield run
    shutil.rmtree(tmp_path)


def no_loop_device():
    """diskimage-builder makes a disk's image, and mounts it, for a tar file too."""
    return not shutil.which("losetup") or subprocess.run(["losetup", "-f"], stdout=subprocess.DEVNULL,
                                                         stderr=subprocess.DEVNULL).returncode != 0


needs_builder = [
    pytest.mark.xdist_group("diskimage-builder"),
    pytest.mark.skipif(not shutil.which("disk-image-create"), reason="diskimage-builder is not installed (make deps)"),
    pytest.mark.skipif(not shutil.which("sudo"), reason="sudo, which diskimage-builder runs, is not installed (make deps)"),
    pytest.mark.skipif(os.geteuid() != 0 or no_loop_device(), reason="diskimage-builder wants root and a loop device"),
]


def builder(test):
    for mark in needs_builder:
        test = mark(test)
    return test


@builder
def test_diskimage_builder(build, kernel, tmp_path):
    done, made = build()
    assert done.status == 0 and made, done
    assert "This guest will boot" in done.said, done
    image = tree.Tree(tmp_path / "image")
    subprocess.run(["tar", "-C", image.upper, "--exclude=./dev/*", "-xpf", made], check=True)
    for name in ("proc", "sys"):
        image.path(name).mkdir()
    assert_baked(image, kernel.release, pkg.OTHER)
    assert image.check("rpm -q kmod-virtio-modern").startswith(f"kmod-virtio-modern-{pkg.VERSION}-")
    # Nothing of the build is left.
    assert not image.path("tmp/in_target.d").exists() and not list(image.path("tmp").iterdir())


# One kernel takes half the time.
ALONE = f"rpm -e kernel-{pkg.OTHER.removesuffix('.x86_64')}; "
NO_GRUB = "rm /boot/grub/grub.conf; "


@builder
@pytest.mark.parametrize("change, variables, why", [
    (ALONE + "sed -i 's,root=[^ ]*,root=/dev/sda1,' /boot/grub/grub.conf", {}, "FAIL  kernel argument root= /dev/sda1"),
    (ALONE + NO_GRUB + "echo 'blacklist virtio_blk' > /etc/modprobe.d/no.conf", {}, "keeps virtio_blk from being loaded"),
    (NO_GRUB + f": > /boot/symvers-{pkg.OTHER}.gz", {}, f"{pkg.OTHER}: goes without virtio-modern"),
    ("", {"DIB_VIRTIO_MODERN_PACKAGE": "/nonexistent.rpm"}, "DIB_VIRTIO_MODERN_PACKAGE=/nonexistent.rpm: no such file"),
    ("", {"DIB_VIRTIO_MODERN_PACKAGE": ""}, "open of kmod-virtio-modern failed"),
    ("", {"DIB_EL6_ROOT": ""}, "DIB_EL6_ROOT is not set"),
    ("", {"DIB_EL6_ROOT": "/nonexistent.tar"}, "DIB_EL6_ROOT=/nonexistent.tar: no such file"),
], ids=["root", "blacklist", "fits-not", "package", "no-package", "no-root", "not-there"])
def test_diskimage_builder_fails(build, change, variables, why):
    done, made = build(change, **variables)
    assert done.status != 0 and made is None and why in done.said, done


# ---- Ansible ----

PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles:
    - role: virtio_modern
"""


@pytest.mark.xdist_group("pipelines")
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
    assert_baked(image, kernel.release)
    done = image.run(play, env=env)
    assert done.status == 0 and "changed=0" in done.said, done
    break_fstab(image)
    done = image.run(play, env=env)
    assert done.status and "failed=1" in done.said, done


# ---- kickstart ----

def test_kickstart():
    """The sections that anaconda of RHEL 6 knows, each closed."""
    lines = (IMAGE / "kickstart/virtio-modern.ks").read_text().splitlines()
    sections = [line.split()[0] for line in lines if line.startswith("%")]
    assert sections == ["%packages", "%end", "%post", "%end"]
    body = "\n".join(lines).split("%post")[1].split("\n", 1)[1].split("%end")[0]
    assert subprocess.run(["sh", "-n"], input=body, text=True).returncode == 0
    assert any(line.startswith("repo --name=virtio-modern --baseurl=") for line in lines)


@pytest.mark.skipif(not shutil.which("ksvalidator"), reason="ksvalidator (pykickstart) is not installed")
def test_ksvalidator(tmp_path):
    kickstart = IMAGE / "kickstart/virtio-modern.ks"
    done = subprocess.run(["ksvalidator", "-v", "RHEL6", kickstart], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    bad = tmp_path / "bad.ks"
    bad.write_text(kickstart.read_text().replace("--baseurl", "--bassurl"))
    assert subprocess.run(["ksvalidator", "-v", "RHEL6", bad], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
