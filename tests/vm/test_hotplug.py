# SPDX-License-Identifier: GPL-2.0
"""Devices of every kind come and go, many times and all at once, each of them in use when it goes."""

import contextlib
import json
import os
import re
import threading
import time

import pytest

from test_data import sparse
from vmlib import devices
from vmlib.devices import Port
from vmlib.host import BUILD
from vmlib.net import PORT
from vmlib.p9io import RUN, build_p9io, pattern

pytestmark = pytest.mark.long

MIB = 1 << 20
MEMORY = 512
# How often each device goes.
CYCLES = int(os.environ.get("HOTPLUG_CYCLES", 200))
# Pages that may stay in both of two equal stretches, and for each cycle: the kernel's own pools move by some hundred.
NOISE, LEAK = 150, 2

# 6.0 to 6.9 say this of a file that is open on a disk that is gone, whosever disk: del_gendisk() has taken the disk's
# writeback away, and whoever writes afterwards makes the file dirty. Whatever else has a trace has a line before it, too.
ALLOW = (r"WARNING: at fs/fs-writeback\.c:\d+ __mark_inode_dirty", "Call Trace:")

# What the guest does with a device, again and again; here=: a pattern for what there is as long as the device is.
LOOP = """
there() {{ set -- {here}; [ -e "$1" ] && found=$1; }}
bad() {{ echo "BAD $*"; exit 1; }}
n=0
until [ -e /tmp/stop ]; do
	if there; then
		n=$((n + 1))
{work}
		while there; do sleep 0.1; done
		echo gone $n
	fi
	sleep 0.1
done
"""


class Subject:
    """A device, and how it is used."""
    here = "/virtio[0-9]*/driver"
    work = ""                   # what the guest does until the device is gone
    in_use = ""                 # what it says, after its turn, when it has begun
    over = ""                   # and when it is over

    def __init__(self, device):
        self.device = device
        self.name = device.name

    def begin(self, vm):
        """What the host has to do first."""

    def script(self, vm):
        return LOOP.format(here=vm.place(self.name, self.here), work=self.work)

    def ready(self, vm):
        """The guest uses the device; whether the host may take it."""
        return True

    def check(self, cycles):
        """After the last time."""

    def end(self):
        """What begin() has begun."""


class Disk(Subject):
    here = "/virtio[0-9]*/block/*"
    work = f"""
		disk=/dev/${{found##*/}}
		until [ -b $disk ]; do sleep 0.1; done
		for mode in write verify; do
			blkio $mode $disk seed=$n total={MIB // 4} size={MIB} > /dev/null || bad $mode
		done
		echo busy $n
		blkio churn $disk depth=8 once=1 seconds=600"""
    in_use = "churning\n"
    over = r"churn ok requests=[1-9]\d* bytes=\d+ failed=[1-9]"


class Controller(Disk):
    """Somebody has the disk open for a second longer than its last request: 2.6.32 looks at the disk when it counts a
    request that it has told the waiting process of before (blk_account_io_done() in 6.8, after the bios have ended), and
    has freed what it looks at if that process was the last and fast. It did, once in some 100 cycles."""
    here = "/virtio[0-9]*/host*/target*/*/block/*"
    work = Disk.work.replace("\t\techo busy", "\t\texec 9< $disk\n\t\techo busy") + """
		sleep 1
		exec 9<&-"""


class Card(Subject):
    here = "/virtio[0-9]*/net/*"
    in_use = "talking\n"

    def __init__(self, network):
        tap = network.tap()
        self.host = f"10.77.{network.taps.index(tap)}"
        super().__init__(devices.nic("card", tap.backend))
        network.serve()

    @property
    def work(self):
        return f"""
		dev=${{found##*/}}
		ip address add {self.host}.2/24 dev $dev && ip link set $dev up || bad address
		netio put {self.host}.1 {PORT} seed=$n bytes=100000 > /dev/null || bad put
		echo busy $n
		netio talk {self.host}.1 {PORT} seconds=600 & talk=$!
		while there; do sleep 0.1; done
		kill -9 $talk
		wait"""


