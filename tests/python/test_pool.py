# SPDX-License-Identifier: MIT
"""Pool and Executor: results, errors, deaths, replacement, in every start method."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import POOL_SLOTS as SLOTS

_started = 0


def square(x: Any) -> Any:
    return x * x


def add(x: Any, y: Any = 0, *, z: Any = 0) -> Any:
    return x + y + z


def total(rows: list[np.ndarray]) -> np.ndarray:
    return np.sum(rows, axis=0)


def fail(x: Any) -> Any:
    raise KeyError(f"no {x}")


def die(x: Any) -> Any:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def begin(value: int) -> None:
    global _started
    _started = value


def started(_: Any) -> int:
    return _started


def worker_pid(_: Any) -> int:
    return os.getpid()


def refuse() -> None:
    raise RuntimeError("not today")


def held(path: str) -> None:
    """Goes on when another process has opened the FIFO to write."""
    open(path).close()


def nested(x: np.ndarray) -> dict[str, Any]:
    return {"x": x, "half": x[::2], "text": "ok"}


@pytest.fixture
def gate(tmp_path: Path) -> str:
    """A FIFO, for held()."""
    os.mkfifo(tmp_path / "gate")
    return str(tmp_path / "gate")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(method: str) -> None:
    context = multiprocessing.get_context(method)
    with tr.Pool(2, begin, (7,), context=context, slots=SLOTS) as pool:
        assert pool.map(started, range(4)) == [7] * 4
        got = pool.map(square, [np.arange(3), np.arange(4)])
        assert [x.tolist() for x in got] == [[0, 1, 4], [0, 1, 4, 9]]


def test_all_the_maps(pool: tr.Pool) -> None:
    numbers = list(range(100))
    squares = [x * x for x in numbers]
    assert pool.map(square, numbers) == squares
    assert pool.map(square, iter(numbers), chunksize=7) == squares
    assert pool.map(square, []) == []
    assert list(pool.imap(square, numbers)) == squares
    assert sorted(pool.imap_unordered(square, numbers, 3)) == squares
    assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pool.apply(add, (1,), {"z": 5}) == 6
    assert pool.map_async(square, numbers).get(30) == squares
    assert pool.starmap_async(add, [(1, 2)]).get(30) == [3]


@pytest.mark.parametrize("way", ["imap", "imap_unordered"])
def test_imap_reads_no_more_than_it_needs(pool: tr.Pool, way: str) -> None:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    results = getattr(pool, way)(square, numbers(), 3)
    taken = [next(results) for _ in range(300)]
    assert way == "imap_unordered" or taken == [x * x for x in range(1, 301)]
    assert read < 300 + 2 * 32 * 3 + 3


def test_imap_of_an_iterable_that_raises(pool: tr.Pool) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    results = pool.imap(square, numbers())
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(LookupError, match="no more"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)
    with pytest.raises(ValueError, match="chunksize"):
        pool.imap(square, iter([1]), 0)


def test_imap_goes_on_when_the_pool_closes() -> None:
    with tr.Pool(1, slots=SLOTS) as pool:
        taken = pool.imap(square, iter(range(100)))
        left = pool.imap(square, iter(range(100)))
        pool.close()
        with pytest.raises(ValueError, match="closed"):
            pool.imap(square, iter([1]))
        assert list(taken) == [x * x for x in range(100)]
        pool.join()
        assert list(left) == [x * x for x in range(100)]


def test_progress(pool: tr.Pool, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    assert pool.map(square, range(10), progress=True) == [x * x for x in range(10)]
    assert "10/10" in capsys.readouterr().err


def test_arrays_travel_raw(pool: tr.Pool) -> None:
    rows = [np.full(512, i, float) for i in range(100)]
    parts = pool.map(total, [rows[i::4] for i in range(4)])
    assert (sum(parts) == sum(range(100))).all()
    uneven = [*rows[:5], np.zeros(3), rows[6]]
    assert pool.map(len, [uneven, rows]) == [7, 100]
    got = pool.apply(nested, (np.arange(10),))
    assert got["half"].tolist() == [0, 2, 4, 6, 8]
    assert got["x"].flags.writeable
    big = np.arange(100_000.0)
    assert (pool.map(square, [big])[0] == big * big).all()


def test_lambdas(pool: tr.Pool) -> None:
    pytest.importorskip("cloudpickle")
    assert pool.map(lambda x: x + 1, [1, 2]) == [2, 3]


def test_errors_come_back_with_their_traceback(pool: tr.Pool) -> None:
    with pytest.raises(KeyError, match="no 5") as caught:
        pool.map(fail, [5])
    assert "in fail" in str(caught.value.__cause__)
    result = pool.apply_async(fail, (1,))
    result.wait(30)
    assert not result.successful()
    with pytest.raises(KeyError):
        list(pool.imap(fail, [1]))
    assert pool.map(square, [2]) == [4]


def test_a_dead_worker_fails_only_its_job(pool: tr.Pool) -> None:
    results = [pool.apply_async(die, (i,)) for i in range(6)]
    for i, result in enumerate(results):
        if i == 3:
            with pytest.raises(tr.WorkerDied):
                result.get(30)
        else:
            assert result.get(30) == i
    assert pool.map(square, range(10)) == [x * x for x in range(10)]


def test_the_only_worker_dies() -> None:
    with tr.Pool(1, slots=SLOTS) as pool:
        with pytest.raises(tr.WorkerDied):
            pool.map(die, [3])
        assert pool.map(die, [4]) == [4]


INTERRUPTED = """
import signal, tensoring as tr
with tr.Pool(2, slots=[(4096, 16)]) as pool:
    try:
        print("ready", flush=True)
        pool.starmap(signal.sigtimedwait, [([signal.SIGUSR1], 50)] * 2)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_an_interrupt_ends_a_map() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    assert (out, child.returncode) == ("interrupted\n", 0)


