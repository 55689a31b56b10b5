# SPDX-License-Identifier: MIT
"""Waiting in an event loop, by the pollable descriptor of a wait set: no thread.

A task that waits is only told that there may be something; it takes it itself, and
returns it without another await. So a cancelled receive has taken nothing."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import itertools
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tensoring import _core
from tensoring._errors import CODES, Error, Full, make_error

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena
    from tensoring._arena.board import Board
    from tensoring._arena.broadcast import Broadcast
    from tensoring._arena.queue import ArenaQueue

READABLE, WRITABLE = _core.WAIT_READABLE, _core.WAIT_WRITABLE
HUNGUP = _core.WAIT_HUNGUP
_NOTHING = object()
_T = TypeVar("_T")


class _Waiter(asyncio.Future[Any]):
    """A future that one task awaits, and that can let it go on at once instead of in the
    next round of the loop: a round is a sixth of the way from the sender to here."""

    turn = 0  # the first that came goes first
    _then: tuple[Callable[[Any], object], Context] | None = None

    def add_done_callback(
        self, fn: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        self._then = (fn, context) if context is not None else None
        super().add_done_callback(fn, context=context)

    def go_on(self, result: Any) -> None:
        """Nothing may be left to do for the caller: the task may do anything."""
        if self._then is None:
            self.set_result(result)
            return
        fn, context = self._then
        self.remove_done_callback(fn)
        self.set_result(result)
        context.run(fn, self)


class Late(TimeoutError):
    """Hub.within() has ended what took too long."""


class _Door:
    """The tasks that wait for one thing, in turn."""

    def __init__(self, what: Any, want: int, token: int) -> None:
        self.what, self.want, self.token = what, want, token
        self.known = what  # by this
        self.waiters: deque[_Waiter] = deque()

    def next(self) -> _Waiter | None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def tell(self) -> None:
        if waiter := self.next():
            waiter.set_result(None)


def _needs(
    wanted: _core.Wanted,
) -> tuple[_core.Queue | _core.Broadcast | _core.Board | None, bytes]:
    """Loans that need the same wait at one door."""
    return wanted.channel, wanted.key


class Hub(_core.WaitSet):
    """All that the coroutines of one loop wait for in one arena.

    The loop watches the descriptor while there are any. It stays readable until a look
    has found nothing, so to wait again costs no system call: the look that comes arms it.
    What nobody waits for any more is taken out before, or its messages would wake us
    instead of others."""

    @classmethod
    def made(cls, arena: Arena, loop: asyncio.AbstractEventLoop, hubs: Hubs) -> Self:
        """The hub of a loop, which the arena closes, too."""
        self = cls._open(arena)
        self._begin(loop, hubs)
        hubs[loop] = self
        arena._handles().add(self)
        return self

    def _begin(self, loop: asyncio.AbstractEventLoop, hubs: Hubs) -> None:
        self.loop = weakref.ref(loop)
        self.hubs = hubs
        self.pid = os.getpid()
        self.watched = self.armed = False
        self.doors: dict[int, _Door] = {}
        self.of: dict[tuple[Any, int], _Door] = {}
        self.idle: set[_Door] = set()
        self.tokens, self.turns = itertools.count(1), itertools.count(1)
        self.calls: dict[int, _Waiter] = {}
        self.late = False  # replies to calls that were given up may come

    # ---- waiting

    def expect(self, what: Any, want: int = READABLE) -> _Waiter:
        """Fulfilled when `what` may be ready. See leave()."""
        door = self.door(what, want) or self.open(what, want)
        self.idle.discard(door)
        waiter = self.future()
        waiter.turn = next(self.turns)
        door.waiters.append(waiter)
        return waiter

    def door(self, what: Any, want: int) -> _Door | None:
        known = _needs(what) if isinstance(what, _core.Wanted) else what
        return self.of.get((known, want))

    def leave(self, what: Any, want: int, waiter: _Waiter) -> None:
        """It was cancelled. If it had been told, it is somebody else's turn."""
        door = self.door(what, want)
        if door is None or self.closed:
            return
        if waiter in door.waiters:
            door.waiters.remove(waiter)
        elif not waiter.cancelled():
            door.tell()
        if not door.waiters:
            self.shut(door)

    async def ready(self, what: Any, want: int = READABLE) -> None:
        waiter = self.expect(what, want)
        try:
            await waiter
        except BaseException:  # it was cancelled: trio has an exception of its own for it
            self.leave(what, want, waiter)
            raise

    def future(self) -> _Waiter:
        loop = asyncio.get_running_loop()
        if not self.watched:
            self.watched, self.fd = True, self.fileno()
            loop.add_reader(self.fd, self.look)
        return _Waiter(loop=loop)

    def now(self) -> float:
        """The loop's clock."""
        return asyncio.get_running_loop().time()

    async def within(self, deadline: float, work: Awaitable[_T]) -> _T:
        """What `work` gives; Late if it is not done by then. The timer of a loop may be
        early, so its clock does not tell."""
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                return await work
        except TimeoutError:
            if limit.expired():
                raise Late from None
            raise

    # ---- what is in the set

    def open(self, what: Any, want: int) -> _Door:
        door = _Door(what, want, next(self.tokens))
        if what is None:
            self._add_replies(door.token)
        elif isinstance(what, _core.Wanted):
            self._add_wanted(what, door.token)
            door.known = _needs(what)
        else:
            self._add(what, want, door.token)
        self.doors[door.token] = self.of[door.known, want] = door
        return door

    def shut(self, door: _Door) -> None:
        self.idle.discard(door)
        if self.doors.pop(door.token, None):
            del self.of[door.known, door.want]
            with contextlib.suppress(Error):  # the next look tells
                self._remove(door.token)

    def forget(self, wanted: _core.Wanted) -> None:
        """It has its slot, or no longer wants one. If there is another slot, another one
        that waits is told."""
        door = self.door(wanted, WRITABLE)
        if door is not None and not door.waiters and not self.closed:
            self.shut(door)

    def drop(self, what: Any) -> None:
        """It was closed: each task that waits for it, or for a slot for it, finds that
        out."""
        for door in [] if self.closed else list(self.doors.values()):
            wanted = isinstance(door.what, _core.Wanted)
            if door.what is what or (wanted and door.what.channel is what):
                while door.waiters:
                    door.tell()
                self.shut(door)

    # ---- the descriptor is readable

    def look(self) -> None:
        if self.closed:
            self.close()
            return
        told: list[tuple[_Waiter, Any]] = []
        try:
            self.see(told)
        except Error as error:
            for waiter, result in told:
                waiter.set_result(result)
            self.end(error)
            return
        for waiter, result in told[:-1]:
            waiter.set_result(result)
        if told:
            told[-1][0].go_on(told[-1][1])

    def see(self, told: list[tuple[_Waiter, Any]]) -> None:
        """Which task goes on, and with what."""
        if len(self.idle) == len(self.doors):
            self.rest()
            return
        while self.idle:
            self.shut(next(iter(self.idle)))
        events = self._wait(0)
        self.armed = not events
        slots: list[_Door] = []  # where one is waited for
        for token, _ in events:
            door = self.doors[token]
            if isinstance(door.what, _core.Wanted):
                if door.waiters:
                    slots.append(door)
                else:  # its task was told, and has not gone on yet
                    self.idle.add(door)
                continue
            if door.what is None:
                self.take_replies(told)
            elif waiter := door.next():
                told.append((waiter, None))
            if not door.waiters and door.what is not None:
                self.idle.add(door)
        for door in sorted(slots, key=lambda door: door.waiters[0].turn):
            # The first in line takes one; the next look tells whether there is another.
            if waiter := door.next():
                told.append((waiter, None))
                break

    def rest(self) -> None:
        """Nobody waits. Unless it is armed, senders pass us by."""
        loop = self.loop()
        if loop is not None and self.watched and self.pid == os.getpid():
            loop.remove_reader(self.fd)
        self.watched = False
        while self.armed and self.doors and not self.closed:
            self.shut(next(iter(self.doors.values())))

    def close(self) -> None:
        """The arena is being closed."""
        loop = self.loop()
        if loop is None or loop.is_closed() or self.pid != os.getpid():
            super().close()
        elif loop is not asyncio._get_running_loop() and loop.is_running():
            loop.call_soon_threadsafe(self.close)
        else:
            self.end(None)

    def end(self, error: Error | None) -> None:
        """Runs in the loop's thread. Each task that waits is told why: the arena is being
        closed, or it has come to harm, or was taken for dead. The next that waits gets
        another hub."""
        waiters = [waiter for door in self.doors.values() for waiter in door.waiters]
        self.rest()
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(copy.copy(error))  # each has a traceback
        why = error or make_error(CODES["TR_ECLOSED"], "the arena was closed", "call")
        for call in self.calls.values():
            if not call.done():
                call.set_result((True, copy.copy(why)))
        super().close()
        # Waiters know their loop: it must not live as long as the arena object does.
        for known in (self.doors, self.of, self.idle, self.calls):
            known.clear()
        loop = self.loop()
        if loop is not None and self.hubs.get(loop) is self:
            del self.hubs[loop]

    # ---- calls

    def call(
        self, queue: ArenaQueue, message: _core.Message, timeout: float | None
    ) -> tuple[int, _Waiter]:
        """Send a request: its ticket; and its end, which is whether it failed, and the
        reply or why. Full if there is no room."""
        self.idle.discard(self.of.get((None, READABLE)) or self.open(None, READABLE))
        waiter = self.future()
        try:
            with _lock:
                ticket = queue._begin(message, timeout)
                self.calls[ticket] = waiter
        finally:
            self.calm()
        return ticket, waiter

    def give_up(self, ticket: int) -> None:
        with _lock:
            if self.calls.pop(ticket, None) is not None and not self.closed:
                self.late = True
                with contextlib.suppress(Error):  # the next look tells
                    self._cancel(ticket)

    def take_replies(self, told: list[tuple[_Waiter, Any]]) -> None:
        with _lock:
            while end := self._reply_next():
                ticket, failed, outcome = end
                if waiter := self.calls.pop(ticket, None):
                    if not waiter.done():
                        told.append((waiter, (failed, outcome)))
                    continue
                for hub in self.hubs.values():  # a loop in another thread asked
                    loop = hub.loop()
                    if ticket in hub.calls and loop is not None:
                        loop.call_soon_threadsafe(hub.hand, ticket, (failed, outcome))
        self.calm()

    def hand(self, ticket: int, outcome: tuple[bool, Any]) -> None:
        waiter = self.calls.pop(ticket, None)
        if waiter and not waiter.done():
            waiter.set_result(outcome)
        self.calm()

    def calm(self) -> None:
        door = self.of.get((None, READABLE))
        if door and not self.calls and not self.late:
            self.idle.add(door)


