# SPDX-License-Identifier: GPL-2.0
"""virtio-rng: that what comes out of /dev/hwrng is what the host gave, once, and that a reader is in nobody's way."""

import hashlib
import re
import time

import pytest

from vmlib import devices

SYSFS = "/sys/class/misc/hw_random"
USUAL = "INDIRECT_DESC EVENT_IDX VERSION_1"
POOR = dict(max_bytes=64, period=3600000)       # a host that has 64 bytes an hour

# name: (properties, features that have to be there, and that must not be)
SOURCES = {
    "plain": ({}, USUAL, "RING_PACKED ACCESS_PLATFORM"),
    "poor": (POOR, USUAL, ""),
    "vectors0": (dict(vectors=0), USUAL, ""),
    "vectors1": (dict(vectors=1), USUAL, ""),
    "vectors2": (dict(vectors=2), USUAL, ""),
    "direct": (dict(indirect_desc=False), "", "INDIRECT_DESC"),
    "no-event-idx": (dict(event_idx=False), "", "EVENT_IDX"),
    "packed": (dict(packed=True), USUAL, ""),
    "platform": (dict(iommu_platform=True), f"{USUAL} ACCESS_PLATFORM", ""),
    "transitional": (dict(disable_legacy="off", disable_modern=False), USUAL, ""),
}
RICH = [name for name in SOURCES if name != "poor"]


@pytest.fixture(scope="module")
def vm(guest, make_module_machine):
    """One machine with entropy devices of every sort."""
    sources = [devices.rng(name, **properties) for name, (properties, _, _) in SOURCES.items()]
    with make_module_machine(guest, sources, smp=2) as machine:
        yield machine


def name_of(vm, device):
    """What the hwrng core calls a device: the driver gives the lowest number that is free, so one that has gone and
    come back alone has the number that it had."""
    return f"virtio_rng.{[each.name for each in vm.devices].index(device)}"


def select(vm, device):
    """The person in charge wants this one. 2.6.32 takes a newline for a part of the name."""
    vm.run(f"printf {name_of(vm, device)} > {SYSFS}/rng_current", timeout=10)
    assert vm.read(f"{SYSFS}/rng_current") == name_of(vm, device)


def available(vm):
    return vm.read(f"{SYSFS}/rng_available").split()


def read(vm, size, timeout=60):
    """So many bytes of /dev/hwrng."""
    assert size % 64 == 0
    return bytes.fromhex(vm.run(f"dd if=/dev/hwrng bs=64 count={size // 64} 2>/dev/null | "
                                "hexdump -v -e '1/1 \"%02x\"'", timeout))


def reader(vm, size=1 << 30):
    """Somebody who reads on and on, and says so once it has begun."""
    job = vm.start(f"echo begins; exec dd if=/dev/hwrng of=/dev/null bs=64 count={size // 64}")
    job.expect("begins")
    return job


def blocked_reader(vm):
    """Somebody who waits for a host that has nothing: what it had is read first."""
    job = vm.start("echo begins; exec dd if=/dev/hwrng of=/dev/null bs=64 count=1000")
    job.expect("begins")
    time.sleep(2)
    assert job.status is None
    return job


def assert_random(data):
    """No 8 bytes twice, none of them 0, and each bit is set about as often as not."""
    words = [data[at:at + 8] for at in range(0, len(data), 8)]
    assert len(set(words)) == len(words)
    assert bytes(8) not in words
    for bit in range(8):
        ones = sum(byte >> bit & 1 for byte in data)
        assert abs(ones - len(data) / 2) < 4 * len(data) ** 0.5, f"bit {bit} is set {ones} times in {len(data)}"


# ---- what there is ----

@pytest.mark.parametrize("name", SOURCES)
def test_source(vm, name):
    """Each is driven, with the features that it ought to have, and gives something."""
    _, there, not_there = SOURCES[name]
    features = set(vm.features(name))
    assert set(there.split()) <= features and not set(not_there.split()) & features
    assert vm.pci_id(name) == ("1af4:1005" if name == "transitional" else "1af4:1044")
    select(vm, name)
    if name != "poor":
        assert_random(read(vm, 8192))


