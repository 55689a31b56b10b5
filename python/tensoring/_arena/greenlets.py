# SPDX-License-Identifier: MIT
"""Waits of gevent's greenlets.

gevent cannot patch what waits in C: one greenlet would stop all others of its thread. So
the extension's waits come here. As in asyncio, gevent's hub watches the descriptor of one
wait set for each arena: no thread waits, and any number of greenlets may."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensoring import _core
from tensoring._arena import aio
from tensoring._errors import CODES, Full, make_error

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena
    from tensoring._arena.queue import ArenaQueue

_WAITED_FOR: Any = (
    *(_core.Queue, _core.Broadcast, _core.Subscription, _core.Watch, _core.Wanted),
)
_SHORTEST, _LONGEST = 0.001, 0.05  # seconds of a pause, where nothing tells


class _Loop:
    """A hub of gevent, as an event loop is to aio.Hub."""

    def __init__(self, hub: Any) -> None:
        self._hub = weakref.ref(hub)
        self._readers: dict[int, Any] = {}

    def add_reader(self, fd: int, callback: Callable[[], object]) -> Any:
        hub = self._hub()
        if hub is None:
            return None
        self._readers[fd] = reader = hub.loop.io(fd, 1)
        reader.start(callback)
        return reader

    def remove_reader(self, fd: int) -> None:
        reader = self._readers.pop(fd, None)
        if reader is not None:
            reader.stop()
            reader.close()

    def is_closed(self) -> bool:
        hub = self._hub()
        return hub is None or hub.loop is None

    def is_running(self) -> bool:
        """Whether it is another thread's, and must be told by a callback."""
        return self._hub() is not _existing_hub()

    def call_soon_threadsafe(self, function: Callable[..., object], *given: Any) -> None:
        hub = self._hub()
        if hub is not None and hub.loop is not None:
            hub.loop.run_callback_threadsafe(function, *given)


_loops: weakref.WeakKeyDictionary[Any, _Loop] = weakref.WeakKeyDictionary()


class _Waiter:
    """As a future is to aio.Hub, for one greenlet."""

    def __init__(self) -> None:
        self._end = sys.modules["gevent.event"].AsyncResult()

    def done(self) -> bool:
        return bool(self._end.ready())

    def cancelled(self) -> bool:
        return False

    def set_result(self, result: Any) -> None:
        self._end.set(result)

    go_on = set_result

    def set_exception(self, error: BaseException) -> None:
        self._end.set_exception(error)

    def wait(self, seconds: float | None) -> Any:
        """Its result; None if the time is over."""
        self._end.wait(seconds)
        return self._end.get(block=False) if self._end.ready() else None


class _Hub(aio.Hub):
    """All that the greenlets of one thread wait for in one arena."""

    def future(self) -> Any:
        loop: Any = self.loop()
        if not self.watched:
            self.watched, self.fd = True, self.fileno()
            self.reader = loop.add_reader(self.fd, self.look)
        return _Waiter()

    def look(self) -> None:
        if self.pid == os.getpid():
            super().look()
            return
        # A forked child has the parent's readers; a descriptor of its own may have the
        # number that this one had.
        self.reader.stop()

    def wait(self, what: Any, want: int, seconds: float | None) -> None:
        """Until `what` may be ready, or the time is over."""
        waiter: Any = self.expect(what, want)
        try:
            waiter.wait(seconds)
        except BaseException:  # it was killed: if it had been told, it is another's turn
            self.leave(what, want, waiter)
            raise
        if not waiter.done():
            self.leave(what, want, waiter)


def _existing_hub() -> Any:
    local = sys.modules.get("gevent._hub_local")
    return local.get_hub_if_exists() if local is not None else None


def here() -> bool:
    """Whether this is a greenlet beside which others may run. Without a hub there is none
    in this thread, and the hub itself cannot wait."""
    hub = _existing_hub()
    return hub is not None and sys.modules["gevent"].getcurrent() is not hub


def aside(function: Callable[[], Any]) -> Any:
    """Call it; in a real thread if this one is a greenlet, which others run beside. A
    worker of gunicorn is patched after the fork, when this package is long there, so it
    is asked each time."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return function()
    return sys.modules["gevent"].get_hub().threadpool.apply(function)


def forked() -> None:
    """For a child that was forked in C: its hub must not share the parent's descriptors.
    os.fork() does this by itself under gevent."""
    if _existing_hub() is not None:
        sys.modules["gevent"].reinit()


def _hub_of(arena: Arena) -> _Hub:
    importlib.import_module("gevent.event")  # perhaps this part is not loaded yet
    hub = _existing_hub()
    loop: Any = _loops.get(hub)
    if loop is None:
        loop = _loops[hub] = _Loop(hub)
    found = aio.hub_for(arena, loop, _Hub)
    assert isinstance(found, _Hub)
    return found


def pause(turn: int, seconds: float | None = None) -> None:
    """Let the others run where nothing tells when to go on: longer in each turn."""
    rest = min(_LONGEST, _SHORTEST * 2 ** min(turn, 8))
    sys.modules["gevent"].sleep(rest if seconds is None else min(rest, seconds))


def wait(what: Any, want: int, seconds: float | None, turn: int) -> bool:
    """For the extension: let the others run until it is worth to look again, at most so
    long. False: there are no others, so it may wait by itself."""
    if not here():
        return False
    if isinstance(what, _core.WaitSet | _core.Supervisor):
        _wait_for_fd(what.fileno(), seconds)
    elif isinstance(what, _WAITED_FOR):
        _hub_of(what.arena).wait(what, want, seconds)
    else:
        pause(turn, seconds)
    return True


def forget(wanted: _core.Wanted) -> None:
    """For the extension: a greenlet has its slot, or no longer wants one."""
    if here() and (hubs := wanted.arena._hubs):
        hub = hubs.get(_loops.get(_existing_hub()))
        if hub is not None and hub.pid == os.getpid():
            hub.forget(wanted)


def _wait_for_fd(fd: int, seconds: float | None) -> None:
    socket = importlib.import_module("gevent.socket")
    with contextlib.suppress(TimeoutError):
        socket.wait_read(fd, seconds)


def _ask(
    hub: _Hub, queue: ArenaQueue, obj: Any, until: float | None, at_once: bool
) -> tuple[int, Any]:
    """Send a request when there is room; while it waits it holds no slot."""
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        with queue._encode(obj, 0 if at_once else left) as message:
            try:
                left = None if until is None else max(0.0, until - time.monotonic())
                return hub.call(queue, message, left)
            except Full:
                if at_once:
                    raise
        if left == 0:
            detail = f"no room in queue {queue.name!r} in time"
            raise make_error(CODES["TR_ETIMEDOUT"], detail, "send")
        hub.wait(queue, aio.WRITABLE, left)


def call(queue: ArenaQueue, obj: Any, timeout: float | None, at_once: bool) -> Any:
    """aio.call() for a greenlet."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"the timeout is {timeout!r}; it must be 0 or more, or None")
    until = None if timeout is None else time.monotonic() + timeout
    hub = _hub_of(queue.arena)
    ticket, waiter = _ask(hub, queue, obj, until, at_once)
    try:
        failed, outcome = waiter.wait(None)
    finally:
        hub.give_up(ticket)  # nothing, if it has ended
    if not failed:
        return outcome
    try:
        raise outcome
    finally:
        del outcome, waiter  # or its traceback would keep itself alive
