# SPDX-License-Identifier: MIT
"""Arenas, their queues and errors go to other processes by multiprocessing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import resource

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME

SLOTS = [(4096, 16), (1 << 20, 4)]
METHODS = ["fork", "spawn", "forkserver"]


def attach(arena: tr.Arena, queue: tr.ArenaQueue, again: tr.Arena) -> None:
    assert again is arena
    queue.send(arena.queue(queue.name).receive(30) + 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("named", [True, False])
def test_arenas_and_their_queues_travel(method: str, named: bool) -> None:
    arena = tr.Arena(SLOTS, name=f"{NAME}{method}" if named else None)
    queue = arena.queue("q")
    queue.send(np.zeros(3))
    context = multiprocessing.get_context(method)
    child = context.Process(target=attach, args=(arena, queue, arena))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.receive(0).tolist() == [1, 1, 1]
    if named:
        with tr.Arena.attach(f"{NAME}{method}") as other:
            assert len(other.queue("q")) == 0
        with pytest.raises(tr.ExistsError):
            tr.Arena.create(f"{NAME}{method}", SLOTS)
        tr.Arena.unlink(f"{NAME}{method}")
    arena.close()


def test_errors_of_the_system_have_its_number() -> None:
    for kind, number in (
        (tr.NotFoundError, errno.ENOENT),
        (tr.ClosedError, errno.EPIPE),
        (tr.PeerDiedError, errno.ECONNRESET),
        (tr.ExistsError, errno.EEXIST),
        (tr.DeniedError, errno.EACCES),
        (tr.ReceiveTimedOutError, errno.ETIMEDOUT),
    ):
        assert issubclass(kind, OSError)
        assert pickle.loads(pickle.dumps(kind("why"))).errno == number
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The lowest number that is free, and no descriptor beyond it.
    with open(os.devnull) as lowest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), limits[1]))
    try:
        with pytest.raises(tr.SystemFailureError, match="ulimit -n") as caught:
            tr.Arena(SLOTS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.errno == errno.EMFILE


def test_absent_arena() -> None:
    with pytest.raises(FileNotFoundError):
        tr.Arena.attach(f"{NAME}-absent")
