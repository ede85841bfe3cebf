# SPDX-License-Identifier: GPL-2.0
"""Every device by every interface: modern-only, transitional and legacy-only, on both boards, with MSI-X and without.

A kind of device is a class in KINDS; each of its cells is a test, and all cells on one board share a machine, unless
QEMU has no more than one of them.
"""

import contextlib
import re

import pytest

from vmlib import devices
from vmlib.host import VmError
from vmlib.matrix import Cell
from vmlib.net import PORT
from vmlib.p9io import RUN, build_p9io, pattern
from vmlib.ports import transfer
from test_data import sparse

MIB = 1 << 20
SIZE = 8 * MIB
LEGACY_LINE = "driven as a legacy device, I/O ports at"

# What makes a device what it is, and whether it is driven by its legacy interface.
TRANSPORTS = {
    "modern-only": (dict(disable_legacy="on"), False),
    "transitional": (dict(disable_legacy="off", disable_modern=False), False),
    "legacy-only": (dict(disable_legacy="off", disable_modern=True), True),
}
# A modern-only device is behind a root port, as libvirt has it, and there are none of those on the older board.
BOARDS = {"q35": ("modern-only", "transitional", "legacy-only"), "pc": ("transitional", "legacy-only")}
VECTORS = {"default": {}, "0": dict(vectors=0)}
NO_LAYOUT = dict(any_layout=False)


class Kind:
    """A kind of device: how it is made, and how it proves that it works."""

    module = ""                 # its driver
    device_type = 0             # as virtio has it
    legacy_id = 0               # PCI device id, where it is not modern-only
    any_layout = True           # QEMU's has ANY_LAYOUT where it is legacy-only
    msix = True                 # QEMU's has it, unless it gets no vectors
    alone = False               # QEMU has one in a machine at most
    not_offered = {}            # {(transport, vectors): why QEMU has no such device}; "*" is any
    variants = {}               # further legacy-only devices, {name: properties}

    def make(self, rig, name, **properties):
        """The device. rig has a folder for images and the network's taps."""
        raise NotImplementedError

    def use(self, rig, vm, name):
        """Real data there and back, compared."""
        raise NotImplementedError

    def disk(self, name):
        """The disk that the device is, or has; None for others."""
        return None

    def reason(self, cell):
        """Why there is no such device, or None."""
        for transport, vectors in ((t, v) for t in (cell.transport, "*") for v in (cell.vectors, "*")):
            if (transport, vectors) in self.not_offered:
                return self.not_offered[transport, vectors]
        return None


class Disk(Kind):
    module, device_type, legacy_id = "virtio_blk", 2, 0x1001
    any_layout = False          # instead it has SCSI, for a layout of its own
    variants = {"plain": dict(indirect_desc=False, event_idx=False, any_layout=False)}

    def make(self, rig, name, **properties):
        return devices.disk(name, sparse(rig.folder / f"{name}.img", SIZE), **properties)

    def disk(self, name):
        return name

    def use(self, rig, vm, name):
        disk = self.disk(name)
        vm.wait_until(lambda: vm.disk(disk), "the disk")
        blkio(vm, "write", disk, rig.seed(disk))
        blkio(vm, "verify", disk, rig.seed(disk))


class Scsi(Disk):
    module, device_type, legacy_id = "virtio_scsi", 8, 0x1004
    any_layout = True

    def make(self, rig, name, **properties):
        unit = devices.scsi_disk(self.disk(name), sparse(rig.folder / f"{name}.img", SIZE))
        return devices.scsi(name, [unit], **properties)

    def disk(self, name):
        return f"{name}-disk"


class Net(Kind):
    module, device_type, legacy_id = "virtio_net", 1, 0x1000
    # Headers of 10 and of 12 bytes, and with a descriptor of their own.
    variants = {"short": dict(mrg_rxbuf=False), "layout": NO_LAYOUT,
                "short-layout": dict(mrg_rxbuf=False, any_layout=False),
                "small-layout": dict(mrg_rxbuf=False, any_layout=False, guest_tso4=False, guest_tso6=False,
                                     guest_ecn=False, guest_ufo=False),
                "mac": dict(ctrl_mac_addr=False)}

    def make(self, rig, name, **properties):
        number, tap = rig.tap(name)
        return devices.nic(name, tap.backend, mac=f"52:54:00:56:4e:{number:02x}", **properties)

    def use(self, rig, vm, name):
        number, dev = rig.taps[name][0], vm.nic(name)
        host = f"10.77.{number}.1"
        assert vm.read(f"/sys/class/net/{dev}/address") == f"52:54:00:56:4e:{number:02x}"
        vm.run(f"ip address add 10.77.{number}.2/24 dev {dev} && ip link set {dev} up && ping -c 1 -W 10 {host}")
        for command in (f"put {host} {PORT} bytes={MIB}", f"get {host} {PORT} bytes={MIB}",
                        f"udp {host} {PORT} count=10 max=9000"):
            vm.run(f"netio {command}")
        vm.run(f"ip link set {dev} down && ip address flush dev {dev}")


