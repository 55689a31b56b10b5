# SPDX-License-Identifier: MIT
"""How fast the requests of a queue are taken: when a client may try again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tensoring._errors import BusyError

if TYPE_CHECKING:
    from tensoring._arena.queue import ArenaQueue

UNKNOWN = BusyError.retry_after  # until two looks have told
_EVERY, _WINDOW = 0.5, 10.0  # seconds between two looks, and that count
_LEAST, _MOST = 0.05, 60.0


class Pace:
    """What this process has seen of a queue when it was full. Any thread may ask: what
    was seen is replaced as a whole."""

    def __init__(self) -> None:
        self._seen: tuple[tuple[float, int], ...] = ()  # when, and how many were taken

    def retry_after(self, queue: ArenaQueue) -> float:
        """Seconds until what is in the queue will have been taken."""
        now, seen = time.monotonic(), self._seen
        if not seen or now - seen[-1][0] >= _EVERY:
            seen = (*seen, (now, _taken(queue)))
            seen = self._seen = tuple(one for one in seen if now - one[0] <= _WINDOW)
        return _estimate(seen, len(queue))


def _estimate(seen: tuple[tuple[float, int], ...], depth: int) -> float:
    """For a queue with so many requests in it."""
    if len(seen) < 2:
        return UNKNOWN
    (start, before), (end, after) = seen[0], seen[-1]
    if after <= before:  # nobody takes any: wait as long again
        return min(_MOST, max(UNKNOWN, end - start))
    return min(_MOST, max(_LEAST, depth * (end - start) / (after - before)))


def _taken(queue: ArenaQueue) -> int:
    for one in queue.arena._channels():
        if one["kind"] == "queue" and one["name"] == queue.name:
            return int(one["received"])
    return 0
