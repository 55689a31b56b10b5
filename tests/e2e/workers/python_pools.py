# SPDX-License-Identifier: MIT
"""python_pools.py MODULE LIBRARY: a module whose wheel brings threads of its own.

The master imports and uses it, then forks; the child enters a plan of one thread. What
the library says of itself, and how many threads run, must both be one. 77: no module.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

THREADS_OFFSET = 440 + 128 + 8 + 4  # src/workers/plan_bytes.h: of the first worker


class Pool(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_char * 24),
        ("path", ctypes.c_char * 232),
        ("before", ctypes.c_int32),
        ("after", ctypes.c_int32),
        ("scope", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class Report(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("library_bytes", ctypes.c_uint32),
        ("index", ctypes.c_uint32),
        ("threads", ctypes.c_uint32),
        ("tasks", ctypes.c_uint32),
        ("bind_error", ctypes.c_int32),
        ("library_count", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("before", ctypes.c_uint64 * 16),
        ("after", ctypes.c_uint64 * 16),
        ("libraries", Pool * 32),
    ]


def run_times() -> dict[str, int]:
    times = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/schedstat") as stat:
            times[task] = int(stat.read().split()[0])
    return times


def busy_threads(work: Callable[[], object]) -> int:
    """A thread takes part if it runs for a quarter as long as the busiest. Idle threads of
    OpenBLAS spin for some 30 ms after their start: let them."""
    for _ in range(40):
        work()
    before = run_times()
    for _ in range(40):
        work()
    spent = [ns - before.get(task, 0) for task, ns in run_times().items()]
    return sum(ns > max(spent) / 4 for ns in spent)


def workload(name: str, module: Any) -> tuple[str, Callable[[], object]]:
    """The kind of pool that must be found, and something that uses it."""
    if name == "numpy":
        a = module.ones((600, 600), dtype="float32")
        return "openblas", lambda: a @ a
    if name == "torch":
        t = module.ones((600, 600))
        return "torch", lambda: module.mm(t, t)
    numpy = importlib.import_module("numpy")
    rows = numpy.random.default_rng(1).random((4000, 40))
    data = module.Dataset(rows, label=rows[:, 0], free_raw_data=False)
    options = {"verbose": -1, "objective": "regression"}
    return "lightgbm", lambda: module.train(options, data, num_boost_round=3)


def child(library: ctypes.CDLL, plan: Any, kind: str, work: Callable[[], object]) -> int:
    signal.alarm(100)  # a hang is the failure looked for
    report = Report(
        struct_size=ctypes.sizeof(Report), library_bytes=ctypes.sizeof(Pool)
    )
    if library.tr_worker_enter(plan, 0, 0, ctypes.byref(report)) or report.bind_error:
        return 1
    pools = report.libraries[: report.library_count]
    for pool in pools:
        print(
            pool.kind.decode(),
            pool.before,
            "->",
            pool.after,
            pool.path.decode(),
            flush=True,
        )
    if not any(pool.kind.decode() == kind for pool in pools):
        return 2
    if any(pool.after not in (1, -1) for pool in pools):
        return 3
    busy = busy_threads(work)
    print("threads that run:", busy, flush=True)
    return 0 if busy == 1 else 4


def main() -> int:
    name, path = sys.argv[1:3]
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(error)
        return 77
    library = ctypes.CDLL(path)
    library.tr_plan_bytes.restype = ctypes.c_size_t
    plan = ctypes.create_string_buffer(library.tr_plan_bytes())
    if library.tr_plan_create(2, None, plan):
        return 1
    ctypes.c_uint32.from_buffer(plan, THREADS_OFFSET).value = 1
    kind, work = workload(name, module)
    print("in the master:", busy_threads(work), "threads", flush=True)
    if library.tr_worker_prefork(None):
        return 1
    pid = os.fork()
    if pid == 0:
        os._exit(child(library, plan, kind, work))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
