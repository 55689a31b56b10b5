# SPDX-License-Identifier: MIT
"""Executor: stands in for concurrent.futures.ProcessPoolExecutor."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as _Executor
from concurrent.futures import Future, InvalidStateError
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, RUNNING
from concurrent.futures.process import _RemoteTraceback
from multiprocessing import util
from typing import Any

from tensoring import _core
from tensoring._interrupts import Condition, is_interrupt, of_handler
from tensoring._options import refuse, whole
from tensoring._pool.calls import APPLY, call
from tensoring._pool.crew import check_crew
from tensoring._pool.failures import WorkerDied, again, report, to_keep
from tensoring._pool.master import Master
from tensoring._pool.slots import MOST_WORKERS, SLOTS


def _settle(future: Future[Any], value: Any, error: BaseException | None) -> None:
    """End a future; what its callbacks raise is reported."""
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)
    except InvalidStateError:
        pass  # somebody else has
    except BaseException as reason:
        if is_interrupt(reason):
            raise
        report()


class _Job:
    """A call, and where its result goes."""

    __slots__ = ("calls", "fn", "future", "names", "sent", "values")

    def __init__(
        self, calls: _Calls, fn: Any, names: tuple[str, ...], values: list[Any]
    ) -> None:
        self.calls = calls
        self.future: Future[Any] = Future()
        self.future._condition.__class__ = Condition  # sooner than to make another
        self.sent: list[None] = []  # it is with the master if there is anything
        self.fn = fn
        self.names = names
        self.values = values

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        # First: a caller that gets the result, and calls again, finds an idle worker.
        self.calls.running.discard(self)
        try:
            _settle(self.future, None if error else values[0], error)
        finally:
            self.calls.done(self)


class _Calls:
    """The calls of an executor: those that can still be cancelled, those that are sent.
    They outlive it. A signal's handler may raise at any step: what a step was about is
    found in one of the collections then, and the step can be done again."""

    def __init__(self, master: Master, limit: int) -> None:
        self.master = master
        self.limit = limit
        self.pending: deque[_Job] = deque()
        self.in_hand: deque[_Job] = deque()  # of the thread that feeds
        self.running: set[_Job] = set()
        self.doubted: _Job | None = None  # a try was interrupted, perhaps by itself
        self.leaving = False  # nothing will be added
        self._feeding = _core.Turn()
        self.executor: weakref.ref[Executor] | None = None
        master.on_idle = self.is_over
        master.on_pause = self.feed
        master.on_broken = self.fail

    def unanswered(self) -> int:
        """How many calls are submitted and have no answer."""
        return len(self.pending) + len(self.in_hand) + len(self.running)

    def is_over(self) -> bool:
        if not self.leaving:
            return False
        self.feed()  # what an exception has left behind
        return not self.unanswered()

    def leave(self, _: object = None) -> None:
        """Do what there is, then end. May be called by the garbage collector."""
        self.leaving = True
        if self.master.thread is None:
            self.master.finish()
        else:
            self.master.wake()

    def add(self, job: _Job) -> None:
        try:
            self.master.serve(job)
            self.pending.append(job)
        except BaseException:
            if job not in self.pending:
                self.master.served(job)
            raise

    def feed(self) -> None:
        """Send as many as the workers need, in order."""
        running, limit = self.running, self.limit
        while self.in_hand or (self.pending and len(running) < limit):
            with self._feeding as mine:
                if not mine:
                    return  # another thread does, and looks again
                while self.in_hand or (self.pending and len(running) < limit):
                    self._feed_one()

    def _feed_one(self) -> None:
        if not self.in_hand:
            try:  # from one to the other in one call of C
                self.in_hand.extend(map(deque.popleft, (self.pending,)))
            except IndexError:
                return  # they were cancelled meanwhile
        job = self.in_hand[0]
        # Read without its lock: what it is can only become final, and is asked for again.
        if job.future._state in (CANCELLED_AND_NOTIFIED, FINISHED):
            self._drop(job)
        else:
            self._send(job)
        self.in_hand.popleft()

    def _send(self, job: _Job) -> None:
        self.running.add(job)
        future = job.future
        # One that was interrupted, and is in hand again, is running already.
        if future._state != RUNNING and not future.set_running_or_notify_cancel():
            self._drop(job)
            return
        try:
            if not job.sent:
                what = call(APPLY, job.fn, job.names)
                self.master.send(what, job.values, job, 0, job.sent)
        except BaseException as error:
            first = self.doubted is not job
            self.doubted = None
            if of_handler(error) or (is_interrupt(error) and first):
                self.doubted = job
                raise  # it stays in hand, to be tried again
            _settle(future, None, to_keep(error, self.master.remote))
            self._drop(job)

    def _drop(self, job: _Job) -> None:
        """No worker has this call, or will."""
        self.running.discard(job)
        self.master.served(job)

    def done(self, job: _Job) -> None:
        self._drop(job)
        self.feed()

    def cancel(self) -> None:
        for future in self._taken():
            future.cancel()
            future.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        for future in self._taken():
            if future.set_running_or_notify_cancel():
                _settle(future, None, again(error))

    def _taken(self) -> Iterator[Future[Any]]:
        while True:
            try:
                job = self.pending.popleft()
            except IndexError:
                return
            self._drop(job)
            yield job.future


class _AtExit:
    """What was submitted is done before the interpreter ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.over = False
        self.calls: weakref.WeakSet[_Calls] = weakref.WeakSet()
        # Threads are joined, and children of multiprocessing, after these.
        try:
            threading._register_atexit(self.end)  # type: ignore[attr-defined]
        except RuntimeError:
            self.over = True
        util.Finalize(None, self.finish, exitpriority=100)

    def end(self) -> None:
        if os.getpid() == self.pid:
            self.over = True
            self.finish()

    def finish(self) -> None:
        """Wait until all is done that was submitted so far."""
        for calls in list(self.calls):
            calls.leave()
            thread = calls.master.thread
            if thread is not None and thread is not threading.current_thread():
                thread.join()


