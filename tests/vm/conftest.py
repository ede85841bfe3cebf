# SPDX-License-Identifier: GPL-2.0
"""What the tests share: kernels to run on, guests, machines, and where their logs are."""

import os
import re
import sys
from pathlib import Path

import pytest

from vmlib import kernels, machine, net
from vmlib.guest import Guest
from vmlib.host import REPO, VmError, scratch
from vmlib.matrix import MATRIX, PAGE


def pytest_addoption(parser):
    parser.addoption("--kernel", default=os.environ.get("VM_KERNEL"), metavar="NAME",
                     help="run on this kernel only (default: the distribution's and every registered one)")
    parser.addoption("--pack-for", default=kernels.PACK_FOR, metavar="NAME",
                     help="load the modules that were built for this kernel, on every EL6 kernel")
    parser.addoption("--long", action="store_true", default=bool(os.environ.get("VM_LONG")),
                     help="also what takes minutes on each kernel")
    parser.addoption("--stock", action="store_true",
                     help="the kernel's own drivers instead of the pack's: are the tests right? (not on EL6)")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes on each kernel")
    kernels.PACK_FOR = config.getoption("--pack-for")
    for name in filter(None, (config.getoption("--kernel"), kernels.PACK_FOR)):
        try:
            kernels.find(name)
        except VmError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tests of a file on one kernel share machines: with pytest-xdist they stay in one process. What is to be known of
    a cell of the matrix goes along with its reports."""
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: pytest --long, or make check-vm LONG=1"))
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if "cell" in params:
            item.user_properties += [("cell", [params["kernel"], *params["cell"]]),
                                     ("not-offered", item.module.NOT_OFFERED)]
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            kernel_name = item.callspec.params.get("kernel", "") if hasattr(item, "callspec") else ""
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{kernel_name or kernels.DISTRO}"))


def pytest_generate_tests(metafunc):
    """A test that takes a kernel runs on each; where none is registered, a skip says so."""
    if "kernel" not in metafunc.fixturenames:
        return
    if name := metafunc.config.getoption("--kernel"):
        names = [name]
    else:
        # pytest compares parameters with `is`: another string of the same letters would be another kernel, and the
        # machine that a module's tests share would be started anew for each of them.
        names = [kernels.DISTRO, *map(sys.intern, kernels.registered())]
    if kernels.PACK_FOR and kernels.DISTRO in names:
        names.remove(kernels.DISTRO)
    if names == [kernels.DISTRO] and not metafunc.config.getoption("--kernel"):
        reason = "no EL6 kernel registered (tests/vm/add-kernel)"
        names.append(pytest.param("el6", marks=pytest.mark.skip(reason=reason)))
    metafunc.parametrize("kernel", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kernel(request):
    return kernels.find(request.param)


@pytest.fixture(scope="session")
def distro():
    return kernels.find(kernels.DISTRO)


@pytest.fixture(scope="session")
def make_guest(request, kernel):
    """make_guest(…): the kernel's user space with the pack, and with what else is asked for."""
    return lambda **options: Guest(kernel, pack=not request.config.getoption("--stock"), **options)


@pytest.fixture(scope="session")
def guest(make_guest):
    """The kernel's user space with the pack."""
    return make_guest()


@pytest.fixture(scope="module")
def network(kernel):
    """A network namespace for a module's tests on one kernel; without the right to have one, a skip says so."""
    try:
        with net.Network() as made:
            yield made
    except net.NoNetwork as error:
        pytest.skip(str(error))


def _name(request):
    """The log folder of a test (or of a module's machine): KERNEL/TEST."""
    name = request.node.name if request.scope == "function" else request.node.path.stem
    kernel_name = request.getfixturevalue("kernel").name if "kernel" in request.fixturenames else kernels.DISTRO
    plain = re.sub(r"[^\w.-]+", "-", name.replace(kernel_name, "")).strip("-")
    return f"{kernel_name}/{plain}"


def _make_machine(request):
    return lambda guest, devices, tag="", **options: machine.Machine(_name(request) + (tag and f"-{tag}"), guest,
                                                                     devices, **options)


@pytest.fixture
def folder(request):
    """A folder for a test's disk images, gone after it."""
    with scratch(_name(request)) as path:
        yield path


@pytest.fixture(scope="module")
def module_folder(request, kernel):
    with scratch(_name(request)) as path:
        yield path


@pytest.fixture
def make_machine(request):
    """make_machine(guest, devices, …): a Machine whose logs are in the test's name."""
    return _make_machine(request)


@pytest.fixture(scope="module")
def make_module_machine(request, kernel):
    return _make_machine(request)


def pytest_sessionfinish(session):
    """What a process of pytest-xdist has to tell at the end."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["told"] = [list(map(str, machine.LOG_FOLDERS)), machine.STARTED_AGAIN,
                                               machine.SECOND_TRIES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    for mine, its in zip((machine.LOG_FOLDERS, machine.STARTED_AGAIN, machine.SECOND_TRIES),
                         getattr(node, "workeroutput", {}).get("told", ([], [], []))):
        mine += its


def pytest_runtest_logreport(report):
    MATRIX.note(report)


def pytest_terminal_summary(terminalreporter):
    if MATRIX.outcomes:
        terminalreporter.section("devices")
        for line in MATRIX.text():
            terminalreporter.line(line)
        MATRIX.write()
        terminalreporter.line(f"also in {PAGE.relative_to(REPO)}")
    if machine.LOG_FOLDERS:
        terminalreporter.section("guest logs")
        for path in machine.LOG_FOLDERS:
            terminalreporter.line(str(Path(path, "console.log").relative_to(REPO)))
    if machine.STARTED_AGAIN:
        terminalreporter.section("started again")
        for line in machine.STARTED_AGAIN:
            terminalreporter.line(line)
    if machine.SECOND_TRIES:
        terminalreporter.section("modules loaded at the second try")
        for lines in machine.SECOND_TRIES:
            terminalreporter.line(lines)
