# SPDX-License-Identifier: GPL-2.0
"""A machine under QEMU, Q35 if nothing else is said, with devices behind PCI Express root ports or on the root bus.

ttyS0 is the console, kept in the log folder; the agent answers on ttyS1. A machine that falls
silent, dies, or has a warning in its log has failed, whatever else its tests have found.
"""

import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time

from . import net
from .channels import Agent, Gone, Qmp, Silence
from .devices import Device, Port
from .features import names
from .host import BUILD, REPO, VmError

LOGS = BUILD / "logs"
LOG_FOLDERS = []                # of the machines made so far
STARTED_AGAIN = []              # a line for each start of these that had to be repeated
SECOND_TRIES = []               # what led to each module that was loaded only when it was tried once more
# Not a thread for each processor: of 90 such boots of 6.8 with two processors, three at a time, one ended in a
# SIGSEGV of QEMU 7.2 while the guest enumerated its PCI devices; of 90 with one thread for both, none did.
ACCEL = os.environ.get("VM_ACCEL", "tcg,thread=single")

BAD = re.compile(r"BUG:|kernel BUG|WARNING:|\bOops\b|general protection|Call Trace|Kernel panic"
                 r"|INFO: task .* blocked|INFO: possible|INFO: rcu|soft lockup|[Uu]nable to handle"
                 r"|Unknown rela relocation|disagrees about version|Unknown symbol|double free"
                 r"|nobody cared|scheduling while atomic|Eeek|page allocation failure"
                 r"|^init: |^agent: ")
# A start whose log has none of this has only hung before process 1: the first is the last that a kernel
# says by itself, and before it there is nobody who could load a module.
BEYOND = re.compile(rf"Freeing unused kernel|{BAD.pattern}")
FLAT = 0x4000                  # added to a LUN above 255 where its address, as SCSI has it, is taken for a number
# What QEMU may say on standard error.
FINE = re.compile(r"warning: TCG doesn't support requested feature|terminating on signal"
                  r"|warning: 9p: degraded performance: a reasonable high msize")


class HungEarly(VmError):
    """A kernel that has fallen silent before process 1."""


