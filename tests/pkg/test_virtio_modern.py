# SPDX-License-Identifier: GPL-2.0
"""virtio-modern: its verdict on a dozen broken guests, and what booting each of them shows; and what else it says."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from packages import OUT
from root import Root
from test_boot import Booted
from test_install import NEW, OTHER, installed
from vmlib import devices, machine
from vmlib.host import REPO, VmError, run

TOOL = REPO / "tools/virtio-modern"
UUID = "0f0f0f0f-1111-2222-3333-444444444444"
MAC = "52:54:00:56:4d:01"

GRUB = """# grub.conf
default={default}
timeout=0
title {release}
	root (hd0,0)
	kernel /vmlinuz-{release} ro root={root} rhgb quiet
	initrd /initramfs-{release}.img
title {other}
	root (hd0,0)
	kernel /vmlinuz-{other} ro root={root} rhgb quiet
	initrd /initramfs-{other}.img
"""


@pytest.fixture(scope="module")
def prepared(platform, oldest, kmod, packages):
    """A guest as it should be: the default kernel has the pack; another, older one does not fit."""
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=OUT, prefix="guest-"))
    root = Root(folder)
    root.check(f"rpm -i {root.bring(platform)}")
    for package in (packages(oldest), packages(oldest, release=OTHER, altered={"blk_init_queue": "0xdeadbeef"})):
        assert root.install_kernel(package).status == 0
    installed(root, kmod)
    root.write("boot/grub/grub.conf", GRUB.format(default=0, release=oldest.release, other=OTHER, root=f"UUID={UUID}"))
    root.write("etc/fstab", f"UUID={UUID} / ext4 defaults 1 1\ntmpfs /dev/shm tmpfs defaults 0 0\n")
    root.write("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n")
    root.write("etc/sysconfig/network-scripts/ifcfg-eth0", f"DEVICE=eth0\nHWADDR={MAC}\nONBOOT=yes\n")
    yield root
    shutil.rmtree(folder)


@pytest.fixture
def guest(prepared):
    folder = tempfile.mkdtemp(dir=OUT, prefix="guest-")
    yield prepared.copy(folder)
    shutil.rmtree(folder)


def edit(root, name, *change):
    path = root.path(name)
    text = path.read_text()
    assert re.search(change[0], text), (change, text)
    path.write_text(re.sub(change[0], change[1], text, count=1))


# ---- broken guests ----

def module_missing_from_initramfs(root, kernel):
    image = root.image(kernel)
    folder = root.unpack(image)
    for path in list(folder.rglob("virtio_blk.ko*")):
        path.unlink()
    run("sh", "-c", f"cd {folder} && find . | cpio -o -H newc --quiet | gzip > {image}")


def half_a_stack(root, kernel):
    """Somebody has put the kernel's own virtio_net before the pack's."""
    root.check(f"rm /lib/modules/{kernel.release}/extra/virtio-modern/virtio_net.ko && depmod -a {kernel.release}")


def stale_initramfs(root, kernel):
    """Made by hand with the modules of before, or put back."""
    image = root.image(kernel)
    shutil.copy(image.with_name(f"{image.name}.before-virtio-modern"), image)


def truncated_initramfs(root, kernel):
    image = root.image(kernel)
    image.write_bytes(image.read_bytes()[:100000])


def initramfs_gone(root, kernel):
    root.image(kernel).unlink()


def no_initrd_line(root, kernel):
    edit(root, "boot/grub/grub.conf", r"\tinitrd .*\n", "")


def initrd_of_another_kernel(root, kernel):
    edit(root, "boot/grub/grub.conf", rf"initrd /initramfs-{re.escape(kernel.release)}", f"initrd /initramfs-{OTHER}")


def root_on_sda2(root, kernel):
    edit(root, "boot/grub/grub.conf", rf"root=UUID={UUID}", "root=/dev/sda2")


def fstab_on_sda1(root, kernel):
    root.path("etc/fstab").write_text(root.path("etc/fstab").read_text() + "/dev/sda1 /boot ext4 defaults 1 2\n")


def fstab_by_path(root, kernel):
    root.path("etc/fstab").write_text(root.path("etc/fstab").read_text() +
                                      "/dev/disk/by-path/pci-0000:00:1f.2-scsi-0:0:0:0-part1 /data ext4 defaults 1 2\n")


def old_kernel_is_default(root, kernel):
    edit(root, "boot/grub/grub.conf", "default=0", "default=1")


def depmod_without_the_lists(root, kernel):
    """An updates folder with the kernel's own modules, which comes before everything."""
    updates = root.path(f"lib/modules/{kernel.release}/updates")
    updates.mkdir()
    for path in (kernel.modules / "kernel").rglob("virtio*.ko"):
        shutil.copy(path, updates)
    root.path("etc/depmod.d/virtio-modern.conf").unlink()
    root.check(f"depmod -a {kernel.release}")


def package_removed(root, kernel):
    done = root.run(f"rpm -e {NEW}")
    assert done.status == 0, done


# What looks bad and is not.

def nothing(root, kernel):
    pass