Hubs = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]


# What several loops see: the hubs of an arena, and which one asked. A reply may come to
# another loop than the one that asked.
_lock = threading.RLock()


def _forked() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forked)


def hub_of(arena: Arena) -> Hub:
    """The running loop's."""
    if "trio" in sys.modules and asyncio._get_running_loop() is None:
        trios = importlib.import_module("tensoring._arena.trios")
        found: Hub | None = trios.hub(arena)
        if found is not None:
            return found
    return hub_for(arena, asyncio.get_running_loop(), Hub)


def hub_for(arena: Arena, loop: asyncio.AbstractEventLoop, kind: type[Hub]) -> Hub:
    """The hub of a loop in an arena, made at the first call."""
    hub = arena._hubs.get(loop) if arena._hubs else None
    if hub is not None and not hub.closed and hub.pid == os.getpid():
        return hub
    with _lock:
        if arena._hubs is None:
            arena._hubs = weakref.WeakKeyDictionary()
        return kind.made(arena, loop, arena._hubs)


def closed(arena: Arena, what: Any) -> None:
    """Tell the tasks that wait for it, in whatever loop."""
    with _lock:
        hubs = list((arena._hubs or {}).values())
    for hub in hubs:
        loop = hub.loop()
        if loop is None or loop.is_closed() or hub.pid != os.getpid():
            continue
        if loop is asyncio._get_running_loop():
            hub.drop(what)
        else:
            loop.call_soon_threadsafe(hub.drop, what)


