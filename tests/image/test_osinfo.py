# SPDX-License-Identifier: GPL-2.0
"""image/osinfo: what libosinfo knows with it and without, by libosinfo's own tools and library."""

import re
import shutil

import pytest

from osinfolib import IMAGE, MODERN, database, environment, install, run, tool

pytestmark = pytest.mark.xdist_group("osinfo")
EL6 = re.compile(r"http://(redhat\.com/rhel|centos\.org/centos)/6\.\d+$")
# Each that gets its devices from RHEL 6.0, so a change there is a change for it.
FAMILY = re.compile(r"(rhel|centos|ol|scientificlinux)6(\.\d+|-unknown)$")


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return database(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("entries")
    assert f"{root}/etc/osinfo: " in install(root)
    return root


@pytest.fixture(scope="module")
def after(root):
    return database(root)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_valid(root):
    """osinfo-db-validate takes all of it; it does not take just anything."""
    done = run("osinfo-db-validate", "--dir", root / "etc/osinfo")
    assert done.returncode == 0, done.stderr
    (bad := root / "bad/os/centos.org").mkdir(parents=True)
    text = (root / "etc/osinfo/os/centos.org/centos-6.10-virtio10.xml").read_text()
    (bad / "centos-6.10-virtio10.xml").write_text(text.replace("devices>", "gadgets>"))
    assert run("osinfo-db-validate", "--dir", root / "bad").returncode != 0


def test_each_release_has_one(before, after):
    """One for each CentOS 6 and RHEL 6 of the distribution's database, and nothing else is new."""
    releases = {name for name, each in before.items() if EL6.match(each["id"])}
    assert {f"{distro}6.{minor}" for distro in ("centos", "rhel") for minor in range(11)} <= releases
    assert set(after) - set(before) == {f"{name}-virtio10" for name in releases}
    for name in releases:
        base, new = before[name], after[f"{name}-virtio10"]
        assert new["id"] == f"{base['id']}-virtio10" and new["short ids"] == [f"{name}-virtio10"]
        assert new["name"] == f"{base['name']} with virtio-modern"
        same = ("version", "vendor", "family", "distro", "released", "eol")
        assert {key: new[key] for key in same} == {key: base[key] for key in same}


def test_devices(before, after):
    """An entry has what its base has, and every device that the pack drives."""
    for name in [name for name in after if name.endswith("-virtio10")]:
        base = set(before[name.removesuffix("-virtio10")]["devices"])
        assert not base & MODERN and "http://qemu.org/chipset/x86/q35" in base
        assert set(after[name]["devices"]) == base | MODERN
        # Otherwise virt-install would have no idea how much memory and disk to give.
        assert after[name]["recommended"] == [["all", 1 << 30, 9 << 30]]


def test_others_stay(before, after):
    """Plain centos6.10, and everything else that the distribution knows, is as it was."""
    assert not set(before["centos6.10"]["devices"]) & MODERN
    assert {name: after[name] for name in before} == before


def test_no_media(root, after, tmp_path):
    """An ISO of CentOS 6 is still one of CentOS 6: nobody gets an entry that he has not asked for."""
    for name in [name for name in after if name.endswith("-virtio10")]:
        assert after[name]["media"] == after[name]["trees"] == []
    (disc := tmp_path / "disc").mkdir()
    (disc / "boot.img").write_bytes(bytes(2048))
    done = run("xorriso", "-as", "mkisofs", "-quiet", "-sysid", "LINUX", "-V", "CentOS_6.0_Final", "-b", "boot.img",
               "-no-emul-boot", "-o", tmp_path / "c.iso", disc)
    assert done.returncode == 0, done.stderr
    for each in (tmp_path, root):
        done = run("osinfo-detect", tmp_path / "c.iso", env=environment(each))
        assert re.search(r"installer for OS 'CentOS 6\.0 \(\w+\)'", done.stdout), done.stdout + done.stderr


def test_site_wide(before, after, tmp_path):
    """The extension gives the devices to every release of the family, and to nobody else."""
    assert "and the extension of every EL6 guest" in install(tmp_path, "--site-wide")
    done = run("osinfo-db-validate", "--dir", tmp_path / "etc/osinfo")
    assert done.returncode == 0, done.stderr
    wide = database(tmp_path)
    family = {name for name in before if FAMILY.match(name)}
    changed = {name for name in before if wide[name] != before[name]}
    assert {"centos6.10", "rhel6.0", "ol6.9", "scientificlinux6.4"} <= changed == family
    for name in changed:
        wide[name]["short ids"] = sorted(set(wide[name]["short ids"]))     # the schema wants it said twice
        assert wide[name] == {**before[name], "devices": sorted({*before[name]["devices"], *MODERN})}
    assert {name: wide[name] for name in set(after) - set(before)} == \
           {name: after[name] for name in set(after) - set(before)}


def test_remove(before, tmp_path):
    """All of it goes, and nothing of anybody else's."""
    mine = tmp_path / "etc/osinfo/os/centos.org/centos-6.10-mine.xml"
    mine.parent.mkdir(parents=True)
    mine.write_text("<libosinfo version='0.0.1'/>\n")
    install(tmp_path, "--site-wide")
    assert len(files(tmp_path)) == 1 + 22 + 1
    tool("remove", "--root", tmp_path)
    assert files(tmp_path) == {str(mine.relative_to(tmp_path))}
    assert database(tmp_path) == before
    mine.unlink()
    install(tmp_path)
    install(tmp_path)           # again, as after an update of osinfo-db
    tool("remove", "--root", tmp_path)
    assert list((tmp_path / "etc/osinfo").iterdir()) == []


def test_again(root, after, tmp_path):
    """Entries are made of the distribution's alone, not of entries that are there from the last time."""
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    tool("install", "--root", tmp_path, env=environment(tmp_path))
    assert database(tmp_path) == after


def test_archive(tmp_path):
    """What osinfo-db-import has unpacked on another host is what an install makes here."""
    tool("archive", tmp_path / "db.tar.xz", "--site-wide")
    done = run("osinfo-db-import", "--root", tmp_path / "there", "--local", tmp_path / "db.tar.xz")
    assert done.returncode == 0, done.stderr
    install(tmp_path / "here", "--site-wide")
    there, here = tmp_path / "there/etc/osinfo", tmp_path / "here/etc/osinfo"
    assert files(there) == files(here) | {"VERSION"} and len(files(here)) == 22 + 1
    for each in files(here):
        assert (there / each).read_bytes() == (here / each).read_bytes()
    assert database(tmp_path / "there") == database(tmp_path / "here")


def test_user(tmp_path):
    """--user needs no root: the entries are in the user's own folder."""
    env = environment(tmp_path, OSINFO_USER_DIR=str(tmp_path / "user"))
    tool("install", "--user", env=env)
    assert len(files(tmp_path / "user")) == 22 == len(files(tmp_path))
    tool("remove", "--user", env=env)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("args", [(), ("instal",), ("install", "--rot", "x"), ("install", "--root"), ("archive",),
                                  ("archive", "--site-wide"), ("remove", "--site-wide"), ("install", "file"),
                                  ("archive", "x", "--user")], ids=" ".join)
def test_misuse(args):
    done = run(IMAGE / "osinfo/virtio10", *args)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("usage: virtio10")


def test_failures(tmp_path):
    """One line that says what is wrong, and nothing installed."""
    def fails(*args, tool=IMAGE / "osinfo/virtio10", **env):
        done = run(tool, *args, env=environment(tmp_path, **env))
        assert done.returncode == 1 and done.stdout == ""
        assert not (tmp_path / "etc").exists()
        return done.stderr.splitlines()

    (empty := tmp_path / "empty").mkdir()
    assert fails("install", "--root", tmp_path, OSINFO_SYSTEM_DIR=str(empty)) == \
        ["virtio10: libosinfo knows no CentOS 6 and no RHEL 6 here; is osinfo-db installed?"]
    (empty / "etc").write_text("")
    assert fails("install", "--root", empty)[-1] == f"virtio10: {empty}/etc/osinfo: cannot be written"
    shutil.copytree(IMAGE / "osinfo", tmp_path / "broken")
    template = tmp_path / "broken/virtio10.xml.in"
    template.write_text(template.read_text().replace("<vendor>", "<maker>").replace("</vendor>", "</maker>"))
    assert fails("install", "--root", tmp_path, tool=tmp_path / "broken/virtio10")[-1] == \
        "virtio10: that is no libosinfo database"
    (few := tmp_path / "few").mkdir()
    for name in ("sh", "dirname", "cat"):
        (few / name).symlink_to(shutil.which(name))
    assert fails("install", "--root", tmp_path, PATH=str(few)) == \
        ["virtio10: osinfo-db-path is missing; it is in the package osinfo-db-tools"]