def swap_on_sda3(root, kernel):
    root.path("etc/fstab").write_text(root.path("etc/fstab").read_text() + "/dev/sda3 swap swap defaults 0 0\n")


def no_hwaddr(root, kernel):
    edit(root, "etc/sysconfig/network-scripts/ifcfg-eth0", r"HWADDR=.*\n", "")


def root_on_vda(root, kernel):
    edit(root, "boot/grub/grub.conf", rf"root=UUID={UUID}", "root=/dev/vda")


def other_kernel_broken(root, kernel):
    root.image(kernel, OTHER).unlink()


BROKEN = [module_missing_from_initramfs, half_a_stack, stale_initramfs, truncated_initramfs, initramfs_gone, no_initrd_line,
          initrd_of_another_kernel, root_on_sda2, fstab_on_sda1, fstab_by_path, old_kernel_is_default, depmod_without_the_lists,
          package_removed]
SOUND = [nothing, swap_on_sda3, no_hwaddr, root_on_vda, other_kernel_broken]


class Chosen(machine.Machine):
    """A machine whose root file system is where the boot loader's entry says."""

    def __init__(self, place, *args, **options):
        self.place = place
        super().__init__(*args, root=True, **options)

    def _root_place(self):
        return self.place


def boots(root, kernel, name):
    """Does what GRUB, the kernel, dracut and rc.sysinit do, as far as it is decided there whether a guest comes up: the
    default entry, its initramfs, its root file system, the file systems that must be mounted, and a network card."""
    entries = [dict(re.findall(r"^\s*(kernel|initrd)\s+(\S+)", entry, re.M)) | {"root": re.search(r"root=(\S+)", entry)[1]}
               for entry in root.path("boot/grub/grub.conf").read_text().split("\ntitle ")[1:]]
    entry = entries[int(re.search(r"^default=(\d)", root.path("boot/grub/grub.conf").read_text(), re.M)[1])]
    release = entry["kernel"].removeprefix("/vmlinuz-")
    if "initrd" not in entry or not (image := root.path("boot" + entry["initrd"])).exists():
        return False, "no initramfs"
    try:
        unpacked = root.unpack(image)
    except subprocess.CalledProcessError:
        return False, "the initramfs is no whole one"
    guest = Booted(kernel, unpacked, root.path("lib/modules"), release)
    disk = root.folder / "root.img"
    guest.write_root(disk)
    run("/sbin/tune2fs", "-U", UUID, disk)
    place = "vda" if entry["root"] == f"UUID={UUID}" else entry["root"].removeprefix("/dev/")
    card = devices.nic("card", devices.user_network(), mac=MAC)
    vm = Chosen(f"/sys/class/block/{place}", f"pkg/preflight-{name}", guest, [devices.disk("root", disk), card],
                load=("virtio_pci", "virtio_blk"), allow=(".*",))
    try:
        with vm:
            if vm.run("mount | grep -c ' on / type ext4'; true").strip() != "1":
                return False, "no root file system"
            for line in root.path("etc/fstab").read_text().splitlines():
                device, _, kind = line.split()[:3]
                # rc.sysinit asks for a password where fsck finds no device; swap it does not mind.
                if device.startswith("/dev/") and kind != "swap" and vm.status(f"[ -e {device} ]")[0]:
                    return False, f"{device} is not there"
            if vm.status("modprobe virtio_net")[0] or vm.run("ls /sys/class/net").split() == ["lo"]:
                return False, "no network card"
    except VmError as error:
        return False, str(error)
    return True, ""


def preflight(root, *args):
    done = root.run(f"/usr/sbin/virtio-modern {' '.join(args)} preflight")
    assert done.status in (0, 1), done
    return done


@pytest.mark.parametrize("change", BROKEN + SOUND, ids=lambda change: change.__name__)
def test_verdict_is_what_booting_shows(guest, oldest, change):
    change(guest, oldest)
    if change is package_removed:
        guest.write("usr/sbin/virtio-modern", TOOL.read_text(), 0o755)
    done = preflight(guest)
    comes_up, why = boots(guest, oldest, change.__name__)
    assert comes_up == (change in SOUND), why
    assert (done.status == 0) == comes_up, (why, done)
    lines = done.said.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    assert bool(failed) == (not comes_up)
    # Whatever is wrong comes with what to do.
    for n, line in enumerate(lines):
        if line.startswith(("FAIL", "warn")):
            assert lines[n + 1].startswith("      -> "), line


def test_json(guest, oldest):
    said = json.loads(preflight(guest, "--json").said)
    assert said["boots"] is True and said["failures"] == 0
    assert any(oldest.release in each["what"] and each["verdict"] == "ok" for each in said["checks"])
    root_on_sda2(guest, oldest)
    said = json.loads(preflight(guest, "--json").said)
    assert said["boots"] is False
    assert [each["what"] for each in said["checks"] if each["verdict"] == "FAIL"] == \
        ["kernel argument root= /dev/sda2, which is no name of a virtio disk"]


