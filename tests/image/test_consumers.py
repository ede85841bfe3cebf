# SPDX-License-Identifier: GPL-2.0
"""image/openstack, image/ovirt, image/kubevirt: what they say is what their readers understand.

Where the reader itself is installed (openstack, Nova), it reads them. What could not be had here is in
docs/consumers.md.
"""

import copy
import http.server
import json
import os
import re
import shutil
import threading

import pytest
import yaml

from osinfolib import IMAGE, PYTHON, REPO, environment, install, run

OPENSTACK = IMAGE / "openstack"
# Nova's fields for the properties, and what they may be (nova/objects/fields.py, 26.2).
NOVA = {"hw_machine_type": {"q35"}, "hw_disk_bus": {"virtio", "scsi", "sata", "ide", "usb", "fdc"},
        "hw_vif_model": {"virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "vmxnet3"},
        "hw_rng_model": {"virtio"}, "hw_video_model": {"vga", "cirrus", "qxl", "virtio", "bochs", "none"}}


def pairs(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    found = dict(re.fullmatch(r"(\S+?) ?= ?(\S.*\S|\S)", line).groups() for line in lines)
    assert len(found) == len(lines), f"{path}: a key is there twice"
    return found


PROPERTIES = pairs(OPENSTACK / "virtio-modern.properties")


# --- OpenStack ---

def test_openstack_properties():
    assert set(PROPERTIES) == set(NOVA)
    for key, value in PROPERTIES.items():
        assert value in NOVA[key]
    assert [PROPERTIES[key] for key in ("hw_disk_bus", "hw_vif_model")] == ["virtio", "virtio"]


@pytest.fixture
def recorder(tmp_path):
    """A PATH whose openstack writes down its arguments, and fails for the image "bad"."""
    command = tmp_path / "bin/openstack"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/argv\nfor last; do :; done\n[ "$last" != bad ]\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def test_set_properties(recorder, tmp_path):
    done = run(OPENSTACK / "set-properties", "--", "my image", env=recorder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "my image: set\n", "")
    words = [word for pair in PROPERTIES.items() for word in ("--property", "=".join(pair))]
    assert (tmp_path / "argv").read_text().splitlines() == ["image", "set", *words, "my image"]


def test_unset_properties(recorder, tmp_path):
    done = run(OPENSTACK / "set-properties", "--unset", "a", env=recorder)
    assert (done.returncode, done.stdout) == (0, "a: unset\n")
    words = [word for key in PROPERTIES for word in ("--property", key)]
    assert (tmp_path / "argv").read_text().splitlines() == ["image", "unset", *words, "a"]


def test_set_properties_fails(recorder, tmp_path):
    """One image that cannot be had does not keep the others from theirs, and is not lost sight of."""
    done = run(OPENSTACK / "set-properties", "bad", "good", env=recorder)
    assert (done.returncode, done.stdout) == (1, "good: set\n")
    assert done.stderr == "set-properties: bad: openstack has failed\n"
    (tmp_path / "argv").unlink()
    for args in ((), ("--unset",), ("--sett", "x")):
        done = run(OPENSTACK / "set-properties", *args, env=recorder)
        assert done.returncode == 2 and done.stderr.startswith("usage: set-properties")
    done = run(OPENSTACK / "set-properties", "--print", "x", env=recorder)
    assert done.returncode == 0 and done.stdout.startswith("openstack image set --property hw_")
    assert not (tmp_path / "argv").exists()


class Glance(http.server.BaseHTTPRequestHandler):
    """As much of Glance as `openstack image set` speaks to: one image."""

    image = None

    def log_message(self, *args):
        pass

    def answer(self, what, status=200):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.endswith(self.image["id"]):
            self.answer(self.image)
        elif "/v2/images/" in self.path:
            self.answer({}, 404)
        elif "/v2/images" in self.path:
            self.answer({"images": [self.image]})
        else:
            links = [{"rel": "self", "href": f"http://{self.headers['Host']}/v2/"}]
            self.answer({"versions": [{"id": "v2.9", "status": "CURRENT", "links": links}]}, 300)

    def do_PATCH(self):
        for each in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            key = each["path"].lstrip("/")
            if each["op"] == "remove":
                del self.image[key]
            else:
                self.image[key] = each["value"]
        self.answer(self.image)


@pytest.mark.skipif(not shutil.which("openstack"), reason="no openstack command (python3-openstackclient)")
def test_openstack_client():
    """The real client, with a Glance of the test's: the image has the properties, and then has them no more."""
    plain = {"id": "8c6f0a52-0000-4000-8000-000000000006", "name": "centos6", "status": "active", "tags": [],
             "visibility": "private", "disk_format": "qcow2", "container_format": "bare", "protected": False,
             "schema": "/v2/schemas/image", "min_disk": 0, "min_ram": 0}
    Glance.image = copy.deepcopy(plain)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Glance)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    env = {key: value for key, value in os.environ.items() if not key.startswith("OS_") and "proxy" not in key.lower()}
    env.update(OS_AUTH_TYPE="none", OS_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
    try:
        done = run(OPENSTACK / "set-properties", plain["id"], env=env)
        assert done.returncode == 0, done.stderr
        assert Glance.image == {**plain, **PROPERTIES}
        done = run(OPENSTACK / "set-properties", "--unset", plain["id"], env=env)
        assert done.returncode == 0, done.stderr
        assert Glance.image == plain
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


NOVA_ASKS = """
import json, sys
from nova import objects
from nova.objects import image_meta
from nova.virt import osinfo
objects.register_all()
for properties in json.load(sys.stdin):
    meta = image_meta.ImageMeta.from_dict({"properties": properties})
    hardware = osinfo.HardwareProperties(meta)
    print(json.dumps([meta.properties.get("hw_machine_type"), hardware.disk_model, hardware.network_model]))
"""


@pytest.mark.skipif(run(PYTHON, "-c", "import nova").returncode != 0, reason="no Nova (python3-nova)")
def test_nova(tmp_path):
    """What Nova's own code takes from an image: os_distro alone is no help, the properties decide."""
    install(tmp_path)
    asked = [{"os_distro": "centos6.10", "hw_machine_type": "q35"}, {"os_distro": "centos6.10-virtio10"}, PROPERTIES,
             {**PROPERTIES, "os_distro": "centos6.10"}]
    done = run("sh", "-c", 'exec "$@" <"$0"', _file(tmp_path, json.dumps(asked)), PYTHON, "-c", NOVA_ASKS,
               env=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["q35", "virtio", "e1000e"], [None, "virtio", "e1000e"], ["q35", "virtio", "virtio"],
        ["q35", "virtio", "virtio"]]


def _file(folder, text):
    (folder / "stdin").write_text(text)
    return folder / "stdin"


# --- oVirt ---

# The engine's own values (osinfo-defaults.properties, 4.5), as far as these guests take any from them.
ENGINE = {"rhel_3x64": {"id": "15", "derivedFrom": None, "devices.legacyVirtio": "true"},
          "rhel_4x64": {"id": "14", "derivedFrom": "rhel_3x64"}, "rhel_5x64": {"id": "13", "derivedFrom": "rhel_4x64"},
          "rhel_6x64": {"id": "19", "derivedFrom": "rhel_5x64"},
          "rhel_7x64": {"id": "24", "derivedFrom": "rhel_6x64", "devices.legacyVirtio": "false"},
          "rhel_8x64": {"id": "30", "derivedFrom": "rhel_7x64"}}
# What the engine's grammar allows (osinfo.jj): it does not start with a file that has anything else.
ATTRIBUTES = {"id": r"\d+", "name": r".+", "derivedFrom": r"\w+", "devices.legacyVirtio": r"true|false"}


def engine(*names):
    """{OS: legacyVirtio} after the engine has read the files, in the order of their names."""
    systems = copy.deepcopy(ENGINE)
    for name in sorted(names):
        for key, value in pairs(IMAGE / "ovirt" / name).items():
            system, attribute = re.fullmatch(r"os\.(\w+)\.(\S+)\.value", key).groups()
            assert re.fullmatch(ATTRIBUTES[attribute], value), f"{key} = {value}"
            systems.setdefault(system, {})[attribute] = value
    ids = [each["id"] for each in systems.values()]
    assert len(ids) == len(set(ids))
    for name, each in systems.items():
        assert each["derivedFrom"] is None or each["derivedFrom"] in systems

    def legacy(name):
        return systems[name].get("devices.legacyVirtio") or legacy(systems[name]["derivedFrom"])

    return {name: legacy(name) == "true" for name in systems}


def test_ovirt():
    """The site-wide file changes RHEL 6 and no other; the one with an OS of its own changes none."""
    before = engine()
    assert before == {"rhel_3x64": True, "rhel_4x64": True, "rhel_5x64": True, "rhel_6x64": True, "rhel_7x64": False,
                      "rhel_8x64": False}
    assert engine("99-virtio-modern.properties") == {**before, "rhel_6x64": False}
    assert engine("90-virtio10-os.properties") == {**before, "rhel_6x64_virtio10": False}
    assert {path.name for path in (IMAGE / "ovirt").iterdir()} == {"90-virtio10-os.properties",
                                                                  "99-virtio-modern.properties"}


# --- KubeVirt ---

# The fields that the VM uses, as KubeVirt's API has them (kubevirt.io/v1, checked against its swagger.json).
VM = {"apiVersion": str, "kind": str, "metadata": {"name": str}, "spec": {"runStrategy": str, "template": {
    "metadata": {"labels": {"kubevirt.io/vm": str}}, "spec": {
        "domain": {"cpu": {"cores": int}, "memory": {"guest": str}, "machine": {"type": str}, "devices": {
            "disks": [{"name": str, "bootOrder": int, "disk": {"bus": str}}],
            "interfaces": [{"name": str, "model": str, "masquerade": {}}], "rng": {}}},
        "networks": [{"name": str, "pod": {}}],
        "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}}]}}}}


def check(value, form, path="vm"):
    if isinstance(form, type):
        assert type(value) is form, path
    elif isinstance(form, list):
        assert isinstance(value, list), path
        for index, each in enumerate(value):
            check(each, form[0], f"{path}[{index}]")
    else:
        assert isinstance(value, dict) and not set(value) - set(form), f"{path}: {sorted(set(value) - set(form))}"
        for key in value:
            check(value[key], form[key], f"{path}.{key}")


def test_kubevirt():
    path = IMAGE / "kubevirt/vm.yaml"
    vm = yaml.safe_load(path.read_text())
    check(vm, VM)
    with pytest.raises(AssertionError, match="useVirtioTransitional"):
        wrong = copy.deepcopy(vm)
        wrong["spec"]["template"]["spec"]["domain"]["devices"]["useVirtioTransitional"] = True
        check(wrong, VM)
    assert (vm["apiVersion"], vm["kind"]) == ("kubevirt.io/v1", "VirtualMachine")
    spec = vm["spec"]["template"]["spec"]
    devices = spec["domain"]["devices"]
    assert spec["domain"]["machine"]["type"] == "q35"
    assert [each["disk"]["bus"] for each in devices["disks"]] == ["virtio"]
    assert [each["model"] for each in devices["interfaces"]] == ["virtio"] and devices["rng"] == {}
    assert [each["name"] for each in devices["disks"]] == [each["name"] for each in spec["volumes"]]
    assert [each["name"] for each in devices["interfaces"]] == [each["name"] for each in spec["networks"]]


# --- The page ---

def test_page():
    """docs/consumers.md has a row for each, and names no file of image/ that is not there."""
    text = (REPO / "docs/consumers.md").read_text()
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.M)
    for name in ("libvirt", "QEMU", "virt-install", "virt-manager", "gnome-boxes", "OpenStack", "oVirt", "KubeVirt",
                 "virt-v2v"):
        assert name in rows
    for each in set(re.findall(r"`((?:image|tests)/[\w./-]+)", text)):
        assert (REPO / each).exists(), each
