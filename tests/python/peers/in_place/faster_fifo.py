# SPDX-License-Identifier: MIT
"""faster-fifo's interface over tr.Queue, for its own tests.

Its queue is bounded by bytes, ours by objects: so many as would fill it if they had the
size of a small tuple."""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable
from typing import Any

import tensoring as tr

_WAIT = 10.0  # seconds, its default
_SMALL = 30  # bytes of a tuple of two small numbers there


class Queue:
    """Its methods and their defaults."""

    def __init__(
        self,
        max_size_bytes: int = 1000 * 1000,
        maxsize: int = int(1e9),
        loads: Callable[[Any], Any] | None = None,
        dumps: Callable[[Any], Any] | None = None,
    ) -> None:
        self.max_size_bytes = max_size_bytes
        self.maxsize = min(maxsize, max_size_bytes // _SMALL)
        self._loads, self._dumps = loads, dumps
        self._queue = tr.Queue(self.maxsize)
        self._closed = multiprocessing.RawValue(ctypes.c_bool, False)
        self.last_error: str | None = None

    def put_many(self, xs: list[Any], block: bool = True, timeout: float = _WAIT) -> None:
        if self._dumps is not None:
            xs = [self._dumps(x) for x in xs]
        self._queue.put_many(xs, block, timeout)

    def put(self, x: Any, block: bool = True, timeout: float = _WAIT) -> None:
        self.put_many([x], block, timeout)

    def put_many_nowait(self, xs: list[Any]) -> None:
        self.put_many(xs, block=False)

    def put_nowait(self, x: Any) -> None:
        self.put_many([x], block=False)

    def get_many(
        self,
        block: bool = True,
        timeout: float = _WAIT,
        max_messages_to_get: int = int(1e9),
    ) -> list[Any]:
        found = self._queue.get_many(max_messages_to_get, block, timeout)
        return found if self._loads is None else [self._loads(one) for one in found]

    def get_many_nowait(self, max_messages_to_get: int = int(1e9)) -> list[Any]:
        return self.get_many(False, max_messages_to_get=max_messages_to_get)

    def get(self, block: bool = True, timeout: float = _WAIT) -> Any:
        return self.get_many(block, timeout, 1)[0]

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def qsize(self) -> int:
        return self._queue.qsize()

    def data_size(self) -> int:
        return self.qsize() * _SMALL

    def empty(self) -> bool:
        return self._queue.empty()

    def full(self) -> bool:
        return self._queue.full()

    def close(self) -> None:
        self._closed.value = True

    def is_closed(self) -> bool:
        return bool(self._closed.value)
