# SPDX-License-Identifier: GPL-2.0
"""The kernels there are: the distribution's own, and those that add-kernel has registered."""

import os
import re
from pathlib import Path

from .host import CACHE, VmError

REGISTRY = CACHE / "kernels"
DISTRO = "distro"
# The kernel that the pack is built for, if not for each that it is loaded on.
PACK_FOR = os.environ.get("VM_PACK_FOR") or None


class Kernel:
    """A kernel to boot, with the folder to build modules against and its own modules."""

    def __init__(self, name, release, vmlinuz, build, modules):
        self.name = name
        self.release = release
        self.vmlinuz = vmlinuz
        self.build = build
        self.modules = modules
        self._files = None

    def __repr__(self):
        return f"{self.name} ({self.release})"

    @property
    def old(self):
        """A 2.6.32, whose own virtio_pci refuses modern-only devices."""
        return self.release.startswith("2.6.32")

    def module_file(self, name):
        """The file of one of its own modules, or None: built in, or not there."""
        if self._files is None:
            self._files = {}
            for path in (self.modules / "kernel").rglob("*.ko*"):
                stem = re.sub(r"\.ko(\.(xz|gz|zst))?$", "", path.name)
                self._files.setdefault(stem.replace("-", "_"), path)
        return self._files.get(name.replace("-", "_"))


def _version(path):
    return [int(part) if part.isdigit() else part for part in re.findall(r"\d+|[a-z]+", path.name)]


def _distro():
    images = [p for p in Path("/boot").glob("vmlinuz-*")
              if (Path("/lib/modules") / p.name[8:] / "build").exists()]
    if not images:
        raise VmError("no kernel in /boot has its headers installed: install linux-image-amd64 and "
                      "linux-headers-amd64")
    image = max(images, key=lambda p: [(isinstance(v, int), v) for v in _version(p)])
    modules = Path("/lib/modules") / image.name[8:]
    return Kernel(DISTRO, image.name[8:], image, modules / "build", modules)


def registered():
    """Names in the registry, oldest release first."""
    if not REGISTRY.is_dir():
        return []
    names = [p.name for p in REGISTRY.iterdir() if (p / "release").is_file() and not p.name.startswith(".")]
    return sorted(names, key=lambda n: [int(x) for x in re.findall(r"\d+", n)] + [n.count(".")])


def find(name):
    """The kernel of that name."""
    if name == DISTRO:
        return _distro()
    path = REGISTRY / name
    if name not in registered():
        known = ", ".join([DISTRO, *registered()])
        raise VmError(f"no kernel named {name!r} is registered (known: {known}); "
                      "tests/vm/add-kernel registers one, see its --help")
    missing = [part for part in ("vmlinuz", "build", "modules") if not (path / part).exists()]
    if missing:
        raise VmError(f"kernel {name!r} lacks {', '.join(missing)}: register it again with "
                      "tests/vm/add-kernel --force")
    return Kernel(name, (path / "release").read_text().strip(), path / "vmlinuz", path / "build",
                  path / "modules")
