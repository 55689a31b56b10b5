# SPDX-License-Identifier: MIT
"""Tables and a plot of what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
COLUMNS = (
    ("one_way", "one way, us", 1e6),
    ("bytes_per_second", "GB/s", 1e-9),
    ("cpu_per_message", "CPU/message, us", 1e6),
)


def size(nbytes: int) -> str:
    if nbytes % (1 << 20) == 0:
        return f"{nbytes >> 20} MiB"
    if nbytes % 1024 == 0 and nbytes < 1 << 20:
        return f"{nbytes >> 10} KiB"
    return f"{nbytes} B" if nbytes < 1 << 20 else f"{nbytes / 1e6:.2f} MB"


def of(cells: list[Cell], way: str, nbytes: int, key: str) -> list[float]:
    """The rounds of one figure."""
    return [one[key] for one in cells if (one["way"], one["bytes"]) == (way, nbytes)]


def ratios(cells: list[Cell], way: str, other: str, nbytes: int, key: str) -> list[float]:
    mine, others = (of(cells, one, nbytes, key) for one in (way, other))
    return [a / b for a, b in zip(mine, others, strict=False)]


def table(cells: list[Cell], nbytes: int, ruler: str) -> None:
    ways = dict.fromkeys(one["way"] for one in cells if one["bytes"] == nbytes)
    print(f"\n{size(nbytes)}: medians of the rounds, and their ratio to the {ruler}")
    print(f"  {'':18}" + "".join(f"{title:>24}" for _, title, _ in COLUMNS))
    for way in ways:
        row = f"  {way:18}"
        for key, _, scale in COLUMNS:
            middle = statistics.median(of(cells, way, nbytes, key)) * scale
            by = statistics.median(ratios(cells, way, ruler, nbytes, key))
            row += f"{middle:15.2f} ({by:5.2f})"
        print(row)


def bar(what: str, by: list[float], wanted: float, at_least: bool) -> dict[str, Any]:
    middle = statistics.median(by)
    return {
        "what": what,
        "measured": middle,
        "min": min(by),
        "max": max(by),
        "wanted": wanted,
        "at": "least" if at_least else "most",
        "met": middle >= wanted if at_least else middle <= wanted,
    }


def rest(found: dict[str, Any]) -> None:
    machine = found["machine"]
    print(f"\nload average {machine['load']:.1f} to {machine['load_at_the_end']:.1f}")
    print("bars")
    for one in found["bars"]:
        verdict = "met" if one["met"] else "NOT MET"
        spread = f"({one['min']:.4g} to {one['max']:.4g})"
        wanted = f"at {one['at']} {one['wanted']:g}"
        print(f"  {verdict:8}{one['measured']:10.4g} {spread}, {wanted}   {one['what']}")


def plot(cells: list[Cell], path: Path) -> None:
    """One-way time, bandwidth and CPU against the size, with the spread of the rounds."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(1, len(COLUMNS), figsize=(6 * len(COLUMNS), 4.5))
    sizes = list(dict.fromkeys(one["bytes"] for one in cells))
    for axes, (key, title, scale) in zip(grid, COLUMNS, strict=True):
        for i, way in enumerate(dict.fromkeys(one["way"] for one in cells)):
            rounds = [[x * scale for x in of(cells, way, n, key)] for n in sizes]
            middle = [statistics.median(one) for one in rounds]
            low = [m - min(one) for m, one in zip(middle, rounds, strict=True)]
            high = [max(one) - m for m, one in zip(middle, rounds, strict=True)]
            style = "-o" if way.startswith("bridge") else "--."
            axes.errorbar(
                sizes, middle, (low, high), fmt=style, label=way, color=f"C{i}", capsize=3
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [size(n) for n in sizes])
        axes.set_ylabel(title)
        axes.grid(True, alpha=0.3)
    grid[-1].legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight")
    print(f"\nplot: {path}")
