# SPDX-License-Identifier: GPL-2.0
"""virtio_blk: what a disk can be, what can happen to it, and that its data survive that."""

import struct

import pytest

from vmlib import devices
from test_data import sparse

MIB = 1 << 20
SIZE = 16 * MIB
ODD_SIZE = SIZE + 3 * 512
SERIAL = "20-bytes-no-nul-here"


def partitioned(path, *parts, size=SIZE, kind=0x83):
    """A disk with a DOS partition table: (first sector, sectors) of each."""
    sparse(path, size)
    table = b"".join(struct.pack("<B3xB3xII", 0, kind, *part) for part in parts).ljust(64, b"\0")
    with open(path, "r+b") as out:
        out.seek(446)
        out.write(table + b"\x55\xaa")
    return path


@pytest.fixture(scope="module")
def vm(guest, module_folder, make_module_machine):
    """One machine with a disk of every sort."""
    def image(name, size=SIZE):
        return sparse(module_folder / f"{name}.img", size)
    read_only = devices.file_node("ro-node", image("ro"), read_only=True)
    disks = [
        devices.disk("plain", image("plain"), serial=SERIAL),
        devices.disk("ro", None, read_only),
        devices.disk("big-blocks", image("big-blocks"), logical_block_size=4096, physical_block_size=4096),
        devices.disk("topology", image("topology"), physical_block_size=4096, min_io_size=8192,
                     opt_io_size=65536),
        devices.disk("write-through", image("write-through"), write_cache="off"),
        devices.disk("no-toggle", image("no-toggle"), config_wce=False),
        devices.disk("growing", image("growing")),
        devices.faulty_disk("faulty", image("faulty"),
                            reads=dict(iotype="read", sector=4096, errno=5),
                            writes=dict(iotype="write", sector=8192, errno=5),
                            flush=dict(iotype="flush", errno=5, once=True)),
        devices.disk("parted", partitioned(module_folder / "parted.img", (2048, 8192), (10240, 16384))),
        devices.disk("queue8", image("queue8"), queue_size=8),
        devices.disk("queue1024", image("queue1024"), queue_size=1024),
        devices.disk("queues4", image("queues4"), num_queues=4),
        devices.disk("packed", image("packed"), packed=True),
        devices.disk("platform", image("platform"), iommu_platform=True),
        devices.disk("direct", image("direct"), indirect_desc=False),
        devices.disk("no-event-idx", image("no-event-idx"), event_idx=False),
        devices.disk("odd", image("odd", ODD_SIZE)),
        devices.disk("empty", image("empty", 0)),
    ]
    with make_module_machine(guest, disks, smp=2, memory=384) as machine:
        yield machine


def blkio(vm, mode, name, seed=1, depth=32, total=8 * MIB, timeout=120):
    return vm.run(f"blkio {mode} /dev/{vm.disk(name)} seed={seed} depth={depth} total={total}", timeout)


def write_and_verify(vm, name, **options):
    blkio(vm, "write", name, **options)
    blkio(vm, "verify", name, **options)


def attribute(vm, name, path):
    return vm.read(f"/sys/block/{vm.disk(name)}/{path}")


def test_every_disk_is_modern_only(vm):
    for device in vm.devices:
        assert vm.pci_id(device.name) == "1af4:1042"
        assert vm.io_bars(device.name) == 0
        assert "VERSION_1" in vm.features(device.name)


def test_names_follow_the_slots(vm):
    assert [vm.disk(device.name) for device in vm.devices] == [f"vd{c}" for c in "abcdefghijklmnopqr"]


def test_serial(vm):
    assert attribute(vm, "plain", "serial") == SERIAL
    assert attribute(vm, "growing", "serial") == ""


def test_capacity(vm):
    sizes = {device.name: int(attribute(vm, device.name, "size")) * 512 for device in vm.devices}
    assert sizes == {name: {"odd": ODD_SIZE, "empty": 0}.get(name, SIZE) for name in sizes}


def test_last_sector(vm, module_folder):
    """The end of a disk is where the host has it, and nothing is behind it."""
    disk, last = vm.disk("odd"), ODD_SIZE // 512 - 1
    vm.run(f"yes last-sector | dd of=/dev/{disk} bs=512 count=1 seek={last} iflag=fullblock conv=fsync")
    assert (module_folder / "odd.img").read_bytes()[-512:] == (b"last-sector\n" * 43)[:512]
    assert vm.status(f"dd if=/dev/zero of=/dev/{disk} bs=512 count=1 seek={last + 1} oflag=direct")[0] != 0
    assert vm.status(f"dd if=/dev/zero of=/dev/{vm.disk('empty')} bs=512 count=1 oflag=direct")[0] != 0


