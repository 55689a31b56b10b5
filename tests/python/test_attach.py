# SPDX-License-Identifier: MIT
"""Arenas that processes find by a name, whichever of them comes first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection

import numpy as np
import pytest

import tensoring as tr
from conftest import SLOTS

NAME = f"attach-{os.getpid()}"


@pytest.fixture
def name() -> str:
    return NAME


def attach_and_answer(name: str, pipe: Connection) -> None:
    pipe.send("about to wait")
    with tr.Arena.attach(name, timeout=60) as arena:
        arena.queue("q").send(np.arange(3))


def test_attach_waits_for_the_arena(name: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=attach_and_answer, args=(name, theirs))
    child.start()
    ours.recv()
    with tr.Arena.create(name, SLOTS) as arena:
        assert arena.queue("q").receive(60).tolist() == [0, 1, 2]
        child.join(60)
        tr.Arena.unlink(name)
    assert child.exitcode == 0


def test_attach_ends_in_time(name: str) -> None:
    with pytest.raises(tr.NotFoundError):
        tr.Arena.attach(name)
    with pytest.raises(tr.TimedOutError, match=f'no arena "{name}" was created within '):
        tr.Arena.attach(name, timeout=0.01)
    with pytest.raises(ValueError, match="timeout is -1"):
        tr.Arena.attach(name, timeout=-1)


def test_a_signal_ends_the_wait(name: str) -> None:
    class Alarm(Exception):
        pass

    def handle(*_: object) -> None:
        raise Alarm

    def attach() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        tr.Arena.attach(name, timeout=None)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with pytest.raises(Alarm):
            attach()
    finally:
        signal.signal(signal.SIGALRM, before)


def open_together(name: str, start: threading.Barrier, pipe: Connection) -> None:
    start.wait(60)
    with tr.Arena.open(name, SLOTS, allow_pickle=True) as arena:
        pipe.send((arena.created, arena.allow_pickle, os.fstat(arena.fd).st_ino))
        pipe.recv()


def test_one_process_creates_what_all_open(name: str) -> None:
    start = multiprocessing.Barrier(6)
    pipes, children = [], []
    for _ in range(6):
        ours, theirs = multiprocessing.Pipe()
        target = multiprocessing.Process(target=open_together, args=(name, start, theirs))
        target.start()
        pipes.append(ours)
        children.append(target)
    found = [pipe.recv() for pipe in pipes]
    assert sorted(created for created, *_ in found) == [False] * 5 + [True]
    assert all(allowed for _, allowed, _ in found)
    assert len({inode for *_, inode in found}) == 1
    for pipe in pipes:
        pipe.send(None)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    with tr.Arena.open(name) as again:  # its users have left, and its name has stayed
        assert not again.created
    tr.Arena.unlink(name)


def open_and_die(name: str) -> None:
    arena = tr.Arena.open(name, SLOTS)
    assert arena.created
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_arena_of_the_dead_is_replaced(name: str) -> None:
    child = multiprocessing.Process(target=open_and_die, args=(name,))
    child.start()
    child.join(60)
    with tr.Arena.open(name, SLOTS) as arena:
        assert arena.created
        tr.Arena.unlink(name)
