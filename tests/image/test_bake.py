# SPDX-License-Identifier: GPL-2.0
"""image/bake on a guest's disk that is laid out like CentOS 6's: what comes out boots, from LVM, on a modern-only Q35
and on i440fx with legacy devices; and whatever goes wrong leaves the original as it was."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import el6image
from bakelib import BAKE, MIB, TINY, bake, left_over, on_top, steps
from diskimage import LINUX, DiskMachine, Installed, write_disk
import root as pkg
from el6image import opened
from root import VERSION, digest, rpmbuild, symbols
from vmlib import devices
from vmlib.guest import make_ext4
from vmlib.host import REPO, run

BAD = pytest.mark.xdist_group("bake-bad-input")
GOOD = pytest.mark.xdist_group("bake")


# ---- what comes out ----

def machine(name, kernel, disk, board):
    """A Q35 with modern-only devices, or an i440fx with devices that know nothing but virtio 0.9."""
    found = [devices.disk("root", disk), devices.nic("card", devices.user_network(), mac=el6image.MAC)]
    if board == "pc":
        found = [devices.on_root(device) for device in found]
        for device in found:
            device.properties["disable-modern"] = True
    return DiskMachine(f"image/{name}", Installed(kernel, {}), found, root=True, board=board)


def edit(handle, name, old, new):
    """Changes a file of the guest's."""
    text = handle.read_file(name).decode()
    assert old in text
    handle.write(name, text.replace(old, new))


@GOOD
def test_says_what_it_does(original, baked):
    said = baked[1]
    done = steps(said)
    assert done[0].startswith(f"{original.qcow2}: qcow2, 1.0 GiB")
    releases = ", ".join(sorted(release for _, release in original.kernels))
    assert f"CentOS release 6.8 (Final), x86_64: / on /dev/VolGroup/lv_root, kernels {releases}" in done
    assert f"installing kmod-virtio-modern {VERSION}-1.el6, which makes each kernel's initramfs anew" in done
    assert done[-1] == f"done: {baked[0]}" and done[-2] == f"writing {baked[0]}"
    for _, release in original.kernels:
        assert f"{release}: has virtio-modern {VERSION} from its next boot on" in said
        assert re.search(rf"ok +{re.escape(release)} \(.*\): the whole pack in /lib/modules and in its initramfs", said)
    assert "ok    kernel argument root= /dev/mapper/VolGroup-lv_root" in said
    assert "FAIL" not in said and "SELinux: labels set" in done
    assert left_over(baked[0].parent) == []


@GOOD
def test_what_is_in_it(original, baked):
    """It is as large as before and of the same format; what was written has SELinux labels, and the package itself, which
    was only on its way, is gone."""
    info = run("qemu-img", "info", baked[0])
    assert "file format: qcow2" in info and f"{el6image.SIZE} bytes" in info
    labels = {"/etc/depmod.d/virtio-modern.conf": "etc_t", "/usr/sbin/virtio-modern": "bin_t"}
    for _, release in original.kernels:
        labels[f"/boot/initramfs-{release}.img"] = "boot_t"
        labels[f"/lib/modules/{release}/modules.dep"] = "modules_object_t"
    with opened(baked[0], readonly=True) as handle:
        for path, label in labels.items():
            context = handle.lgetxattr(path, "security.selinux").rstrip(b"\0").decode()
            assert context == f"system_u:object_r:{label}:s0", path
        assert handle.glob_expand("/var/tmp/*.rpm") == [] and not handle.exists("/.autorelabel")


@GOOD
@pytest.mark.parametrize("board", ["q35", "pc"])
def test_boots(original, baked, made, board):
    """With its root file system on LVM on virtio-blk; each kernel of its that is a kernel of its own."""
    disk = made / "baked.img"
    run("qemu-img", "convert", "-O", "raw", baked[0], disk)
    for n, (kernel, release) in enumerate(original.kernels):
        if release == pkg.OTHER:
            continue
        if n:
            with opened(disk, "raw") as handle:
                edit(handle, "/boot/grub/grub.conf", "default=0", f"default={n}")
        with machine(f"bake-{board}-{n}", kernel, disk, board) as vm:
            assert vm.run("uname -r").strip() == release
            mounts = vm.run("cat /proc/mounts")
            assert re.search(rf"^{el6image.LVM_ROOT} /sysroot ext4 rw", mounts, re.M), mounts
            assert re.search(r"^/dev/vda1 /sysroot/boot ext4 rw", mounts, re.M), mounts
            assert vm.run("lvm pvs --noheadings -o pv_name").strip() == "/dev/vda2"
            assert vm.run("grep -c partition /proc/swaps").strip() == "1"
            assert set(vm.run("cat /sys/module/virtio*/version").split()) == {VERSION}
            assert vm.pci_id("root") == ("1af4:1042" if board == "q35" else "1af4:1001")
            assert bool(vm.io_bars("root")) == (board == "pc")
            assert vm.nic("card") == "eth0"
            assert vm.read("/sys/class/net/eth0/address") == el6image.MAC


