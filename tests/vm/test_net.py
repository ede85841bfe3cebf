# SPDX-License-Identifier: GPL-2.0
"""virtio_net: cards of every sort on taps with offloads; every byte that passes is checked at its end."""

import itertools
import re
import socket

import pytest

from vmlib import devices
from vmlib.host import REPO, VmError
from vmlib.net import PORT, Vlan

MIB = 1 << 20
QUEUES = 4
SO_RCVBUFFORCE = 33
MODULES = ("8021q", "bonding", "bridge", "ipv6", "netconsole")
TSO = dict(guest_tso4=False, guest_tso6=False, guest_ecn=False, guest_ufo=False)
HOST_TSO = dict(host_tso4=False, host_tso6=False, host_ecn=False, host_ufo=False)
NO_CTRL = dict(ctrl_vq=False, ctrl_rx=False, ctrl_vlan=False, ctrl_rx_extra=False, ctrl_mac_addr=False,
               ctrl_guest_offloads=False, guest_announce=False)
OFF = dict(csum=False, guest_csum=False, mrg_rxbuf=False, gso=False, **TSO, **HOST_TSO)
USUAL = "MAC STATUS CTRL_VQ CTRL_RX CTRL_VLAN CTRL_MAC_ADDR CSUM GUEST_CSUM GUEST_TSO4 HOST_TSO4 MRG_RXBUF"

# name: (properties, features that have to be there, and that must not be)
CARDS = {
    "main": (dict(mq=True), f"{USUAL} MQ GUEST_TSO6 HOST_TSO6", ""),
    "spare": ({}, USUAL, "MQ"),
    "mergeable": (dict(TSO), "MRG_RXBUF GUEST_CSUM", "GUEST_TSO4 GUEST_TSO6 GUEST_UFO"),
    "big": (dict(mrg_rxbuf=False), "GUEST_TSO4 GUEST_CSUM", "MRG_RXBUF"),
    "small": (dict(mrg_rxbuf=False, **TSO), "GUEST_CSUM", "MRG_RXBUF GUEST_TSO4"),
    "no-guest-csum": (dict(guest_csum=False, **TSO), "CSUM HOST_TSO4 MRG_RXBUF", "GUEST_CSUM GUEST_TSO4"),
    "no-host-tso": (dict(HOST_TSO), "CSUM GUEST_TSO4", "HOST_TSO4 HOST_TSO6 HOST_UFO"),
    "no-csum": (dict(csum=False, gso=False, **HOST_TSO), "GUEST_CSUM GUEST_TSO4", "CSUM HOST_TSO4"),
    "nothing": (OFF, "MAC STATUS CTRL_VQ", "CSUM GUEST_CSUM GUEST_TSO4 HOST_TSO4 MRG_RXBUF"),
    "no-ctrl": (NO_CTRL, "MAC MRG_RXBUF", "CTRL_VQ CTRL_RX CTRL_VLAN MQ"),
    "no-status": (dict(status=False, guest_announce=False), "MAC", "STATUS"),
    "jumbo": (dict(host_mtu=9000), "MTU MRG_RXBUF", ""),
    "jumbo-big": (dict(host_mtu=9000, mrg_rxbuf=False, **TSO), "MTU", "MRG_RXBUF"),
    "vectors0": (dict(vectors=0), USUAL, ""),
    "vectors2": (dict(vectors=2), USUAL, ""),
    "rings": (dict(rx_queue_size=1024, event_idx=False, indirect_desc=False), USUAL, "EVENT_IDX INDIRECT_DESC"),
    "packed": (dict(packed=True), USUAL, ""),
    "platform": (dict(iommu_platform=True), f"{USUAL} ACCESS_PLATFORM", ""),
    "transitional": (dict(disable_legacy="off", disable_modern=False), f"{USUAL} VERSION_1", ""),
}
JUMBO = ("jumbo", "jumbo-big")

