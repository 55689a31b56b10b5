# SPDX-License-Identifier: MIT
"""An arena and a queue for each test, which must be empty again at its end."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tensoring as tr

NAME = f"pytest{os.getpid()}"  # begins the name of every named arena
SLOTS = [(4096, 32), (1 << 20, 8)]
POOL_SLOTS = [(4096, 64), (64 << 10, 64), (1 << 20, 16)]


@pytest.fixture
def arena() -> Iterator[tr.Arena]:
    with tr.Arena(SLOTS) as arena:
        yield arena


@pytest.fixture
def trusting() -> Iterator[tr.Arena]:
    with tr.Arena(SLOTS, allow_pickle=True) as arena:
        yield arena


@pytest.fixture
def queue(arena: tr.Arena) -> tr.ArenaQueue:
    return arena.queue("q")


@pytest.fixture(scope="module")
def pool() -> Iterator[tr.Pool]:
    with tr.Pool(2, slots=POOL_SLOTS) as pool:
        yield pool


@pytest.fixture(scope="module")
def executor() -> Iterator[tr.Executor]:
    with tr.Executor(2, slots=POOL_SLOTS) as executor:
        yield executor


def arenas_open() -> int:
    """Descriptors of arenas that this process has."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{fd}")
            found += "memfd:" in target or "tensoring" in target
    return found


def in_the_end(state: Callable[[], Any], wanted: Callable[[Any], bool]) -> None:
    """It comes to that. A thread may still be giving something back: that of a queue that
    was closed lets go of its arena when it wakes up."""
    gc.collect()
    end = time.monotonic() + 30
    while not wanted(found := state()):
        assert time.monotonic() < end, found
        os.sched_yield()


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No descriptor of an arena and no name in /dev/shm outlives a test."""
    before = arenas_open()
    yield
    in_the_end(arenas_open, lambda now: now <= before)
    mine = f"tensoring.{NAME}"
    assert not [name for name in os.listdir("/dev/shm") if name.startswith(mine)]


def free(arena: tr.Arena) -> int:
    """Slots of `arena` that are free now."""
    return arena.stats()["totals"]["slots_free"]


@pytest.fixture
def no_descriptor_left() -> Iterator[None]:
    """Not one of any kind, for modules that ask for it."""
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    in_the_end(lambda: sorted(os.listdir("/proc/self/fd")), lambda now: now == before)
