# SPDX-License-Identifier: MIT
"""Tables, the plot, and the cells in which a peer is faster."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import cases
import trips
from transports import OURS

Rounds = dict[str, list[float]]
_OURS = {kind.name for kind in OURS}


def table(title: str, figures: Rounds) -> None:
    print(f"\n{title}")
    for name, rounds in sorted(figures.items(), key=lambda item: min(item[1])):
        one = cases.summary(rounds)
        spread = f"({one['min']:.1f} to {one['max']:.1f})"
        print(f"  {name:32} {one['median']:12.1f} us  {spread}")


def trips_table(size: str, placement: str, there_and_back: Rounds, there: Rounds) -> None:
    print(f"\n{size}, processes placed {placement}{'round trip':>26}{'one way':>14}")
    medians = {
        name: (cases.summary(rounds)["median"], cases.summary(there[name])["median"])
        for name, rounds in there_and_back.items()
    }
    for name, (both, one) in sorted(medians.items(), key=lambda item: item[1]):
        waits = trips.ALL[name].waits
        print(f"  {name:32} {waits:9} {both:12.1f} {one:12.1f} us")


@dataclasses.dataclass
class Cell:
    """Where a peer is faster, how many times, and in which part of the rounds."""

    where: str
    peer: str
    ours: str
    faster: float
    rounds: float

    def sure(self) -> bool:
        return self.rounds >= 0.8


def where_slower(carried: dict[str, Any], other: dict[str, Rounds]) -> list[Cell]:
    found: list[Cell] = []

    def compare(where: str, figures: Rounds, ours: str, peer: str) -> None:
        faster = cases.ratio(figures, ours, peer)
        if faster > 1:
            rounds = cases.faster_rounds(figures, peer, ours)
            found.append(Cell(where, peer, ours, faster, rounds))

    for way, placements in carried.items():
        for placement, sizes in placements.items():
            for size, figures in sizes.items():
                for peer, group in rivals(figures):
                    best = min(group, key=lambda n: cases.summary(figures[n])["median"])
                    compare(f"{size} {way}, {placement}", figures, best, peer)
    tables = [case for case in other if case.startswith("serving")]
    for case in (*tables, "sums", "jobs", "proxystore"):
        pools = case in ("sums", "jobs")
        for peer in other[case]:
            kind = peer.split(", ")[0] + ", " if pools else ""
            ours = f"{kind}tensoring" + (".Pool" if pools else "")
            if not peer.removeprefix(kind).startswith("tensoring"):
                compare(case, other[case], ours, peer)
    return found


def rivals(figures: Rounds) -> list[tuple[str, list[str]]]:
    """Each peer with those of ours that wait and copy as it does, and peers that sleep
    once more with our adaptive waits."""
    pairs = []
    for peer in figures:
        if peer in _OURS:
            continue
        kind = trips.ALL[peer]
        for waits in {"asleep": ("asleep", "adaptive")}.get(kind.waits, (kind.waits,)):
            group = [
                name
                for name in figures
                if name in _OURS
                and (trips.ALL[name].waits, trips.ALL[name].copies)
                == (waits, kind.copies)
            ]
            pairs.append((peer, group))
    return pairs


def plot(carried: dict[str, Any], path: Path) -> None:
    """Time against size, there and back and one way, of processes placed apart."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    sizes = carried["round trip"]["apart"]
    nbytes = [
        int(np.prod(shape)) * np.dtype(dtype).itemsize
        for shape, dtype in (cases.SIZES[name] for name in sizes)
    ]
    names = list(next(iter(sizes.values())))
    colours = plt.get_cmap("tab20")
    figure, both = plt.subplots(1, 2, figsize=(16, 8), sharey=True)
    for axes, (way, placements) in zip(both, carried.items(), strict=True):
        for i, name in enumerate(names):
            times = [
                cases.summary(figures[name])["median"]
                for figures in placements["apart"].values()
            ]
            style = "-o" if name in _OURS else "--" if i % 2 else ":"
            axes.loglog(nbytes, times, style, label=name, color=colours(i % 20))
        axes.set_title(way)
        axes.set_xlabel("bytes")
        axes.grid(True, which="both", alpha=0.3)
    both[0].set_ylabel("us, median")
    both[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, bbox_inches="tight")
    print(f"\nplot: {path}")
