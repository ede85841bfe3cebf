#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The main job, to look at: Q35 guests whose devices are all modern-only, served by the pack.

Builds the pack for a kernel, boots the kernel with its own virtio modules left out, has every device
prove itself across a reboot, and prints a table: first of the machine that libvirt makes of libvirt/q35.xml,
then of one with more disks, a CD-ROM and a console.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import textwrap
import time
from pathlib import Path

from vmlib import devices, kernels, userland
from vmlib.guest import Guest, make_ext4
from vmlib.host import REPO, VmError, scratch
from vmlib.machine import Machine
from vmlib.libvirt import LibvirtMachine
from vmlib.p9io import RUN, build_p9io, pattern
from vmlib.ports import receive, transfer

MIB = 1 << 20


class Subject:
    """Something to prove: a device of the demo, or a unit of `device`. before() and after() run on either side of
    a reboot; after() returns what has been proved by then, in a few words; failing is raising VmError."""

    name = device = None
    virtio = True

    def before(self, vm):
        raise NotImplementedError

    def after(self, vm):
        raise NotImplementedError


class RootDisk(Subject):
    name = "root"

    def __init__(self, folder, guest, controller=None):
        """controller: the SCSI controller that it is on, if it is not a virtio disk."""
        image = folder / "root.img"
        guest.write_root(image)
        if controller:
            controller.units.append(devices.scsi_disk(self.name, image))
        self.device = controller or devices.disk(self.name, image)

    def before(self, vm):
        vm.run("mkdir /proof && cd /proof && for n in $(seq 40); do seq $n $n 80000 > file$n || exit 1; done && "
               "sha256sum file* > sums && sync", timeout=180)

    def after(self, vm):
        disk = vm.disk(self.name)
        if f"/dev/{disk} / ext4" not in vm.read("/proc/mounts"):
            raise VmError(f"/ is not on /dev/{disk}")
        count = len(vm.run("cd /proof && sha256sum -c sums", timeout=180).splitlines())
        return f"booted from twice; {count} files' checksums hold after the reboot"


