# SPDX-License-Identifier: GPL-2.0
"""9pnet_virtio under the 9p client of 2.6.32. RHEL 6 has that client and no 9p file system, so a module of the
tests (guest/p9io) takes the place of one."""

import contextlib

import pytest

from vmlib import devices
from vmlib.p9io import RUN, build_p9io, pattern

MIB = 1 << 20
LOAD = ("virtio_pci", "9pnet_virtio")
SIZES = (0, 1, 8168, 8169, 100_000, 3 * MIB + 17)


@pytest.fixture(scope="module")
def p9_guest(kernel, make_guest):
    if not kernel.old:
        pytest.skip("this kernel has a 9p file system: test_9p.py")
    if not kernel.module_file("9pnet"):
        pytest.skip("this kernel has no 9p client")
    guest = make_guest()
    guest.modules["p9io"] = (build_p9io(kernel), ["9pnet"])
    return guest


def shared(folder, name):
    path = folder / name
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def vm(p9_guest, module_folder, make_module_machine):
    def p9(name, **options):
        return devices.p9(name, shared(module_folder, name), **options)
    shares = [p9("plain"), p9("intx", vectors=0), p9("longest", tag="a-tag-of-thirty-one-characters-"),
              p9("direct", indirect_desc=False), p9("no-event-idx", event_idx=False),
              p9("platform", iommu_platform=True), p9("slow", fsdev="throttling.bps-total=3000000")]
    with make_module_machine(p9_guest, shares, smp=2, memory=512, load=LOAD) as machine:
        yield machine


def tag_of(vm, name):
    return next(each.properties["mount_tag"] for each in vm.devices if each.name == name)


def mount_command(tag, msize=8192):
    return f"modprobe p9io tag={tag} options=trans=virtio,msize={msize}"


@contextlib.contextmanager
def mounted(vm, name, msize=8192):
    vm.run(mount_command(tag_of(vm, name), msize))
    try:
        yield
    finally:
        vm.run("rmmod p9io")


def check_both_ways(vm, name, folder, msize=8192, turn=0):
    with mounted(vm, name, msize):
        for seed, size in enumerate(SIZES, 1):
            (folder / f"host.{size}").write_bytes(pattern(size, seed))
            guests = f"guest.{msize}.{turn}.{size}"
            vm.run(f"echo write {guests} {size} {seed} > {RUN} && echo read {guests} {size} {seed} > {RUN} && "
                   f"echo read host.{size} {size} {seed} > {RUN}")
            assert (folder / guests).read_bytes() == pattern(size, seed), size
            assert vm.status(f"echo read host.{size} {size} {seed + 1} > {RUN}")[0] == (1 if size else 0)


def test_every_device_is_modern_only(vm):
    for device in vm.devices:
        assert vm.pci_id(device.name) == "1af4:1049"
        assert vm.io_bars(device.name) == 0
        assert {"VERSION_1", "MOUNT_TAG"} <= set(vm.features(device.name))
        path = f"/sys/bus/virtio/devices/{vm.virtio(device.name)}/mount_tag"
        assert vm.run(f"tr '\\000' '!' < {path}") == tag_of(vm, device.name) + "!"


@pytest.mark.parametrize("name", ["plain", "intx", "longest", "direct", "no-event-idx", "platform"])
def test_data(vm, module_folder, name):
    before = sum(count for _, _, count in vm.interrupts(name).values())
    check_both_ways(vm, name, module_folder / name)
    kinds = {kind.split("-")[0] for kind, _, _ in vm.interrupts(name).values()}
    assert kinds == {"IO" if name == "intx" else "PCI"}
    assert sum(count for _, _, count in vm.interrupts(name).values()) > before


@pytest.mark.parametrize("msize", [4096, 65536, 131072, 1 << 20])
def test_message_sizes(vm, module_folder, msize):
    """The stock transport has 64 KiB at most, this one 500."""
    check_both_ways(vm, "plain", module_folder / "plain", msize)


def test_many_in_parallel(vm, module_folder):
    with mounted(vm, "plain", 32768):
        jobs = [vm.start(f"echo write many.{n} {MIB + n} {n} > {RUN} && echo read many.{n} {MIB + n} {n} > {RUN}")
                for n in range(16)]
        assert [job.wait(120) for job in jobs] == [0] * 16
    for n in range(16):
        assert (module_folder / "plain" / f"many.{n}").read_bytes() == pattern(MIB + n, n)


