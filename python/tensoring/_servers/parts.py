# SPDX-License-Identifier: MIT
"""Which part of the plan each worker of a server has."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tensoring._workers.plan import Plan, thread_enter


class Parts:
    """While old and new workers live side by side, each part has one of both."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self._parts: weakref.WeakKeyDictionary[Hashable, int] = (
            weakref.WeakKeyDictionary()
        )

    def assign(self, worker: Hashable, living: Iterable[Hashable]) -> None:
        """The first of the parts that the fewest living workers have."""
        if self.plan is None:
            return
        taken = Counter(self._parts[one] for one in living if one in self._parts)
        self._parts[worker] = min(range(len(self.plan)), key=lambda part: taken[part])

    def part(self, worker: Hashable) -> int | None:
        """The part of a worker that got one."""
        return self._parts.get(worker)

    def enter(self, worker: Any) -> None:
        """Give the worker its cores, and thread counts for BLAS and OpenMP."""
        part = self._parts.get(worker)
        if self.plan is not None and part is not None:
            self.plan.enter(part)
            _limit_pool(worker)


def _limit_pool(worker: Any) -> None:
    """Limit gunicorn's gthread: a thread count is a thread's own in OpenMP."""
    made = getattr(type(worker), "get_thread_pool", None)
    if getattr(made, "__module__", None) != "gunicorn.workers.gthread":
        return  # it has no pool, or one of the user's

    def get_thread_pool() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(worker.cfg.threads, initializer=thread_enter)

    worker.get_thread_pool = get_thread_pool
