# SPDX-License-Identifier: MIT
"""The memory of a stand-in: room for large objects that costs what is in it.

Its arenas are elastic: a slot is a window in the address space, and has the pages that
its message needs. So there are few sizes with large windows."""

from __future__ import annotations

import math
import resource
from collections.abc import Iterable

from tensoring._arena.arena import Arena
from tensoring._errors import TooLargeError
from tensoring._options import U64, whole

Slots = list[tuple[int, int]]

PARTICIPANTS = 256
_PART = 8  # windows take this part of what RLIMIT_AS leaves; they are mapped twice
_LEAST = 1 << 20
_BEHIND = 4 << 10  # what else there is of a queue
_WARM = 16 << 20  # what free slots keep, at most


def _windows(slots: Slots) -> int:
    return sum(size * count for size, count in slots)


def fit(slots: Slots, limit: int) -> Slots:
    """The same with smaller windows, and fewer of the large ones, until all together
    take at most `limit` bytes of the address space."""
    found = sorted(slots)
    while _windows(found) > limit:
        size, count = max(found, key=lambda one: one[0] * one[1])
        if count > 4:
            changed = (size, count // 2)
        elif size > _LEAST:
            changed = (size // 2, count)
        else:
            break
        found[found.index((size, count))] = changed
    return merge(found)


def merge(slots: Slots) -> Slots:
    """One entry for each size."""
    counts: dict[int, int] = {}
    for size, count in slots:
        counts[size] = counts.get(size, 0) + count
    return sorted(counts.items())


def _limit_of(which: int) -> float:
    limit = resource.getrlimit(which)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


def address_space(arenas: int) -> int | None:
    """What the windows of each of so many arenas may take; None: there is no limit. It is
    a part of what is left: so many queues fit beside each other. They lie in a file,
    which has holes, but a length."""
    left = max(0, _limit_of(resource.RLIMIT_AS) - _mapped())
    limit = min(left / _PART / arenas, _limit_of(resource.RLIMIT_FSIZE) / 2)
    return None if limit == math.inf else int(limit)


def _mapped() -> int:
    """What this process has mapped; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _part_of(memory_bytes: int | None, arenas: int) -> int:
    """The limit of one of so many arenas, in bytes; 0: none."""
    if memory_bytes is None:
        return 0
    least = arenas * resource.getpagesize()
    most = whole("memory_bytes", memory_bytes, least, U64, ", or None for no limit")
    return most // arenas


def name_share(error: BaseException, memory_bytes: int | None) -> BaseException:
    """For an arena that has half of a limit: name the limit that its user gave."""
    if memory_bytes is not None and isinstance(error, TooLargeError) and error.args:
        text = f"half of memory_bytes={memory_bytes}"
        text += ": the calls have one half, the results the other"
        limit = f"limit is {memory_bytes // 2} "
        error.args = (
            str(error.args[0]).replace(f"{limit}(memory_bytes)", f"{limit}({text})"),
            *error.args[1:],
        )
    return error


def standin_arena(
    slots: Iterable[tuple[int, int]] | None,
    default: Slots,
    *,
    memory_bytes: int | None = None,
    arenas: int = 1,
    participants: int = PARTICIPANTS,
    capacity: int,
) -> Arena:
    """An arena of a stand-in that has `arenas` of them: any object may go through it.
    It has room for one queue of `capacity` messages. `memory_bytes` is the limit in bytes
    of all of them together."""
    part = _part_of(memory_bytes, arenas)
    limit = address_space(arenas)
    if slots is None:
        slots = default if limit is None else fit(default, limit)
    return Arena(
        slots,
        elastic=True,
        memory_bytes=part,
        warm_bytes=min(part // 4, _WARM) or _WARM,
        allow_pickle=True,
        max_participants=participants,
        pins=1,
        max_channels=2,
        ring_bytes=8 * capacity + _BEHIND,
    )