@GOOD
def test_without_it_there_is_no_disk(original, made):
    """The original, on the machine from which the baked one boots."""
    disk = made / "stock.img"
    run("qemu-img", "convert", "-O", "raw", original.qcow2, disk)
    vm = machine("bake-stock", original.kernels[0][0], disk, "q35")
    vm.allow.append(re.compile("^init: no root file system"))
    try:
        vm._launch()
        vm.process.wait(300)
    finally:
        vm.kill()
    assert "init: no root file system: /dev/mapper/VolGroup-lv_root is not there; disks: \n" in \
        vm.console.read_text(errors="replace").replace("\r", "")


@GOOD
def test_build_for_image_in_place(original, made):
    """The package is built on this host with the kernel-devel that is in the image; the file keeps its mode and place."""
    image = made / "in-place.qcow2"
    shutil.copy(original.qcow2, image)
    image.chmod(0o640)
    oldest, release = original.kernels[0]
    done = bake(image, "--build-for-image", "--in-place")
    assert done.returncode == 0, done
    said = steps(done.stdout)
    assert "taking kernel-devel out of the image" in said and f"building kmod-virtio-modern for {release}" in said
    assert f"{release}: has virtio-modern {VERSION} from its next boot on" in done.stdout
    assert said[-1] == f"done: {image}" and image.stat().st_mode & 0o777 == 0o640
    assert left_over(made) == []
    # Once more, there is nothing to do, and it says so.
    again = bake(image, "--build-for-image", "--kdir", oldest.build, "--output", made / "again.qcow2")
    assert again.returncode == 0, again
    assert f"kmod-virtio-modern {VERSION}-1.el6 is installed already" in steps(again.stdout)
    assert "anew" not in again.stdout and (made / "again.qcow2").exists()
    # What it says it will not boot is not written, unless one insists. Without setfiles the labels are left to the guest.
    forced = made / "forced.qcow2"
    with opened(image) as handle:
        edit(handle, "/boot/grub/grub.conf", el6image.LVM_ROOT, "/dev/sda2")
        handle.rm("/usr/sbin/setfiles")
    before = digest(image)
    for options, status in (["--in-place"], 1), (["--output", forced, "--force"], 0):
        done = bake(image, "--build-for-image", "--kdir", oldest.build, *options)
        assert done.returncode == status, done
        assert "FAIL  kernel argument root= /dev/sda2, which is no name of a virtio disk" in done.stdout
        assert digest(image) == before
    assert steps(done.stdout)[-1] == f"done: {forced} will NOT boot on a modern-only Q35 machine yet"
    assert "SELinux: setfiles does not work here" in done.stdout
    with opened(forced, readonly=True) as handle:
        assert handle.exists("/.autorelabel")