class RawDisk(Subject):
    name = "data4k"
    total = 256 * MIB
    block = 4096

    def __init__(self, folder):
        image = folder / "data4k.img"
        image.touch()
        os.truncate(image, self.total)
        self.device = devices.disk(self.name, image, logical_block_size=self.block,
                                   physical_block_size=self.block)

    def _blkio(self, vm, mode):
        return vm.run(f"blkio {mode} /dev/{vm.disk(self.name)} seed=7 depth=32 total={self.total} fresh=1",
                      timeout=300, watch=lambda line: line.startswith("progress") and say(f"  {mode}: {line}"))

    def before(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its disk")
        block = vm.read(f"/sys/block/{vm.disk(self.name)}/queue/logical_block_size")
        if block != str(self.block):
            raise VmError(f"its block size reads {block}")
        self._blkio(vm, "write")

    def after(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its disk")
        self._blkio(vm, "verify")
        return f"blocks of {self.block}; {self.total // MIB} MiB in random pieces at depth 32, right after the reboot"


class FileDisk(Subject):
    name = "files"
    serial = "DEMO-SERIAL-20-CHARS"

    def __init__(self, folder):
        image = folder / "files.img"
        make_ext4(image, "128M")
        self.device = devices.disk(self.name, image, serial=self.serial)

    def _mount(self, vm):
        disk = vm.disk(self.name)
        vm.run(f"mount -t ext4 /dev/{disk} /mnt")
        return vm.read(f"/sys/block/{disk}/serial")

    def before(self, vm):
        serial = self._mount(vm)
        if serial != self.serial:
            raise VmError(f"its serial number reads {serial!r}")
        vm.run("cp -r /bin /mnt && cd /mnt && find bin -type f | xargs sha256sum > sums && "
               "cd / && umount /mnt", timeout=120)

    def after(self, vm):
        self._mount(vm)
        vm.run("cd /mnt && sha256sum -c sums && cd / && umount /mnt", timeout=120)
        return "serial number; ext4 mounted, its files' checksums hold after the reboot"


class ScsiDisk(Subject):
    name = "scsi-disk"
    total = 128 * MIB
    late = "late-lun"

    def __init__(self, folder, controller):
        def image(name, size):
            path = folder / f"{name}.img"
            path.touch()
            os.truncate(path, size)
            return path
        self.device = controller
        self.late_unit = devices.scsi_disk(self.late, image(self.late, 16 * MIB), 1, 300)
        controller.units.append(devices.scsi_disk(self.name, image(self.name, self.total), 1, 0))

    def _blkio(self, vm, mode, name, total):
        return vm.run(f"blkio {mode} /dev/{vm.disk(name)} seed=8 depth=32 total={total} fresh=1", timeout=300)

    def before(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its disk")
        self._blkio(vm, "write", self.name, self.total)
        vm.add_units(self.device.name, [self.late_unit])
        vm.wait_until(lambda: vm.disk(self.late), "the disk that was plugged in")
        for mode in ("write", "verify"):
            self._blkio(vm, mode, self.late, 16 * MIB)
        vm.remove_units([self.late])
        vm.wait_until(lambda: (1, 300) not in vm.disks(self.device.name), "the end of the disk that was pulled")

    def after(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its disk")
        self._blkio(vm, "verify", self.name, self.total)
        return f"{self.total // MIB} MiB in random pieces; LUN 300 plugged in and pulled at run time"


class CdRom(Subject):
    name = "cd"
    size = 8 * MIB

    def __init__(self, folder, controller):
        self.media = []
        for n in (1, 2):
            data = hashlib.shake_256(b"medium %d" % n).digest(self.size // n)
            path = folder / f"medium{n}.iso"
            path.write_bytes(data)
            self.media.append((path, hashlib.sha256(data).hexdigest()))
        self.device = controller
        controller.units.append(devices.scsi_cd(self.name, self.media[0][0], 2, 0))

    def _check(self, vm, medium):
        disk = vm.disk(self.name)
        if vm.run(f"sha256sum < /dev/{disk}", timeout=120).split()[0] != medium[1]:
            raise VmError(f"what {disk} reads is not what is in the drive")
        return disk

    def before(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its drive")
        disk = self._check(vm, self.media[0])
        vm.run(f"eject /dev/{disk}")
        if not vm.block_info(self.name)["tray_open"]:
            raise VmError("the guest has ejected it, and the tray is not open")
        vm.qmp.command("blockdev-change-medium", id=self.name, filename=str(self.media[1][0]), format="raw")
        self._check(vm, self.media[1])

    def after(self, vm):
        vm.wait_until(lambda: vm.disk(self.name), "its drive")
        self._check(vm, self.media[1])
        return f"{self.size // MIB} MiB read; ejected by the guest; a new medium's checksum holds after the reboot"


class Nic(Subject):
    """On QEMU's own network: its DHCP server, its gateway, and a peer on the host behind an address of it."""

    name = "nic"
    total = 256 * MIB
    peer = "10.0.2.100 5000"

    def __init__(self):
        self.device = devices.nic(self.name, devices.user_network(**self.network()))

    @classmethod
    def network(cls):
        """What QEMU is told of the peer."""
        forward = f"tcp:{cls.peer.replace(' ', ':')}-cmd:{userland.host_program('netio')} serve -"
        return {"guestfwd": [{"str": forward}]}

    def _join(self, vm):
        interface = vm.nic(self.name)
        if not interface:
            raise VmError("there is no network interface for it")
        said = vm.run(f"udhcpc -n -q -t 10 -i {interface} -s /bin/dhcp")
        vm.run("ping -c 3 10.0.2.2")
        return re.search(r"lease (\S+) from", said)[1]

    def _transfer(self, vm, seed, total):
        for way in ("put", "get"):
            said = vm.run(f"netio {way} {self.peer} seed={seed} bytes={total}", timeout=300)
            say(f"  {way}: {said.strip()}")

    def before(self, vm):
        self._join(vm)
        self._transfer(vm, 3, 16 * MIB)

    def after(self, vm):
        lease = self._join(vm)
        self._transfer(vm, 4, self.total)
        return f"DHCP lease {lease}; ping; {self.total // MIB} MiB of TCP each way, every byte checked"


class Rng(Subject):
    name = "rng"
    size = 64 << 10

    def __init__(self):
        self.device = devices.rng(self.name)

    def _read(self, vm):
        current = vm.read("/sys/class/misc/hw_random/rng_current")
        if not current.startswith("virtio"):
            raise VmError(f"/dev/hwrng reads from {current}")
        text = vm.run(f"dd if=/dev/hwrng bs=64 count={self.size // 64} 2>/dev/null | hexdump -v -e '1/1 \"%02x\"'",
                      timeout=120)
        return [text[at:at + 16] for at in range(0, len(text), 16)]

    def before(self, vm):
        self.words = self._read(vm)

    def after(self, vm):
        words = self.words + self._read(vm)
        if len(words) != 2 * self.size // 8 or len(set(words)) != len(words) or "0" * 16 in words:
            raise VmError("what /dev/hwrng gives is not random")
        return f"{2 * self.size >> 10} KiB from /dev/hwrng, half of them after the reboot; no 8 bytes came twice"


class Balloon(Subject):
    name = "balloon"
    gone = 96 * MIB

    def __init__(self):
        self.device = devices.balloon(self.name)

    def _total(self, vm):
        return int(re.search(r"^MemTotal: *(\d+) kB$", vm.read("/proc/meminfo"), re.M)[1]) * 1024

    def _resize(self, vm, size):
        vm.qmp.command("balloon", value=size)
        vm.wait_until(lambda: vm.qmp.command("query-balloon")["actual"] == size, f"a guest of {size // MIB} MiB", 60)

    def _there_and_back(self, vm):
        size, total = vm.qmp.command("query-balloon")["actual"], self._total(vm)
        self._resize(vm, size - self.gone)
        left = self._total(vm)
        self._resize(vm, size)
        if left != total - self.gone or self._total(vm) != total:
            raise VmError(f"of {total >> 10} KiB it had {left >> 10} KiB, and {self._total(vm) >> 10} KiB in the end")

    def before(self, vm):
        self._there_and_back(vm)

    def after(self, vm):
        self._there_and_back(vm)
        place = {"path": f"/machine/peripheral/{self.name}"}
        vm.qmp.command("qom-set", place, property="guest-stats-polling-interval", value=1)

        def told():
            return vm.qmp.command("qom-get", place, property="guest-stats")["stats"]["stat-total-memory"]
        vm.wait_until(lambda: told() == self._total(vm), "statistics")
        vm.qmp.command("qom-set", place, property="guest-stats-polling-interval", value=0)
        return f"{self.gone // MIB} MiB to the host and back, on either side of the reboot; statistics"


class Console(Subject):
    """A console, and the guest agent's channel as libvirt makes it."""

    name = "console"
    channel = "org.qemu.guest_agent.0"
    total = 16 * MIB

    def __init__(self, folder):
        self.console = devices.Port("charconsole0", folder, "virtconsole", nr=0)
        port = devices.Port("channel0", folder, port_name=self.channel, nr=1)
        self.device = devices.serial(self.name, [self.console, port])

    def _channel(self, vm, total, seed):
        vm.wait_until(lambda: vm.port("channel0"), "the channel")
        attribute = f"/sys/class/virtio-ports/{vm.port('channel0')[5:]}/name"
        vm.wait_until(lambda: vm.status(f"cat {attribute}")[1].strip() == self.channel, "the channel's name")
        transfer(vm, "channel0", total, seed)

    def _check(self, vm, total, seed):
        self._channel(vm, total, seed)
        with self.console.connect() as sock:
            vm.run(f"echo this is console {seed} > /dev/hvc0")
            said = b"this is console %d\r\n" % seed
            if receive(sock, len(said), 30) != said:
                raise VmError("what /dev/hvc0 was told has not come out")
            job = vm.start("head -n 1 /dev/hvc0")
            time.sleep(1)
            sock.sendall(b"this is the host\n")
            job.expect("this is the host")
            job.wait()

    def before(self, vm):
        self._check(vm, MIB, 5)

    def after(self, vm):
        self._check(vm, self.total, 6)
        return f"port {self.channel}: {self.total // MIB} MiB each way, every byte checked; /dev/hvc0 both ways"


class LibvirtRoot(RootDisk):
    """What follows are the devices of the machine that libvirt makes, by the names that it has given them. A unit is
    on a device; the rest are devices themselves."""

    name = "virtio-disk0"

    def __init__(self):
        pass


class LibvirtData(RawDisk):
    name, on, block = "scsi0-0-0-0", "scsi0", 512
    total = 128 * MIB

    def __init__(self, image):
        image.touch()
        os.truncate(image, self.total)


class LibvirtNic(Nic):
    name = "net0"
    total = 64 * MIB

    def __init__(self):
        pass

    def after(self, vm):
        proved, address = super().after(vm), vm.read(f"/sys/class/net/{vm.nic(self.name)}/address")
        if address != "52:54:00:00:00:01":
            raise VmError(f"its address is {address}")
        return proved


class LibvirtRng(Rng):
    name = "rng0"

    def __init__(self):
        pass


class LibvirtBalloon(Balloon):
    name = "balloon0"

    def __init__(self):
        pass


class LibvirtChannel(Console):
    name, on = "channel0", "virtio-serial0"
    total = 8 * MIB

    def __init__(self):
        pass

    def _check(self, vm, total, seed):
        self._channel(vm, total, seed)
        job = vm.start(f"qga {vm.port(self.name)} /")
        job.expect("ready")
        with vm.unit(self.name)[1].connect() as sock:
            sock.sendall(json.dumps({"execute": "guest-ping"}).encode() + b"\n")
            answer = json.loads(receive(sock, len(b'{"return": {}}\n'), 30))
        job.kill()
        if answer != {"return": {}}:
            raise VmError(f"the agent's answer to a ping is {answer}")

    def after(self, vm):
        self._check(vm, self.total, 6)
        return f"port {self.channel}: {self.total // MIB} MiB each way, every byte checked; an agent answers a ping"


class LibvirtShare(Subject):
    """A folder of the host; where the kernel has no 9p file system, a module of the tests is in its place."""

    name, tag = "fs0", "share"
    size = 2 * MIB

    def __init__(self, folder, uid=0):
        """uid: who QEMU is, and may make files of."""
        self.folder, self.uid = folder, uid

    def _copy(self, vm, seed):
        data = pattern(self.size, seed)
        (self.folder / f"host{seed}").write_bytes(data)
        if "p9io" in vm.guest.modules:
            vm.run(f"modprobe p9io tag={self.tag} options=trans=virtio uid={self.uid} && "
                   f"echo read host{seed} {self.size} {seed} > {RUN} && "
                   f"echo write guest{seed} {self.size} {seed} > {RUN}; status=$?; rmmod p9io; exit $status")
        else:
            vm.run(f"modprobe 9p && mount -t 9p -o trans=virtio,version=9p2000.L {self.tag} /mnt && "
                   f"cp /mnt/host{seed} /tmp/share && cp /tmp/share /mnt/guest{seed}; status=$?; umount /mnt; "
                   "exit $status")
        if (self.folder / f"guest{seed}").read_bytes() != data:
            raise VmError("what the guest has written is not what it shall have")

    def before(self, vm):
        self._copy(vm, 1)

    def after(self, vm):
        self._copy(vm, 2)
        return f"{self.size // MIB} MiB by 9p each way, compared, on either side of the reboot"


class Other(Subject):
    """A device that is not virtio, and the kernel's own business: it is there."""

    virtio = False

    def __init__(self, name, kind):
        self.name, self.kind = name, kind

    def before(self, vm):
        pass

    def after(self, vm):
        kind = vm.read(f"{vm.pci(self.name)}/class")
        if kind != self.kind:
            raise VmError(f"its class reads {kind}")
        return f"not virtio, nothing for the pack: it is there, class {kind}"


class Serial(Subject):
    """The console of the machine, which is a serial port."""

    name, virtio = "serial0", False

    def before(self, vm):
        vm.run("echo a line for the serial console > /dev/ttyS0")

    def after(self, vm):
        vm.wait_until(lambda: "a line for the serial console" in vm.console.read_text(errors="replace"), "its line")
        return "not virtio, nothing for the pack: the kernel's log, and what was written to /dev/ttyS0"


_began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - _began:6.1f} s] {text}", flush=True)


def devices_of(subjects):
    """The devices of a machine: several subjects may be on one."""
    found = []
    for subject in subjects:
        if subject.device not in found:
            found.append(subject.device)
    return found


def without_pack(kernel, subjects):
    """Shows what the same machine is without the pack: disks and a network card that nothing finds."""
    if not kernel.old:
        say("without the pack: skipped: this kernel's own driver knows modern devices")
        return
    say("without the pack: booting with the kernel's own virtio modules")
    guest = Guest(kernel, pack=False)
    with Machine(f"demo-{kernel.name}-without", guest, devices_of(subjects)) as vm:
        loaded = vm.run("cut -d' ' -f1 /proc/modules").split()
        for module in Guest.STOCK:
            # virtio_scsi is in EL6 from 6.3 on.
            if module not in loaded and (module in guest.modules or module != "virtio_scsi"):
                raise VmError(f"the kernel's own {module} is not loaded, so this shows nothing")
        ids = {vm.pci_id(device.name) for device in vm.devices}
        disks = vm.run("grep -E ' (vd|sd|sr)' /proc/partitions; true").strip()
        if disks:
            raise VmError(f"without the pack the guest has found {disks}")
        interfaces = vm.run("ls /sys/class/net").split()
        if interfaces != ["lo"]:
            raise VmError(f"without the pack the guest has found {' '.join(interfaces)}")
        say(f"without the pack: {len(vm.devices)} PCI devices {', '.join(sorted(ids))} are there, "
            "and no disk and no network interface is found")


def check_modern(vm, subject):
    """The row of the table that is the same for every device; it raises if it is not modern-only."""
    port = subject.device.name
    row = {"device": subject.name, "id": vm.pci_id(port), "slot": Path(vm.pci(port)).name,
           "features": vm.features(port)}
    if int(row["id"][5:], 16) < 0x1040 or vm.io_bars(port):
        raise VmError(f"{row['id']} at {row['slot']} is no modern-only device")
    if "VERSION_1" not in row["features"]:
        raise VmError("VERSION_1 is not negotiated")
    return {**row, "interface": "modern"}


def attempt(failed, subject, action, *args):
    """Runs a part of a subject's proof unless an earlier part has failed."""
    if subject in failed:
        return None
    try:
        return action(*args)
    except VmError as error:
        failed[subject] = str(error)
        say(f"{subject.name}: FAILED: {error}")
        return None


def row_of(vm, subject):
    """A subject's row of the table, but for what it has proved."""
    if subject.virtio:
        return check_modern(vm, subject)
    if subject.name not in vm.places:
        return {"device": subject.name, "interface": "not virtio"}
    return {"device": subject.name, "id": vm.pci_id(subject.name), "slot": Path(vm.pci(subject.name)).name,
            "interface": "not virtio"}


def prove(vm, subjects):
    """What the subjects do on either side of a reboot. Returns a table row for each, and what failed of which."""
    failed, rows = {}, []
    say(f"up: {vm.run('uname -sr').strip()}, root on /dev/{vm.disk(subjects[0].name)}")
    for subject in subjects:
        say(f"{subject.name}: at work")
        attempt(failed, subject, subject.before, vm)
    say("rebooting the guest")
    vm.reboot()
    for subject in subjects:
        say(f"{subject.name}: checking")
        proved = attempt(failed, subject, subject.after, vm)
        row = attempt(failed, subject, row_of, vm, subject) or {"device": subject.name}
        rows.append({**row, "proved": failed.get(subject) or proved})
    return rows, failed


def with_pack(machine, subjects):
    """Boots with the pack; returns what prove() does."""
    with machine as vm:
        rows, failed = prove(vm, subjects)
        vm.finish()
    say(f"down again, and nothing suspicious in the log: {vm.console.relative_to(REPO)}")
    return rows, failed


def match(machine, subjects):
    """Gives each subject its device of libvirt's machine; none may be without a subject."""
    for subject in subjects:
        [subject.device] = [each for each in machine.devices
                            if each.name == getattr(subject, "on", subject.name)] or [None]
    unproved = {each.name for each in machine.devices} - {subject.device.name for subject in subjects if subject.device}
    if unproved:
        raise VmError(f"nothing proves {', '.join(sorted(unproved))}")


def libvirts_machine(kernel):
    """The machine of libvirt/q35.xml. Returns what with_pack() does."""
    guest = Guest(kernel, also=("9p",))
    if "9p" not in guest.modules:
        guest.modules["p9io"] = (build_p9io(kernel), ["9pnet"])
    with scratch(f"demo-{kernel.name}-libvirt") as folder:
        images = {name: folder / name for name in ("el6-root.img", "el6-data.img")}
        (folder / "share").mkdir()
        guest.write_root(images["el6-root.img"])
        subjects = [LibvirtRoot(), LibvirtData(images["el6-data.img"]), LibvirtNic(), LibvirtChannel(), LibvirtShare(
            folder / "share"), LibvirtRng(), LibvirtBalloon(), Serial(), Other("video0", "0x030000"),
            Other("usb", "0x0c0330")]
        machine = LibvirtMachine(f"demo-{kernel.name}-libvirt", guest, folder, images, folder / "share", Nic.network(),
                                 load=LIBVIRT_LOAD)
        match(machine, subjects)
        say(f"booting the machine that libvirt makes of q35.xml: {len(machine.devices)} virtio devices")
        return with_pack(machine, subjects)


LIBVIRT_LOAD = ("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "virtio_scsi", "virtio_console", "virtio_balloon",
                "virtio_rng", "9pnet_virtio")


def print_table(rows):
    columns = {"device": "device", "id": "PCI id", "slot": "slot", "interface": "interface", "proved": "proved"}
    width = {key: max([len(title)] + [len(row.get(key, "-")) for row in rows]) for key, title in columns.items()}

    def line(row):
        return "  ".join(row.get(key, "-").ljust(width[key]) for key in columns).rstrip()
    print("\n" + line(columns) + "\n" + "  ".join("-" * width[key] for key in columns))
    for row in rows:
        print(line(row))
        print(textwrap.fill("features: " + " ".join(row.get("features", ["-"])), 110,
                            initial_indent="    ", subsequent_indent="              "))
    print()


def demo(name, root):
    if root not in ("blk", "scsi"):
        raise VmError(f"ROOT={root}: the root disk can be on blk (the default) or on scsi")
    kernel = kernels.find(name)
    say(f"kernel: {kernel}")
    say("guest user space (built from source the first time, about a minute)")
    userland.files()
    say(f"building the pack against {kernel.build}")
    guest = Guest(kernel)
    libvirts, failed_there = libvirts_machine(kernel)
    with scratch(f"demo-{kernel.name}") as folder:
        controller = devices.scsi("scsi")
        subjects = [RootDisk(folder, guest, controller if root == "scsi" else None), RawDisk(folder),
                    FileDisk(folder), ScsiDisk(folder, controller), CdRom(folder, controller), Nic(), Rng(), Balloon(),
                    Console(folder)]
        without_pack(kernel, subjects)
        say(f"booting Q35 with {len(devices_of(subjects))} modern-only devices on PCI Express root ports; "
            f"the pack's modules: {', '.join(sorted(guest.pack))}")
        rows, failed = with_pack(Machine(f"demo-{kernel.name}", guest, devices_of(subjects), root=True), subjects)
    print("\nThe machine that libvirt makes of q35.xml:")
    print_table(libvirts)
    print("The machine with more disks, a CD-ROM and a console:")
    print_table(rows)
    if kernel.name == kernels.DISTRO:
        print("This was the distribution's kernel. For a RHEL 6 or CentOS 6 kernel, register one:\n"
              "    tests/vm/add-kernel --release 6.10                        from a CentOS vault mirror\n"
              "    tests/vm/add-kernel NAME --rpm kernel-….rpm kernel-devel-….rpm\n"
              "and then: make demo KERNEL=6.10")
    print(f"demo: {len(libvirts) - len(failed_there)} of {len(libvirts)} devices of libvirt's q35.xml work")
    print(f"demo: {len(rows) - len(failed)} of {len(rows)} devices work "
          f"(kernel {kernel.release}, q35, modern-only)")
    return 1 if failed or failed_there else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default=kernels.DISTRO, metavar="NAME",
                        help="a kernel that add-kernel has registered (default: the distribution's)")
    parser.add_argument("--root", default="blk", metavar="blk|scsi", help="what the root disk is on (default: blk)")
    try:
        args = parser.parse_args()
        return demo(args.kernel or kernels.DISTRO, args.root)
    except VmError as error:
        print(f"demo: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
