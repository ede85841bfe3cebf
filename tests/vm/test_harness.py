# SPDX-License-Identifier: GPL-2.0
"""The harness itself: what has to fail a run does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import pytest_terminal_summary
from vmlib import devices, machine, net
from vmlib.channels import Gone, Silence
from vmlib.guest import Guest
from vmlib.host import REPO, VmError


@pytest.fixture(scope="module")
def bare(distro):
    """The distribution's kernel with its own modules: these tests are not about the pack."""
    return Guest(distro, pack=False)


def test_warning_in_log_fails(bare, make_machine):
    with pytest.raises(VmError, match="WARNING: made up"):
        with make_machine(bare, []) as vm:
            vm.run("echo '<4>WARNING: made up by the test' > /dev/kmsg")


def test_named_warning_is_allowed(bare, make_machine):
    with make_machine(bare, [], allow=["made up by the test"]) as vm:
        vm.run("echo '<4>WARNING: made up by the test' > /dev/kmsg")


def test_panic_ends_the_run(bare, make_machine):
    with pytest.raises(Gone) as caught:
        with make_machine(bare, []) as vm:
            vm.run("echo c > /proc/sysrq-trigger", timeout=30)
    notes = "\n".join(caught.value.__notes__)
    assert "console.log" in notes and "Kernel panic" in notes and "qemu: ended with 0" in notes


def test_silence_fails_and_shows_what_the_guest_does(bare, make_machine):
    vm = make_machine(bare, [])
    with pytest.raises(Silence, match="no end of: sleep 60"):
        with vm:
            vm.run("sleep 60", timeout=2)
    assert "sysrq: " in vm.console.read_text() or "SysRq : " in vm.console.read_text()


def test_next_qemu_has_all_queues_of_a_tap(bare, make_machine):
    try:
        with net.Network() as network:
            card = devices.nic("card", network.tap(queues=4).backend, mq=True, vectors=10)
            with make_machine(bare, [card]) as vm:
                vm.kill()
                vm.boot()
    except net.NoNetwork as error:
        pytest.skip(str(error))


@pytest.fixture
def started_again(monkeypatch):
    """The list of repeated starts, without those that a test brings about."""
    monkeypatch.setattr(machine, "STARTED_AGAIN", [])
    return machine.STARTED_AGAIN


def hangs_at_first(vm, folder, times):
    """Has a machine's processors stand still in its first starts. Returns the file with a line for each start."""
    script, starts = folder / "qemu", folder / "starts"
    script.write_text(f'#!/bin/sh\necho >> {starts}\n[ $(wc -l < {starts}) -gt {times} ] || set -- "$@" -S\n'
                      f'exec {vm.argv[0]} "$@"\n')
    script.chmod(0o755)
    vm.argv[0] = str(script)
    return starts


def test_hang_before_process_1_is_started_again_and_told(bare, folder, make_machine, started_again, capsys):
    vm = make_machine(bare, [], smp=2, early_timeout=2)
    starts = hangs_at_first(vm, folder, 1)
    with vm:
        assert vm.run("echo up") == "up\n"
    assert len(starts.read_text()) == 2
    found = vm.hang.read_text()
    assert "CPU#1" in found and found.count("dumping local APIC") == 2 and "ioapic0" in found
    [line] = started_again
    assert line.startswith("started again: ") and vm.name in line and line.endswith("hang.log")
    assert capsys.readouterr().err == line + "\n"

    class Reporter:
        section = line = staticmethod(print)
    pytest_terminal_summary(Reporter)
    assert line in capsys.readouterr().out.splitlines()


def test_second_hang_before_process_1_fails(bare, folder, make_machine, started_again):
    vm = make_machine(bare, [], early_timeout=2, boot_timeout=10)
    starts = hangs_at_first(vm, folder, 2)
    with pytest.raises(Silence, match="no sign of life"):
        with vm:
            pass
    assert len(starts.read_text()) == 2 and len(started_again) == 1


