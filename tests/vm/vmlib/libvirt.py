# SPDX-License-Identifier: GPL-2.0
"""The machine of libvirt/q35.xml as libvirt runs it.

libvirt/q35.argv is the command line that libvirt's QEMU driver has started for that description, an option a line;
`python3 -m vmlib.libvirt` writes it anew. LibvirtMachine keeps every -device of it as it is, and all else but
what SUBSTITUTED and its _replace() name.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import devices
from .host import VmError, run
from .machine import ACCEL, Machine

FOLDER = Path(__file__).resolve().parents[1] / "libvirt"
XML, ARGV = FOLDER / "q35.xml", FOLDER / "q35.argv"
VERSION = "9.0"                 # of the libvirt whose command line it is: Debian 12's
DRIVER = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "libvirt/connection-driver/libvirt_driver_qemu.so"
UUID = "00000000-0000-0000-0000-000000000000"
# What is not taken over, and why.
SUBSTITUTED = {
    "-name": "the test's name",
    "-accel": "no KVM is needed",
    "-S": "libvirt lets the guest run by its monitor",
    "-object secret": "the key of a domain that libvirt keeps",
    "-chardev charmonitor": "the harness has a monitor of its own",
    "-mon": "the harness has a monitor of its own",
    "-no-shutdown": "libvirt ends QEMU by its monitor; here QEMU ends with the guest",
    "-vnc": "a socket in place of a port that somebody else may have",
    "-sandbox": "the peer of the network card is a process that QEMU starts, in a session of its own",
    "-netdev": "the same network, with that peer behind an address of it",
    "-chardev charserial0": "the harness reads the console, and keeps it",
    "-chardev charchannel0": "a socket in the test's folder",
    "-blockdev": "the images are the test's",
    "-fsdev": "the folder is the test's",
}

# An emulator that answers what libvirt asks of it, and notes what it shall run in place of running it.
_RECORDER = """#!/bin/sh
case " $* " in
*" -name guest="*) printf '%s\\0' "$@" > {0}/argv.new && mv {0}/argv.new {0}/argv; exit 1;;
esac
exec /usr/bin/qemu-system-x86_64 "$@"
"""


def pairs(argv):
    """[(option, value or None)] of a command line."""
    found = []
    for word in argv:
        if word.startswith("-") and (not found or found[-1][1] is not None or not re.match(r"[{\w]", word)):
            found.append([word, None])
        elif found and found[-1][1] is None:
            found[-1][1] = word
        else:
            raise VmError(f"{word} belongs to no option")
    return [tuple(pair) for pair in found]


def load():
    """The pairs of q35.argv."""
    lines = [line for line in ARGV.read_text().splitlines() if not line.startswith("#")]
    return [(option, value or None) for option, _, value in (line.partition(" ") for line in lines)]


def values(which, option):
    """What is JSON of the values of an option."""
    return [json.loads(value) for name, value in which if name == option]


def missing():
    """Why libvirt cannot be asked here, or None."""
    if not shutil.which("virsh") or not DRIVER.exists():
        return "libvirt is not installed (libvirt-clients, libvirt-daemon-driver-qemu)"
    version = run("virsh", "--version").strip()
    if not version.startswith(VERSION + "."):
        return f"libvirt is {version}, and what is kept is the command line of {VERSION}"
    if os.geteuid():
        return "libvirt's driver is run as nobody, for which one has to be root"
    return None


def ask():
    """The pairs of the command line that libvirt makes for q35.xml, with the paths of q35.xml and a UUID of zeros.

    libvirt's driver runs within virsh, with a folder of its own in place of /etc and /var/lib, as nobody: no
    daemon, no user of libvirt's. `domxml-to-native` would put a tap in the place of the user network, so the
    machine is started. What it says of KVM is the same with the type qemu, but for the accelerator."""
    with tempfile.TemporaryDirectory(prefix="q35-", dir="/tmp") as tmp:
        tmp = Path(tmp)
        recorder = tmp / "qemu"
        recorder.write_text(_RECORDER.format(tmp))
        recorder.chmod(0o755)
        xml = XML.read_text().replace("type='kvm'", "type='qemu'")
        paths = {}
        for path in re.findall(r"(?:file|dir)='(/[^']*)'|<emulator>([^<]*)<", xml):
            path = path[0] or path[1]
            if path.endswith(".img"):
                paths[path] = tmp / Path(path).name
                paths[path].write_bytes(bytes(1 << 20))
            elif path.startswith("/usr"):
                paths[path] = recorder
            else:
                paths[path] = tmp / "share"
                paths[path].mkdir()
            xml = xml.replace(path, str(paths[path]))
        (tmp / "domain.xml").write_text(xml)
        for path in (tmp, *tmp.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": str(tmp),
                       "XDG_RUNTIME_DIR": str(tmp), "XDG_CACHE_HOME": str(tmp), "XDG_CONFIG_HOME": str(tmp)}
        done = subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--pdeathsig",
                               "KILL", "virsh", "-c", f"qemu:///embed?root={tmp}/root", "create", tmp / "domain.xml"],
                              env=environment, cwd=tmp, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=300)
        if not (tmp / "argv").exists():
            raise VmError(f"libvirt has started nothing: {done.stderr.strip()[-400:]}")
        text = (tmp / "argv").read_text()
        text = re.sub(rf"{tmp}/root/lib/qemu/domain-\d+-", "/var/lib/libvirt/qemu/domain-1-", text)
        for path, stand_in in paths.items():
            text = text.replace(str(stand_in), path)
        found = pairs(text.rstrip("\0").split("\0"))
    same = {"-uuid": UUID, "-accel": "kvm"}
    return [(option, same.get(option, value and re.sub(r"\bfd=\d+", "fd=0", value))) for option, value in found]


class LibvirtPlaces(Machine):
    """A machine whose devices are where a command line of libvirt's has them."""

    def adopt(self, libvirts, folder):
        """libvirts: the pairs of the command line. folder: where the sockets of ports are."""
        self.libvirts, self.folder = libvirts, folder
        self.places = self._places()
        self.devices = self._devices()

    def _places(self):
        """{id of a device on a PCI bus: where sysfs has it}, for devices on root ports and on the first bus."""
        found, ports = {}, {}
        all_ = values(self.libvirts, "-device")
        for each in all_:
            slot, function = ([int(part, 0) for part in each.get("addr", "").split(".")] + [0])[:2] \
                if "addr" in each else (None, 0)
            if each.get("bus") == "pcie.0":
                found[each["id"]] = f"0000:00:{slot:02x}.{function:x}"
                ports[each["id"]] = found[each["id"]]
        for each in all_:
            if each.get("bus") in ports:
                found[each["id"]] = f"{ports[each['bus']]}/0000:??:00.0"
        return found

    def _devices(self):
        """The virtio devices, by the names that libvirt has given them."""
        made, ports = [], {}
        for each in values(self.libvirts, "-device"):
            if re.fullmatch(r"virtio-\w+-pci", each["driver"]):
                made.append(devices.Device(each["driver"], each["id"]))
            elif each["driver"] == "scsi-hd":
                unit = devices.Unit(each["driver"], each["id"], address=(each["scsi-id"], each["lun"]))
                ports.setdefault(each["bus"], []).append(unit)
            elif each["driver"] == "virtserialport":
                port = devices.Port(each["id"], self.folder, port_name=each["name"], nr=each["nr"])
                port.chardev = each["chardev"]
                ports.setdefault(each["bus"], []).append(port)
        for device in made:
            device.units = ports.get(f"{device.name}.0", [])
        # The disk that is booted from is what the harness takes for the root.
        return sorted(made, key=lambda device: device.properties["driver"] != "virtio-blk-pci")

    def _place(self, port, *patterns):
        return " ".join(f"/sys/bus/pci/devices/{self.places[port]}{each}" for each in patterns)


