# SPDX-License-Identifier: GPL-2.0
"""Devices of a machine. A further kind of device is one more function here.

Nothing makes the devices modern-only: QEMU does that itself behind a PCI Express root port. on_root() puts one where it
can have a legacy interface.
"""

import socket

# Names that QEMU spells with an underscore; all others have a dash.
UNDERSCORED = {"logical_block_size", "physical_block_size", "min_io_size", "opt_io_size", "iommu_platform",
               "indirect_desc", "event_idx", "discard_granularity", "guest_csum", "guest_tso4", "guest_tso6",
               "guest_ecn", "guest_ufo", "host_tso4", "host_tso6", "host_ecn", "host_ufo", "mrg_rxbuf", "ctrl_vq",
               "ctrl_rx", "ctrl_vlan", "ctrl_rx_extra", "ctrl_mac_addr", "ctrl_guest_offloads", "guest_announce",
               "host_mtu", "rx_queue_size", "tx_queue_size", "virtqueue_size", "seg_max_adjust", "max_sectors",
               "any_layout", "cmd_per_lun", "param_change", "max_unmap_size", "max_ports"}


def spelled(properties):
    """Keyword arguments with their names as QEMU has them."""
    return {key if key in UNDERSCORED else key.replace("_", "-"): value for key, value in properties.items()}


class Device:
    """A PCI device behind a root port of its own, with what QEMU needs first.

    `backends` are (option, properties) pairs such as ("blockdev", {...}); `fds` are open files that QEMU
    inherits for them; `properties` go to -device; `units` are the devices on the bus that it makes.
    """

    def __init__(self, driver, name, backends=(), fds=(), units=(), **properties):
        self.name = name
        self.backends = list(backends)
        self.fds = tuple(fds)
        self.units = list(units)
        self.properties = {"driver": driver, "id": name, **spelled(properties)}
        self.on_root = False


def on_root(device):
    """The same device without a root port, on the machine's first bus. There QEMU makes it transitional, unless its
    properties say otherwise."""
    device.on_root = True
    return device


def file_node(name, path, **options):
    """A block node over a raw file, with the host's page cache in writeback."""
    return {"driver": "raw", "node-name": name, "discard": "unmap", **spelled(options),
            "file": {"driver": "file", "filename": str(path)}}


def disk(name, path, node=None, **properties):
    """A virtio disk over a raw file, or over a block node that has been described."""
    node = node or file_node(f"{name}-node", path)
    return Device("virtio-blk-pci", name, [("blockdev", node)], drive=node["node-name"], **properties)


def faulty_node(name, path, **rules):
    """A block node whose requests fail as blkdebug is told: rule=dict(iotype=, errno=, sector=, …)."""
    return {"driver": "blkdebug", "node-name": name, "inject-error": [{"event": "none", **rule}
                                                                      for rule in rules.values()],
            "image": {"driver": "file", "filename": str(path)}}


def faulty_disk(name, path, **rules):
    """A disk over a faulty_node()."""
    return disk(name, path, faulty_node(f"{name}-node", path, **rules))


def scsi(name, units=(), queues=None, driver="virtio-scsi-pci", **properties):
    """A SCSI controller with the units that are on it; queues: request queues, if not QEMU's choice."""
    device = Device(driver, name, units=units, **properties)
    if queues is not None:
        device.properties["num_queues"] = queues        # virtio-blk's has a dash
    return device


class Unit:
    """A device on a controller's bus, over a block node. Its address is (target, LUN), where the bus has such."""

    def __init__(self, driver, name, node=None, address=None, **properties):
        self.name, self.node, self.address = name, node, address
        self.properties = {"driver": driver, "id": name, **spelled(properties)}
        if node:
            self.properties["drive"] = node["node-name"]
        if address:
            self.properties.update(zip(("channel", "scsi-id", "lun"), (0, *address)))


def scsi_disk(name, path, target=0, lun=0, node=None, **properties):
    """A SCSI disk over a raw file, or over a block node that has been described."""
    return Unit("scsi-hd", name, node or file_node(f"{name}-node", path), (target, lun), **properties)


def scsi_cd(name, path=None, target=0, lun=0, **properties):
    """A CD-ROM drive with a raw file in it; without one, it is empty."""
    node = path and file_node(f"{name}-node", path, read_only=True)
    return Unit("scsi-cd", name, node, (target, lun), **properties)


class Port(Unit):
    """A port of a console device whose host's end is a Unix socket: virtserialport, or virtconsole."""

    def __init__(self, name, folder, driver="virtserialport", port_name=None, **properties):
        self.chardev, self.path = f"{name}-chardev", folder / f"{name}.sock"
        super().__init__(driver, name, chardev=self.chardev, **properties)
        if port_name:
            self.properties["name"] = port_name

    def backend(self):
        """What -chardev is told."""
        return f"socket,id={self.chardev},path={self.path},server=on,wait=off"

    def connect(self):
        """Somebody on the host opens it."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(str(self.path))
        return sock


def serial(name, ports=(), driver="virtio-serial-pci", **properties):
    """A console device with its ports."""
    return Device(driver, name, units=ports, **properties)


def ahci(name, disk_name, path, **properties):
    """An AHCI controller with one disk."""
    disk_unit = Unit("ide-hd", disk_name, file_node(f"{disk_name}-node", path), **properties)
    return Device("ich9-ahci", name, units=[disk_unit])


def balloon(name="balloon", **properties):
    """A memory balloon; QEMU has one in a machine at most."""
    return Device("virtio-balloon-pci", name, **properties)


class Backend:
    """Where the other end of a network card is: what -netdev is told, and the files it needs."""

    def __init__(self, kind, files=(), **properties):
        self.files = tuple(files)
        self.properties = {"type": kind, **spelled(properties)}


def user_network(**properties):
    """QEMU's own little network: DHCP, and 10.0.2.2 is the host's loopback. It has no offloads."""
    return Backend("user", **properties)


def nic(name, backend, mac="52:54:00:56:4d:01", driver="virtio-net-pci", **properties):
    """A network card, virtio if nothing else is said."""
    node = f"{name}-net"
    return Device(driver, name, [("netdev", {"id": node, **backend.properties})], backend.files,
                  netdev=node, mac=mac, romfile="", **properties)


def rng(name, source="/dev/urandom", driver="virtio-rng-pci", **properties):
    """An entropy device that gives what a file of the host has; max_bytes= in period= milliseconds is a poor host."""
    node = f"{name}-source"
    backend = ("object", {"qom-type": "rng-random", "id": node, "filename": str(source)})
    return Device(driver, name, [backend], rng=node, **properties)


def p9(name, path, tag=None, driver="virtio-9p-pci", security="mapped-file", fsdev="", **properties):
    """A folder of the host, that the guest mounts by its tag (the device's name, if there is no other). fsdev:
    further options of -fsdev, which knows no JSON."""
    backend = f"local,id={name}-fs,path={path},security_model={security}{fsdev and ','}{fsdev}"
    device = Device(driver, name, [("fsdev", backend)], fsdev=f"{name}-fs", **properties)
    device.properties["mount_tag"] = tag or name
    return device
