# SPDX-License-Identifier: GPL-2.0
"""Machines that sleep: suspend to RAM and to disk, with every device in use, and all of it goes on afterwards."""

import contextlib
import re

import pytest

from test_data import sparse
from vmlib import devices
from vmlib.net import PORT
from vmlib.ports import pattern, receive, transfer

MIB = 1 << 20
MEMORY = 320
TOKEN = "52:54:00:56:4f:01"
LOAD = ("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "virtio_scsi", "virtio_console", "virtio_balloon",
        "virtio_rng", "8021q", "9pnet_virtio")
# 2.6.32's clock by the TSC goes astray when an emulated processor has been off.
APPEND = "no_console_suspend"
OLD_APPEND = f"{APPEND} clocksource=hpet"


class Sleeper:
    """A machine with a device of each kind, and what there is to see of them."""

    def __init__(self, vm, network, tap):
        self.vm, self.network, self.tap = vm, network, tap
        self.number = network.taps.index(tap)

    def up(self):
        """What devices are told once, and have to know after a sleep: addresses, filters, cache mode, size."""
        vm, dev = self.vm, self.vm.nic("nic")
        vm.run(f"ip address add 10.77.{self.number}.2/24 dev {dev} && ip link set {dev} address {TOKEN} && "
               f"ip link set {dev} up && ifconfig {dev} allmulti && "
               f"ip link add link {dev} name {dev}.77 type vlan id 77 && ip link set {dev}.77 up && "
               f"ping -c 1 -W 20 {self.host}")
        vm.run(f"echo 'write through' > /sys/block/{vm.disk('blk')}/cache_type")
        self.resize(MEMORY // 2)
        return self

    @property
    def host(self):
        return f"10.77.{self.number}.1"

    def actual(self):
        return self.vm.qmp.command("query-balloon")["actual"] // MIB

    def resize(self, mib):
        self.vm.qmp.command("balloon", value=mib * MIB)
        self.vm.wait_until(lambda: self.actual() == mib, "the balloon", timeout=90)

    def known(self):
        """What the devices have been told, as QEMU and the guest know it."""
        vm = self.vm
        [card] = vm.qmp.command("query-rx-filter", name="nic")
        cache = vm.block_info("blk")["inserted"]["cache"]["writeback"]
        return {"card": {key: sorted(value) if isinstance(value, list) else value for key, value in card.items()},
                "cache": (cache, vm.read(f"/sys/block/{vm.disk('blk')}/cache_type")),
                "features": {name: vm.features(name) for name in ("blk", "nic", "scsi", "serial", "rng", "balloon")},
                "disks": {name: vm.read(f"/sys/block/{vm.disk(name)}/size") for name in ("blk", "unit")}}

    @contextlib.contextmanager
    def at_work(self):
        """Disks, the card and /dev/hwrng are in use, and nothing of it may be wrong in the end. They do so silently:
        what is on its way on the agent's serial line when the machine falls asleep is lost, whatever the kernel."""
        vm, stop = self.vm, "/tmp/stop"
        loads = {name: f"for mode in write verify; do blkio $mode /dev/{vm.disk(name)} seed=$n total={2 * MIB} "
                       f"size={MIB} max={256 << 10} || exit 1; done" for name in ("blk", "unit")}
        loads["talk"] = f"netio talk {self.host} {PORT} seconds=2 max=60000 || exit 1"
        loads["noise"] = "dd if=/dev/hwrng of=/dev/null bs=64 count=4 || exit 1"
        jobs = {name: vm.start(f"(n=0; until [ -e {stop} ]; do n=$((n + 1)); {load}; echo $n > /tmp/turn-{name}; "
                               f"mv /tmp/turn-{name} /tmp/turns-{name}; done) > /tmp/said-{name} 2>&1")
                for name, load in loads.items()}
        try:
            for name in jobs:
                vm.wait_until(lambda name=name: vm.status(f"[ -s /tmp/turns-{name} ]")[0] == 0, f"{name} at work", 60)
            yield
            before = {name: int(vm.read(f"/tmp/turns-{name}")) for name in jobs}
            for name in jobs:
                vm.wait_until(lambda name=name: int(vm.read(f"/tmp/turns-{name}")) > before[name] or
                              jobs[name].status is not None, f"{name} at work", 60)
            vm.run(f"touch {stop}")
            for name, job in jobs.items():
                assert job.wait(90) == 0, (name, vm.run(f"tail -n 5 /tmp/said-{name}"))
        finally:
            for job in jobs.values():
                if job.status is None:
                    job.kill()
            vm.run(f"rm -f {stop} /tmp/turns-*")

    @contextlib.contextmanager
    def open_port(self):
        """A port that stays open, and a reader who waits at it all the time."""
        vm = self.vm
        with vm.unit("port")[1].connect() as sock:
            job = vm.start(f"portio {vm.port('port')} seed=5 get=50000 put=50000 > /tmp/said-port 2>&1")
            yield
            sock.sendall(pattern(5, 50000))
            assert receive(sock, 50000) == pattern(5, 50000)
            assert job.wait(60) == 0, vm.read("/tmp/said-port")

    def check(self):
        """Each device, once."""
        vm = self.vm
        for name in "blk", "unit":
            for mode in "write", "verify":
                vm.run(f"blkio {mode} /dev/{vm.disk(name)} seed=9 total={2 * MIB} size={4 * MIB}")
        vm.run(f"netio put {self.host} {PORT} bytes={MIB} && netio get {self.host} {PORT} bytes={MIB}")
        transfer(vm, "port", MIB // 4)
        words = vm.run("dd if=/dev/hwrng bs=64 count=4 2> /dev/null | hexdump -v -e '8/1 \"%02x\" \"\\n\"'").split()
        assert len(set(words)) == 32
        self.vm.wait_until(lambda: self.actual() == MEMORY // 2, "the balloon", timeout=90)


def machine_devices(folder, tap, **properties):
    return [devices.disk("blk", sparse(folder / "blk.img", 64 * MIB), **properties),
            devices.nic("nic", tap.backend, mac="52:54:00:56:4f:02", **properties),
            devices.scsi("scsi", [devices.scsi_disk("unit", sparse(folder / "unit.img", 64 * MIB))], **properties),
            devices.serial("serial", [devices.Port("port", folder, port_name="port", nr=1)], **properties),
            devices.rng("rng", **properties),
            devices.balloon(**properties)]


def append_for(kernel):
    return OLD_APPEND if kernel.old else APPEND


@pytest.fixture(scope="module")
def guest(make_guest):
    return make_guest(also=("8021q",))


@pytest.fixture(scope="module")
def served(network):
    network.serve(PORT)
    return network


# Modern-only ones behind root ports, as libvirt has them; legacy-only ones on the older board.
@pytest.mark.parametrize("board,cycles", [("q35", 20), ("pc", 5)])
def test_suspend_to_ram(kernel, guest, served, folder, make_machine, board, cycles):
    """Again and again, under load; what the devices were told they know afterwards."""
    tap = served.tap()
    properties = {} if board == "q35" else dict(disable_legacy="off", disable_modern=True)
    made = machine_devices(folder, tap, **properties)
    if board == "pc":
        made = list(map(devices.on_root, made))
    with make_machine(guest, made, memory=MEMORY, board=board, load=LOAD, append=append_for(kernel)) as vm:
        vm.wait_until(lambda: vm.disk("unit") and vm.port("port"), "all devices")
        sleeper = Sleeper(vm, served, tap).up()
        known = sleeper.known()
        vm.sleep()                      # at rest
        assert sleeper.known() == known
        sleeper.check()
        with sleeper.at_work(), sleeper.open_port():
            for _ in range(cycles - 1):
                vm.sleep()
        assert sleeper.known() == known
        sleeper.check()
        sleeper.resize(MEMORY)
        vm.run(f"ip link del {vm.nic('nic')}.77")


@pytest.mark.parametrize("swap", ["blk", "scsi"])
def test_suspend_to_disk(kernel, guest, served, folder, make_machine, swap):
    """Written to a virtio disk, and read from it by another kernel, which hands the devices on."""
    tap = served.tap()
    image = sparse(folder / "swap.img", 512 * MIB)
    made = machine_devices(folder, tap)
    made.append(devices.disk("swap", image) if swap == "blk" else
                devices.scsi("swapper", [devices.scsi_disk("swap", image)]))
    with make_machine(guest, made, memory=MEMORY, load=LOAD, append=append_for(kernel), resume="swap") as vm:
        vm.wait_until(lambda: vm.disk("unit") and vm.port("port") and vm.disk("swap"), "all devices")
        vm.run(f"mkswap /dev/{vm.disk('swap')} && swapon /dev/{vm.disk('swap')} && echo 0 > /sys/power/image_size")
        sleeper = Sleeper(vm, served, tap).up()
        known = sleeper.known()
        token = vm.run("dd if=/dev/urandom of=/tmp/token bs=64k count=16 2> /dev/null && md5sum /tmp/token")
        with sleeper.at_work(), sleeper.open_port():
            for _ in range(2):
                vm.hibernate()
        assert vm.run("md5sum /tmp/token") == token
        assert sleeper.known() == known
        sleeper.check()
        sleeper.resize(MEMORY)
        vm.run(f"swapoff /dev/{vm.disk('swap')} && ip link del {vm.nic('nic')}.77")


def test_unplugged_while_asleep(kernel, guest, folder, make_machine):
    """What the host takes away meanwhile is gone soon after, and the rest of the machine goes on."""
    made = [devices.disk("stays", sparse(folder / "stays.img", 16 * MIB)),
            devices.disk("goes", sparse(folder / "goes.img", 16 * MIB))]
    with make_machine(guest, made, append=append_for(kernel)) as vm:
        vm.wait_until(lambda: vm.disk("stays") and vm.disk("goes"), "the disks")
        disk = vm.disk("goes")
        vm.sleep(lambda: vm.qmp.command("device_del", id="goes"), may_fail=True)
        vm.qmp.wait_event("DEVICE_DELETED", 60, device="goes")
        # 2.6.32 does not look for it: whoever uses it gets errors, and not late.
        read = f"dd if=/dev/{disk} of=/dev/null bs=4096 count=1 iflag=direct"
        vm.wait_until(lambda: vm.pci("goes") is None or vm.status(read)[0] != 0, "its end")
        vm.run(f"blkio write /dev/{vm.disk('stays')} total={MIB} && blkio verify /dev/{vm.disk('stays')} total={MIB}")


def test_mounted_share_keeps_it_awake(kernel, make_guest, folder, make_machine):
    """A 9p device forgets its mount at a reset: while there is one, the machine stays awake, and the log says why."""
    if kernel.old:
        pytest.skip("RHEL 6 has no 9p file system")
    (folder / "share").mkdir()
    (folder / "share" / "file").write_text("here\n")
    with make_machine(make_guest(also=("9p",)), [devices.p9("share", folder / "share", tag="share")],
                      load=LOAD, append=append_for(kernel)) as vm:
        vm.run("mkdir -p /mnt/share && modprobe 9p && mount -t 9p -o trans=virtio,version=9p2000.L share /mnt/share")
        status, said = vm.status("echo mem > /sys/power/state")
        assert status != 0 and "busy" in said.lower(), said
        assert re.search(r"virtio\d.*stays awake", vm.run("dmesg"))
        assert vm.read("/mnt/share/file") == "here"
        vm.run("umount /mnt/share")
        vm.sleep()
        vm.run("mount -t 9p -o trans=virtio,version=9p2000.L share /mnt/share && cat /mnt/share/file && "
               "umount /mnt/share")
