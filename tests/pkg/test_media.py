# SPDX-License-Identifier: GPL-2.0
"""The driver update disk, by anaconda's rules, and the yum repository."""

import gzip
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from packages import built
from root import MODULES, VERSION
from vmlib.host import REPO, run

REPO_SPACE = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"


@pytest.fixture(scope="module")
def disk(oldest, tmp_path_factory):
    """The files of the driver update disk, and the image."""
    out = tmp_path_factory.mktemp("dud")
    said = run(REPO / "rpm/package", "dud", out, f"KDIR={oldest.build}").strip()
    [iso] = out.glob("*.iso")
    assert said == str(iso)
    files = out / "files"
    run("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", files)
    run("chmod", "-R", "u+w", files)
    return files, iso


def rpmvercmp(one, other):
    """As rpm compares: runs of digits as numbers, and newer than letters."""
    ones, others = (re.findall(r"\d+|[a-zA-Z]+", text) for text in (one, other))
    for a, b in zip(ones, others):
        if a.isdigit() != b.isdigit():
            return 1 if a.isdigit() else -1
        key = (int(a), int(b)) if a.isdigit() else (a, b)
        if key[0] != key[1]:
            return 1 if key[0] > key[1] else -1
    return (len(ones) > len(others)) - (len(ones) < len(others))


def takes(provides, kernel):
    """Whether anaconda's loader unpacks the modules of a package on the installer's kernel: a `kernel-modules` that is in
    the relation it says, or, for the disks of 6.0 and 6.1, one that begins with those kernels' numbers."""
    for name, sense, version in provides:
        if name != "kernel-modules" or not version:
            continue
        if version.startswith(("2.6.32-131", "2.6.32-71")):
            return True
        order = rpmvercmp(kernel, version)
        if (order < 0 and "<" in sense) or (order == 0 and "=" in sense) or (order > 0 and ">" in sense):
            return True
    return False


def provides_of(package):
    lines = run("rpm", "-qp", "--provides", package).splitlines()
    return [(*line.split(" ", 2), "", "")[:3] for line in lines]


def test_label_and_layout(disk):
    """Found by its label, and accepted: rhdd3 that says something, and a repository for the architecture."""
    files, iso = disk
    assert run("xorriso", "-indev", iso, "-pvd_info").count("Volume Id    : OEMDRV") == 1
    assert (files / "rhdd3").stat().st_size > 1
    assert (files / "rpms/x86_64/repodata/repomd.xml").is_file()
    [package] = (files / "rpms/x86_64").glob("*.rpm")
    assert package.name == f"kmod-virtio-modern-{VERSION}-1.el6.x86_64.rpm"


@pytest.mark.parametrize("later", ["0", "1000"])
def test_loader_takes_the_modules(disk, oldest, later):
    files, _ = disk
    [package] = (files / "rpms/x86_64").glob("*.rpm")
    number = int(re.search(r"2\.6\.32-(\d+)", oldest.release)[1]) + int(later)
    assert takes(provides_of(package), f"2.6.32-{number}.el6.x86_64" if later != "0" else oldest.release)
    payload = subprocess.run(f"rpm2cpio {package} | cpio -it --quiet", shell=True, check=True, text=True, capture_output=True).stdout
    assert {name.rsplit("/", 1)[1] for name in payload.splitlines() if name.endswith(".ko")} == {f"{m}.ko" for m in MODULES}


def test_not_for_an_older_kernel(disk, oldest):
    files, _ = disk
    [package] = (files / "rpms/x86_64").glob("*.rpm")
    number = int(re.search(r"2\.6\.32-(\d+)", oldest.release)[1])
    if number <= 131:
        pytest.skip("anaconda takes a disk for 6.0 or 6.1 whatever its own kernel is")
    assert not takes(provides_of(package), f"2.6.32-{number - 1}.el6.x86_64")


