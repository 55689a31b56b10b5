# SPDX-License-Identifier: MIT
"""What CPython 3.14 added to ProcessPoolExecutor, in every version: workers that are
ended at once, and a map that does not run ahead."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import multiprocessing
import os
import signal
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import POOL_SLOTS as SLOTS

FORK: Any = multiprocessing.get_context("fork")
WAYS = [("terminate_workers", "SIGTERM"), ("kill_workers", "SIGKILL")]


def same(x: Any) -> Any:
    return x


def inverse(x: int) -> float:
    return 1 / x


def deaf(told: int, wait: int) -> str:
    """Ignores SIGTERM, says so, and ends when the other end of a pipe is closed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(told, b"x")
    os.read(wait, 1)
    return "done"


@pytest.mark.parametrize(("way", "name"), WAYS)
def test_workers_are_ended(way: str, name: str) -> None:
    executor = tr.Executor(2, slots=SLOTS)
    calls = [executor.submit(signal.pause) for _ in range(8)]
    processes = list(executor._processes.values())
    assert len(processes) == 2
    getattr(executor, way)()
    assert not concurrent.futures.wait(calls, 60).not_done
    sent = [call for call in calls if not call.cancelled()]
    assert len(sent) == 4  # two for each worker
    for call in sent:
        with pytest.raises(tr.WorkerDied, match=name):
            call.result()
    with pytest.raises(RuntimeError):
        executor.submit(same, 1)
    executor.shutdown()
    number = signal.Signals[name]
    assert [process.exitcode for process in processes] == [-number] * 2
    getattr(executor, way)()


@pytest.mark.parametrize(("way", "name"), WAYS)
def test_idle_workers_are_ended(way: str, name: str) -> None:
    executor = tr.Executor(2, FORK, slots=SLOTS)
    assert executor.submit(same, 1).result(60) == 1
    processes = list(executor._processes.values())
    getattr(executor, way)()
    executor.shutdown()
    number = signal.Signals[name]
    assert {process.exitcode for process in processes} <= {-number, 0}
    with pytest.raises(RuntimeError):
        executor.submit(same, 1)


@pytest.mark.parametrize(("way", "name"), WAYS)
def test_no_workers_to_end(way: str, name: str) -> None:
    executor = tr.Executor(2, slots=SLOTS)
    getattr(executor, way)()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(same, 1)


@pytest.mark.parametrize(("way", "name"), WAYS)
def test_a_worker_that_ignores_sigterm(way: str, name: str) -> None:
    (told, tell), (wait, let) = os.pipe(), os.pipe()
    executor = tr.Executor(1, FORK, slots=SLOTS)
    call = executor.submit(deaf, tell, wait)
    assert os.read(told, 1) == b"x"
    getattr(executor, way)()
    os.write(let, b"x")
    if name == "SIGTERM":
        assert call.result(60) == "done"
    else:
        with pytest.raises(tr.WorkerDied, match=name):
            call.result(60)
    executor.shutdown()
    for fd in (told, tell, wait, let):
        os.close(fd)


def test_a_child_does_not_end_its_parents_workers() -> None:
    with tr.Executor(1, slots=SLOTS) as executor:
        assert executor.submit(same, 1).result(60) == 1
        child = FORK.Process(target=end_others, args=(executor,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert executor.submit(same, 2).result(60) == 2


def end_others(executor: tr.Executor) -> None:
    with pytest.raises(RuntimeError, match="those of process"):
        executor.kill_workers()


def counted(taken: list[int]) -> Iterator[int]:
    for i in itertools.count():
        taken.append(i)
        yield i


@pytest.mark.parametrize("chunk", [1, 3])
def test_map_reads_only_so_far_ahead(executor: tr.Executor, chunk: int) -> None:
    taken: list[int] = []
    found = executor.map(same, counted(taken), chunksize=chunk, buffersize=4)
    assert len(taken) == 4 * chunk
    for i in range(20):
        assert next(found) == i
        assert len(taken) == (4 + 1 + i // chunk) * chunk
    found.close()  # type: ignore[attr-defined]
    assert len(taken) == (4 + 1 + 19 // chunk) * chunk


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("size", [1, 4, 100, None])
def test_map_gives_all(executor: tr.Executor, chunk: int, size: int | None) -> None:
    found = executor.map(pow, range(9), [2] * 10, chunksize=chunk, buffersize=size)
    assert list(found) == [i * i for i in range(9)]
    assert list(executor.map(pow, [], chunksize=chunk, buffersize=size)) == []


@pytest.mark.parametrize("size", [0, -1, 1.5, "2"])
def test_a_wrong_buffersize(executor: tr.Executor, size: Any) -> None:
    kind = ValueError if isinstance(size, int) else TypeError
    with pytest.raises(kind, match="buffersize"):
        executor.map(same, [1], buffersize=size)


def test_map_ends_where_a_call_raises(executor: tr.Executor) -> None:
    taken: list[int] = []
    found = executor.map(inverse, (1 - i for i in counted(taken)), buffersize=2)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert list(found) == []
    assert len(taken) == 4


def test_map_in_time() -> None:
    executor = tr.Executor(1, slots=SLOTS)
    found = executor.map(signal.sigwait, [{signal.SIGUSR1}] * 9, timeout=0, buffersize=3)
    with pytest.raises(TimeoutError):
        next(found)
    executor.kill_workers()
    executor.shutdown()


def test_map_keeps_neither_executor_nor_values() -> None:
    executor = tr.Executor(1, slots=SLOTS)
    found = executor.map(np.zeros, itertools.count(1), buffersize=3)
    gone = weakref.ref(executor)
    gc.collect()
    gc.disable()
    try:
        value = weakref.ref(next(found))
        assert value() is None
        del executor
        assert gone() is None
        assert [len(array) for array in found] == [2, 3, 4]
    finally:
        gc.enable()


def test_a_call_that_is_cancelled_later_wakes_those_that_wait_for_it() -> None:
    read, write = os.pipe()
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    done.set_result(None)
    with tr.Executor(1, slots=SLOTS, mp_context=FORK) as executor:
        sent = [executor.submit(os.read, read, 1) for _ in range(2)]
        waits = executor.submit(same, 1)
        completed = concurrent.futures.as_completed([done, waits], 60)
        assert next(completed) is done  # waits is watched from now on
        assert waits.cancel()
        os.write(write, b"xx")
        assert next(completed) is waits
        assert [call.result(60) for call in sent] == [b"x"] * 2
    os.close(read)
    os.close(write)
