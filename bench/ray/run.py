# SPDX-License-Identifier: MIT
"""Measure exchanges of two actors' processes on one node of Ray: JSON, a table, the bar.

python bench/ray/run.py [--out build/bench] [--seconds 0.5] [--quick]

There and back, in turns: an actor call with an array as argument, which returns it; the
same with an array from a queue of the node's arena, and with one that came by reference;
the same with tensoring.ray.share() both ways; two queues. A figure is the median of the
rounds, with the smallest and the largest."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray

import tensoring as tr
import tensoring.ray

SIZES = {"64 B": 8, "1.77 MB": 9 * 128 * 64 * 3, "16 MiB": 2 << 20}
SLOTS = [(4096, 16), (2 << 20, 8), (17 << 20, 8)]
LEAST = 40.0  # times faster than calls, at 1.77 MB
CALLS, SHARED, QUEUES = "actor call", "actor call, share()", "queues of the arena"
VIEWS, HANDED = "actor call, from a queue", "actor call, by reference"

Rounds = dict[str, list[float]]


@ray.remote(num_cpus=0)
class Echo:
    def back(self, array: Any) -> Any:
        return array

    def shared(self, array: Any) -> Any:
        return tensoring.ray.share(array)

    def queues(self, size: str) -> None:
        arena = tensoring.ray.arena(slots=SLOTS)
        outbox = arena.queue(f"out, {size}")
        for array in arena.queue(f"in, {size}"):
            outbox.send(array)


def ways(arena: tr.Arena, size: str, array: Any) -> dict[str, Callable[[], Any]]:
    """One actor answers calls, another one the queue."""
    calls, queues = Echo.remote(), Echo.remote()
    queues.queues.remote(size)
    inbox, outbox = arena.queue(f"in, {size}"), arena.queue(f"out, {size}")

    arena.queue("views").send(array)
    view = arena.queue("views").receive()
    handed = ray.get(calls.back.remote(view))

    def by_queue() -> Any:
        inbox.send(array)
        return outbox.receive()

    return {
        CALLS: lambda: ray.get(calls.back.remote(array)),
        VIEWS: lambda: ray.get(calls.back.remote(view)),
        HANDED: lambda: ray.get(calls.back.remote(handed)),
        SHARED: lambda: ray.get(calls.shared.remote(tensoring.ray.share(array))),
        QUEUES: by_queue,
    }


def measure(size: str, seconds: float, rounds: int) -> Rounds:
    arena = tensoring.ray.arena(slots=SLOTS)
    array = np.random.default_rng(1).random(SIZES[size])
    found: Rounds = {}
    counts = {}
    subjects = ways(arena, size, array)
    for name, call in subjects.items():
        for _ in range(3):
            assert np.array_equal(call(), array)
        began = time.perf_counter()
        call()
        counts[name] = max(3, int(seconds / (time.perf_counter() - began)))
    names = list(subjects)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            call = subjects[name]
            call()
            began = time.perf_counter()
            for _ in range(counts[name]):
                call()
            took = (time.perf_counter() - began) / counts[name]
            found.setdefault(name, []).append(took)
    arena.queue(f"in, {size}").shutdown()  # ends the actor's loop
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=0.5, help="of a way's round")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    before = os.getloadavg()[0]
    cells: dict[str, Rounds] = {}
    for size in SIZES:
        cells[size] = measure(size, options.seconds, 2 if options.quick else 7)
        print(f"\n{size}, there and back")
        for name, rounds in cells[size].items():
            us = [one * 1e6 for one in rounds]
            middle = statistics.median(us)
            print(f"  {name:24}{middle:12.1f} us  ({min(us):.1f} to {max(us):.1f})")
    calls, queues = (cells["1.77 MB"][name] for name in (CALLS, QUEUES))
    bar = [slow / fast for slow, fast in zip(calls, queues, strict=True)]
    met = statistics.median(bar) >= LEAST
    print(
        f"\n{'met' if met else 'NOT MET'}: queues {statistics.median(bar):.0f} x faster"
        f" than calls at 1.77 MB ({min(bar):.0f} to {max(bar):.0f}), at least"
        f" {LEAST:g} wanted; load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    result = {"ray": ray.__version__, "unit": "s", "load": before, "cells": cells}
    result["bar"] = bar
    (options.out / "ray.json").write_text(json.dumps(result, indent=1))
    ray.shutdown()


if __name__ == "__main__":
    main()