class Console(Kind):
    module, device_type, legacy_id = "virtio_console", 3, 0x1003

    def make(self, rig, name, **properties):
        return devices.serial(name, [devices.Port(f"{name}-p", rig.folder, port_name=name, nr=1)], **properties)

    def use(self, rig, vm, name):
        vm.wait_until(lambda: vm.port(f"{name}-p"), "the port")
        transfer(vm, f"{name}-p", MIB // 4)


class Rng(Kind):
    module, device_type, legacy_id = "virtio_rng", 4, 0x1005
    sysfs = "/sys/class/misc/hw_random"

    def make(self, rig, name, **properties):
        return devices.rng(name, **properties)

    def use(self, rig, vm, name):
        def asked():
            return sum(count for _, _, count in vm.interrupts(name).values())

        # Which of the names is this device's, nothing says but who is asked.
        for each in vm.read(f"{self.sysfs}/rng_available").split():
            if not each.startswith("virtio"):
                continue
            vm.run(f"printf {each} > {self.sysfs}/rng_current")
            before = asked()
            words = vm.run("dd if=/dev/hwrng bs=64 count=8 2>/dev/null | hexdump -v -e '8/1 \"%02x\" \"\\n\"'").split()
            assert len(words) == len(set(words)) == 64 and "0" * 16 not in words, (each, words)
            if asked() > before:
                return
        raise VmError(f"{name}: no name that the core has makes it read from this device")


class Share(Kind):
    """A folder of the host. Where the kernel has no 9p file system, a module of the tests is in its place."""

    module, device_type, legacy_id = "9pnet_virtio", 9, 0x1009

    def make(self, rig, name, **properties):
        (rig.folder / name).mkdir()
        return devices.p9(name, rig.folder / name, tag=name, **properties)

    def use(self, rig, vm, name):
        data, host = pattern(MIB // 4, 1), rig.folder / name
        (host / "from-host").write_bytes(data)
        if "p9io" in vm.guest.modules:
            vm.run(f"modprobe p9io tag={name} options=trans=virtio && echo read from-host {len(data)} 1 > {RUN} && "
                   f"echo write from-guest {len(data)} 1 > {RUN}; status=$?; rmmod p9io; exit $status")
        else:
            vm.run("mkdir -p /mnt/share && modprobe 9p && mount -t 9p -o trans=virtio,version=9p2000.L "
                   f"{name} /mnt/share && cp /mnt/share/from-host /tmp/share && cp /tmp/share /mnt/share/from-guest; "
                   "status=$?; umount /mnt/share; exit $status")
        if (host / "from-guest").read_bytes() != data:
            raise VmError(f"{name}: what the guest has copied is not what the host had")


class Balloon(Kind):
    module, device_type, legacy_id = "virtio_balloon", 5, 0x1002
    msix = False
    alone = True
    not_offered = {("*", "0"): "QEMU's balloon has no MSI-X in any case"}

    def make(self, rig, name, **properties):
        return devices.balloon(name, **properties)

    def use(self, rig, vm, name):
        def total():
            return int(re.search(r"^MemTotal: *(\d+) kB$", vm.read("/proc/meminfo"), re.M)[1]) << 10

        size, before = vm.qmp.command("query-balloon")["actual"], total()
        for given in (64 * MIB, 0):
            vm.qmp.command("balloon", value=size - given)
            vm.wait_until(lambda: vm.qmp.command("query-balloon")["actual"] == size - given, "the balloon", timeout=60)
            assert total() == before - given


KINDS = {"blk": Disk(), "net": Net(), "scsi": Scsi(), "console": Console(), "rng": Rng(), "9p": Share(),
         "balloon": Balloon()}
# What is in the machine that all devices on a board share.
TOGETHER = {kind for kind in KINDS if not KINDS[kind].alone}
CELLS = [Cell(kind, transport, board, vectors) for board, transports in BOARDS.items() for transport in transports
         for vectors in VECTORS for kind in KINDS]
NOT_OFFERED = [(tuple(cell), reason) for cell in CELLS if (reason := KINDS[cell.kind].reason(cell))]
OFFERED = [cell for cell in CELLS if not KINDS[cell.kind].reason(cell)]
VARIANTS = [(kind, variant) for kind in KINDS for variant in KINDS[kind].variants]


def blkio(vm, mode, name, seed=1):
    report = vm.run(f"blkio {mode} /dev/{vm.disk(name)} seed={seed} depth=16 total={4 * MIB} max=131072")
    assert int(re.search(r"bytes=(\d+) failed=0\b", report)[1]) >= 4 * MIB, report


class Rig:
    """A board with its devices, all or only one, and what those are on."""

    def __init__(self, board, folder, network, only=None):
        self.board, self.folder, self.network, self.only = board, folder, network, only
        self.taps = {}          # {device: (number, tap)}
        self.vm = None
        self.devices = {}       # {device: (kind, transport)}

    def tap(self, name):
        self.taps[name] = len(self.network.taps), self.network.tap()
        return self.taps[name]

    def seed(self, name):
        return sum(name.encode())

    def make(self):
        """The devices, those on root ports first."""
        made = []
        for cell in OFFERED:
            if cell != self.only if self.only else cell.board != self.board or cell.kind not in TOGETHER:
                continue
            name = self.name(cell)
            made.append(KINDS[cell.kind].make(self, name, **TRANSPORTS[cell.transport][0], **VECTORS[cell.vectors]))
            self.devices[name] = cell.kind, cell.transport
            if cell.transport != "modern-only":
                devices.on_root(made[-1])
        for kind, variant in VARIANTS if self.board == "q35" and not self.only else ():
            name = f"{kind}-variant-{variant}"
            properties = TRANSPORTS["legacy-only"][0] | KINDS[kind].variants[variant]
            made.append(devices.on_root(KINDS[kind].make(self, name, **properties)))
            self.devices[name] = kind, "legacy-only"
        return made

    @staticmethod
    def name(cell):
        # Names of QEMU's begin with a letter; those of block nodes have no more than 31 characters.
        return f"{cell.kind.replace('9p', 'p9')}-{cell.transport.split('-')[0][:6]}-{cell.vectors}"

    def legacy_lines(self, name):
        """The lines of log that say that a device is driven by its legacy interface."""
        address = self.vm.pci(name).rsplit("/", 1)[1]
        return [line for line in self.vm.run("dmesg").splitlines() if address in line and LEGACY_LINE in line]

    def check(self, name, legacy):
        """A device is what it is, and is driven as it shall be."""
        kind, transport = self.devices[name]
        kind, vm = KINDS[kind], self.vm
        vm.wait_until(lambda: vm.virtio(name), f"{name}'s driver")
        wanted = 0x1040 + kind.device_type if transport == "modern-only" else kind.legacy_id
        assert vm.pci_id(name) == f"1af4:{wanted:04x}"
        assert vm.io_bars(name) == (0 if transport == "modern-only" else 1)
        features = vm.features(name)
        assert ("VERSION_1" in features) == (not legacy)
        if vm.guest.pack:
            assert bool(self.legacy_lines(name)) == legacy
            offered = name not in WITHOUT_LAYOUT and (kind.any_layout or transport != "legacy-only")
            assert ("ANY_LAYOUT" in features) == (legacy and offered)


WITHOUT_LAYOUT = {f"{kind}-variant-{variant}" for kind, variant in VARIANTS
                  if KINDS[kind].variants[variant].get("any_layout") is False}


@pytest.fixture(scope="module")
def served(network):
    """The network, with the peer of netio in it."""
    network.serve(PORT)
    return network


@pytest.fixture(scope="module")
def full_guest(kernel, make_guest):
    """With what a share needs above its driver."""
    guest = make_guest(also=("9p",))
    if kernel.old:
        guest.modules["p9io"] = (build_p9io(kernel), ["9pnet"])
    return guest


LOAD = ("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "virtio_scsi", "virtio_balloon", "virtio_rng",
        "virtio_console", "9pnet_virtio")


@pytest.fixture(scope="module")
def rigs(full_guest, served, module_folder, make_module_machine):
    """rigs(board): all devices of a board, in one machine that runs until the module's tests are through.
    rigs.alone(cell): one device in a machine of its own."""
    made = {}

    @contextlib.contextmanager
    def alone(cell):
        rig = Rig(cell.board, module_folder, served, only=cell)
        with make_module_machine(full_guest, rig.make(), board=cell.board, load=LOAD,
                                 tag=f"{cell.kind}-{cell.transport}-{cell.board}") as rig.vm:
            yield rig
    with contextlib.ExitStack() as stack:
        def get(board):
            if board not in made:
                folder = module_folder / board
                folder.mkdir()
                made[board] = Rig(board, folder, served)
                made[board].vm = stack.enter_context(make_module_machine(full_guest, made[board].make(), smp=2,
                                                                         memory=384, board=board, load=LOAD, tag=board))
            if made[board].vm is None:
                raise VmError(f"the machine with the board {board} did not start, as an earlier test has said")
            return made[board]
        get.alone = alone
        yield get


@pytest.mark.parametrize("cell", OFFERED, ids=str)
def test_cell(rigs, cell):
    """Driven as it shall be, with the interrupts that it has, and it works."""
    kind, name = KINDS[cell.kind], Rig.name(cell)
    with rigs.alone(cell) if kind.alone else contextlib.nullcontext(rigs(cell.board)) as rig:
        rig.check(name, TRANSPORTS[cell.transport][1])
        kind.use(rig, rig.vm, name)
        found = [each for each, _, count in rig.vm.interrupts(name).values() if count]
        assert found and all(("MSI" in each) == (kind.msix and cell.vectors == "default") for each in found), found


@pytest.mark.parametrize("kind,variant", VARIANTS)
def test_legacy_variant(rigs, kind, variant):
    """Legacy-only devices that want their messages cut in their way."""
    rig, name = rigs("q35"), f"{kind}-variant-{variant}"
    rig.check(name, True)
    KINDS[kind].use(rig, rig.vm, name)


def test_legacy_mac(rigs):
    """Without a command for it, the address is written to where it was read."""
    vm, name = rigs("q35").vm, "net-variant-mac"
    dev = vm.nic(name)
    old = vm.read(f"/sys/class/net/{dev}/address")
    for mac in ("02:00:77:01:02:03", old):
        vm.run(f"ip link set {dev} address {mac}")
        [found] = vm.qmp.command("query-rx-filter", name=name)
        assert found["main-mac"] == mac


def reload(rig, options=""):
    """All modules leave and come back; all devices are there again."""
    vm = rig.vm
    vm.unload()
    vm.run("dmesg -c > /dev/null")
    vm.run(" && ".join([f"modprobe virtio_pci {options}", *(f"modprobe {KINDS[kind].module}" for kind in TOGETHER)]))
    for name in rig.devices:
        vm.wait_until(lambda name=name: vm.virtio(name), f"{name}'s return")


def write_all(rig, by):
    """Writes to all disks what is theirs at this step of a test."""
    for name, (kind, _) in rig.devices.items():
        if disk := KINDS[kind].disk(name):
            blkio(rig.vm, "write", disk, rig.seed(disk) + by)


def verify_all(rig, by):
    for name, (kind, _) in rig.devices.items():
        if disk := KINDS[kind].disk(name):
            rig.vm.wait_until(lambda disk=disk: rig.vm.disk(disk), "the disk")
            blkio(rig.vm, "verify", disk, rig.seed(disk) + by)


@pytest.mark.parametrize("board", BOARDS)
def test_unload_and_reload(rigs, board):
    """And what was written to the disks is there still."""
    rig = rigs(board)
    write_all(rig, 1000)
    reload(rig)
    for name, (_, transport) in rig.devices.items():
        rig.check(name, TRANSPORTS[transport][1])
    verify_all(rig, 1000)


@pytest.mark.parametrize("board", BOARDS)
def test_force_legacy(rigs, board):
    """Whatever has I/O ports is driven by them, and works; what has none says so, and works as well. What was written
    by one interface is read by the other."""
    rig = rigs(board)
    write_all(rig, 2000)
    reload(rig, "force_legacy=1")
    try:
        log = rig.vm.run("dmesg")
        for name, (kind, transport) in rig.devices.items():
            rig.check(name, transport != "modern-only")
            address = rig.vm.pci(name).rsplit("/", 1)[1]
            said = [line for line in log.splitlines() if address in line and "force_legacy: " in line]
            if rig.vm.guest.pack:
                assert len(said) == 1 and ("no usable I/O BAR" in said[0]) == (transport == "modern-only"), said
        verify_all(rig, 2000)
        write_all(rig, 3000)
        for name, (kind, _) in rig.devices.items():
            if not KINDS[kind].disk(name):
                KINDS[kind].use(rig, rig.vm, name)
    finally:
        reload(rig)
    verify_all(rig, 3000)
    for name, (_, transport) in rig.devices.items():
        rig.check(name, TRANSPORTS[transport][1])


def test_data_outlives_the_machine(guest, folder, make_machine):
    """What legacy-only devices wrote, on the old board, modern-only ones read on the new one."""
    images = [sparse(folder / f"{n}.img", SIZE) for n in range(2)]

    def machine(transport, board):
        properties = TRANSPORTS[transport][0]
        made = [devices.disk("blk", images[0], **properties),
                devices.scsi("controller", [devices.scsi_disk("scsi", images[1])], **properties)]
        made = list(map(devices.on_root, made)) if board == "pc" else made
        return make_machine(guest, made, board=board, tag=board)

    for mode, transport, board in ("write", "legacy-only", "pc"), ("verify", "modern-only", "q35"):
        with machine(transport, board) as vm:
            for name in "blk", "scsi":
                vm.wait_until(lambda name=name: vm.disk(name), "the disk")
                blkio(vm, mode, name, 7)
            vm.run("sync")
