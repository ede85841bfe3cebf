# SPDX-License-Identifier: GPL-2.0
"""virtio_balloon: memory goes to the host and comes back, while the guest wants it, too."""

import contextlib
import re

import pytest

from vmlib import devices
from test_data import sparse

MIB = 1 << 20
MEMORY = 512                    # of a machine, in MiB
STATS = {"stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory",
         "stat-total-memory", "stat-disk-caches"}
UNKNOWN = (1 << 64) - 1
# However short of memory: nobody was killed for it.
KILLED = re.compile(r"[Oo]ut of memory|oom-killer|invoked oom|Killed process")


def actual(vm):
    """MiB that the host has left the guest."""
    return vm.qmp.command("query-balloon")["actual"] / MIB


def ask(vm, mib):
    vm.qmp.command("balloon", value=int(mib * MIB))


def wait_for(vm, mib, timeout=90):
    vm.wait_until(lambda: actual(vm) == mib, f"a guest of {mib} MiB (it has {actual(vm)})", timeout)


def resize(vm, mib, timeout=90):
    ask(vm, mib)
    wait_for(vm, mib, timeout)


def meminfo(vm, field="MemTotal"):
    """A line of /proc/meminfo in MiB."""
    return int(re.search(rf"^{field}: *(\d+) kB$", vm.read("/proc/meminfo"), re.M)[1]) / 1024


def in_use(vm):
    """MiB that nobody can do without: a guest that is smaller has to swap, or kill."""
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    return int(actual(vm) - meminfo(vm, "MemFree"))


def vmstat(vm, field):
    return int(re.search(rf"^{field} (\d+)$", vm.read("/proc/vmstat"), re.M)[1])


