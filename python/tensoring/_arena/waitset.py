# SPDX-License-Identifier: MIT
"""Wait sets: many channels and descriptors in one wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from tensoring import _core
from tensoring._arena.aio import READABLE
from tensoring._arena.board import Watch
from tensoring._arena.broadcast import Broadcast, Subscription
from tensoring._arena.channel import Channel
from tensoring._arena.queue import ArenaQueue
from tensoring._options import U32, U64, whole

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena


class WaitSet(Channel, _core.WaitSet):
    """Wait for many queues, broadcasts, subscriptions, watches and descriptors at once;
    itself a descriptor (`fileno`)."""

    _members: dict[int, Any]
    _next: int

    @classmethod
    def _of(cls, arena: Arena) -> Self:
        self = cls._open(arena)
        self._members, self._next = {}, 1
        return self._enter(arena)

    def add(
        self,
        what: ArenaQueue | Broadcast | Subscription | Watch | _core.Worker | int,
        want: int = READABLE,
    ) -> int:
        """Wait for a queue, a subscription, a watch or a descriptor, too. Returns the
        token to remove it by. A broadcast is WRITABLE when no subscriber that blocks is
        behind. In a worker of a Supervisor also for the Worker: it is
        READABLE when worker.stopping() is true. The supervisor's request wakes the set at
        once; it sees a dead master within 2 s."""
        whole("want", want, 0, U32)
        token = self._next
        self._next += 1
        if isinstance(what, int):
            self._add_fd(what, want, token)
        elif isinstance(what, _core.Worker):
            self._add_worker(what, token)
        else:
            self._add(what, want, token)
        self._members[token] = what
        return token

    def remove(self, token: int) -> None:
        """Wait for it no longer."""
        whole("token", token, 0, U64)
        self._remove(token)
        self._members.pop(token, None)

    def wait(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """Wait until something is ready, at most `timeout` seconds (None: forever; 0: not
        at all). A list of (what was added, READABLE, WRITABLE or HUNGUP); [] if the time
        is over. Any thread may wait; others may be faster, so receive with timeout=0."""
        return [
            (self._members[token], ready)
            for token, ready in self._wait(timeout)
            if token in self._members
        ]

    def _about(self) -> str:
        return f" of {len(self._members)}, {self.backend}"
