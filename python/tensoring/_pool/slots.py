# SPDX-License-Identifier: MIT
"""The shared memory of a pool: one arena for the jobs, one for the results."""

from __future__ import annotations

from collections.abc import Iterable

from tensoring._arena.arena import Arena
from tensoring._options import pairs
from tensoring._standin.memory import standin_arena

SLOTS = [(64 << 10, 1024), (16 << 20, 256), (1 << 30, 32)]
JOBS = 16384  # that may wait in a queue
MOST_WORKERS = 224  # an arena has 256 participants; those that end and the master count


def arena_of(
    slots: Iterable[tuple[int, int]] | None, memory_bytes: int | None, workers: int
) -> Arena:
    """One of the two. `memory_bytes` is the limit of both together."""
    classes = SLOTS if slots is None else pairs(slots)
    return standin_arena(
        None if classes == SLOTS else classes,
        SLOTS,
        memory_bytes=memory_bytes,
        arenas=2,
        participants=min(256, 64 + workers),
        capacity=JOBS,
    )
