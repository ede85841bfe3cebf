# SPDX-License-Identifier: GPL-2.0
"""A drop-in: on one EL6 kernel the stock modules and the pack show the same machine to whoever looks.

The same machine with the same transitional devices is booted with each. What is compared is all that sysfs has of the
devices, and the names that udev of RHEL 6 makes of it; there is no udev in the guest, so its rules' inputs are read and
its rules applied here. A difference is either in one of the lists below, with its reason, or a failure.
"""

import re

import pytest

from vmlib import devices
from vmlib.guest import Guest
from test_data import sparse

MIB = 1 << 20
TRANSITIONAL = dict(disable_legacy="off", disable_modern=False)
AGENT = "org.qemu.guest_agent.0"
LOAD = ("virtio_pci", "virtio_blk", "virtio_net", "sd_mod", "virtio_scsi", "virtio_console", "virtio_balloon",
        "virtio_rng", "9pnet_virtio")

# Values that a clock, or what else runs, makes different from one boot to the next of the same modules.
VOLATILE = re.compile(r"/(stat|inflight|iorequest_cnt|iodone_cnt|statistics/\w+|power/\w+|refcnt|srcversion|uptime"
                      r"|iostat)$")
# What the stock modules have and the pack has not: [(pattern of a path, why nobody misses it)].
MISSING = [
    (r"/msi_irqs/\d+/mode$", "numbers of interrupts, in the order in which they were asked for"),
]


def more_features(stock, pack):
    """All that stock has negotiated but GSO, which only the legacy interface has, and VERSION_1."""
    stock, pack = ({n for n, bit in enumerate(bits) if bit == "1"} for bits in (stock, pack))
    return stock <= pack and 32 in pack


def more_of_a_card(stock, pack):
    return more_features(stock[:6] + "0" + stock[7:], pack)


# What has another value: [(pattern of a path, whether (stock, pack) may be so, why that is right)].
DIFFERENT = [
    (r"/virtio\d+/status$", lambda *pair: pair == ("0x00000007", "0x0000000f"),
     "FEATURES_OK, which the modern interface has"),
    (r"/virtio\d+/features$", more_features, "a transitional device is driven as a modern one, and with more"),
    (r"/virtio\d+/features$", more_of_a_card, "GSO is a bit of the legacy interface, which the others are in place of"),
    (r"/scsi_host/host\d+/can_queue$", lambda *pair: pair == ("1024", "256"),
     "what QEMU's queue has room for; the stock driver is given more, and turns it away"),
    (r"/hw_random/rng_(current|available)$",
     lambda stock, pack: stock.strip() == "virtio" and re.fullmatch(r"virtio_rng\.0", pack.strip()),
     "there may be several, so each has a name of its own"),
]
# What is not compared of a module: where it was loaded to, and what it is linked with.
OF_A_MODULE = re.compile(r"^/sys/module/\w+/(sections|notes|holders)/|/(initstate|version|srcversion|refcnt|coresize)$")


def snapshot(vm, roots):
    """{path: value, or '-> where' of a link, or None if it cannot be read} of all that is below these folders."""
    # To read a resource of a PCI device is to read its registers.
    vm.run(f"find {roots} -type f | grep -vE '/(resource[0-9]+(_wc)?|config|rom|vpd)$|/(notes|sections)/' > /tmp/files")
    found = {path: None for path in vm.run("cat /tmp/files").split()}
    said = vm.run("xargs grep -Hs '' < /tmp/files; true", timeout=120)
    for line in said.splitlines():
        path, value = split(line, found)
        found[path] = value if found[path] is None else f"{found[path]}\n{value}"
    for line in vm.run(f"find {roots} -type l | while read -r path; do echo \"$path $(readlink $path)\"; done",
                       timeout=120).splitlines():
        path, _, target = line.partition(" ")
        found[path] = f"-> {target}"
    return found


def split(line, known):
    """(path, value) of a line of grep's; there are colons in paths, too."""
    at = line.find(":")
    while at >= 0 and line[:at] not in known:
        at = line.find(":", at + 1)
    assert at >= 0, line
    return line[:at], line[at + 1:]


def make_devices(folder, kernel):
    """One of each kind, transitional, on the root bus, and with what a name is made of."""
    (folder / "share").mkdir(exist_ok=True)
    made = [devices.disk("disk", sparse(folder / "disk.img", 32 * MIB), serial="STOCK-SERIAL-20-CHAR", **TRANSITIONAL),
            devices.disk("plain", sparse(folder / "plain.img", 16 * MIB), logical_block_size=4096,
                         physical_block_size=4096, **TRANSITIONAL),
            devices.nic("nic", devices.user_network(), **TRANSITIONAL),
            devices.nic("second", devices.user_network(), mac="52:54:00:56:4d:02", **TRANSITIONAL),
            devices.serial("serial", [devices.Port("hvc", folder, "virtconsole", nr=0),
                                      devices.Port("channel", folder, port_name=AGENT, nr=1),
                                      devices.Port("vdagent", folder, port_name="com.redhat.spice.0", nr=2)],
                           **TRANSITIONAL),
            devices.rng("rng", **TRANSITIONAL), devices.balloon(**TRANSITIONAL),
            devices.p9("share", folder / "share", **TRANSITIONAL)]
    if kernel.module_file("virtio_scsi"):
        unit = devices.scsi_disk("lun", sparse(folder / "lun.img", 16 * MIB), 1, 2, serial="STOCK-LUN")
        made.append(devices.scsi("scsi", [unit], **TRANSITIONAL))
    return [devices.on_root(each) for each in made]


