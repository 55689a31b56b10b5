# SPDX-License-Identifier: MIT
"""Pool: stands in for multiprocessing.Pool. Arrays travel raw."""

from __future__ import annotations

import itertools
import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sized
from multiprocessing import util
from multiprocessing.pool import (  # type: ignore[attr-defined]
    CLOSE,
    RUN,
    TERMINATE,
    RemoteTraceback,
)
from typing import Any

from tensoring._interrupts import is_interrupt
from tensoring._options import U64, flag, refuse, whole
from tensoring._pool.calls import APPLY, EACH, STAR, Call, call
from tensoring._pool.failures import WorkerDied, to_keep
from tensoring._pool.halves import Into
from tensoring._pool.master import Master
from tensoring._pool.results import AsyncResult, Gradual, One, Results
from tensoring._pool.slots import MOST_WORKERS, SLOTS

_AHEAD = 32  # pieces a worker that are sent before their values are taken


def _worker_count(processes: Any) -> int:
    if processes is None:
        return len(os.sched_getaffinity(0))
    otherwise = ", or None for one for each core"
    if isinstance(processes, int) and processes < 1:
        limits = f"at least 1, at most {MOST_WORKERS}{otherwise}"
        way = f"Number of processes must be {limits}"
        refuse(ValueError, "processes", processes, way)
    return whole("processes", processes, 1, MOST_WORKERS, otherwise)


def _check_chunks(size: Any) -> None:
    if type(size) is not int:
        whole("chunksize", size, 1, U64)
    if size < 1:
        raise ValueError(f"chunksize must be 1+, not {size}")


def _cut(values: list[Any], size: int) -> Iterator[list[Any]]:
    """Pieces of a list."""
    return (values[i : i + size] for i in range(0, len(values), size))


