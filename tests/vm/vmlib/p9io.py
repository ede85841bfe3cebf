# SPDX-License-Identifier: GPL-2.0
"""guest/p9io, a user of the 9p client for kernels that have no 9p file system."""

import os
import shutil

from .guest import build_pack_for
from .host import BUILD, REPO, alone, run

RUN = "/sys/module/p9io/parameters/run"


def pattern(size, seed):
    """What p9io writes."""
    row = bytes(i * 7 & 0xff for i in range(256))
    rows = [bytes((byte + 13 * n + seed) & 0xff for byte in row) for n in range(256)]
    return b"".join(rows[n & 0xff] for n in range(size // 256 + 1))[:size]


def build_p9io(kernel):
    """Builds the module as the pack is built for this kernel; returns its file."""
    build_pack_for(kernel)
    pack, out = BUILD / kernel.name, BUILD / "p9io" / kernel.name
    with alone(out):
        shutil.copytree(REPO / "tests/vm/guest/p9io", out, dirs_exist_ok=True)
        run("make", "-s", "-C", kernel.build, f"M={out}", f"CC={(pack / 'toolchain/cc').read_text().strip()}",
            f"LD={(pack / 'toolchain/ld').read_text().strip()}", "modules",
            env={**os.environ, "VIRTIO_MODERN_ROOT": str(pack), "MAKEFLAGS": ""})
    return out / "p9io.ko"
