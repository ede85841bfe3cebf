# SPDX-License-Identifier: GPL-2.0
"""Where things are on the host, and how commands are run there."""

import contextlib
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
BUILD = REPO / "build" / "vm"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtio-modern"


class VmError(Exception):
    """What is wrong, in one line that says what to do."""


def run(*argv, **options):
    """Runs a host command; returns its standard output, or raises with the end of what it said."""
    argv = [str(arg) for arg in argv]
    if not shutil.which(argv[0]):
        raise VmError(f"{argv[0]} is not installed (make deps installs it)")
    done = subprocess.run(argv, stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", **options)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise VmError(f"{' '.join(argv[:4])} … failed: {' / '.join(said[-3:]) or 'without a word'}")
    return done.stdout


@contextlib.contextmanager
def alone(path):
    """Nobody else is in here with the same path, which has a lock file beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch(name):
    """An empty folder for disk images and the like, gone afterwards; what a killed run left there, too."""
    path = BUILD / "tmp" / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def replace_dir(new, path):
    """Puts the complete folder `new` at `path`, where another process may have been faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        new.rename(path)
    except OSError:
        if not path.is_dir():
            raise
        shutil.rmtree(new)