@GOOD
@pytest.mark.skipif(not shutil.which("virt-customize"), reason="virt-customize is not installed (make deps)")
def test_virt_customize(original, kmod, made):
    """The line of docs/pipelines.md, as it stands there."""
    text = (REPO / "docs/pipelines.md").read_text()
    [line] = re.findall(r"^    (\S*APPEND=\S+ virt-customize (?:.*\\\n)*.*)$", text, re.M)
    assert "centos6.qcow2" in line and kmod.name in line
    image = on_top(original.qcow2, made)
    done = subprocess.run(line.replace("centos6.qcow2", str(image)).replace(kmod.name, str(kmod)), shell=True, cwd=REPO,
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    release = original.kernels[0][1]
    with opened(image) as handle:
        said = handle.sh(f"/usr/libexec/virtio-modern/stack state {release}; virtio-modern preflight | tail -n 1")
    state, verdict = said.splitlines()
    assert state == f"{release} modules whole initramfs whole"
    assert verdict.startswith("This guest will boot on a modern-only Q35 machine")


# ---- bad input: one line, an exit status, nothing changed ----

def refused(image, text, *options, package=None, **env):
    """bake refuses an image, in one line with this text, and writes nothing. Returns what it has said before."""
    folder = image.parent
    before = digest(image) if image.is_file() else None
    there = set(os.listdir(folder))
    done = bake(image, *(["--rpm", package] if package else []), *options, **env)
    assert done.returncode == 1, done
    assert re.fullmatch(rf"bake: .*{text}.*\n", done.stderr), done
    assert set(os.listdir(folder)) == there
    assert not image.is_file() or digest(image) == before
    return done.stdout


@BAD
@pytest.mark.parametrize("contents, text", [
    (b"", "image: an empty file"), (b"hello\n", "image: not a disk image: a file of "),
    (bytes(4 * MIB), "image: no operating system was found in it"),
    (b"QFI\xfb\0\0\0\3" + bytes(4 * MIB), "image: not a disk image that can be read here: qemu-img failed: ")],
    ids=["empty", "text", "zeroes", "damaged"])
def test_no_image(kmod, tmp_path, contents, text):
    """As whoever runs it here finds libguestfs, with KVM or without, and says nothing else if it should not."""
    image = tmp_path / "image"
    image.write_bytes(contents)
    assert refused(image, text, "--quiet", package=kmod, LIBGUESTFS_BACKEND_SETTINGS="") == ""


@BAD
def test_no_file(kmod, tmp_path):
    refused(tmp_path / "nothing.qcow2", "nothing.qcow2: no such file", package=kmod)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "folder: a folder, not a disk image", package=kmod)
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    for package, text in ("nothing.rpm", "nothing.rpm: no such file"), (image, "image: not an RPM package"):
        refused(image, text, package=package)
    broken = tmp_path / "broken.rpm"
    broken.write_bytes(kmod.read_bytes()[:3000])
    refused(image, "broken.rpm: not an RPM package that is whole", package=broken)


@BAD
def test_command_line(kmod, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(MIB))
    for options, text in (([], "one of the arguments --rpm --build-for-image is required"),
                          (["--rpm", "x", "--kdir", "y"], "--kdir is for --build-for-image"),
                          (["--rpm", "x", "--in-place", "--force"], "--force with --in-place would put")):
        done = subprocess.run([BAKE, image, *options], text=True, stderr=subprocess.PIPE)
        assert done.returncode == 2 and text in done.stderr
    refused(image, "/nonexistent: not the build folder of a kernel", "--build-for-image", "--kdir", "/nonexistent")
    (tmp_path / "there").write_text("mine\n")
    refused(image, "there: is there already, and is not overwritten", "--output", tmp_path / "there", package=kmod)
    refused(image, "/nonexistent: no such folder", "--output", "/nonexistent/a", package=kmod)
    image.chmod(0o444)
    refused(image, "image: is read-only, and --in-place would replace it", "--in-place", package=kmod)
    assert (tmp_path / "there").read_text() == "mine\n"


@BAD
def test_encrypted(kmod, tmp_path):
    """The image itself, and what is in it."""
    image = tmp_path / "image.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o",
        "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", image, "4M")
    refused(image, "is encrypted, so nobody can look inside", package=kmod)
    part = tmp_path / "part"
    part.write_bytes(bytes(20 * MIB))
    run("/usr/sbin/cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", part, "-",
        input="secret", stdin=None)
    make_ext4(tmp_path / "boot", "8M")
    disk = tmp_path / "disk.img"
    write_disk(disk, [(LINUX, tmp_path / "boot"), (LINUX, part)])
    refused(disk, "disk.img: /dev/sda2 in it is encrypted, so nobody can look inside", package=kmod)


@BAD
def test_in_use(kmod, tmp_path):
    """By a machine that runs: it would not notice what is changed, and write over it."""
    image = tmp_path / "image.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "4M")
    with subprocess.Popen(["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=f,filename={image}",
                           "--blockdev", "driver=qcow2,node-name=q,file=f",
                           "--nbd-server", f"addr.type=unix,addr.path={tmp_path}/nbd",
                           "--export", "type=nbd,id=e,node-name=q,writable=on", "--pidfile", tmp_path / "pid"]) as user:
        try:
            deadline = time.monotonic() + 20
            while not (tmp_path / "pid").exists() and time.monotonic() < deadline:      # written when all is set up
                time.sleep(0.1)
            refused(image, "is in use, by a running guest perhaps: shut that down first", package=kmod)
        finally:
            user.kill()