# Properties that are there or not in every pairing, on as few cards as there can be. A property is on those cards
# of which four of the last six are picked, and no two pick the same: so one card has neither of two properties (the
# first), one has both (four and four of six), and each is somewhere without the other.
PAIRED = ("csum", "guest_csum", "mrg_rxbuf", "host_tso4", "host_tso6", "host_ecn", "host_ufo", "guest_tso4",
          "guest_tso6", "guest_ecn", "guest_ufo", "ctrl_guest_offloads", "event_idx", "indirect_desc",
          "iommu_platform")
PICKED = dict(zip(PAIRED, itertools.combinations(range(1, 7), 4)))
PAIRINGS = [{what: n in PICKED[what] for what in PAIRED} for n in range(7)]
# What a feature needs, section 5.1.3.1; of two, one will do. A driver leaves alone what lacks it.
DEPENDS = (("HOST_TSO4", "CSUM"), ("HOST_TSO6", "CSUM"), ("HOST_UFO", "CSUM"), ("GUEST_TSO4", "GUEST_CSUM"),
           ("GUEST_TSO6", "GUEST_CSUM"), ("GUEST_UFO", "GUEST_CSUM"), ("HOST_ECN", "HOST_TSO4 HOST_TSO6"),
           ("GUEST_ECN", "GUEST_TSO4 GUEST_TSO6"))


def agreed(properties):
    """Names of the features that come of a card's properties, and of those that must not."""
    names = {what: what.upper().replace("IOMMU", "ACCESS") for what in properties}
    present = {names[what] for what, on in properties.items() if on}
    for feature, needed in DEPENDS:
        if not present & set(needed.split()):
            present.discard(feature)
    return " ".join(sorted(present)), " ".join(sorted(set(names.values()) - present))


CARDS.update({f"pairing{n}": (properties, *agreed(properties)) for n, properties in enumerate(PAIRINGS)})

# What ethtool -K switches, as ethtool -k calls it, and which of them need another.
SWITCHES = {"tx": "tx-checksumming", "rx": "rx-checksumming", "sg": "scatter-gather",
            "tso": "tcp-segmentation-offload", "gso": "generic-segmentation-offload",
            "gro": "generic-receive-offload"}
NEEDED = (("sg", "tx"), ("tso", "sg"), ("gso", "sg"))


class Card:
    """A network card of the guest: its interface, its tap, and their addresses."""

    def __init__(self, vm, network, name):
        self.vm, self.network, self.name = vm, network, name
        self.number = list(CARDS).index(name)
        self.tap = network.taps[self.number]
        self.address = f"10.77.{self.number}.2"
        self.host = f"10.77.{self.number}.1"
        self.dev = vm.nic(name)

    def up(self):
        self.vm.run(f"ip address flush dev {self.dev} && ip address add {self.address}/24 dev {self.dev} && "
                    f"ip link set {self.dev} up")
        self.vm.run(f"ping -c 1 -W 10 {self.host}")
        return self

    def down(self):
        self.vm.run(f"ip link set {self.dev} down && ip address flush dev {self.dev}")

    def netio(self, way, *args, host=None, timeout=90):
        return self.vm.run(" ".join(["netio", way, host or self.host, str(PORT), *args]), timeout)

    def tcp(self, size=4 * MIB, host=None):
        """Checked TCP both ways; returns (the guest's, the host's) bytes for each packet at the tap."""
        found = []
        for way, key in (("put", "rx"), ("get", "tx")):
            before = self.network.counters(self.tap)
            self.netio(way, f"bytes={size}", host=host)
            after = self.network.counters(self.tap)
            found.append(size / (after[f"{key}_packets"] - before[f"{key}_packets"]))
        return found

    def udp(self, count=40, most=20000):
        assert "again=0" in self.netio("udp", f"count={count}", f"max={most}")

    def rx_filter(self):
        [found] = self.vm.qmp.command("query-rx-filter", name=self.name)
        return found

    def mac(self):
        return self.vm.read(f"/sys/class/net/{self.dev}/address")

    def carrier(self):
        return self.vm.read(f"/sys/class/net/{self.dev}/carrier") == "1"

    def ethtool(self, option, *args):
        return self.vm.status(f"ethtool {option} {self.dev} {' '.join(args)}")


