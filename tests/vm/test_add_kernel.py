# SPDX-License-Identifier: GPL-2.0
"""add-kernel, against a mirror made here from real packages: what it registers, and what it refuses."""

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vmlib.host import run

ADD_KERNEL = Path(__file__).with_name("add-kernel")
OLD, NEW = "99.el6", "754.2.1.el6"      # as text, the older one would come last

SPEC = """
Name: kernel
Version: 2.6.32
Release: {release}
Summary: Test kernel
License: GPL-2.0
AutoReqProv: no
%define kver %{{version}}-%{{release}}.x86_64
%description
%{{summary}}
%package devel
Summary: Its build folder
AutoReqProv: no
%description devel
%{{summary}}
%install
mkdir -p %{{buildroot}}/boot %{{buildroot}}/lib/modules/%{{kver}}/kernel/fs %{{buildroot}}/usr/src/kernels/%{{kver}}
echo image %{{kver}} > %{{buildroot}}/boot/vmlinuz-%{{kver}}
echo map > %{{buildroot}}/boot/System.map-%{{kver}}
echo module > %{{buildroot}}/lib/modules/%{{kver}}/kernel/fs/ext4.ko
ln -s ../../../usr/src/kernels/%{{kver}} %{{buildroot}}/lib/modules/%{{kver}}/build
echo all: > %{{buildroot}}/usr/src/kernels/%{{kver}}/Makefile
echo symbols > %{{buildroot}}/usr/src/kernels/%{{kver}}/Module.symvers
%files
/boot/*
/lib/modules/*
%files devel
/usr/src/kernels/*
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """{release: [kernel, kernel-devel]}, built by rpmbuild."""
    top = tmp_path_factory.mktemp("rpm")
    found = {}
    for release in (OLD, NEW):
        (top / "kernel.spec").write_text(SPEC.format(release=release))
        run("rpmbuild", "-bb", "--quiet", "--target", "x86_64", "--define", f"_topdir {top}",
            "--define", "debug_package %{nil}", "--define", "_rpmdir %{_topdir}/out",
            "--define", f"_dbpath {top}/db", top / "kernel.spec")
        found[release] = [top / f"out/x86_64/{name}-2.6.32-{release}.x86_64.rpm" for name in ("kernel", "kernel-devel")]
    return found


class Mirror:
    """RELEASE/os/x86_64 and, if asked for, RELEASE/updates/x86_64 below a folder."""

    def __init__(self, root, packages):
        self.root = root
        self.packages = packages

    def add(self, repository, *rpms):
        folder = self.root / "6.10" / repository / "x86_64"
        (folder / "Packages").mkdir(parents=True)
        for rpm in rpms:
            shutil.copy(rpm, folder / "Packages")
        run("createrepo_c", "--quiet", "--no-database", "--simple-md-filenames", folder)
        return folder

    @property
    def url(self):
        return self.root.as_uri()


@pytest.fixture
def mirror(tmp_path, packages):
    return Mirror(tmp_path / "mirror", packages)


@contextlib.contextmanager
def served(folder, handler=http.server.SimpleHTTPRequestHandler):
    """A folder on an http server of our own; handler may be a class that misbehaves."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=folder)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Registry:
    """add-kernel with a registry of its own."""

    def __init__(self, path):
        self.path = path / "cache" / "virtio-modern" / "kernels"
        self.argv = [sys.executable, ADD_KERNEL]
        self.env = {**os.environ, "XDG_CACHE_HOME": str(path / "cache"), "no_proxy": "*"}

    def start(self, *args):
        # Who started us in the background may have had SIGINT ignored, and that is inherited.
        return subprocess.Popen([*self.argv, *args], env=self.env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def __call__(self, *args):
        process = self.start(*args)
        out, errors = process.communicate(timeout=120)
        return process.returncode, out, errors

    def accepts(self, *args):
        status, out, errors = self(*args)
        assert (status, errors) == (0, ""), errors
        return out

    def refuses(self, *args):
        """It must say why in one line; what was registered before is as it was."""
        before = self.state()
        status, _, errors = self(*args)
        assert status != 0 and len(errors.splitlines()) == 1 and errors.startswith("add-kernel: "), errors
        assert self.state() == before
        return errors

    def state(self):
        """Every file there is, with its contents."""
        return {str(path): path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(self.path.rglob("*")) if path.name != ".lock"}

    def names(self):
        return sorted(path.name for path in self.path.iterdir() if path.name != ".lock")

    def check(self, name, release):
        place = self.path / name
        assert (place / "release").read_text() == f"2.6.32-{release}.x86_64\n"
        assert (place / "vmlinuz").read_text() == f"image 2.6.32-{release}.x86_64\n"
        assert (place / "System.map").read_text() == "map\n"
        assert (place / "build/Module.symvers").is_file() and (place / "build/Makefile").is_file()
        assert (place / "modules/kernel/fs/ext4.ko").is_file()
        assert not (place / "modules/build").is_symlink()


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path)


