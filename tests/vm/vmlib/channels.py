# SPDX-License-Identifier: GPL-2.0
"""The two conversations with a machine: QMP with QEMU, commands with the agent in the guest."""

import itertools
import json
import re
import select
import time

from .host import VmError


class Silence(VmError):
    """An answer that did not come in time."""


class Gone(VmError):
    """The other side of a channel has closed it."""


class Channel:
    """A stream of bytes from a socket, read with deadlines. Before a missed one is reported,
    on_silence() can look at why."""

    def __init__(self, sock, name, on_silence):
        self.sock = sock
        self.name = name
        self.on_silence = on_silence
        self.data = b""

    def fill(self, deadline, what, watch=None):
        """Reads at least a byte, calling watch() every second until there is one."""
        left = deadline - time.monotonic()
        while left <= 0 or not select.select([self.sock], [], [], min(left, 1) if watch else left)[0]:
            left = deadline - time.monotonic()
            if left <= 0:
                self.on_silence()
                raise Silence(f"{self.name}: no {what} in time")
            if watch:
                watch()
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone(f"{self.name}: QEMU ended while waiting for {what}")
        self.data += data

    def line(self, deadline, what, watch=None):
        while b"\n" not in self.data:
            self.fill(deadline, what, watch)
        line, self.data = self.data.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def exactly(self, length, deadline, what):
        while len(self.data) < length:
            self.fill(deadline, what)
        data, self.data = self.data[:length], self.data[length:]
        return data

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone(f"{self.name}: QEMU has ended") from error


class Qmp(Channel):
    """QEMU's machine protocol. Events are kept until somebody waits for them."""

    def __init__(self, sock, on_silence):
        super().__init__(sock, "QMP", on_silence)
        self.events = []

    def greet(self):
        self.line(time.monotonic() + 20, "greeting")
        self.command("qmp_capabilities")

    def _next(self, deadline, what):
        message = json.loads(self.line(deadline, what))
        if "event" in message:
            self.events.append(message)
            return None
        return message

    def command(self, name, properties=(), /, timeout=30, **arguments):
        """Runs a command and returns its result. Write - as _ in argument names, but not in properties."""
        arguments = {**dict(properties), **{key.replace("_", "-"): value for key, value in arguments.items()}}
        self.send(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._next(deadline, f"answer to {name}")
            if answer and "error" in answer:
                raise VmError(f"QMP: {name}: {answer['error']['desc']}")
            if answer:
                return answer["return"]

    def wait_event(self, name, timeout=30, **data):
        """Waits for an event with these data (one that came earlier counts), and forgets it."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self.events.remove(event)
                    return event
            self._next(deadline, f"event {name}")


class Job:
    """A command that runs in the guest."""

    def __init__(self, agent, number, command):
        self.agent = agent
        self.number = number
        self.command = command
        self.output = ""
        self.status = None
        self.seen = 0           # how much of the output expect() has passed

    def _what(self):
        return f"end of: {self.command}"

    def expect(self, pattern, timeout=60):
        """Waits until the output, after what was expected before, has the pattern."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.output[self.seen:])
            if found:
                self.seen += found.end()
                return found
            if self.status is not None:
                raise VmError(f"guest: {self.command}: ended ({self.status}) without {pattern!r}: "
                              f"{self.output[-500:]!r}")
            self.agent.pump(deadline, f"{pattern!r} from: {self.command}")

    def wait(self, timeout=60, watch=None):
        """Waits for the end, handing each new line to watch(); returns the exit status."""
        deadline = time.monotonic() + timeout
        told = 0
        while self.status is None:
            self.agent.pump(deadline, self._what())
            if watch:
                *lines, _ = self.output[told:].split("\n")
                for line in lines:
                    told += len(line) + 1
                    watch(line)
        return self.status

    def kill(self):
        self.agent.send(f"kill {self.number}\n".encode())
        self.wait(10)


class Agent(Channel):
    """The agent in the guest (guest/agent.c has the protocol)."""

    LIMIT = 4000                # what the guest's serial line takes in one go

    def __init__(self, sock, on_silence):
        super().__init__(sock, "guest", on_silence)
        self.numbers = itertools.count(1)
        self.jobs = {}

    def hello(self, timeout, watch=None):
        """Waits for a guest to come up, calling watch() every second; returns where its agent runs."""
        deadline = time.monotonic() + timeout
        self.jobs = {}
        while True:
            # A kernel that probes the port, or a reboot, can leave bytes before it.
            found = re.search(r"hello ([\w-]+)$", self.line(deadline, "sign of life", watch))
            if found:
                return found[1]

    def awake(self, timeout):
        """Waits until an agent that was asleep goes on. The kernel that brought it back may have left bytes before."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(r"(out|exit) \d+ \d+$", self.line(deadline, "sign of life after a sleep"))
            if found:
                self.data = found[0].encode() + b"\n" + self.data
                return

    def start(self, command):
        data = command.encode()
        if len(data) > self.LIMIT:
            raise ValueError(f"a guest command of {len(data)} bytes")
        job = Job(self, next(self.numbers), command)
        self.jobs[job.number] = job
        self.send(f"run {job.number} {len(data)}\n".encode() + data)
        return job

    def pump(self, deadline, what):
        """Reads one message and gives it to the job it is for."""
        words = self.line(deadline, what).split()
        if len(words) != 3 or words[0] not in ("out", "exit") or int(words[1]) not in self.jobs:
            raise VmError(f"guest: the agent sent {' '.join(words)!r} while waiting for {what}")
        job = self.jobs[int(words[1])]
        if words[0] == "out":
            job.output += self.exactly(int(words[2]), deadline, what).decode(errors="replace")
        else:
            job.status = int(words[2])
            del self.jobs[job.number]
