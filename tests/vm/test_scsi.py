# SPDX-License-Identifier: GPL-2.0
"""virtio_scsi: controllers of every sort, what can be on them, and what can happen to it."""

import contextlib
import hashlib
import re

import pytest

from vmlib import devices
from vmlib.host import VmError
from test_data import sparse

MIB = 1 << 20
SIZE = 16 * MIB
QUEUES = 4
SERIAL = "scsi-serial-number"
WIDE = (0, 1, 255)              # LUNs of the wide controller at first: the others come later
USUAL = "HOTPLUG CHANGE INDIRECT_DESC EVENT_IDX VERSION_1"

# name: (properties, features that have to be there, and that must not be)
CONTROLLERS = {
    "main": (dict(queues=QUEUES), USUAL, "INOUT T10_PI RING_PACKED ACCESS_PLATFORM"),
    "wide": (dict(queues=1), USUAL, ""),
    "spare": ({}, USUAL, ""),
    "vectors0": (dict(vectors=0), USUAL, ""),
    "vectors1": (dict(vectors=1), USUAL, ""),
    "vectors2": (dict(vectors=2, queues=2), USUAL, ""),
    "vectors4": (dict(vectors=4, queues=4), USUAL, ""),
    "ring16": (dict(virtqueue_size=16), USUAL, ""),
    "ring1024": (dict(virtqueue_size=1024, cmd_per_lun=1000), USUAL, ""),
    "direct": (dict(indirect_desc=False), "", "INDIRECT_DESC"),
    "no-event-idx": (dict(event_idx=False), "", "EVENT_IDX"),
    "no-events": (dict(hotplug=False, param_change=False), "", "HOTPLUG CHANGE"),
    "small": (dict(cmd_per_lun=1, max_sectors=64), USUAL, ""),
    "packed": (dict(packed=True), USUAL, ""),
    "platform": (dict(iommu_platform=True), f"{USUAL} ACCESS_PLATFORM", ""),
    "transitional": (dict(disable_legacy="off", disable_modern=False), USUAL, ""),
}
ONE_DISK = list(CONTROLLERS)[2:]        # those with nothing else on them


def marked(folder, name, size=SIZE):
    """An image whose first sector says whose it is."""
    path = sparse(folder / f"{name}.img", size)
    with open(path, "r+b") as out:
        out.write(f"this is {name}\n".encode())
    return path


def main_units(folder):
    def image(name, size=SIZE):
        return marked(folder, name, size)
    read_only = devices.file_node("ro-node", image("ro"), read_only=True)
    faulty = devices.faulty_node("faulty-node", image("faulty"),
                                 reads=dict(iotype="read", sector=4096, errno=5),
                                 writes=dict(iotype="write", sector=8192, errno=5),
                                 space=dict(iotype="write", sector=16384, errno=28))
    slow = {"driver": "throttle", "node-name": "slow-node", "throttle-group": "slow",
            "file": devices.file_node("slow-file", image("slow"))}
    return [
        devices.scsi_disk("plain", image("plain"), 0, 0, serial=SERIAL),
        devices.scsi_disk("ro", None, 0, 1, read_only),
        devices.scsi_disk("big-blocks", image("big-blocks"), 0, 2, logical_block_size=4096,
                          physical_block_size=4096),
        devices.scsi_disk("write-through", image("write-through"), 0, 3, write_cache="off"),
        devices.scsi_disk("fua", image("fua"), 0, 4, dpofua=True),
        devices.scsi_disk("growing", image("growing"), 0, 5),
        devices.scsi_disk("faulty", None, 0, 6, faulty, werror="report"),
        devices.scsi_disk("slow", None, 0, 7, slow),
        devices.scsi_disk("thin", image("thin"), 0, 8, discard_granularity=65536),
        # The addresses of the large LUNs, cut off, are other disks'.
        devices.scsi_disk("lun44", image("lun44"), 0, 44),
        devices.scsi_disk("lun255", image("lun255"), 0, 255),
        devices.scsi_disk("lun256", image("lun256"), 0, 256),
        devices.scsi_disk("lun300", image("lun300"), 0, 300),
        devices.scsi_disk("lun16383", image("lun16383"), 0, 16383),
        devices.scsi_cd("cd", image("cd", MIB), 1, 0),
        devices.scsi_cd("empty", None, 1, 1),
        devices.scsi_disk("target2", image("target2"), 2, 0),
        devices.scsi_disk("no-lun0", image("no-lun0"), 3, 7),
        devices.scsi_disk("target255", image("target255"), 255, 300),
    ]


