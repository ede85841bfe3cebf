# SPDX-License-Identifier: GPL-2.0
"""virtio_console: ports as files, ports as consoles, and everything that host and guest can do to each other."""

import contextlib
import json
import os
import select
import threading
import time

import pytest

from vmlib import devices, userland
from vmlib.devices import Port
from vmlib.guest import make_ext4
from vmlib.host import VmError
from vmlib.machine import Machine
from vmlib.ports import pattern, receive, transfer

MIB = 1 << 20
AGENT = "org.qemu.guest_agent.0"

# name: (properties, features that have to be there, and that must not be)
DEVICES = {
    "main": (dict(max_ports=31), "MULTIPORT INDIRECT_DESC EVENT_IDX VERSION_1", "EMERG_WRITE SIZE ACCESS_PLATFORM"),
    "vectors0": (dict(vectors=0), "MULTIPORT", ""),
    "vectors1": (dict(vectors=1), "MULTIPORT", ""),
    "vectors64": (dict(vectors=64), "MULTIPORT", ""),
    "four": (dict(max_ports=4), "MULTIPORT", ""),
    "single": (dict(max_ports=1), "VERSION_1", "MULTIPORT"),
    "platform": (dict(iommu_platform=True), "MULTIPORT ACCESS_PLATFORM", ""),
    "no-event-idx": (dict(event_idx=False, indirect_desc=False), "MULTIPORT", "EVENT_IDX INDIRECT_DESC"),
    "packed": (dict(packed=True), "MULTIPORT", ""),
    "transitional": (dict(disable_legacy="off", disable_modern=False), "MULTIPORT VERSION_1", ""),
}
WITH_PORT = [name for name in DEVICES if name not in ("main", "single")]


def make_ports(name, folder):
    if name == "single":
        return [Port("single-con", folder, "virtconsole", nr=0)]
    if name == "main":
        return [Port("con", folder, "virtconsole", nr=0), Port("agent", folder, port_name=AGENT, nr=1),
                Port("data", folder, port_name="org.virtio-modern.data", nr=2), Port("anon", folder, nr=3),
                *(Port(f"p{nr}", folder, port_name=f"port.{nr}", nr=nr) for nr in (4, 5, 17, 30))]
    return [Port(f"{name}-port", folder, port_name=f"on.{name}", nr=1)]


@pytest.fixture(scope="module")
def vm(guest, module_folder, make_module_machine):
    """One machine with devices of every sort."""
    serials = [devices.serial(name, make_ports(name, module_folder), **properties)
               for name, (properties, _, _) in DEVICES.items()]
    with make_module_machine(guest, serials, smp=2, memory=384) as machine:
        wait_for_ports(machine)
        yield machine


def wait_for_ports(vm, *serials):
    """The device tells of its ports after its driver has found it."""
    for device in vm.devices:
        for unit in device.units:
            if not serials or device.name in serials:
                vm.wait_until(lambda: vm.port(unit.name), f"port {unit.name}")


def find(vm, name):
    return vm.unit(name)[1]


def portio(vm, name, steps):
    return vm.start(f"portio {vm.port(name)} {steps}")


def says(vm, name, steps, timeout=60):
    """Takes some steps to their end; returns the lines that were printed."""
    job = portio(vm, name, steps)
    status = job.wait(timeout)
    lines = job.output.splitlines()
    assert status == 0 or lines and lines[-1].startswith("open "), (steps, lines)
    return lines


# ---- devices and ports ----

@pytest.mark.parametrize("name", DEVICES)
def test_device(vm, name):
    _, there, missing = DEVICES[name]
    features = vm.features(name)
    assert set(there.split()) <= set(features) and not set(missing.split()) & set(features), features
    assert "RING_PACKED" not in features
    if name != "transitional":
        assert vm.pci_id(name) == "1af4:1043" and not vm.io_bars(name)
    kinds = [kind for kind, _, _ in vm.interrupts(name).values()]
    if name == "vectors0":
        assert len(kinds) == 1 and kinds[0].startswith("IO-APIC"), kinds
    elif name in ("main", "four"):
        # QEMU has two vectors, for config and for all 64 queues.
        assert len(kinds) == 2 and all(kind.startswith("PCI-MSI") for kind in kinds), kinds


