# SPDX-License-Identifier: GPL-2.0
"""The build: what it says when it cannot, and what it makes where it can."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtio-modern"
EL6 = {path.parent.name: path for path in sorted(CACHE.glob("kernels/*/build"))}
MODULES = {"virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "virtio-rng", "virtio_balloon", "9pnet_virtio", "virtio_console"}


def make(*args):
    return subprocess.run(["make", f"-j{os.cpu_count()}", "-C", REPO, *args], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def distro_kdir():
    found = sorted(Path("/lib/modules").glob("*/build"))
    assert found, "no kernel headers installed"
    return found[-1]


def kdirs():
    yield pytest.param("distro", id="distro")
    for name in EL6:
        yield pytest.param(name, id=name)
    if not EL6:
        yield pytest.param("el6", id="el6", marks=pytest.mark.skip(
            reason="no EL6 kernel registered (tests/vm/add-kernel)"))


def said(result):
    """The lines that are ours: not make's own about leaving and failing."""
    return [line for line in result.stdout.splitlines() if not line.startswith("make")]


def warnings(result):
    return [line for line in result.stdout.splitlines() if "warning" in line.lower()]


@pytest.fixture(scope="module", params=kdirs())
def built(request, tmp_path_factory):
    """A build of the pack: (name, kdir, folder)."""
    kdir = distro_kdir() if request.param == "distro" else EL6[request.param]
    out = tmp_path_factory.mktemp("build")
    before = {path: path.stat().st_mtime_ns for path in (kdir / "include").rglob("*.h")}
    result = make(f"KDIR={kdir}", f"O={out}")
    assert result.returncode == 0, result.stdout
    assert warnings(result) == []
    after = {path: path.stat().st_mtime_ns for path in (kdir / "include").rglob("*.h")}
    assert before == after, "the build changed the kernel's folder"
    return request.param, kdir, out


def test_all_modules_of_one_version(built):
    _, _, out = built
    modules = {path.stem: path for path in out.glob("*/*.ko")}
    assert set(modules) == MODULES
    version = (REPO / "VERSION").read_text().strip()
    for path in modules.values():
        info = subprocess.check_output(["modinfo", "-F", "version", path], text=True).strip()
        assert info == version, path


def test_calls_that_el6_loads(built):
    name, _, out = built
    if name == "distro":
        pytest.skip("this kernel's module loader knows PLT32")
    for path in out.glob("*/*.ko"):
        relocations = subprocess.check_output(["readelf", "-rW", path], text=True)
        kinds = set(re.findall(r"R_X86_64_\w+", relocations))
        assert kinds <= {"R_X86_64_64", "R_X86_64_32", "R_X86_64_32S", "R_X86_64_PC32"}, path


def test_dracut_finds_the_bus(built):
    """EL6's dracut looks for drivers by this symbol."""
    _, _, out = built
    assert b"register_virtio_device" in (out / "virtio/virtio_pci.ko").read_bytes()


def test_every_symbol_has_a_version(built):
    """A symbol without a CRC would load on a kernel that it was not built for."""
    _, _, out = built
    for path in out.glob("*/*.ko"):
        undefined = set(re.findall(r" U (\w+)", subprocess.check_output(["nm", path], text=True)))
        dump = subprocess.run(["modprobe", "--dump-modversions", path], text=True,
                              capture_output=True, check=True).stdout
        versioned = {line.split()[1] for line in dump.splitlines()}
        assert undefined <= versioned, f"{path}: {undefined - versioned}"


def test_features_are_listed(built):
    name, kdir, out = built
    result = make("-s", "features", f"KDIR={kdir}", f"O={out}")
    assert result.returncode == 0, result.stdout
    found = dict(line.split()[::-1] for line in said(result)[1:])
    probes = {path.stem.upper() for path in (REPO / "compat/probes").glob("*.c")}
    assert set(found) == {probe for probe in probes if not probe.startswith("ALWAYS_")}
    assert found["BLK_MQ_ALLOC_DISK"] == ("yes" if name == "distro" else "no")


