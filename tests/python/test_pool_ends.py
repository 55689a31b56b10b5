# SPDX-License-Identifier: MIT
"""Every job of a Pool and an Executor ends, whatever it raises; so do their workers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gc
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ClassVar

import numpy as np
import pytest

import tensoring as tr
from conftest import POOL_SLOTS as SLOTS
from tensoring._pool.calls import EACH, call

FEW = [(4096, 4)]
_gate: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int

    def __reduce__(self) -> Any:
        return Frozen, (self.code,)


class Two(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Mute(Exception):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise ZeroDivisionError


class Leaves:
    """Its unpickling ends an interpreter."""

    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def throw(what: str) -> Any:
    if what == "large":
        raise ValueError(np.ones(1 << 16))
    kinds: dict[str, Callable[[], BaseException]] = {
        "frozen": lambda: Frozen(7),
        "two": lambda: Two(4, "quota"),
        "locked": Locked,
        "mute": Mute,
        "exit": lambda: SystemExit(3),
        "interrupt": KeyboardInterrupt,
    }
    raise kinds[what]()


THROWN: list[tuple[str, type[BaseException], str]] = [
    ("frozen", Frozen, "7"),
    ("two", RuntimeError, "Two: quota"),
    ("locked", RuntimeError, "Locked: locked"),
    ("mute", RuntimeError, "Mute"),
    ("large", ValueError, "1. 1."),
    ("exit", SystemExit, "3"),
    ("interrupt", KeyboardInterrupt, "^$"),
]


def leaves(_: Any) -> Leaves:
    return Leaves()


def same(x: Any) -> Any:
    return x


def pid_of(_: Any) -> int:
    return os.getpid()


def wait_at_gate(x: Any) -> Any:
    _gate.wait()
    return x


def keep_gate(gate: Any) -> None:
    global _gate
    _gate = gate


def refuse() -> None:
    raise RuntimeError("not today")


def perish(path: str) -> None:
    with open(path, "a") as log:
        log.write("x")
    os._exit(3)


def die_and_say(folder: str, index: int, number: int) -> None:
    """Leaves its pid; dies by the signal, or with the exit code if that is negative."""
    with open(os.path.join(folder, str(index)), "w") as file:
        file.write(str(os.getpid()))
    if number < 0:
        os._exit(-number)
    os.kill(os.getpid(), number)


def inner_pool(n: int) -> int:
    with multiprocessing.Pool(1) as pool:
        return sum(pool.map(abs, range(n)))


def inner_stand_ins(n: int) -> int:
    with tr.Pool(1, slots=SLOTS) as pool, tr.Executor(1, slots=SLOTS) as executor:
        return sum(pool.map(abs, range(n))) + executor.submit(abs, -n).result()


@pytest.mark.parametrize(("what", "kind", "text"), THROWN)
def test_whatever_is_raised_arrives(
    pool: tr.Pool, executor: tr.Executor, what: str, kind: type, text: str
) -> None:
    for get in (
        pool.apply_async(throw, (what,)).get,
        pool.apply_async(throw, (what,), error_callback=same).get,
        executor.submit(throw, what).result,
    ):
        with pytest.raises(kind, match=text) as caught:
            get(30)
        assert "in throw" in str(caught.value.__cause__)
    assert pool.apply(same, (1,)) == executor.submit(same, 1).result(30) == 1


def test_a_result_whose_unpickling_exits(pool: tr.Pool, executor: tr.Executor) -> None:
    with pytest.raises(SystemExit):
        pool.apply_async(leaves, (1,)).get(30)
    with pytest.raises(SystemExit):
        pool.apply_async(leaves, (1,), callback=same).get(30)
    with pytest.raises(BrokenProcessPool) as caught:
        executor.submit(leaves, 1).result(30)
    assert isinstance(caught.value.__cause__, SystemExit)
    assert pool.apply(same, (1,)) == executor.submit(same, 1).result(30) == 1


def test_arguments_whose_unpickling_exits(pool: tr.Pool, executor: tr.Executor) -> None:
    with pytest.raises(SystemExit):
        pool.apply_async(same, (Leaves(),)).get(30)
    with pytest.raises(BrokenProcessPool):
        executor.submit(same, Leaves()).result(30)
    assert pool.apply(same, (1,)) == executor.submit(same, 1).result(30) == 1


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_callbacks_that_raise(
    pool: tr.Pool,
    executor: tr.Executor,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    def boom(_: object) -> None:
        raise kind("in the callback")

    assert pool.apply_async(same, (1,), callback=boom).get(30) == 1
    with pytest.raises(KeyError):
        pool.apply_async({}.__getitem__, (1,), error_callback=boom).get(30)
    assert told == [kind] * 2
    future = executor.submit(same, 2)
    future.add_done_callback(boom) if kind is RuntimeError else None
    assert future.result(30) == 2
    got: list[int] = []
    assert pool.apply_async(same, (3,), callback=got.append).get(30) == got[0] == 3
    assert executor.submit(same, 4).result(30) == 4


def test_what_cannot_be_sent_is_the_error_of_its_job(
    pool: tr.Pool, executor: tr.Executor
) -> None:
    lock = threading.Lock()
    told: queue.Queue[Any] = queue.Queue()

    def tell(error: BaseException) -> None:
        with lock:
            told.put(error)

    with lock:  # what the callback takes, too
        calls = [
            pool.apply_async(same, (lock,), error_callback=tell),
            pool.map_async(same, [1, lock, 2], 1, error_callback=tell),
            pool.starmap_async(same, [(lock,)], error_callback=tell),
        ]
    for one in calls:
        with pytest.raises(TypeError, match="lock"):
            one.get(30)
        assert isinstance(told.get(timeout=30), TypeError)
    with pytest.raises(TypeError, match="lock"):
        pool.map(same, [1, lock, 2], 1)
    with pytest.raises(TypeError, match="lock"):
        executor.submit(same, lock).result(30)
    for items in ([1, lock, 2], iter([1, lock, 2])):
        values = pool.imap(same, items)
        assert next(values) == 1
        with pytest.raises(TypeError, match="lock"):
            next(values)
        assert list(values) == [2]
    assert not pool._master.waiting


def test_submitting_does_not_wait_for_slots() -> None:
    gate = multiprocessing.Event()
    with tr.Pool(1, keep_gate, (gate,), slots=FEW) as pool:
        single = [pool.apply_async(wait_at_gate, (i,)) for i in range(40)]
        all_of_them = pool.map_async(wait_at_gate, range(40), 1)
        in_order = pool.imap(wait_at_gate, list(range(40)))
        gate.set()  # nobody would, if one of these waited
        assert [one.get(30) for one in single] == list(range(40))
        assert all_of_them.get(30) == list(in_order) == list(range(40))


class Frames(Sequence[int]):
    """Has a length, and makes its items when asked."""

    def __init__(self, count: int, broken_at: int = -1) -> None:
        self.count = count
        self.broken_at = broken_at
        self.made = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        if index >= self.count:
            raise IndexError
        if index == self.broken_at:
            raise LookupError("broken")
        self.made += 1
        return index


def test_sequences_are_read_as_the_workers_need_them(pool: tr.Pool) -> None:
    frames = Frames(2000)
    results = pool.imap(same, frames)
    assert next(results) == 0
    assert frames.made < 200
    assert list(results) == list(range(1, 2000))
    frames = Frames(2000)
    later = pool.map_async(same, frames, 1)
    assert frames.made < 2000
    assert later.get(30) == list(range(2000))
    with pytest.raises(LookupError, match="broken"):
        pool.map_async(same, Frames(500, 300), 1).get(30)
    assert pool.map(same, Frames(10), 3) == list(range(10))


def test_initializers_that_fail() -> None:
    with tr.Executor(2, initializer=refuse, slots=SLOTS) as executor:
        with pytest.raises(BrokenProcessPool, match="not today"):
            executor.submit(same, 1).result(30)
        with pytest.raises(BrokenProcessPool):
            executor.submit(same, 1)
        assert not executor._processes


@pytest.mark.parametrize("kind", [tr.Pool, tr.Executor])
def test_workers_that_die_while_they_start(kind: Any, tmp_path: Any) -> None:
    log = tmp_path / "log"
    log.touch()
    with kind(2, initializer=perish, initargs=(str(log),), slots=SLOTS) as made:
        start = made.apply_async if kind is tr.Pool else made.submit
        job = start(same, (1,)) if kind is tr.Pool else start(same, 1)
        with pytest.raises(tr.WorkerDied, match="exit code 3"):
            (job.get if kind is tr.Pool else job.result)(60)
        with pytest.raises(BrokenProcessPool):
            start(same, (1,))
    assert 2 <= len(log.read_text()) <= 8


class _Process:
    """A context's Process, of which the fourth cannot be started."""

    made: ClassVar[list[Any]] = []

    def __new__(cls, **options: Any) -> Any:
        if len(cls.made) == 3:
            raise OSError("no more processes")
        cls.made.append(multiprocessing.get_context("fork").Process(**options))
        return cls.made[-1]