_at_exit: _AtExit | None = None


def _exit_of_this_process() -> _AtExit:
    global _at_exit
    if _at_exit is None or _at_exit.pid != os.getpid():
        _at_exit = _AtExit()
    return _at_exit


def _run_chunk(fn: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> list[Any]:
    return [fn(*arguments) for arguments in chunk]


def _taken(calls: deque[Future[Any]], deadline: float | None) -> Any:
    """The value of the first call, which is let go of. Late, it is cancelled."""
    future = calls.popleft()
    try:
        left = None if deadline is None else deadline - time.monotonic()
        return future.result(left)
    finally:
        future.cancel()
        del future  # the traceback would keep it, and it the traceback


def _in_turn(
    calls: deque[Future[Any]], more: Callable[[], None], deadline: float | None
) -> Iterator[Any]:
    """The values of calls; one more is submitted before each is waited for."""
    try:
        while calls:
            more()
            yield _taken(calls, deadline)
    finally:
        for future in calls:
            future.cancel()


def _check_buffer(size: int | None) -> None:
    if size is not None:
        whole("buffersize", size, 1, sys.maxsize, ", or None for no limit")


def _chunks(rows: Iterator[tuple[Any, ...]], size: int) -> Iterator[Any]:
    return iter(lambda: list(itertools.islice(rows, size)), [])


def _chained(results: Iterator[list[Any]]) -> Iterator[Any]:
    """The values, each let go of as soon as it is taken."""
    for values in results:
        values.reverse()
        while values:
            yield values.pop()


def _worker_count(max_workers: Any) -> int:
    if max_workers is None:
        return len(os.sched_getaffinity(0))
    otherwise = ", or None for one for each core"
    if isinstance(max_workers, int) and max_workers <= 0:
        way = f"max_workers must be greater than 0, at most {MOST_WORKERS}{otherwise}"
        refuse(ValueError, "max_workers", max_workers, way)
    return whole("max_workers", max_workers, 1, MOST_WORKERS, otherwise)


def _check_tasks(most: Any) -> None:
    if most is not None and not isinstance(most, int):
        way = "it must be an integer from 1, or None"
        refuse(TypeError, "max_tasks_per_child", most, way)
    if most is not None and most <= 0:
        refuse(ValueError, "max_tasks_per_child", most, "it must be >= 1, or None")


class Executor(_Executor):
    """Runs calls in worker processes. Calls that were not sent yet can be cancelled.

    slots: [(bytes, count), ...], how many calls, and as many results, of which size are
    on their way at most.
    memory_bytes: a limit in bytes of the shared memory that they take; calls have one
    half of it, results the other. What does not fit waits in its process; what is larger
    than that half by itself is TooLargeError. None: no limit but the machine's.
    threads: how many threads libraries may use in a worker; "auto" divides the machine
    and binds each worker to its part; None changes nothing."""

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        slots: Iterable[tuple[int, int]] | None = SLOTS,
        memory_bytes: int | None = None,
        threads: int | str | None = "auto",
    ) -> None:
        count = _worker_count(max_workers)
        _check_tasks(max_tasks_per_child)
        check_crew(mp_context, initializer, initargs)
        context = mp_context or multiprocessing.get_context()
        self._max_workers = count
        self._mp_context = context
        self._master = Master(
            count,
            initializer,
            initargs,
            max_tasks_per_child,
            context,
            slots,
            memory_bytes,
            threads,
            True,
            _RemoteTraceback,
            True,
        )
        # One more than there are workers, so that none has to wait for its next call.
        self._calls = _Calls(self._master, count * 2)
        # A fork is best done before there are threads: all workers at the first call.
        self._all_at_once = context.get_start_method(allow_none=False) == "fork"
        self._lock = threading.Lock()
        self._shut = False
        self._exit = _exit_of_this_process()
        self._exit.calls.add(self._calls)
        self._master.finalizer = util.Finalize(
            None, self._master.terminate, exitpriority=15
        )
        self._calls.executor = weakref.ref(self, self._calls.leave)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule fn(*args, **kwargs)."""
        with self._lock:
            self._check()
            self._start()
            values = [*args, *kwargs.values()]
            job = _Job(self._calls, fn, tuple(kwargs), values)
            self._calls.add(job)
        # Without the lock: it may run what pickles an object, or callbacks, which may
        # call this executor.
        self._calls.feed()
        return job.future

    def _check(self) -> None:
        if self._master.broken is not None:
            raise WorkerDied(str(self._master.broken))
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._exit.over:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        self._master.check_owner()

    def _start(self) -> None:
        """Start the workers that this call needs."""
        crew = self._master.crew
        if self._all_at_once:  # the next call goes on where one was interrupted
            while len(crew.workers) < crew.most:
                crew.grow()
        elif len(crew.workers) < min(crew.most, self._calls.unanswered() + 1):
            crew.grow()

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[Any]:
        """Like map(fn, *iterables), `chunksize` calls in one job. At most `buffersize`
        jobs are submitted whose values were not taken: the iterables may have no end.
        None: all are, at once."""
        _check_buffer(buffersize)
        if not isinstance(chunksize, int) or chunksize < 1:
            chunksize = whole("chunksize", chunksize, 1, sys.maxsize)
        if chunksize == 1:
            return self._map(fn, iterables, timeout, buffersize)
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        each = functools.partial(_run_chunk, fn)
        return _chained(self._map(each, (chunks,), timeout, buffersize))

    def _map(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Iterable[Any], ...],
        timeout: float | None,
        most: int | None,
    ) -> Iterator[Any]:
        if most is None:
            return super().map(fn, *iterables, timeout=timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        rows = zip(*iterables, strict=False)
        first = itertools.islice(rows, most)
        calls = deque(self.submit(fn, *row) for row in first)
        known = weakref.ref(self)  # the iterator does not keep it

        def more() -> None:
            executor = known()
            row = next(rows, None) if executor is not None else None
            if executor is not None and row is not None:
                calls.append(executor.submit(fn, *row))

        return _in_turn(calls, more, deadline)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; with `wait`, return when all is done and the workers ended."""
        with self._lock:
            self._shut = True
        if cancel_futures:
            self._calls.cancel()
        self._calls.leave()
        thread = self._master.thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def terminate_workers(self) -> None:
        """Send SIGTERM to the workers, and shut down without waiting. Calls that they had
        fail with WorkerDied when one has ended; those that wait are cancelled."""
        self._stop(signal.SIGTERM)

    def kill_workers(self) -> None:
        """The same with SIGKILL, which no worker can ignore."""
        self._stop(signal.SIGKILL)

    def _stop(self, number: int) -> None:
        self._master.check_owner()
        with self._lock:
            self._shut = True
        self._calls.cancel()
        self._master.crew.stop(number)
        self._calls.leave()

    @property
    def _processes(self) -> dict[int, Any]:
        return {process.pid: process for process in self._master.crew.processes}

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        return self._master.thread

    @property
    def _broken(self) -> bool | str:
        return self._master.broken is not None and str(self._master.broken)

    def __repr__(self) -> str:
        return f"<tensoring.Executor of {self._max_workers} workers>"
