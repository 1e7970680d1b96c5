"""Fixtures: the package, machines that have it or not, and what stands around them."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import machine as machines  # noqa: E402
import package  # noqa: E402
from failed import FAILED, pytest_runtest_makereport  # noqa: E402, F401
from house import House  # noqa: E402
from services.mongodb import MongoDB  # noqa: E402
from services.tls import make as make_certificates  # noqa: E402

USER = ("sensorqd", "correct horse")


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(300, func_only=True))  # the first one builds the package and the machine
    reason = machines.obstacle()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def deb():
    return package.build()


@pytest.fixture(scope="session")
def newer_deb(deb, tmp_path_factory):
    """The same program as a later version."""
    return package.with_version(deb, "0.9.0-1", tmp_path_factory.mktemp("newer"))


@pytest.fixture(scope="session", params=list(package.RELEASES) if os.environ.get("SENSORQD_LONG") else ["0.1.0"])
def old_deb(request, deb, tmp_path_factory):
    """An earlier version as it was."""
    return package.release(request.param) or package.stand_in(deb, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="session")
def installed(deb, tmp_path_factory):
    return machines.installed_layer(deb, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def mongodb():
    """For tests that do not disturb it; each has a database of its own."""
    with MongoDB(user=USER) as server:
        yield server


@pytest.fixture
def own_mongodb(tmp_path):
    """For tests that stop it."""
    with MongoDB(storage=str(tmp_path / "mongodb"), user=USER) as server:
        yield server


@pytest.fixture
def house(tmp_path, certificates, mongodb):
    with House(tmp_path, certificates, mongodb) as made:
        yield made


@contextlib.contextmanager
def booted(layers, directory, node):
    """A machine that runs during the block; its journal stands beside a failure."""
    container = machines.Container(layers, directory)
    try:
        yield container.boot()
        if node.stash.get(FAILED, False) and container.leader:
            print("---- the machine's journal ends with ----", container.last_log(), sep="\n")
    finally:
        container.kill()


@pytest.fixture
def bare_machine(tmp_path, request):
    """A booted machine without the package."""
    with booted([machines.base_tree()], tmp_path / "machine", request.node) as container:
        yield container


@pytest.fixture
def machine(tmp_path, installed, request):
    """A booted machine with the package, as `dpkg -i` left it."""
    with booted([installed, machines.base_tree()], tmp_path / "machine", request.node) as container:
        yield container


@pytest.fixture
def running(machine, house):
    """The same, configured for the house and started."""
    house.move_in(machine)
    machine.systemctl("start", "sensorqd")
    yield machine