class _Context:
    Process = _Process


def test_a_pool_that_cannot_start_all_leaves_none() -> None:
    with pytest.raises(OSError, match="no more"):
        tr.Pool(5, context=_Context, slots=SLOTS)
    assert len(_Process.made) == 3
    assert not any(process.is_alive() for process in _Process.made)


def test_arguments_are_those_of_the_originals() -> None:
    for count in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            tr.Pool(processes=count)
        with pytest.raises(ValueError, match="greater than 0"):
            tr.Executor(count)
    with pytest.raises(ValueError, match="to 224"):
        tr.Pool(257)
    for kind in (tr.Pool, tr.Executor):
        with pytest.raises(TypeError, match="callable"):
            kind(1, initializer=1)
    with pytest.raises(ValueError, match="maxtasksperchild"):
        tr.Pool(1, maxtasksperchild="12")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        tr.Executor(1, max_tasks_per_child="12")  # type: ignore[arg-type]


def test_chunks(pool: tr.Pool, executor: tr.Executor) -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match="chunksize"):
            pool.map(same, range(5), size)
        with pytest.raises(ValueError, match="chunksize"):
            executor.map(same, range(5), chunksize=size)
    assert list(executor.map(pow, range(9), [2] * 9, chunksize=4)) == [
        i * i for i in range(9)
    ]
    pids = list(executor.map(pid_of, range(8), chunksize=8))
    assert len(set(pids)) == 1


