# SPDX-License-Identifier: MIT
"""Pool: stands in for multiprocessing.Pool. Arrays in arguments and results travel raw.

Who waits for a result receives results for everybody. A thread does so only while there
are callbacks or futures to be served, which nobody waits for."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

from tensoring import _jobs, _objects
from tensoring._arena import Arena
from tensoring._calls import APPLY, EACH, STAR, Call, call
from tensoring._errors import CODES, Closed, Empty, PeerDied
from tensoring._memory import standin_arena
from tensoring._results import AsyncResult, One, Results
from tensoring._worker_main import BROKEN, DIED, DONE, FAILED, LEFT, Setup, main, restore
from tensoring._workers import Plan

SLOTS = [(64 << 10, 1024), (16 << 20, 256), (1 << 30, 32)]
_LOOK_AT_WORKERS = 0.02  # seconds between looks for dead workers, while waiting
_AHEAD = 32  # pieces a worker that imap() sends before their values are taken
_ENDED = "the pool is closed"


class WorkerDied(PeerDied):
    """The worker that had the job died before it was done."""

    code = CODES["TR_EPEERDIED"]


# ---- the pool


class _Workers:
    """The processes of a pool: started, looked after, ended."""

    def __init__(self, setup: Setup, count: int, context: Any) -> None:
        self.setup = setup
        self.context = context
        self.processes: list[Any] = [self.start(i) for i in range(count)]

    def start(self, index: int) -> Any:
        process = self.context.Process(
            target=main, args=(self.setup, index), daemon=True, name=f"worker-{index}"
        )
        process.start()
        return process

    def replace_dead(self) -> list[str]:
        """Start a worker in the place of each that ended. Says how those died that did
        not leave by themselves."""
        deaths = []
        for i, process in enumerate(self.processes):
            if process.is_alive():
                continue
            if process.exitcode:
                deaths.append(f"pid {process.pid}, exit code {process.exitcode}")
            process.join()
            self.processes[i] = self.start(i)
        if deaths:
            # Whoever it is that waits finds out by itself; this is quicker.
            self.setup.jobs.arena.reap()
            self.setup.results.arena.reap()
        return deaths

    def end(self, kill: bool) -> None:
        for process in self.processes:
            if kill:
                process.terminate()
        for process in self.processes:
            process.join()


def _end(workers: _Workers, owner: int) -> None:
    if os.getpid() == owner:
        workers.setup.jobs.shutdown()
        workers.end(True)


class Pool:
    """Worker processes that run functions on data, as multiprocessing.Pool does.

    threads: how many threads libraries may use in a worker; "auto" divides the machine
    and binds each worker to its part; None changes nothing.
    copy: results are arrays of their own. With copy=False they look into the pool's
    slots, which must be let go of before the pool can reuse them."""

    def __init__(
        self,
        workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        *,
        slots: Iterable[tuple[int, int]] = SLOTS,
        threads: int | str | None = "auto",
        copy: bool = True,
    ) -> None:
        count = workers or len(os.sched_getaffinity(0))
        if count < 1:
            raise ValueError("a pool has at least one worker")
        if maxtasksperchild is not None and maxtasksperchild < 1:
            raise ValueError("maxtasksperchild is at least 1 or None")
        classes = list(slots)
        # Two arenas: jobs that wait must not leave the results without a slot.
        self._arenas = [self._arena(classes, count) for _ in range(2)]
        self._jobs = self._arenas[0].queue("jobs", 16384, max_deliveries=255)
        self._results = self._arenas[1].queue("results", 16384, max_deliveries=255)
        plan = bytes(Plan(count)) if threads == "auto" else None
        setup = Setup(
            self._jobs,
            self._results,
            initializer,
            tuple(initargs),
            maxtasksperchild,
            plan,
            threads if isinstance(threads, int) else None,
        )
        self._copy = copy
        self._results._copy_if_kept()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[Any, int]] = {}
        self._lazy: weakref.WeakSet[Results] = weakref.WeakSet()  # not all is sent
        self._pump_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._serving = 0  # results that a thread has to receive for
        self._serve_lock = threading.Lock()
        self._wanted = threading.Event()  # whether there are any
        self._broken: BaseException | None = None
        self._deaths: list[str] = []
        self._state = "open"
        self._looked = time.monotonic()
        self._on_look: Callable[[], None] | None = None
        self._workers = _Workers(setup, count, context or multiprocessing.get_context())
        self._finalizer = weakref.finalize(self, _end, self._workers, os.getpid())

    @staticmethod
    def _arena(classes: list[tuple[int, int]], count: int) -> Arena:
        return standin_arena(
            None if classes == SLOTS else classes,
            SLOTS,
            arenas=2,
            participants=min(256, 64 + count),
            capacity=16384,
        )

    # ---- sending

    def _send(
        self, what: Call, values: list[Any], into: Any, index: int, begun: bool = False
    ) -> None:
        if self._state != "open" and not (begun and self._state == "closing"):
            raise ValueError(_ENDED)
        if self._broken is not None:
            raise self._broken
        number = next(self._numbers)
        self._waiting[number] = (into, index)
        try:
            # When it is full, make room: workers may be waiting to send.
            _jobs.send(self._jobs, number, (what, values), self._pump_a_little)
        except BaseException:
            self._waiting.pop(number, None)
            raise

    def _cut(self, items: Iterable[Any], size: int | None) -> list[list[Any]]:
        values = items if type(items) is list else list(items)
        if size is None:
            size = -(-len(values) // (4 * len(self._workers.processes))) or 1
        return [values[i : i + size] for i in range(0, len(values), size)]

    def _map(
        self,
        what: Call,
        items: Iterable[Any],
        size: int | None,
        into: type,
        **callbacks: Any,
    ) -> Any:
        pieces = self._cut(items, size)
        if callbacks:
            self._serve()
        result = into(self, len(pieces), **callbacks)
        try:
            for i, piece in enumerate(pieces):
                self._send(what, piece, result, i)
        except BaseException:
            if callbacks:
                self._served()
            raise
        return result

    # ---- receiving

    def _receive(self, timeout: float | None) -> bool:
        """Take one result and hand it to who wants it; whether there was one."""
        try:
            message = self._results.receive_message(timeout)
        except (Empty, Closed):
            return False
        number = message.correlation_id
        try:
            kind, values = _objects.open(message, self._copy)
        except Exception as error:  # what it holds cannot be made here
            kind, values = FAILED, [(error, "".join(traceback.format_exception(error)))]
        del message
        if kind == BROKEN:
            self._break(restore(*values[0]))
        elif kind == LEFT:
            self._await_leaving(values[0])
        wanted = self._waiting.pop(number, None)
        if wanted is None:
            return True
        into, index = wanted
        if kind == DONE:
            into._set(index, values, None)
        elif kind == DIED:
            how = f" ({self._deaths[-1]})" if self._deaths else ""
            into._set(index, [], WorkerDied(f"the worker that had the job died{how}"))
        else:
            into._set(index, [], restore(*values[0]))
        return True

    def _await_leaving(self, pid: int) -> None:
        for process in self._workers.processes:
            if process.pid == pid:
                process.join()
        self._look()

    def _break(self, error: BaseException) -> None:
        self._broken = error
        waiting, self._waiting = self._waiting, {}
        for into, index in waiting.values():
            into._set(index, [], error)

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self._broken is None and self._state != "ended":
            self._deaths += self._workers.replace_dead()
            if self._on_look is not None:
                self._on_look()

    def _pump(self, timeout: float, done: Callable[[], bool] = bool) -> None:
        """Receive for everybody, unless somebody else does. Returns after `timeout`, or
        when something was received, or if it is done already."""
        if not self._pump_lock.acquire(timeout=min(timeout, _LOOK_AT_WORKERS)):
            return
        try:
            if done():
                return
            got = self._receive(min(timeout, _LOOK_AT_WORKERS))
            if not got or time.monotonic() - self._looked > 10 * _LOOK_AT_WORKERS:
                self._look()
        finally:
            self._pump_lock.release()

    def _pump_a_little(self) -> None:
        self._pump(_LOOK_AT_WORKERS)

    def _wait_for(
        self,
        done: Callable[[], bool],
        timeout: float | None,
        waker: Callable[[], threading.Event] | None = None,
    ) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not done():
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if self._serving and waker is not None:
                self._serve()  # until this one has waited, too
                try:
                    waker().wait(min(max(left, 0), 1.0))
                finally:
                    self._served()
            else:
                self._pump(max(left, 0), done)
            if left <= 0:
                return

    def _serve(self) -> None:
        """Have a thread receive until _served() was called as often: callbacks and
        futures cannot wait for somebody to wait."""
        wanted = self._wanted

        def collected(_: object) -> None:
            wanted.set()

        with self._serve_lock:
            self._serving += 1
            wanted.set()
            if self._thread is None:
                ref = weakref.ref(self, collected)
                self._thread = threading.Thread(
                    target=_serve_pool, args=(ref, wanted), daemon=True
                )
                self._thread.start()

    def _served(self) -> None:
        with self._serve_lock:
            self._serving -= 1
            if not self._serving and self._state != "ended":
                self._wanted.clear()

    # ---- what multiprocessing.Pool has

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
    ) -> Any:
        """func(*args, **kwds) in a worker."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, without waiting."""
        named = kwds or {}
        values = [*args, *named.values()]
        what = call(APPLY, func, tuple(named))
        if callback or error_callback:
            self._serve()
        result = One(self, 1, callback, error_callback)
        try:
            self._send(what, values, result, 0)
        except BaseException:
            if callback or error_callback:
                self._served()
            raise
        return result

    def map(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        *,
        progress: bool = False,
    ) -> list[Any]:
        """[func(x) for x in iterable], in the workers; with a bar of tqdm on request."""
        if progress:
            return list(self.imap(func, iterable, chunksize or 1, progress=True))
        found: list[Any] = self._map(
            call(EACH, func), iterable, chunksize, AsyncResult
        ).get()
        return found

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, without waiting."""
        return self._map_async(
            call(EACH, func), iterable, chunksize, callback, error_callback
        )

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """[func(*x) for x in iterable], in the workers."""
        found: list[Any] = self.starmap_async(func, iterable, chunksize).get()
        return found

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, without waiting."""
        items = [tuple(item) for item in iterable]
        return self._map_async(
            call(STAR, func), items, chunksize, callback, error_callback
        )

    def _map_async(
        self,
        what: Call,
        items: Any,
        size: int | None,
        callback: Any,
        error_callback: Any,
    ) -> AsyncResult:
        callbacks = {}
        if callback or error_callback:
            callbacks = {"callback": callback, "error_callback": error_callback}
        result: AsyncResult = self._map(what, items, size, AsyncResult, **callbacks)
        return result

    def imap(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
        *,
        progress: bool = False,
    ) -> Any:
        """The values one after the other, in order, as soon as they are there. Of an
        iterable without a length no more is read than keeps the workers busy until
        values are taken: it may have no end."""
        return self._imap(func, iterable, chunksize, True, progress)

    def imap_unordered(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
        *,
        progress: bool = False,
    ) -> Any:
        """The values in the order in which they get ready."""
        return self._imap(func, iterable, chunksize, False, progress)

    def _imap(
        self,
        func: Callable[[Any], Any],
        items: Iterable[Any],
        size: int,
        ordered: bool,
        progress: bool,
    ) -> Any:
        if self._state != "open":
            raise ValueError(_ENDED)
        what = call(EACH, func)
        sized = isinstance(items, Sized)
        pieces = self._cut(items, size) if sized else _pieces(items, size)

        def send(piece: list[Any], into: Results, index: int) -> None:
            self._send(what, piece, into, index, begun=True)

        ahead = None if sized else _AHEAD * len(self._workers.processes)
        results = Results(self, ordered, send, iter(pieces), ahead)
        if results._pieces is not None:
            self._lazy.add(results)
        if not progress:
            return results
        from tqdm import tqdm

        return tqdm(results, total=len(items) if isinstance(items, Sized) else None)

    def close(self) -> None:
        """No more jobs; what was given is still done."""
        if self._state == "open":
            self._state = "closing"

    def terminate(self) -> None:
        """End the workers now."""
        if self._state == "ended":
            return
        self._state = "ended"
        self._finalizer()
        self._break(WorkerDied("the pool was terminated"))
        self._leave()

    def join(self) -> None:
        """Wait until all is done and the workers have ended. Only after close()."""
        if self._state == "open":
            raise ValueError("the pool is still open")
        if self._state == "ended":
            return
        for results in list(self._lazy):
            results._feed(None)
        self._wait_for(lambda: not self._waiting, None)
        self._state = "ended"
        self._jobs.shutdown()
        self._workers.end(False)
        self._finalizer.detach()
        self._leave()

    def _leave(self) -> None:
        with self._serve_lock:
            self._wanted.set()  # the last time
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        for arena in self._arenas:
            arena.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *args: object) -> None:
        self.terminate()

    def __repr__(self) -> str:
        return f"<tensoring.Pool, {len(self._workers.processes)} workers, {self._state}>"


def _pieces(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    if size < 1:
        raise ValueError(f"chunksize is at least 1, not {size}")
    source = iter(items)
    return iter(lambda: list(itertools.islice(source, size)), [])


def _serve_pool(ref: weakref.ref[Pool], wanted: threading.Event) -> None:
    while wanted.wait():
        pool = ref()
        while pool is not None and pool._serving and pool._state != "ended":
            pool._pump(_LOOK_AT_WORKERS)
        if pool is None or pool._state == "ended":
            return
        del pool  # it may be collected meanwhile
