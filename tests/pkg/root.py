# SPDX-License-Identifier: GPL-2.0
"""A root folder to install packages in: the host's system with folders of its own where it matters, so that real rpm,
depmod and dracut work in it, and nothing of the host is touched. With EL6's own tools, where they are at hand."""

import copy
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from vmlib.host import CACHE, REPO, VmError  # noqa: E402

# module-init-tools, dracut and grubby of EL6, unpacked as in a system (sbin/depmod, usr/share/dracut, …).
EL6_TOOLS = CACHE / "el6"
# What has nothing of the host in it.
OWN = ("boot", "usr/lib/modules", "var/lib/rpm", "etc/depmod.d", "etc/dracut.conf.d", "etc/kernel", "var/lib/dkms", "usr/src",
       "var/tmp", "tmp", "usr/lib/depmod.d", "usr/lib/dracut/dracut.conf.d")
# dracut's modules that matter here; the rest takes time, and EL6's wants EL6's udev.
DRACUT = 'dracutmodules+=" kernel-modules "\nhostonly="no"\n'
RPM_MACROS = "%_dbpath /var/lib/rpm\n"
MODULES = ("virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "virtio_console",
           "virtio_balloon", "virtio-rng", "9pnet_virtio")
# The second kernel of a system, where there is but one: its files under another name.
OTHER = "2.6.32-999.el6.x86_64"
VERSION = (REPO / "VERSION").read_text().strip()


class NoRoot(Exception):
    """Root folders cannot be had here."""


def el6_tools():
    """Which of EL6's own tools are at hand."""
    return {name for name in ("depmod", "dracut", "weak-modules", "new-kernel-pkg") if (EL6_TOOLS / "sbin" / name).exists()}


def digest(path):
    """Two files of megabytes are compared by it: pytest would show how they differ, for minutes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Done:
    """What a command in a root folder has said, and how it ended."""

    def __init__(self, process):
        self.status = process.returncode
        self.said = process.stdout

    def __repr__(self):
        return f"exit status {self.status}: {self.said}"


class Root:
    """A root folder. Each command has mounts of its own, so that nothing stays mounted."""

    MOUNT = "mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root"
    ENV = {"PATH": "/sbin:/usr/sbin:/bin:/usr/bin", "HOME": "/tmp", "LC_ALL": "C"}

    def __init__(self, folder, el6=False):
        self.folder = Path(folder)
        self.upper = self.folder / "upper"
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        self.el6 = el6
        for name in OWN:
            path = self.upper / name
            path.mkdir(parents=True, exist_ok=True)
            try:
                os.setxattr(path, "trusted.overlay.opaque", b"y")
            except OSError as error:
                raise NoRoot(f"no overlay file system in {folder}: {error.strerror}") from None
            path.chmod(0o1777 if name.endswith("tmp") else 0o755)
        self.write("etc/dracut.conf.d/00-test.conf", DRACUT)
        # Debian's rpm has its database in HOME.
        self.write("etc/rpm/macros", RPM_MACROS)
        if el6:
            shutil.copytree(EL6_TOOLS / "sbin", self.upper / "usr/sbin", dirs_exist_ok=True)
            shutil.copytree(EL6_TOOLS / "usr", self.upper / "usr", dirs_exist_ok=True)
            shutil.copytree(EL6_TOOLS / "etc", self.upper / "etc", dirs_exist_ok=True)
        if (made := self.run("true")).status:
            raise NoRoot(f"no root folder can be mounted here: {made.said.strip()}")
        self.check("rpm --initdb")

    def copy(self, folder):
        """The same again in another, empty folder, to be changed."""
        subprocess.run(["cp", "-a", f"{self.folder}/.", folder], check=True)
        other = copy.copy(self)
        other.folder, other.upper = Path(folder), Path(folder) / "upper"
        return other

    def command(self, script, before="", after=""):
        """The command that runs a shell script in the root folder, and others, in its mounts, before and after it."""
        mounts = f"""