def test_a_pool_that_is_over() -> None:
    pool = tr.Pool(1, slots=SLOTS)
    pool.terminate()
    with pytest.raises(ValueError, match="not running"):
        pool.__enter__()
    with pytest.raises(ValueError, match="not running"):
        pool.apply(same, (1,))
    pool.join()


def test_an_open_pool_that_is_let_go_of_ends() -> None:
    pool = tr.Pool(1, slots=SLOTS)
    assert pool.apply_async(same, (1,)).get(30) == 1
    (process,) = pool._workers.processes
    gone = weakref.ref(pool)
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="unclosed"):
            del pool
        assert gone() is None
        process.join(30)
        assert not process.is_alive()
    finally:
        gc.enable()


@pytest.mark.parametrize("how", ["del", "shutdown"])
def test_an_executor_that_is_let_go_of_finishes(how: str) -> None:
    executor = tr.Executor(2, slots=SLOTS)
    futures = [executor.submit(pid_of, i) for i in range(20)]
    processes = executor._processes
    thread = executor._executor_manager_thread
    assert thread is not None
    if how == "shutdown":
        executor.shutdown(wait=False)
    del executor
    pids = {future.result(30) for future in futures}
    assert pids <= set(processes)
    thread.join(30)
    assert not any(process.is_alive() for process in processes.values())


def test_an_executor_without_calls_leaves_nothing() -> None:
    tr.Executor(2, slots=SLOTS).shutdown()
    executor = tr.Executor(2, slots=SLOTS)
    assert executor._max_workers == 2
    del executor


def test_executors_start_workers_when_they_are_needed() -> None:
    context = multiprocessing.get_context("forkserver")
    with tr.Executor(4, context, slots=SLOTS) as executor:
        for i in range(3):
            assert executor.submit(same, i).result(60) == i
        assert len(executor._processes) == 1


def test_a_worker_is_idle_before_its_result_is_told() -> None:
    """What is submitted as soon as there is a result needs no other worker."""
    context = multiprocessing.get_context("forkserver")
    told: queue.Queue[Any] = queue.Queue()
    with tr.Executor(4, context, slots=SLOTS) as executor:
        first = executor.submit(same, 1)
        first.add_done_callback(lambda _: told.put(executor.submit(same, 2)))
        assert told.get(timeout=60).result(60) == 2
        assert len(executor._processes) == 1


@pytest.mark.parametrize("job", [inner_pool, inner_stand_ins])
def test_nested(job: Callable[[int], int]) -> None:
    want = 45 if job is inner_pool else 55
    with tr.Executor(1, slots=SLOTS) as executor:
        assert executor.submit(job, 10).result(60) == want
    with tr.Pool(1, slots=SLOTS) as pool:
        assert pool.apply_async(job, (10,)).get(60) == want


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_outlive_the_thread_that_started_them(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    gate = context.Event()
    made: list[Any] = []

    def start() -> None:
        executor = tr.Executor(1, context, keep_gate, (gate,))
        made.extend((executor, executor.submit(wait_at_gate, 5)))
        made.append(executor.submit(pid_of, 0))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    executor, waits, pid = made
    workers = list(executor._processes)
    gate.set()
    assert waits.result(60) == 5
    assert [pid.result(60)] == workers
    executor.shutdown()


def test_a_death_is_a_broken_pool(executor: tr.Executor) -> None:
    with pytest.raises(concurrent.futures.BrokenExecutor):
        executor.submit(os._exit, 4).result(30)
    assert executor.submit(same, 1).result(30) == 1


def test_a_forked_child_may_not_use_its_parents_workers(
    pool: tr.Pool, executor: tr.Executor
) -> None:
    executor.submit(same, 1).result(30)
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: pool.apply(same, (1,)), lambda: executor.submit(same, 1)):
            try:
                call()
            except RuntimeError:
                refused += 1
        os._exit(refused)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert pool.apply(same, (1,)) == 1


