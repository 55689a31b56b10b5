# SPDX-License-Identifier: MIT
"""Broadcasts, boards and wait sets of an arena."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tensoring import _core
from tensoring._aio import READABLE
from tensoring._channel import Channel, MessageReceiver, Named, Receiver
from tensoring._errors import NotFoundError
from tensoring._options import U32, U64, fit, flag, one_of, refuse, text, whole

if TYPE_CHECKING:
    from tensoring._arena import Arena, ArenaQueue


class Broadcast(Named, _core.Broadcast):
    """Each message to every subscriber, one copy for all of them."""

    _maker = "broadcast"

    @classmethod
    def _of(
        cls,
        arena: Arena,
        name: str,
        capacity: int,
        keep: int,
        max_subscribers: int,
        stamp: bool,
    ) -> Self:
        text("name", name)
        flag("stamp", stamp)
        fit(U32, capacity=capacity, keep=keep, max_subscribers=max_subscribers)
        self = cls._open(arena, name, capacity, keep, max_subscribers, int(stamp))
        return self._enter(arena)

    def subscribe(self, lag: str = "drop_oldest", last: int = 0) -> Subscription:
        """Become a subscriber, beginning with the `last` messages that are still there.

        lag says what happens when it is too far behind: publishers wait ("block"), it
        misses the oldest ("drop_oldest"), or it must subscribe again ("evict")."""
        return Subscription._of(self, lag, last)

    def _about(self) -> str:
        return f" {self.name!r}, {self.subscribers} subscribers"


class Subscription(MessageReceiver, _core.Subscription):
    """One place in a broadcast. Iteration, also `async for`, goes on over gaps (see
    `missed`) and ends when the broadcast is shut down."""

    @classmethod
    def _of(cls, broadcast: Broadcast, lag: str, last: int) -> Self:
        one_of("lag", lag, _core.LAGS)
        whole("last", last, 0, U32)
        return cls._open(broadcast, _core.LAGS[lag], last)._enter(broadcast.arena)

    def _about(self) -> str:
        return f", missed {self.missed}"


class Versioned(NamedTuple):
    """A value of a board, and its version."""

    value: Any
    version: int


class Watch(Receiver, _core.Watch):
    """Follows one key of a board: each receive gives the newest version after the last
    one that was received. Iteration, also `async for`, never ends by itself."""

    _key: str

    @classmethod
    def _of(cls, board: Board, key: str, newer_than: int) -> Self:
        whole("newer_than", newer_than, 0, U64)
        self = cls._open(board, text("key", key), newer_than)
        self._key = key
        return self._enter(board.arena)

    @property
    def key(self) -> str:
        """The key that it follows."""
        return self._key

    def receive(self, timeout: float | None = None) -> Versioned:
        """Wait for the next version, and get it."""
        return Versioned(*self._next(timeout))

    def _take(self, default: Any, /) -> Any:
        found = super()._take(default)
        return found if found is default else Versioned(*found)

    def _about(self) -> str:
        return f", of {self._key!r}"


class Board(Named, _core.Board, Mapping[str, Any]):
    """The newest value of each key, used like a dict. What a lookup gives is one version,
    read-only, and stays as it is whatever is put meanwhile."""

    _maker = "board"

    @classmethod
    def _of(cls, arena: Arena, name: str, capacity: int) -> Self:
        text("name", name)
        fit(U32, capacity=capacity)
        return cls._open(arena, name, capacity)._enter(arena)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._get(key)[0]
        except NotFoundError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        try:
            self._delete(key)
        except NotFoundError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key in self._keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def put(
        self,
        key: str,
        value: Any,
        expected: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Make `value` the newest of `key`; its version. With `expected`, only if that is
        the version now (0: never put); StaleError if not. Waits `timeout` seconds for a
        free slot, None for ever; SendTimedOutError then."""
        return self._put(key, value, expected, timeout)

    def versioned(self, key: str) -> Versioned:
        """The value and its version."""
        try:
            return Versioned(*self._get(key))
        except NotFoundError:
            raise KeyError(key) from None

    def version(self, key: str) -> int:
        """The version of `key`, 0 if it was never put."""
        return self._version(key)

    def wait(
        self, key: str, newer_than: int = 0, timeout: float | None = None
    ) -> Versioned:
        """Wait for a value of `key` that is newer than a version, and get it."""
        return Versioned(*self._wait(key, newer_than, timeout))

    async def wait_async(self, key: str, newer_than: int = 0) -> Versioned:
        """Wait for it in an event loop."""
        with self.watch(key, newer_than) as watch:
            found: Versioned = await watch.receive_async()
        return found

    def watch(self, key: str, newer_than: int = 0) -> Watch:
        """Follow the versions of `key` that are newer than one."""
        return Watch._of(self, key, newer_than)

    def get_many(self, keys: Iterable[str]) -> dict[str, Versioned]:
        """The values of `keys` as they were at one instant: no put came between them.
        Those that have no value are left out."""
        if not isinstance(keys, Iterable):
            refuse(TypeError, "keys", keys, "give a list of keys, each a str")
        names = list(dict.fromkeys(keys))
        found = zip(names, self._get_many(names), strict=True)
        return {name: Versioned(*one) for name, one in found if one is not None}

    def _about(self) -> str:
        return f" {self.name!r}, {len(self)} keys"


class WaitSet(Channel, _core.WaitSet):
    """Wait for many queues and descriptors at once; itself a descriptor (`fileno`)."""

    _members: dict[int, Any]
    _next: int

    @classmethod
    def _of(cls, arena: Arena) -> Self:
        self = cls._open(arena)
        self._members, self._next = {}, 1
        return self._enter(arena)

    def add(
        self, what: ArenaQueue | Subscription | Watch | int, want: int = READABLE
    ) -> int:
        """Wait for a queue, a subscription, a watch or a descriptor, too. Returns the
        token to remove it by."""
        whole("want", want, 0, U32)
        token = self._next
        self._next += 1
        if isinstance(what, int):
            self._add_fd(what, want, token)
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
        """What is ready, with READABLE, WRITABLE or HUNGUP; [] if the time is over."""
        return [
            (self._members[token], ready)
            for token, ready in self._wait(timeout)
            if token in self._members
        ]

    def _about(self) -> str:
        return f" of {len(self._members)}, {self.backend}"