def rss(vm):
    """MiB that QEMU takes of the host."""
    with open(f"/proc/{vm.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) / 1024


def said(vm, text):
    """How often the guest's log has it."""
    return vm.console.read_text(errors="replace").count(text)


def assert_nobody_was_killed(vm):
    assert not KILLED.search(vm.console.read_text(errors="replace"))


def write(vm, mib, zeros=0):
    """Files of so much in memory: random data, whose checksum is kept, and as much more as is asked for."""
    vm.run(f"dd if=/dev/urandom of=/mnt/data bs=1M count={mib} && md5sum /mnt/data > /tmp/sums && "
           f"dd if=/dev/zero of=/mnt/zeros bs=1M count={zeros}", timeout=300)


def verify(vm):
    vm.run("md5sum -c /tmp/sums", timeout=300)


@contextlib.contextmanager
def at_work(vm):
    """Memory is taken and given back all the time, as file pages and as a process's own."""
    job = vm.start("rm -f /tmp/stop; n=0; until [ -e /tmp/stop ]; do n=$((n + 1)); "
                   "dd if=/dev/zero of=/mnt/load bs=1M count=24 2> /dev/null || exit 1; "
                   "dd if=/mnt/load of=/dev/null bs=8M 2> /dev/null || exit 2; rm /mnt/load; echo turn $n; done")
    try:
        job.expect(r"turn 1\n")
        yield job
        job.expect(r"turn \d+\n")
        vm.run("touch /tmp/stop")
        assert job.wait(90) == 0, job.output[-500:]
    finally:
        if job.status is None:
            job.kill()


@pytest.fixture(scope="module")
def vm(guest, module_folder, make_module_machine):
    """A machine with a balloon, and with a disk to swap to."""
    swap = devices.disk("swap", sparse(module_folder / "swap.img", 256 * MIB))
    with make_module_machine(guest, [devices.balloon(), swap], memory=MEMORY, smp=2) as machine:
        machine.run(f"mkswap /dev/{machine.disk('swap')} && mount -t tmpfs -o size=400m tmpfs /mnt")
        yield machine
        machine.run("umount /mnt")
        assert_nobody_was_killed(machine)


# ---- what it is ----

def test_device(vm):
    assert vm.pci_id("balloon") == "1af4:1045"
    assert not vm.io_bars("balloon")
    features = vm.features("balloon")
    assert {"STATS_VQ", "VERSION_1", "INDIRECT_DESC", "EVENT_IDX"} <= set(features)
    assert not {"FREE_PAGE_HINT", "PAGE_POISON", "REPORTING", "DEFLATE_ON_OOM", "ACCESS_PLATFORM"} & set(features)


def test_interrupt_line(vm):
    """QEMU's has no MSI-X: all its queues are on the interrupt line."""
    before = vm.interrupts("balloon")
    [(number, (kind, _, count))] = before.items()
    assert kind.startswith("IO-APIC")
    resize(vm, MEMORY - 16)
    resize(vm, MEMORY)
    # One answer for each 256 pages each way, and the host's two wishes.
    assert 16 <= vm.interrupts("balloon")[number][2] - count <= 80


# ---- memory goes, and comes back ----

def test_half_and_back_at_work(vm):
    """Down to half of it and back, twice, while others want memory: nobody is killed, nothing is changed."""
    write(vm, 24)
    total = meminfo(vm)
    with at_work(vm):
        for _ in range(2):
            resize(vm, MEMORY / 2)
            assert meminfo(vm) == total - MEMORY / 2
            verify(vm)
            resize(vm, MEMORY)
            assert meminfo(vm) == total
    verify(vm)
    vm.run("rm /mnt/*")
    assert_nobody_was_killed(vm)


def test_host_gets_it(vm):
    """What the guest has used, and does without, is memory of the host's again."""
    vm.run("dd if=/dev/zero of=/mnt/data bs=1M count=300 && rm /mnt/data", timeout=120)
    before = rss(vm)
    resize(vm, MEMORY / 2)
    after = rss(vm)
    resize(vm, MEMORY)
    assert before - after > 100, f"{before:.0f} MiB before, {after:.0f} MiB after"


def test_under_pressure_with_swap(vm):
    """More is in use than is to remain: it goes to the disk, and is the same afterwards."""
    disk = vm.disk("swap")
    vm.run(f"swapon /dev/{disk}")
    write(vm, 72)
    resize(vm, in_use(vm) - 32, timeout=240)
    verify(vm)
    assert vmstat(vm, "pswpout") > 0 and vmstat(vm, "pswpin") > 0
    resize(vm, MEMORY)
    verify(vm)
    vm.run("rm /mnt/*")
    vm.run(f"swapoff /dev/{disk}", timeout=120)
    assert_nobody_was_killed(vm)


def test_changes_of_mind(vm):
    """The host says something else before the guest is done."""
    total = meminfo(vm)
    for mib in (256, 480, 300, 500, 272, MEMORY):
        ask(vm, mib)
        vm.run("true")
    wait_for(vm, MEMORY)
    assert meminfo(vm) == total


def test_no_memory_for_it(vm, request):
    """What is in use is not given away, without swap; when it is free, it is."""
    if request.config.getoption("--stock"):
        pytest.skip("the kernel's own driver takes the last page")
    write(vm, 8, zeros=112)
    used, line = in_use(vm), "no memory is free for more"
    before = said(vm, line)
    ask(vm, used - 48)
    vm.wait_until(lambda: said(vm, line) > before, "that line", 120)
    assert used - 16 < actual(vm) < used + 48
    # There is some left for others.
    for _ in range(5):
        vm.run("dd if=/dev/zero of=/dev/null bs=2M count=4")
        verify(vm)
    assert actual(vm) > used - 16
    vm.run("rm /mnt/*")
    wait_for(vm, used - 48, timeout=150)
    resize(vm, MEMORY)
    assert_nobody_was_killed(vm)


# ---- statistics ----

def stats(vm, interval=1):
    """What QEMU has from the guest, not older than this call."""
    path = "/machine/peripheral/balloon"

    def get():
        return vm.qmp.command("qom-get", path=path, property="guest-stats")
    vm.qmp.command("qom-set", path=path, property="guest-stats-polling-interval", value=interval)
    first = get()["last-update"]
    vm.wait_until(lambda: get()["last-update"] > first + interval, "new statistics")
    found = get()["stats"]
    vm.qmp.command("qom-set", path=path, property="guest-stats-polling-interval", value=0)
    return {name: value for name, value in found.items() if value != UNKNOWN}


def test_statistics(vm, kernel):
    vm.run("dd if=/dev/zero of=/mnt/data bs=1M count=64")
    found = stats(vm)
    assert set(found) >= STATS
    assert ("stat-available-memory" in found) == (not kernel.old)
    assert found["stat-total-memory"] / MIB == meminfo(vm)
    assert abs(found["stat-free-memory"] / MIB - meminfo(vm, "MemFree")) < 16
    assert found["stat-disk-caches"] / MIB == pytest.approx(
        meminfo(vm, "Cached") + meminfo(vm, "Buffers") + meminfo(vm, "SwapCached"), abs=4)
    assert found["stat-disk-caches"] / MIB > 64
    if not kernel.old:
        assert abs(found["stat-available-memory"] / MIB - meminfo(vm, "MemAvailable")) < 16
    assert found["stat-major-faults"] == vmstat(vm, "pgmajfault")
    faults = vmstat(vm, "pgfault")
    assert faults * 0.8 < found["stat-minor-faults"] + found["stat-major-faults"] <= faults
    for name, field in (("stat-swap-in", "pswpin"), ("stat-swap-out", "pswpout")):
        assert found[name] == vmstat(vm, field) * 4096
    vm.run("rm /mnt/data")


def test_statistics_follow(vm):
    """They are asked for anew each time, whatever the balloon does meanwhile."""
    before = stats(vm)
    resize(vm, MEMORY / 2)
    vm.run("true")                      # a process has faults
    less = stats(vm)
    resize(vm, MEMORY)
    vm.run("true")
    after = stats(vm)
    assert before["stat-total-memory"] - less["stat-total-memory"] == MEMORY / 2 * MIB
    assert after["stat-total-memory"] == before["stat-total-memory"]
    assert before["stat-minor-faults"] < less["stat-minor-faults"] < after["stat-minor-faults"]


# ---- it leaves, and comes back ----

def test_unload_and_reload(vm):
    """Without its driver, the guest has all its memory; with it, what the host wants is done again."""
    total = meminfo(vm)
    for _ in range(3):
        resize(vm, MEMORY / 2)
        vm.run("rmmod virtio_balloon", timeout=90)
        assert actual(vm) == MEMORY
        assert meminfo(vm) == total
        vm.run("modprobe virtio_balloon")
        wait_for(vm, MEMORY / 2)
    resize(vm, MEMORY)
    assert set(stats(vm)) >= STATS


def test_unbind_while_it_grows(vm):
    total = meminfo(vm)
    device = vm.virtio("balloon")
    for _ in range(5):
        ask(vm, MEMORY / 2)
        vm.run(f"echo {device} > /sys/bus/virtio/drivers/virtio_balloon/unbind", timeout=90)
        assert meminfo(vm) == total
        vm.run(f"echo {device} > /sys/bus/virtio/drivers/virtio_balloon/bind")
    resize(vm, MEMORY)
    assert meminfo(vm) == total


@pytest.mark.parametrize("way", ["acpi", "pcie"])
def test_hot_plug(guest, make_machine, way):
    """Pulled out with half of the memory in it: the guest has all of it again."""
    extra = ["-global", f"ICH9-LPC.acpi-pci-hotplug-with-bridge-support={'on' if way == 'acpi' else 'off'}"]
    with make_machine(guest, [devices.balloon()], memory=MEMORY, smp=2, extra=extra) as vm:
        vm.wait_until(lambda: vm.virtio("balloon"), "the balloon")
        total = meminfo(vm)
        for _ in range(2):
            resize(vm, MEMORY / 2)
            assert meminfo(vm) == total - MEMORY / 2
            vm.unplug("balloon")
            assert meminfo(vm) == total
            vm.plug("balloon")
            vm.wait_until(lambda: vm.virtio("balloon"), "the new balloon", timeout=60)
        resize(vm, MEMORY / 2)
        assert_nobody_was_killed(vm)


def test_surprise_removal(guest, make_machine):
    """Taken away unasked, while it grows: all that it had is the guest's again, at once."""
    extra = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    with make_machine(guest, [devices.balloon()], memory=MEMORY, smp=2, extra=extra) as vm:
        vm.wait_until(lambda: vm.virtio("balloon"), "the balloon")
        total = meminfo(vm)
        for mib in (MEMORY / 2, MEMORY - 64):
            resize(vm, mib)
            ask(vm, MEMORY / 2)
            vm.pull("balloon")
            vm.wait_until(lambda: meminfo(vm) == total, "all memory")
            vm.plug("balloon")
            vm.wait_until(lambda: vm.virtio("balloon"), "the new balloon", timeout=60)
        resize(vm, MEMORY / 2)


def test_reboot(guest, folder, make_machine):
    """The machine restarts with half of its memory in the balloon; the next kernel finds all of it."""
    image = folder / "root.img"
    guest.write_root(image)
    with make_machine(guest, [devices.disk("root", image), devices.balloon()], root=True, memory=MEMORY) as vm:
        total = meminfo(vm)
        resize(vm, MEMORY / 2)
        vm.reboot()
        vm.wait_until(lambda: vm.virtio("balloon"), "the balloon")
        resize(vm, MEMORY / 2)
        assert meminfo(vm) == pytest.approx(total - MEMORY / 2, abs=1)
        resize(vm, MEMORY)


# ---- the end of memory ----

@pytest.fixture
def greedy(guest, make_machine):
    """A guest that may take pages back rather than kill somebody, and whose processes get what they ask for."""
    with make_machine(guest, [devices.balloon(deflate_on_oom=True)], memory=MEMORY, smp=2) as vm:
        vm.run("echo 1 > /proc/sys/vm/overcommit_memory; mount -t tmpfs -o size=400m tmpfs /mnt")
        yield vm
        vm.run("umount /mnt")
        assert_nobody_was_killed(vm)


def test_deflate_on_oom(greedy, request):
    """A process needs more than is left: it gets it from the balloon, which does not grow before the host asks."""
    vm = greedy
    assert "DEFLATE_ON_OOM" in vm.features("balloon")
    total = meminfo(vm)
    size = in_use(vm) + 48
    resize(vm, size)
    write(vm, 8, zeros=112)
    left = actual(vm)
    assert size + 48 < left < MEMORY
    verify(vm)
    vm.run("rm /mnt/*")
    if not request.config.getoption("--stock"):
        # It may have to give back some more.
        vm.run("sleep 5")
        assert actual(vm) >= left
    resize(vm, size + 1)
    resize(vm, MEMORY)
    assert meminfo(vm) == total


def test_wants_all_of_it(greedy, request):
    """The host wants more than a guest can live without: it leaves itself some, says so once, and goes on."""
    if request.config.getoption("--stock"):
        pytest.skip("the kernel's own driver does not say so")
    vm = greedy
    total = meminfo(vm)
    ask(vm, 1)
    vm.wait_until(lambda: said(vm, "stay with the guest"), "that line", 60)
    vm.run("sleep 5; true", timeout=120)
    assert 32 < actual(vm) < 160
    resize(vm, MEMORY)
    assert meminfo(vm) == total
    assert said(vm, "stay with the guest") == 1
