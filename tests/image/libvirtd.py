# SPDX-License-Identifier: GPL-2.0
"""A libvirtd of the test's own, and what it runs."""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

from vmlib import libvirt  # noqa: E402
from vmlib.channels import Agent  # noqa: E402
from vmlib.host import VmError  # noqa: E402

# Ends when we do, however that was, and what has left no notice of its end with it: QEMU would outlive its libvirtd.
WATCH = """read -r _
for each in "$1"/run/libvirt/libvirtd.pid "$1"/run/libvirt/qemu/run/*.pid; do
    [ ! -e "$each" ] || kill -KILL "$(cat "$each")"
done
rm -rf "$1"
"""


class Session:
    """A libvirtd as nobody (as ourselves, if we are not root), in a folder of its own, without KVM or cgroups."""

    def __init__(self, prefix):
        self.folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir="/tmp"))       # short, for the sockets
        self.watch = subprocess.Popen(["sh", "-c", WATCH, "sh", self.folder], stdin=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.daemon = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        os.chmod(self.folder, 0o755)
        self.user, self.uid = [], os.geteuid()
        if self.uid == 0:
            self.user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
            self.uid = pwd.getpwnam("nobody").pw_uid
        (self.folder / "run").mkdir()
        (self.folder / "config/libvirt").mkdir(parents=True)
        (self.folder / "config/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')       # no virtlogd
        for name in ("", "run", "config", "config/libvirt"):
            self.give(self.folder / name)
        with open(self.folder / "libvirtd.log", "w") as log:
            self.daemon = subprocess.Popen([*self.user, shutil.which("libvirtd", path="/usr/sbin:/usr/bin")],
                                           env=self.environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 120
        while not (self.folder / "run/libvirt/libvirt-sock").is_socket():
            assert self.daemon.poll() is None and time.monotonic() < end, (self.folder / "libvirtd.log").read_text()
            time.sleep(0.05)

    def give(self, path):
        """Makes a file the daemon's own."""
        if self.user:
            shutil.chown(path, "nobody", "nogroup")

    def environment(self):
        home = {"HOME": self.folder, "XDG_RUNTIME_DIR": self.folder / "run", "XDG_CACHE_HOME": self.folder / "cache",
                "XDG_CONFIG_HOME": self.folder / "config", "XDG_DATA_HOME": self.folder / "data"}
        return {**os.environ, "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                **{name: str(path) for name, path in home.items()}}

    def run(self, *argv, **environment):
        """Runs a client of the daemon, with further variables; returns what it says."""
        done = subprocess.run([*self.user, *map(str, argv)], text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=300, env={**self.environment(), **environment}, cwd=self.folder)
        if done.returncode:
            raise VmError(f"{' '.join(map(str, argv))}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def virsh(self, *argv):
        return self.run("virsh", "-q", "-c", "qemu:///session", *argv).strip()

    def stop(self):
        """Ends the daemon, and what it has left."""
        if self.daemon and self.daemon.poll() is None:
            os.killpg(self.daemon.pid, signal.SIGTERM)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.daemon.pid, signal.SIGKILL)
                self.daemon.wait()
        self.watch.stdin.close()
        self.watch.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Terminal:
    """A pseudo terminal, as a socket; what comes is kept in a log, too."""

    def __init__(self, path, log):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(self.fd)
        self.log = open(log, "ab", buffering=0)

    def fileno(self):
        return self.fd

    def recv(self, length):
        try:
            data = os.read(self.fd, length)
        except OSError:         # the other side is gone
            data = b""
        self.log.write(data)
        return data

    def sendall(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def close(self):
        os.close(self.fd)
        self.log.close()


class Monitor:
    """QEMU's monitor, by way of libvirt."""

    def __init__(self, domain):
        self.domain = domain

    def command(self, name, properties=(), /, **arguments):
        """As Qmp has it."""
        arguments = {**dict(properties), **{key.replace("_", "-"): value for key, value in arguments.items()}}
        answer = json.loads(self.domain.virsh("qemu-monitor-command", json.dumps({"execute": name,
                                                                                 "arguments": arguments})))
        if "error" in answer:
            raise VmError(f"QMP: {name}: {answer['error']['desc']}")
        return answer["return"]


class Qemu:
    """The process that libvirt has started for a domain."""

    def __init__(self, domain, pid):
        self.domain, self.pid = domain, pid

    def argv(self):
        """Its command line, which is empty when it has ended."""
        try:
            return [word for word in Path(f"/proc/{self.pid}/cmdline").read_text().split("\0") if word]
        except OSError:
            return []

    def wait(self, timeout):
        end = time.monotonic() + timeout
        while self.argv():
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("qemu", timeout)
            time.sleep(0.05)


class Domain(libvirt.LibvirtPlaces):
    """A machine that libvirt defines, starts and destroys; its first disk has the kernel, and the agent is on its
    console."""

    def __init__(self, name, guest, session, description, **options):
        """description: the XML."""
        super().__init__(name, guest, root=True, boot_timeout=240, **options)
        self.session, self.description = session, description
        self.domain = ElementTree.fromstring(description).findtext("name")

    def _command_line(self, *_):
        return []               # libvirt makes it

    def virsh(self, command, *argv):
        """A command of virsh about this domain."""
        return self.session.virsh(command, self.domain, *argv)

    def _launch(self):
        path = self.session.folder / f"{self.domain}.xml"
        path.write_text(self.description)
        path.chmod(0o644)
        self.session.virsh("define", path)
        # Nothing is lost of a console that is read before the machine's first step.
        self.virsh("start", "--paused")
        self.process = Qemu(self, int((self.session.folder / f"run/libvirt/qemu/run/{self.domain}.pid").read_text()))
        self.argv = self.process.argv()
        self.adopt(libvirt.pairs(self.argv[1:]), self.session.folder)
        for channel in ElementTree.fromstring(self.virsh("dumpxml")).iter("channel"):
            self.unit(channel.find("alias").get("name"))[1].path = channel.find("source").get("path")
        self.dissected = True   # SysRq's answer would be below what the kernel says on this console
        self.agent = Agent(Terminal(self.virsh("ttyconsole"), self.console), self._autopsy)
        self.qmp = Monitor(self)
        self.virsh("resume")

    def reboot(self):
        """The guest restarts itself; libvirt keeps its QEMU."""
        self.run("sync")
        self.agent.start("reboot -f")
        self._expect_hello()
        if not self.process.argv():
            raise VmError(f"{self.name}: another QEMU than before the restart")

    def kill(self):
        """virsh destroy, which is a power cut, and undefine."""
        if self.process:
            process, self.process = self.process, None
            if self.virsh("domstate") != "shut off":
                self.virsh("destroy")
            process.wait(60)
            self.agent.sock.close()
            self.virsh("undefine")
            log = self.session.folder / f"cache/libvirt/qemu/log/{self.domain}.log"
            with open(self.errors, "a", encoding="utf-8") as errors:
                errors.writelines(line for line in log.open(errors="replace") if "qemu-system-x86_64: " in line)

    def finish(self):
        dmesg = self.run("dmesg")
        self.run("sync; mount -o remount,ro / 2>/dev/null; true")
        if self.virsh("domstate") != "running":
            raise VmError(f"{self.name}: libvirt says that the domain is {self.virsh('domstate')}")
        self.kill()
        self.check_log(dmesg)


def adapted(description, session, images, share):
    """q35.xml with the least that has to be another thing here."""
    changes = {     # what: what instead, why
        "type='kvm'": ("type='qemu'", "no KVM is needed"),
        "<graphics type='vnc'/>": ("<graphics type='vnc'><listen type='socket'/></graphics>",
                                   "a port may be somebody else's a moment later"),
        "'/srv/share'": (f"'{share}'", "the folder is the test's"),
    }
    for name, path in images.items():
        changes[f"'/var/lib/libvirt/images/{name}'"] = (f"'{path}'", "the image is the test's")
    machine = re.search(r"machine='([^']*)'", description)
    known = session.run("qemu-system-x86_64", "-machine", "help")
    if not re.search(rf"^{re.escape(machine[1])} ", known, re.M):
        changes[machine[0]] = ("machine='q35'", f"this QEMU knows no {machine[1]}")
    for old, (new, _) in changes.items():
        if description.count(old) != 1:
            raise VmError(f"q35.xml does not have {old} once")
        description = description.replace(old, new)
    return description