def wide_units(folder, luns, name="wide"):
    return [devices.scsi_disk(f"{name}{n}", marked(folder, f"{name}{n}", MIB), 0, n) for n in luns]


@pytest.fixture(scope="module")
def vm(guest, module_folder, make_module_machine):
    """One machine with controllers of every sort."""
    controllers = []
    for name, (properties, _, _) in CONTROLLERS.items():
        units = (main_units(module_folder) if name == "main" else
                 wide_units(module_folder, WIDE) if name == "wide" else
                 [devices.scsi_disk(f"{name}-disk", marked(module_folder, f"{name}-disk"), 0, 1)])
        controllers.append(devices.scsi(name, units, **properties))
    extra = ["-object", '{"qom-type": "throttle-group", "id": "slow", "limits": {"iops-total": 0}}']
    with make_module_machine(guest, controllers, smp=QUEUES, memory=512, extra=extra,
                             trace=["virtio_scsi_tmf_req", "virtio_scsi_event", "virtio_set_status"]) as machine:
        wait_for_disks(machine)
        yield machine


def wait_for_disks(vm, *controllers, timeout=60):
    """Scans go on while the modules are loaded already."""
    def all_there():
        return all({unit.address for unit in device.units} == set(vm.disks(device.name)) for device in vm.devices
                   if device.name in (controllers or CONTROLLERS))
    vm.wait_until(all_there, "all disks", timeout)


def blkio(vm, mode, name, seed=1, depth=32, total=4 * MIB, timeout=120):
    return vm.run(f"blkio {mode} /dev/{vm.disk(name)} seed={seed} depth={depth} total={total}", timeout)


def write_and_verify(vm, name, **options):
    blkio(vm, "write", name, **options)
    blkio(vm, "verify", name, **options)


def attribute(vm, name, path):
    return vm.read(f"/sys/block/{vm.disk(name)}/{path}")


def traced(vm, event):
    return (vm.logs / "trace.log").read_text().count(f"{event} ")


@contextlib.contextmanager
def at_work(vm, name, *options):
    """The first MiB of a disk is written and read back, over and over; all of it has to be right in the end."""
    stop, disk = f"/tmp/stop-{name}", vm.disk(name)
    job = vm.start(f"rm -f {stop}; n=0; until [ -e {stop} ]; do n=$((n + 1)); for mode in write verify; do "
                   f"blkio $mode /dev/{disk} seed=$n total={2 * MIB} size={MIB} max={256 << 10} "
                   f"{' '.join(options)} || exit 1; done; done")
    try:
        job.expect("verify ok")
        yield
        vm.run(f"touch {stop}")
        assert job.wait(60) == 0, job.output[-1000:]
    finally:
        if job.status is None:
            job.kill()


# ---- controllers, and who is where ----

def test_every_controller(vm):
    for name, (_, present, absent) in CONTROLLERS.items():
        features = set(vm.features(name))
        assert set(present.split()) <= features, name
        assert not set(absent.split()) & features, name
        if name != "transitional":
            assert vm.pci_id(name) == "1af4:1048" and vm.io_bars(name) == 0


def test_every_disk_is_where_it_belongs(vm):
    """Also LUNs that take two bytes, and disks beside which there is no LUN 0."""
    for device in vm.devices:
        disks = vm.disks(device.name)
        assert set(disks) == {unit.address for unit in device.units}
        units = [unit for unit in device.units if unit.name != "empty"]
        said = vm.run(f"for disk in {' '.join(disks[unit.address] for unit in units)}; do "
                      "dd if=/dev/$disk bs=4096 count=1 2>/dev/null | head -n 1; done")
        assert said.splitlines() == [f"this is {unit.name}" for unit in units]


@pytest.mark.parametrize("name", ONE_DISK)
def test_data(vm, name):
    write_and_verify(vm, f"{name}-disk", seed=2, total=8 * MIB)


@pytest.mark.parametrize("name", ["lun256", "lun300", "lun16383", "target2", "no-lun0", "target255", "big-blocks"])
def test_data_of_unit(vm, name):
    write_and_verify(vm, name, seed=3)