class LibvirtMachine(LibvirtPlaces):
    """The machine, with images={file name in q35.xml: image}, and share, a folder of the host."""

    CONSOLE = "charserial0"
    SERIALS = ("-device", '{"driver":"isa-serial","chardev":"agent","index":1}')

    def __init__(self, name, guest, folder, images, share, network=(), **options):
        """network: further properties of -netdev."""
        self.images, self.share, self.network = images, share, dict(network)
        self.adopt(load(), folder)
        super().__init__(name, guest, self.devices, root=True, **options)

    def _replace(self, option, value):
        """What stands for an option of libvirt's: [(option, value)]."""
        if option in ("-S", "-no-shutdown", "-mon", "-name") or value and value.startswith("socket,id=charmonitor,") \
                or option == "-object" and json.loads(value)["qom-type"] == "secret":
            return []
        if option == "-accel":
            value = self.accel
        elif option == "-vnc":
            value = value.replace("127.0.0.1:0", f"unix:{self.folder}/vnc.sock")
        elif option == "-sandbox":
            value = value.replace("spawn=deny", "spawn=allow").replace("elevateprivileges=deny",
                                                                       "elevateprivileges=allow")
        elif option == "-netdev":
            value = json.dumps({**json.loads(value), **self.network})
        elif option == "-blockdev":
            node = json.loads(value)
            if "filename" in node:
                value = json.dumps({**node, "filename": str(self.images[Path(node["filename"]).name])})
        elif option == "-fsdev":
            value = re.sub(r"path=.*", f"path={self.share}", value)
        elif option == "-chardev" and "id=charserial0" in value:
            return []           # _launch() has it
        elif option == "-chardev" and "id=charchannel0" in value:
            value = self.unit("channel0")[1].backend()
        return [(option, value)]

    def _command_line(self, smp, memory, spare_ports, append, trace, extra, accel, board):
        self.accel = accel or ACCEL
        argv = ["qemu-system-x86_64", "-name", self.name]
        for pair in self.libvirts:
            for option, value in self._replace(*pair):
                argv += [option] if value is None else [option, value]
        return argv + [*self._kernel(append), *extra]


if __name__ == "__main__":
    lines = "".join(option + (f" {value}" if value is not None else "") + "\n" for option, value in ask())
    version = run("virsh", "--version").strip()
    ARGV.write_text("# SPDX-License-Identifier: GPL-2.0\n"
                    f"# What libvirt {version} runs for q35.xml; vmlib/libvirt.py wrote it.\n{lines}")
