# SPDX-License-Identifier: GPL-2.0
"""How often the guest kicks the host and the host interrupts the guest, for 1,000 requests."""

import json

import pytest

from vmlib import devices
from vmlib.host import BUILD
from test_data import sparse

REQUESTS = 20000
SIZE = 64 << 20
# With ioeventfd QEMU answers a kick later, from its main loop, and may take several for one;
# without, at once, and counts each. Its traces have a name of their own for each way.
WAYS = {"ioeventfd": True, "direct": False}
KICKS = ("virtio_queue_notify",)
NOTIFICATIONS = ("virtio_notify", "virtio_notify_irqfd")


def measure(vm, name):
    """Runs the load on a disk; returns kicks, notifications and interrupts for 1,000 requests."""
    def counts():
        trace = (vm.logs / "trace.log").read_text()
        return [sum(trace.count(f"{event} ") for event in events) for events in (KICKS, NOTIFICATIONS)] + \
               [sum(count for _, _, count in vm.interrupts(name).values())]
    device = f"/dev/{vm.disk(name)}"
    vm.run(f"blkio write {device} depth=32 total={SIZE}")
    before = counts()
    assert f"requests={REQUESTS} " in vm.run(f"blkio read {device} count={REQUESTS} depth=32")
    rates = [round((now - then) * 1000 / REQUESTS, 1) for now, then in zip(counts(), before)]
    return dict(zip(("kicks", "notifications", "interrupts"), rates))


@pytest.mark.parametrize("smp", [1, 2])
def test_kicks_and_interrupts(kernel, guest, folder, make_machine, smp):
    disks = [devices.disk(way, sparse(folder / f"{way}.img", SIZE), ioeventfd=ioeventfd)
             for way, ioeventfd in WAYS.items()]
    with make_machine(guest, disks, smp=smp, trace=KICKS + NOTIFICATIONS) as vm:
        found = {way: measure(vm, way) for way in WAYS}
    figures = {"kernel": kernel.release, "processors": smp, "depth": 32, "per_1000_requests": found}
    (BUILD / f"speed-{kernel.name}-{smp}.json").write_text(json.dumps(figures, indent=1) + "\n")
    for rates in found.values():
        assert 0 < rates["kicks"] < 500 and 0 < rates["notifications"] < 500, figures
        assert 0 < rates["interrupts"] < 500, figures
