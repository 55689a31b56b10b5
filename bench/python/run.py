# SPDX-License-Identifier: MIT
"""Measure the Python package beside its peers: JSON, plots, and the bars.

python bench/python/run.py [--out build/bench] [--seconds 0.02]

Peers that are not installed are left out and said to be."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import asyncio_case
import cases
import pools
import report
import serving
import trips

LARGE = "1.77 MB"


def bars(
    round_trips: dict[str, Any], other: dict[str, Any]
) -> list[tuple[str, float, float]]:
    """(what, measured, at least) for each bar whose peers are there."""
    found = []

    def bar(
        where: dict[str, list[float]], fast: str, slow: str, least: float, note: str
    ) -> None:
        if fast in where and slow in where:
            what = f"{note}: {fast} against {slow}"
            found.append((what, cases.ratio(where, slow, fast), least))

    nothing: dict[str, list[float]] = {}
    large, huge = (round_trips["free"].get(size, nothing) for size in (LARGE, "16 MiB"))
    small_apart, large_apart = (
        round_trips["apart"].get(s, nothing) for s in ("4 KiB", LARGE)
    )
    for ours in ("tensoring", "tensoring spinning"):
        bar(small_apart, ours, "multiprocessing.Pipe", 8, "4 KiB")
        bar(small_apart, ours, "multiprocessing.Queue", 9, "4 KiB")
    for place in ("together", "free"):
        small = round_trips[place].get("4 KiB", nothing)
        for peer, least in (
            ("multiprocessing.Pipe", 3),
            ("multiprocessing.Queue", 3),
            ("Pipe send_bytes", 1),
        ):
            bar(small, "tensoring asleep", peer, least, f"4 KiB, {place}")
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
    one_way = other["serving, over a UNIX socket"]
    bytes_in_json = "JSON with base64 of the bytes"
    for theirs, least in ((serving.THEIRS, 1000), (bytes_in_json, 50)):
        bar(one_way, serving.OURS, theirs, least, "one way, copied in")
    for theirs, least in ((serving.THEIRS, 5000), (bytes_in_json, 1000)):
        bar(one_way, serving.IN_PLACE, theirs, least, "one way")
    pool = other["sums"]
    bar(pool, "arrays, tensoring.Pool", "arrays, multiprocessing.Pool", 5, "100 x 512")
    bar(pool, "arrays, tensoring.Pool", "arrays, one process", 1, "100 x 512")
    bar(pool, "lists, tensoring.Pool", "lists, multiprocessing.Pool", 1, "100 x 512")
    for kind in ("1000 jobs", "1000 numbers", "1 call", "8 x 1 MiB"):
        ours, theirs = f"{kind}, tensoring.Pool", f"{kind}, multiprocessing.Pool"
        bar(other["jobs"], ours, theirs, 1, "jobs")
    for ours in ("tensoring", "tensoring, eventfds"):
        for gap in asyncio_case.GAPS:  # at most 1.25 x
            names = f"{gap}, {ours}", f"{gap}, eventfd"
            bar(other["asyncio"], *names, 0.8, "asyncio")
    cycle = other["one_thread"]
    took = cases.summary(cycle["send + receive + release"])["median"]
    views = cases.ratio(cycle, "send + receive + release", "frombuffer")
    found.append((f"one thread: {took:.2f} us, {views:.1f} x frombuffer", 1.2 / took, 1))
    return found


def measure_trips(sizes: list[str], seconds: float) -> dict[str, Any]:
    """way, placement, size: the rounds of each transport."""
    carried: dict[str, Any] = {
        way: {place: {} for place in trips.PLACES} for way in ("round trip", "one way")
    }
    for placement in trips.PLACES:
        for size in sizes:
            for way, placements in carried.items():
                placements[placement][size] = trips.trips(
                    size, seconds, placement, way == "one way"
                )
            there_and_back, there = (
                placements[placement][size] for placements in carried.values()
            )
            report.trips_table(size, placement, there_and_back, there)
    return carried


def summaries(figures: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: cases.summary(rounds) for name, rounds in figures.items()}


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
    left_out = trips.missing()
    if left_out:
        print(f"left out, since they are not installed: {', '.join(left_out)}")
    carried = measure_trips(options.sizes.split(","), options.seconds)
    other = {
        **serving.tables(max(5, int(options.seconds * 400))),
        "one_thread": cases.one_thread(options.seconds),
        "sums": cases.sums(options.seconds * 2),
        "jobs": pools.jobs(options.seconds * 2),
        "asyncio": asyncio_case.wake_ups(options.seconds * 2),
        "proxystore": cases.proxystore(options.side),
    }
    for name, figures in other.items():
        report.table(name, figures)
    load = cases.machine()["load"]
    print(
        f"\nbars (load average {load:.1f}: adaptive waits do not spin on a busy machine)"
    )
    found = bars(carried["round trip"], other)
    for what, measured, least in found:
        verdict = "met" if measured >= least else "NOT MET"
        print(f"  {verdict:8} {measured:9.2f} x, at least {least:g} x   {what}")
    slower = report.where_slower(carried, other)
    print(
        "\nwhere a peer is faster than the best of ours that waits and copies as it does"
    )
    for cell in filter(report.Cell.sure, slower):
        print(f"  {cell.faster:6.2f} x  {cell.where}: {cell.peer}, beside {cell.ours}")
    unsure = sum(not cell.sure() for cell in slower)
    print(f"  and {unsure} cells in which it depends on the round")
    result = {
        "machine": cases.machine(),
        "unit": "us",
        **{
            way.replace(" ", "_"): {
                placement: {size: summaries(figures) for size, figures in sizes.items()}
                for placement, sizes in placements.items()
            }
            for way, placements in carried.items()
        },
        "other": {case: summaries(figures) for case, figures in other.items()},
        "bars": [
            {"what": what, "measured": measured, "at_least": least}
            for what, measured, least in found
        ],
        "slower": [dataclasses.asdict(cell) for cell in slower],
    }
    (options.out / "python.json").write_text(json.dumps(result, indent=1))
    report.plot(carried, options.out / "python.svg")


if __name__ == "__main__":
    main()