def test_more_than_the_queue_holds(vm, module_folder):
    """A slow server, and more requests at once than it has room for: some wait, and all are answered."""
    (module_folder / "slow" / "file").write_bytes(pattern(32768, 1))
    with mounted(vm, "slow", 65536):
        said = vm.run(f"for n in $(seq 160); do (echo read file 32768 1 > {RUN} && echo good) & done; wait", timeout=180)
    assert said.split() == ["good"] * 160


def test_killed_readers(vm, module_folder):
    """Who does not want to wait leaves, the server is told, and the others do not notice."""
    (module_folder / "slow" / "big").write_bytes(pattern(2 * MIB, 2))
    with mounted(vm, "slow", 32768):
        other = vm.start(f"echo read big {2 * MIB} 2 > {RUN}")
        vm.run(f"for n in $(seq 20); do (echo read big {2 * MIB} 2 > {RUN}) & pids=\"$pids $!\"; done; sleep 2; "
               f"kill -9 $pids; wait; true", timeout=120)
        assert other.wait(120) == 0
        vm.run(f"echo read big {2 * MIB} 2 > {RUN}", timeout=120)
    assert "an answer of" not in vm.run("dmesg")


def test_unknown_tag(vm):
    assert vm.status(mount_command("no-such-tag"))[0] != 0     # busybox takes ENOENT for a missing symbol
    assert '"no-such-tag": no virtio device has this mount tag' in vm.run("dmesg | tail -n 5")


def test_unload_and_reload(vm, module_folder):
    with mounted(vm, "plain"):
        assert vm.status("rmmod 9pnet_virtio")[0] != 0
    for turn in range(3):
        vm.unload()
        assert vm.virtio("plain") is None
        vm.run("modprobe virtio_pci && modprobe 9pnet_virtio")
        vm.wait_until(lambda: all(vm.virtio(device.name) for device in vm.devices), "all devices")
        check_both_ways(vm, "plain", module_folder / "plain", turn=10 + turn)


def reader(vm):
    """Reads a file over and over, until it cannot."""
    job = vm.start(f"echo reading; while echo read file {MIB} 3 > {RUN}; do :; done; echo over")
    job.expect("reading")
    return job


def fails(vm, take_it_away):
    """A busy device is taken away while it is mounted; its users are told, and nothing hangs."""
    with mounted(vm, "goes"):
        busy = [reader(vm) for _ in range(3)]
        take_it_away()
        assert [job.wait(30) for job in busy] == [0] * 3
        assert all("Input/output error" in job.output or "I/O error" in job.output for job in busy)
        assert vm.status(f"echo read file {MIB} 3 > {RUN}")[0] != 0
    assert "removed while it is mounted" in vm.run("dmesg")


@pytest.mark.parametrize("way", ["acpi", "pcie", "pulled", "unbound"])
def test_hot_plug(p9_guest, folder, make_machine, way):
    """A device leaves and comes back, not mounted, and mounted and busy."""
    shares = [devices.p9(name, shared(folder, name)) for name in ("stays", "goes")]
    (folder / "goes" / "file").write_bytes(pattern(MIB, 3))
    extra = ["-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={'on' if way == 'acpi' else 'off'}"]
    with make_machine(p9_guest, shares, smp=2, extra=extra, load=LOAD) as vm:
        slot = vm.pci("goes").rsplit("/", 1)[1]

        def driver(what):
            vm.run(f"echo {slot} > /sys/bus/pci/drivers/virtio-pci/{what}")
        for turn in range(4):
            away = {"pulled": lambda: vm.pull("goes"), "unbound": lambda: driver("unbind")}.get(
                way, lambda: vm.unplug("goes"))
            if turn % 2 or way == "pulled":
                fails(vm, away)
            else:
                away()
            if way == "unbound":
                driver("bind")
            else:
                vm.plug("goes")
            vm.wait_until(lambda: vm.virtio("goes"), "the device", timeout=60)
            check_both_ways(vm, "goes", folder / "goes", turn=turn)
        check_both_ways(vm, "stays", folder / "stays")