set -e
cd {self.folder}
{self.MOUNT}
for each in proc dev sys; do mount --rbind /$each root/$each; done
"""
        return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", mounts + before
                + 'set +e; chroot root /bin/sh -c "$0"; status=$?\n' + after + "\nexit $status", script]

    def run(self, script, env=None, boot_size=None, timeout=600):
        """Runs a shell script in the root folder. boot_size: /boot is a file system of its own of that size, for this
        command, with what is in it."""
        before = after = ""
        if boot_size:
            before = f"cp -a upper/boot boot-copy; mount -t tmpfs -o size={boot_size} none root/boot; cp -a boot-copy/. root/boot/\n"
            after = "rm -rf boot-copy boot-now; cp -a root/boot boot-now"
        process = subprocess.run(
            self.command(script, before, after), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=timeout, env={**self.ENV, **(env or {})})
        if boot_size and (self.folder / "boot-now").exists():
            shutil.rmtree(self.upper / "boot")
            (self.folder / "boot-now").rename(self.upper / "boot")
            os.setxattr(self.upper / "boot", "trusted.overlay.opaque", b"y")
        return Done(process)

    def check(self, script, **options):
        done = self.run(script, **options)
        if done.status:
            raise VmError(f"{script}: {done}")
        return done.said

    def path(self, name):
        """A file of the root folder that is not of the host's. As the guest's /lib is /usr/lib, so here."""
        name = str(name).lstrip("/")
        if name.startswith(("lib/", "sbin/", "bin/")):
            name = f"usr/{name}"
        return self.upper / name

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def bring(self, *files):
        """Puts files of the host into /tmp; returns their names there."""
        for file in files:
            shutil.copy(file, self.upper / "tmp")
        return " ".join(f"/tmp/{Path(file).name}" for file in files)

    # ---- kernels ----

    def install_kernel(self, package, env=None):
        """Installs a kernel's package (see kernel_package()) as yum would."""
        return self.run(f"rpm -ivh {self.bring(package)}", env=env)

    def image(self, kernel, release=None):
        return self.path(f"boot/initramfs-{release or kernel.release}.img")

    def unpack(self, image):
        """The files of an initramfs: a folder."""
        folder = self.folder / "unpacked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        data = image.read_bytes()
        reader = {b"\x1f\x8b": "gzip -dc", b"\xfd7": "xz -dc", b"\x28\xb5": "zstd -dc", b"07": "cat"}[data[:2]]
        subprocess.run(f"{reader} | cpio -idm --quiet --no-absolute-filenames", shell=True, check=True, cwd=folder,
                       input=data, stderr=subprocess.DEVNULL)
        return folder

    def makes(self, paths):
        """{module: its version, "" for the kernel's own} of module files with the pack's names."""
        found = {}
        for path in paths:
            name = re.sub(r"\.ko.*", "", path.name)
            if name in MODULES:
                assert name not in found, f"two files for {name}"
                said = subprocess.check_output(["modinfo", "-F", "version", path], text=True).strip()
                found[name] = said if "." in said else ""
        return found

    def image_makes(self, kernel, release=None):
        """The same, of an initramfs: of all module files in it."""
        return self.makes(p for p in self.unpack(self.image(kernel, release)).rglob("*.ko*")
                          if p.is_file() and not p.is_symlink())

    def chosen(self, kernel, release=None):
        """{module: file below /lib/modules/RELEASE} as depmod has it, for the pack's names."""
        release = release or kernel.release
        lines = (self.path(f"lib/modules/{release}") / "modules.dep").read_text().splitlines()
        files = [line.split(":")[0].removeprefix(f"/lib/modules/{release}/") for line in lines]
        return {re.sub(r"\.ko.*", "", Path(file).name): file for file in files
                if re.sub(r"\.ko.*", "", Path(file).name) in MODULES}

    def state(self):
        """{release: (modules, initramfs)} as the pack's own script sees it."""
        lines = self.check("/usr/libexec/virtio-modern/stack state").splitlines()
        return {line.split()[0]: (line.split()[2], line.split()[4]) for line in lines}

    def snapshot(self):
        """All that may change: {path: digest or link target}, without what depmod writes anew each time."""
        found = {}
        for name in OWN:
            if name in ("var/lib/rpm", "tmp", "var/tmp", "var/lib/dkms", "usr/src"):
                continue
            for path in sorted((self.upper / name).rglob("*")):
                key = str(path.relative_to(self.upper))
                if path.is_symlink():
                    found[key] = os.readlink(path)
                elif path.is_file():
                    found[key] = digest(path)
        return found


