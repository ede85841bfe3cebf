# SPDX-License-Identifier: GPL-2.0
"""libosinfo with a private folder in place of /etc/osinfo and ~/.config/osinfo."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
IMAGE = REPO / "image"
TOOL = IMAGE / "osinfo/virtio10"
PYTHON = "/usr/bin/python3"             # the one that Debian's python3-gi is for
# What the pack drives: net, block, console, rng, balloon, scsi, 9p.
MODERN = {f"http://pcisig.com/pci/1af4/{device}" for device in (1041, 1042, 1043, 1044, 1045, 1048, 1049)}


def folders(root):
    """The variables that have libosinfo read what is below root, which took the place of / for virtio10."""
    return {"OSINFO_LOCAL_DIR": str(Path(root) / "etc/osinfo"), "OSINFO_USER_DIR": str(Path(root) / "no-user")}


def environment(root, **more):
    return {**os.environ, "LC_ALL": "C", **folders(root), **more}


def run(*argv, **options):
    return subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, **options)


def tool(*args, **options):
    """image/osinfo/virtio10, which has to succeed."""
    done = run(TOOL, *args, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(root, *options):
    return tool("install", "--root", root, *options)


def database(root):
    """{short id: what libosinfo has on it} of every OS, as an application sees it."""
    done = run(PYTHON, __file__, env=environment(root))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _dump():
    import gi
    gi.require_version("Libosinfo", "1.0")
    from gi.repository import Libosinfo
    loader = Libosinfo.Loader()
    loader.process_default_path()

    def elements(entities):
        return [entities.get_nth(index) for index in range(entities.get_length())]

    def date(when):
        return when and f"{when.get_year():04}-{int(when.get_month()):02}-{when.get_day():02}"

    found = {}
    for each in elements(loader.get_db().get_os_list()):
        found[each.get_short_id()] = {
            "id": each.get_id(), "name": each.get_name(), "version": each.get_version(), "vendor": each.get_vendor(),
            "family": each.get_family(), "distro": each.get_distro(), "short ids": each.get_short_id_list(),
            "released": date(each.get_release_date()), "eol": date(each.get_eol_date()),
            "devices": sorted({device.get_id() for device in elements(each.get_all_devices(None))}),
            "media": sorted(media.get_id() for media in elements(each.get_media_list())),
            "trees": sorted(tree.get_id() for tree in elements(each.get_tree_list())),
            "recommended": [[each.get_architecture(), each.get_ram(), each.get_storage()]
                            for each in elements(each.get_recommended_resources())],
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _dump()