@pytest.fixture(scope="module")
def vm(kernel, make_guest, network, make_module_machine):
    """One machine with a card of every sort, each on a tap of its own."""
    cards = []
    for n, (name, (properties, _, _)) in enumerate(CARDS.items()):
        tap = network.tap(queues=QUEUES if name == "main" else 1, mtu=9000 if name in JUMBO else 1500)
        cards.append(devices.nic(name, tap.backend, mac=f"52:54:00:56:4d:{n:02x}", **properties))
    network.serve()
    with make_module_machine(make_guest(also=MODULES), cards, smp=QUEUES, memory=768) as machine:
        yield machine


@pytest.fixture
def card(vm, network):
    """card(name): a card that is up, and down after the test."""
    made = []

    def make(name="main"):
        made.append(Card(vm, network, name))
        return made[-1].up()
    yield make
    for each in made:
        each.down()


def load(vm, module):
    """Loads a module of the kernel's own; without it the test is skipped."""
    if module not in vm.guest.modules:
        pytest.skip(f"this kernel has no module {module}")
    vm.run(f"modprobe {module}")


# ---- what is negotiated, and that it carries data ----

def test_every_card_has_an_interface(vm):
    names = [vm.nic(name) for name in CARDS]
    assert names == [f"eth{n}" for n in range(len(CARDS))]
    for n, name in enumerate(CARDS):
        assert vm.read(f"/sys/class/net/eth{n}/address") == f"52:54:00:56:4d:{n:02x}"
        if name != "transitional":
            assert vm.pci_id(name) == "1af4:1041" and vm.io_bars(name) == 0


def test_properties_are_in_every_pairing():
    for one, other in itertools.combinations(PAIRED, 2):
        assert len({(card[one], card[other]) for card in PAIRINGS}) == 4, (one, other)


@pytest.mark.parametrize("name", CARDS)
def test_card(vm, card, name):
    """Features as offered; TCP both ways and fragmented UDP; offloads used if and only if they are there."""
    if name.startswith("pairing") and not vm.guest.pack:
        pytest.skip("the kernel's own driver also takes a feature that lacks what it needs")
    _, present, absent = CARDS[name]
    features = set(vm.features(name))
    assert set(present.split()) <= features
    assert not set(absent.split()) & features
    one = card(name)
    mtu = 9000 if name in JUMBO else 1500
    assert vm.read(f"/sys/class/net/{one.dev}/mtu") == str(mtu)
    sent, received = one.tcp()
    assert ("HOST_TSO4" in features) == (sent > mtu), f"{sent:.0f} bytes for each packet sent"
    assert ("GUEST_TSO4" in features) == (received > mtu), f"{received:.0f} bytes for each packet received"
    one.udp()


def test_ipv6(vm, card):
    if not vm.status("[ -e /proc/sys/net/ipv6 ]")[0] == 0:
        load(vm, "ipv6")
    one = card()
    vm.run(f"ip -6 address add fd77:{one.number}::2/64 dev {one.dev}")
    vm.wait_until(lambda: vm.status(f"ping -6 -c 1 fd77:{one.number}::1")[0] == 0, "an answer by IPv6")
    sent, received = one.tcp(host=f"fd77:{one.number}::1")
    assert sent > 1500 and received > 1500
    vm.run(f"ip -6 address del fd77:{one.number}::2/64 dev {one.dev}")


def offload_states(needed):
    """Every state that the switches can be in: all of a pairing's, where one does not need the other."""
    for state in itertools.product((True, False), repeat=len(SWITCHES)):
        state = dict(zip(SWITCHES, state))
        if all(state[other] or not state[what] for what, other in needed):
            yield state


