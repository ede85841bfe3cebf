# SPDX-License-Identifier: GPL-2.0
"""A folder with a system of its own, small, made of the host's Debian packages: for tools that want a whole system,
rather than a root folder over the host's (see tests/pkg/root.py). One can chroot into it, pack it up, or make a disk of
it."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pkg"))

import root as pkg  # noqa: E402

# What installs the pack, makes an initramfs and runs the pack's scripts; what they depend on comes with them.
PACKAGES = ("base-files", "base-passwd", "bash", "bzip2", "coreutils", "cpio", "dash", "debianutils", "diffutils",
            "dracut-core", "findutils", "grep", "gzip", "hostname", "kmod", "libc-bin", "mawk", "mount", "procps",
            "rpm", "sed", "tar", "util-linux", "xz-utils", "zstd")
# Depended on, and of no use here.
LEFT_OUT = {"adduser", "debconf", "dpkg", "init-system-helpers", "install-info", "debugedit", "perl"}
NOT_COPIED = re.compile(r"/usr/share/(doc|man|info|locale|lintian|bug|bash-completion|zsh|doc-base|menu)/"
                        r"|/usr/lib/[^/]+/gconv/|/usr/(lib/)?games")
DEVICES = {"console": (5, 1), "full": (1, 7), "null": (1, 3), "random": (1, 8), "tty": (5, 0), "urandom": (1, 9),
           "zero": (1, 5)}
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
EMPTY = ("boot", "dev", "home", "mnt", "proc", "root", "run/lock", "srv", "sys", "tmp", "var/lib/rpm", "var/log",
         "var/tmp", "usr/lib/modules", "usr/local/bin", "usr/local/sbin", "etc/dracut.conf.d", "etc/kernel")
YUM = """#!/bin/sh
# Stands in for yum -y install PACKAGE.
[ "$1 $2" = "-y install" ] || exit 9
shift 2
exec rpm -U "$@"
"""


class NoTree(Exception):
    """The host's system is not one that a tree can be made of."""


class Tree(pkg.Root):
    """A root folder that has a whole system in it, and nothing of the host's."""

    MOUNT = "mount --bind upper root"

    def __init__(self, folder):
        self.folder, self.upper, self.el6 = folder, folder / "upper", False
        for each in (self.upper, folder / "root"):
            each.mkdir(parents=True)

    def fill(self, more=()):
        """Makes it a system, see system_tree()."""
        system_tree(self.upper, more)
        self.check("rpm --initdb")


def installed():
    """{package, or what it provides: (package, what it depends on)} of the host."""
    fields = "${Package}\t${db:Status-Abbrev}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    said = subprocess.check_output(["dpkg-query", "-W", "-f", fields], text=True)
    found, provided = {}, {}
    for line in said.splitlines():
        name, status, depends, provides = line.split("\t")
        if not status.startswith("ii"):
            continue
        found[name] = (name, depends)
        for other in provides.split(","):
            provided[other.split("(")[0].strip()] = (name, depends)
    return {**provided, **found}


def closure(names, have):
    """The packages, and those that they depend on."""
    wanted, seen = list(names), set()
    while wanted:
        name = wanted.pop()
        if name not in have:
            raise NoTree(f"{name} is not installed")
        package, depends = have[name]
        if package in seen or package in LEFT_OUT:
            continue
        seen.add(package)
        for group in depends.split(","):
            others = [re.split(r"[\s(:]", each.strip())[0] for each in group.split("|")]
            wanted += [other for other in others if other in have][:1]
    return sorted(seen)


def files_of(packages):
    """The files, links and folders of packages as they are on the host, the folders' own links resolved."""
    listed = subprocess.check_output(["dpkg-query", "-L", *packages], text=True).splitlines()
    found = set()
    for path in listed:
        if not path.startswith("/") or NOT_COPIED.match(path + "/"):
            continue
        if path.strip("/").split("/")[0] in MERGED:
            path = "/usr" + path
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if os.path.lexists(path) and path != "/":
            found.add(path)
    return found


def chosen(files):
    """What update-alternatives has made of them: links in /usr/bin and /etc/alternatives."""
    found = set()
    for link in Path("/etc/alternatives").iterdir():
        if os.path.realpath(link) in files:
            found.add(str(link))
    for folder in ("/usr/bin", "/usr/sbin"):
        for path in Path(folder).iterdir():
            if path.is_symlink() and os.readlink(path) in found:
                found.add(str(path))
    return found


def system_tree(folder, more=()):
    """Fills a folder with a system: the files of PACKAGES, of more packages, and of what they depend on. There is no
    kernel in it."""
    folder = Path(folder)
    if not shutil.which("dpkg-query") or not Path("/bin").is_symlink():
        raise NoTree("the host is no Debian with a merged /usr")
    files = files_of(closure([*PACKAGES, *more], installed()))
    files |= chosen(files)
    folder.mkdir(parents=True, exist_ok=True)
    for name in EMPTY:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp", "run/lock"):
        (folder / name).chmod(0o1777)
    names = "".join(f".{path}\0" for path in sorted(files)).encode()
    copy = 'set -o pipefail; tar -C / --null --no-recursion -T - -c | tar -C "$0" -x --numeric-owner'
    subprocess.run(["bash", "-c", copy, folder], check=True, input=names)
    for name in MERGED:
        if Path("/", name).is_symlink():
            (folder / "usr" / name).mkdir(exist_ok=True)
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(f"usr/{name}")
    for name, target in (("var/run", "/run"), ("var/lock", "/run/lock")):
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(target)
    for name, numbers in DEVICES.items():
        os.mknod(folder / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
        (folder / "dev" / name).chmod(0o666)
    # The host may have chosen another.
    if not os.path.lexists(folder / "usr/bin/awk"):
        (folder / "usr/bin/awk").symlink_to("mawk")
    etc = folder / "etc"
    for name in ("passwd", "group"):
        shutil.copy(f"/usr/share/base-passwd/{name}.master", etc / name)
    (etc / "shadow").write_text("root:*:1::::::\n")
    (etc / "shadow").chmod(0o600)
    (etc / "hostname").write_text("tree\n")
    (etc / "fstab").touch()
    (etc / "rpm").mkdir(exist_ok=True)
    # Debian's rpm has its database in HOME.
    (etc / "rpm/macros").write_text(pkg.RPM_MACROS)
    subprocess.run(["ldconfig", "-r", folder], check=True)
