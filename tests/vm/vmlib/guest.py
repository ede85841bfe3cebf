# SPDX-License-Identifier: GPL-2.0
"""What runs in a guest: its modules, its initramfs, its root file system."""

import gzip
import lzma
import os
import re
import shutil
import tempfile
from pathlib import Path

from . import kernels, userland
from .host import BUILD, REPO, VmError, alone, run

# A file system that 2.6.32 knows, whatever the host's mke2fs has for a default.
EXT4 = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super," \
       "large_file,huge_file,uninit_bg,dir_nlink,extra_isize"

_built = {}


def build_pack(kernel):
    """Builds the pack for a kernel, once a process: {module name: .ko file}."""
    return build_pack_for(kernels.find(kernels.PACK_FOR) if kernels.PACK_FOR else kernel)


def build_pack_for(kernel):
    """The same, for this very kernel."""
    if kernel.name not in _built:
        out = BUILD / kernel.name
        with alone(out):
            run("make", "-s", "-C", REPO, f"KDIR={kernel.build}", f"O={out}", f"-j{os.cpu_count()}")
        found = {path.stem.replace("-", "_"): path for path in out.glob("*/*.ko")}
        if not found:
            raise VmError(f"make KDIR={kernel.build} O={out} left no */*.ko there")
        _built[kernel.name] = found
    return _built[kernel.name]


def _plain(path):
    """The contents of a module that may be compressed."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        with tempfile.TemporaryDirectory() as tmp:
            run("zstd", "-q", "-d", path, "-o", f"{tmp}/module")
            return Path(tmp, "module").read_bytes()
    return path.read_bytes()


class Guest:
    """A kernel's user space, with the pack's modules or (pack=False) with the kernel's own virtio.

    With the pack, whatever of the kernel's own modules has virtio in its name stays out.
    """

    # Beside these and what they need, a guest has every module of the pack.
    WANTED = ("crc32c_generic", "ext4", "pciehp", "loop", "sd_mod", "sr_mod", "sg")
    STOCK = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "virtio_rng", "virtio_balloon", "virtio_console")

    def __init__(self, kernel, pack=True, also=(), files=None):
        """also: further modules of the kernel's own, as far as it has them. files: {path in the guest: host file}."""
        self.kernel = kernel
        self.pack = build_pack(kernel) if pack else {}
        self.files = files or {}
        self.modules = {}       # name: (file, names it needs), in an order that loads
        for name in (*self.WANTED, *(self.pack or self.STOCK), *also):
            self._add(name)

    def _module_file(self, name):
        if self.pack and "virtio" in name:
            return self.pack.get(name)
        return self.kernel.module_file(name)

    def _add(self, name):
        """Adds a module and what it needs; what is built in has no file. Returns all it needs."""
        name = name.replace("-", "_")
        path = self._module_file(name)
        if not path:
            return []
        if name not in self.modules:
            needs = []
            first = [dep for line in run("modinfo", "-F", "softdep", path).splitlines()
                     for dep in re.sub(r".*pre:|post:.*", "", line).split()]
            for dep in first + run("modinfo", "-F", "depends", path).replace(",", " ").split():
                for each in self._add(dep):
                    if each not in needs:
                        needs.append(each)
            self.modules[name] = (path, needs)
        return [*self.modules[name][1], name]

    @staticmethod
    def _plain():
        """What a guest has whatever its modules: {path in the guest: file, bytes, link target, or None for a folder}."""
        tree = {name: None for name in ("bin", "dev", "newroot", "proc", "sys", "tmp", "mnt", "lib", "lib/modules")}
        tree.update(userland.files())
        return tree

    def _tree(self):
        """The same, and all else."""
        tree = self._plain()
        for name in self.files:
            tree.update({str(folder): None for folder in reversed(Path(name).parents[:-1]) if str(folder) not in tree})
        tree.update(self.files)
        base = f"lib/modules/{self.kernel.release}"
        tree[base] = None
        for name, (path, _) in self.modules.items():
            tree[f"{base}/{name}.ko"] = _plain(path)
        tree[f"{base}/modules.dep"] = "".join(
            f"{name}.ko:{''.join(f' {dep}.ko' for dep in reversed(needs))}\n"
            for name, (_, needs) in self.modules.items()).encode()
        for empty in ("alias", "symbols"):
            tree[f"{base}/modules.{empty}"] = b""
        return tree

    def write_initramfs(self, path):
        """Writes a newc archive, uncompressed: every kernel takes it, and at once."""
        with open(path, "wb") as out:
            def member(name, mode, data=b"", device=(0, 0)):
                member.count += 1
                fields = (member.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
                out.write(b"070701" + b"".join(b"%08X" % field for field in fields))
                out.write(name.encode() + b"\0")
                out.write(bytes(-out.tell() % 4) + data)
                out.write(bytes(-out.tell() % 4))
            member.count = 0
            for name, what in self._tree().items():
                if what is None:
                    member(name, 0o040755)
                elif isinstance(what, str):
                    member(name, 0o120777, what.encode())
                else:
                    member(name, 0o100755, what if isinstance(what, bytes) else what.read_bytes())
            member("dev/console", 0o020600, device=(5, 1))
            member("TRAILER!!!", 0)

    @staticmethod
    def _write(tree, folder):
        for name, what in tree.items():
            target = Path(folder, name)
            if what is None:
                target.mkdir()
            elif isinstance(what, str):
                target.symlink_to(what)
            elif isinstance(what, bytes):
                target.write_bytes(what)
            else:
                shutil.copy(what, target)

    def write_root(self, path, size="64M"):
        """Writes an ext4 image of the same tree."""
        with tempfile.TemporaryDirectory() as tmp:
            self._write(self._tree(), tmp)
            make_ext4(path, size, tmp)


def make_ext4(path, size, folder=None):
    """Writes an ext4 image that 2.6.32 can mount, with the contents of a folder."""
    Path(path).unlink(missing_ok=True)
    run("/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-O", EXT4, "-I", "256",
        *(["-d", folder] if folder else []), path, size)
