# SPDX-License-Identifier: MIT
"""Waits of trio's tasks, also under anyio.

As in asyncio, a run watches the descriptor of one wait set for each arena, and any number
of tasks may wait. Here a system task of trio watches it."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from tensoring._arena import aio

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena

T = TypeVar("T")


def _trio() -> Any:
    return sys.modules["trio"]


class _Loop:
    """A run of trio, as an event loop is to aio.Hub."""

    def __init__(self, token: Any) -> None:
        self._token = weakref.ref(token)
        self._readers: dict[int, Callable[[], object]] = {}
        self._over = False

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self._readers[fd] = callback
        _trio().lowlevel.spawn_system_task(self._watch, fd, callback)

    def remove_reader(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            _trio().lowlevel.notify_closing(fd)

    async def _watch(self, fd: int, callback: Callable[[], object]) -> None:
        trio = _trio()
        try:
            with contextlib.suppress(trio.ClosedResourceError):
                while self._readers.get(fd) is callback:
                    await trio.lowlevel.wait_readable(fd)
                    callback()
        except trio.Cancelled:  # the run ends
            self._over = True
            raise

    def is_closed(self) -> bool:
        return self._over or self._token() is None

    def is_running(self) -> bool:
        """Whether it is another thread's, and must be told by a callback."""
        return self._token() is not _token()

    def call_soon_threadsafe(self, function: Callable[..., object], *given: Any) -> None:
        token = self._token()
        with contextlib.suppress(_trio().RunFinishedError):
            if token is not None:
                token.run_sync_soon(function, *given)


_loops: weakref.WeakKeyDictionary[Any, _Loop] = weakref.WeakKeyDictionary()


class _Waiter:
    """As a future is to aio.Hub, for one task."""

    def __init__(self) -> None:
        self._event = _trio().Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return bool(self._event.is_set())

    def cancelled(self) -> bool:
        return False

    def set_result(self, result: Any) -> None:
        self._result = result
        self._event.set()

    go_on = set_result

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._event.set()

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._event.wait().__await__()
        if self._error is not None:
            raise self._error
        return self._result


class _Hub(aio.Hub):
    """All that the tasks of one run wait for in one arena."""

    def future(self) -> Any:
        loop: Any = self.loop()
        if not self.watched:
            self.watched, self.fd = True, self.fileno()
            loop.add_reader(self.fd, self.look)
        return _Waiter()

    def now(self) -> float:
        return float(_trio().current_time())

    async def within(self, deadline: float, work: Awaitable[T]) -> T:
        with _trio().move_on_at(deadline):
            return await work
        raise aio.Late


def _token() -> Any:
    try:
        return _trio().lowlevel.current_trio_token()
    except RuntimeError:  # no run in this thread
        return None


def hub(arena: Arena) -> aio.Hub | None:
    """The hub of the run that this task is in, if it is trio's."""
    token = _token()
    if token is None:
        return None
    loop: Any = _loops.get(token)
    if loop is None:
        loop = _loops[token] = _Loop(token)
    return aio.hub_for(arena, loop, _Hub)