def test_read_only(vm):
    disk = f"/dev/{vm.disk('ro')}"
    assert "RO" in vm.features("ro")
    assert attribute(vm, "ro", "ro") == "1"
    assert vm.run(f"dd if={disk} bs=1M 2>/dev/null | wc -c").strip() == str(SIZE)
    assert vm.status(f"dd if=/dev/zero of={disk} bs=512 count=1 conv=fsync")[0] != 0
    assert vm.block_stats("ro")["wr_operations"] == 0
    assert attribute(vm, "plain", "ro") == "0"


def test_big_blocks(vm):
    assert attribute(vm, "big-blocks", "queue/logical_block_size") == "4096"
    assert vm.status(f"blkio read /dev/{vm.disk('big-blocks')} max=512")[0] == 1
    write_and_verify(vm, "big-blocks")


def test_topology(vm):
    found = [attribute(vm, "topology", f"queue/{name}") for name in
             ("logical_block_size", "physical_block_size", "minimum_io_size", "optimal_io_size")]
    assert found == ["512", "4096", "8192", "65536"]
    write_and_verify(vm, "topology")


def host_writeback(vm, name):
    return vm.block_info(name)["inserted"]["cache"]["writeback"]


def test_cache_type(vm):
    path = f"/sys/block/{vm.disk('plain')}/cache_type"
    assert vm.read(path) == "write back" and host_writeback(vm, "plain")
    vm.run(f"echo 'write through' > {path}")
    assert vm.read(path) == "write through" and not host_writeback(vm, "plain")
    write_and_verify(vm, "plain", seed=2)
    vm.run(f"echo 'write back' > {path}")
    assert vm.read(path) == "write back" and host_writeback(vm, "plain")
    assert vm.status(f"echo 'write sideways' > {path}")[0] != 0
    assert vm.read(path) == "write back"
    before = vm.block_stats("plain")["flush_operations"]
    write_and_verify(vm, "plain", seed=3)
    assert vm.block_stats("plain")["flush_operations"] > before


def test_write_through_from_the_start(vm):
    assert attribute(vm, "write-through", "cache_type") == "write through"
    write_and_verify(vm, "write-through")


def test_cache_type_that_cannot_be_set(vm):
    path = f"/sys/block/{vm.disk('no-toggle')}/cache_type"
    assert "CONFIG_WCE" not in vm.features("no-toggle")
    assert vm.read(path) == "write back"
    assert vm.status(f"echo 'write through' > {path}")[0] != 0
    write_and_verify(vm, "no-toggle")


def test_capacity_change_is_seen_online(vm):
    disk = vm.disk("growing")
    write_and_verify(vm, "growing", total=4 * MIB)
    churn = vm.start(f"blkio churn /dev/{disk} seconds=3")
    churn.expect("churning")
    for size in (3 * SIZE, 2 * SIZE):
        vm.qmp.command("block_resize", node_name="growing-node", size=size)
        vm.wait_until(lambda size=size: int(vm.read(f"/sys/block/{disk}/size")) * 512 == size,
                      "the new capacity")
    assert churn.wait() == 0 and "failed=0" in churn.output
    assert vm.run(f"blockdev --getsize64 /dev/{disk}").strip() == str(2 * SIZE)
    write_and_verify(vm, "growing", total=2 * SIZE)


def test_io_errors_are_reported_and_pass(vm):
    disk = f"/dev/{vm.disk('faulty')}"
    for command in (f"dd if={disk} of=/dev/null bs=4k skip=512 count=1 iflag=direct",
                    f"dd if=/dev/zero of={disk} bs=4k seek=1024 count=1 oflag=direct"):
        status, said = vm.status(command)
        assert status == 1 and ("I/O error" in said or "Input/output error" in said), said
    status, said = vm.status(f"blkio sync {disk} count=1")
    assert status == 1 and ("I/O error" in said or "Input/output error" in said), said
    assert "synced 1\n" in vm.run(f"blkio sync {disk} count=1")
    failing = vm.run(f"blkio churn {disk} seconds=2")
    assert "failed=0" not in failing
    good = f"dd if={disk} of=/dev/null bs=4k skip=1 count=400 iflag=direct"
    assert vm.status(good)[0] == 0


def test_partitions(vm):
    disk = vm.disk("parted")
    parts = vm.run(f"cd /sys/block/{disk} && grep -H . {disk}?/start {disk}?/size").split()
    assert parts == [f"{disk}1/start:2048", f"{disk}2/start:10240", f"{disk}1/size:8192", f"{disk}2/size:16384"]
    vm.run(f"blkio write /dev/{disk}2 seed=4 total={4 * MIB}")
    vm.run(f"blkio write /dev/{disk}1 seed=5 total={4 * MIB}")
    vm.run(f"blkio verify /dev/{disk}2 seed=4 total={4 * MIB}")
    vm.run(f"dd if=/dev/{disk}2 bs=512 count=1 of=/tmp/a && "
           f"dd if=/dev/{disk} bs=512 skip=10240 count=1 of=/tmp/b && cmp /tmp/a /tmp/b")


@pytest.mark.parametrize("name", ["queue8", "queue1024", "queues4"])
def test_queue_shapes(vm, name):
    write_and_verify(vm, name, depth=128)


