# SPDX-License-Identifier: MIT
"""What is measured on running hosts. In each measurement all ways take their turns, so a
ratio is of one run."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import load
from hosts import HERE, Host
from model import Requests

Hosts = dict[str, Host]
Row = dict[str, Any]


class WrongAnswer(Exception):
    """A way has given an answer that is not right, or none."""


def _check(host: Host, what: str, result: load.Result) -> None:
    if not result.all_right:
        summary = result.summary()
        text = f"{host.way.name}, {what}: {summary}\n{host.log()[-4000:]}"
        raise WrongAnswer(text)


def warm_up(hosts: Hosts, sizes: list[int], connections: int, seconds: float) -> None:
    """Until each worker has met the model, and each size has been there."""
    for host in hosts.values():
        for nbytes in sizes:
            result = load.open_loop(host.port, nbytes, connections, 50, seconds)
            _check(host, "warming up", result)


# ---- under load


def by_wrk(host: Host, nbytes: int, connections: int, seconds: float) -> Row:
    """Requests a second, as fast as so many connections can; its answers are counted, not
    checked. Empty without wrk, and for less than the second that it counts in."""
    if not shutil.which("wrk") or seconds < 1:
        return {}
    with tempfile.NamedTemporaryFile() as body:
        body.write(Requests(nbytes).body(0))
        body.flush()
        options = (f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s")
        script = ("-s", str(HERE / "post.lua"))
        url = f"http://127.0.0.1:{host.port}/"
        before = host.cpu_seconds()
        done = subprocess.run(
            ["wrk", "-t1", *options, *script, url, "--", body.name],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )
        spent = host.cpu_seconds() - before
    found = re.search(r"^result (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError(f"wrk says:\n{done.stdout}{done.stderr}")
    requests, microseconds, errors = map(int, found.groups())
    if errors:
        raise WrongAnswer(f"{host.way.name}: {errors} errors in {requests} of wrk's")
    return {
        "requests_per_second": requests / microseconds * 1e6,
        "cpu_ms_per_request": spent * 1e3 / max(1, requests),
    }


def by_clock(
    host: Host, nbytes: int, connections: int, rate: float, seconds: float
) -> Row:
    """Times at a fixed rate, each answer checked."""
    before = host.cpu_seconds()
    result = load.open_loop(host.port, nbytes, connections, rate, seconds)
    spent = host.cpu_seconds() - before
    _check(host, f"{nbytes} bytes, {connections} connections", result)
    return {
        "rate": rate,
        **result.summary(),
        "cpu_ms_per_request": spent * 1e3 / result.asked,
    }


def cell(
    hosts: Hosts, nbytes: int, connections: int, rate: float, seconds: float
) -> list[Row]:
    """All ways with bodies of one size over so many connections."""
    return [
        {
            "way": name,
            "bytes": nbytes,
            "connections": connections,
            "wrk": by_wrk(host, nbytes, connections, seconds),
            "open_loop": by_clock(host, nbytes, connections, rate, seconds),
        }
        for name, host in hosts.items()
    ]


# ---- a call without HTTP around it


def _direct(host: Host, nbytes: int, count: int) -> float:
    """The median, in seconds, of so many calls from one of its web workers."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", f"/direct?{nbytes},{count + count // 10}")
        response = connection.getresponse()
        said = response.read()
    if response.status != 200:
        raise WrongAnswer(f"{host.way.name}, direct: {said!r}\n{host.log()[-4000:]}")
    return statistics.median(json.loads(said)[count // 10 :])  # the first ones warm up


def direct(hosts: Hosts, sizes: list[int], rounds: int, counts: list[int]) -> list[Row]:
    """A call from a web worker to a model that has nothing else to do."""
    found = []
    for nbytes, count in zip(sizes, counts, strict=True):
        times: dict[str, list[float]] = {name: [] for name in hosts}
        for turn in range(rounds):
            for name in _rotated(list(hosts), turn):
                times[name].append(_direct(hosts[name], nbytes, count))
        found += [{"way": name, "bytes": nbytes, "rounds": times[name]} for name in hosts]
    return found


def _rotated(names: list[str], turn: int) -> list[str]:
    first = turn % len(names)
    return names[first:] + names[:first]


# ---- at rest


def _on_cpu(host: Host) -> dict[str, int]:
    """Nanoseconds of each living thread."""
    found = {}
    for pid in host.processes():
        with contextlib.suppress(OSError):  # it has just ended
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    found[str(task)] = int((task / "schedstat").read_text().split()[0])
    return found


def idle(hosts: Hosts, seconds: float) -> list[Row]:
    """The part of one core that each takes while nobody asks, all at the same time."""
    time.sleep(0.5)  # the last connections are being closed
    before = {name: _on_cpu(host) for name, host in hosts.items()}
    begin = time.perf_counter()
    time.sleep(seconds)
    found = []
    for name, host in hosts.items():
        spent = sum(
            now - before[name].get(task, 0) for task, now in _on_cpu(host).items()
        )
        part = spent * 1e-9 / (time.perf_counter() - begin)
        found.append({"way": name, "processes": len(host.processes()), "core": part})
    return found


# ---- batches


def batching(
    hosts: Hosts, connections: int, rates: list[float], rounds: int, seconds: float
) -> Row:
    """Throughput of a slow model with each of the two ways, in turn, and times with
    batches at fixed rates."""
    throughput: dict[str, list[float]] = {name: [] for name in hosts}
    for turn in range(rounds):
        for name in _rotated(list(hosts), turn):
            throughput[name].append(_throughput(hosts[name], connections, seconds))
    *_, batches = hosts.values()
    return {
        "model_seconds": batches.shape.model_seconds,
        "connections": connections,
        "requests_per_second": throughput,
        "open_loop": [
            by_clock(batches, 64, connections, rate, seconds) for rate in rates
        ],
    }


def _throughput(host: Host, connections: int, seconds: float) -> float:
    found = by_wrk(host, 64, connections, seconds)
    if found:
        return float(found["requests_per_second"])
    # Without wrk: due at once, so that each connection always has one to ask.
    result = load.open_loop(host.port, 64, connections, 1e6, 500 * seconds / 1e6)
    _check(host, "as fast as it can", result)
    return result.asked / result.seconds


def ratios(rounds: dict[str, list[float]], slow: str, fast: str) -> list[float]:
    """Slow by fast, in each round."""
    return [a / b for a, b in zip(rounds[slow], rounds[fast], strict=True)]


Bar = dict[str, Any]


def direct_bars(rows: list[Row], least: dict[tuple[str, int], float]) -> list[Bar]:
    """How many times faster than each other way a direct call of ours is."""
    found = []
    for (peer, nbytes), wanted in least.items():
        times = {row["way"]: row["rounds"] for row in rows if row["bytes"] == nbytes}
        if peer in times and "tensoring" in times:
            by = ratios(times, peer, "tensoring")
            found.append(
                bar(f"direct call, {nbytes} bytes: {peer} / tensoring", by, wanted)
            )
    return found


def bar(
    what: str,
    rounds: list[float],
    wanted: float,
    compare: Callable[..., bool] = float.__ge__,
) -> Bar:
    measured = statistics.median(rounds)
    return {
        "what": what,
        "measured": measured,
        "min": min(rounds),
        "max": max(rounds),
        "wanted": wanted,
        "at": "least" if compare is float.__ge__ else "most",
        "met": compare(float(measured), float(wanted)),
    }