@pytest.mark.skipif(not (CACHE / "i686").is_dir(), reason="no EL6 kernel-devel for i686 at hand")
def test_i686(tmp_path):
    """For each kernel-devel of i686 that is unpacked as i686/NAME/build in the cache. A 64-bit division, which
    that kernel does not have, would be a warning about a symbol."""
    for kdir in sorted((CACHE / "i686").glob("*/build")):
        out = tmp_path / kdir.parent.name
        result = make(f"KDIR={kdir}", f"O={out}", "ARCH=i386")
        assert result.returncode == 0, result.stdout
        assert warnings(result) == []
        assert {path.stem for path in out.glob("*/*.ko")} == MODULES
        for path in out.glob("*/*.ko"):
            assert "Intel 80386" in subprocess.check_output(["readelf", "-h", path], text=True)


def test_no_such_kdir():
    result = make("KDIR=/nonexistent")
    assert result.returncode
    assert len(said(result)) == 1 and "/nonexistent: no such folder; give KDIR=" in said(result)[0]


def test_kdir_that_is_none(tmp_path):
    result = make(f"KDIR={tmp_path}")
    assert result.returncode
    assert len(said(result)) == 1 and "not the build folder" in said(result)[0]


def test_kdir_without_symvers(tmp_path):
    (tmp_path / "Makefile").touch()
    (tmp_path / ".config").touch()
    result = make(f"KDIR={tmp_path}")
    assert result.returncode
    assert len(said(result)) == 1 and "Module.symvers is missing" in said(result)[0]


def rig(tmp_path, command):
    """compat/configure with a stand-in for the kernel's build system."""
    kbuild = tmp_path / "kbuild"
    kbuild.write_text(f"#!/bin/sh\nfor a; do case $a in M=*) cd ${{a#M=}};; esac; done\n{command}\n")
    kbuild.chmod(0o755)
    return subprocess.run([REPO / "compat/configure", REPO, tmp_path / "out", "1", "--", kbuild],
                          text=True, capture_output=True)


def test_rig_where_nothing_compiles(tmp_path):
    result = rig(tmp_path, "echo no compiler here; exit 1")
    assert result.returncode and "the probe that must compile" in result.stderr
    assert not (tmp_path / "out/include/compat-features.h").exists()


def test_rig_where_everything_compiles(tmp_path):
    result = rig(tmp_path, "for f in *.c; do touch ${f%.c}.o; done")
    assert result.returncode and "the probe that must fail" in result.stderr
    assert not (tmp_path / "out/include/compat-features.h").exists()


def test_fixreloc(tmp_path):
    """Both kinds of x86 object, and things that are none."""
    tool = tmp_path / "fixreloc"
    subprocess.check_call(["gcc", "-o", tool, REPO / "compat/fixreloc.c"])
    source = tmp_path / "call.s"
    source.write_text(".text\ncall somewhere@PLT\n")
    for bits, machine in ("--64", "X86_64"), ("--32", "386"):
        obj = tmp_path / f"call{bits}.o"
        subprocess.check_call(["as", bits, "-o", obj, source])
        assert subprocess.run([tool, "--check", obj], capture_output=True).returncode == 1
        subprocess.check_call([tool, obj])
        subprocess.check_call([tool, "--check", obj])
        relocations = subprocess.check_output(["readelf", "-rW", obj], text=True)
        assert f"R_{machine}_PC32" in relocations and "PLT32" not in relocations
    whole = (tmp_path / "call--64.o").read_bytes()
    for junk in b"", b"\x7fELF", bytes(64), whole[:100], whole[:-200]:
        path = tmp_path / "junk"
        path.write_bytes(junk)
        assert subprocess.run([tool, path], capture_output=True).returncode == 1
    assert subprocess.run([tool, tmp_path / "nothing"], capture_output=True).returncode == 1


def test_one_checkout_several_kernels(tmp_path):
    """Nothing that a build makes ends up among the sources."""
    copy = tmp_path / "copy"
    files = subprocess.check_output(["git", "-C", REPO, "ls-files", "-z", "--cached", "--others",
                                     "--exclude-standard"], text=True).split("\0")
    for name in filter(None, files):
        if (REPO / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, copy / name)
    before = {path for path in copy.rglob("*")}
    result = subprocess.run(["make", "-C", copy, f"KDIR={distro_kdir()}", f"O={tmp_path / 'out'}"],
                            text=True, capture_output=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path for path in copy.rglob("*")} == before