def test_callbacks(pool: tr.Pool) -> None:
    got: list[Any] = []
    pool.apply_async(square, (3,), callback=got.append).wait(30)
    pool.map_async(fail, [1], error_callback=got.append).wait(30)
    assert got[0] == 9
    assert isinstance(got[1], KeyError)


def test_callbacks_beside_those_who_wait(pool: tr.Pool) -> None:
    got: list[Any] = []
    all_there = threading.Event()

    def take(value: Any) -> None:
        got.append(value)
        if len(got) == 60:
            all_there.set()

    def calls() -> None:
        for i in range(20):
            pool.apply_async(square, (i,), callback=take)
            assert pool.apply(square, (i,)) == i * i

    threads = [threading.Thread(target=calls) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert pool.map(square, range(50), 1) == [i * i for i in range(50)]
    for thread in threads:
        thread.join(60)
    assert all_there.wait(60)
    assert sorted(got) == sorted(3 * [i * i for i in range(20)])
    with pytest.raises(TypeError):
        pool.apply_async(square, ((i for i in got),), callback=take).get(30)
    # The thread that served them rests, and a thread that waits receives for itself.
    assert not pool._master.serving
    assert pool.apply(square, (3,)) == 9


def test_results_time_out(pool: tr.Pool, gate: str) -> None:
    results = pool.imap(square, [1])
    assert results.next(30) == 1
    with pytest.raises(StopIteration):
        results.next(0)
    late = pool.apply_async(held, (gate,))
    with pytest.raises(multiprocessing.TimeoutError):
        late.get(0.001)
    open(gate, "w").close()
    assert late.get(30) is None


def test_max_tasks_per_child() -> None:
    with tr.Pool(1, maxtasksperchild=2, slots=SLOTS) as pool:
        pids = pool.map(worker_pid, range(6), chunksize=1)
    assert len(set(pids)) == 3


def test_initializer_that_fails_breaks_the_pool() -> None:
    with (
        tr.Pool(1, refuse, slots=SLOTS) as pool,
        pytest.raises(RuntimeError, match="today"),
    ):
        pool.map(square, [1])


def test_close_join() -> None:
    pool = tr.Pool(2, slots=SLOTS)
    result = pool.map_async(square, range(20))
    with pytest.raises(ValueError, match="open"):
        pool.join()
    pool.close()
    with pytest.raises(ValueError, match="closed"):
        pool.map(square, [1])
    pool.join()
    assert result.get(0) == [x * x for x in range(20)]


def test_more_than_there_are_slots() -> None:
    with tr.Pool(2, slots=[(64 << 10, 4)]) as pool:
        arrays = [np.full(1000, i) for i in range(64)]
        got = pool.map(square, arrays, chunksize=1)
    assert [int(x[0]) for x in got] == [i * i for i in range(64)]


def test_workers_are_placed() -> None:
    plan = tr.Plan(2)
    assert len(plan) == 2
    assert plan.workers[0]["cpus"]
    assert str(plan)
    assert tr.Plan.from_bytes(bytes(plan)).workers == plan.workers
    with pytest.raises(ValueError, match="not a plan"):
        tr.Plan.from_bytes(bytes(plan)[1:])
    with tr.Pool(2, slots=SLOTS, threads=1) as pool:
        assert pool.apply(os.getenv, ("OMP_NUM_THREADS",)) == "1"
    with tr.Pool(2, slots=SLOTS) as pool:
        threads = int(pool.apply(os.getenv, ("OMP_NUM_THREADS",)))
        assert threads == plan.workers[0]["threads"]


def test_executor(executor: tr.Executor) -> None:
    futures = [executor.submit(square, i) for i in range(50)]
    assert [f.result(30) for f in futures] == [i * i for i in range(50)]
    assert list(executor.map(add, [1, 2], [3, 4])) == [4, 6]
    assert executor.submit(add, 1, z=2).result(30) == 3
    with pytest.raises(KeyError):
        executor.submit(fail, 1).result(30)
    with pytest.raises(tr.WorkerDied):
        executor.submit(die, 3).result(30)
    done, _ = concurrent.futures.wait([executor.submit(square, 2)], 30)
    assert done.pop().result() == 4


def test_executor_cancels_what_was_not_sent(gate: str) -> None:
    executor = tr.Executor(1, slots=SLOTS)
    first = executor.submit(held, gate)
    futures = [executor.submit(square, i) for i in range(20)]
    executor.shutdown(wait=False, cancel_futures=True)
    open(gate, "w").close()
    executor.shutdown()
    assert first.result(0) is None
    assert any(f.cancelled() for f in futures)
    assert all(f.cancelled() or f.result(0) is not None for f in futures)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)