def _pieces(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Pieces of an iterable, read when they are asked for."""
    source = iter(items)
    return iter(lambda: list(itertools.islice(source, size)), [])


class Pool:
    """Worker processes that run functions on data, as multiprocessing.Pool does. A job
    whose worker dies fails with WorkerDied, and another worker takes its place.

    slots: [(bytes, count), ...], how many calls, and as many results, of which size are
    on their way at most.
    memory_bytes: a limit in bytes of the shared memory that they take; calls have one
    half of it, results the other. What does not fit waits in its process; what is larger
    than that half by itself is TooLargeError. None: no limit but the machine's.
    threads: how many threads libraries may use in a worker; "auto" divides the machine
    and binds each worker to its part; None changes nothing.
    copy: results are arrays of their own. With copy=False they look into the pool's
    slots, which must be let go of before the pool can reuse them."""

    _state: str = TERMINATE  # until there is something to end

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        *,
        slots: Iterable[tuple[int, int]] | None = SLOTS,
        memory_bytes: int | None = None,
        threads: int | str | None = "auto",
        copy: bool = True,
    ) -> None:
        count = _worker_count(processes)
        most = maxtasksperchild
        if most is not None and (not isinstance(most, int) or most < 1):
            way = "it must be a positive int or None"
            refuse(ValueError, "maxtasksperchild", most, way)
        self._processes = count
        self._master = Master(
            count,
            initializer,
            initargs,
            maxtasksperchild,
            context,
            slots,
            memory_bytes,
            threads,
            flag("copy", copy),
            RemoteTraceback,
            False,
        )
        self._master.start()
        self._lazy: weakref.WeakSet[Results] = weakref.WeakSet()  # not all is sent
        self._finalizer = util.Finalize(self, self._master.terminate, exitpriority=15)
        self._state = RUN

    @property
    def _workers(self) -> Any:
        return self._master.crew

    @property
    def _pool(self) -> list[Any]:
        return self._master.crew.processes

    def _repopulate_pool(self) -> None:
        self._master.crew.look()

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running: it is closed")

    # ---- sending

    def _give(self, what: Call, values: list[Any], into: Into, index: int) -> None:
        """Send a job. What cannot be carried is the job's error, not the call's."""
        try:
            self._master.send(what, values, into, index)
        except Exception as error:
            died = isinstance(error, WorkerDied)
            if died or self._master.inherited or is_interrupt(error):
                raise
            kept = to_keep(error, self._master.remote)
            if isinstance(into, AsyncResult) and into._served:
                self._master.fail(into, index, kept)
            else:
                into._set(index, [], kept)

    def _map(
        self,
        what: Call,
        items: Iterable[Any],
        size: int | None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> AsyncResult:
        self._check_running()
        if not isinstance(items, Sized):
            items = list(items)
        count = len(items)
        if size is None:
            size = -(-count // (4 * self._processes)) or 1
        _check_chunks(size)
        jobs = -(-count // size)
        callbacks = (callback, error_callback)
        if not isinstance(items, list | tuple | range):
            return self._map_gradually(what, items, size, jobs, *callbacks)
        result = AsyncResult(self, jobs, *callbacks)
        try:
            for i, piece in enumerate(_cut(items, size)):
                self._give(what, list(piece), result, i)
        except BaseException:
            result._give_up()
            raise
        return result

    def _map_gradually(
        self, what: Call, items: Iterable[Any], size: int, jobs: int, *callbacks: Any
    ) -> AsyncResult:
        def send(piece: list[Any], into: AsyncResult, index: int) -> None:
            self._give(what, piece, into, index)

        def parts() -> Iterator[list[Any]]:
            return _pieces(items, size)

        ahead = _AHEAD * self._processes
        return Gradual(self, jobs, send, parts, ahead, *callbacks)

    def _watched(self, result: AsyncResult) -> AsyncResult:
        self._master.watch()
        return result

    # ---- what multiprocessing.Pool has

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
    ) -> Any:
        """func(*args, **kwds) in a worker."""
        return self._apply(func, args, kwds, None, None).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, without waiting."""
        return self._watched(self._apply(func, args, kwds, callback, error_callback))

    def _apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any],
        kwds: dict[str, Any] | None,
        callback: Any,
        error_callback: Any,
    ) -> AsyncResult:
        self._check_running()
        named = kwds or {}
        values = [*args, *named.values()]
        what = call(APPLY, func, tuple(named))
        result = One(self, 1, callback, error_callback)
        try:
            self._give(what, values, result, 0)
        except BaseException:
            result._give_up()
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
        found: list[Any] = self._map(call(EACH, func), iterable, chunksize).get()
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
        callbacks = (callback, error_callback)
        return self._watched(self._map(call(EACH, func), iterable, chunksize, *callbacks))

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """[func(*x) for x in iterable], in the workers."""
        items = [tuple(item) for item in iterable]
        found: list[Any] = self._map(call(STAR, func), items, chunksize).get()
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
        callbacks = (callback, error_callback)
        return self._watched(self._map(call(STAR, func), items, chunksize, *callbacks))

    def imap(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int = 1,
        *,
        progress: bool = False,
    ) -> Any:
        """The values one after the other, in order, as soon as they are there. Of an
        iterable other than a list no more is read than keeps the workers busy until
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
        self._check_running()
        _check_chunks(size)
        what = call(EACH, func)
        at_hand = isinstance(items, list | tuple | range)
        total = len(items) if isinstance(items, Sized) else None

        def send(piece: list[Any], into: Results, index: int) -> None:
            if self._state == TERMINATE:
                raise ValueError("Pool not running")
            self._give(what, piece, into, index)

        ahead = None if at_hand else _AHEAD * self._processes
        results = Results(self, ordered, send, _pieces(items, size), ahead)
        self._master.watch()
        if results._pieces is not None:
            self._lazy.add(results)
        if not progress:
            return results
        from tqdm import tqdm

        return tqdm(results, total=total)

    def close(self) -> None:
        """No more jobs; what was given is still done."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self) -> None:
        """End the workers now."""
        self._state = TERMINATE
        self._master.terminate()  # again, where an exception has ended it

    def join(self) -> None:
        """Wait until all is done and the workers have ended. Only after close()."""
        if self._state == RUN:
            raise ValueError("Pool is still running: it is open")
        if self._state == TERMINATE:
            self._master.terminate()
            return
        for results in list(self._lazy):
            results._feed(None)
        self._master.wait_for(lambda: not self._master.waiting, None)
        self._master.finish()
        self._state = TERMINATE

    def __reduce__(self) -> Any:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled"
        )

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *args: object) -> None:
        self.terminate()

    def __del__(self) -> None:
        if self._state == RUN:
            warnings.warn(
                f"unclosed running multiprocessing pool {self!r}",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"<tensoring.Pool, {self._processes} workers, {self._state}>"
