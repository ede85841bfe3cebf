# SPDX-License-Identifier: GPL-2.0
"""What is in the packages: names, requirements, files; the same from the same source; and read by EL6's rpm 4.8."""

import hashlib
import re
import shutil
import subprocess

import pytest
from packages import OUT, built
from root import MODULES, VERSION, symbols
from vmlib.host import REPO, run

EXTRA = "extra/virtio-modern"


def query(package, *args):
    return run("rpm", "-qp", *args, package).splitlines()


def test_versions_agree():
    for name in ("rpm/kmod-virtio-modern.spec", "rpm/dkms-virtio-modern.spec"):
        assert re.search(r"^Version:\s+(\S+)$", (REPO / name).read_text(), re.M)[1] == VERSION
        assert re.search(r"^%changelog\n.* - (\S+)-1$", (REPO / name).read_text(), re.M)[1] == VERSION
    assert f'PACKAGE_VERSION="{VERSION}"' in (REPO / "dkms.conf").read_text()
    assert f"\n## {VERSION}\n" in (REPO / "CHANGES.md").read_text()


def test_lists_of_modules_agree():
    """depmod's lines, the spec, DKMS."""
    depmod = (REPO / "rpm/depmod.conf").read_text()
    lines = [line for line in depmod.splitlines() if line and not line.startswith("#")]
    assert sorted(lines) == sorted(f"override {name} * {place}/virtio-modern" for name in MODULES for place in ("extra", "weak-updates"))
    spec = (REPO / "rpm/kmod-virtio-modern.spec").read_text()
    assert set(re.search(r"^%global module_names (.*)$", spec, re.M)[1].split()) == set(MODULES)
    assert set(re.findall(r'BUILT_MODULE_NAME\[\d+\]="(.*)"', (REPO / "dkms.conf").read_text())) == set(MODULES)


def test_modules_have_the_version(kmod, tmp_path):
    subprocess.run(f"rpm2cpio {kmod} | cpio -idm --quiet", shell=True, check=True, cwd=tmp_path, stderr=subprocess.DEVNULL)
    files = list(tmp_path.glob(f"lib/modules/*/{EXTRA}/*.ko"))
    assert {path.stem for path in files} == set(MODULES)
    for path in files:
        assert run("modinfo", "-F", "version", path).strip() == VERSION
        assert path.stat().st_mode & 0o100, "without the x bit nobody strips or signs it"
        assert ".debug_info" not in run("readelf", "-SW", path)


def test_requirements(kmod, oldest):
    """Of all modules, as the kernel's package provides them; nothing of what they have of each other."""
    requires = query(kmod, "--requires")
    needed = {line.partition("(")[2].partition(")")[0]: line.partition("= ")[2] for line in requires if line.startswith("kernel(")}
    have = symbols(oldest)
    assert all(have[symbol] == crc for symbol, crc in needed.items())
    # One that only the last of the modules needs, and one of each other kind.
    assert {"p9_client_cb", "hwrng_register", "register_netdev", "blk_init_queue", "module_layout"} <= set(needed)
    assert not [symbol for symbol in needed if symbol.startswith(("virtqueue_", "vring_", "register_virtio"))]
    assert {"/sbin/depmod", "/sbin/dracut"} <= set(requires)
    features = {line.split()[0] for line in requires if line.startswith("rpmlib(")}
    assert features <= {"rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)"}, \
        "rpm 4.8 knows no other"


def test_provides(kmod, oldest):
    provides = query(kmod, "--provides")
    # anaconda (6.2 and later) compares: the running kernel is this one or a later one.
    assert f"kernel-modules >= {oldest.release.partition('.el6')[0]}" in provides
    release = f"{VERSION}-1.el6"
    assert {f"kmod-{name} = {release}" for name in MODULES} <= set(provides)
    assert f"kmod-virtio-modern = {release}" in provides
    # yum would keep each version installed beside the next.
    assert not [line for line in provides if re.match(r"(kernel|kernel-devel|installonlypkg\(.*\))( |$)", line)]
    assert query(kmod, "--conflicts") == ["dkms-virtio-modern"]


def test_old_rpm_reads_it(kmod, oldest):
    source = built(oldest)[1]
    for package in (kmod, source):
        assert query(package, "--qf", "%{PAYLOADCOMPRESSOR} %{PAYLOADFORMAT} %{FILEDIGESTALGO}\n") == ["gzip cpio 8"]
    assert query(kmod, "--qf", "%{ARCH} %{OS}\n") == ["x86_64 linux"]