def test_signals_end_a_worker_that_ignores_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensoring._pool.crew._PATIENCE", 0.1)
    pool = tr.Pool(1, slots=SLOTS)
    pool.apply(signal.signal, (signal.SIGTERM, signal.SIG_IGN))
    (process,) = pool._workers.processes
    pool.terminate()
    assert not process.is_alive()


@pytest.mark.parametrize("make", [tr.Pool, tr.Executor])
@pytest.mark.parametrize("threads", ["many", 0, -1, 1 << 32, 1.5])
def test_threads_that_mean_nothing(make: Any, threads: Any) -> None:
    with pytest.raises(ValueError, match=f"threads is {threads!r}; give"):
        make(1, threads=threads)


class Ends:
    def __init__(self, pool: tr.Pool) -> None:
        self.pool = pool

    def __reduce__(self) -> Any:
        self.pool.terminate()
        return int, ()


class Told:
    """Counts how often the end of a job is told."""

    def __init__(self) -> None:
        self.times = 0

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        self.times += 1


def test_a_job_that_breaks_while_it_is_sent_ends_once() -> None:
    pool = tr.Pool(1, slots=SLOTS)
    told = Told()
    # The pool ends after the job is known and before it is sent: while it is pickled. The
    # end is told, and so it is not raised as well.
    pool._master.send(call(EACH, abs), [Ends(pool)], told, 0)
    assert told.times == 1
    assert not pool._master.waiting


def test_calls_that_no_worker_gets_need_none() -> None:
    with tr.Executor(2, slots=SLOTS) as executor:
        for _ in range(3):
            with contextlib.suppress(TypeError, AttributeError):
                executor.submit(abs, threading.Lock()).result()
        assert executor._calls.unanswered() == 0


DEATHS = [(-3, "exit code 3"), (9, "killed by SIGKILL"), (15, "killed by SIGTERM")]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_death_names_the_worker_that_had_the_job(method: str, tmp_path: Any) -> None:
    context: Any = multiprocessing.get_context(method)
    how = DEATHS * 3
    with tr.Pool(3, context=context) as pool:
        jobs = [
            pool.apply_async(die_and_say, (str(tmp_path), i, number))
            for i, (number, _) in enumerate(how)
        ]
        told = []
        for job in jobs:
            with pytest.raises(tr.WorkerDied) as caught:
                job.get(60)
            told.append(str(caught.value))
    pids = [(tmp_path / str(i)).read_text() for i in range(len(how))]
    assert len(set(pids)) == len(pids)
    for text, pid, (_, end) in zip(told, pids, how, strict=True):
        assert text == f"the worker that had the job died (pid {pid}, {end})"


def test_death_is_named_where_others_live(tmp_path: Any) -> None:
    with tr.Executor(3) as executor:
        for i in range(8):
            executor.submit(abs, 1).result(60)
            future = executor.submit(die_and_say, str(tmp_path), i, -3)
            with pytest.raises(tr.WorkerDied) as caught:
                future.result(60)
            pid = (tmp_path / str(i)).read_text()
            assert f"pid {pid}, exit code 3" in str(caught.value)


def interrupt_self() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "goes on"


def handler_in_a_program() -> str:
    code = "import signal; print(signal.getsignal(signal.SIGINT))"
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def test_an_interrupt_reaches_the_jobs_of_an_executor(
    pool: tr.Pool, executor: tr.Executor
) -> None:
    assert isinstance(executor.submit(interrupt_self).exception(30), KeyboardInterrupt)
    assert pool.apply(interrupt_self) == "goes on"  # until the master ends the worker
    for worker in [*executor._processes, *(one.pid for one in pool._pool)]:
        os.kill(worker, signal.SIGINT)  # without a job
    assert executor.submit(abs, -1).result(30) == pool.apply(abs, (-1,)) == 1
    assert "default_int_handler" in executor.submit(handler_in_a_program).result(30)
    assert "default_int_handler" in pool.apply(handler_in_a_program)