@pytest.mark.parametrize("name,feature,there", [
    ("packed", "RING_PACKED", False), ("platform", "ACCESS_PLATFORM", True),
    ("direct", "INDIRECT_DESC", False), ("no-event-idx", "EVENT_IDX", False),
    ("plain", "INDIRECT_DESC", True), ("plain", "EVENT_IDX", True)])
def test_ring_features(vm, name, feature, there):
    assert (feature in vm.features(name)) == there
    write_and_verify(vm, name, seed=6 + there)


def test_module_in_use_stays(vm):
    churn = vm.start(f"blkio churn /dev/{vm.disk('plain')} seconds=2")
    churn.expect("churning")
    assert vm.status("rmmod virtio_blk")[0] != 0
    assert churn.wait() == 0 and "failed=0" in churn.output


def test_unload_and_reload(vm):
    """All modules leave and come back, and so do the disks with their data."""
    blkio(vm, "write", "queues4", seed=8, total=64 * MIB)
    vm.unload()
    assert vm.run("grep ' vd' /proc/partitions; true") == ""
    assert vm.virtio("plain") is None
    vm.run("modprobe virtio_pci && modprobe virtio_blk")
    vm.wait_until(lambda: vm.run("ls /sys/block | grep -c vd; true").strip() == str(len(vm.devices)), "all disks")
    blkio(vm, "verify", "queues4", seed=8, total=64 * MIB)
    test_names_follow_the_slots(vm)


@pytest.mark.parametrize("way", ["acpi", "pcie"])
def test_hot_plug(guest, folder, make_machine, way):
    """A disk is pulled while it is busy, and another one put in its place; twice. Through ACPI,
    which is QEMU's default, and through the root port's own hot-plug registers."""
    disks = [devices.disk("stays", sparse(folder / "stays.img", SIZE)),
             devices.disk("goes", sparse(folder / "goes.img", SIZE))]
    extra = ["-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={'on' if way == 'acpi' else 'off'}"]
    with make_machine(guest, disks, smp=2, spare_ports=1, extra=extra) as vm:
        for turn in range(2):
            other = vm.start(f"blkio churn /dev/{vm.disk('stays')} seconds=4")
            busy = vm.start(f"blkio churn /dev/{vm.disk('goes')} seconds=60")
            busy.expect("churning")
            vm.qmp.command("device_del", id="goes")
            vm.qmp.wait_event("DEVICE_DELETED", timeout=60, device="goes")
            vm.wait_until(lambda: vm.pci("goes") is None, "the disk's end")
            busy.kill()
            assert other.wait(60) == 0 and "failed=0" in other.output
            vm.qmp.command("device_add", bus="port1", **disks[1].properties)
            vm.wait_until(lambda: vm.disk("goes"), "the new disk", timeout=60)
            write_and_verify(vm, "goes", seed=20 + turn)
        # One more, on a port that had none.
        vm.qmp.command("blockdev-add", **devices.file_node("late-node", sparse(folder / "late.img", SIZE)))
        late = devices.disk("late", None, {"node-name": "late-node"})
        vm.qmp.command("device_add", bus="port2", **late.properties)
        vm.wait_until(lambda: vm.disk(2), "the late disk", timeout=60)
        vm.run(f"blkio write /dev/{vm.disk(2)} && blkio verify /dev/{vm.disk(2)}")


def test_unbind_while_busy(guest, folder, make_machine):
    """The driver is taken from a busy disk: its I/O ends, with errors, and the disk can come back."""
    disk = devices.disk("disk", sparse(folder / "disk.img", SIZE))
    with make_machine(guest, [disk], smp=2) as vm:
        slot = vm.pci("disk").rsplit("/", 1)[1]
        for _ in range(3):
            busy = vm.start(f"blkio churn /dev/{vm.disk('disk')} seconds=3")
            busy.expect("churning")
            vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/unbind")
            assert busy.wait(30) == 0 and "failed=0" not in busy.output
            assert vm.disk("disk") is None
            vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/bind")
            vm.wait_until(lambda: vm.disk("disk"), "the disk")
        write_and_verify(vm, "disk")


def test_behind_an_iommu(guest, folder, make_machine):
    """ACCESS_PLATFORM with a virtual IOMMU that checks every access of the device."""
    disk = devices.disk("disk", sparse(folder / "disk.img", SIZE), iommu_platform=True)
    extra = ["-machine", "kernel-irqchip=split", "-device", "intel-iommu"]
    with make_machine(guest, [disk], smp=2, append="intel_iommu=on", extra=extra) as vm:
        if not vm.run("dmesg | grep -iE 'IOMMU: Setting|DMAR: Intel|IOMMU enabled'; true"):
            pytest.skip("this kernel does not use the IOMMU")
        assert "ACCESS_PLATFORM" in vm.features("disk")
        write_and_verify(vm, "disk")


