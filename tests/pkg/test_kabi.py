# SPDX-License-Identifier: GPL-2.0
"""tools/kabi: what it says of the modules that are built, and of what is not right with them or with the lists."""

import subprocess

import pytest
from root import MODULES, symbols
from vmlib import guest
from vmlib.host import REPO

KABI = REPO / "tools/kabi"


def kabi(*args):
    done = subprocess.run([KABI, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def modules(oldest):
    return list(guest.build_pack(oldest).values())


def write_symvers(folder, name, exports):
    path = folder / name / "build"
    path.mkdir(parents=True)
    (path / "Module.symvers").write_text("".join(f"{crc}\t{symbol}\tvmlinux\tEXPORT_SYMBOL\n" for symbol, crc in exports.items()))
    return folder


def test_against_registered_kernels(modules):
    """Built for the oldest, they load on all later ones."""
    from vmlib import kernels
    status, said = kabi("--lists", kernels.REGISTRY, *modules)
    assert status == 0, said
    for name in MODULES:
        assert f"\n{name}: " in f"\n{said}"
    assert "looked up  blk_queue_flush: " in said
    assert said.splitlines()[-1].endswith("what is imported is the same in all of them, or tolerated")


def test_another_crc(modules, oldest, tmp_path):
    write_symvers(tmp_path, oldest.name, symbols(oldest))
    write_symvers(tmp_path, "6.99", {**symbols(oldest), "blk_init_queue": "0x00000001"})
    status, said = kabi("--lists", tmp_path, *modules)
    assert status == 1
    assert f"BAD        blk_init_queue {symbols(oldest)['blk_init_queue']} (6.99: 0x00000001)" in said


def test_symbol_that_is_on_no_list(modules, oldest, tmp_path):
    """Tolerated for a module that no guest boots from, for a reason; not for others."""
    exports = symbols(oldest)
    for symbol in ("p9_client_cb", "register_netdev"):
        exports.pop(symbol)
    write_symvers(tmp_path, oldest.name, exports)
    status, said = kabi("--lists", tmp_path, *modules)
    assert status == 1
    assert "tolerated  p9_client_cb (not listed): " in said and "BAD        register_netdev" in said


def test_lists_of_names(modules, oldest, tmp_path):
    """RHEL's kernel-abi-whitelists package has names only, indented."""
    for n, names in (("60", symbols(oldest)), ("610", [name for name in symbols(oldest) if name != "blk_init_queue"])):
        folder = tmp_path / f"kabi-rhel{n}"
        folder.mkdir()
        (folder / "kabi_whitelist_x86_64").write_text("[rhel6_x86_64_whitelist]\n" + "".join(f"\t{name}\n" for name in names))
    status, said = kabi("--lists", tmp_path, "--since", "6.0", *modules)
    assert status == 1 and "BAD        blk_init_queue" in said and "(not listed: 6.10)" in said
    assert "checked against 6.0, 6.10: 1 symbols" in said


def test_table(modules, oldest, tmp_path):
    rows = "".join(f"{symbol}\tEXPORT_SYMBOL\twhite\t{crc}\t{crc}\n" for symbol, crc in symbols(oldest).items())
    (tmp_path / "x86_64.tsv").write_text(f"# a comment\nsymbol\texport\tlist\t6.9\t6.10\n{rows}")
    status, said = kabi("--lists", tmp_path, *modules)
    assert status == 0 and "checked against 6.9, 6.10: " in said


@pytest.mark.parametrize("args, message", [
    (["--lists", "/nonexistent"], "kabi: /nonexistent: no such folder with kABI lists"),
    (["--lists", "."], "no kABI lists for x86_64 in there"),
    (["--lists", ".", "/nonexistent.ko"], "kabi: /nonexistent.ko: no such file")])
def test_bad_input(modules, tmp_path, args, message):
    args = [str(tmp_path) if arg == "." else arg for arg in args]
    status, said = kabi(*args, *([] if args[-1].endswith(".ko") else modules))
    assert status == 1 and message in said and len(said.splitlines()) == 1, said


def test_no_module(tmp_path):
    (tmp_path / "x.ko").write_text("no ELF file")
    status, said = kabi("--lists", tmp_path, tmp_path / "x.ko")
    assert status == 1 and said.startswith("kabi: ") and len(said.splitlines()) == 1
