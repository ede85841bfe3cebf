# SPDX-License-Identifier: GPL-2.0
"""The file that bake writes, without a guest in it: of the same format, with what the image has and the changes, on top of
the same file as before; and nothing else is touched, whatever else an image consists of."""

import importlib.machinery
import importlib.util
import json
import os
import types

import pytest

from bakelib import BAKE, MIB, bake
from root import digest
from vmlib.host import run

loader = importlib.machinery.SourceFileLoader("bake", str(BAKE))
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bake", loader))
loader.exec_module(module)

SIZE = 8 * MIB
OLD, NEW = 0x11, 0x22           # what the image is full of, and what is changed in its second MiB


def changed(image):
    """What bake makes of it: the overlay with changes, and then the result's place."""
    folder = image.path.parent / ".bake-test"
    folder.mkdir()
    overlay = folder / "changes.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.path, "-F", image.format, overlay)
    run("qemu-io", "-f", "qcow2", "-c", f"write -P {NEW} 1M 1M", overlay)
    return overlay, folder / "image"


def info(path):
    return json.loads(run("qemu-img", "info", "--output=json", path))


def assert_contents(path):
    raw = path.with_suffix(".contents")
    run("qemu-img", "convert", "-O", "raw", path, raw)
    data = raw.read_bytes()
    raw.unlink()
    assert data == bytes([OLD]) * MIB + bytes([NEW]) * MIB + bytes([OLD]) * (SIZE - 2 * MIB)


def make(path, image_format, *options, fill=True):
    size = [] if "-b" in options else [str(SIZE)]
    run("qemu-img", "create", "-q", "-f", image_format, *options, path, *size)
    if fill:
        run("qemu-io", "-f", image_format, "-c", f"write -P {OLD} 0 {SIZE}", path)
    return path


def files(folder):
    return {path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.mark.parametrize("image_format, options", [
    ("raw", ()), ("qcow2", ()), ("qcow2", ("-o", "compat=0.10")), ("qcow2", ("-o", "data_file=data.raw")), ("vdi", ()),
    ("vmdk", ()), ("vmdk", ("-o", "subformat=twoGbMaxExtentSparse")), ("vhdx", ())], ids=lambda value: str(value))
def test_formats(tmp_path, monkeypatch, image_format, options):
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "image", image_format, *options)
    path.chmod(0o440)
    before = files(tmp_path)
    image = module.Image(path, None)
    overlay, partial = changed(image)
    place = tmp_path / "result"
    module.write(image, place, overlay, partial)
    assert {name: what for name, what in files(tmp_path).items() if name != "result"} == before
    assert_contents(place)
    assert info(place)["format"] == image_format and place.stat().st_mode & 0o777 == 0o640
    if image_format == "qcow2":
        wanted = "0.10" if "compat=0.10" in options else "1.1"
        assert info(place)["format-specific"]["data"]["compat"] == wanted
        assert "data-file" not in info(place)["format-specific"]["data"]


@pytest.mark.parametrize("where", ["beside", "elsewhere", "in place"])
@pytest.mark.parametrize("relative", [True, False])
def test_on_top_of_another(tmp_path, monkeypatch, where, relative):
    """An image that holds what differs from another one, which is meant for more guests than this."""
    monkeypatch.chdir(tmp_path)
    base = make(tmp_path / "base.qcow2", "qcow2")
    named = "base.qcow2" if relative else str(base)
    path = make(tmp_path / "image.qcow2", "qcow2", "-b", named, "-F", "qcow2", fill=False)
    run("qemu-img", "snapshot", "-c", "before", path)
    image = module.Image(path, None)
    before = files(tmp_path)
    overlay, partial = changed(image)
    (tmp_path / "other").mkdir()
    place = {"beside": tmp_path / "result.qcow2", "elsewhere": tmp_path / "other/result.qcow2", "in place": path}[where]
    module.write(image, place, overlay, partial)
    after = files(tmp_path)
    assert all(after[name] == before[name] for name in before if tmp_path / name != place)
    assert_contents(place)
    assert info(place)["backing-filename"] == (str(base) if where == "elsewhere" else named)
    assert [each["name"] for each in info(place)["snapshots"]] == ["before"]
    # Not the whole of the other one: what differs.
    assert place.stat().st_blocks * 512 < SIZE / 2


def test_written_to_meanwhile(tmp_path):
    path = make(tmp_path / "image", "raw")
    image = module.Image(path, None)
    overlay, partial = changed(image)
    os.utime(path, (1, 1))
    before = files(tmp_path)
    with pytest.raises(module.BakeError, match="somebody else has written to it meanwhile"):
        module.write(image, tmp_path / "result", overlay, partial)
    assert files(tmp_path) == before


def test_no_room(tmp_path, monkeypatch):
    path = make(tmp_path / "image", "raw")
    image = module.Image(path, None)
    options = types.SimpleNamespace(image=path, output=None, in_place=False)
    assert module.place_for(image, options) == tmp_path / "image-virtio-modern.img"
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=100 * MIB))
    with pytest.raises(module.BakeError, match="has 100 MiB free, and a copy of the image may take 308 MiB"):
        module.place_for(image, options)


def test_parts_elsewhere_are_not_replaced(tmp_path, monkeypatch, kmod):
    """--in-place is for an image that is one file."""
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "image", "qcow2", "-o", "data_file=data.raw")
    before = files(tmp_path)
    done = bake(path, "--rpm", kmod, "--in-place")
    assert done.returncode == 1 and "--in-place is for raw and qcow2 images of one file" in done.stderr
    assert files(tmp_path) == before


def test_given_format(tmp_path):
    """A raw image whose contents say that it is on top of a file of the host's."""
    path = make(tmp_path / "image", "qcow2", "-b", make(tmp_path / "secret", "raw"), "-F", "raw", fill=False)
    os.truncate(path, 2 * MIB)
    assert module.Image(path, None).backing
    image = module.Image(path, "raw")
    assert image.format == "raw" and not image.backing and image.size == path.stat().st_size
    with pytest.raises(module.BakeError, match="not a disk image that can be read here"):
        module.Image(path, "vdi")


@pytest.mark.parametrize("terminal, every", [(False, 30), (True, 1)])
def test_sign_of_life(capsys, terminal, every):
    progress = module.Progress(quiet=False)
    progress.tty = terminal
    progress.step("at work")
    capsys.readouterr()
    progress.alive()
    assert capsys.readouterr().out == ""
    progress.last -= every
    progress.alive()
    assert "s] … at work" in capsys.readouterr().out
