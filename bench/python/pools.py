# SPDX-License-Identifier: MIT
"""What a job of a pool costs when there is next to nothing to do in it."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np

import tensoring as tr
from cases import interleave

NUMBERS = list(range(1000))


def same(x: Any) -> Any:
    return x


def jobs(seconds: float) -> dict[str, list[float]]:
    """Each call of a pool of 4 workers: a thousand numbers, one a job and cut as the pool
    likes; a single call; eight times an array of 1 MiB there and back."""
    arrays = [np.full(131072, float(i)) for i in range(8)]
    pools = {
        "multiprocessing.Pool": multiprocessing.Pool(4),
        "tensoring.Pool": tr.Pool(4, threads=None),
    }
    calls: dict[str, Callable[[], object]] = {}
    for name, pool in pools.items():
        part: Any = functools.partial
        calls[f"1000 jobs, {name}"] = part(pool.map, same, NUMBERS, 1)
        calls[f"1000 numbers, {name}"] = part(pool.map, same, NUMBERS)
        calls[f"1 call, {name}"] = part(pool.apply, same, (1,))
        calls[f"8 x 1 MiB, {name}"] = part(pool.map, same, arrays, 1)
    try:
        for _ in range(20):  # until the slots have been used
            calls["8 x 1 MiB, tensoring.Pool"]()
        return interleave(calls, seconds)
    finally:
        for pool in pools.values():
            pool.terminate()