@BAD
@pytest.mark.parametrize("name", TINY)
def test_not_such_a_guest(kmod, tmp_path, name):
    """Images that hold something else, or are not whole."""
    image = tmp_path / "disk.img"
    TINY[name].write(image)
    refused(image, TINY[name].text, package=kmod)


@BAD
def test_not_such_a_package(original, tmp_path):
    """Others than ours, for another machine, for another kernel."""
    image = on_top(original.qcow2, tmp_path)
    spec = "Name: {}\nVersion: 1.0.0\nRelease: 1.el6\nSummary: x\nLicense: GPLv2\nAutoReqProv: no\n{}\n%description\n%files\n"
    other = rpmbuild(spec.format("kmod-other", ""), tmp_path / "other")
    refused(image, "is kmod-other, not kmod-virtio-modern", package=other)
    # A host without rpm hears it from the guest's.
    tools = tmp_path / "tools"
    tools.mkdir()
    for program in (*Path("/usr/sbin").iterdir(), *Path("/usr/bin").iterdir()):
        if program.name != "rpm" and not (tools / program.name).is_symlink():
            (tools / program.name).symlink_to(program)
    said = refused(image, "is kmod-other, not kmod-virtio-modern", package=other, PATH=str(tools))
    assert "CentOS release 6.8" in said
    i686 = rpmbuild(spec.format("kmod-virtio-modern", ""), tmp_path / "i686", "--target", "i686")
    refused(image, r"disk.qcow2: its EL6 is for x86_64, and \S+ is for i386", package=i686)
    needs = "Requires: kernel(no_such_symbol) = 0x12345678"
    wrong = rpmbuild(spec.format("kmod-virtio-modern", needs), tmp_path / "wrong")
    refused(image, r"disk.qcow2: \S+.rpm is for another kernel: kernel\(no_such_symbol\) = 0x12345678 is needed by",
            package=wrong)


@BAD
def test_kernels_that_it_does_not_fit(original, kmod, tmp_path):
    """The package is content, and no kernel exports what it needs."""
    image = on_top(original.qcow2, tmp_path)
    wrong = {**symbols(original.kernels[0][0]), "blk_init_queue": "0xdeadbeef"}
    text = "".join(f"{crc}\t{name}\tvmlinux\tEXPORT_SYMBOL\n" for name, crc in wrong.items())

    with opened(image) as handle:
        for _, release in original.kernels:
            handle.write(f"/boot/symvers-{release}.gz", gzip.compress(text.encode(), 1))
    said = refused(image, r"disk.qcow2: \S+.rpm is for another kernel: 2.6.32-\S+: symbol blk_init_queue, which "
                   "virtio_blk needs, is another", package=kmod)
    assert "goes without virtio-modern, with the kernel's own virtio drivers" in said


@BAD
def test_full_boot(original, kmod, tmp_path):
    image = on_top(original.qcow2, tmp_path)

    with opened(image) as handle:
        free = handle.statvfs("/boot")
        handle.fallocate64("/boot/full", free["bavail"] * free["bsize"] - 2 * MIB)
    refused(image, r"disk.qcow2: rpm refused \S+: virtio-modern: /boot has \d+ MiB free, and the initramfs of each kernel",
            package=kmod)


@BAD
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_interrupted(original, kmod, tmp_path, number, status):
    """While the package is being installed: no result, the original as it was, and nothing left after the next run."""
    before = digest(original.qcow2)
    with subprocess.Popen([BAKE, original.qcow2, "--rpm", kmod, "--output", tmp_path / "result.qcow2"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        said = ""
        for line in process.stdout:
            said += line
            if "installing kmod-virtio-modern" in line:
                time.sleep(5)
                # As a terminal does it: to whatever we have started, too.
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        process.wait(60)
    assert process.returncode == status, said
    if number != signal.SIGKILL:
        assert said.splitlines()[-2:] == ["bake: interrupted", f"bake: {original.qcow2} is as it was"], said
    else:
        assert len(left_over(tmp_path)) == 1
        image = tmp_path / "image"
        image.write_bytes(bytes(4 * MIB))
        refusal = bake(image, "--rpm", kmod)
        assert refusal.returncode == 1
        image.unlink()
    assert os.listdir(tmp_path) == []
    assert digest(original.qcow2) == before