def test_names(vm):
    """What udev's stock rule makes links of: SUBSYSTEM virtio-ports, KERNEL vport*, ATTR{name} with anything in it."""
    for name in ("agent", "data", "p30"):
        attribute = f"/sys/class/virtio-ports/{vm.port(name)[5:]}"
        assert vm.run(f"cat {attribute}/name") == f"{find(vm, name).properties['name']}\n"
        assert vm.run(f"basename $(readlink -f {attribute}/subsystem)").strip() == "virtio-ports"
        assert vm.status(f"[ -c {vm.port(name)} ]")[0] == 0
    assert vm.status(f"cat /sys/class/virtio-ports/{vm.port('anon')[5:]}/name")[0] != 0


def test_one_opener(vm):
    job = portio(vm, "data", "say=here sleep=2000")
    job.expect("here")
    assert says(vm, "data", "") == ["open EBUSY"]
    assert job.wait() == 0
    assert says(vm, "data", "say=again") == ["again"]
    # A console is opened as one.
    assert says(vm, "con", "") == ["open ENXIO"]


# ---- data ----

@pytest.mark.parametrize("name", ["data", "anon", "p30"])
def test_data_both_ways(vm, name):
    transfer(vm, name, 8 * MIB, seed=2)


@pytest.mark.parametrize("name", WITH_PORT)
def test_data_on_every_device(vm, name):
    transfer(vm, f"{name}-port", MIB, seed=3)


@pytest.mark.parametrize("piece", [1, 7, 4087, 4089, 20000, MIB])
def test_sizes_of_pieces(vm, piece):
    transfer(vm, "data", min(piece * 500, 2 * MIB) + 3, seed=4, piece=piece)


def test_several_ports_at_once(vm):
    names = ["agent", "data", "anon", "p4", "p5", "p17", "p30"]
    jobs, socks, total = [], [], 2 * MIB
    with contextlib.ExitStack() as stack:
        for n, name in enumerate(names):
            socks.append(stack.enter_context(find(vm, name).connect()))
            jobs.append(portio(vm, name, f"seed={10 + n} put={total} get={total}"))
        for n, sock in enumerate(socks):
            assert receive(sock, total) == pattern(10 + n, total)
        threads = [threading.Thread(target=sock.sendall, args=(pattern(10 + n, total),))
                   for n, sock in enumerate(socks)]
        for thread in threads:
            thread.start()
        for job in jobs:
            assert job.wait(120) == 0, job.output
        for thread in threads:
            thread.join()


def test_splice(vm, kernel):
    with find(vm, "data").connect() as sock:
        said = says(vm, "data", "seed=5 splice=50000")
        if not kernel.old and said == ["splice EINVAL"]:
            pytest.skip("today's kernels splice only to files that have a method for it")
        assert said == ["splice 50000"]
        assert receive(sock, 50000) == pattern(5, 50000)


# ---- who is connected ----

def test_nobody_on_the_host(vm):
    assert says(vm, "data", "poll=1000 read nonblock read write=10 pollout=200") == [
        "poll IN HUP", "read 0", "read 0", "write EAGAIN", "poll HUP"]
    job = portio(vm, "data", "say=writing seed=6 piece=1000 put=1000")
    job.expect("writing")
    time.sleep(0.5)
    assert job.status is None
    with find(vm, "data").connect() as sock:
        assert receive(sock, 1000) == pattern(6, 1000)
        assert job.wait() == 0


