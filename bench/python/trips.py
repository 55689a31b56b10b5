# SPDX-License-Identifier: MIT
"""Arrays between two processes, there and back and one way; all of them take turns."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import mmap
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable

import numpy as np

import cases
from peers import PEERS
from peers_iceoryx import ICEORYX
from peers_polling import POLLING
from transports import OURS, Transport

ALL = {kind.name: kind for kind in [*OURS, *PEERS, *POLLING, *ICEORYX]}
_CPUS = sorted(os.sched_getaffinity(0))
# Where both sides may run. Those that spin are not put together: they would wait for the
# scheduler.
PLACES = {
    "apart": (_CPUS[:1], _CPUS[1:] or _CPUS),
    "together": (_CPUS[:1], _CPUS[:1]),
    "free": (_CPUS, _CPUS),
}
Rounds = dict[str, list[float]]


class Pair:
    """A transport, and the child at its other end."""

    def __init__(
        self, kind: type[Transport], array: np.ndarray, place: str, stamped: bool
    ) -> None:
        """ImportError where that peer is not installed."""
        self.transport = transport = kind(array)
        self.stamp = memoryview(mmap.mmap(-1, 8)).cast("d")
        self.trip = functools.partial(transport.trip, array)

        def child() -> None:
            os.sched_setaffinity(0, PLACES[place][1])
            if stamped:
                transport.stamping_child(self.stamp)
            else:
                transport.child()

        context = multiprocessing.get_context("fork")
        self.child = context.Process(target=child, daemon=True)
        self.child.start()

    def one_way(self, trip: Callable[[], object], count: int) -> float:
        """The time of so many ways there, until the receiver has an array."""
        stamp = self.stamp
        took = 0.0
        for _ in range(count):
            begin = time.perf_counter()
            trip()
            took += stamp[0] - begin
        return took

    def stop(self) -> None:
        self.transport.stop()
        self.child.join(10)
        if self.child.is_alive():
            self.child.terminate()
        self.transport.close()


def missing() -> list[str]:
    """What peers need and is not installed."""
    wanted = ("faster_fifo", "iceoryx2", "torch", "zmq")
    return [name for name in wanted if not importlib.util.find_spec(name)]


def trips(
    size: str, seconds: float, place: str, one_way: bool, names: Iterable[str] = ALL
) -> Rounds:
    """There and back between two processes, or only there, for ours and every peer."""
    os.sched_setaffinity(0, PLACES[place][0])
    try:
        return _trips(size, seconds, place, one_way, names)
    finally:
        os.sched_setaffinity(0, _CPUS)


def _trips(
    size: str, seconds: float, place: str, one_way: bool, names: Iterable[str]
) -> Rounds:
    shape, dtype = cases.SIZES[size]
    array = np.random.default_rng(1).random(shape).astype(dtype)
    running = {}
    for name in names:
        if place == "together" and ALL[name].waits == "spinning":
            continue
        with contextlib.suppress(ImportError):
            running[name] = Pair(ALL[name], array, place, one_way)
    try:
        for name, pair in running.items():
            back = np.asarray(pair.trip())
            assert not pair.transport.copies or (back == array).all(), name
            del back
        calls = {name: pair.trip for name, pair in running.items()}

        def clock(name: str, call: Callable[[], object], count: int) -> float:
            pair = running[name]
            took = (pair.one_way if one_way else cases.clock)(call, count)
            pair.transport.rest()
            return took

        return cases.interleave(calls, seconds, clock)
    finally:
        for pair in running.values():
            pair.stop()
