# SPDX-License-Identifier: MIT
"""Objects on a board, each in a cell that is used again when the object is gone.

A board never forgets a key, so keys cannot be the names of objects that come and go."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tensoring._errors import (
    CODES,
    Error,
    NotFoundError,
    SendTimedOutError,
    StaleError,
)

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena

_IDENTITY = "identity"  # the key of the board that tells arenas of one name apart
_POLL = 0.002  # seconds between looks for a free cell


class Cells:
    """Objects on a board. A key is put when its version is even, and deleted when it is
    odd: so the version alone says whether a cell is free.

    The first process of an arena waits `timeout` seconds for a slot for the identity."""

    def __init__(
        self, arena: Arena, board: str, objects: int, timeout: float | None
    ) -> None:
        self.arena = arena
        self.board = arena.board(board, objects)
        self.count = self.board.capacity - 1  # the identity takes one
        self.identity = self._identify(timeout)
        self._next = random.randrange(self.count)
        self._freed: list[int] = []  # here, so they are tried first

    def _identify(self, timeout: float | None) -> str:
        if self.board.version(_IDENTITY) == 0:  # a put takes a slot: there may be none
            with contextlib.suppress(StaleError):  # another process was faster
                self.board.put(_IDENTITY, os.urandom(16), 0, timeout)
        found: bytes = self.board[_IDENTITY]
        return found.hex()

    def _candidates(self, first: int | None) -> Iterator[int]:
        if first is not None:
            yield first
        while self._freed:
            with contextlib.suppress(IndexError):  # another thread was faster
                yield self._freed.pop()
        for _ in range(self.count):
            self._next = (self._next + 1) % self.count
            yield self._next

    def put(
        self, message: Any, timeout: float | None, first: int | None = None
    ) -> tuple[int, int]:
        """Put a loaned message into a free cell, the `first` one if that is free: the
        cell and its version."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            for cell in self._candidates(first):
                version = self.board._version(str(cell))
                if version % 2:
                    continue
                try:
                    return cell, self.board._put_message(str(cell), message, version)
                except StaleError:
                    continue  # another process was faster
            if end is not None and time.monotonic() >= end:
                raise _full(self.count, timeout)
            time.sleep(_POLL)

    def get(self, cell: int, version: int) -> Any:
        """The array that looks into the slot, or None."""
        try:
            array, found = self.board._get(str(cell))
        except NotFoundError:
            return None
        return array if found == version else None

    def delete(self, cell: int, version: int) -> None:
        """Free the cell, if it has that version still."""
        try:
            self.board._delete(str(cell), version)
        except (NotFoundError, StaleError):
            return
        if len(self._freed) < self.count:
            self._freed.append(cell)

    def live(self) -> list[tuple[int, int]]:
        """The cells with objects, and their versions."""
        cells = [int(key) for key in self.board if key != _IDENTITY]
        pairs = [(cell, self.board._version(str(cell))) for cell in cells]
        return [pair for pair in pairs if pair[1] % 2]

    def clear(self) -> int:
        """Free all of them; how many there were."""
        found = self.live()
        for cell, version in found:
            self.delete(cell, version)
        return len(found)


def _full(count: int, timeout: float | None) -> Error:
    error = SendTimedOutError(
        f"put: all {count} places for objects were taken for {timeout} s: evict some, or"
        " give the first connector of the arena a larger number of objects="
    )
    error.code = CODES["TR_ETIMEDOUT"]
    return error
