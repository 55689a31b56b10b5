# SPDX-License-Identifier: MIT
"""A process that keeps what came from a stand-in stops none, gets it once, is named."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from tensoring._standin import memory, objects, stuck

SLOTS = [(4096, 8), (1 << 20, 4)]
METHODS = ["fork", "spawn", "forkserver"]
KEPT: list[Any] = []


def remember(x: Any) -> int:
    KEPT.append(x)
    return len(KEPT)


def remember_in_a_cycle(x: Any) -> None:
    gc.disable()
    cycle: list[Any] = [x]
    cycle.append(cycle)


def make(i: int) -> np.ndarray:
    return np.full(100, i)


def keep_and_end(queue: Any, n: int, hard: bool) -> None:
    for _ in range(n):
        KEPT.append(queue.get(timeout=60))
    if hard:
        os._exit(0)


@pytest.fixture
def one() -> Iterator[tr.Queue]:
    queue = tr.Queue(slots=SLOTS)
    yield queue
    queue.cancel_join_thread()
    queue.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "PATIENCE", 0.02)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def said_by(call: Callable[[], Any], answer: Callable[[], Any]) -> list[str]:
    """What `call` warns of; each warning is answered at once."""
    said: list[str] = []

    def show(message: Any, category: Any, *_: Any) -> None:
        assert category is tr.StuckWarning
        said.append(str(message))
        answer()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        call()
    return said


@pytest.mark.parametrize("shape", [10, 100_000])
def test_keeper_gets_copies_in_the_end(one: tr.Queue, shape: int) -> None:
    kept = []
    for i in range(30):
        one.put(np.full(shape, i))
        kept.append(one.get(timeout=20))
    assert [int(array[-1]) for array in kept] == list(range(30))
    received = one._queue.arena.stats()["totals"]["slots_received"]
    assert 0 < received <= 4


def test_keeper_of_nested_objects(one: tr.Queue) -> None:
    kept = []
    for i in range(30):
        one.put({"x": [np.full(10, i), {i}], "y": (np.full(3, i),)})
        kept.append(one.get(timeout=20))
    assert [int(item["y"][0][0]) for item in kept] == list(range(30))
    assert [int(item["x"][0][0]) for item in kept] == list(range(30))


def test_fortran_order_and_types_are_kept_by_copies(one: tr.Queue) -> None:
    array = np.asfortranarray(np.arange(12, dtype=">i4").reshape(3, 4))
    kept = []
    for _ in range(12):
        one.put(array)
        kept.append(one.get(timeout=20))
    assert kept[-1].dtype == array.dtype
    assert kept[-1].flags.f_contiguous
    assert (kept[-1] == array).all()


def test_who_keeps_nothing_gets_views(one: tr.Queue) -> None:
    array = None
    for i in range(40):
        one.put(np.full(10, i))
        array = one.get(timeout=20)  # while the one before is still held
        assert isinstance(array.base, tr.View)


@pytest.mark.parametrize("method", METHODS)
def test_workers_that_keep_arguments(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with tr.Pool(2, context=context, slots=SLOTS) as pool:
        done = pool.map_async(remember, [np.ones(1000) for _ in range(40)], 1)
        assert len(done.get(60)) == 40


def test_results_that_are_kept_as_views() -> None:
    with tr.Pool(2, slots=SLOTS, copy=False) as pool:
        kept = pool.map_async(make, range(40), 1).get(60)
        assert [int(array[0]) for array in kept] == list(range(40))
        del kept


def test_arguments_in_cycles_are_collected() -> None:
    with tr.Pool(1, slots=SLOTS) as pool:
        pool.apply(remember_in_a_cycle, (np.ones(10),))
        stats = pool._master.arenas[0].stats
        until(lambda: stats()["totals"]["slots_received"] == 0)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_got_is_got(one: tr.Queue, method: str, hard: bool) -> None:
    context: Any = multiprocessing.get_context(method)
    child = context.Process(target=keep_and_end, args=(one, 4, hard))
    child.start()
    one.put_many(make(i) for i in range(4))
    child.join(60)
    assert child.exitcode == 0
    arena = one._queue.arena
    arena.reap()
    totals = arena.stats()["totals"]
    assert totals["slots_orphaned"] == 0
    assert totals["slots_free"] == totals["slots"]
    assert one.empty()


@pytest.mark.usefixtures("impatient")
def test_put_says_that_it_waits_for_memory() -> None:
    queue = tr.Queue(50, slots=[(4096, 2)])
    queue.put(make(0))
    queue.put(make(1))
    said = said_by(lambda: queue.put(make(2)), queue.get)
    assert len(said) == 1
    assert "put() has waited" in said[0]
    assert "all 2 slots of 4096 bytes are taken (0 received, 2 queued" in said[0]
    assert "slots=" in said[0]
    queue.close()


@pytest.mark.usefixtures("impatient")
def test_get_says_who_holds_what_a_sender_waits_for() -> None:
    queue = tr.Queue(slots=[(4096, 2)])
    loans = [queue._queue.loan(10) for _ in range(2)]
    for loan in loans:
        loan.__enter__()
    got: list[Any] = []

    def put_and_get() -> None:
        queue.put(make(7))  # by the thread, which warns as well, or get() does
        got.append(queue.get())

    def give_back() -> None:
        while loans:
            loans.pop().__exit__(ValueError, ValueError(), None)

    said = said_by(put_and_get, give_back)
    assert int(got[0][0]) == 7
    assert len(said) == 1
    assert f"pid {os.getpid()}" in said[0]
    assert "this process) holds 2" in said[0]
    got.clear()
    queue.close()
    queue.join_thread()


@pytest.mark.usefixtures("impatient")
def test_full_queue_is_not_worth_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = tr.Queue(1, slots=SLOTS)
    queue.put(0)
    send, steps = objects.send, []

    def make_room_when_a_step_is_over(*args: Any) -> None:
        try:
            send(*args)
        except tr.Full:
            steps.append(args)
            if len(steps) == 4:
                queue.get()
            raise

    monkeypatch.setattr(objects, "send", make_room_when_a_step_is_over)
    assert said_by(lambda: queue.put(1), lambda: None) == []
    assert len(steps) == 4
    queue.close()


def test_windows_follow_the_limit_of_the_address_space() -> None:
    default = [(64 << 10, 1024), (16 << 20, 256), (1 << 30, 32)]
    assert memory.fit(default, 1 << 40) == default
    for limit in (256 << 20, 1 << 30, 16 << 30):
        slots = memory.fit(default, limit)
        total = sum(size * count for size, count in slots)
        assert limit // 4 < total <= limit
        assert all(count >= 4 for _, count in slots)
    assert memory.fit([(1 << 20, 4)], 1) == [(1 << 20, 4)]


LIMITED = """
import resource, sys
import numpy as np, tensoring as tr
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]),) * 2)
queue = tr.Queue()
queue.put(np.ones(1 << 20))
assert queue.get(timeout=60).sum() == 1 << 20
with tr.Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
queues = [tr.Queue() for _ in range(12)]
for queue in queues:
    queue.put(np.ones(1 << 17))
for queue in queues:
    assert queue.get(timeout=60).sum() == 1 << 17
"""


@pytest.mark.parametrize(
    ("limit", "size"), [("RLIMIT_AS", 4 << 30), ("RLIMIT_FSIZE", 256 << 20)]
)
def test_stand_ins_within_a_limit(limit: str, size: int) -> None:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = [sys.executable, "-c", LIMITED, limit, str(size)]
    subprocess.run(run, env=env, check=True, timeout=120)


def test_memory_is_in_proportion() -> None:
    queue = tr.Queue()
    held = queue._queue.arena.info
    idle = held()["resident_bytes"]
    assert idle < 256 << 10
    array = np.ones(17 << 17)
    for _ in range(5):
        queue.put(array)
        assert held()["resident_bytes"] - idle < 1.05 * array.nbytes
        queue.get(timeout=60)
    queue.close()


def test_bounded_queue_holds_what_it_may() -> None:
    queue = tr.Queue(6000)
    for i in range(6000):
        queue.put_nowait(i)
    assert queue.full()
    assert queue.get_many(6000) == list(range(6000))
    queue.close()
