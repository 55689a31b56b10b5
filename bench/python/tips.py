# SPDX-License-Identifier: MIT
"""Ten habits of ML back ends in Python, each beside the other way, in a forked worker.

    python bench/python/tips.py [--out build/bench] [--seconds 0.02] [gc json ...]

Each function below is one habit: what it returns is interleaved in rounds, see cases.py.
Packages that are not installed are left out and said to be. docs/how-to/ml-backends.md
says what each means."""

from __future__ import annotations

import argparse
import array
import dataclasses
import functools
import gc
import importlib
import json
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cases
import report
import tensoring as tr

Subjects = dict[str, Callable[[], object]]
Figures = dict[str, list[float]]


def package(name: str) -> Any:
    """None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"  left out: {name} is not installed")
        return None


def in_worker(subjects: Callable[[], Subjects], seconds: float) -> Figures:
    return cases.interleave(subjects(), seconds)


# ---- the garbage collector

TABLE: list[Any] = []  # of the master: what a server loads before it forks
REQUESTS = 200


class Found:
    """An object of a request."""

    def __init__(self) -> None:
        self.lists: list[list[int]] = [[], [], [], []]


def private_dirty() -> int:
    """The bytes that this process does not share with its master any more."""
    text = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"Private_Dirty: +(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else 0


def answer(collect: bool) -> tuple[list[float], int]:
    """The time of each request, and the memory that a full collection unshares."""
    (gc.enable if collect else gc.disable)()
    spent = [
        cases.clock(lambda: [Found() for _ in range(1000)], 1) for _ in range(REQUESTS)
    ]
    before = private_dirty()
    gc.collect()
    return spent, private_dirty() - before


def collector() -> None:
    """A worker of a master with a million objects."""
    TABLE.extend({"id": i, "tags": [i]} for i in range(500_000))
    print(f"\ngc: {REQUESTS} requests of 1000 objects, a million objects in the master")
    for name, freeze, collect in (
        ("as it is", False, True),
        ("gc.freeze() before the fork", True, True),
        ("no collections", False, False),
    ):
        if freeze:
            gc.freeze()
        with tr.Pool(1) as pool:
            spent, unshared = pool.apply(answer, (collect,))
        gc.unfreeze()
        mean = statistics.mean(spent) * 1e3
        print(
            f"  {name:32} {mean:8.2f} ms mean {max(spent) * 1e3:8.2f} ms at most, "
            f"a collection unshares {unshared / 2**20:6.1f} MiB"
        )
    TABLE.clear()


# ---- what a value is


def lists() -> Subjects:
    values = np.random.default_rng(1).random(10_000)
    listed, packed = values.tolist(), array.array("d", values.tolist())
    queue = tr.Arena([(1 << 18, 8)]).queue("values")

    def through(value: Any) -> object:
        queue.send(value)
        return queue.receive()

    return {
        "sum(list)": lambda: sum(listed),
        "sum(array.array)": lambda: sum(packed),
        "sum(ndarray)": lambda: sum(values),
        "ndarray.sum()": values.sum,
        "list through a queue": lambda: through(listed),
        "ndarray through a queue": lambda: through(values),
    }


@dataclasses.dataclass(slots=True)
class Slots:
    """As many attributes as a property has."""

    a: float
    b: float
    c: float
    d: float
    e: float


class Plain:
    def __init__(self, a: float, b: float, c: float, d: float, e: float) -> None:
        self.a, self.b, self.c, self.d, self.e = a, b, c, d, e


ROW = dict(zip("abcde", (1.0, 2.0, 3.0, 4.0, 5.0), strict=True))


def classes() -> Subjects:
    columns = {name: np.zeros(2000) for name in ROW}
    return {
        "2000 objects": lambda: [Plain(**ROW) for _ in range(2000)],
        "2000 slotted dataclasses": lambda: [Slots(**ROW) for _ in range(2000)],
        "2000 dicts": lambda: [dict(ROW) for _ in range(2000)],
        "5 arrays of 2000": lambda: {
            name: column.copy() for name, column in columns.items()
        },
    }


def models() -> Subjects:
    """400 items of 50 floats, as they come from JSON."""
    names = [f"f{i}" for i in range(50)]
    rows = [dict.fromkeys(names, 0.5) for _ in range(400)]
    plain = dataclasses.make_dataclass("Item", [(name, float) for name in names])
    subjects: Subjects = {
        "dataclasses": lambda: [plain(**row) for row in rows],
        "one float32 array": lambda: np.array(
            [list(row.values()) for row in rows], "float32"
        ),
    }
    if pydantic := package("pydantic"):
        model = pydantic.create_model("Item", **dict.fromkeys(names, (float, ...)))
        subjects["pydantic models"] = lambda: [model(**row) for row in rows]
    return subjects


def frames() -> Subjects:
    """1000 rows of 50, a tenth of them None, which become 0."""
    rows = [
        {f"f{i}": None if (i + j) % 10 == 0 else 0.5 for i in range(50)}
        for j in range(1000)
    ]
    names = list(rows[0])
    subjects: Subjects = {
        "dicts": lambda: [
            {k: 0.0 if v is None else v for k, v in row.items()} for row in rows
        ],
        "float32 array": lambda: np.nan_to_num(
            np.array([list(row.values()) for row in rows], "float32"), copy=False
        ),
    }
    if pandas := package("pandas"):
        floats = np.array([list(row.values()) for row in rows], "float32")
        subjects["DataFrame of dicts"] = lambda: (
            pandas.DataFrame(rows).astype(float).fillna(0)
        )
        subjects["DataFrame of an array"] = lambda: pandas.DataFrame(
            np.nan_to_num(floats), columns=names, copy=False
        )
    return subjects


def texts() -> Subjects:
    """1000 items of 5 numbers: as JSON, and as arrays that another worker has parsed."""
    text = json.dumps([{**ROW, "id": i} for i in range(1000)])
    columns = {name: np.zeros(1000) for name in (*ROW, "id")}
    queue = tr.Arena([(1 << 16, 8)]).queue("items")

    def received() -> object:
        queue.send(columns)
        return queue.receive()

    subjects: Subjects = {"json": lambda: json.loads(text), "arrays, received": received}
    for name in ("ujson", "orjson"):
        if module := package(name):
            subjects[name] = functools.partial(module.loads, text)
    return subjects


# ---- processes and threads


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def processes(seconds: float) -> Figures:
    """fibonacci(20) four times in a request."""
    numbers = [20] * 4

    def new_pool() -> object:
        with multiprocessing.Pool(2) as pool:
            return pool.map(fibonacci, numbers)

    with multiprocessing.Pool(2) as theirs, tr.Pool(2) as ours:
        subjects: Subjects = {
            "a pool for each request": new_pool,
            "one process": lambda: list(map(fibonacci, numbers)),
            "multiprocessing.Pool, kept": lambda: theirs.map(fibonacci, numbers),
            "tensoring.Pool, kept": lambda: ours.map(fibonacci, numbers),
        }
        return cases.interleave(subjects, seconds)


def multiply(side: int) -> float:
    square = np.ones((side, side), "float32")
    return float((square @ square)[0, 0])


def threads(seconds: float) -> Figures:
    """Products by twice as many workers as there are cores."""
    count = 2 * len(os.sched_getaffinity(0))
    with (
        tr.Pool(count, threads=None) as free,
        tr.Pool(count, threads=1) as single,
        tr.Pool(count) as placed,
    ):
        sides = [600] * (2 * count)
        subjects: Subjects = {
            "threads for each core": lambda: free.map(multiply, sides, 1),
            "one thread each": lambda: single.map(multiply, sides, 1),
            "placed (the default)": lambda: placed.map(multiply, sides, 1),
        }
        return cases.interleave(subjects, seconds)


# ---- interpreters

CONSTRUCTIONS = """
import timeit
class C:
    def __init__(self, a, b, c): self.a, self.b, self.c = a, b, c