# ---- what is awaited


async def take(what: Any, attempt: Callable[[Any], Any]) -> Any:
    """What attempt(default) gives, once that is not the default."""
    while (found := attempt(_NOTHING)) is _NOTHING:
        await hub_of(what.arena).ready(what)
    return found


async def encode(
    arena: Arena, obj: Any, channel: ArenaQueue | Broadcast | Board | None = None
) -> _core.Message:
    """A message of `obj`, when there is a slot for it. ClosedError when the channel that
    it is for is shut down, ValueError when it is closed."""
    what = arena if channel is None else channel
    found = what._encode_now(obj)
    while isinstance(found, _core.Wanted):
        wanted, hub = found, hub_of(arena)
        try:
            await hub.ready(wanted, WRITABLE)
            found = what._encode_now(obj)
        finally:
            hub.forget(wanted)
    return found


async def send(
    channel: ArenaQueue | Broadcast,
    obj: Any,
    hand: Callable[[_core.Message, float], None],
) -> None:
    """Hand a message of `obj` over when there is a slot for it, and room. While it waits
    for room it holds no slot."""
    while True:
        with (
            await encode(channel.arena, obj, channel) as message,
            contextlib.suppress(Full),
        ):
            hand(message, 0)
            return
        await hub_of(channel.arena).ready(channel, WRITABLE)