def test_host_closes_and_reopens(vm):
    port = find(vm, "data")
    for n in range(5):
        with port.connect() as sock:
            job = portio(vm, "data", "seed=7 piece=100 get=100 say=got read say=end sleep=300 poll=100")
            sock.sendall(pattern(7, 100))
            job.expect("got")
        assert job.wait() == 0
        assert job.output.splitlines()[1:] == ["got", "read 0", "end", "poll IN HUP"], n


def test_poll(vm):
    with find(vm, "data").connect() as sock:
        vm.wait_until(lambda: says(vm, "data", "pollout=5000") == ["poll OUT"], "the connection")
        assert says(vm, "data", "poll=0 pollin=200") == ["poll OUT", "poll nothing"]
        job = portio(vm, "data", "say=ready pollin=20000 read nonblock read pollin=20000 read")
        job.expect("ready")
        time.sleep(0.3)
        sock.sendall(b"hello")
        job.expect("poll IN\n")
        job.expect("read 5\nread EAGAIN\n")
        sock.sendall(b"again!")
        job.expect("poll IN\nread 6\n")
        assert job.wait() == 0
        job = portio(vm, "data", "say=ready pollin=20000")
        job.expect("ready")
    job.expect("poll IN HUP\n")


def test_sigio(vm):
    with find(vm, "data").connect() as sock:
        job = portio(vm, "data", "sleep=300 sigio wait=200 say=now wait=20000 read say=close wait=20000")
        job.expect("no sigio\nnow\n")
        sock.sendall(b"wake up")
        job.expect("sigio came\nread 7\nclose\n")
    job.expect("sigio came\n")
    assert job.wait() == 0


# ---- throttling ----

def test_host_does_not_read(vm):
    port = find(vm, "data")
    with port.connect() as sock:
        job = portio(vm, "data", "nonblock seed=8 fill pollout=500 say=full pollout=30000 block say=end")
        said = job.expect(r"fill (\d+)\npoll nothing\nfull\n")
        filled = int(said[1])
        assert filled >= 65536
        assert receive(sock, filled) == pattern(8, filled)
        job.expect("poll OUT\nend\n")
        assert job.wait() == 0
        # A writer that waits gets on when the host reads, and nothing is lost.
        job = portio(vm, "data", f"seed=9 put={4 * MIB} say=end")
        time.sleep(2)
        assert job.status is None and "end" not in job.output
        assert receive(sock, 4 * MIB) == pattern(9, 4 * MIB)
        assert job.wait() == 0, job.output


def test_guest_does_not_read(vm):
    with find(vm, "data").connect() as sock:
        job = portio(vm, "data", f"say=open sleep=3000 seed=11 get={2 * MIB} say=end")
        job.expect("open")
        sock.setblocking(False)
        data, sent, deadline = pattern(11, 2 * MIB), 0, time.monotonic() + 2
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                sent += sock.send(data[sent:])
            time.sleep(0.05)
        assert 0 < sent < len(data), "the host was not held up"
        sock.setblocking(True)
        sock.settimeout(60)
        sock.sendall(data[sent:])
        job.expect("end")
        assert job.wait() == 0


# ---- ports that come and go ----

def test_port_comes_and_goes(vm, module_folder):
    port = Port("late", module_folder, port_name="org.late", nr=9)
    for n in range(3):
        vm.add_units("main", [port])
        vm.wait_until(lambda: vm.port("late"), "the port")
        path = vm.port("late")
        vm.wait_until(lambda: vm.status(f"cat /sys/class/virtio-ports/{path[5:]}/name")[1] == "org.late\n",
                      "its name")
        transfer(vm, "late", MIB, seed=20 + n)
        with port.connect():
            read = portio(vm, "late", "say=open read poll=1000 write=10 read sleep=1000 say=closing")
            read.expect("open")
            time.sleep(0.3)
            vm.remove_units(["late"])
            read.expect("read ENODEV\npoll HUP\nwrite ENODEV\nread ENODEV\nclosing\n")
            assert read.wait() == 0
        vm.wait_until(lambda: vm.status(f"[ -e {path} ]")[0] != 0, "the port's end")
    # The others have not noticed.
    transfer(vm, "data", MIB)


