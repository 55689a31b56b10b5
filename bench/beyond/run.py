# SPDX-License-Identifier: MIT
"""Measure ways from one host to another, all in one run: JSON, tables, a plot, bars.

python bench/beyond/run.py [--out build/bench] [--seconds 1] [--quick]

The hosts are two network namespaces that a veth pair joins, so it needs root. TR_BRIDGE
is the bridge's program; bench/run builds one. Each way is beside a plain TCP socket in
each round; ways whose software is not installed are left out and said to be."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The hosts and the bridges are those of the tests.
TESTS = Path(__file__).parents[2] / "tests" / "beyond"
sys.path.append(str(TESTS))

import hosts as networks  # noqa: E402
import report  # noqa: E402
from bridges import Bridge, Pair, lacks, program  # noqa: E402

ENDS = str(Path(__file__).with_name("ends.py"))
LARGE = 9 * 128 * 64 * 3 * 8
SIZES = (64, 64 << 10, LARGE, 16 << 20)
GAPS = {64: 0.004, 64 << 10: 0.006, LARGE: 0.02, 16 << 20: 0.1}  # all sleep in between
SLOTS = [(4 << 10, 64), (128 << 10, 64), (2 << 20, 32), (17 << 20, 12)]
IN_FLIGHT = 8
BRIDGES = {"bridge": "zmq", "bridge, CURVE": "zmq", "bridge, UCX": "ucx"}
RULER = "TCP socket"


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 1.0  # of a cell, about
    idle_seconds: float = 10.0
    sizes: tuple[int, ...] = SIZES


class Process:
    """One end of a way."""

    def __init__(self, host: networks.Host, way: str, role: str, **settings: Any) -> None:
        self._process = host.start(
            *(sys.executable, ENDS, way, role, json.dumps(settings)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"an end has ended: {self._process.args}")
        found: dict[str, Any] = json.loads(line)
        return found

    def order(self, **order: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def cpu_of(bridges: list[Bridge]) -> float:
    """Seconds of processor that all threads of these have had."""
    total = 0
    for bridge in bridges:
        for task in Path(f"/proc/{bridge.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Way:
    """Both ends, and the bridges between them, if there are some."""

    def __init__(self, name: str, bridges: list[Bridge]) -> None:
        self.name, self.bridges = name, bridges
        self.ends: list[Process] = []

    def run(self, nbytes: int, count: int, gap: float) -> dict[str, Any]:
        before = cpu_of(self.bridges)
        receiver, sender = self.ends
        for end in (receiver, sender):
            end.order(bytes=nbytes, count=count, gap=gap)
        found, sent = receiver.answer(), sender.answer()
        bridges = cpu_of(self.bridges) - before
        cpu = found["cpu"] + sent["cpu"] + bridges
        return {**found, "cpu": cpu / count, "bridges": bridges / count, "count": count}


def start_ways(
    hosts: networks.Hosts, stack: ExitStack
) -> tuple[list[Way], dict[str, str]]:
    """Those that can be, and why not the others."""
    ways, out = [], {}
    port = 7000

    def both(way: Way, kind: str, **settings: Any) -> None:
        for host, role in ((hosts.there, "receive"), (hosts.here, "send")):
            end = Process(host, kind, role, **settings)
            stack.callback(end.close)
            end.answer()
            way.ends.append(end)
        ways.append(way)

    both(Way(RULER, []), "tcp", address=hosts.there.address, port=port)
    try:
        import zmq
    except ImportError:
        out["ZeroMQ"] = "pyzmq is not installed"
    else:
        for number, name in enumerate(("ZeroMQ", "ZeroMQ, CURVE")):
            curve = [one.decode() for one in zmq.curve_keypair()] if number else None
            port += 1
            both(
                Way(name, []),
                "zeromq",
                address=hosts.there.address,
                port=port,
                curve=curve,
            )
    for number, (name, engine) in enumerate(BRIDGES.items()):
        why = lacks(engine) if program() else "TR_BRIDGE does not name a program"
        if why:
            out[name] = why
            continue
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr"))
        plain = name != "bridge, CURVE"
        pair = Pair(hosts, Path(folder), plain=plain, port=7411 + number, engine=engine)
        stack.enter_context(pair).open(SLOTS, SLOTS, capacity=IN_FLIGHT)
        bridges = [pair.listen(), pair.connect(window=IN_FLIGHT)]
        for one, side in zip(("receive", "send"), (pair.there, pair.here), strict=True):
            host = hosts.there if one == "receive" else hosts.here
            end = Process(host, "bridge", one, arena=side.name)
            stack.callback(end.close)
            end.answer()
            if one == "receive":
                way = Way(name, bridges)
                ways.append(way)
            way.ends.append(end)
    return ways, out


def counts(way: Way, nbytes: int, seconds: float) -> int:
    """So many messages take about so long in a stream."""
    count = 4
    while count < 1 << 16:
        took = way.run(nbytes, count, 0)["seconds"]
        if took > seconds / 8:
            return max(4, int(count * seconds / took))
        count *= 4
    return count


def measure(ways: list[Way], amount: Amount) -> list[dict[str, Any]]:
    cells = []
    for nbytes in amount.sizes:
        for way in ways:
            way.run(nbytes, 8, GAPS[nbytes])  # what is touched the first time
        many = {way.name: counts(way, nbytes, amount.seconds / 2) for way in ways}
        paced = max(8, int(amount.seconds / 2 / GAPS[nbytes]))
        for number in range(amount.rounds):
            for way in ways:
                asleep = way.run(nbytes, paced, GAPS[nbytes])
                stream = way.run(nbytes, many[way.name], 0)
                cells.append(
                    {
                        "way": way.name,
                        "bytes": nbytes,
                        "round": number,
                        "one_way": statistics.median(asleep["times"]),
                        "bytes_per_second": stream["count"] * nbytes / stream["seconds"],
                        "cpu_per_message": stream["cpu"],
                        "cpu_of_bridges": stream["bridges"],
                    }
                )
        report.table(cells, nbytes, RULER)
    return cells


def idle(ways: list[Way], seconds: float) -> dict[str, float]:
    """Part of a core that the bridges of a way take when nothing is sent."""
    before = {way.name: cpu_of(way.bridges) for way in ways if way.bridges}
    time.sleep(seconds)
    return {
        way.name: (cpu_of(way.bridges) - before[way.name]) / seconds / len(way.bridges)
        for way in ways
        if way.bridges
    }


def bars(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Ratios to the socket of the same round: their median."""
    made = []
    for what, nbytes, key, wanted, at_least in (
        ("16 MiB, bandwidth / TCP socket", 16 << 20, "bytes_per_second", 0.8, True),
        ("1.77 MB, one way / TCP socket", LARGE, "one_way", 1.3, False),
        ("64 B asleep, one way / TCP socket", 64, "one_way", 4.0, False),
    ):
        by = report.ratios(found["cells"], "bridge", RULER, nbytes, key)
        if by:
            made.append(report.bar(what, by, wanted, at_least))
    # What a socket does is the bridges' part; ends that use an arena copy into it anyway.
    for nbytes in (LARGE, 16 << 20):
        cells = found["cells"]
        sockets = report.of(cells, RULER, nbytes, "cpu_per_message")
        bridges = report.of(cells, "bridge", nbytes, "cpu_of_bridges")
        if bridges:
            by = [a / b for a, b in zip(bridges, sockets, strict=True)]
            what = f"{report.size(nbytes)}, CPU of the bridges / TCP socket"
            made.append(report.bar(what, by, 1.6, False))
    for name, part in found["idle"].items():
        made.append(report.bar(f"{name}, idle: part of a core", [part], 0.001, False))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=Amount.seconds, help="of a cell")
    parser.add_argument("--quick", action="store_true", help="a few seconds in all")
    options = parser.parse_args()
    amount = Amount(seconds=options.seconds)
    if options.quick:
        amount = Amount(1, 0.1, 1, (64, LARGE))
    if why := networks.lacking():
        print(f"skipped: {why}")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "kernel": os.uname().release,
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
        }
    }
    with ExitStack() as stack:
        hosts = networks.Hosts()
        stack.callback(hosts.close)
        ways, found["left_out"] = start_ways(hosts, stack)
        for name, why in found["left_out"].items():
            print(f"left out: {name}: {why}")
        found["cells"] = measure(ways, amount)
        found["idle"] = idle(ways, amount.idle_seconds)
    found["bars"] = bars(found)
    found["machine"]["load_at_the_end"] = os.getloadavg()[0]
    report.rest(found)
    (options.out / "beyond.json").write_text(json.dumps(found, indent=1))
    report.plot(found["cells"], options.out / "beyond.svg")


if __name__ == "__main__":
    main()