# ---- packages that stand in for a system's ----

def rpmbuild(spec, folder, *options):
    """Builds a package from a spec's text; returns the package."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.spec").write_text(spec)
    done = subprocess.run(["rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {folder}", "--define", "_binary_payload w1.gzdio",
                           "--define", "__os_install_post %{nil}", "--define", "_build_id_links none",
                           "--define", "debug_package %{nil}", *options, folder / "a.spec"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise VmError(f"rpmbuild: {done.stdout[-2000:]}")
    [package] = (folder / "RPMS").glob("*/*.rpm")
    return package


def platform_package(folder):
    """What a system has that kmod-virtio-modern asks for by name."""
    return rpmbuild("""
Name: platform
Version: 6
Release: 1
Summary: What a system has
License: GPLv2
Provides: /bin/sh
Provides: /sbin/depmod
Provides: /sbin/dracut
AutoReqProv: no
%description
%files
""", folder)


def symbols(kernel):
    """{symbol: 0xCRC} that a kernel exports."""
    lines = (kernel.build / "Module.symvers").read_text().splitlines()
    return {line.split("\t")[1]: line.split("\t")[0] for line in lines}


def kernel_package(kernel, folder, release=None, altered=None, image=True, symvers=True, system_map=True):
    """A package of a registered kernel, laid out and with scripts in the order of RHEL's. release: under another name.
    altered: {symbol: CRC} that it says to export."""
    release = release or kernel.release
    version, _, package_release = release.removesuffix(".x86_64").partition("-")
    folder = Path(folder)
    files = folder / "files"
    modules = files / "lib/modules" / release
    (files / "boot").mkdir(parents=True)
    shutil.copytree(kernel.modules / "kernel", modules / "kernel", symlinks=True)
    for name in ("modules.order", "modules.builtin"):
        there = kernel.modules / name
        (modules / name).write_bytes(there.read_bytes() if there.exists() else b"")
    shutil.copy(kernel.vmlinuz, files / f"boot/vmlinuz-{release}")
    if system_map:
        shutil.copy(kernel.build.parent / "System.map", files / f"boot/System.map-{release}")
    exports = {**symbols(kernel), **(altered or {})}
    if symvers:
        text = "".join(f"{crc}\t{symbol}\tvmlinux\tEXPORT_SYMBOL\n" for symbol, crc in exports.items())
        (files / f"boot/symvers-{release}.gz").write_bytes(gzip.compress(text.encode(), 1))
    provides = "".join(f"Provides: kernel({symbol}) = {crc}\n" for symbol, crc in sorted(exports.items()))
    make_image = f"dracut -f /boot/initramfs-{release}.img {release}" if image else "true"
    return rpmbuild(f"""
Name: kernel
Version: {version}
Release: {package_release}
Summary: A kernel to test with
License: GPLv2
AutoReqProv: no
{provides}
%description
%install
cp -a {files}/. %{{buildroot}}/
%posttrans
# new-kernel-pkg --mkinitrd --dracut --depmod --update
depmod -a {release} && {make_image} || exit 1
# new-kernel-pkg --rpmposttrans
for hook in /etc/kernel/postinst.d/*; do
	[ ! -x $hook ] || $hook {release} /boot/vmlinuz-{release}
done
if [ -x /sbin/weak-modules ]; then
	/sbin/weak-modules --add-kernel {release} || exit $?
fi
%preun
for hook in /etc/kernel/prerm.d/*; do
	[ ! -x $hook ] || $hook {release} /boot/vmlinuz-{release}
done
rm -f /boot/initramfs-{release}.img /lib/modules/{release}/modules.*
[ ! -x /sbin/weak-modules ] || /sbin/weak-modules --remove-kernel {release}
%files
/lib/modules/{release}
/boot/*
""", folder / "rpm")