def test_hang_in_a_reboot_is_started_again(bare, folder, make_machine, started_again):
    """The log has an earlier start by then, which went on to process 1."""
    vm = make_machine(bare, [])
    starts = hangs_at_first(vm, folder, 0)
    with vm:
        vm.early_timeout = 2
        wait = vm.qmp.wait_event

        def wait_and_stop(*args, **data):
            wait(*args, **data)
            vm.qmp.command("stop")
        vm.qmp.wait_event = wait_and_stop
        vm.reboot()
        assert vm.run("echo up") == "up\n"
    assert len(starts.read_text()) == 2 and len(started_again) == 1


def test_hang_of_process_1_fails_at_once(bare, folder, make_machine, started_again):
    vm = make_machine(bare, [], append="rdinit=/bin/cat", early_timeout=15, boot_timeout=45)
    starts = hangs_at_first(vm, folder, 0)
    with pytest.raises(Silence, match="no sign of life"):
        with vm:
            pass
    assert "Freeing unused kernel" in vm.console.read_text()
    assert len(starts.read_text()) == 1 and not started_again and not vm.hang.exists()


def test_failing_command_fails(bare, make_machine):
    with make_machine(bare, []) as vm:
        with pytest.raises(VmError, match="gave 3: said so"):
            vm.run("echo said so; exit 3")
        assert vm.status("kill -9 $$") == (137, "")
        assert vm.run("seq 20000").splitlines()[-1] == "20000"
        jobs = [vm.start(f"sleep 0.{n}; echo {n}") for n in range(8)]
        assert [job.wait() for job in jobs] == [0] * 8
        assert [job.output for job in jobs] == [f"{n}\n" for n in range(8)]


@pytest.mark.parametrize("argv", [["demo.py"], ["-m", "pytest", "-p", "no:cacheprovider"]], ids=["demo", "pytest"])
def test_unknown_kernel_is_one_line(argv):
    done = subprocess.run([sys.executable, *argv, "--kernel", "6.99"], cwd=Path(__file__).parent, text=True,
                          capture_output=True)
    [line] = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode != 0 and "'6.99'" in line and "tests/vm/add-kernel" in line


def test_unknown_root_is_one_line():
    done = subprocess.run(["make", "-s", "-C", REPO, "demo", "ROOT=floppy"], text=True, capture_output=True)
    [line] = [line for line in done.stderr.splitlines() if line.strip() and not re.match(r"make(\[\d+\])?: ", line)]
    assert done.returncode != 0 and "ROOT=floppy" in line and "blk" in line and "scsi" in line


class Reluctant(Guest):
    """A guest whose modprobe fails for so many times."""

    def __init__(self, kernel, times):
        super().__init__(kernel, pack=False)
        self.times = times

    def _tree(self):
        tree = super()._tree()
        tree["bin/modprobe"] = ("#!/bin/sh\nn=$(cat /tmp/tries 2>/dev/null)\n"
                                f"[ \"${{n:-0}}\" -lt {self.times} ] || exit 0\n"
                                "echo $((n + 1)) > /tmp/tries\necho modprobe: made up by the test\nexit 3\n").encode()
        return tree


def test_second_try_of_a_module_is_told(distro, make_machine, monkeypatch, capsys):
    monkeypatch.setattr(machine, "SECOND_TRIES", [])
    with make_machine(Reluctant(distro, 1), []) as vm:
        assert vm.run("echo up") == "up\n"
    [lines] = machine.SECOND_TRIES
    assert "made up by the test" in lines and re.search(r"second try: modprobe \w+ gave 3$", lines)

    class Reporter:
        section = line = staticmethod(print)
    pytest_terminal_summary(Reporter)
    assert lines in capsys.readouterr().out


def test_module_that_cannot_be_loaded_fails(distro, make_machine, monkeypatch):
    monkeypatch.setattr(machine, "SECOND_TRIES", [])
    with pytest.raises(VmError, match="init: cannot load"):
        with make_machine(Reluctant(distro, 2), []):
            pass
