# SPDX-License-Identifier: MIT
"""Tables, ratios and the plot of what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

THEIRS = "FileConnector, their serializers"
OURS = "arena, our serializers"


def table(title: str, cell: dict[str, dict[str, list[float]]]) -> None:
    steps = list(next(iter(cell.values())))
    print(f"\n{title}: us, median (smallest to largest)")
    print(f"  {'':34}" + "".join(f"{step:>12}" for step in steps))
    for name, figures in cell.items():
        medians = "".join(
            f"{statistics.median(rounds) * 1e6:12.1f}" for rounds in figures.values()
        )
        whole = [one * 1e6 for one in figures["all"]]
        print(f"  {name:34}{medians}   ({min(whole):.1f} to {max(whole):.1f})")


def ratios(found: dict[str, Any]) -> list[dict[str, Any]]:
    """How many times faster ours is in each round, for each kind and size."""
    rows = []
    cells = {**found["kinds"], "proxy in another process": found["resolved"]}
    for kind, sizes in cells.items():
        for nbytes, cell in sizes.items():
            pairs = zip(cell[THEIRS]["all"], cell[OURS]["all"], strict=True)
            rounds = [theirs / ours for theirs, ours in pairs]
            rows.append({"kind": kind, "bytes": nbytes, "rounds": rounds})
    return rows


def print_ratios(rows: list[dict[str, Any]]) -> None:
    print(f"\n{OURS}: how many times faster than {THEIRS}")
    for row in rows:
        rounds = row["rounds"]
        print(
            f"  {row['kind']:26}{row['bytes']:12} bytes"
            f"{statistics.median(rounds):9.1f} x ({min(rounds):.1f} to {max(rounds):.1f})"
        )


def plot(found: dict[str, Any], path: Path) -> None:
    """Time against size for each kind, with bars from the smallest to the largest."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # texts, not a path for each letter
    import matplotlib.pyplot as plt

    cells = {
        **found["kinds"],
        "a proxy in another process": found["resolved"],
        "whole numbers, with zstd": found["compressible"],
    }
    cells = {title: sizes for title, sizes in cells.items() if sizes}
    figure, axes = plt.subplots(
        1, len(cells), figsize=(5 * len(cells), 5), sharey=True, squeeze=False
    )
    for one, (title, sizes) in zip(axes[0], cells.items(), strict=True):
        for i, name in enumerate(next(iter(sizes.values()))):
            rounds = [[t * 1e6 for t in cell[name]["all"]] for cell in sizes.values()]
            middle = [statistics.median(times) for times in rounds]
            low = [m - min(times) for m, times in zip(middle, rounds, strict=True)]
            high = [max(times) - m for m, times in zip(middle, rounds, strict=True)]
            style = "-o" if name.startswith("arena") else "--s"
            one.errorbar(
                [int(size) for size in sizes],
                middle,
                yerr=[low, high],
                fmt=style,
                label=name,
                color=f"C{i}",
                capsize=3,
            )
        one.set_xscale("log")
        one.set_yscale("log")
        one.set_title(title)
        one.set_xlabel("bytes")
        one.minorticks_off()
        one.grid(True, alpha=0.3)
    axes[0][0].set_ylabel("us, median of the rounds")
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, bbox_inches="tight")
    print(f"\nplot: {path}")
