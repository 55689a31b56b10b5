# SPDX-License-Identifier: MIT
"""Tables and plots of what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

Found = dict[str, Any]


def size(nbytes: int) -> str:
    if nbytes % (1 << 20) == 0:
        return f"{nbytes >> 20} MiB"
    if nbytes % 1024 == 0 and nbytes < 1 << 20:
        return f"{nbytes >> 10} KiB"
    return f"{nbytes} B" if nbytes < 1 << 20 else f"{nbytes / 1e6:.2f} MB"


def _rate(wrk: Found) -> str:
    return f"{wrk['requests_per_second']:10.0f}" if wrk else f"{'-':>10}"


def cells(rows: list[Found]) -> None:
    """One table for each size and number of connections."""
    where = dict.fromkeys((row["bytes"], row["connections"]) for row in rows)
    for nbytes, connections in where:
        some = [
            row
            for row in rows
            if (row["bytes"], row["connections"]) == (nbytes, connections)
        ]
        rate = some[0]["open_loop"]["rate"]
        print(
            f"\n{size(nbytes)}, {connections} connections; times at {rate:g} requests/s"
        )
        print(f"  {'':28}{'requests/s':>10}{'p50':>12}{'p99':>12}{'CPU/request':>14}")
        for row in some:
            times = row["open_loop"]
            print(
                f"  {row['way']:28}{_rate(row['wrk'])}{times['p50'] * 1e3:9.2f} ms"
                f"{times['p99'] * 1e3:9.2f} ms{times['cpu_ms_per_request']:11.2f} ms"
            )


def direct(rows: list[Found]) -> None:
    print("\na call from a web worker to an idle model: median of the rounds")
    for row in rows:
        rounds = [one * 1e6 for one in row["rounds"]]
        spread = f"({min(rounds):.1f} to {max(rounds):.1f})"
        middle = statistics.median(rounds)
        print(f"  {size(row['bytes']):8} {row['way']:28}{middle:10.1f} us  {spread}")


def rest(found: Found) -> None:
    """Memory, idle processors, batches, bars."""
    print("\nmemory and idle processors of all processes of a way")
    for row in found["idle"]:
        memory = found["memory"][row["way"]] / 1e6
        print(
            f"  {row['way']:28}{row['processes']:4} processes{memory:8.1f} MB PSS"
            f"{row['core'] * 100:8.2f} % of a core"
        )
    batching = found["batching"]
    if batching:
        print(
            f"\na model of {batching['model_seconds'] * 1e3:g} ms, "
            f"{batching['connections']} connections"
        )
        for way, rounds in batching["requests_per_second"].items():
            print(
                f"  {way:28}{statistics.median(rounds):8.0f} requests/s "
                f"({min(rounds):.0f} to {max(rounds):.0f})"
            )
        for row in batching["open_loop"]:
            print(
                f"  batches at {row['rate']:g} requests/s: "
                f"p50 {row['p50'] * 1e3:.1f} ms, p99 {row['p99'] * 1e3:.1f} ms"
            )
    print("\nbars")
    for bar in found["bars"]:
        verdict = "met" if bar["met"] else "NOT MET"
        spread = f"({bar['min']:.4g} to {bar['max']:.4g})"
        wanted = f"at {bar['at']} {bar['wanted']:g}"
        print(f"  {verdict:8}{bar['measured']:10.4g} {spread}, {wanted}   {bar['what']}")


def plot(rows: list[Found], path: Path) -> None:
    """Throughput and p99 against connections, for each size."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    sizes = list(dict.fromkeys(row["bytes"] for row in rows))
    names = list(dict.fromkeys(row["way"] for row in rows))
    figure, grid = plt.subplots(
        2, len(sizes), figsize=(5 * len(sizes), 8), sharex=True, squeeze=False
    )
    for column, nbytes in enumerate(sizes):
        for i, name in enumerate(names):
            some = [row for row in rows if (row["bytes"], row["way"]) == (nbytes, name)]
            across = [row["connections"] for row in some]
            rates = [row["wrk"].get("requests_per_second", 0) for row in some]
            late = [row["open_loop"]["p99"] * 1e3 for row in some]
            style = "-o" if name.startswith("tensoring") else "--."
            grid[0][column].plot(across, rates, style, label=name, color=f"C{i}")
            grid[1][column].plot(across, late, style, color=f"C{i}")
        grid[0][column].set_title(size(nbytes))
        grid[0][column].set_ylim(bottom=0)
        grid[1][column].set_yscale("log")
        grid[1][column].set_xlabel("connections")
        for axes in grid[:, column]:
            axes.set_xscale("log", base=2)
            axes.grid(True, alpha=0.3)
    grid[0][0].set_ylabel("requests a second (wrk)")
    grid[1][0].set_ylabel("p99 at a fixed rate, ms")
    grid[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, bbox_inches="tight")
    print(f"\nplot: {path}")