def test_blocked_writer_and_poller_of_a_port_that_goes(vm, module_folder):
    for steps, said in (("nonblock fill block write=100000", "write ENODEV"),
                        ("pollin=30000", "poll HUP")):
        port = Port("brief", module_folder, nr=10)
        vm.add_units("main", [port])
        vm.wait_until(lambda: vm.port("brief"), "the port")
        with port.connect():
            job = portio(vm, "brief", f"sleep=300 say=begin {steps}")
            job.expect("begin")
            time.sleep(1)
            assert job.status is None
            vm.remove_units(["brief"])
            job.expect(said)
            assert job.wait() == 0


@contextlib.contextmanager
def at_work(vm, name):
    """Data goes both ways on a port, over and over; all of it has to be right in the end."""
    stop, failed = threading.Event(), []
    job = vm.start(f"rm -f /tmp/stop-{name}; until [ -e /tmp/stop-{name} ]; do portio {vm.port(name)} seed=30 "
                   f"put=300000 get=300000 || exit 1; done")
    data = pattern(30, 300000)
    with find(vm, name).connect() as sock:
        def echo():
            try:
                while not stop.is_set():
                    if select.select([sock], [], [], 0.2)[0]:
                        if receive(sock, len(data)) != data:
                            raise VmError("wrong data")
                        sock.sendall(data)
            except (OSError, VmError) as error:
                failed.append(error)
        thread = threading.Thread(target=echo)
        thread.start()
        try:
            job.expect("get 300000")
            yield
            vm.run(f"touch /tmp/stop-{name}")
            assert job.wait(60) == 0, job.output[-1000:]
        finally:
            stop.set()
            thread.join()
            if job.status is None:
                job.kill()
    assert not failed, failed


def test_ports_come_and_go_under_load(vm, module_folder):
    with at_work(vm, "data"):
        for n in range(20):
            port = Port("often", module_folder, port_name=f"often.{n}", nr=11 + n % 3)
            vm.add_units("main", [port])
            vm.wait_until(lambda: vm.port("often"), "the port")
            path = vm.port("often")
            vm.remove_units(["often"])
            vm.wait_until(lambda: vm.status(f"[ -e {path} ]")[0] != 0, "the port's end")


# ---- devices that come and go ----

def test_unplug_under_load(vm):
    """A device is asked for, with files open and data on its way; it comes back as it was."""
    for name in ("four", "vectors0"):
        path = vm.port(f"{name}-port")
        with find(vm, f"{name}-port").connect():
            reader = portio(vm, f"{name}-port", "say=open nonblock fill block sleep=500 write=100000 read sleep=500")
            reader.expect("open")
            with at_work(vm, "data"):
                vm.unplug(name)
            reader.expect("write ENODEV\nread ENODEV\n")
            assert reader.wait() == 0
        assert vm.status(f"[ -e {path} ]")[0] != 0
        vm.plug(name)
        wait_for_ports(vm, name)
        transfer(vm, f"{name}-port", MIB)


