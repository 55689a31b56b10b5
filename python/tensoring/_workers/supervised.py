# SPDX-License-Identifier: MIT
"""What runs in a worker of a supervisor."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from tensoring import _core
from tensoring._arena import greenlets
from tensoring._arena.service import Service
from tensoring._errors import ClosedError, CorruptError, ReceiveTimedOutError
from tensoring._workers.plan import tell_environment

_SLICE = 0.1  # seconds in which a request to stop is seen
_DAMAGED = 64  # so many damaged requests in a row are more than a bad requester


class Receiver(Protocol):
    """A queue or a subscription."""

    def receive(self, timeout: float | None = None) -> Any:
        """The next object."""
        ...


class Worker(_core.Worker):
    """This process as a worker of a Supervisor, which calls its function with it."""

    _known: tuple[int, int] = (0, 0)  # threads and workers of the plan

    def stopping(self) -> bool:
        """Whether the worker must stop: it was asked to, has done max_jobs, has more
        memory than max_private_bytes, or has lost its master. Call it between jobs, and
        ten times a second while there are none, or wait in a WaitSet that this worker was
        added to. The first call reports that the worker
        is ready; every call adopts a changed plan."""
        stop = self._stopping()
        if self._placed != self._known:
            self._adopt()
        return stop

    def _adopt(self) -> None:
        self._known = self._placed
        tell_environment(self._known[0], f"{self.index}/{self._known[1]}")

    def jobs(self, queue: Receiver) -> Iterator[Any]:
        """Iterate over what a queue or a subscription receives, until the worker is to
        stop or the channel is shut down. Each message counts for max_jobs."""
        return _Jobs(self, queue)

    def serve(self, service: Service, function: Callable[[Any], Any]) -> int:
        """Answer requests with function(object) until the worker must stop, or the
        service is shut down. Returns how many were answered. The worker answers a request
        that it has received before it stops; the other requests stay in the queue."""
        done = damaged = 0
        while not self.stopping():
            try:
                service.serve_one(function, _SLICE)
            except ReceiveTimedOutError:
                continue
            except ClosedError:
                break
            except CorruptError:  # its requester has been told
                damaged += 1
                if damaged > _DAMAGED:
                    raise
                continue
            self.job_done()
            done, damaged = done + 1, 0
        return done

    def __reduce__(self) -> Any:
        raise TypeError("a worker cannot be pickled: it is its process's own")

    def __repr__(self) -> str:
        return f"<tensoring.Worker {self.index}, generation {self.generation}>"


class _Jobs(Iterator[Any]):
    """Holds no job."""

    def __init__(self, worker: Worker, queue: Receiver) -> None:
        self._worker, self._receive = worker, queue.receive

    def __next__(self) -> Any:
        while not self._worker.stopping():
            try:
                job = self._receive(_SLICE)
            except ReceiveTimedOutError:
                continue
            except ClosedError:
                break
            self._worker.job_done()
            return job
        raise StopIteration


def _code_of(end: SystemExit) -> int:
    """As Python ends with it."""
    if end.code is None or isinstance(end.code, int):
        return int(end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _guarded(function: Callable[..., object], *args: object) -> int:
    """The exit code: nothing may get out into the master's frames."""
    try:
        function(*args)
    except SystemExit as end:
        return _code_of(end)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def flush() -> None:
    """What is printed and not yet written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # there is none, or nobody reads it
            stream.flush()


def _reset_signals() -> None:
    """Handlers are the master's. Ctrl-C goes to the whole group: the master stops its
    workers in good order. What a worker forks gets the usual handler."""
    pid = os.getpid()

    def leave_to_master(number: int, frame: FrameType | None) -> None:
        if os.getpid() != pid:
            signal.default_int_handler(number, frame)

    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave_to_master)


def begin(child: Callable[[int], object] | None, index: int) -> None:
    """The first thing in a worker: take leave of the master."""

    def first() -> None:
        greenlets.forked()
        _reset_signals()
        atexit._clear()  # the master's
        if child is not None:
            child(index)

    code = _guarded(first)
    if code:
        flush()
        os._exit(code)


def live(function: Callable[[Worker], object], worker: Worker) -> int:
    """All that a worker does; its exit code."""

    def last() -> None:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()  # of the worker's own

    if worker._placed != worker._known:
        worker._adopt()
    code = _guarded(function, worker)
    code = _guarded(last) or code
    flush()
    return code