def test_interrupts(vm):
    """INTx, one vector, a shared one, and one for each queue."""
    for name, vectors in (("vectors0", None), ("vectors1", 1), ("vectors2", 2), ("vectors4", None), ("spare", None),
                          ("main", None)):
        disk = "plain" if name == "main" else f"{name}-disk"
        before = vm.interrupts(name)
        blkio(vm, "write", disk, seed=4)
        after = vm.interrupts(name)
        kinds = {kind.split("-")[0] for kind, _, _ in after.values()}
        assert kinds == {"IO"} if name == "vectors0" else kinds <= {"IO", "PCI"}, after
        assert sum(i[2] for i in after.values()) > sum(i[2] for i in before.values()), name
        assert vectors is None or len(after) <= vectors, after
    assert kinds == {"PCI"}
    assert len([name for _, name, _ in after.values() if "request" in name]) == QUEUES


def test_every_queue_is_used(vm):
    """Processors submit to queues of their own, and the data stay right."""
    def counts():
        return [count for _, text, count in vm.interrupts("main").values() if "request" in text]
    before = counts()
    names = ["plain", "fua", "target2", "lun300"]
    for turn in range(QUEUES):
        jobs = [vm.start(f"taskset {1 << (n + turn) % QUEUES:x} sh -c 'for mode in write verify; do blkio $mode "
                         f"/dev/{vm.disk(name)} seed={5 + turn} total={2 * MIB} || exit 1; done'")
                for n, name in enumerate(names)]
        assert [job.output for job in jobs if job.wait(60)] == []
    assert all(now > then for now, then in zip(counts(), before)), (before, counts())


# ---- what a disk can be ----