def test_pulled_under_load(guest, folder, make_machine):
    """It goes unasked, and the root port only says so afterwards; or is asked for by the port and not by ACPI."""
    if not guest.pack:
        pytest.skip("the kernel's own driver is not asked about this")
    serials = [devices.serial("stays", [Port("data", folder, nr=1)]),
               devices.serial("goes", [Port("goes-con", folder, "virtconsole", nr=0), Port("goes-port", folder, nr=1)])]
    extra = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    with make_machine(guest, serials, smp=2, extra=extra) as vm:
        wait_for_ports(vm)
        for n, away in enumerate((vm.pull, vm.unplug, vm.pull)):
            with find(vm, "goes-port").connect():
                writer = portio(vm, "goes-port", "sleep=300 nonblock fill block write=100000 read poll=100 sleep=500")
                writer.expect("fill")
                terminal = vm.start(f"cat /dev/hvc{n if vm.guest.kernel.old else 0}; echo over")
                with at_work(vm, "data"):
                    away("goes")
                # What QEMU takes late makes room for some of it, or for all.
                writer.expect(r"write (\d+|ENODEV|EIO)\nread ENODEV\npoll HUP\n")
                assert writer.wait() == 0
                terminal.expect("over")
            vm.plug("goes")
            wait_for_ports(vm, "goes")
            transfer(vm, "goes-port", MIB)


def test_many_cycles(vm):
    for n in range(10):
        vm.unplug("four")
        vm.plug("four")
        wait_for_ports(vm, "four")
        transfer(vm, "four-port", 100000, seed=n)


def test_reload_under_load(vm):
    """Open files keep the module; without them it goes, and comes back with the same ports."""
    names = {name: vm.port(name) for name in ("agent", "data", "p30")}
    # One that is open all the time: whoever is at work opens and closes.
    opener = vm.start(f"exec 3< {vm.port('agent')} && echo open && exec sleep 1000")
    opener.expect("open")
    with at_work(vm, "data"):
        assert vm.status("rmmod virtio_console")[0] != 0
    opener.kill()
    for _ in range(3):
        vm.run("rmmod virtio_console && modprobe virtio_console")
        wait_for_ports(vm)
        assert {name: vm.port(name) for name in names} == names
        transfer(vm, "data", MIB)
        transfer(vm, "vectors0-port", MIB)


# ---- consoles ----

@pytest.fixture(scope="module")
def console_vm(guest, kernel, module_folder):
    """A machine of its own: 2.6.32 numbers its consoles on, so that only the first ones have a place in /dev."""
    serials = [devices.serial("one", [Port("one-con", module_folder, "virtconsole", nr=0)], max_ports=1),
               devices.serial("two", [Port("two-con", module_folder, "virtconsole", nr=0),
                                      Port("two-port", module_folder, nr=1)])]
    with Machine(f"{kernel.name}/test_console-hvc", guest, serials, memory=256) as vm:
        wait_for_ports(vm)
        yield vm


def read_until(sock, wanted, timeout=30):
    data, deadline = b"", time.monotonic() + timeout
    while wanted not in data:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        piece = sock.recv(4096)
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("name,hvc", [("one-con", 0), ("two-con", 1)])
def test_console(console_vm, name, hvc):
    """What a login needs: text both ways, on a terminal."""
    vm = console_vm
    with find(vm, name).connect() as sock:
        vm.run(f"echo what the guest says > /dev/hvc{hvc}")
        assert b"what the guest says\r\n" in read_until(sock, b"says\r\n")
        shell = vm.start(f"sh -i < /dev/hvc{hvc} > /dev/hvc{hvc} 2>&1; echo over")
        read_until(sock, b"# ")
        sock.sendall(b"echo $((6 * 7))-$(tty)\n")
        assert b"42-/dev/hvc%d" % hvc in read_until(sock, b"42-/dev/hvc%d\r\n" % hvc)
        # Not too much of it in one go: QEMU drops what a slow host does not take.
        for n in range(20):
            sock.sendall(b"seq 50; echo done-$((%d + 1))\n" % n)
            text = read_until(sock, b"done-%d\r\n" % (n + 1))
            assert b"\r\n".join(b"%d" % n for n in range(1, 51)) in text
        sock.sendall(b"exit\n")
        read_until(sock, b"exit\r\n")
        shell.expect("over")


def drain(sock):
    """What has come so far."""
    data = b""
    while select.select([sock], [], [], 1)[0]:
        data += sock.recv(65536)
    return data


