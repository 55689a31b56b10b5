# SPDX-License-Identifier: MIT
"""What does a small object cost through a queue of Python?

Tuples of five ints from 1, 10 and 20 senders to 1 and 3 receivers, as in faster-fifo's
benchmark, through multiprocessing.Queue, tensoring.Queue and, where it is installed,
faster_fifo.Queue: one by one, and in batches by put_many() and get_many(), which
multiprocessing does not have. They take turns; printed are the least of the rounds:
microseconds for an object, of the clock and of all processors (with the start of the
processes), and how many times longer multiprocessing takes by the clock.

    python small_queues.py [--objects N] [--rounds N]
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import tensoring as tr

CELLS = [(senders, receivers) for receivers in (1, 3) for senders in (1, 10, 20)]
BATCH = 100  # objects
ROOM = 10**7  # bytes, of faster-fifo


def send(queue: Any, n: int, begin: Any) -> None:
    begin.wait()
    for i in range(n):
        queue.put((i, 1, 2, 3, 4))


def receive(queue: Any, n: int, begin: Any) -> None:
    begin.wait()
    for _ in range(n):
        queue.get()


def send_batches(queue: Any, n: int, begin: Any) -> None:
    if not hasattr(queue, "put_many"):
        send(queue, n, begin)
        return
    begin.wait()
    for i in range(0, n, BATCH):
        queue.put_many([(k, 1, 2, 3, 4) for k in range(i, min(n, i + BATCH))])


def receive_batches(queue: Any, n: int, begin: Any) -> None:
    if not hasattr(queue, "get_many"):
        receive(queue, n, begin)
        return
    begin.wait()
    while n > 0:
        n -= len(queue.get_many(max_messages_to_get=min(n, BATCH)))


class Batches(tr.Queue):
    """Ours, with the names of faster-fifo."""

    def get_many(self, max_messages_to_get: int) -> list[Any]:  # type: ignore[override]
        return super().get_many(max_messages_to_get)


def spent() -> float:
    """Seconds of all processors, by children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(
    queue: Any, senders: int, receivers: int, objects: int, batches: bool
) -> tuple[float, float]:
    """Microseconds for an object, by the clock and by the processors."""
    context = multiprocessing.get_context("fork")
    each = objects // senders // receivers * receivers
    total = each * senders
    begin = context.Barrier(senders + receivers + 1)
    put, get = (send_batches, receive_batches) if batches else (send, receive)
    work = [(put, each)] * senders + [(get, total // receivers)] * receivers
    people = [context.Process(target=do, args=(queue, n, begin)) for do, n in work]
    for one in people:
        one.start()
    before = spent()
    begin.wait()
    since = time.perf_counter()
    for one in people:
        one.join()
    took = time.perf_counter() - since
    return took / total * 1e6, (spent() - before) / total * 1e6


def makers() -> dict[str, Callable[[], Any]]:
    """The queues that are installed here."""
    found: dict[str, Callable[[], Any]] = {
        "multiprocessing": multiprocessing.Queue,
        "tensoring": Batches,
    }
    if importlib.util.find_spec("faster_fifo"):
        import faster_fifo

        found["faster_fifo"] = lambda: faster_fifo.Queue(ROOM)
    return found


def cell(senders: int, receivers: int, objects: int, rounds: int, batches: bool) -> float:
    """Print a row; how many times longer multiprocessing takes than we do."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, make in makers().items():
            clock, cpu = run(make(), senders, receivers, objects, batches)
            old = best.get(name, (clock, cpu))
            best[name] = (min(old[0], clock), min(old[1], cpu))
    ratio = best["multiprocessing"][0] / best["tensoring"][0]
    row = "  ".join(f"{name} {us:.1f} ({cpu:.1f})" for name, (us, cpu) in best.items())
    what = " in batches" if batches else ""
    print(f"{senders:2} to {receivers}{what}: {row}  {ratio:.2f} x", flush=True)
    return ratio


def main() -> None:
    """All cells, and their median."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=60000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for batches in (False, True):
        ratios = [cell(*one, args.objects, args.rounds, batches) for one in CELLS]
        print(f"least {min(ratios):.2f} x, median {statistics.median(ratios):.2f} x")


if __name__ == "__main__":
    main()
