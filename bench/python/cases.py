# SPDX-License-Identifier: MIT
"""What is measured. Every case interleaves its subjects in rounds and reports, for each,
the median of the rounds with the smallest and the largest; ratios are of one round."""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

import tensoring as tr

SIZES = {
    "64 B": ((16,), "float32"),
    "4 KiB": ((1024,), "float32"),
    "64 KiB": ((16384,), "float32"),
    "1.77 MB": ((9, 128, 64, 3), "float64"),
    "16 MiB": ((2048, 2048), "float32"),
}
ROUNDS = 7
Figures = dict[str, dict[str, float]]


def summary(rounds: list[float]) -> dict[str, float]:
    """Median and spread, in microseconds."""
    return {
        "median": statistics.median(rounds) * 1e6,
        "min": min(rounds) * 1e6,
        "max": max(rounds) * 1e6,
    }


def ratio(figures: dict[str, list[float]], slow: str, fast: str) -> float:
    """How many times faster `fast` is: the median over rounds of the ratio in a round."""
    pairs = zip(figures[slow], figures[fast], strict=True)
    return statistics.median(a / b for a, b in pairs)


def clock(call: Callable[[], object], count: int) -> float:
    """The time of so many calls."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin


def faster_rounds(figures: dict[str, list[float]], one: str, other: str) -> float:
    """The part of the rounds in which `one` is faster than `other`."""
    pairs = zip(figures[one], figures[other], strict=True)
    return statistics.mean(a < b for a, b in pairs)


def interleave(
    subjects: dict[str, Callable[[], object]],
    seconds: float,
    clock: Callable[[str, Callable[[], object], int], float] = (
        lambda _, call, count: clock(call, count)
    ),
) -> dict[str, list[float]]:
    """The time of one call of each, in each round."""
    counts = {}
    for name, call in subjects.items():
        call()
        begin = time.perf_counter()
        call()
        once = time.perf_counter() - begin
        counts[name] = max(1, min(20000, int(seconds / max(once, 1e-7))))
    found: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    for turn in range(ROUNDS):
        first = turn * len(order) // ROUNDS  # another one each time
        for name in order[first:] + order[:first]:
            call = subjects[name]
            for _ in range(2):  # wake up what slept while the others ran
                call()
            found[name].append(clock(name, call, counts[name]) / counts[name])
    return found


# ---- one process


def one_thread(seconds: float) -> dict[str, list[float]]:
    """send + receive + release in one thread, beside the cheapest view NumPy can make."""
    array = np.zeros(512)
    data = bytearray(4096)
    with tr.Arena([(4096, 8)], populate=True) as arena:
        queue = arena.queue("q")

        def cycle() -> None:
            queue.send(array)
            queue.receive()

        return interleave(
            {
                "send + receive + release": cycle,
                "frombuffer": lambda: np.frombuffer(data),
            },
            seconds,
        )


# ---- the recommendation team's example


def add_lists(rows: list[list[float]]) -> list[float]:
    return [sum(column) for column in zip(*rows, strict=True)]


def add_arrays(rows: list[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add, rows)


def add_block(block: np.ndarray) -> np.ndarray:
    return np.add.reduce(block)


def sums(seconds: float) -> dict[str, list[float]]:
    """The element-wise sum of 100 vectors of 512 over 4 workers: as lists of arrays, as
    lists of floats, and as what suits everybody best, one array a piece."""
    block = np.random.default_rng(1).random((100, 512))
    vectors = list(block)
    lists = [vector.tolist() for vector in vectors]
    ours, theirs = tr.Pool(4, threads=None), multiprocessing.Pool(4)
    array_pieces = [vectors[i::4] for i in range(4)]
    list_pieces = [lists[i::4] for i in range(4)]
    block_pieces = [block[25 * i : 25 * (i + 1)] for i in range(4)]
    try:
        return interleave(
            {
                "arrays, one process": lambda: add_arrays(vectors),
                "arrays, multiprocessing.Pool": lambda: add_arrays(
                    theirs.map(add_arrays, array_pieces)
                ),
                "arrays, tensoring.Pool": lambda: add_arrays(
                    ours.map(add_arrays, array_pieces)
                ),
                "blocks, one process": lambda: add_block(block),
                "blocks, multiprocessing.Pool": lambda: add_arrays(
                    theirs.map(add_block, block_pieces)
                ),
                "blocks, tensoring.Pool": lambda: add_arrays(
                    ours.map(add_block, block_pieces)
                ),
                "lists, one process": lambda: add_lists(lists),
                "lists, multiprocessing.Pool": lambda: add_lists(
                    theirs.map(add_lists, list_pieces)
                ),
                "lists, tensoring.Pool": lambda: add_lists(
                    ours.map(add_lists, list_pieces)
                ),
            },
            seconds,
        )
    finally:
        ours.terminate()
        theirs.terminate()


# ---- ProxyStore's example


def proxystore(side: int) -> dict[str, list[float]]:
    """A float64 array of side x side, put and got: numpy.save, pickle, ours."""
    array = np.ones((side, side))
    found: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        found.setdefault(name, []).append(time.perf_counter() - begin)

    def by_numpy() -> None:
        stream = io.BytesIO()
        np.save(stream, array)
        stream.seek(0)
        np.load(stream)

    folder = tempfile.TemporaryDirectory(dir="/dev/shm")

    def by_file() -> None:
        np.save(f"{folder.name}/x.npy", array)
        np.load(f"{folder.name}/x.npy", mmap_mode="r")

    with folder, tr.Arena([(array.nbytes, 1)]) as arena:
        queue = arena.queue("q")

        def ours() -> None:
            queue.send(array)
            queue.receive()

        timed("tensoring, first touch", ours)
        for _ in range(3):
            timed("numpy.save", by_numpy)
            timed("numpy.save to memory, mapped", by_file)
            timed("pickle", lambda: pickle.loads(pickle.dumps(array, 5)))
            timed("tensoring", ours)
    return found


def machine() -> dict[str, object]:
    """Where the figures are from."""
    uname = os.uname()
    return {
        "kernel": uname.release,
        "machine": uname.machine,
        "cpus": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
        "tensoring": tr.__version__,
        "load": os.getloadavg()[0],
    }