def test_console_whose_host_does_not_read(console_vm):
    """QEMU drops a console's text then, since it takes all drivers for such as would hold the kernel up: so nobody
    waits, and the rest of the guest goes on."""
    vm = console_vm
    with find(vm, "two-con").connect() as sock:
        drain(sock)
        job = vm.start("seq 20000 > /dev/hvc1; echo end")
        transfer(vm, "two-port", MIB)
        job.expect("end", 120)
        text = drain(sock)
        beginning = b"\r\n".join(b"%d" % n for n in range(1, 100))
        assert text.startswith(beginning)
        vm.run("echo and now > /dev/hvc1")
        assert read_until(sock, b"\n") == b"and now\r\n"


def test_console_goes_while_open(console_vm):
    """Its terminal is hung up."""
    vm = console_vm
    with find(vm, "two-con").connect():
        job = vm.start("cat /dev/hvc1; echo over")
        time.sleep(0.5)
        assert job.status is None
        vm.unplug("two")
        job.expect("over")
        assert job.wait() == 0
    vm.plug("two")
    wait_for_ports(vm, "two")
    transfer(vm, "two-port", MIB)


# ---- the guest agent's channel ----

class GuestAgent:
    """The host's end of the guest agent's protocol."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def ask(self, command, timeout=30, **arguments):
        self.sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.sock.settimeout(timeout)
        while b"\n" not in self.data:
            piece = self.sock.recv(4096)
            assert piece, "the agent's end was closed"
            self.data += piece
        line, self.data = self.data.split(b"\n", 1)
        return json.loads(line.lstrip(b"\xff"))


@pytest.mark.parametrize("which", ["protocol", "real"])
def test_guest_agent(make_guest, kernel, folder, make_machine, which):
    """Sync, ping, and a file system that is frozen and thawed, over the channel that libvirt makes for it: with a
    program that has this much of the protocol, and with QEMU's own agent where the kernel can run Debian's."""
    if which == "real" and kernel.old:
        pytest.skip("Debian's C library refuses 2.6.32, so qemu-ga cannot run: the protocol is tested without it")
    make_ext4(folder / "disk.img", "32M")
    port = Port("channel0", folder, port_name=AGENT, nr=1)
    guest = make_guest(files=userland.guest_agent() if which == "real" else None)
    with make_machine(guest, [devices.disk("disk", folder / "disk.img"),
                              devices.serial("virtio-serial0", [port])]) as vm:
        wait_for_ports(vm)
        vm.run(f"mount -t ext4 /dev/{vm.disk('disk')} /mnt")
        if which == "real":
            job = vm.start(f"mkdir -p /var/run; qemu-ga -v -m virtio-serial -p {vm.port('channel0')} -t /tmp")
        else:
            job = vm.start(f"qga {vm.port('channel0')} /mnt")
            job.expect("ready")
        for n in range(3):
            with port.connect() as sock:
                converse(vm, GuestAgent(sock), n)
        job.kill()
        vm.run("umount /mnt")


def converse(vm, agent, n):
    assert agent.ask("guest-sync-delimited", id=1000 + n) == {"return": 1000 + n}
    assert agent.ask("guest-sync", id=os.getpid()) == {"return": os.getpid()}
    assert agent.ask("guest-ping") == {"return": {}}
    assert agent.ask("guest-fsfreeze-status") == {"return": "thawed"}
    assert agent.ask("guest-fsfreeze-freeze") == {"return": 1}
    assert agent.ask("guest-fsfreeze-status") == {"return": "frozen"}
    writer = vm.start(f"echo {n} > /mnt/file{n} && sync && echo written")
    time.sleep(1)
    assert writer.status is None and "written" not in writer.output
    assert agent.ask("guest-fsfreeze-thaw") == {"return": 1}
    writer.expect("written")
    assert agent.ask("guest-fsfreeze-status") == {"return": "thawed"}
    assert "error" in agent.ask("guest-nonsense")
