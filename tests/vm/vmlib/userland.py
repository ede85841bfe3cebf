# SPDX-License-Identifier: GPL-2.0
"""The guest's user space: busybox, ethtool, kexec, lvm and our own programs, static, for 2.6.32 and everything later.

Debian's binaries are linked with a C library that refuses kernels this old, so they are built here
from Debian's source packages with musl. The results are kept in the cache.
"""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from .host import CACHE, VmError, alone, replace_dir, run

SOURCES = Path(__file__).resolve().parents[1] / "guest"
CONFIG = SOURCES / "busybox.config"
HEADERS = sorted(SOURCES.glob("*.h"))
SCRIPTS = ("answer", "dhcp")
CFLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-std=gnu11"]


def _cached(kind, inputs, make):
    """The folder that make(folder) fills, made once per contents of the inputs."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *inputs]:
        digest.update(path.read_bytes() + b"\0")
    path = CACHE / "guest" / f"{kind}-{digest.hexdigest()[:16]}"
    if path.is_dir():
        return path
    with alone(path):
        if not path.is_dir():
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as tmp:
                new = Path(tmp) / "out"
                new.mkdir()
                make(new, Path(tmp))
                replace_dir(new, path)
    return path


def _kernel_headers(tmp):
    """musl-gcc sees only musl's own headers: a folder with the kernel's, to come after them."""
    found = tmp / "include"
    found.mkdir()
    multiarch = run("gcc", "-print-multiarch").strip()
    for name in ("linux", "asm-generic", "mtd"):
        (found / name).symlink_to(f"/usr/include/{name}")
    (found / "asm").symlink_to(f"/usr/include/{multiarch}/asm")
    return found


def _source_lists(tmp):
    """This machine's own apt sources, turned into source-package ones."""
    parts = tmp / "sources"
    parts.mkdir()
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", path.read_text())
        elif path.suffix == ".list" and path.is_file():
            text = re.sub(r"(?m)^deb\s", "deb-src ", path.read_text())
        else:
            continue
        (parts / path.name).write_text(text)
    return parts


def _fetch(package, tmp):
    """The unpacked source of a Debian package, through apt with state of its own."""
    (tmp / "lists" / "partial").mkdir(parents=True)
    apt = ["apt-get", "-q", "-o", "Dir::Etc::SourceList=/dev/null",
           "-o", f"Dir::Etc::SourceParts={_source_lists(tmp)}",
           "-o", f"Dir::State::Lists={tmp / 'lists'}", "-o", f"Dir::Cache={tmp / 'cache'}",
           "-o", "APT::Sandbox::User=root"]
    try:
        run(*apt, "update")
        run(*apt, "source", "--download-only", package, cwd=tmp)
    except VmError as error:
        raise VmError(f"{package}'s source package cannot be had from apt: {error}") from error
    [dsc] = tmp.glob(f"{package}_*.dsc")
    run("dpkg-source", "--no-check", "-x", dsc, tmp / package)
    return tmp / package


def _build_busybox(out, tmp):
    source = _fetch("busybox", tmp)
    # Off with everything, but keep the defaults of what is no switch.
    run("make", "-C", source, "defconfig")
    config = source / ".config"
    text = re.sub(r"(?m)^(CONFIG_\w+)=y$", r"# \1 is not set", config.read_text())
    wanted = [word for line in CONFIG.read_text().splitlines() for word in line.split("#")[0].split()]
    for word in wanted:
        text = text.replace(f"# CONFIG_{word} is not set\n", f"CONFIG_{word}=y\n")
    config.write_text(text)
    run("sh", "-c", f"yes '' | make -C '{source}' oldconfig")
    settled = config.read_text().splitlines()
    dropped = [word for word in wanted if f"CONFIG_{word}=y" not in settled]
    if dropped:
        raise VmError(f"busybox has no option {', '.join(dropped)}: correct {CONFIG}")
    run("make", "-C", source, f"-j{os.cpu_count()}", "CC=musl-gcc", "HOSTCC=gcc",
        f"CFLAGS=-idirafter {_kernel_headers(tmp)}", "busybox", "busybox.links")
    shutil.copy(source / "busybox", out)
    shutil.copy(source / "busybox.links", out)


def _build_ethtool(out, tmp):
    """Without netlink it uses ioctls alone, which every kernel answers."""
    source = _fetch("ethtool", tmp)
    run("sh", "configure", "--disable-netlink", "--disable-pretty-dump", "CC=musl-gcc",
        f"CFLAGS=-O2 -static -idirafter {_kernel_headers(tmp)}", cwd=source)
    run("make", "-C", source, "ethtool")
    run("strip", "-o", out / "ethtool", source / "ethtool")


def _build_programs(out, tmp):
    headers = _kernel_headers(tmp)
    for source in SOURCES.glob("*.c"):
        run("musl-gcc", *CFLAGS, "-static", "-idirafter", headers, "-o", out / source.stem, source)


