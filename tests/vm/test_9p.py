# SPDX-License-Identifier: GPL-2.0
"""9pnet_virtio: folders of the host, which a guest mounts."""

import contextlib
import hashlib
import os

import pytest

from vmlib import devices

MIB = 1 << 20
LOAD = ("virtio_pci", "9pnet_virtio", "9p")
SIZES = (0, 1, 4095, 4097, 100_000, 3 * MIB + 17)
SLOW = "throttling.bps-total=3000000"


def shared(folder, name):
    path = folder / name
    path.mkdir()
    return path


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def p9_guest(kernel, make_guest):
    if not kernel.module_file("9p"):
        pytest.skip("this kernel has no 9p file system (RHEL 6 leaves CONFIG_9P_FS unset)")
    return make_guest(also=("9p", "9pnet_virtio"))


@pytest.fixture(scope="module")
def vm(p9_guest, module_folder, make_module_machine):
    """One machine with a folder on a device of every sort."""
    def p9(name, **options):
        return devices.p9(name, shared(module_folder, name), **options)
    shares = [p9("plain"), p9("intx", vectors=0), p9("longest", tag="a-tag-of-thirty-one-characters-"),
              p9("direct", indirect_desc=False), p9("no-event-idx", event_idx=False),
              p9("platform", iommu_platform=True), p9("slow", fsdev=SLOW), p9("packed", packed=True)]
    with make_module_machine(p9_guest, shares, smp=2, memory=512, load=LOAD) as machine:
        machine.run(f"mkdir -p {' '.join(f'/mnt/{each.name}' for each in shares)}")
        yield machine


def tag_of(vm, name):
    return next(each.properties["mount_tag"] for each in vm.devices if each.name == name)


def mount_command(vm, name, options="msize=131072"):
    return f"mount -t 9p -o trans=virtio,version=9p2000.L,{options} {tag_of(vm, name)} /mnt/{name}"


@contextlib.contextmanager
def mounted(vm, name, options="msize=131072"):
    vm.run(f"mkdir -p /mnt/{name} && {mount_command(vm, name, options)}")
    try:
        yield f"/mnt/{name}"
    except BaseException:
        vm.status(f"umount -l /mnt/{name}")     # the next test mounts it again
        raise
    vm.run(f"umount /mnt/{name}")


def check_both_ways(vm, name, folder, options="msize=131072"):
    """Files of all sizes, that the host has written and the guest reads, and the other way round."""
    for size in SIZES:
        (folder / f"from-host.{size}").write_bytes(os.urandom(size))
    with mounted(vm, name, options) as path:
        for size in SIZES:
            said = vm.run(f"cd {path} && dd if=/dev/urandom of=/tmp/data bs=65536 count={size / 65536 + 1:.0f} 2>/dev/null "
                          f"&& truncate -s {size} /tmp/data && cp /tmp/data from-guest.{size} && sync "
                          f"&& sha256sum < /tmp/data && sha256sum < from-guest.{size} && sha256sum < from-host.{size}")
            wrote, read_back, read = [line.split()[0] for line in said.splitlines()]
            assert wrote == read_back == sha((folder / f"from-guest.{size}").read_bytes()), size
            assert read == sha((folder / f"from-host.{size}").read_bytes()), size


def test_every_device_is_modern_only(vm):
    for device in vm.devices:
        assert vm.pci_id(device.name) == "1af4:1049"
        assert vm.io_bars(device.name) == 0
        assert {"VERSION_1", "MOUNT_TAG"} <= set(vm.features(device.name))


def test_mount_tag(vm):
    """In sysfs, with a NUL behind it."""
    for device in vm.devices:
        path = f"/sys/bus/virtio/devices/{vm.virtio(device.name)}/mount_tag"
        assert vm.run(f"tr '\\000' '!' < {path}") == tag_of(vm, device.name) + "!"


