# SPDX-License-Identifier: GPL-2.0
"""The machine of libvirt/q35.xml: what is kept is what libvirt runs, and what make demo runs is what is kept."""

import pytest

from vmlib import libvirt
from vmlib.guest import Guest


def key(option, value):
    """How SUBSTITUTED names an option."""
    if option == "-chardev":
        return f"-chardev {value.split('id=')[1].split(',')[0]}"
    return "-object secret" if option == "-object" and '"secret"' in value else option


def test_command_line_is_libvirts():
    if reason := libvirt.missing():
        pytest.skip(reason)
    assert libvirt.ask() == libvirt.load()


def test_only_what_is_named_is_substituted(distro, folder):
    images = {name: folder / name for name in ("el6-root.img", "el6-data.img")}
    vm = libvirt.LibvirtMachine("distro/libvirt-argv", Guest(distro, pack=False), folder, images, folder,
                                {"guestfwd": []})
    vm.initramfs.unlink()
    kept, made = libvirt.load(), libvirt.pairs(vm.argv[1:])
    changed = [pair for pair in kept if pair not in made]
    assert {key(*pair) for pair in changed} == set(libvirt.SUBSTITUTED)
    assert [pair for pair in made if pair[0] == "-device"] == [pair for pair in kept if pair[0] == "-device"]
    # No more than a kernel is added.
    assert [option for option, _ in made if option not in {option for option, _ in kept}] == \
        ["-action", "-kernel", "-initrd", "-append"]