def test_offloads_switched_in_the_guest(vm, card):
    """In every pairing: checked TCP both ways, and large packets if and only if both sides may have them."""
    one = card("spare")

    def switched():
        status, said = one.ethtool("-k")
        assert status == 0, said
        found = dict(re.findall(r"^(\S+): (on|off)", said, re.M))
        return {what: found[name] == "on" for what, name in SWITCHES.items()}

    one.ethtool("-K", "rx off gro on")
    begin = switched()
    assert not begin["rx"] or not vm.guest.pack         # nothing asks a driver to have that switch
    needed = NEEDED if begin["gro"] else (*NEEDED, ("gro", "rx"))       # 6.0 wants it so
    for state in offload_states(needed):
        if begin["rx"] and not state["rx"]:
            continue
        one.ethtool("-K", *(f"{what} {'on' if on else 'off'}" for what, on in state.items()))
        assert switched() == state
        sent, received = one.tcp(MIB)
        assert (sent > 1500) == state["tso"] and (received > 1500) == state["rx"], (state, sent, received)
        one.udp(4)
    one.ethtool("-K", *(f"{what} on" for what in SWITCHES))
    assert all(switched().values())


def test_mtu_changes(card, vm):
    one = card("jumbo")
    for mtu in (1500, 576, 9000):
        vm.run(f"ip link set {one.dev} mtu {mtu}")
        one.tcp(MIB)
        one.udp(10)