def test_names(vm):
    assert available(vm) == [f"virtio_rng.{n}" for n in range(len(SOURCES))]


def test_interrupts(vm):
    """With vectors of its own, with one, which is too few, and with none."""
    for name, kinds in (("plain", "PCI-MSI"), ("vectors0", "IO-APIC"), ("vectors1", "IO-APIC|PCI-MSI"),
                        ("vectors2", "PCI-MSI")):
        select(vm, name)
        before = vm.interrupts(name)
        assert before and all(re.match(kinds, kind) for kind, _, _ in before.values()), before
        read(vm, 4096)
        assert sum(each[2] for each in vm.interrupts(name).values()) > sum(each[2] for each in before.values())


def test_throughput(vm):
    """Non-zero, and with data that are all distinct."""
    select(vm, "plain")
    data = read(vm, 256 << 10, timeout=120)
    assert len(data) == 256 << 10
    assert_random(data)
    began = time.monotonic()
    said = vm.run("dd if=/dev/hwrng of=/dev/null bs=64k count=8 2>&1", timeout=120)
    print(f"{512 / (time.monotonic() - began):.0f} KiB/s")
    assert "8+0 records in" in said


def test_several_readers(vm):
    """Nobody gets what another one got."""
    select(vm, "plain")
    jobs = [vm.start("dd if=/dev/hwrng bs=64 count=200 2>/dev/null | hexdump -v -e '1/1 \"%02x\"'") for _ in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4
    data = b"".join(bytes.fromhex(job.output) for job in jobs)
    assert len(data) == 4 * 200 * 64
    assert_random(data)


# ---- readers that wait ----

def test_switch_while_a_reader_waits(vm):
    """The core lets go of its lock once a second, so that it can be switched; then the reader has what it wants."""
    select(vm, "poor")
    waiting = blocked_reader(vm)
    for name in ("vectors0", "poor", "plain"):
        began = time.monotonic()
        select(vm, name)
        assert time.monotonic() - began < 5
    assert waiting.wait(30) == 0, waiting.output


def test_reader_can_be_killed(vm):
    select(vm, "poor")
    assert vm.status("timeout 2 dd if=/dev/hwrng of=/dev/null bs=64 count=1000", timeout=10)[0] != 0
    waits = "dd if=/dev/hwrng of=/dev/null bs=64 count=1000 & sleep 1; killall dd; wait $!"
    assert vm.status(waits, timeout=10)[0] != 0
    select(vm, "plain")
    read(vm, 4096)


# ---- devices and the driver come and go ----

def test_unload_and_reload(vm):
    """Under load, and with somebody who waits for a host that gives nothing. Before a device has gone and come back:
    then they would be found in another order."""
    for device in ("plain", "poor"):
        select(vm, device)
        busy = blocked_reader(vm) if device == "poor" else reader(vm)
        began = time.monotonic()
        vm.run("rmmod virtio_rng", timeout=20)
        assert time.monotonic() - began < 10
        assert busy.wait(10) != 0 and "No such device" in busy.output, busy.output
        vm.run("modprobe virtio_rng")
        assert available(vm) == [f"virtio_rng.{n}" for n in range(len(SOURCES))]
        select(vm, "plain")
        assert_random(read(vm, 4096))
    vm.run("for n in $(seq 10); do rmmod virtio_rng && modprobe virtio_rng || exit 1; done")
    test_names(vm)


def test_unbind_while_busy(vm):
    """The driver is taken from the device that is read from; the reader goes on with another one."""
    for device in ("plain", "poor"):
        slot = vm.pci(device).rsplit("/", 1)[1]
        select(vm, device)
        busy = blocked_reader(vm) if device == "poor" else reader(vm)
        began = time.monotonic()
        vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/unbind", timeout=10)
        assert time.monotonic() - began < 5
        assert len(available(vm)) == len(SOURCES) - 1
        assert vm.read(f"{SYSFS}/rng_current") in available(vm)
        vm.run("killall dd; true")
        busy.wait(10)
        select(vm, "direct")
        assert_random(read(vm, 1024))
        vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/bind", timeout=10)
        assert sorted(available(vm)) == sorted(f"virtio_rng.{n}" for n in range(len(SOURCES)))


@pytest.mark.parametrize("way", ["acpi", "pcie"])
def test_hot_plug(guest, make_machine, way):
    """Devices go and come back while they are read from, and while a reader waits for another one."""
    sources = [devices.rng("poor", **POOR), devices.rng("goes"), devices.rng("poor-goes", **POOR)]
    extra = ["-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={'on' if way == 'acpi' else 'off'}"]
    with make_machine(guest, sources, smp=2, extra=extra) as vm:
        for turn in range(4):
            for current, goes in (("goes", "goes"), ("poor", "goes"), ("poor-goes", "poor-goes")):
                select(vm, current)
                busy = reader(vm) if current == "goes" else blocked_reader(vm)
                vm.unplug(goes, timeout=20)
                assert len(available(vm)) == 2
                vm.plug(goes)
                vm.wait_until(lambda: len(available(vm)) == 3, "its return", timeout=20)
                vm.run("killall dd; true")
                busy.wait(10)
                assert sorted(available(vm)) == [f"virtio_rng.{n}" for n in range(3)]
                if goes == "goes":
                    select(vm, goes)
                    assert_random(read(vm, 1024))
        # All of them, with a reader who waits for the last one.
        select(vm, "poor")
        busy = blocked_reader(vm)
        for name in ("goes", "poor-goes", "poor"):
            vm.unplug(name, timeout=20)
        assert busy.wait(10) != 0 and "No such device" in busy.output, busy.output
        vm.plug("goes")
        vm.wait_until(lambda: vm.status(f"grep virtio {SYSFS}/rng_current")[0] == 0, "the new device")
        assert_random(read(vm, 1024))


def test_surprise_removal(guest, make_machine):
    """A device is gone from one moment to the next, busy or not, and the root port only says so afterwards."""
    sources = [devices.rng("stays"), devices.rng("goes"), devices.rng("poor", **POOR)]
    extra = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    with make_machine(guest, sources, smp=2, extra=extra) as vm:
        for goes in ("goes", "poor"):
            select(vm, goes)
            busy = blocked_reader(vm) if goes == "poor" else reader(vm)
            # QEMU 7.2 may crash (SIGSEGV, "Virtqueue size exceeded") if a device that it takes away is waiting for
            # its source: the reader holds still, and what the device was asked for it has had.
            vm.run("killall -STOP dd && sleep 1")
            vm.pull(goes)
            vm.run("killall -CONT dd")
            assert len(available(vm)) == 2
            vm.run("killall dd; true")
            busy.wait(10)
            select(vm, "stays")
            assert_random(read(vm, 1024))
            vm.plug(goes)
            vm.wait_until(lambda: len(available(vm)) == 3, "the new device", timeout=60)
        select(vm, "goes")
        assert_random(read(vm, 1024))


# ---- what the host gave ----

def test_bytes_are_the_hosts(guest, folder, make_machine):
    """Each byte once, in the order in which the host gave it. Not to the end: there, QEMU is busy with nothing else."""
    given = hashlib.shake_256(b"entropy").digest(1 << 20)
    (folder / "source").write_bytes(given)
    with make_machine(guest, [devices.rng("file", folder / "source")], smp=2) as vm:
        data = read(vm, 64 << 10)
        # Today's kernels take some for themselves; a whole buffer each time.
        places = [given.find(data[at:at + 64]) for at in range(0, len(data), 64)]
        assert all(place >= 0 and place % 64 == 0 for place in places) and places == sorted(set(places)), places
        assert places[-1] < len(data) + 64 * 64
        if guest.kernel.old and guest.pack:
            assert data == given[:len(data)]
        # Part of a buffer.
        some = bytes.fromhex(vm.run("dd if=/dev/hwrng bs=100 count=1 2>/dev/null | hexdump -v -e '1/1 \"%02x\"'"))
        assert len(some) == 100 and given.find(some[:64], places[-1] + 64) > 0