names = {"C": C}
for call in ("dict(a=1, b=2, c=3)", "C(1, 2, 3)"):
    print(min(timeit.repeat(call, globals=names, number=100_000, repeat=7)))
"""


def interpreters() -> None:
    print("\npython: 100,000 constructions, ms, the best of 7")
    for version in range(10, 16):
        path = shutil.which(f"python3.{version}")
        if not path:
            continue
        done = subprocess.run([path, "-c", CONSTRUCTIONS], capture_output=True, text=True)
        if done.returncode == 0:
            a_dict, a_class = (float(word) * 1e3 for word in done.stdout.split())
            print(f"  python3.{version:<24} dict {a_dict:8.1f}    class {a_class:8.1f}")


def profile() -> None:
    """What line_profiler costs the function that it looks at."""
    if not (profiler := package("line_profiler")):
        return
    watched = profiler.LineProfiler()(fibonacci)

    def best(call: Callable[[int], int]) -> float:
        return min(cases.clock(lambda: call(16), 3) for _ in range(5))

    times = best(watched) / best(fibonacci)
    print(f"\nprofile: a watched function takes {times:.0f} times as long")


IN_WORKERS: dict[str, Callable[[], Subjects]] = {
    "lists": lists,
    "pydantic": models,
    "frames": frames,
    "json": texts,
    "classes": classes,
}
ELSEWHERE: dict[str, Callable[[float], Figures]] = {
    "processes": processes,
    "threads": threads,
}
PRINTED: dict[str, Callable[[], None]] = {
    "gc": collector,
    "python": interpreters,
    "profile": profile,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tips", nargs="*", help="all, or some by name")
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument(
        "--seconds", type=float, default=0.02, help="of a round of one way"
    )
    options = parser.parse_args()
    every = [*PRINTED, *IN_WORKERS, *ELSEWHERE]
    unknown = set(options.tips) - set(every)
    if unknown:
        parser.error(f"there is no {sorted(unknown)[0]!r}; there are: {', '.join(every)}")
    found: dict[str, Figures] = {}
    for name in options.tips or every:
        if name in PRINTED:
            PRINTED[name]()
        elif name in IN_WORKERS:
            with tr.Pool(1) as pool:
                found[name] = pool.apply(in_worker, (IN_WORKERS[name], options.seconds))
        else:
            found[name] = ELSEWHERE[name](options.seconds)
        if name in found:
            report.table(name, found[name])
    options.out.mkdir(parents=True, exist_ok=True)
    summaries = {
        name: {way: cases.summary(rounds) for way, rounds in figures.items()}
        for name, figures in found.items()
    }
    result = {"machine": cases.machine(), "unit": "us", "tips": summaries}
    (options.out / "tips.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