def test_installer_finds_the_package_for_a_module(disk):
    """On the new system anaconda installs what provides kmod-NAME for each module in use from the disk."""
    files, _ = disk
    index = ElementTree.parse(files / "rpms/x86_64/repodata/repomd.xml")
    href = index.find(f"{REPO_SPACE}data[@type='primary']/{REPO_SPACE}location").get("href")
    assert href.endswith(".gz")
    primary = gzip.decompress((files / "rpms/x86_64" / href).read_bytes()).decode()
    names = set(re.findall(r'<rpm:entry name="(kmod-[^"]+)"', primary))
    assert {f"kmod-{name}" for name in MODULES} <= names


def test_same_disk_again(disk, oldest, tmp_path):
    run(REPO / "rpm/package", "dud", tmp_path, f"KDIR={oldest.build}")
    first, again = (run("xorriso", "-indev", iso, "-find", "/", "-exec", "lsdl", "--") for iso in
                    (disk[1], tmp_path / disk[1].name))
    assert first == again


# ---- the repository ----

def test_repository(oldest, tmp_path):
    for package in built(oldest):
        shutil.copy(package, tmp_path)
    said = run(REPO / "rpm/package", "repo", tmp_path).strip()
    assert said == str(tmp_path / "virtio-modern.repo")
    text = (tmp_path / "virtio-modern.repo").read_text()
    assert f"baseurl=file://{tmp_path}" in text and "gpgcheck=0" in text
    index = ElementTree.parse(tmp_path / "repodata/repomd.xml")
    for data in index.findall(f"{REPO_SPACE}data"):
        # What EL6's yum knows.
        assert data.find(f"{REPO_SPACE}checksum").get("type") == "sha256"
        assert data.find(f"{REPO_SPACE}location").get("href").endswith(".gz")
    href = index.find(f"{REPO_SPACE}data[@type='primary']/{REPO_SPACE}location").get("href")
    root = ElementTree.fromstring(gzip.decompress((tmp_path / href).read_bytes()))
    found = {(each.findtext(f"{COMMON}name"), each.findtext(f"{COMMON}arch")) for each in root}
    assert found == {("kmod-virtio-modern", "x86_64"), ("kmod-virtio-modern", "src")}


def test_signed_repository(oldest, tmp_path):
    """With a key: packages and index are signed, and the key is there to import."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    env = {"GNUPGHOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "virtio-modern test", "rsa2048", "sign", "1d"],
                   check=True, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    out = tmp_path / "repo"
    out.mkdir()
    shutil.copy(built(oldest)[0], out)
    done = subprocess.run([REPO / "rpm/package", "repo", out, "KEY=virtio-modern test"], env=env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    database = tmp_path / "rpmdb"
    run("rpm", "--dbpath", database, "--import", out / "RPM-GPG-KEY-virtio-modern")
    [package] = out.glob("*.rpm")
    assert run("rpm", "--dbpath", database, "-K", package).strip().endswith("digests signatures OK")
    subprocess.run(["gpg", "--verify", out / "repodata/repomd.xml.asc", out / "repodata/repomd.xml"], check=True, env=env,
                   capture_output=True)
    assert "gpgcheck=1" in (out / "virtio-modern.repo").read_text()
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)


def test_unknown_key(oldest, tmp_path):
    shutil.copy(built(oldest)[0], tmp_path)
    before = next(tmp_path.glob("*.rpm")).read_bytes()
    done = subprocess.run([REPO / "rpm/package", "repo", tmp_path, "KEY=nobody"], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"GNUPGHOME": "/nonexistent", "PATH": "/usr/bin:/bin"})
    assert done.returncode == 1 and "could not be signed with nobody" in done.stdout
    assert next(tmp_path.glob("*.rpm")).read_bytes() == before and not (tmp_path / "repodata").exists()


def test_empty_repository(tmp_path):
    done = subprocess.run([REPO / "rpm/package", "repo", tmp_path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1 and f"{tmp_path} has no packages: make rpm first" in done.stdout