def observe(vm):
    """{what: value} of the machine: sysfs, names in /dev and in classes, and names that udev would make."""
    vm.wait_until(lambda: vm.status("ls /sys/class/virtio-ports/*p2/name && ls /sys/class/tty/hvc0")[0] == 0,
                  "the ports", 60)
    names = [each.name for each in vm.devices] + [unit.name for each in vm.devices for unit in each.units
                                                  if unit.properties["driver"] == "scsi-hd"]
    for name in names:
        driver = next((each.properties["driver"] for each in vm.devices if each.name == name), "scsi-hd")
        if driver in ("virtio-blk-pci", "scsi-hd"):
            vm.wait_until(lambda: vm.disk(name) and vm.status(f"ls -d /dev/{vm.disk(name)}")[0] == 0, name, 60)
    functions = vm.run("for path in /sys/bus/pci/devices/*; do case $(cat $path/vendor) in 0x1af4) readlink -f $path;; "
                       "esac; done").split()
    assert len(functions) == len(vm.devices)
    tree = snapshot(vm, " ".join([*functions, "/sys/devices/virtual/misc/hw_random",
                                  "$(ls -d /sys/devices/virtual/tty/hvc[0-7])", "/sys/bus/virtio",
                                  "/sys/bus/pci/drivers/virtio-pci", "$(ls -d /sys/module/*virtio*)"]))
    lists = {f"ls {folder}": vm.run(f"ls {folder}").split() for folder in
             ("/dev", "/sys/class/block", "/sys/class/net", "/sys/class/virtio-ports", "/sys/class/misc",
              "/sys/class/tty", "/sys/class/scsi_host", "/sys/class/scsi_disk", "/sys/bus/virtio/drivers",
              "/sys/bus/virtio/devices", "/sys/bus/pci/drivers")
             if vm.status(f"ls {folder}")[0] == 0}
    lists["modules"] = sorted(path.split("/")[3] for path in tree if path.startswith("/sys/module/")
                              and path.endswith("/refcnt"))
    return {**tree, **{key: " ".join(value) for key, value in lists.items()}, **udev(vm, tree)}


def udev(vm, tree):
    """The links and names that RHEL 6's rules make: 60-persistent-storage, path_id, 75-persistent-net, virtio-ports."""
    made = {}
    for disk in vm.run("ls /sys/class/block").split():
        if not re.fullmatch(r"[vs]d[a-z]+", disk):
            continue
        device = vm.run(f"readlink -f /sys/class/block/{disk}").strip()
        parents = device.split("/")
        pci = [each for each in parents if re.fullmatch(r"0000:00:.*", each)][-1]
        virtio = next(each for each in parents if re.fullmatch(r"virtio\d+", each))
        path = f"pci-{pci}-virtio-pci-{virtio}"
        if disk.startswith("sd"):
            place = re.search(r"/(\d+:\d+:\d+:\d+)/", device)[1]
            path += f"-scsi-{place}"
            serial = vm.run(f"sgio command /dev/{disk} in=252 12 01 83 00 fc 00")
            made[f"by-id input of {disk}"] = serial
            for each in ("vendor", "model", "rev", "type"):
                made[f"by-id input of {disk}: {each}"] = vm.read(f"/sys/class/block/{disk}/device/{each}")
        elif serial := tree.get(f"{device}/serial"):
            made[f"/dev/disk/by-id/virtio-{serial.replace(' ', '_')}"] = disk
        made[f"/dev/disk/by-path/{path}"] = disk
    for card in vm.run("ls /sys/class/net").split():
        if card != "lo":
            device = vm.run(f"readlink -f /sys/class/net/{card}").strip()
            made[f"persistent-net rule: {tree[f'{device}/address']} {tree[f'{device}/dev_id']} "
                 f"{tree[f'{device}/type']} eth*"] = card
            made[f"ethtool -i {card}"] = "\n".join(
                line for line in vm.run(f"ethtool -i {card}").splitlines() if re.match("driver|bus-info", line))
    for port in vm.run("ls /sys/class/virtio-ports").split():
        device = vm.run(f"readlink -f /sys/class/virtio-ports/{port}").strip()
        if tree.get(f"{device}/name"):
            made[f"/dev/virtio-ports/{tree[f'{device}/name']}"] = port
    return made


def compare(stock, pack):
    """The differences that no list justifies."""
    found = []
    for path, value in stock.items():
        if OF_A_MODULE.search(path):
            continue
        if path not in pack:
            if not any(re.search(pattern, path) for pattern, _ in MISSING):
                found.append(f"missing: {path} ({value!r})")
        elif value != pack[path] and not VOLATILE.search(path):
            if not any(re.search(pattern, path) and fine(value, pack[path]) for pattern, fine, _ in DIFFERENT):
                found.append(f"{path}: stock {value!r}, pack {pack[path]!r}")
    # New attributes are welcome, new names are not.
    return found + [f"only with the pack: {path}" for path in pack
                    if not path.startswith("/sys/") and path not in stock]


@pytest.mark.parametrize("board", ["q35", "pc"])
def test_same_machine(kernel, folder, make_machine, board):
    if not kernel.old:
        pytest.skip("the pack stands for RHEL 6's modules, and this kernel's are others")
    if kernel.release.startswith("2.6.32-71."):
        pytest.skip("6.0's own disks are not found below their PCI devices, which is where this test looks")
    seen = {}
    for side in ("stock", "pack"):
        guest = Guest(kernel, pack=side == "pack", also=("9pnet_virtio",))
        with make_machine(guest, make_devices(folder, kernel), tag=side, board=board, load=LOAD) as vm:
            seen[side] = observe(vm)
    assert len(seen["stock"]) > 300
    differences = compare(seen["stock"], seen["pack"])
    assert not differences, "\n".join(differences)
