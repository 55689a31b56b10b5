# SPDX-License-Identifier: MIT
"""Cores and threads for workers: a plan made once, before the fork, entered by each."""

from __future__ import annotations

import os
from typing import Self

from tensoring import _core
from tensoring._options import U32, flag, one_of, whole
from tensoring.reports import Entered, Part

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def tell_environment(threads: int, place: str | None = None) -> None:
    """Python keeps its own copy of the environment, which C cannot reach."""
    for name in _THREADS:
        os.environ[name] = str(threads)
    if place is not None:
        os.environ["TENSORING_WORKER"] = place


class Plan:
    """The allowed cores, cut into `workers` sets that lie close in cache.

    Make it in the master, before anything is bound; each worker calls enter(index).

    policy: "compact": neighbours get neighbouring cores; "spread": consecutive workers
    lie on different L3 caches and memory nodes; "one_node": no worker on more than one
    memory node; "bandwidth": as one_node, the cores from many L3 caches.
    reserve_cores: cores that are left free for the rest.
    cores_per_worker: an upper bound for each worker; 0: all there are.
    fast_only: leave efficient cores of a hybrid processor free.
    no_quota: ignore the CPU quota of the cgroup."""

    def __init__(
        self,
        workers: int,
        *,
        policy: str = "compact",
        reserve_cores: int = 0,
        cores_per_worker: int = 0,
        fast_only: bool = False,
        no_quota: bool = False,
    ) -> None:
        one_of("policy", policy, _core.PLAN_POLICIES)
        whole("workers", workers, 0, U32)
        whole("reserve_cores", reserve_cores, 0, U32)
        whole("cores_per_worker", cores_per_worker, 0, U32)
        flags = (
            flag("fast_only", fast_only) * _core.PLAN_FAST_ONLY
            | flag("no_quota", no_quota) * _core.PLAN_NO_QUOTA
        )
        number = _core.PLAN_POLICIES[policy]
        self._options = (number, flags, reserve_cores, cores_per_worker)
        self._bytes = _core.plan(workers, *self._options)

    @classmethod
    def from_bytes(cls, plan: bytes) -> Self:
        """The plan that bytes(plan) gave, here or in another process of the machine."""
        _core.plan_workers(plan)  # says what is wrong with it
        return cls._made(plan, (0, 0, 0, 0))

    @classmethod
    def _made(cls, plan: bytes, options: tuple[int, int, int, int]) -> Self:
        """Make one from a plan, with the options of the plans that follow it."""
        self = cls.__new__(cls)
        self._bytes, self._options = plan, options
        return self

    def __bytes__(self) -> bytes:
        return self._bytes

    def __len__(self) -> int:
        return len(self.workers)

    @property
    def workers(self) -> list[Part]:
        """The part of each worker."""
        return _core.plan_workers(self._bytes)

    def enter(self, index: int, *, bind: bool = True) -> Entered:
        """Become worker `index`: bind this process to its cores, limit the threads of the
        libraries that are loaded, and of those loaded later. Returns what was done."""
        whole("index", index, 0, U32)
        flags = 0 if bind else _core.ENTER_NO_BIND
        report = _core.worker_enter(self._bytes, index, flags)
        tell_environment(report["threads"], f"{index}/{len(self)}")
        return report

    def __str__(self) -> str:
        return _core.plan_text(self._bytes)

    def __repr__(self) -> str:
        return f"<tensoring.Plan of {len(self)} workers>"


def thread_enter() -> None:
    """Give this thread the worker's thread count, where a library keeps one for each
    thread: the initializer of a thread pool. InvalidError outside of a worker."""
    _core.thread_enter()


def prefork() -> int:
    """Call it before os.fork(), in the thread that forks: GNU's OpenMP gives up its
    threads, which would hang the child. How many runtimes did so."""
    return _core.prefork()


def limit_threads(threads: int) -> None:
    """Put a thread count into the environment and into every library that is loaded."""
    plan = Plan(1, cores_per_worker=threads)
    _core.worker_enter(bytes(plan), 0, _core.ENTER_NO_BIND | _core.ENTER_NO_ENV)
    tell_environment(threads)