class Machine:
    """One machine; it can be booted again after it has ended, with the same disks and log."""

    CONSOLE = "console"         # the chardev of ttyS0
    SERIALS = ("-serial", "chardev:console", "-serial", "chardev:agent")

    def __init__(self, name, guest, devices=(), root=False, volume=None, resume=None, smp=1, memory=320,
                 spare_ports=0, load=("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "sr_mod", "sg", "virtio_scsi",
                                      "virtio_console", "virtio_balloon", "virtio_rng"),
                 append="", allow=(), trace=(), boot_timeout=120, early_timeout=60, extra=(), accel=ACCEL, board="q35"):
        """root: the first device, or its first unit, holds the root file system. volume: the logical volume on it
        that does, as GROUP/NAME. resume: the disk that a hibernated guest is read from. allow: patterns that the log
        may have.
        load: modules that the initramfs loads, of those that the guest has. early_timeout: for how
        long a kernel that has not reached process 1 may say nothing. extra: further QEMU arguments. accel: QEMU's
        accelerator, with its options. board: q35, or pc, where all devices are on the root bus."""
        self.name = name
        self.guest = guest
        self.devices = list(devices)
        self.root = root
        self.volume = volume
        self.resume = resume
        self.board = board
        self.load = load
        self.allow = [re.compile(pattern) for pattern in allow]
        self.boot_timeout = boot_timeout
        self.early_timeout = early_timeout
        self.process = None
        self.logs = LOGS / name
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        LOG_FOLDERS.append(self.logs)
        self.console = self.logs / "console.log"
        self.errors = self.logs / "qemu.log"
        self.hang = self.logs / "hang.log"
        self.second_tries = 0           # how many have been noted
        self.initramfs = self.logs / "initramfs"
        guest.write_initramfs(self.initramfs)
        self.argv = self._command_line(smp, memory, spare_ports, append, trace, extra, accel, board)

    # ---- the command line ----

    def _command_line(self, smp, memory, spare_ports, append, trace, extra, accel, board):
        cpu = {"tcg": "Nehalem", "kvm": "host"}.get(accel.split(",")[0], "max")
        argv = ["qemu-system-x86_64", "-name", self.name, "-accel", accel, "-cpu", cpu, "-smp", str(smp),
                "-m", str(memory), "-M", board, "-nodefaults", "-no-user-config", "-display", "none",
                *self._kernel(append), *extra]
        ports = len(self.devices) + spare_ports
        for n in range(ports):
            if n < len(self.devices) and self.devices[n].on_root:
                continue
            argv += self._json("device", {"driver": "pcie-root-port", "id": f"port{n}", "chassis": n + 1,
                                          "slot": n + 1, "bus": "pcie.0", "addr": f"{n + 2:#x}"})
        for n, device in enumerate(self.devices):
            for option, properties in device.backends:
                argv += self._json(option, properties)
            argv += self._json("device", {**device.properties, **self._bus(n, board)})
            for unit in device.units:
                if unit.node:
                    argv += self._json("blockdev", unit.node)
                if isinstance(unit, Port):
                    argv += ["-chardev", unit.backend()]
                argv += self._json("device", {**unit.properties, "bus": f"{device.name}.0"})
        for event in trace:
            argv += ["-trace", event]
        if trace:
            argv += ["-D", str(self.logs / "trace.log")]
        return argv

    def _kernel(self, append):
        """The arguments that have a kernel, what it is told, and what a restart of it does."""
        modules = ["crc32c_generic", "ext4", "pciehp", *self.load]
        # 6.0 drives its NMI watchdog by the timer where there are no counters; under TCG an NMI now
        # and then costs it the interrupt that should have ended a halt. On a busy host, 2.6.32's timer
        # check takes a late tick for a missing one, and panics.
        append = ("console=ttyS0,115200 panic=-1 printk.time=1 nmi_watchdog=0 no_timer_check "
                  "sysrq_always_enabled VM_MODULES=" +
                  ",".join(name for name in modules if name in self.guest.modules) +
                  (f" VM_RESUME={self._disk_place(self.resume)}" if self.resume else "") +
                  (f" VM_ROOT={self._root_place()}" if self.root else "") +
                  (f" VM_VOLUME={self.volume} " if self.volume else " ") + append)
        return ["-action", "reboot=shutdown", "-kernel", str(self.guest.kernel.vmlinuz),
                "-initrd", str(self.initramfs), "-append", append]

    def _root_address(self, n):
        """(slot, function) of a device on the root bus: eight in a slot, from the last one but one downwards."""
        before = sum(device.on_root for device in self.devices[:n])
        return 0x1e - before // 8, before % 8

    def _bus(self, n, board):
        """Properties that say where the n-th device is."""
        if not self.devices[n].on_root:
            return {"bus": f"port{n}"}
        slot, function = self._root_address(n)
        return {"bus": "pcie.0" if board == "q35" else "pci.0", "addr": f"{slot:#x}.{function}", "multifunction": True}

    def _root_place(self):
        """Where the root disk will be in the guest's sysfs, as a pattern."""
        first = self.devices[0]
        return self._disk_place((first.units[0] if first.units else first).name)

    def _disk_place(self, name):
        """Where a disk will be in the guest's sysfs, as a pattern."""
        controller, unit = self.unit(name) or (None, None)
        if unit:
            return self._place(controller.name, *self._block(unit))
        [device] = [each for each in self.devices if each.name == name]
        return self._place(name, *self._block(device))

    @staticmethod
    def _json(option, properties):
        return [f"-{option}", properties if isinstance(properties, str) else json.dumps(properties)]

    # ---- life ----

    def boot(self):
        """Starts QEMU and waits for the guest's agent."""
        self._launch()
        self._expect_hello()
        return self

    def _launch(self):
        agent, guests = socket.socketpair()
        qmp, qemus = socket.socketpair()
        terminal = socket.socket(socket.AF_UNIX)    # nobody reads it unless there is an autopsy
        terminal.bind("")
        terminal.listen(1)
        self.terminal = terminal.getsockname()
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *self.argv,
                "-chardev", f"socket,id={self.CONSOLE},fd={terminal.fileno()},server=on,wait=off,"
                            f"logfile={self.console},logappend=on",
                "-chardev", f"socket,id=agent,fd={guests.fileno()}", *self.SERIALS,
                "-chardev", f"socket,id=qmp,fd={qemus.fileno()}", "-mon", "chardev=qmp,mode=control"]
        theirs = (terminal, guests, qemus)
        inherited = [fd for device in self.devices for fd in device.fds]
        net.attach_queues(inherited)
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            pass_fds=[*(sock.fileno() for sock in theirs), *inherited])
        for sock in theirs:
            sock.close()
        self.dissected = False
        self.agent = Agent(agent, self._autopsy)
        self.qmp = Qmp(qmp, self._autopsy)
        self.qmp.greet()

    def _expect_hello(self):
        try:
            where = self.agent.hello(self.boot_timeout, self._early_watch())
        except HungEarly:
            where = None
        if where is None:
            self._start_again()
            where = self.agent.hello(self.boot_timeout)
        self._came_up(where)

    def _came_up(self, where):
        self._note_second_tries()
        wanted = "root" if self.root else "initramfs"
        if where != wanted:
            raise VmError(f"{self.name}: the guest came up in {where}, not in {wanted}")

    def _early_watch(self):
        """What to call every second of the start that begins now: it raises HungEarly."""
        begin = self.console.stat().st_size if self.console.exists() else 0     # earlier starts are in it, too
        size, since = 0, time.monotonic()

        def watch():
            nonlocal size, since
            said, now = self.console.read_bytes()[begin:] if self.console.exists() else b"", time.monotonic()
            if len(said) != size:
                size, since = len(said), now
            elif now - since > self.early_timeout and not BEYOND.search(said.decode(errors="replace")):
                raise HungEarly(f"{self.name}: silent for {self.early_timeout} s before process 1")
        return watch

    def _start_again(self):
        """A kernel that hangs before process 1 has not met the pack: the fault is QEMU's or its own. It may
        try once more, in a new QEMU (one that was hot-plugged to is without that), and not unnoticed."""
        self._dissect_early()
        self.kill()
        line = (f"started again: {self.logs.relative_to(REPO)}: the kernel hung before process 1, "
                f"see {self.hang.relative_to(REPO)}")
        STARTED_AGAIN.append(line)
        print(line, file=sys.stderr, flush=True)
        self._launch()

    def kill(self):
        """SIGKILL, as by a power cut."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.agent.sock.close()
            self.qmp.sock.close()

    def reboot(self):
        """The guest restarts itself, within this QEMU process."""
        self.qmp.command("set-action", reboot="reset")
        self.run("sync")
        self.agent.start("reboot -f")
        self.qmp.wait_event("RESET", guest=True)
        self._expect_hello()    # not sooner: the firmware resets the machine once more
        self.qmp.command("set-action", reboot="shutdown")

    def kexec(self, command="kexec -e -x"):
        """The guest goes on as another kernel, by a command that does not return. Nothing resets the machine, so
        whatever hangs afterwards, at whatever time, may be the pack's doing: there is no second start."""
        self.agent.start(command)
        self._came_up(self.agent.hello(self.boot_timeout))

    def sleep(self, meanwhile=lambda: None, may_fail=False):
        """Suspend to RAM, and awake again. may_fail: not all devices may have come back."""
        registers = self._save_pm()
        job = self.start("echo mem > /sys/power/state")
        self.qmp.wait_event("SUSPEND", timeout=60)
        meanwhile()
        self.qmp.command("system_wakeup")
        self.qmp.wait_event("WAKEUP")
        if job.wait(60) and not may_fail:
            raise VmError(f"{self.name}: suspend to RAM: {job.output}")
        self._restore_pm(registers)

    # Where a Q35 has its ACPI registers: after a sleep its firmware, as QEMU 7.2 has it, leaves them switched off,
    # and the machine would neither sleep nor power off any more.
    PM_REGISTERS = "/sys/bus/pci/devices/0000:00:1f.0/config"

    def _save_pm(self):
        if self.board != "q35":
            return ""
        return self.run(f"dd if={self.PM_REGISTERS} bs=1 skip=64 count=5 2> /dev/null | hexdump -v -e '1/1 \"\\\\x%02x\"'")

    def _restore_pm(self, registers):
        if registers:
            self.run(f"printf '{registers}' | dd of={self.PM_REGISTERS} bs=1 seek=64 conv=notrunc 2> /dev/null")

    def hibernate(self):
        """Suspend to disk, a new start, and back. Needs resume=, and swap that is on."""
        self.qmp.command("set-action", reboot="reset")
        job = self.start("echo reboot > /sys/power/disk && echo disk > /sys/power/state")
        self.qmp.wait_event("RESET", timeout=120, guest=True)
        self.agent.awake(self.boot_timeout)
        if job.wait(60):
            raise VmError(f"{self.name}: suspend to disk: {job.output}")
        self.qmp.command("set-action", reboot="shutdown")

    def finish(self):
        """The last checks: modules leave, the guest powers off, the log is clean."""
        if not self.root:
            self.unload()
        dmesg = self.run("dmesg")
        self.run("sync; mount -o remount,ro / 2>/dev/null; true")
        self.agent.start("poweroff -f")
        self.qmp.wait_event("SHUTDOWN", reason="guest-shutdown")
        self.process.wait(20)
        self.kill()
        self.check_log(dmesg)

    def unload(self):
        """Removes all virtio modules; those that stay are a failure."""
        def loaded():
            return [name for name in self.run("cut -d' ' -f1 /proc/modules").split() if "virtio" in name]
        # /proc/modules has the newest first, so users come before what they use.
        if mine := loaded():
            self.run(f"rmmod {' '.join(mine)}")
        if left := loaded():
            raise VmError(f"{self.name}: {' '.join(left)} cannot be unloaded")

    def __enter__(self):
        try:
            return self.boot()
        except BaseException as error:
            self._failed(error)
            raise

    def __exit__(self, kind, error, _):
        try:
            if error is None and self.process:
                self.finish()
            elif error is None:
                self.check_log()
        except BaseException as last:
            error = last
            raise
        finally:
            if error is not None:
                self._failed(error)
            self.initramfs.unlink(missing_ok=True)

    # ---- what went wrong ----

    def bad_lines(self, *texts, before=0):
        """Lines of the console (and of other texts) that no kernel should print; before: with how many that led
        to each."""
        lines = self.console.read_text(errors="replace").splitlines() if self.console.exists() else []
        for text in texts:
            lines += text.splitlines()
        bad = [n for n, line in enumerate(lines)
               if BAD.search(line) and not any(ok.search(line) for ok in self.allow)]
        return [self._led_to(lines, n, before) for n in bad]

    @staticmethod
    def _led_to(lines, n, before):
        return "\n        ".join(line.strip() for line in lines[max(0, n - before):n + 1])

    def _note_second_tries(self):
        """A module that does not load at once is no failure by itself, and not to be overlooked either."""
        lines = self.console.read_text(errors="replace").splitlines()
        tries = [n for n, line in enumerate(lines) if "second try: modprobe" in line]
        SECOND_TRIES.extend(f"{self.console.relative_to(REPO)}: {self._led_to(lines, n, 8)}"
                            for n in tries[self.second_tries:])
        self.second_tries = len(tries)

    def check_log(self, *texts):
        bad = self.bad_lines(*texts)
        if bad:
            raise VmError(f"{self.name}: the guest's log has: {bad[0]}")
        said = [line for line in self.errors.read_text(errors="replace").splitlines()
                if not FINE.search(line)]
        if said:
            raise VmError(f"{self.name}: QEMU said: {said[0]}")

    def _dissect_early(self):
        """Too early for SysRq, whose traces would also condemn the log of the start to come: keeps what
        QEMU knows of the processors and the interrupt controllers."""
        self.dissected = True
        with open(self.hang, "a", encoding="utf-8") as file:
            try:
                processors = range(len(self.qmp.command("query-cpus-fast")))
                for command, n in [("info status", 0), ("info registers -a", 0), ("info pic", 0),
                                   *(("info lapic", n) for n in processors),
                                   *(("x /256gx $esp", n) for n in processors)]:
                    said = self.qmp.command("human-monitor-command", command_line=command, cpu_index=n)
                    file.write(f"---- processor {n}: {command}\n" + said.replace("\r", "") + "\n")
            except VmError as error:        # QEMU itself may be what hangs
                file.write(f"---- {error}\n")

    def _autopsy(self):
        """A guest that hangs: have the kernel say, once, where its processors and blocked tasks are."""
        if self.dissected:
            return
        self.dissected = True
        try:
            with socket.socket(socket.AF_UNIX) as terminal:
                terminal.connect(self.terminal)
                for key in b"lw":
                    self.qmp.command("chardev-send-break", id=self.CONSOLE)
                    terminal.send(bytes([key]))
                    limit = time.monotonic() + 3
                    while time.monotonic() < limit and select.select([terminal], [], [], 1)[0]:
                        terminal.recv(65536)
        except (VmError, OSError):
            pass

    def _failed(self, error):
        """Ends the machine and adds to the error what its reader will want to know."""
        ended = None
        if isinstance(error, Gone) and self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = self.process.wait(5)
        try:
            self.kill()
            self.initramfs.unlink(missing_ok=True)
        finally:
            notes = [f"log: {self.console}"]
            notes += [f"  bad: {lines}" for lines in self.bad_lines(before=5)[:5]]
            if self.console.exists():
                tail = self.console.read_text(errors="replace").splitlines()[-8:]
                notes += [f"  end: {line.strip()}" for line in tail]
            if self.errors.exists():
                notes += [f"  qemu: {line}" for line in self.errors.read_text(errors="replace").splitlines()
                          if not FINE.search(line)][:5]
            if ended is not None:
                notes += [f"  qemu: ended with {ended}"]
            error.add_note("\n".join(notes))

    # ---- the guest ----

    def start(self, command):
        """Starts a shell command in the guest."""
        return self.agent.start(command)

    def run(self, command, timeout=60, watch=None):
        """Runs a shell command in the guest; returns its output, raises if it fails."""
        job = self.start(command)
        if job.wait(timeout, watch):
            raise VmError(f"{self.name}: `{command}` gave {job.status}: {job.output.strip()[-600:]}")
        return job.output

    def status(self, command, timeout=60):
        """Runs a shell command in the guest; returns (exit status, output)."""
        job = self.start(command)
        return job.wait(timeout), job.output

    def read(self, path):
        return self.run(f"cat {path}").strip()

    def _place(self, port, *patterns):
        """A pattern (several, with spaces between) for what is below a root port's folder in the guest's sysfs.
        A port is its number, or the name of the device that is on it."""
        if isinstance(port, str):
            port = [device.name for device in self.devices].index(port)
        if port < len(self.devices) and self.devices[port].on_root:
            slot, function = self._root_address(port)
            return " ".join(f"/sys/bus/pci/devices/0000:00:{slot:02x}.{function}{each}" for each in patterns)
        return " ".join(f"/sys/bus/pci/devices/0000:00:{port + 2:02x}.0/0000:??:??.?{each}" for each in patterns)

    def place(self, name, pattern):
        """A pattern, for the guest's shell, for what is below a device's folder in sysfs."""
        return self._place(name, pattern)

    def _find(self, places):
        return self.run(f"for path in {places}; do [ ! -e $path ] || echo $path; done").split()

    def _sysfs(self, port, *patterns):
        """What matches one of these patterns below a root port, or None."""
        found = self._find(self._place(port, *patterns))
        return found[0] if found else None

    def pci(self, port):
        """The sysfs folder of the PCI device on a root port, None if the guest sees none."""
        return self._sysfs(port, "")

    def virtio(self, port):
        """The virtio device (virtio0) on a root port, None if no transport has bound one."""
        path = self._sysfs(port, "/virtio[0-9]*")
        return path and path.rsplit("/", 1)[1]

    @staticmethod
    def _unit_folders(unit):
        """Patterns for a unit's folder. A LUN above 255 may be called by its flat address."""
        if not unit.address:
            return ["/ata*/host*/target*/*:*:*:*", "/host*/target*/*:*:*:*"]
        target, lun = unit.address
        return [f"/virtio*/host*/target*/*:0:{target}:{n}" for n in ({lun} if lun < 256 else {lun, lun | FLAT})]

    def _block(self, device):
        """Patterns for the disk that a device or a unit is."""
        folders = ["/virtio[0-9]*"] if isinstance(device, Device) else self._unit_folders(device)
        return [f"{folder}/block/*" for folder in folders]

    def unit(self, name):
        """(controller, unit) of that name."""
        for device in self.devices:
            for each in device.units:
                if each.name == name:
                    return device, each
        return None

    def scsi_host(self, port):
        """The folder of a controller's attributes."""
        path = self._sysfs(port, "/virtio*/host*/scsi_host/host*")
        return path and f"/sys/class/scsi_host/{path.rsplit('/', 1)[1]}"

    def scsi_device(self, name):
        """The folder of a unit in the guest's sysfs, or None."""
        controller, unit = self.unit(name)
        return self._sysfs(controller.name, *self._unit_folders(unit))

    def disk(self, port):
        """The disk (vda, sda, sr0) on a root port, or that a unit is; None if there is none."""
        controller, unit = self.unit(port) or (None, None)
        path = self._sysfs(controller.name, *self._block(unit)) if unit else self._sysfs(port, "/virtio[0-9]*/block/*")
        return path and path.rsplit("/", 1)[1]

    def disks(self, controller):
        """{(target, LUN): disk} of all that the guest has on a controller."""
        found = {}
        for path in self._find(self._place(controller, "/virtio*/host*/target*/*:0:*/block/*")):
            *_, address, _, disk = path.split("/")
            target, lun = map(int, address.split(":")[2:])
            place = (target, lun & ~FLAT if lun & FLAT else lun)
            if place in found:
                raise VmError(f"{self.name}: {path} and {found[place]} are the same LUN")
            found[place] = disk
        return found

    def unplug(self, name, timeout=60):
        """Asks for a device by QMP, and waits until the guest has let it go."""
        [device] = [each for each in self.devices if each.name == name]
        self.qmp.command("device_del", id=name)
        for each in (*device.units, device):
            self.qmp.wait_event("DEVICE_DELETED", timeout, device=each.name)
        self.wait_until(lambda: self.pci(name) is None, f"{name}'s end")

    def plug(self, name):
        """Puts a device (back) on its port by QMP."""
        [port] = [n for n, each in enumerate(self.devices) if each.name == name]
        self.qmp.command("device_add", self.devices[port].properties, bus=f"port{port}")
        for unit in self.devices[port].units:
            self.qmp.command("device_add", unit.properties, bus=f"{name}.0")

    def pull(self, name):
        """Takes a device from its port without asking the guest. QEMU does so when a slot's power and its indicator
        are switched off: here by a process of the guest, which keeps the port's interrupts off for that moment,
        so that all the kernel finds is a slot that is on, and empty."""
        [port] = [n for n, each in enumerate(self.devices) if each.name == name]
        config = f"/sys/bus/pci/devices/0000:00:{port + 2:02x}.0/config"
        data = bytes.fromhex(self.run(f"hexdump -v -e '1/1 \"%02x\"' {config}"))
        at = data[0x34]
        while data[at] != 0x10:         # PCI Express
            at = data[at + 1]
        at += 0x18                      # Slot Control
        on = int.from_bytes(data[at:at + 2], "little")
        for control in (on & ~0x20 | 0x700, on):
            self.run(f"printf '\\{control & 0xff:03o}\\{control >> 8:03o}' | "
                     f"dd of={config} bs=2 seek={at // 2} conv=notrunc")
        for each in (*self.devices[port].units, self.devices[port]):
            self.qmp.wait_event("DEVICE_DELETED", device=each.name)
        self.wait_until(lambda: self.pci(name) is None, f"{name}'s end", timeout=60)
        time.sleep(2)                   # 2.6.32 gives a slot a second, in which it hears of nothing new

    def add_units(self, controller, units):
        """Adds units to a controller by QMP, one after the other."""
        [device] = [each for each in self.devices if each.name == controller]
        for unit in units:
            if unit.node:
                self.qmp.command("blockdev-add", unit.node)
            if isinstance(unit, Port):
                self.qmp.command("human-monitor-command", command_line=f"chardev-add {unit.backend()}")
            self.qmp.command("device_add", unit.properties, bus=f"{controller}.0")
            device.units.append(unit)

    def remove_units(self, names):
        """Removes units by QMP: from then on the device does not have them, whatever the guest does."""
        for name in names:
            self.qmp.command("device_del", id=name)
        for name in names:              # which takes QEMU a while for each, but for all together no longer
            device, unit = self.unit(name)
            self.qmp.wait_event("DEVICE_DELETED", device=name)
            device.units.remove(unit)
            if unit.node:
                self.qmp.command("blockdev-del", node_name=unit.node["node-name"])
            if isinstance(unit, Port):
                self.qmp.command("chardev-remove", id=unit.chardev)

    def port(self, name):
        """The character device (/dev/vport0p1) of a port, or None."""
        controller, unit = self.unit(name)
        path = self._sysfs(controller.name, f"/virtio[0-9]*/virtio-ports/vport*p{unit.properties['nr']}")
        return path and f"/dev/{path.rsplit('/', 1)[1]}"

    def nic(self, port):
        """The network interface (eth0) on a root port, None if there is none."""
        path = self._sysfs(port, "/virtio[0-9]*/net/*") or self._sysfs(port, "/net/*")
        return path and path.rsplit("/", 1)[1]

    def features(self, port):
        """Names of the features that the driver of a device has negotiated."""
        device = f"/sys/bus/virtio/devices/{self.virtio(port)}"
        kind, bits = self.run(f"cd {device} && echo $(cat device) $(cat features)").split()
        return names(int(kind, 0), bits)

    def pci_id(self, port):
        """Vendor and device, as in 1af4:1042."""
        path = self.pci(port)
        return ":".join(word[2:] for word in self.run(f"cat {path}/vendor {path}/device").split())

    def io_bars(self, port):
        """How many of a device's BARs are I/O ports: none, if it is modern-only."""
        flags = [int(line.split()[2], 16) for line in self.read(f"{self.pci(port)}/resource").splitlines()]
        return sum(1 for flag in flags if flag & 0x100)

    def interrupts(self, port):
        """{interrupt: (kind, name, how often so far)} of a device, from /proc/interrupts."""
        return {number: (kind, name, sum(counts))
                for number, (kind, name, counts) in self.interrupts_by_processor(port).items()}

    def interrupts_by_processor(self, port):
        """The same with a list in place of the number: how often on each processor."""
        device, found = self.virtio(port), {}
        for line in self.read("/proc/interrupts").splitlines()[1:]:
            cells = re.match(r"\s*(\d+):((?:\s+\d+)+)\s+(.*)", line)
            if cells and re.search(rf"\b{device}\b", cells[3]):
                kind, name = cells[3].split(None, 1)
                found[int(cells[1])] = (kind, name, [int(count) for count in cells[2].split()])
        return found

    def _of_disk(self, command, name):
        """The part of an answer about block devices that is about this one: a unit's id, or below a device's."""
        [entry] = [entry for entry in self.qmp.command(command) if name in entry.get("qdev", "").split("/")]
        return entry

    def block_stats(self, name):
        """QEMU's own counters for a disk, such as flush_operations."""
        return self._of_disk("query-blockstats", name)["stats"]

    def block_info(self, name):
        """What QEMU says of a disk: what is in it, its tray, its cache."""
        return self._of_disk("query-block", name)

    def wait_until(self, condition, what, timeout=20, every=0.2):
        """Calls condition() until it is true, with so many seconds in between."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                self._autopsy()
                raise Silence(f"{self.name}: {what}: not within {timeout} s")
            time.sleep(every)
