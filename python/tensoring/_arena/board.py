# SPDX-License-Identifier: MIT
"""Boards: the newest value of each key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tensoring import _core
from tensoring._arena import aio, greenlets
from tensoring._arena.channel import Named, Receiver
from tensoring._errors import NotFoundError
from tensoring._options import U32, U64, fit, refuse, text, whole

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena


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
        """Wait for the next version, and get it: seconds, None waits forever.
        ReceiveTimedOutError then."""
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
        free slot, None forever; SendTimedOutError then."""
        return self._put(key, value, expected, timeout)

    async def put_async(self, key: str, value: Any, expected: int | None = None) -> int:
        """Put in an event loop: as put(), and other tasks run while no slot is free. A
        cancelled call has put nothing."""
        with await aio.encode(self.arena, value, self) as message:
            return self._put_message(key, message, expected)

    def close(self) -> None:
        """Forget this handle; the board stays. A put that waits for a slot ends."""
        super().close()
        aio.closed(self._arena, self)

    def versioned(self, key: str) -> Versioned:
        """The value and its version; KeyError if it was never put."""
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
        """Wait for a value of `key` that is newer than the version `newer_than`, and get
        it; `timeout` seconds, None waits forever; ReceiveTimedOutError then."""
        if greenlets.here():
            with self.watch(key, newer_than) as watch:
                return watch.receive(timeout)
        return Versioned(*self._wait(key, newer_than, timeout))

    async def wait_async(self, key: str, newer_than: int = 0) -> Versioned:
        """Wait for a newer value in an event loop; asyncio.timeout() ends it."""
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