def test_mounted_image(guest, oldest):
    """From outside: the same lines as inside, and nothing is written."""
    before = guest.snapshot()
    inside = preflight(guest)
    # The upper folder alone is such a system: /lib is a link on the host, and a folder there.
    (guest.upper / "lib").symlink_to("usr/lib")
    done = subprocess.run([TOOL, "--root", guest.upper, "preflight"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    def plain(text):
        return re.sub(r"has \d+ MiB|\S*upper(?=/)", "", text)
    assert plain(done.stdout) == plain(inside.said)
    assert done.returncode == inside.status == 0
    (guest.upper / "lib").unlink()
    assert guest.snapshot() == before


@pytest.mark.parametrize("files, text", [
    ({"etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", KERNELS=="0000:00:03.0", NAME="eth0"\n'},
     "FAIL  network: /etc/udev/rules.d/70-persistent-net.rules names a card by its PCI address"),
    ({"etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\n", "etc/sysconfig/network-scripts/ifcfg-eth1": "DEVICE=eth1\n"},
     "FAIL  network: eth0 eth1: no HWADDR=, and there are 2 cards, which may change places"),
    ({"etc/modprobe.d/local.conf": "blacklist virtio_net\n"}, "FAIL  /etc/modprobe.d/local.conf keeps virtio_net from being loaded"),
    ({"etc/modprobe.d/local.conf": "install virtio_blk /bin/true\n"}, "FAIL  /etc/modprobe.d/local.conf keeps virtio_blk"),
    ({"boot/grub/grub.conf": "default=3\n"}, "FAIL  GRUB's default entry names no kernel")])
def test_what_cannot_be_booted_here(guest, files, text):
    """What udev, a second card and GRUB itself would show."""
    for name, content in files.items():
        guest.write(name, content)
    done = preflight(guest)
    assert done.status == 1 and text in done.said, done


def test_full_boot_is_a_warning(guest):
    used = sum(path.stat().st_size for path in guest.path("boot").rglob("*") if path.is_file()) // 2 ** 20
    done = guest.run("/usr/sbin/virtio-modern preflight", boot_size=f"{used + 3}m")
    assert done.status == 0
    assert re.search(r"warn  /boot has \d+ MiB free, and an initramfs takes", done.said), done


@pytest.mark.parametrize("args, text", [
    (["frobnicate"], "frobnicate: no such command"), (["--frob"], "--frob: no such option"), (["--root"], "--root wants a folder"),
    (["--root", "/nonexistent", "preflight"], "/nonexistent: there is no system in there"), ([], "usage: virtio-modern"),
    (["status", "preflight"], "one command at a time"), (["--root", "/", "status"], "status is about the running system"),
    (["rebuild"], "kmod-virtio-modern is not installed")])
def test_bad_command_line(args, text):
    done = subprocess.run([TOOL, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 2 and text in done.stdout, done.stdout


def test_not_root(guest, oldest):
    """An initramfs is for root's eyes."""
    guest.image(oldest).chmod(0o600)
    done = guest.run("setpriv --reuid=65534 --regid=65534 --clear-groups /usr/sbin/virtio-modern preflight")
    assert done.status == 2
    assert done.said.strip() == f"virtio-modern: /boot/initramfs-{oldest.release}.img cannot be read: preflight is for root"


def test_rebuild(guest, oldest):
    stale_initramfs(guest, oldest)
    assert preflight(guest).status == 1
    done = guest.run("/usr/sbin/virtio-modern rebuild")
    assert done.status == 3 and f"{OTHER}: goes without" in done.said, done     # the one that does not fit
    assert preflight(guest).status == 0


# ---- status, in a machine ----

@pytest.mark.parametrize("board", ["q35", "pc"])
def test_status(oldest, board):
    """On a real machine: ids, interfaces, drivers, interrupts and features by name."""
    from vmlib.guest import Guest
    files = {"virtio-modern": TOOL}
    guest = Guest(oldest, files=files)
    made = [devices.nic("card", devices.user_network()), devices.rng("rng"), devices.balloon()]
    made = made if board == "q35" else list(map(devices.on_root, made))
    with machine.Machine(f"pkg/status-{board}", guest, made, board=board) as vm:
        vm.wait_until(lambda: vm.run("ls /sys/class/net").split() != ["lo"], "the network card")
        said = vm.run("sh /virtio-modern status")
        found = json.loads(vm.run("sh /virtio-modern --json status"))
    by_type = {each["type"]: each for each in found}
    assert set(by_type) == {"network", "entropy", "balloon"}
    card = by_type["network"]
    ids = {"q35": ("1af4:1041", "modern"), "pc": ("1af4:1000", "transitional, driven as modern")}[board]
    assert (card["pci_id"], card["interface"]) == ids
    assert card["driver"] == "virtio_net" and {"MAC", "MRG_RXBUF", "STATUS"} <= set(card["features"])
    assert ("VERSION_1" in card["features"]) and re.fullmatch(r"0000:\d\d:[0-9a-f]{2}\.\d", card["slot"])
    assert by_type["balloon"]["queue_vectors"] == "shared" and int(card["queue_vectors"]) >= 2
    for line in ("network  PCI 0000:", "  driver      virtio_net ", "  features    "):
        assert line in said
