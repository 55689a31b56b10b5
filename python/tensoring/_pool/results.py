# SPDX-License-Identifier: MIT
"""What a pool gives for jobs that are not done yet."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tensoring import _core
from tensoring._interrupts import Waker, is_interrupt
from tensoring._pool.failures import report

if TYPE_CHECKING:
    from tensoring._pool.pool import Pool


class AsyncResult:
    """What the _async methods give: get(), wait(), ready(), successful()."""

    _event: Waker | None = None

    def __init__(
        self,
        pool: Pool,
        jobs: int,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._pool = pool
        self._master = pool._master
        self._missing = set(range(jobs))
        self._done = False
        self._error: BaseException | None = None
        self._pieces: list[list[Any]] = [[] for _ in range(jobs)]
        self._callback = callback
        self._error_callback = error_callback
        self._served = bool(callback or error_callback)
        if self._served:
            self._master.serve(self)
        if jobs == 0:
            self._finish()

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        if error is not None and self._error is None:
            self._error = error
        self._pieces[index] = values
        self._missing.discard(index)
        if not self._missing:
            self._finish()

    def _finish(self) -> None:
        try:
            if self._served:
                self._call_back()
        finally:
            self._done = True
            if self._event is not None:
                self._event.set()

    def _call_back(self) -> None:
        """Before anybody can see that it is done."""
        try:
            if self._error is None and self._callback is not None:
                self._callback(self._value())
            elif self._error is not None and self._error_callback is not None:
                self._error_callback(self._error)
        except BaseException as error:
            if is_interrupt(error):
                raise
            report()
        finally:
            self._callback = self._error_callback = None
            self._give_up()

    def _give_up(self) -> None:
        """Nobody has to be called any more."""
        if self._served:
            self._served = False
            self._master.served(self)

    def _value(self) -> Any:
        return list(itertools.chain.from_iterable(self._pieces))

    def _is_done(self) -> bool:
        return self._done

    def _waker(self) -> Waker:
        """Set when it is done: for threads that wait while one receives."""
        event: Waker = self.__dict__.setdefault("_event", Waker())
        if self._done:  # perhaps since before there was an event to set
            event.set()
        return event

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is there, at most `timeout` seconds."""
        self._master.wait_for(self._is_done, timeout, self._waker)

    def ready(self) -> bool:
        """Whether it is there."""
        if not self._done:
            self._master.wait_for(self._is_done, 0)
        return self._done

    def successful(self) -> bool:
        """Whether it is there without an exception. ValueError if it is not there."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None

    def get(self, timeout: float | None = None) -> Any:
        """The value; the job's exception if it raised; TimeoutError."""
        self.wait(timeout)
        if not self._done:
            raise multiprocessing.TimeoutError
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the traceback would keep it, and it the traceback
        return self._value()


class One(AsyncResult):
    """The result of a single call."""

    def _value(self) -> Any:
        return self._pieces[0][0]


class Gradual(AsyncResult):
    """The result of a map over something with a length, which makes its items when it is
    asked: no more than `ahead` pieces are with the workers."""

    def __init__(
        self,
        pool: Pool,
        jobs: int,
        send: Callable[[list[Any], AsyncResult, int], None],
        pieces: Callable[[], Iterator[list[Any]]],
        ahead: int,
        *callbacks: Any,
    ) -> None:
        super().__init__(pool, jobs, *callbacks)
        self._send = send
        self._source: Iterator[list[Any]] | None = None
        self._make_source = pieces
        self._most = jobs
        self._ahead = ahead
        self._sent = 0
        self._feeding = _core.Turn()
        self._feed()

    def _in_reach(self) -> bool:
        waiting = self._sent - (self._most - len(self._missing))
        return self._sent < self._most and waiting < self._ahead

    def _feed(self) -> None:
        while self._in_reach():
            with self._feeding as mine:
                if not mine:
                    return  # another thread does, and looks again
                while self._in_reach():
                    self._feed_one()

    def _feed_one(self) -> None:
        index = self._sent
        try:
            if self._source is None:
                self._source = self._make_source()
            piece = next(self._source, None)
        except BaseException as error:
            self._stop(error)
            if is_interrupt(error):
                raise
            return
        if piece is None:
            self._stop(None)  # it is shorter than it said
            return
        self._sent += 1
        try:
            self._send(piece, self, index)
        except BaseException as error:
            self._sent = index
            self._stop(error)

    def _stop(self, error: BaseException | None) -> None:
        """The pieces from here on have no values."""
        self._source = None
        first, self._sent = self._sent, self._most
        for index in range(first, self._most):
            super()._set(index, [], error)

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        super()._set(index, values, error)
        self._feed()


class Results(Iterator[Any]):
    """What imap gives: an iterator whose next() takes a timeout.

    `pieces` are taken as they are needed: at most `ahead` of them are given to the
    workers before their results are taken; None: all."""

    def __init__(
        self,
        pool: Pool,
        ordered: bool,
        send: Callable[[list[Any], Results, int], None],
        pieces: Iterator[list[Any]],
        ahead: int | None,
    ) -> None:
        self._pool = pool
        self._ordered = ordered
        self._send = send
        self._pieces: Iterator[list[Any]] | None = pieces
        self._ahead = ahead
        self._feeding = _core.Turn()
        self._ready: dict[int, tuple[list[Any], BaseException | None]] = {}
        self._sent = 0
        self._next = 0  # to be taken, in order
        self._open: set[int] = set()  # sent, and not taken
        self._piece: deque[Any] = deque()
        self._feed(ahead)

    def _feed(self, ahead: int | None) -> None:
        with self._feeding as mine:
            while mine and self._pieces and (ahead is None or len(self._open) < ahead):
                self._feed_one(self._pieces)

    def _feed_one(self, pieces: Iterator[list[Any]]) -> None:
        index = self._sent
        try:
            piece = next(pieces)
        except StopIteration:
            self._pieces = None
            return
        except BaseException as error:
            # The caller's iterable raised it: it comes where its value would.
            self._pieces = None
            self._open.add(index)
            self._sent = index + 1
            self._set(index, [], error)
            if is_interrupt(error):
                raise
            return
        try:
            self._open.add(index)
            self._sent = index + 1
            self._send(piece, self, index)
        except BaseException:
            self._pieces = None
            self._open.discard(index)
            self._sent = index
            raise

    def _has_next(self) -> bool:
        return self._next in self._ready if self._ordered else bool(self._ready)

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        if index in self._open:  # it may be set again, but not when it was taken
            self._ready[index] = (values, error)

    def __iter__(self) -> Results:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next value, within `timeout` seconds."""
        while not self._piece:
            self._take_piece(timeout)
        return self._piece.popleft()

    def _take_piece(self, timeout: float | None) -> None:
        self._feed(self._ahead)
        if not self._open and not self._ready:
            raise StopIteration
        self._pool._master.wait_for(self._has_next, timeout)
        if not self._has_next():
            raise multiprocessing.TimeoutError
        index = self._next if self._ordered else next(iter(self._ready))
        self._next = index + 1
        self._open.discard(index)
        values, error = self._ready.pop(index)
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback would keep itself alive
        self._piece.extend(values)

    __next__ = next