@pytest.mark.parametrize("name", ["plain", "intx", "longest", "direct", "no-event-idx", "platform", "packed"])
def test_data(vm, module_folder, name):
    before = sum(count for _, _, count in vm.interrupts(name).values())
    check_both_ways(vm, name, module_folder / name)
    kinds = {kind.split("-")[0] for kind, _, _ in vm.interrupts(name).values()}
    assert kinds == {"IO" if name == "intx" else "PCI"}
    assert sum(count for _, _, count in vm.interrupts(name).values()) > before


@pytest.mark.parametrize("name,feature,there", [("direct", "INDIRECT_DESC", False), ("no-event-idx", "EVENT_IDX", False),
                                                ("platform", "ACCESS_PLATFORM", True), ("plain", "INDIRECT_DESC", True)])
def test_ring_features(vm, name, feature, there):
    assert (feature in vm.features(name)) == there


@pytest.mark.parametrize("options", ["msize=4096", "msize=8192", "msize=65536", "msize=512000", "msize=4194304",
                                     "msize=131072,cache=loose"])
def test_message_sizes(vm, module_folder, options):
    check_both_ways(vm, "plain", module_folder / "plain", options)


def test_many_in_parallel(vm, module_folder):
    """Sixteen writers and readers on two devices at once; nobody gets another's data."""
    with mounted(vm, "plain") as plain, mounted(vm, "intx", "msize=8192") as intx:
        jobs = [vm.start(f"yes {n} | dd of={path}/many.{n} bs={MIB + n} count=1 iflag=fullblock 2>/dev/null && "
                         f"sha256sum < {path}/many.{n}")
                for n in range(8) for path in (plain, intx)]
        sums = [(job.wait(120), job.output.split()[0])[1] for job in jobs]
    for n in range(8):
        expected = (f"{n}\n".encode() * MIB)[:MIB + n]
        assert sums[2 * n:2 * n + 2] == [sha(expected)] * 2
        assert (module_folder / "plain" / f"many.{n}").read_bytes() == expected
        assert (module_folder / "intx" / f"many.{n}").read_bytes() == expected


def test_more_than_the_queue_holds(vm, module_folder):
    """A slow server, and more requests at once than it has room for: some wait, and all are answered."""
    data = os.urandom(32768)
    (module_folder / "slow" / "file").write_bytes(data)
    with mounted(vm, "slow", "msize=65536") as path:
        said = vm.run(f"for n in $(seq 160); do sha256sum < {path}/file & done; wait", timeout=180)
    assert said.split()[::2] == [sha(data)] * 160


def test_killed_readers(vm, module_folder):
    """Who does not want to wait leaves, the server is told, and the others do not notice."""
    data = os.urandom(2 * MIB)
    (module_folder / "slow" / "big").write_bytes(data)
    with mounted(vm, "slow", "msize=32768") as path:
        other = vm.start(f"sha256sum < {path}/big")
        vm.run(f"for n in $(seq 20); do cat {path}/big > /dev/null & pids=\"$pids $!\"; done; sleep 2; "
               f"kill -9 $pids; wait; true", timeout=120)
        assert other.wait(120) == 0 and other.output.split()[0] == sha(data)
        assert vm.run(f"dd if={path}/big bs=1000 count=1 2>/dev/null | sha256sum").split()[0] == sha(data[:1000])
    assert "an answer of" not in vm.run("dmesg")


def test_unknown_tag(vm):
    status, said = vm.status("mount -t 9p -o trans=virtio no-such-tag /mnt/plain")
    assert status != 0 and "No such" in said
    if vm.guest.pack:
        assert '"no-such-tag": no virtio device has this mount tag' in vm.run("dmesg | tail -n 5")


def test_mounted_once(vm):
    with mounted(vm, "plain"):
        status, said = vm.status(mount_command(vm, "plain"))
        assert status != 0 and "busy" in said
        if vm.guest.pack:
            assert '"plain": this device is mounted already' in vm.run("dmesg | tail -n 5")


def test_module_in_use_stays(vm, module_folder):
    with mounted(vm, "plain") as path:
        assert vm.status("rmmod 9pnet_virtio")[0] != 0
        (module_folder / "plain" / "still").write_text("here")
        assert vm.read(f"{path}/still") == "here"


