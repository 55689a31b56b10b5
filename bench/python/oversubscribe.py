# SPDX-License-Identifier: MIT
"""What does it cost when every worker starts as many threads as there are cores?

n forked workers multiply matrices at the same time, with a real library, in three ways
that take turns: `default` (as forked), `counts` (its thread count set, nothing bound) and
`entered` (tr_worker_enter: bound, too). Printed are medians over the rounds: products a
second of all workers by default, how many times faster it is with counts and entered, how
many times smaller p99 of one product is entered, and context switches of both.

    python oversubscribe.py --library build/release/src/libtensoring.so [--json FILE]

BLAS is numpy (its wheel's OpenBLAS), torch, or the path of a libopenblas. Unset
OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE for figures.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODES = ("default", "counts", "entered")
ENTER_NO_BIND = 1
Work = Callable[[], object]


def find_blas() -> list[str]:
    """What is installed here: in the order of the table."""
    names = [name for name in ("numpy", "torch") if importlib.util.find_spec(name)]
    root = Path("/usr/lib") / f"{platform.machine()}-linux-gnu"
    for build in ("pthread", "openmp"):
        path = root / f"openblas-{build}" / "libopenblas.so.0"
        if path.exists():
            names.append(str(path))
    return names


def raw_product(blas: str, side: int, dtype: str) -> Work:
    """cblas_sgemm or cblas_dgemm of a library that no module has loaded."""
    library = ctypes.CDLL(blas)
    real = ctypes.c_float if dtype == "float32" else ctypes.c_double
    gemm = library.cblas_sgemm if dtype == "float32" else library.cblas_dgemm
    gemm.restype = None
    a = (real * (side * side))(*([1.0] * (side * side)))
    b = (real * (side * side))()
    n = ctypes.c_int(side)
    args = (101, 111, 111, n, n, n, real(1), a, n, a, n, real(0), b, n)
    return lambda: gemm(*args)


def product(blas: str, side: int, dtype: str) -> Work:
    if blas == "numpy":
        numpy = importlib.import_module("numpy")
        a = numpy.ones((side, side), dtype=dtype)
        b = numpy.empty_like(a)
        return lambda: numpy.matmul(a, a, out=b)
    if blas == "torch":
        torch = importlib.import_module("torch")
        t = torch.ones((side, side), dtype=getattr(torch, dtype))
        u = torch.empty_like(t)
        return lambda: torch.mm(t, t, out=u)
    return raw_product(blas, side, dtype)


def worker(
    library: Any,
    plan: Any,
    index: int,
    mode: str,
    work: Work,
    seconds: float,
    start: int,
    result: int,
) -> None:
    """Multiply for that long, from the starting shot on."""
    if mode != "default":
        flags = ENTER_NO_BIND if mode == "counts" else 0
        if library.tr_worker_enter(plan, index, flags, None):
            os._exit(1)
    work()
    os.write(result, b"r")
    os.read(start, 1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    spent = []
    at = begin = time.perf_counter_ns()
    while at < begin + seconds * 1e9:
        work()
        now = time.perf_counter_ns()
        spent.append(now - at)
        at = now
    after = resource.getrusage(resource.RUSAGE_SELF)
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    rate = len(spent) / ((at - begin) / 1e9)
    spent.sort()
    report = {
        "rate": rate,
        "p50_ns": spent[len(spent) // 2],
        "p99_ns": spent[min(len(spent) - 1, len(spent) * 99 // 100)],
        "switches": switches / len(spent),
    }
    os.write(result, json.dumps(report).encode() + b"\n")
    os._exit(0)


def run(
    library: Any, plan: Any, workers: int, mode: str, work: Work, seconds: float
) -> dict[str, float]:
    """All workers once; they start together."""
    library.tr_worker_prefork(None)
    start_r, start_w = os.pipe()
    pids, pipes = [], []
    for index in range(workers):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(start_w)
            worker(library, plan, index, mode, work, seconds, start_r, writer)
        os.close(writer)
        pids.append(pid)
        pipes.append(os.fdopen(reader, "rb"))
    for pipe in pipes:
        if pipe.read(1) != b"r":
            raise SystemExit(f"a worker failed ({mode})")
    os.close(start_r)
    os.close(start_w)  # the end of this pipe is the starting shot
    reports = [json.loads(pipe.readline()) for pipe in pipes]
    for pid, pipe in zip(pids, pipes, strict=True):
        pipe.close()
        os.waitpid(pid, 0)
    return {
        "rate": sum(report["rate"] for report in reports),
        "p50_ns": statistics.median(report["p50_ns"] for report in reports),
        "p99_ns": max(report["p99_ns"] for report in reports),
        "switches": statistics.mean(report["switches"] for report in reports),
    }


def measure(
    library: Any,
    blas: str,
    workers: int,
    side: int,
    dtype: str,
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    library.tr_plan_bytes.restype = ctypes.c_size_t
    plan = ctypes.create_string_buffer(library.tr_plan_bytes())
    if library.tr_plan_create(workers, None, plan):
        raise SystemExit("no plan can be made")
    work = product(blas, side, dtype)
    seen: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for turn in range(rounds):
        for shift in range(len(MODES)):
            mode = MODES[(turn + shift) % len(MODES)]
            seen[mode].append(run(library, plan, workers, mode, work, seconds))
    row: dict[str, Any] = {
        "blas": blas,
        "workers": workers,
        "side": side,
        "dtype": dtype,
        "rounds": rounds,
        "seconds": seconds,
    }
    for mode in MODES:
        row[mode] = {
            key: statistics.median(one[key] for one in seen[mode])
            for key in seen[mode][0]
        }
    for mode in MODES[1:]:
        pairs = list(zip(seen["default"], seen[mode], strict=True))
        gains = sorted(b["rate"] / a["rate"] for a, b in pairs)
        row[f"gain_{mode}"] = statistics.median(gains)
        row[f"gain_{mode}_range"] = [gains[0], gains[-1]]
        row[f"gain_{mode}_p99"] = statistics.median(
            a["p99_ns"] / b["p99_ns"] for a, b in pairs
        )
    return row


def machine() -> dict[str, Any]:
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="path of libtensoring.so")
    parser.add_argument(
        "--blas", action="append", help="numpy, torch or a path; default: all"
    )
    parser.add_argument(
        "--workers", type=int, action="append", help="default: 2, 4 and 8"
    )
    parser.add_argument(
        "--side", type=int, action="append", help="default: 1000, 256, 128"
    )
    parser.add_argument("--dtype", action="append", help="default: float32 and float64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=0.4, help="of one run; default 0.4"
    )
    parser.add_argument("--json", help="append one line a row to this file")
    args = parser.parse_args()
    library = ctypes.CDLL(args.library)
    print(
        f"{'blas':>10} {'n':>2} {'side':>5} {'dtype':>8} {'products/s':>11} "
        f"{'counts':>7} {'entered':>7} {'range':>13} {'p99':>7} {'switches each':>19}"
    )
    found = args.blas or find_blas()
    if not found:
        return 77  # as tests say that they were skipped
    for blas in found:
        for workers in args.workers or (2, 4, 8):
            for side in args.side or (1000, 256, 128):
                for dtype in args.dtype or ("float32", "float64"):
                    row = measure(
                        library, blas, workers, side, dtype, args.rounds, args.seconds
                    )
                    name = blas if "/" not in blas else Path(blas).parent.name[-10:]
                    low, high = row["gain_entered_range"]
                    print(
                        f"{name:>10} {workers:2} {side:5} {dtype:>8} "
                        f"{row['default']['rate']:11.1f} "
                        f"{row['gain_counts']:7.2f} {row['gain_entered']:7.2f} "
                        f"{low:6.2f}-{high:<6.2f} {row['gain_entered_p99']:7.2f} "
                        f"{row['default']['switches']:9.2f} "
                        f"{row['entered']['switches']:9.2f}",
                        flush=True,
                    )
                    if args.json:
                        with open(args.json, "a") as file:
                            file.write(json.dumps({**row, "machine": machine()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
