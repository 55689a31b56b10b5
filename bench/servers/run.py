# SPDX-License-Identifier: MIT
"""Measure ways from web workers to a model, all in one run: JSON, tables, a plot, bars.

python bench/servers/run.py [--out build/bench] [--seconds 2] [--quick] [--only PART]

Ways whose software is not installed are left out and said to be."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import measure
import report
import ways
from hosts import Host, Shape, left_out, running

_PACKAGES = ("tensoring", "gunicorn", "redis", "numpy")
PARTS = ("direct", "load", "batching")
MODEL_SECONDS = 0.005
LARGE = 9 * 128 * 64 * 3 * 8
RATES = {64: 200.0, 64 << 10: 150.0, LARGE: 20.0}  # requests a second that all can bear
LEAST = {  # how many times faster than these ours must be
    ("gunicorn dirty", 64): 15.0,
    ("HTTP over a UNIX socket", 64): 5.0,
    ("redis list", 64): 3.0,
    ("gunicorn dirty", 1 << 20): 50.0,
    ("HTTP over a UNIX socket", 1 << 20): 20.0,
    ("redis list", 1 << 20): 20.0,
}


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    seconds: float = 2.0
    warm_up_seconds: float = 0.5
    sizes: tuple[int, ...] = tuple(RATES)
    connections: tuple[int, ...] = (1, 8, 32)
    shape: Shape = field(default_factory=Shape)
    rounds: int = 7
    calls: tuple[int, ...] = (200, 30)  # in a round, of 64 B and of 1 MiB
    idle_seconds: float = 5.0
    batch_threads: int = 8
    batch_connections: int = 32
    batch_rounds: int = 3
    batch_rates: tuple[float, ...] = (500.0, 1000.0)


QUICK = Amount(
    seconds=0.2,  # wrk wants a second and more, and is left out
    warm_up_seconds=0.1,
    sizes=(64, LARGE),
    connections=(2,),
    shape=Shape(workers=1, models=1),
    rounds=1,
    calls=(10, 3),
    idle_seconds=0.2,
    batch_threads=4,
    batch_connections=4,
    batch_rounds=1,
    batch_rates=(100.0,),
)


def missing() -> dict[str, str]:
    """What is left out, and why."""
    found = {name: why for name, way in ways.ALL.items() if (why := left_out(way))}
    if not shutil.which("wrk"):
        found["wrk"] = "wrk is not installed: no throughput"
    return found


@contextmanager
def started(names: list[str], shape: Shape) -> Iterator[measure.Hosts]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tr")))
        hosts = {}
        for i, name in enumerate(names):
            host = Host(ways.ALL[name], directory / str(i), shape)
            hosts[name] = stack.enter_context(running(host))
        yield hosts
        for host in hosts.values():
            host.end()


def under_load(names: list[str], amount: Amount) -> dict[str, Any]:
    with started(names, amount.shape) as hosts:
        connections = 2 * amount.shape.workers
        measure.warm_up(hosts, list(amount.sizes), connections, amount.warm_up_seconds)
        direct = []
        if amount.rounds:
            counts = list(amount.calls)
            direct = measure.direct(hosts, [64, 1 << 20], amount.rounds, counts)
            report.direct(direct)
        cells = []
        for nbytes in amount.sizes:
            for connections in amount.connections:
                rows = measure.cell(
                    hosts, nbytes, connections, RATES[nbytes], amount.seconds
                )
                report.cells(rows)
                cells += rows
        return {
            "direct": direct,
            "cells": cells,
            "memory": {name: host.pss() for name, host in hosts.items()},
            "idle": measure.idle(hosts, amount.idle_seconds),
        }


def with_slow_model(names: list[str], amount: Amount) -> dict[str, Any]:
    """Batches beside one request a time, on one slow model."""
    both = [name for name in ("tensoring", "tensoring, batches") if name in names]
    if len(both) < 2:
        return {}
    shape = replace(
        amount.shape, threads=amount.batch_threads, models=1, model_seconds=MODEL_SECONDS
    )
    with started(both, shape) as hosts:
        measure.warm_up(hosts, [64], amount.batch_connections, amount.warm_up_seconds)
        return measure.batching(
            hosts,
            amount.batch_connections,
            list(amount.batch_rates),
            amount.batch_rounds,
            amount.seconds,
        )


def bars(found: dict[str, Any]) -> list[measure.Bar]:
    made = measure.direct_bars(found["direct"], LEAST)
    for row in found["idle"]:
        if row["way"] == "tensoring":
            what = f"idle, {row['processes']} processes: part of a core"
            made.append(measure.bar(what, [row["core"]], 0.005, float.__le__))
    batching = found["batching"]
    if batching:
        by = measure.ratios(
            batching["requests_per_second"], "tensoring, batches", "tensoring"
        )
        made.append(measure.bar("batches / one request a time, throughput", by, 5))
        for row in batching["open_loop"]:
            what = f"batches at {row['rate']:g} requests/s: p99 / the model's time"
            by = [row["p99"] / MODEL_SECONDS]
            made.append(measure.bar(what, by, 3, float.__le__))
    return made


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = (line.partition(":") for line in reversed(lines))
    processor = {name.strip(): value.strip() for name, _, value in fields}
    return {
        "cpu": processor.get("model name", platform.machine()),
        "cpu_family": processor.get("cpu family"),
        "cpu_model": processor.get("model"),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": os.uname().release,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=Amount.seconds, help="of a cell")
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    parser.add_argument("--only", choices=PARTS, help="leave the other parts out")
    options = parser.parse_args()
    amount = QUICK if options.quick else Amount(seconds=options.seconds)
    parts = [options.only] if options.only else PARTS
    amount = replace(
        amount,
        rounds=amount.rounds if "direct" in parts else 0,
        sizes=amount.sizes if "load" in parts else (),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    out = missing()
    for name, why in out.items():
        print(f"left out: {name}: {why}")
    names = [name for name in ways.ALL if name not in out]
    found: dict[str, Any] = {"machine": machine(), "left_out": out, "ways": names}
    found |= under_load(names if amount.rounds or amount.sizes else [], amount)
    found["batching"] = with_slow_model(names if "batching" in parts else [], amount)
    found["bars"] = bars(found)
    found["machine"]["load_at_the_end"] = os.getloadavg()[0]
    report.rest(found)
    (options.out / "servers.json").write_text(json.dumps(found, indent=1))
    if found["cells"]:
        report.plot(found["cells"], options.out / "servers.svg")


if __name__ == "__main__":
    main()