def test_smallest_mtu(card, vm):
    """TCP in segments that do not fit: they go in fragments. 6.0 and 6.3 cut up what has no checksum yet."""
    one = card()
    pmtu = "/proc/sys/net/ipv4/ip_no_pmtu_disc"
    vm.run(f"ethtool -K {one.dev} tx off gso off && echo 1 > {pmtu} && ip link set {one.dev} mtu 68")
    try:
        sent, _ = one.tcp(MIB // 16)
        assert sent <= 68
        one.udp(10, 2000)
    finally:
        vm.run(f"ip link set {one.dev} mtu 1500 && echo 0 > {pmtu}; ethtool -K {one.dev} tx on sg on tso on gso on")


# ---- queues and interrupts ----

def queue_interrupts(vm, name):
    """{queue: interrupts so far, on each processor} of a card's receive queues."""
    return {int(found[1] or 0): counts for _, text, counts in vm.interrupts_by_processor(name).values()
            if (found := re.search(r"input\.?(\d*)", text))}


class Shares:
    """How what happens between two moments is spread over queues, and over processors."""

    def __init__(self, card):
        self.card = card
        self.before = self._now()

    def _now(self):
        status, said = self.card.ethtool("-S")
        assert status == 0, said
        sent = {int(n): int(count) for n, count in re.findall(r"\btx\D*(\d+)_packets: (\d+)", said)}
        received = queue_interrupts(self.card.vm, self.card.name)
        assert set(sent) == set(received) == set(range(QUEUES))
        return [[sent[n] for n in range(QUEUES)], [sum(received[n]) for n in range(QUEUES)],
                [sum(counts) for counts in zip(*received.values())]]

    def end(self):
        """Shares of the packets sent by queue, of receive interrupts by queue and by processor."""
        rise = [[now - then for now, then in zip(*pair)] for pair in zip(self._now(), self.before)]
        return [[count / max(1, sum(counts)) for count in counts] for counts in rise]


def one_flow(vm, card, way, processor):
    """What Shares has of a single flow of a process on a processor; there may be other packets beside it."""
    shares = Shares(card)
    vm.run(f"taskset {1 << processor:x} netio {way} {card.host} {PORT} bytes={8 * MIB}", timeout=90)
    return shares.end()


def test_four_queues(vm, kernel, card):
    """Parallel flows use all the queues; one flow stays on the queue and on the processor where its process is."""
    one = card()
    # A kernel that cannot be asked for it uses as many as it has processors.
    one.ethtool("-L", "combined", str(QUEUES))
    status, said = one.ethtool("-l")
    assert status or re.findall(r"Combined:\s+(\d+)", said) == [str(QUEUES)] * 2

    # On EL6 no module can move an interrupt. Wherever they come, a flow stays on one queue.
    if kernel.old:
        for way, processor in ("put", 1), ("get", 2):
            sent, received, _ = one_flow(vm, one, way, processor)
            assert sent[processor] >= 0.6 and received[processor] >= 0.6, (way, sent, received)
        # irqbalance moves them as the driver has asked for: do as it does.
        for number, (_, text, _) in vm.interrupts("main").items():
            if re.search(r"put\.\d", text):
                vm.run(f"cd /proc/irq/{number} && cat affinity_hint > smp_affinity")

    shares = Shares(one)
    for way in "put", "get":
        one.netio(way, f"bytes={4 * MIB}", f"flows={2 * QUEUES}", "pin=1")
    for share in shares.end():
        assert all(part >= 0.05 for part in share), share
    # The last packets of the flow before are among them: a fifth of so few has been seen.
    for way in "put", "get":
        for processor in range(QUEUES):
            for share in one_flow(vm, one, way, processor):
                assert share[processor] >= 0.6, (way, processor, share)


@pytest.mark.parametrize("combined", [1, 3, 4])
def test_number_of_queues_changes_under_load(card, combined):
    one = card()
    if one.ethtool("-l")[0]:
        pytest.skip("no ethtool -L on this kernel")
    flow = one.vm.start(f"netio get {one.host} {PORT} bytes={32 * MIB} flows=4")
    status, said = one.ethtool("-L", "combined", str(combined))
    assert status == 0 or "unmodified" in said, said
    assert flow.wait(90) == 0, flow.output


def test_vectors(vm, card):
    """INTx, and queues that share a vector."""
    for name in ("vectors0", "vectors2", "spare"):
        one = card(name)
        before = vm.interrupts(name)
        one.tcp()
        after = vm.interrupts(name)
        kinds = {kind.split("-")[0] for kind, _, _ in after.values()}
        assert kinds == ({"IO"} if name == "vectors0" else {"PCI"}), after
        assert sum(i[2] for i in after.values()) > sum(i[2] for i in before.values())
    assert len(after) >= 2 and queue_interrupts(vm, "spare")


# ---- who is listened to ----

def test_vlan(vm, network, card):
    load(vm, "8021q")
    one = card()
    assert "CTRL_VLAN" in vm.features("main")
    with Vlan(network, one.tap, 5) as vlan:
        vm.run(f"vconfig add {one.dev} 5 && ip address add 10.77.{len(network.taps) - 1}.2/24 dev {one.dev}.5 && "
               f"ip link set {one.dev}.5 up")
        try:
            assert 5 in one.rx_filter()["vlan-table"]
            peer = f"10.77.{len(network.taps) - 1}.1"
            vm.run(f"ping -c 1 -W 10 {peer}")
            one.tcp(MIB, host=peer)
            # Of what the host cuts up, its packet socket knows no UDP.
            one.netio("udp", "count=20", "max=1400", host=peer)
            one.tcp(MIB)
            assert vlan.seen == {5}
        finally:
            vm.run(f"vconfig rem {one.dev}.5")
    assert 5 not in one.rx_filter()["vlan-table"]


def test_multicast(vm, network, card):
    one = card()
    assert "01:00:5e:4d:02:03" not in one.rx_filter()["multicast-table"]
    job = vm.start(f"netio mrecv 239.77.2.3 {PORT + 1} {one.address} count=20")
    job.expect("listening")
    vm.wait_until(lambda: "01:00:5e:4d:02:03" in one.rx_filter()["multicast-table"], "the group in the filter")
    network.netio("msend", "239.77.2.3", PORT + 1, one.host, "count=20", "max=4000").wait()
    assert job.wait() == 0, job.output
    vm.wait_until(lambda: "01:00:5e:4d:02:03" not in one.rx_filter()["multicast-table"], "the group's end")
    peer = network.netio("mrecv", "239.77.2.4", PORT + 1, one.host, "count=20")
    peer.expect("listening")
    vm.run(f"netio msend 239.77.2.4 {PORT + 1} {one.address} count=20 max=4000")
    peer.wait()


@pytest.mark.parametrize("mode", ["", "allmulti", "promisc"])
def test_filter(vm, network, card, mode):
    """Frames for us, for all, for a group and for another card: what the mode lets in, comes in."""
    one = card()
    frames = {"to-others": "02:00:00:00:00:99", "multicast": "01:00:5e:00:77:77",
              "broadcast": "ff:ff:ff:ff:ff:ff", "to-us": one.mac()}
    unwanted = {"": {"to-others", "multicast"}, "allmulti": {"to-others"}, "promisc": set()}[mode]
    wanted = [kind for kind in frames if kind not in unwanted]
    job = vm.start(f"netio sniff {one.dev} count={3 * len(wanted)} seconds=20 {f'{mode}=1' if mode else ''}")
    job.expect("listening")
    network.inject(one.tap, [mac for mac in frames.values() for _ in range(3)])
    assert job.wait() == 0
    assert {kind: int(n) for kind, n in re.findall(r"(\S+)=(\d+)", job.output.split("netio:")[0])} == {
        kind: 3 if kind in wanted else 0 for kind in frames}


def test_mac_address_changes(vm, card):
    one = card("spare")
    old, new = one.mac(), "52:54:00:77:77:77"
    for mac in (new, old):
        vm.run(f"ip link set {one.dev} down && ifconfig {one.dev} hw ether {mac}")
        one.up()
        assert one.mac() == mac and one.rx_filter()["main-mac"] == mac
        one.tcp(MIB)


# ---- what an administrator asks ----

def test_ethtool(vm, kernel, card):
    one = card()
    status, said = one.ethtool("-i")
    assert status == 0 and "driver: virtio_net\n" in said
    assert f"bus-info: {vm.pci('main').rsplit('/', 1)[1]}\n" in said
    if vm.guest.pack:
        assert f"version: {(REPO / 'VERSION').read_text().strip()}\n" in said
    status, said = one.ethtool("-g")
    assert status == 0 and re.findall(r"RX:\s+(\d+)", said) == ["256", "256"]
    assert re.findall(r"TX:\s+(\d+)", said) == ["256", "256"]
    status, said = one.ethtool("")
    assert "Link detected: yes" in said


def test_statistics(vm, card):
    """The interface's counters, and the driver's own, go with the traffic."""
    one = card("spare")

    def counters():
        path = f"/sys/class/net/{one.dev}/statistics"
        return [int(word) for word in vm.run(f"cd {path} && cat tx_bytes rx_bytes tx_packets rx_packets "
                                             "rx_errors rx_dropped tx_errors tx_dropped").split()]

    def own():
        status, said = one.ethtool("-S")
        return {key: int(n) for key, n in re.findall(r"^\s+(\S+): (\d+)$", said, re.M)} if status == 0 else {}
    before, before_own = counters(), own()
    one.tcp(4 * MIB)
    after, after_own = counters(), own()
    assert after[0] - before[0] > 4 * MIB and after[1] - before[1] > 4 * MIB
    assert after[2] > before[2] and after[3] > before[3] and after[4:] == before[4:]
    if before_own:
        rise = {key: n - before_own[key] for key, n in after_own.items()}
        for way in ("rx", "tx"):
            assert sum(n for key, n in rise.items() if key.startswith(way) and key.endswith("_bytes")) > 4 * MIB, rise


# ---- what happens to a card ----

def test_link(vm, card):
    """The cable is pulled and put back: the carrier follows, a connection survives."""
    one = card("spare")
    talk = vm.start(f"netio talk {one.host} {PORT} seconds=4")
    talk.expect("talking")
    for up in (False, True):
        vm.qmp.command("set_link", name="spare", up=up)
        vm.wait_until(lambda up=up: one.carrier() == up, "the carrier to follow")
    assert talk.wait(60) == 0, talk.output
    one.tcp(MIB)


def meminfo(vm):
    """{what: pages} after caches have been dropped. What processors keep for themselves is free, too."""
    vm.run("sync; echo 3 > /proc/sys/vm/drop_caches; sleep 0.5")
    found = dict(re.findall(r"(\w+):\s+(\d+) kB", vm.read("/proc/meminfo")))
    kept = sum(map(int, re.findall(r"^\s+count:\s+(\d+)", vm.read("/proc/zoneinfo"), re.M)))
    return {"MemFree": int(found["MemFree"]) // 4 + kept, "SUnreclaim": int(found["SUnreclaim"]) // 4}


def assert_no_leak(before, between, after, pages):
    """What has been lost in both of two equal stretches: a pool that grows once is no leak."""
    free = [before["MemFree"] - between["MemFree"], between["MemFree"] - after["MemFree"]]
    slab = [between["SUnreclaim"] - before["SUnreclaim"], after["SUnreclaim"] - between["SUnreclaim"]]
    assert min(free) < pages and min(slab) < pages, (free, slab)


@pytest.mark.parametrize("name,count", [("main", 110), ("big", 120)])
def test_up_and_down(vm, card, name, count):
    """Hundreds of times, under load: a connection lives through it, and no page stays behind."""
    one, other = card(name), card("spare")

    def cycles(count):
        # No fragments: those that stay without their others would hold memory for half a minute.
        flood = vm.start(f"netio flood {one.host} {PORT} seconds=120 max=1400")
        flood.expect("flooding")
        said = vm.run(f"netio updown {one.dev} count={count} min=8", timeout=120)
        flood.kill()
        # Not every time: an answer to ARP may be lost in a tap that is full of older ones, whatever the driver.
        assert int(re.search(r"busy=(\d+)", said)[1]) >= count // 3, said
    talk = vm.start(f"netio talk {other.host} {PORT} seconds=5")
    lasting = vm.start(f"netio talk {one.host} {PORT} seconds=3")
    lasting.expect("talking")
    cycles(20)
    assert lasting.wait(120) == 0, lasting.output
    memory = []
    for _ in range(3):
        one.down()
        # First what has waited for it comes in, then the queue is filled, and has all its pages.
        vm.run(f"for pause in 0.3 0; do ip link set {one.dev} up; sleep $pause; ip link set {one.dev} down; done")
        memory.append(meminfo(vm))
        one.up()
        if len(memory) < 3:
            cycles(count)
    assert_no_leak(*memory, count)
    assert talk.wait() == 0, talk.output
    one.tcp(MIB)


def test_bridge_in_the_guest(vm, card):
    load(vm, "bridge")
    one = card()
    # 6.0's bridge passes nothing on for its forward delay, spanning tree or not.
    vm.run(f"brctl addbr br0 && echo 0 > /sys/class/net/br0/bridge/forward_delay && "
           f"brctl addif br0 {one.dev} && ip address flush dev {one.dev} && "
           f"ip address add {one.address}/24 dev br0 && ip link set br0 up")
    try:
        assert one.rx_filter()["promiscuous"]
        vm.run(f"n=0; until ping -c 1 -W 1 {one.host}; do n=$((n + 1)); [ $n -lt 40 ] || exit 1; done", timeout=90)
        one.tcp()
    finally:
        vm.run(f"ip link set br0 down && brctl delif br0 {one.dev} && brctl delbr br0")


def test_bond_in_the_guest(vm, network, card):
    """Two cards, one in use: when its link goes, the other takes over within a connection."""
    load(vm, "bonding")
    first, second = Card(vm, network, "spare"), Card(vm, network, "main")
    try:
        network.run("ip", "link", "add", "hostbr", "type", "bridge")
    except VmError as error:
        pytest.skip(f"the host's kernel has no bridge: {error}")
    for one in (first, second):
        network.run("ip", "link", "set", one.tap.name, "master", "hostbr")
    network.run("ip", "address", "add", "10.78.0.1/24", "dev", "hostbr")
    network.run("ip", "link", "set", "hostbr", "up")
    bond = "/sys/class/net/bond0/bonding"
    try:
        vm.run(f"[ -e {bond} ] || echo +bond0 > /sys/class/net/bonding_masters; "
               f"ip link set bond0 down; echo 1 > {bond}/mode && echo 100 > {bond}/miimon && "
               f"ip address add 10.78.0.2/24 dev bond0 && ip link set bond0 up && for dev in {first.dev} {second.dev}; "
               f"do ip link set $dev down; echo +$dev > {bond}/slaves || exit 1; done")
        vm.wait_until(lambda: vm.status("ping -c 1 -W 1 10.78.0.1")[0] == 0, "the bond")
        first.netio("get", f"bytes={4 * MIB}", host="10.78.0.1")
        talk = vm.start(f"netio talk 10.78.0.1 {PORT} seconds=4")
        talk.expect("talking")
        active = vm.read(f"{bond}/active_slave")
        gone = first if active == first.dev else second
        vm.qmp.command("set_link", name=gone.name, up=False)
        vm.wait_until(lambda: vm.read(f"{bond}/active_slave") not in ("", active), "the other card")
        assert talk.wait(60) == 0, talk.output
        vm.qmp.command("set_link", name=gone.name, up=True)
        first.netio("put", f"bytes={4 * MIB}", host="10.78.0.1")
    finally:
        vm.run(f"for dev in {first.dev} {second.dev}; do echo -$dev > {bond}/slaves; done; ip link set bond0 down; "
               "rmmod bonding")
        network.run("ip", "link", "del", "hostbr")


def test_netconsole(vm, network, card):
    """The kernel's log by UDP, sent with interrupts off."""
    load(vm, "netconsole")
    vm.run("rmmod netconsole")
    one = card("spare")
    log = network.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with log:
        # The whole log so far comes first, in one go.
        log.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 * MIB)
        log.bind((one.host, 6666))
        log.settimeout(20)
        vm.run(f"modprobe netconsole netconsole=6665@{one.address}/{one.dev},6666@{one.host}/{network.mac(one.tap)}")
        # Newer kernels let a process write but a few lines a second.
        vm.run("cd /proc/sys/kernel; [ ! -e printk_devkmsg ] || echo on > printk_devkmsg; "
               "for n in $(seq 200); do echo \"<4>netconsole line $n\" > /dev/kmsg; done")
        data = b""
        while b"netconsole line 200\n" not in data:
            data += log.recv(65536)
        vm.run("rmmod netconsole")
    seen = len(set(re.findall(rb"netconsole line (\d+)\n", data)))
    assert seen == 200, f"{seen} of 200 lines came"


@pytest.mark.parametrize("turn", [1, 2])
def test_hot_plug(vm, network, card, turn):
    """A busy card is pulled and put back; the other one's connection does not notice."""
    other, one = card("main"), Card(vm, network, "spare").up()
    talk = vm.start(f"netio talk {other.host} {PORT} seconds=3")
    talk.expect("talking")
    busy = [vm.start(f"netio {way} {one.host} {PORT} seconds=60") for way in ("flood", "talk")]
    busy[1].expect("talking")
    vm.qmp.command("device_del", id="spare")
    vm.qmp.wait_event("DEVICE_DELETED", timeout=60, device="spare")
    vm.wait_until(lambda: vm.pci("spare") is None, "the card's end")
    for job in busy:
        job.kill()
    assert talk.wait(60) == 0, talk.output
    vm.qmp.command("device_add", bus=f"port{one.number}", **vm.devices[one.number].properties)
    vm.wait_until(lambda: vm.nic("spare"), "the new card")
    card("spare").tcp()


def test_unload_and_reload_under_load(vm, network, card):
    """All modules leave busy cards and come back; no page stays behind."""
    def cycle():
        one = Card(vm, network, "main").up()
        # As above: no fragments that wait for others.
        flood = vm.start(f"netio flood {one.host} {PORT} seconds=60 max=1400")
        flood.expect("flooding")
        vm.unload()
        flood.kill()
        assert vm.run("ls /sys/class/net | grep eth; true") == ""
        vm.run("modprobe virtio_pci && modprobe virtio_net")
        vm.wait_until(lambda: all(vm.nic(name) for name in CARDS), "all cards")
    memory = []
    for _ in range(3):
        cycle()
        memory.append(meminfo(vm))
    assert_no_leak(*memory, 300)
    card("main").tcp()
    card("spare").tcp()


def test_everything_at_once(vm, card):
    """All cards busy, both ways, for a few seconds."""
    cards = [card(name) for name in list(CARDS)[:12]]
    jobs = [vm.start(f"netio talk {one.host} {PORT} seconds=5 max=60000") for one in cards]
    assert [(job.wait(90), job.output) for job in jobs if job.wait(90)] == []