def test_sizes(vm):
    assert attribute(vm, "plain", "size") == str(SIZE // 512)
    assert attribute(vm, "big-blocks", "size") == str(SIZE // 512)
    assert attribute(vm, "big-blocks", "queue/logical_block_size") == "4096"
    assert vm.status(f"blkio read /dev/{vm.disk('big-blocks')} max=512")[0] == 1


def test_read_only(vm):
    disk = f"/dev/{vm.disk('ro')}"
    assert attribute(vm, "ro", "ro") == "1" and attribute(vm, "plain", "ro") == "0"
    assert vm.run(f"dd if={disk} bs=1M 2>/dev/null | wc -c").strip() == str(SIZE)
    assert vm.status(f"dd if=/dev/zero of={disk} bs=512 count=1 conv=fsync")[0] != 0
    assert vm.block_stats("ro")["wr_operations"] == 0


def scsi_disk_attribute(vm, name, attribute):
    return vm.run(f"echo {vm.scsi_device(name)}/scsi_disk/*/{attribute}").strip()


def test_write_cache(vm):
    path = scsi_disk_attribute(vm, "plain", "cache_type")
    assert vm.read(path) == "write back"
    assert vm.read(scsi_disk_attribute(vm, "write-through", "cache_type")) == "write through"
    before = vm.block_stats("plain")["flush_operations"]
    assert "synced 20\n" in vm.run(f"blkio sync /dev/{vm.disk('plain')} count=20")
    assert vm.block_stats("plain")["flush_operations"] >= before + 20
    for cache in ("write through", "write back"):
        vm.run(f"echo '{cache}' > {path}")
        assert vm.read(path) == cache
        assert vm.block_info("plain")["inserted"]["cache"]["writeback"] == (cache == "write back")
        write_and_verify(vm, "plain", seed=9)


def test_forced_unit_access(vm):
    assert vm.read(scsi_disk_attribute(vm, "fua", "FUA")) == "1"
    assert vm.read(scsi_disk_attribute(vm, "plain", "FUA")) == "0"
    disk = f"/dev/{vm.disk('fua')}"
    assert "synced 20\n" in vm.run(f"blkio sync {disk} count=20")
    assert "requests=20 " in vm.run(f"blkio synced {disk} count=20")


def test_discard(vm, module_folder):
    """What is discarded is given back by the host's file, and the rest is left alone."""
    disk, image = vm.disk("thin"), module_folder / "thin.img"
    blkio(vm, "write", "thin", seed=10, total=32 * MIB)
    before = image.stat().st_blocks
    if vm.status(f"cat /sys/block/{disk}/queue/discard_max_bytes")[1].strip() in ("", "0") or \
            "No such file" in vm.status(f"cat /sys/block/{disk}/queue/discard_max_bytes")[1]:
        pytest.skip("this kernel's sd knows no discard")
    kept = vm.run(f"dd if=/dev/{disk} bs=1M skip=12 2>/dev/null | sha256sum")
    vm.run(f"blkdiscard -o {4 * MIB} -l {8 * MIB} /dev/{disk}")
    assert image.stat().st_blocks <= before - 7 * MIB // 512
    vm.run(f"blockdev --flushbufs /dev/{disk}")
    assert vm.run(f"dd if=/dev/{disk} bs=1M skip=12 2>/dev/null | sha256sum") == kept
    assert vm.run(f"dd if=/dev/{disk} bs=1M skip=4 count=8 2>/dev/null | tr -d '\\0' | wc -c").strip() == "0"


def test_queue_depth(vm):
    """An administrator's depth holds, and depths that make no sense are not taken."""
    path = f"{vm.scsi_device('plain')}/queue_depth"
    usual = int(vm.read(path))
    assert usual >= 32
    for depth in (1, 5, usual):
        vm.run(f"echo {depth} > {path}")
        assert int(vm.read(path)) == depth
        write_and_verify(vm, "plain", seed=20 + depth)
    for depth in ("0", "-1", "1000000"):
        vm.status(f"echo {depth} > {path}")
        assert 0 < int(vm.read(path)) <= 4096
        write_and_verify(vm, "plain", seed=20)
    vm.run(f"echo {usual} > {path}")
    assert vm.read(f"{vm.scsi_device('small-disk')}/queue_depth") == "1"
    assert int(attribute(vm, "small-disk", "queue/max_hw_sectors_kb")) <= 32


def test_capacity_change_is_seen_online(vm):
    def resize(size):
        vm.qmp.command("block_resize", node_name="growing-node", size=size)
        vm.wait_until(lambda: int(attribute(vm, "growing", "size")) * 512 == size, "the new capacity")
    with at_work(vm, "growing"):
        resize(2 * SIZE)
        resize(3 * SIZE)
    resize(2 * SIZE)
    assert vm.run(f"blockdev --getsize64 /dev/{vm.disk('growing')}").strip() == str(2 * SIZE)
    write_and_verify(vm, "growing", seed=11, total=2 * SIZE)


def test_without_events_capacity_is_seen_after_a_rescan(vm):
    vm.qmp.command("block_resize", node_name="no-events-disk-node", size=2 * SIZE)
    vm.run(f"echo 1 > {vm.scsi_device('no-events-disk')}/rescan")
    assert int(attribute(vm, "no-events-disk", "size")) * 512 == 2 * SIZE
    write_and_verify(vm, "no-events-disk", seed=12)


# ---- CD-ROM ----

def medium(folder, name, size):
    """An image of random content, and what its checksum is."""
    path, data = folder / f"{name}.iso", hashlib.shake_256(name.encode()).digest(size)
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def content(vm, name="cd"):
    """(size, checksum) of what is in a drive, past the guest's cache."""
    disk = vm.disk(name)
    return tuple(vm.run(f"blockdev --flushbufs /dev/{disk} && cat /dev/{disk} > /tmp/medium && stat -c %s /tmp/medium "
                        "&& sha256sum < /tmp/medium && rm /tmp/medium").split()[:2])


def insert(vm, path):
    vm.qmp.command("blockdev-change-medium", id="cd", filename=str(path), format="raw")


def test_cd_is_read(vm, module_folder):
    size, found = content(vm)
    assert size == str(MIB) and found == hashlib.sha256((module_folder / "cd.img").read_bytes()).hexdigest()
    disk = f"/dev/{vm.disk('cd')}"
    assert vm.disk("cd").startswith("sr")
    assert vm.status(f"dd if=/dev/zero of={disk} bs=2048 count=1 conv=fsync")[0] != 0
    assert attribute(vm, "cd", "queue/logical_block_size") == "2048"


def test_empty_drive(vm):
    status, said = vm.status(f"dd if=/dev/{vm.disk('empty')} of=/dev/null bs=2048 count=1")
    assert status and "No medium found" in said, said


def test_medium_is_changed(vm, module_folder):
    for name, size in (("larger", 3 * MIB), ("smaller", MIB // 2)):
        path, expected = medium(module_folder, name, size)
        insert(vm, path)
        assert content(vm) == (str(size), expected)


def test_guest_ejects(vm, module_folder):
    path, expected = medium(module_folder, "ejected", MIB)
    insert(vm, path)
    disk = f"/dev/{vm.disk('cd')}"
    assert content(vm) == (str(MIB), expected)
    vm.run(f"eject {disk}")
    assert vm.block_info("cd")["tray_open"]
    status, said = vm.status(f"dd if={disk} of=/dev/null bs=2048 count=1")
    # An open closes the tray, as far as the kernel does that.
    assert status == 0 or "No medium found" in said, said
    vm.run(f"eject -t {disk}")
    assert not vm.block_info("cd")["tray_open"]
    assert content(vm) == (str(MIB), expected)


def test_host_ejects(vm, module_folder):
    """Not while the drive is in use; by force even then, and then its user gets errors."""
    path, expected = medium(module_folder, "taken", MIB)
    insert(vm, path)
    assert content(vm) == (str(MIB), expected)
    disk = f"/dev/{vm.disk('cd')}"
    user = vm.start(f"exec 3< {disk}; echo open; sleep 100")
    user.expect("open")
    vm.wait_until(lambda: vm.block_info("cd")["locked"], "the lock of the tray")
    with pytest.raises(VmError, match="is locked"):
        vm.qmp.command("eject", id="cd")
    assert content(vm) == (str(MIB), expected)
    vm.qmp.command("eject", id="cd", force=True)
    status, said = vm.status(f"blockdev --flushbufs {disk}; dd if={disk} of=/dev/null bs=2048 count=1")
    assert status, said
    user.kill()
    vm.wait_until(lambda: "No medium" in vm.status(f"dd if={disk} of=/dev/null bs=2048 count=1")[1], "an empty drive")
    insert(vm, path)
    assert content(vm) == (str(MIB), expected)


# ---- commands that no driver of a disk has made ----

def sg(vm, name, *args):
    """Sends a command to a unit through its /dev/sgN. Returns what came of it, numbers as such, bytes as bytes."""
    node = vm.run(f"ls {vm.scsi_device(name)}/scsi_generic").strip()
    said = vm.run(f"sgio command /dev/{node} {' '.join(args)}")
    found = dict(word.split("=") for word in said.split())
    return {key: bytes.fromhex(value) if key in ("sense", "data") else int(value) for key, value in found.items()}


def good(answer):
    assert (answer["status"], answer["host"], answer["sense"]) == (0, 0, b""), answer
    return answer["data"]


def test_inquiry(vm):
    data = good(sg(vm, "plain", "in=96", "12 0 0 0 60 0"))
    assert data[0] == 0 and data[8:16] == b"QEMU    " and data[16:32] == b"QEMU HARDDISK   "
    assert good(sg(vm, "cd", "in=36", "12 0 0 0 24 0"))[0] & 0x1F == 5
    pages = good(sg(vm, "plain", "in=64", "12 1 0 0 40 0"))
    assert {0x80, 0x83, 0xB0} <= set(pages[4:4 + pages[3]])
    data = good(sg(vm, "plain", "in=64", "12 1 80 0 40 0"))
    assert data[4:4 + data[3]].decode() == SERIAL


def test_read_capacity_and_residual(vm):
    answer = sg(vm, "plain", "in=64", "25 0 0 0 0 0 0 0 0 0")
    assert good(answer) == (SIZE // 512 - 1).to_bytes(4, "big") + (512).to_bytes(4, "big")
    assert answer["resid"] == 64 - 8
    data = good(sg(vm, "big-blocks", "in=32", "9e 10 0 0 0 0 0 0 0 0 0 0 0 20 0 0"))
    assert data[:12] == (SIZE // 4096 - 1).to_bytes(8, "big") + (4096).to_bytes(4, "big")


def test_report_luns(vm):
    data = good(sg(vm, "plain", "in=512", "a0 0 0 0 0 0 0 0 2 0 0 0"))
    luns = [int.from_bytes(data[at:at + 2], "big") for at in range(8, 8 + int.from_bytes(data[:4], "big"), 8)]
    target0 = [unit.address[1] for unit in vm.devices[0].units if unit.address[0] == 0]
    assert sorted(lun & 0x3FFF for lun in luns) == sorted(target0)


def test_write_and_read_by_command(vm):
    text = bytes(range(256)) * 2
    good(sg(vm, "plain", f"out={text.hex()}", "2a 0 0 0 0 1 0 0 1 0"))
    assert good(sg(vm, "plain", "in=512", "28 0 0 0 0 1 0 0 1 0")) == text
    disk = vm.disk("plain")
    vm.run(f"blockdev --flushbufs /dev/{disk}")
    assert vm.run(f"dd if=/dev/{disk} bs=512 skip=1 count=1 2>/dev/null | sha256sum").split()[0] == \
        hashlib.sha256(text).hexdigest()


def test_failing_command_has_sense(vm):
    answer = sg(vm, "plain", "in=512", "28 0 ff ff ff ff 0 0 1 0")
    assert answer["status"] == 2 and answer["sense"][2] & 0xF == 5 and answer["sense"][12:14] == b"\x21\0"
    answer = sg(vm, "plain", "c1 0 0 0 0 0")
    assert answer["status"] == 2 and answer["sense"][2] & 0xF == 5 and answer["sense"][12:14] == b"\x20\0"
    answer = sg(vm, "empty", "0 0 0 0 0 0")
    assert answer["status"] == 2 and answer["sense"][2] & 0xF == 2 and answer["sense"][12] == 0x3A
    good(sg(vm, "plain", "0 0 0 0 0 0"))


def test_more_data_than_room(vm):
    """The device has more to send than the command has room for: an error, and nothing is overwritten."""
    answer = sg(vm, "plain", "in=256", "28 0 0 0 0 0 0 0 1 0")
    assert answer["host"] or answer["status"], answer
    good(sg(vm, "plain", "0 0 0 0 0 0"))


def test_unmap_by_command(vm, module_folder):
    """Also where sd knows no discard."""
    image = module_folder / "thin.img"
    blkio(vm, "write", "thin", seed=13, total=32 * MIB)
    before = image.stat().st_blocks
    blocks = 4 * MIB // 512
    payload = bytes((0, 22, 0, 16, 0, 0, 0, 0)) + blocks.to_bytes(8, "big") + blocks.to_bytes(4, "big") + bytes(4)
    good(sg(vm, "thin", f"out={payload.hex()}", "42 0 0 0 0 0 0 0 18 0"))
    assert image.stat().st_blocks <= before - 3 * MIB // 512


# ---- errors, and devices that do not answer ----

def test_io_errors_are_reported_and_pass(vm):
    disk = f"/dev/{vm.disk('faulty')}"
    with at_work(vm, "plain"):
        for command in (f"dd if={disk} of=/dev/null bs=4k skip=512 count=1 iflag=direct",
                        f"dd if=/dev/zero of={disk} bs=4k seek=1024 count=1 oflag=direct",
                        f"dd if=/dev/zero of={disk} bs=4k seek=2048 count=1 oflag=direct"):
            status, said = vm.status(command)
            assert status == 1 and re.search("I/O error|Input/output error|No space left|Data exchange", said), said
        failing = vm.run(f"blkio churn {disk} seconds=1")
        assert "failed=0" not in failing
        assert vm.status(f"dd if={disk} of=/dev/null bs=4k skip=1 count=400 iflag=direct")[0] == 0
    assert vm.read(f"{vm.scsi_device('faulty')}/state") == "running"


@pytest.mark.parametrize("what", ["lun", "target", "bus", "host"])
def test_reset_of_a_busy_disk(vm, what):
    """As sg_reset asks for it: the device is told, or is itself started again, and nothing is lost."""
    if not vm.guest.pack and what != "lun":
        pytest.skip("the kernel's own driver has no such reset")

    def resets():
        if what in ("lun", "target"):
            return traced(vm, "virtio_scsi_tmf_req")
        return len(re.findall("virtio_set_status .* val 0$", (vm.logs / "trace.log").read_text(), re.M))
    # 6.0 does not repeat a flush that a reset has taken back.
    with at_work(vm, "plain", "nosync=1"), at_work(vm, "lun300", "nosync=1"):
        for _ in range(3):
            before = resets()
            vm.run(f"sgio reset /dev/{vm.disk('plain')} {what}")
            assert resets() > before
    assert vm.read(f"{vm.scsi_device('plain')}/state") == "running"
    write_and_verify(vm, "target255", seed=16)


def test_stall_until_error_handling_acts(vm):
    """A disk that hardly answers any more: its commands are taken back, and when it is well, all is written."""
    if not vm.guest.pack:
        pytest.skip("the kernel's own driver waits for its device for ever")

    def limit(rate):
        vm.qmp.command("qom-set", path="/objects/slow", property="limits", value={"iops-total": rate})
    vm.run(f"echo 1 > {vm.scsi_device('slow')}/timeout")
    before = traced(vm, "virtio_scsi_tmf_req")
    with at_work(vm, "plain"):
        limit(1)
        # So many at a time that the last would take half a minute.
        job = vm.start(f"blkio write /dev/{vm.disk('slow')} seed=14 depth=32 max=4096 total={MIB // 4}")
        # From 6.6 on, two commands that time out together were enough for sd to take the disk offline.
        vm.wait_until(lambda: traced(vm, "virtio_scsi_tmf_req") > before + 1, "two functions", timeout=40)
        limit(0)
        assert job.wait(60) == 0, job.output
    vm.run(f"echo 30 > {vm.scsi_device('slow')}/timeout")
    assert vm.read(f"{vm.scsi_device('slow')}/state") == "running"
    vm.run(f"blkio verify /dev/{vm.disk('slow')} seed=14 max=4096 total={MIB // 4}")
    write_and_verify(vm, "slow", seed=15)


# ---- units come and go ----

def wait_for_luns(vm, units, there):
    places = {unit.address for unit in units}
    vm.wait_until(lambda: places & set(vm.disks("wide")) == (places if there else set()),
                  f"{len(units)} LUNs to {'come' if there else 'go'}", timeout=60)
    # With each new LUN, QEMU lets a command of any of them fail because LUNs have changed. To whom that happens a few
    # times in a row, sd takes for a disk without capacity.
    vm.run(f"for disk in {' '.join(vm.disks('wide').values())}; do cd /sys/block/$disk; read size < size; "
           "[ $size != 0 ] || echo 1 > device/rescan; done")


@contextlib.contextmanager
def stopped(vm, whether):
    if whether:
        vm.qmp.command("stop")
    yield
    if whether:
        vm.qmp.command("cont")


@pytest.mark.parametrize("luns,missed", [(range(100, 200), False), (sorted({*range(256)} - {*WIDE}), True)],
                         ids=["100-events", "256-missed"])
def test_many_luns_come_and_go(vm, module_folder, luns, missed):
    """Under I/O; also so many at once that the device has no buffers left for its events."""
    units = wide_units(module_folder, luns, "late")
    with at_work(vm, "wide0"), at_work(vm, "wide255"):
        with stopped(vm, missed):
            vm.add_units("wide", units)
        wait_for_luns(vm, units, True)
        disks = vm.disks("wide")
        assert len(disks) == len(WIDE) + len(units)
        new = [disks[unit.address] for unit in units]
        said = vm.run(f"for disk in {' '.join(new)}; do read line < /dev/$disk; echo $line; done", timeout=120)
        assert said.splitlines() == [f"this is {unit.name}" for unit in units]
        vm.run(f"for disk in {' '.join(new[::10])}; do for mode in write verify; do "
               "blkio $mode /dev/$disk total=131072 max=65536 || exit 1; done; done", timeout=120)
        busy = [vm.start(f"blkio churn /dev/{disk} seconds=60") for disk in new[::20]]
        for job in busy:
            job.expect("churning")
        with stopped(vm, missed):
            vm.remove_units([unit.name for unit in units])
        for job in busy:
            job.kill()
        wait_for_luns(vm, units, False)
    assert len(vm.disks("wide")) == len(WIDE)


def test_large_lun_comes_and_goes(vm, module_folder):
    """One name for it, whether an event has brought it or a scan would; and without a LUN 0."""
    for target, lun in ((0, 400), (4, 400), (5, 7)):
        unit = devices.scsi_disk(f"new-{target}-{lun}", marked(module_folder, f"new-{target}-{lun}"), target, lun)
        vm.add_units("main", [unit])
        vm.wait_until(lambda: vm.disk(unit.name), "the new LUN")
        vm.run(f"echo '0 {target} -' > {vm.scsi_host('main')}/scan")
        assert (target, lun) in vm.disks("main")
        assert f"this is {unit.name}" in vm.run(f"head -n 1 /dev/{vm.disk(unit.name)}")
        write_and_verify(vm, unit.name)
        vm.remove_units([unit.name])
        vm.wait_until(lambda: (target, lun) not in vm.disks("main"), "the LUN's end")


def test_cd_drive_comes_and_goes(vm, module_folder):
    path, expected = medium(module_folder, "plugged", MIB)
    drive = devices.scsi_cd("plugged", path, 6, 0)
    vm.add_units("main", [drive])
    vm.wait_until(lambda: vm.disk("plugged"), "the drive")
    assert content(vm, "plugged") == (str(MIB), expected)
    vm.remove_units(["plugged"])
    vm.wait_until(lambda: (6, 0) not in vm.disks("main"), "the drive's end")


# ---- controllers come and go ----

def test_module_in_use_stays(vm):
    churn = vm.start(f"blkio churn /dev/{vm.disk('plain')} seconds=1")
    churn.expect("churning")
    assert vm.status("rmmod virtio_scsi")[0] != 0
    assert churn.wait() == 0 and "failed=0" in churn.output


@pytest.mark.parametrize("turn", [1, 2])
def test_hot_plug(vm, turn):
    """A busy controller is pulled and put back; another one's disk does not notice."""
    busy = vm.start(f"blkio churn /dev/{vm.disk('spare-disk')} seconds=60")
    busy.expect("churning")
    with at_work(vm, "plain"):
        vm.unplug("spare")
        busy.kill()
        vm.plug("spare")
        wait_for_disks(vm, "spare")
    write_and_verify(vm, "spare-disk", seed=30 + turn)


def test_unbind_while_busy(vm):
    """The driver is taken from a busy controller: its I/O ends, with errors, and its disks can come back."""
    slot = vm.pci("spare").rsplit("/", 1)[1]
    for turn in range(2):
        busy = vm.start(f"blkio churn /dev/{vm.disk('spare-disk')} seconds=1")
        busy.expect("churning")
        vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/unbind")
        assert busy.wait(30) == 0 and "failed=0" not in busy.output
        assert vm.disks("spare") == {}
        vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/bind")
        wait_for_disks(vm, "spare")
        write_and_verify(vm, "spare-disk", seed=40 + turn)


def test_unload_and_reload(vm):
    """As soon as the last user is gone, all modules leave and come back, and so do the disks with their data."""
    blkio(vm, "write", "lun300", seed=50)
    churns = [vm.start(f"blkio churn /dev/{vm.disk(name)} seconds=1") for name in ("plain", "spare-disk")]
    assert [job.wait() for job in churns] == [0, 0]
    vm.unload()
    assert vm.run("grep -E ' (sd|sr)' /proc/partitions; true") == ""
    vm.run("modprobe virtio_pci && modprobe virtio_scsi")
    wait_for_disks(vm)
    blkio(vm, "verify", "lun300", seed=50)


def test_written_before_a_reboot(guest, folder, make_machine):
    units = [devices.scsi_disk("plain", marked(folder, "plain")),
             devices.scsi_disk("big-blocks", marked(folder, "big-blocks"), 0, 1, logical_block_size=4096,
                               physical_block_size=4096),
             devices.scsi_disk("write-through", marked(folder, "write-through"), 0, 300, write_cache="off"),
             devices.scsi_disk("far", marked(folder, "far"), 255, 16383)]
    with make_machine(guest, [devices.scsi("scsi", units)], smp=2) as vm:
        for mode in ("write", "verify"):
            vm.wait_until(lambda: all(vm.disk(unit.name) for unit in units), "the disks")
            for n, unit in enumerate(units):
                blkio(vm, mode, unit.name, seed=60 + n, total=32 * MIB)
            if mode == "write":
                vm.reboot()


def test_surprise_removal(guest, folder, make_machine):
    """A busy controller is gone from one moment to the next, and the root port only says so afterwards."""
    if not guest.pack:
        pytest.skip("the kernel's own driver waits for its device for ever")
    controllers = [devices.scsi(name, [devices.scsi_disk(f"{name}-disk", marked(folder, name))])
                   for name in ("stays", "goes")]
    extra = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    with make_machine(guest, controllers, smp=2, extra=extra) as vm:
        vm.wait_until(lambda: vm.disk("stays-disk") and vm.disk("goes-disk"), "the disks")
        with at_work(vm, "stays-disk"):
            busy = [vm.start(f"blkio churn /dev/{vm.disk('goes-disk')} seconds=60"),
                    vm.start(f"while dd if=/dev/{vm.disk('goes-disk')} of=/dev/null bs=1M; do :; done")]
            busy[0].expect("churning")
            vm.pull("goes")
            for job in busy:
                job.kill()
            vm.plug("goes")
            vm.wait_until(lambda: vm.disk("goes-disk"), "the new controller's disk", timeout=60)
        write_and_verify(vm, "goes-disk")
