# SPDX-License-Identifier: GPL-2.0
"""The project's own packages, built for tests."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import root as pkg
from vmlib.host import BUILD, REPO, alone

OUT = BUILD.parent / "pkg"


def built(kernel, version=None):
    """The kmod package for a kernel, built once: (binary, source). version: of a copy of the source with another number."""
    out = OUT / "packages" / f"{kernel.name}-{version or pkg.VERSION}"
    with alone(out):
        stamp = out / "source"
        current = newest_source()
        if not stamp.exists() or stamp.read_text() != current:
            shutil.rmtree(out, ignore_errors=True)
            with tempfile.TemporaryDirectory() as tmp:
                top = renumbered(Path(tmp), version) if version else REPO
                subprocess.run([top / "rpm/package", "kmod", out, f"KDIR={kernel.build}"], check=True, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            stamp.write_text(current)
    [binary] = out.glob("*.x86_64.rpm")
    [source] = out.glob("*.src.rpm")
    return binary, source


def source_files():
    """Files that are, or would be, in the repository."""
    names = subprocess.check_output(["git", "-C", REPO, "ls-files", "--cached", "--others", "--exclude-standard"],
                                    text=True)
    return [name for name in names.splitlines() if (REPO / name).is_file()]


def newest_source():
    """Changes whenever a file of the source does."""
    times = [(REPO / name).stat().st_mtime_ns for name in source_files() if not name.startswith(("tests/", "docs/"))]
    # The last commit's time is the packages' time.
    head = subprocess.check_output(["git", "-C", REPO, "log", "-1", "--format=%ct"], text=True).strip()
    return f"{max(times)} {len(times)} {head}"


def renumbered(folder, version):
    """A copy of the source that says to be of another version."""
    top = folder / "source"
    for name in source_files():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, top / name)
    (top / "VERSION").write_text(version + "\n")
    for name in ("dkms.conf", "rpm/kmod-virtio-modern.spec", "rpm/dkms-virtio-modern.spec"):
        text = (top / name).read_text()
        assert pkg.VERSION in text
        (top / name).write_text(text.replace(pkg.VERSION, version))
    return top