# ---- from a mirror ----

@pytest.mark.parametrize("scheme", ["file", "http"])
def test_release_from_a_mirror(registry, mirror, scheme):
    mirror.add("os", *mirror.packages[OLD], *mirror.packages[NEW])
    with contextlib.ExitStack() as stack:
        url = mirror.url if scheme == "file" else stack.enter_context(served(mirror.root))
        registry.accepts("--release", "6.10", "--mirror", url)
        registry.accepts("other", "--release", "6.10", "--mirror", url + "/")
    registry.check("6.10", NEW)
    registry.check("other", NEW)
    assert registry.names() == ["6.10", "other"]


def test_updates_are_looked_at(registry, mirror):
    mirror.add("os", *mirror.packages[OLD])
    mirror.add("updates", *mirror.packages[NEW])
    registry.accepts("--release", "6.10", "--mirror", mirror.url)
    registry.check("6.10", NEW)


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage,says", [
    (lambda repo: flip_last_byte(next(repo.glob(f"Packages/kernel-2*{NEW}*"))), "checksum"),
    (lambda repo: truncate(next(repo.glob(f"Packages/kernel-devel-*{NEW}*"))), "checksum"),
    (lambda repo: next(repo.glob(f"Packages/kernel-devel-*{NEW}*")).unlink(), "cannot be had"),
    (lambda repo: flip_last_byte(repo / "repodata/primary.xml.gz"), "checksum"),
    (lambda repo: (repo / "repodata/primary.xml.gz").unlink(), "cannot be had"),
    (lambda repo: truncate(repo / "repodata/repomd.xml"), "no index"),
    (lambda repo: (repo / "repodata/repomd.xml").write_text("<html>moved</html>"), "no index"),
], ids=["kernel", "devel", "devel-gone", "primary", "primary-gone", "repomd", "html"])
@pytest.mark.parametrize("repository", ["os", "updates"])
def test_damage_is_refused(registry, mirror, repository, damage, says):
    other = {"os": "updates", "updates": "os"}[repository]
    mirror.add(other, *mirror.packages[OLD])
    damage(mirror.add(repository, *mirror.packages[NEW]))
    assert says in registry.refuses("--release", "6.10", "--mirror", mirror.url)
    assert registry.names() == []


def test_missing_release_is_refused(registry, mirror):
    mirror.add("os", *mirror.packages[NEW])
    assert "--release" in registry.refuses("--release", "6.11", "--mirror", mirror.url)
    with served(mirror.root) as url:
        assert "not found" in registry.refuses("--release", "6.11", "--mirror", url)
    assert "--mirror" in registry.refuses("--release", "6.10", "--mirror", "http://127.0.0.1:1")
    assert "--mirror" in registry.refuses("--release", "6.10", "--mirror", "nonsense")


def test_missing_devel_package_is_refused(registry, mirror):
    mirror.add("os", *mirror.packages[OLD], mirror.packages[NEW][0])
    assert f"no kernel-devel-2.6.32-{NEW}" in registry.refuses("--release", "6.10", "--mirror", mirror.url)


def test_repository_without_kernels_is_refused(registry, mirror):
    mirror.add("os")
    assert "no kernel package" in registry.refuses("--release", "6.10", "--mirror", mirror.url)