class Serial(Subject):
    """A reader and a writer, each on a port of its own, who wait for the host most of the time; and an idle port."""
    here = "/virtio[0-9]*/virtio-ports/vport*p2"
    # Without O_CREAT: a port that is gone must not become a file.
    work = """
		port=/dev/${found##*/}
		port=${port%p2}
		until [ -c ${port}p1 ] && [ -c ${port}p2 ]; do sleep 0.1; done
		echo cycle $n > ${port}p2 || bad write
		exec 3< ${port}p1
		dd bs=1 count=1 <&3 > /tmp/first 2> /dev/null && [ -s /tmp/first ] || bad read
		echo busy $n
		cat <&3 > /dev/null & reader=$!
		portio ${port}p2 say=writing piece=4096 put=1000000000000 & writer=$!
		wait $reader; reader=$?
		wait $writer; echo over $reader $?
		exec 3<&-"""
    in_use = "(?s:.*?)writing\n"
    over = "over 1 1\n"

    def __init__(self, folder):
        self.ports = [Port("reads", folder, nr=1), Port("writes", folder, nr=2), Port("idle", folder, nr=3)]
        super().__init__(devices.serial("serial", self.ports))
        self.said, self.stop = set(), threading.Event()

    def begin(self, vm):
        self.socks = [port.connect() for port in self.ports[:2]]
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        self.socks[0].settimeout(1)
        with contextlib.suppress(OSError):
            while not self.stop.wait(0.02):
                with contextlib.suppress(TimeoutError):
                    self.socks[0].send(bytes(1000))

    def _receive(self):
        data = b""
        self.socks[1].settimeout(1)
        with contextlib.suppress(OSError):
            while not self.stop.wait(0.02):
                with contextlib.suppress(TimeoutError):
                    data += self.socks[1].recv(8192)
                self.said |= set(re.findall(rb"cycle (\d+)\n", data))
                data = data[-20:]

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for sock in self.socks:
            sock.close()

    def check(self, cycles):
        deadline = time.monotonic() + 20
        while len(self.said) < cycles and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.said == {b"%d" % n for n in range(1, cycles + 1)}


class Balloon(Subject):
    """It goes while it grows, and while it tells its statistics."""
    work = "\t\techo busy $n"

    def begin(self, vm):
        self.asked = False

    def ready(self, vm):
        if not self.asked:
            vm.qmp.command("qom-set", path=f"/machine/peripheral/{self.name}",
                           property="guest-stats-polling-interval", value=1)
            vm.qmp.command("balloon", value=(MEMORY - 128) * MIB)
        self.asked = vm.qmp.command("query-balloon")["actual"] == MEMORY * MIB
        return not self.asked


class Entropy(Subject):
    work = """
		until dd if=/dev/hwrng of=/tmp/rng bs=64 count=1 2> /dev/null && [ -s /tmp/rng ]; do sleep 0.1; done
		echo busy $n
		dd if=/dev/hwrng of=/dev/null bs=64 2>&1"""
    over = "No such device"


class Folder(Subject):
    """Mounted and read from; for 2.6.32, whose RHEL has no 9p file system, a module takes its place."""

    def __init__(self, kernel, path):
        path.mkdir()
        (path / "file").write_bytes(pattern(65536, 3))
        super().__init__(devices.p9("folder", path, fsdev="throttling.bps-total=2000000"))
        mount, read, umount = (
            ("modprobe p9io tag=folder options=trans=virtio,msize=8192", f"echo read file 65536 3 > {RUN}",
             "rmmod p9io") if kernel.old else
            ("mount -t 9p -o trans=virtio,version=9p2000.L,msize=8192 folder /mnt",
             "cat /mnt/file > /dev/null", "umount /mnt"))
        self.work = f"""
		tries=0
		until {mount}; do
			tries=$((tries + 1)); [ $tries -lt 100 ] || bad mount
			sleep 0.1
		done 2> /dev/null
		{read} || bad read
		for reader in 1 2; do
			(while {read}; do :; done 2> /dev/null) &
		done
		echo busy $n
		wait
		echo over $n
		while there; do sleep 0.1; done
		{umount} || bad umount"""
        self.over = "over"


