# SPDX-License-Identifier: MIT
"""Measure the Python package beside its peers: JSON, plots, and the bars.

python bench/python/run.py [--out build/bench] [--seconds 0.02]

Peers that are not installed are left out and said to be."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cases

LARGE = "1.77 MB"


def bars(trips: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(what, measured, at least) for each bar whose peers are there."""
    found = []

    def bar(
        where: dict[str, list[float]], fast: str, slow: str, least: float, note: str
    ) -> None:
        if fast in where and slow in where:
            what = f"{note}: {fast} against {slow}"
            found.append((what, cases.ratio(where, slow, fast), least))

    nothing: dict[str, list[float]] = {}
    small, large, huge = (
        trips["free"].get(size, nothing) for size in ("4 KiB", LARGE, "16 MiB")
    )
    small_apart, large_apart = (trips["apart"].get(s, nothing) for s in ("4 KiB", LARGE))
    for ours in ("tensoring", "tensoring spinning"):
        bar(small_apart, ours, "multiprocessing.Pipe", 8, "4 KiB")
        bar(small_apart, ours, "multiprocessing.Queue", 9, "4 KiB")
    bar(small, "tensoring asleep", "multiprocessing.Pipe", 3, "4 KiB")
    bar(small, "tensoring asleep", "multiprocessing.Queue", 3, "4 KiB")
    bar(small, "tensoring asleep", "Pipe send_bytes", 1, "4 KiB")
    for peer, least in (
        ("multiprocessing.Pipe", 15),
        ("multiprocessing.Queue", 25),
        ("pyzmq, no copies", 1.6),
        ("shared_memory + Pipe, copies", 1.6),
    ):
        bar(large, "tensoring", peer, least, LARGE)
        bar(large_apart, "tensoring spinning", peer, least, LARGE)
    for ours in ("tensoring loans", "tensoring loans spinning"):
        bar(large_apart, ours, "multiprocessing.Pipe", 200, LARGE)
    for peer in ("Pipe send_bytes", "pickle 5 over a UNIX socket", "pyzmq, no copies"):
        bar(huge, "tensoring", peer, 4, "16 MiB")
    made_there = "tensoring, written in place"
    bar(other["serving"], made_there, "JSON + base64", 1000, "one way")
    bar(other["serving"], "tensoring", "JSON + base64", 50, "one way, copied in")
    pool = other["sums"]
    bar(pool, "arrays, tensoring.Pool", "arrays, multiprocessing.Pool", 5, "100 x 512")
    bar(pool, "arrays, tensoring.Pool", "arrays, one process", 1, "100 x 512")
    bar(pool, "lists, tensoring.Pool", "lists, multiprocessing.Pool", 1, "100 x 512")
    cycle = other["one_thread"]
    took = cases.summary(cycle["send + receive + release"])["median"]
    views = cases.ratio(cycle, "send + receive + release", "frombuffer")
    found.append((f"one thread: {took:.2f} us, {views:.1f} x frombuffer", 1.2 / took, 1))
    return found


def table(title: str, figures: dict[str, list[float]]) -> None:
    print(f"\n{title}")
    for name, rounds in sorted(figures.items(), key=lambda item: min(item[1])):
        one = cases.summary(rounds)
        spread = f"({one['min']:.1f} to {one['max']:.1f})"
        print(f"  {name:32} {one['median']:12.1f} us  {spread}")


def plot(trips: dict[str, Any], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    import numpy as np

    sizes = [
        int(np.prod(shape)) * np.dtype(dtype).itemsize
        for shape, dtype in (cases.SIZES[name] for name in trips)
    ]
    figure, axes = plt.subplots(figsize=(9, 6))
    for name in next(iter(trips.values())):
        times = [cases.summary(figures[name])["median"] for figures in trips.values()]
        ours = name.startswith("tensoring")
        axes.loglog(sizes, times, "-o" if ours else "--", label=name, linewidth=1 + ours)
    axes.set_xlabel("bytes")
    axes.set_ylabel("round trip, us (median)")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=7)
    figure.savefig(path)
    print(f"\nplot: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument(
        "--seconds", type=float, default=0.02, help="of a round of one peer"
    )
    parser.add_argument("--sizes", default=",".join(cases.SIZES), help="of round trips")
    parser.add_argument("--side", type=int, default=10000, help="of ProxyStore's array")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    trips: dict[str, Any] = {"apart": {}, "free": {}}
    for placement, sizes in trips.items():
        for size in options.sizes.split(","):
            sizes[size] = cases.round_trips(size, options.seconds, placement == "apart")
            table(f"round trip of {size}, processes placed {placement}", sizes[size])
    other = {
        "serving": cases.serving(max(5, int(options.seconds * 400))),
        "one_thread": cases.one_thread(options.seconds),
        "sums": cases.sums(options.seconds * 2),
        "proxystore": cases.proxystore(options.side),
    }
    for name, figures in other.items():
        table(name, figures)
    load = cases.machine()["load"]
    print(
        f"\nbars (load average {load:.1f}: adaptive waits do not spin on a busy machine)"
    )
    found = bars(trips, other)
    for what, measured, least in found:
        verdict = "met" if measured >= least else "NOT MET"
        print(f"  {verdict:8} {measured:9.1f} x, at least {least:g} x   {what}")
    result = {
        "machine": cases.machine(),
        "unit": "us",
        "round_trips": {
            placement: {
                size: {name: cases.summary(rounds) for name, rounds in figures.items()}
                for size, figures in sizes.items()
            }
            for placement, sizes in trips.items()
        },
        "other": {
            case: {name: cases.summary(rounds) for name, rounds in figures.items()}
            for case, figures in other.items()
        },
        "bars": [
            {"what": what, "measured": measured, "at_least": least}
            for what, measured, least in found
        ],
    }
    (options.out / "python.json").write_text(json.dumps(result, indent=1))
    plot(trips["apart"], options.out / "python.svg")


if __name__ == "__main__":
    main()
