# SPDX-License-Identifier: MIT
"""Two hosts for each test, and nothing left after it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import hosts as networks
from bridges import Pair, is_standin, lacks, program


@pytest.fixture(scope="session", autouse=True)
def _possible() -> None:
    if not program():
        pytest.skip("TR_BRIDGE does not name a program")
    if why := networks.lacking():
        pytest.skip(why)


@pytest.fixture(scope="session")
def hosts() -> Iterator[networks.Hosts]:
    made = networks.Hosts()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    gc.collect()
    own = f"tensoring.beyond.{os.getpid()}."
    assert not [one for one in os.listdir("/dev/shm") if one.startswith(own)]


@pytest.fixture
def engine() -> str:
    """That of tests which run over one alone: TR_ENGINE, usually ZeroMQ."""
    return os.environ.get("TR_ENGINE", "zmq")


def possible(hosts: networks.Hosts, engine: str) -> None:
    """Skip the test if this engine cannot be used between the hosts."""
    if why := lacks(engine):
        pytest.skip(why)
    if engine == "ucx" and not hosts.here.sees_its_devices():
        pytest.skip("no /sys can be mounted, in which UCX looks for devices")


@pytest.fixture
def pair(hosts: networks.Hosts, tmp_path: Path, engine: str) -> Iterator[Pair]:
    """Both sides have keys, unless the engine has none."""
    possible(hosts, engine)
    hosts.here.link("up")
    with Pair(hosts, tmp_path, engine=engine) as made:
        yield made
        made.show()  # pytest hides it if the test has passed


@pytest.fixture
def plain(hosts: networks.Hosts, tmp_path: Path, engine: str) -> Iterator[Pair]:
    """Without keys and encryption."""
    possible(hosts, engine)
    hosts.here.link("up")
    with Pair(hosts, tmp_path, plain=True, engine=engine) as made:
        yield made
        made.show()


@pytest.fixture
def real() -> None:
    """For what the stand-in cannot do."""
    if is_standin():
        pytest.skip("the stand-in is a bridge without it")