def memory(vm):
    """{what: pages} after caches have been dropped. What processors keep for themselves is free, too."""
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.5")
    found = dict(re.findall(r"(\w+):\s+(\d+) kB", vm.read("/proc/meminfo")))
    kept = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", vm.read("/proc/zoneinfo"), re.M)))
    return {"MemTotal": int(found["MemTotal"]) // 4, "MemFree": int(found["MemFree"]) // 4 + kept,
            "SUnreclaim": int(found["SUnreclaim"]) // 4}


def slow(folder, name):
    """A block node that has requests waiting in it most of the time."""
    return {"driver": "throttle", "node-name": f"{name}-node", "throttle-group": f"{name}-limit",
            "file": devices.file_node(f"{name}-file", sparse(folder / f"{name}.img", 16 * MIB))}


def take(vm, subjects):
    """The host asks for all of them at once, by way of ACPI. In one moment of the guest's: QEMU repeats what has been
    asked for with each further event, and a request that the guest finds late would be for the next device."""
    vm.qmp.command("stop")
    for each in subjects:
        vm.qmp.command("device_del", id=each.name)
    vm.qmp.command("cont")
    for each in subjects:
        for device in (*each.device.units, each.device):
            vm.qmp.wait_event("DEVICE_DELETED", timeout=120, device=device.name)


def put_back(vm, subjects):
    vm.qmp.command("stop")      # a controller comes with its units
    for each in subjects:
        vm.plug(each.name)
    vm.qmp.command("cont")


def record(kernel, subjects, seconds, kept):
    """How many cycles it has been, for who reads the output and for who looks later."""
    figures = {"kernel": kernel.release, "cycles": CYCLES, "devices": [each.name for each in subjects],
               "seconds": round(seconds), "pages": kept}
    print(f"{CYCLES} cycles of {len(subjects)} devices in {seconds:.0f} s")
    (BUILD / f"hotplug-{kernel.name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def assert_no_leak(kept, pages):
    """What has been lost in both of two equal stretches: a pool that grows once is no leak."""
    assert len({each["MemTotal"] for each in kept}) == 1, kept
    lost = [(before["MemFree"] - after["MemFree"], after["SUnreclaim"] - before["SUnreclaim"])
            for before, after in zip(kept, kept[1:])]
    assert all(min(column) < pages for column in zip(*lost)), lost


def assert_nobody_is_stuck(vm):
    """No process waits for a device that is no more."""
    def waiting():
        return set(vm.run("grep -l '^State:.*D' /proc/[0-9]*/status 2> /dev/null; true").split())
    stuck = waiting()
    for _ in range(5):
        if stuck:
            time.sleep(1)
            stuck &= waiting()
    assert not stuck, vm.run(f"grep -h Name {' '.join(stuck)}")


def test_all_at_once(make_guest, kernel, network, folder, make_machine):
    """Through ACPI, which is QEMU's default on a Q35, and as libvirt asks for it."""
    guest = make_guest(also=("9p",))
    if not guest.pack:
        pytest.skip("the kernel's own 9p transport waits for the unmount")
    if kernel.old:
        guest.modules["p9io"] = (build_p9io(kernel), ["9pnet"])
    subjects = [Disk(devices.disk("disk", None, slow(folder, "disk"))),
                Controller(devices.scsi("scsi", [devices.scsi_disk("unit", None, 0, 0, slow(folder, "unit"))])),
                Card(network), Serial(folder), Balloon(devices.balloon()),
                Entropy(devices.rng("rng", max_bytes=1024, period=50)), Folder(kernel, folder / "share")]
    load = ("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "virtio_scsi", "virtio_console", "virtio_balloon",
            "virtio_rng", "9pnet_virtio", "9p")
    extra = []
    for name in ("disk", "unit"):
        extra += ["-object", json.dumps({"qom-type": "throttle-group", "id": f"{name}-limit",
                                         "limits": {"iops-total": 500}})]
    with (contextlib.ExitStack() as stack,
          make_machine(guest, [each.device for each in subjects], smp=2, memory=MEMORY, load=load, extra=extra,
                       allow=ALLOW) as vm):
        for each in subjects:
            each.begin(vm)
            stack.callback(each.end)
        jobs = [vm.start(each.script(vm)) for each in subjects]
        vm.run("echo 5 > /proc/sys/kernel/printk")
        began, kept = time.monotonic(), []
        for n in range(1, CYCLES + 1):
            for each, job in zip(subjects, jobs):
                job.expect(rf"busy {n}\n{each.in_use}", timeout=120)
            for each in subjects:
                vm.wait_until(lambda: each.ready(vm), each.name, timeout=60, every=0.02)
            take(vm, subjects)
            for each, job in zip(subjects, jobs):
                job.expect(rf"(?s:{each.over}.*?gone {n}\n)", timeout=120)
            if n in (CYCLES // 5, CYCLES * 3 // 5, CYCLES):
                kept.append(memory(vm))
            if n == CYCLES:
                vm.run("touch /tmp/stop")
            put_back(vm, subjects)
        record(kernel, subjects, time.monotonic() - began, kept)
        for each, job in zip(subjects, jobs):
            assert job.wait(60) == 0 and "BAD" not in job.output, job.output[-1000:]
            each.check(CYCLES)
            vm.wait_until(lambda: vm.virtio(each.name), each.name)
        assert_no_leak(kept, NOISE + LEAK * CYCLES * 2 // 5)
        assert_nobody_is_stuck(vm)