def test_files(kmod, oldest):
    files = set(query(kmod, "-l"))
    assert {f"/lib/modules/{oldest.release}/{EXTRA}/{name}.ko" for name in MODULES} <= files
    assert {"/etc/depmod.d/virtio-modern.conf", "/etc/dracut.conf.d/virtio-modern.conf", "/etc/kernel/postinst.d/virtio-modern",
            "/etc/kernel/prerm.d/virtio-modern", "/usr/libexec/virtio-modern/stack"} <= files
    # Not what depmod makes, and nobody's folder but ours.
    assert f"/lib/modules/{oldest.release}/modules.dep" not in files
    assert f"/lib/modules/{oldest.release}/extra" not in files


def test_reproducible(kmod, oldest, tmp_path):
    """Another build, in another folder, is the same to the last byte."""
    run(REPO / "rpm/package", "kmod", tmp_path, f"KDIR={oldest.build}")
    for package in built(oldest):
        one, other = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (package, tmp_path / package.name))
        assert one == other, package.name


def test_source_package_builds(oldest, tmp_path):
    """rpmbuild --rebuild, as on EL6, where nothing of this checkout is at hand."""
    source = built(oldest)[1]
    done = subprocess.run(["rpmbuild", "--rebuild", "--nodeps", "--define", f"_topdir {tmp_path}", "--define", "dist .el6",
                           "--define", f"kversion {oldest.release}", "--define", f"kdir {oldest.build}", source],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-3000:]
    [package] = tmp_path.glob("RPMS/*/*.rpm")
    assert query(package, "-l") == query(built(oldest)[0], "-l")


def test_source_package_without_a_kernel(oldest, tmp_path):
    done = subprocess.run(["rpmbuild", "--rebuild", "--nodeps", "--define", f"_topdir {tmp_path}", "--define", "kversion none",
                           "--define", "kdir /nonexistent", built(oldest)[1]],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode and "no kernel-devel in /usr/src/kernels: install it, or give --define 'kversion" in done.stdout


@pytest.mark.parametrize("kdir, message", [
    ("", "KDIR= is missing"), ("KDIR=/nonexistent", "/nonexistent: not the build folder of a kernel"),
    ("distro", "the kmod package is for EL6's 2.6.32 (elsewhere there is dkms)"), ("NOISE=1", "NOISE=1: not an option")])
def test_bad_kdir(tmp_path, kdir, message):
    if kdir == "distro":
        from vmlib import kernels
        kdir = f"KDIR={kernels.find(kernels.DISTRO).build}"
    done = subprocess.run([REPO / "rpm/package", "kmod", tmp_path, *filter(None, [kdir])], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and message in done.stdout and len(done.stdout.splitlines()) == 1, done.stdout
    assert not list(tmp_path.iterdir())


# rpmlint's complaints that stay, and why.
EXPLAINED = {
    "invalid-url": "the source is made here, not fetched",
    "manpage-not-compressed": "with gzip, as EL6's are", "no-manual-page-for-binary": "there is one, with gzip",
    "no-signature": "a key is given to make repo",
    "no-url-tag": "there is no site", "no-packager-tag": "nor a packager",
    "superfluous-%clean-section": "EL6's rpm wants one",
    "invalid-license": "GPLv2, as EL6 writes it",
    "incoherent-version-in-changelog": "the release ends with the distribution's tag",
    "non-standard-executable-perm": "0744, as the kernel's own modules: that is what gets stripped and signed",
    "unstripped-binary-or-object": "a module keeps its symbols",
    "dangerous-command-in-%postun": "removes a file that the package has written",
    "conffile-without-noreplace-flag": "the lists of modules go with the modules",
}


def test_rpmlint(kmod, oldest):
    if not shutil.which("rpmlint"):
        pytest.skip("rpmlint is not installed")
    done = subprocess.run(["rpmlint", *built(oldest)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found = set(re.findall(r"[EW]: ([\w%-]+)", done.stdout))
    assert "packages and" in done.stdout
    assert found <= set(EXPLAINED), done.stdout
    (OUT / "rpmlint.txt").write_text(done.stdout)