class Stalling(http.server.SimpleHTTPRequestHandler):
    """Stops in the middle of the first package."""
    reached = None

    def copyfile(self, source, outputfile):
        if not self.path.endswith(".rpm"):
            return super().copyfile(source, outputfile)
        outputfile.write(source.read(1000))
        outputfile.flush()
        self.reached.set()
        time.sleep(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_interrupted_run_leaves_nothing(registry, mirror, number):
    mirror.add("os", *mirror.packages[NEW])
    Stalling.reached = threading.Event()
    with served(mirror.root, Stalling) as url:
        process = registry.start("--release", "6.10", "--mirror", url)
        assert Stalling.reached.wait(30)
        status, _, errors = registry("x", "--release", "6.10", "--mirror", mirror.url)
        assert status != 0 and "another add-kernel" in errors
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0 and registry("--list")[1] == ""
    if number != signal.SIGKILL:
        assert len(errors.splitlines()) == 1 and registry.names() == []
    registry.accepts("--release", "6.10", "--mirror", mirror.url)
    assert registry.names() == ["6.10"]         # and what a kill has left is gone


# ---- from packages and trees ----

def test_packages(registry, packages):
    registry.accepts("mine", "--rpm", *packages[OLD])
    registry.check("mine", OLD)
    assert "--force" in registry.refuses("mine", "--rpm", *packages[NEW])
    registry.accepts("mine", "--force", "--rpm", *packages[NEW])
    registry.check("mine", NEW)
    assert registry.accepts("--list").split("\t")[:2] == ["mine", f"2.6.32-{NEW}.x86_64"]
    registry.accepts("--remove", "mine")
    assert registry.names() == [] and registry.accepts("--list") == ""


def test_failed_replacement_keeps_the_old_one(registry, packages, tmp_path):
    registry.accepts("mine", "--rpm", *packages[OLD])
    broken = tmp_path / packages[NEW][0].name
    shutil.copy(packages[NEW][0], broken)
    truncate(broken)
    registry.refuses("mine", "--force", "--rpm", broken, packages[NEW][1])
    registry.check("mine", OLD)


def test_wrong_packages_are_refused(registry, packages, tmp_path):
    (tmp_path / "text.rpm").write_text("not a package")
    for rpms, says in [((packages[OLD][0], packages[NEW][1]), "one version"), ((packages[OLD][0],), "kernel-devel"),
                       ((packages[OLD][1],), "kernel image"), ((tmp_path / "text.rpm",), "RPM"),
                       ((tmp_path / "none.rpm",), "does not exist")]:
        assert says in registry.refuses("mine", "--rpm", *rpms)
    for name in ("distro", "../up", ".hidden", "a b"):
        assert "name" in registry.refuses(name, "--rpm", *packages[OLD])
    assert "nobody" in registry.refuses("--remove", "nobody")


def test_built_tree(registry, tmp_path, distro):
    """A tree as a kernel build leaves it: what modules are built with is kept, objects are not."""
    tree = tmp_path / "tree"
    module = distro.module_file("loop")
    for name, content in {"arch/x86/boot/bzImage": "image 2.6.32-1.el6.x86_64\n",
                          "System.map": "map\n", "Makefile": "all:\n",
                          "include/config/kernel.release": "2.6.32-1.el6.x86_64\n", ".config": "CONFIG_X86=y\n",
                          "Module.symvers": "symbols\n", "scripts/mod/modpost": "#!/bin/sh\n", "fs/Kconfig": "",
                          "fs/ext4/inode.c": "code", "fs/ext4/inode.o": "object", "scripts/mod/modpost.o": "object",
                          "arch/x86/include/asm/page.h": "", "include/linux/fs.h": ""}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    (tree / "scripts/mod/modpost").chmod(0o755)
    (tree / "include/asm").symlink_to("../arch/x86/include/asm")
    shutil.copy(module, tree / "fs/ext4/ext4.ko")
    registry.accepts("tree", "--tree", tree)
    place = registry.path / "tree"
    assert (place / "release").read_text() == "2.6.32-1.el6.x86_64\n"
    assert (place / "modules/kernel/fs/ext4/ext4.ko").is_file()
    assert os.access(place / "build/scripts/mod/modpost", os.X_OK)
    assert (place / "build/include/asm/page.h").is_file() and (place / "build/include/asm").is_symlink()
    assert (place / "build/fs/Kconfig").is_file()
    assert not list((place / "build").rglob("*.[co]"))
    (tree / "Module.symvers").unlink()
    assert "Module.symvers" in registry.refuses("tree", "--force", "--tree", tree)
    assert "bzImage" in registry.refuses("other", "--tree", tmp_path)
