# SPDX-License-Identifier: GPL-2.0
"""The main job: disks, a CD-ROM, a network card, an entropy device, a balloon and a console that are modern-only, with the pack and
without it."""

import subprocess
import sys
from pathlib import Path

import pytest

from vmlib import machine


@pytest.mark.parametrize("root", ["blk", "scsi"])
def test_demo(kernel, root):
    """make demo: boots from the disk, and on 2.6.32 shows that without the pack there is nothing."""
    argv = [sys.executable, Path(__file__).with_name("demo.py"), "--kernel", kernel.name, "--root", root]
    done = subprocess.run(argv, text=True, capture_output=True, timeout=600)
    machine.STARTED_AGAIN += [line for line in done.stderr.splitlines() if line.startswith("started again: ")]
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2] == "demo: 10 of 10 devices of libvirt's q35.xml work"
    assert lines[-1] == f"demo: 9 of 9 devices work (kernel {kernel.release}, q35, modern-only)"
    [without] = [line for line in lines if "without the pack:" in line and "booting" not in line]
    expected = ("no disk and no network interface is found" if kernel.old else
                "skipped: this kernel's own driver knows modern devices")
    assert without.endswith(expected)