def test_unload_and_reload(vm, module_folder):
    for _ in range(3):
        vm.unload()
        assert vm.virtio("plain") is None
        vm.run("modprobe virtio_pci && modprobe 9pnet_virtio")
        vm.wait_until(lambda: all(vm.virtio(device.name) for device in vm.devices), "all devices")
    check_both_ways(vm, "plain", module_folder / "plain")


def reader(vm, path):
    """Reads a file over and over, until it cannot, or is asked to stop."""
    job = vm.start(f"echo reading; while [ ! -e /tmp/stop ] && cat {path} > /dev/null; do :; done; echo over")
    job.expect("reading")
    return job


@pytest.mark.parametrize("way", ["acpi", "pcie"])
def test_hot_plug(p9_guest, folder, make_machine, way):
    """A device leaves and comes back, not mounted and mounted and busy; the other one goes on."""
    if not p9_guest.pack:
        pytest.skip("the kernel's own driver waits for the unmount")
    shares = [devices.p9(name, shared(folder, name)) for name in ("stays", "goes")]
    for name in ("stays", "goes"):
        (folder / name / "file").write_bytes(os.urandom(MIB))
    extra = ["-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={'on' if way == 'acpi' else 'off'}"]
    with make_machine(p9_guest, shares, smp=2, extra=extra, load=LOAD) as vm, mounted(vm, "stays") as stays:
        other = reader(vm, f"{stays}/file")
        for turn in range(4):
            if turn % 2:
                with mounted(vm, "goes") as path:
                    busy = [reader(vm, f"{path}/file") for _ in range(3)]
                    vm.unplug("goes")
                    assert [job.wait(30) for job in busy] == [0] * 3
                    assert all("Input/output error" in job.output or "I/O error" in job.output for job in busy)
                    assert vm.status(f"cat {path}/file")[0] != 0
                assert "removed while it is mounted" in vm.run("dmesg")
            else:
                vm.unplug("goes")
            vm.plug("goes")
            vm.wait_until(lambda: vm.virtio("goes"), "the device", timeout=60)
            check_both_ways(vm, "goes", folder / "goes")
        assert other.status is None
        vm.run("touch /tmp/stop")       # killed, it might still have the file for a moment
        assert other.wait(30) == 0 and "rror" not in other.output


def test_surprise_removal(p9_guest, folder, make_machine):
    """Busy, and gone from one moment to the next."""
    if not p9_guest.pack:
        pytest.skip("the kernel's own driver waits for its device for ever")
    shares = [devices.p9(name, shared(folder, name)) for name in ("stays", "goes")]
    (folder / "goes" / "file").write_bytes(os.urandom(MIB))
    extra = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    with make_machine(p9_guest, shares, smp=2, extra=extra, load=LOAD) as vm:
        with mounted(vm, "goes") as path:
            busy = [reader(vm, f"{path}/file") for _ in range(3)]
            vm.pull("goes")
            assert [job.wait(30) for job in busy] == [0] * 3
        vm.plug("goes")
        vm.wait_until(lambda: vm.virtio("goes"), "the device", timeout=60)
        check_both_ways(vm, "goes", folder / "goes")
        check_both_ways(vm, "stays", folder / "stays")


def test_unbind_while_busy(p9_guest, folder, make_machine):
    """The driver is taken from a device that is mounted: access fails, and it can come back."""
    if not p9_guest.pack:
        pytest.skip("the kernel's own driver waits for the unmount")
    (shared(folder, "share") / "file").write_bytes(os.urandom(MIB))
    with make_machine(p9_guest, [devices.p9("share", folder / "share")], smp=2, load=LOAD) as vm:
        slot = vm.pci("share").rsplit("/", 1)[1]
        for _ in range(3):
            with mounted(vm, "share") as path:
                busy = reader(vm, f"{path}/file")
                vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/unbind")
                assert busy.wait(30) == 0
            vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/bind")
            vm.wait_until(lambda: vm.virtio("share"), "the device")
        check_both_ways(vm, "share", folder / "share")
