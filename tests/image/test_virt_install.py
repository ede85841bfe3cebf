# SPDX-License-Identifier: GPL-2.0
"""What virt-install makes of a guest before image/osinfo is installed and after, with the same options.

A libvirtd of the test's own answers it: as nobody, in a folder of its own, without KVM; no guest runs.
"""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from libvirtd import Session
from osinfolib import REPO, folders, install, run
from vmlib.host import VmError

pytestmark = pytest.mark.xdist_group("virt-install")


class Libvirt(Session):
    """A session of libvirt, with the osinfo folders plain, entries and wide."""

    def __init__(self):
        super().__init__("virt-install")
        try:
            self.disk = self.folder / "disk.qcow2"
            assert run("qemu-img", "create", "-q", "-f", "qcow2", self.disk, "4G").returncode == 0
            self.give(self.disk)
            install(self.folder / "entries")
            install(self.folder / "wide", "--site-wide")
        except BaseException:
            self.stop()
            raise

    def install(self, osinfo, os_name, *options):
        """The XML of `virt-install --print-xml` with one set of options for all, but for what differs by itself."""
        return self.run("virt-install", "--connect", "qemu:///session", "--virt-type", "qemu",
                        "--name", "guest", "--uuid", "6f1f0a9e-0000-4000-8000-000000000006", "--import",
                        "--disk", str(self.disk), "--network", "user,mac=52:54:00:00:00:06", "--graphics", "vnc",
                        "--osinfo", os_name, *options, "--print-xml", **folders(self.folder / osinfo))

    def pci_ids(self, xml):
        """The ids of the virtio devices of the QEMU that libvirt starts for XML, held before its first step."""
        guest = self.folder / "guest.xml"
        guest.write_text(xml)
        guest.chmod(0o644)
        self.virsh("create", "--paused", guest)
        try:
            tree = self.virsh("qemu-monitor-command", "guest", "--hmp", "info qtree")
        finally:
            self.virsh("destroy", "guest")
        return sorted(re.findall(r"pci id 1af4:([0-9a-f]{4}) ", tree))


@pytest.fixture(scope="module")
def libvirt():
    with Libvirt() as session:
        yield session


@pytest.fixture(scope="module")
def before(libvirt):
    return libvirt.install("plain", "centos6.10")


@pytest.fixture(scope="module")
def after(libvirt):
    return libvirt.install("entries", "centos6.10-virtio10")


def machine(xml):
    return ElementTree.fromstring(xml).find("os/type").get("machine")


def is_q35(xml):
    return re.fullmatch(r"(pc-)?q35(-[\d.]+)?", machine(xml)) is not None


def devices(xml):
    """[(kind, bus or model or type)] of what a guest has a driver for."""
    tree = ElementTree.fromstring(xml).find("devices")
    return sorted([("disk", each.find("target").get("bus")) for each in tree.findall("disk")] +
                  [("interface", each.find("model").get("type")) for each in tree.findall("interface")] +
                  [("channel", each.find("target").get("name")) for each in tree.findall("channel")] +
                  [(kind, each.get("model")) for kind in ("memballoon", "rng") for each in tree.findall(kind)])


def valid(libvirt, xml):
    path = libvirt.folder / "valid.xml"
    path.write_text(xml)
    return run("virt-xml-validate", path, "domain")


VIRTIO = [("channel", "org.qemu.guest_agent.0"), ("disk", "virtio"), ("interface", "virtio")]


def test_before(before):
    """A stock EL6 gets the machine on which it finds its disk."""
    assert machine(before).startswith("pc-i440fx-")
    assert devices(before) == VIRTIO
    assert "transitional" not in before and "pcie-root-port" not in before


def test_after(after):
    """Q35 with plain virtio, and the devices that stock EL6 was not trusted with."""
    assert is_q35(after) and "pcie-root-port" in after
    assert devices(after) == sorted(VIRTIO + [("memballoon", "virtio"), ("rng", "virtio")])
    assert "transitional" not in after


@pytest.mark.parametrize("name", ["centos6.0", "rhel6.0", "rhel6.10"])
def test_others(libvirt, before, after, name):
    """The entries of the other releases do the same: only the name of the OS differs."""
    def anonymous(xml):
        return re.sub(r'os id="[^"]*"', "", xml)

    assert anonymous(libvirt.install("plain", name)) == anonymous(before)
    assert anonymous(libvirt.install("entries", f"{name}-virtio10")) == anonymous(after)


def test_plain_stays(libvirt, before):
    """Who asks for centos6.10 gets what he got, with the entries or without."""
    assert libvirt.install("entries", "centos6.10") == before


def test_site_wide(libvirt, after):
    """With the extension, centos6.10 is what the entry is."""
    wide = libvirt.install("wide", "centos6.10")
    assert wide == after.replace("6.10-virtio10", "6.10")


def test_unknown(libvirt):
    """Without image/osinfo nobody knows the name."""
    with pytest.raises(VmError, match="Unknown OS name 'centos6.10-virtio10'"):
        libvirt.install("plain", "centos6.10-virtio10")


def test_forced(libvirt):
    """What --machine q35 gives a stock EL6: modern-only devices. virt-install itself never adds transitional ones."""
    xml = libvirt.install("plain", "centos6.10", "--machine", "q35")
    assert is_q35(xml) and devices(xml)[:3] == VIRTIO and "transitional" not in xml


def test_modern_only(libvirt, before, after):
    """The virtio devices of the two machines in QEMU: by their old ids, and by their new ones."""
    assert libvirt.pci_ids(before) == ["1000", "1001", "1002", "1003"]      # libvirt itself adds the balloon
    assert libvirt.pci_ids(after) == ["1041", "1042", "1043", "1044", "1045"]


def test_valid(libvirt, before, after):
    """libvirt's schema takes what comes out, and the tests' own machine; it does not take just anything."""
    own = (REPO / "tests/vm/libvirt/q35.xml").read_text()
    for xml in (before, after, own):
        done = valid(libvirt, xml)
        assert done.returncode == 0 and "validates" in done.stderr, done.stderr
    assert valid(libvirt, own.replace("<vcpu>", "<cpus>").replace("</vcpu>", "</cpus>")).returncode != 0