def _fetch_guest_agent(out, tmp):
    run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "qemu-guest-agent", cwd=tmp)
    [package] = tmp.glob("qemu-guest-agent_*.deb")
    run("dpkg-deb", "-x", package, tmp / "package")
    shutil.copy(tmp / "package/usr/sbin/qemu-ga", out)


def guest_agent():
    """QEMU's own guest agent, from Debian, with this machine's libraries: {path in the guest: host file}."""
    program = _cached("qemu-ga", [], _fetch_guest_agent) / "qemu-ga"
    found = {"bin/qemu-ga": program}
    for path in re.findall(r"(/\S+) \(0x", run("ldd", program)):
        found[path[1:]] = Path(path).resolve()
    return found


def _build_kexec(out, tmp):
    source = _fetch("kexec-tools", tmp)
    run("sh", "configure", "--without-zlib", "--without-lzma", "--without-xen", "CC=musl-gcc", "BUILD_CC=gcc",
        f"CFLAGS=-O2 -static -idirafter {_kernel_headers(tmp)}", "LDFLAGS=-static", cwd=source)
    run("make", "-C", source, f"-j{os.cpu_count()}", "build/sbin/kexec")
    run("strip", "-o", out / "kexec", source / "build/sbin/kexec")


def kexec():
    """kexec, for the guests that start another kernel: {path in the guest: host file}."""
    return {"bin/kexec": _cached("kexec", [], _build_kexec) / "kexec"}


# Without udev lvm makes its nodes in /dev by itself. Of the kinds of volume, linear and striped ones are enough.
# 2.6.32's answer to BLKZEROOUT would be a failure to it.
LVM_OPTIONS = ["--enable-static_link", "--disable-readline", "--disable-selinux", "--disable-blkid_wiping",
               "--disable-systemd-journal", "--disable-app-machineid", "--disable-blkzeroout",
               *(f"--with-{kind}=none" for kind in ("snapshots", "thin", "cache", "vdo", "writecache", "integrity")),
               "--with-default-pid-dir=/run", "--with-default-dm-run-dir=/run", "--with-default-run-dir=/run/lvm",
               "--with-default-locking-dir=/run/lock/lvm"]
# What is left out for Valgrind in these files is what only glibc has: streams that can be assigned to, and mallinfo.
LVM_DEFINES = [f"DEFS_{name}.o=-DVALGRIND_POOL" for name in ("commands/toolcontext", "mm/memlock")]


def _build_lvm(out, tmp):
    aio = _fetch("libaio", tmp / "aio") / "src"
    cc = f"CC=musl-gcc -idirafter {_kernel_headers(tmp)}"
    run("make", "-C", aio, cc, "CFLAGS=-O2", "libaio.a")
    source = _fetch("lvm2", tmp)
    # musl's standard streams cannot be assigned to.
    main = source / "tools/lvmcmdline.c"
    text, found = re.subn(r"\((std\w+) = fopen\((\w+, \"\w\")\)\)", r"freopen(\2, \1)", main.read_text())
    if found != 3:
        raise VmError(f"lvm2 opens its standard streams in another way: correct {__file__}")
    main.write_text(text)
    run("sh", "configure", *LVM_OPTIONS, cc, "CFLAGS=-O2", f"CPPFLAGS=-I{aio}", f"LDFLAGS=-L{aio}", cwd=source)
    run("make", "-C", source, f"-j{os.cpu_count()}", *LVM_DEFINES, "lib")
    run("make", "-C", source / "tools", f"-j{os.cpu_count()}", "lvm.static")
    run("strip", "-o", out / "lvm", source / "tools/lvm.static")


def lvm():
    """lvm, for the guests that have volume groups: {path in the guest: host file}."""
    return {"bin/lvm": _cached("lvm", [], _build_lvm) / "lvm"}


def host_program(name):
    """One of the programs, built for this machine: the guest's peer."""
    source = SOURCES / f"{name}.c"
    return _cached(f"host-{name}", [source, *HEADERS],
                   lambda out, _: run("gcc", *CFLAGS, "-o", out / name, source)) / name


def files():
    """What every guest has: {path in the guest: host file, or the target of a link}."""
    busybox = _cached("busybox", [CONFIG], _build_busybox)
    programs = _cached("programs", [*sorted(SOURCES.glob("*.c")), *HEADERS], _build_programs)
    found = {"bin/busybox": busybox / "busybox", "init": SOURCES / "init"}
    for link in (busybox / "busybox.links").read_text().split():
        found[f"bin/{Path(link).name}"] = "busybox"
    for program in (*programs.iterdir(), *_cached("ethtool", [], _build_ethtool).iterdir()):
        found[f"bin/{program.name}"] = program
    for script in SCRIPTS:
        found[f"bin/{script}"] = SOURCES / script
    return found
