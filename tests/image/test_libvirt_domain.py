# SPDX-License-Identifier: GPL-2.0
"""A domain of tests/vm/libvirt/q35.xml that a real libvirtd defines, starts and destroys: an EL6 kernel from a disk that
was baked, and the guest reports every device."""

import json
import os
import socket
import subprocess
import threading

import pytest

import demo
from diskimage import Installed
from libvirtd import Domain, Session, adapted
from vmlib import host, libvirt, userland
from vmlib.host import VmError

pytestmark = pytest.mark.xdist_group("bake")

# libvirt's names for what is in the XML, and for the USB controller that it adds.
DEVICES = {"virtio-disk0": "block", "scsi0-0-0-0": "SCSI", "net0": "network", "channel0": "console", "fs0": "9p",
           "rng0": "entropy", "balloon0": "balloon", "serial0": None, "video0": None, "usb": None}
MODERN = {"1af4:1041", "1af4:1042", "1af4:1043", "1af4:1044", "1af4:1045", "1af4:1048", "1af4:1049"}


class Root(demo.LibvirtRoot):
    def after(self, vm):
        """The root file system is below that disk: on it, on a partition, or on LVM in one."""
        where = vm.run("path=$(awk '$5 == \"/\" { at = $3 } END { print at }' /proc/self/mountinfo) && "
                       "path=$(realpath /sys/dev/block/$path) && "
                       "for below in $path/slaves/*; do [ ! -e $below ] || path=$(realpath $below); done; "
                       f"echo $path; realpath {vm.pci(self.name)}").split()
        if not where[0].startswith(f"{where[1]}/"):
            raise VmError(f"/ is on {where[0]}")
        vm.run("cd /proof && sha256sum -c sums", timeout=180)
        return "booted from twice; checksums hold after the reboot"


class Peer:
    """`netio serve` on a port of the host's loopback that nobody else has."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.children = self.listener.getsockname()[1], []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def _serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if self.closing:
                    return
                self.children.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--",
                                                       userland.host_program("netio"), "serve", "-"],
                                                      stdin=connection))

    closing = False

    def __exit__(self, *_):
        self.closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()
        for child in self.children:
            child.kill()
            child.wait()


class Nic(demo.LibvirtNic):
    """On QEMU's own network, whose gateway's ports are the host's."""

    total = 32 * demo.MIB

    def __init__(self, peer):
        self.peer = f"10.0.2.2 {peer.port}"


class Channel(demo.LibvirtChannel):
    total = 4 * demo.MIB

    def _check(self, vm, total, seed):
        """Libvirt itself is who talks to an agent in the guest."""
        self._channel(vm, total, seed)
        job = vm.start(f"qga {vm.port(self.name)} /")
        job.expect("ready")

        said = []

        def answers():
            try:
                said.append(vm.virsh("qemu-agent-command", "--timeout", "10", json.dumps({"execute": "guest-ping"})))
                return json.loads(said[-1]) == {"return": {}}
            except VmError as error:
                said.append(str(error))         # it may not have heard yet that somebody else has opened the port
                return False
        try:
            vm.wait_until(answers, "an answer of the agent to libvirt", timeout=120)
        except VmError as error:
            raise VmError(f"{error}: {said[-1]}") from error
        job.kill()


class Console(demo.Subject):
    """The serial port, which is the console, and the way that all these proofs take."""

    name, virtio = "serial0", False

    @staticmethod
    def _starts(vm):
        return vm.console.read_bytes().count(b"Linux version 2.6.32")

    def before(self, vm):
        self.starts = self._starts(vm)
        if not self.starts:
            raise VmError("it has not told of the start")

    def after(self, vm):
        if self._starts(vm) <= self.starts:
            raise VmError("it has not told of the second start")
        return "not virtio, nothing for the pack: the kernel's log, and each command of these tests"


@pytest.fixture(scope="module")
def kernel(original):
    return original.kernels[0][0]


class Run:
    """What came of the domain's life: rows and failed (of prove()), what the guest's status said, and where libvirt
    has the devices."""


@pytest.fixture(scope="module")
def run(kernel, baked):
    """The domain's life, from define to undefine. Its disk is what bake has made of a guest's."""
    it = Run()
    with Session("domain") as session, Peer() as peer:
        image = session.folder / "el6-root.img"
        host.run("qemu-img", "convert", "-O", "raw", baked[0], image)
        data, share = session.folder / "el6-data.img", session.folder / "share"
        share.mkdir()
        root, raw = Root(), demo.LibvirtData(data)
        for path in (image, data, share):
            session.give(path)
        description = adapted(libvirt.XML.read_text(), session, {path.name: path for path in (image, data)}, share)
        subjects = [root, raw, Nic(peer), Channel(), demo.LibvirtShare(share, session.uid), demo.LibvirtRng(),
                    demo.LibvirtBalloon(), Console(), demo.Other("video0", "0x030000"),
                    demo.Other("usb", "0x0c0330")]
        with Domain("image/libvirt-domain", Installed(kernel, {"p9io": None}), session, description) as vm:
            demo.match(vm, subjects)
            it.rows, it.failed = demo.prove(vm, subjects)
            it.failed = {subject.name: why for subject, why in it.failed.items()}
            it.status = json.loads(vm.run("virtio-modern --json status"))
            it.slots = {name: os.path.basename(vm.pci(device)) for name, device in
                        ((subject.name, getattr(subject, "on", subject.name)) for subject in subjects)
                        if device in vm.places}
            it.argv, it.release = vm.argv, vm.run("uname -r").strip()
            qemu = vm.process
            vm.finish()
        it.left = [*session.virsh("list", "--all", "--name").split(), *qemu.argv()]
        it.folder = session.folder
    it.left += [it.folder] if it.folder.exists() else []
    return it


@pytest.mark.parametrize("name", DEVICES)
def test_device(run, name):
    """It works on either side of a reboot, and if it is virtio, it is modern-only."""
    assert run.failed.get(name) is None
    [row] = [row for row in run.rows if row["device"] == name]
    assert row["interface"] == ("modern" if DEVICES[name] else "not virtio") and row["proved"]


def test_all_devices(run):
    """Nothing of what libvirt runs is left out: each virtio device of its command line is one of these."""
    made = [each["id"] for each in libvirt.values(libvirt.pairs(run.argv[1:]), "-device")
            if each["driver"].startswith("virt") or each["driver"] == "scsi-hd"]
    assert {name for name, kind in DEVICES.items() if kind} | {"scsi0", "virtio-serial0"} == set(made)


def test_status(run):
    """virtio-modern in the guest says the same of them."""
    assert {each["type"]: each["slot"] for each in run.status} == \
        {kind: run.slots[name] for name, kind in DEVICES.items() if kind}
    assert {each["pci_id"] for each in run.status} == MODERN
    assert {each["interface"] for each in run.status} == {"modern"}
    assert [each for each in run.status if not each["driver"] or "VERSION_1" not in each["features"]] == []


def test_kernel(run, kernel):
    assert run.release == kernel.release


def test_as_kept(run):
    """The devices are those of the command line that is kept, which the demo and tests/vm run."""
    if reason := libvirt.missing():
        pytest.skip(reason)
    assert libvirt.values(libvirt.pairs(run.argv[1:]), "-device") == libvirt.values(libvirt.load(), "-device")


def test_nothing_stays(run):
    """No domain, no QEMU, no folder."""
    assert not run.left