async def _send(
    hub: Hub, queue: ArenaQueue, obj: Any, deadline: float | None
) -> tuple[int, _Waiter]:
    """Hub.call(), when there is room; while it waits it holds no slot."""
    while True:
        if len(queue) < queue.capacity:
            with (
                await encode(queue.arena, obj, queue) as message,
                contextlib.suppress(Full),
            ):
                left = deadline and max(0.0, deadline - hub.now())
                return hub.call(queue, message, left)
        await hub.ready(queue, WRITABLE)


async def _ask(
    hub: Hub, queue: ArenaQueue, obj: Any, timeout: float | None, at_once: bool
) -> tuple[int, _Waiter]:
    """Send a request, in time; at_once: Full if it would have to wait for room."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"the timeout is {timeout!r}; it must be 0 or more, or None")
    if at_once:
        with queue.arena._encode(obj, 0) as message:
            return hub.call(queue, message, timeout)
    if timeout is None:
        return await _send(hub, queue, obj, None)
    deadline = hub.now() + timeout
    try:
        return await hub.within(deadline, _send(hub, queue, obj, deadline))
    except Late:
        detail = f"no room in queue {queue.name!r}, or no free slot, within {timeout} s"
        raise make_error(CODES["TR_ETIMEDOUT"], detail, "send") from None


async def call(queue: ArenaQueue, obj: Any, timeout: float | None, at_once: bool) -> Any:
    """Ask, and wait for the answer, or for the request to end at its deadline. A
    cancelled call is given up."""
    hub = hub_of(queue.arena)
    ticket, waiter = await _ask(hub, queue, obj, timeout, at_once)
    try:
        failed, outcome = await waiter
    finally:
        hub.give_up(ticket)  # nothing, if it has ended
    if not failed:
        return outcome
    try:
        raise outcome
    finally:
        del outcome, waiter  # or its traceback would keep itself alive
