# SPDX-License-Identifier: MIT
"""How long an asyncio program sleeps on after a message was sent: queue.receive_async()
beside a future that a reader of an eventfd fulfils, which is the least one can do there.

The sender, another process on another processor, waits until the receiver has been asleep
for a while, takes the time and sends; the receiver takes the time when its coroutine goes
on with the message in hand."""

from __future__ import annotations

import asyncio
import mmap
import os
import pickle
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tensoring as tr

ROUNDS = 21
GAPS = {"asleep 30 us": 30e-6, "asleep 3 ms": 3e-3}
_CPUS = sorted(os.sched_getaffinity(0))


class Peer:
    """send() is called in one process, receive() awaited in the other."""

    name = ""

    def send(self) -> None:
        raise NotImplementedError

    async def receive(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Ours(Peer):
    """A small array in a queue."""

    name = "tensoring"
    eventfds = 0

    def __init__(self) -> None:
        self.arena = tr.Arena([(4096, 16)], populate=True, eventfds=self.eventfds)
        self.queue = self.arena.queue("q")
        self.array = np.ones(16, "float32")

    def send(self) -> None:
        self.queue.send(self.array)

    async def receive(self) -> Any:
        return await self.queue.receive_async()

    def close(self) -> None:
        self.arena.close()


class OursInherited(Ours):
    """Has eventfds made before the fork, as the peer's is."""

    name = "tensoring, eventfds"
    eventfds = 4


class OursUndecoded(OursInherited):
    """The message as it is: no array is made."""

    name = "tensoring, eventfds, undecoded"

    async def receive(self) -> Any:
        return await self.queue.receive_message_async()


class Eventfd(Peer):
    """A number in an eventfd: no message, but the wake-up."""

    name = "eventfd"

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.waiter: asyncio.Future[int] | None = None

    def send(self) -> None:
        os.eventfd_write(self.fd, 7)

    def ready(self) -> None:
        value = self.take()
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(value)

    def take(self) -> Any:
        return os.eventfd_read(self.fd)

    async def receive(self) -> Any:
        loop = asyncio.get_running_loop()
        if self.waiter is None:
            loop.add_reader(self.fd, self.ready)
        self.waiter = loop.create_future()
        return await self.waiter

    def close(self) -> None:
        os.close(self.fd)


class PickleInPipe(Eventfd):
    """The same small array, pickled into a pipe."""

    name = "pickle in a pipe"

    def __init__(self) -> None:
        super().__init__()
        os.close(self.fd)
        self.fd, self.end = os.pipe()
        self.array = np.ones(16, "float32")

    def send(self) -> None:
        os.write(self.end, pickle.dumps(self.array, 5))

    def take(self) -> Any:
        return pickle.loads(os.read(self.fd, 65536))

    def close(self) -> None:
        super().close()
        os.close(self.end)


KINDS: list[type[Peer]] = [
    Ours,
    OursInherited,
    OursUndecoded,
    Eventfd,
    PickleInPipe,
]


def _sender(peers: list[Peer], orders: int, stamp: Any) -> None:
    """Each order says which peer, and how long it must sleep before."""
    while order := os.read(orders, 12):
        which, gap = struct.unpack("=id", order)
        if gap >= 1e-3:
            time.sleep(gap - 1e-3)
            gap = 1e-3
        until = time.perf_counter() + gap
        while time.perf_counter() < until:
            pass
        stamp[:8] = struct.pack("d", time.perf_counter())
        peers[which].send()


async def _measure(
    peers: list[Peer], orders: int, stamp: Any, gap: float, count: int
) -> dict[str, list[float]]:
    """Short turns, so that what the machine does meanwhile hits all of them."""
    found: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for turn in range(ROUNDS + 1):
        for which, peer in enumerate(peers):
            times = []
            for _ in range(count + 2):
                os.write(orders, struct.pack("=id", which, gap))
                await peer.receive()
                now = time.perf_counter()
                times.append(now - struct.unpack("d", stamp[:8])[0])
            if turn:  # the first warms up, as do the first two of each turn
                found[peer.name].append(statistics.median(times[2:]))
    return found


def wake_ups(
    seconds: float,
    kinds: list[type[Peer]] = KINDS,
    factory: Callable[[], Any] | None = None,
) -> dict[str, list[float]]:
    """For each time asleep and each peer, the time from the send to the coroutine, in
    each round; `seconds` are for one round of one peer."""
    peers = [kind() for kind in kinds]
    stamp = mmap.mmap(-1, 4096)
    orders, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os.sched_setaffinity(0, _CPUS[1:] or _CPUS)
        _sender(peers, orders, stamp)
        os._exit(0)
    os.close(orders)
    os.sched_setaffinity(0, _CPUS[:1])
    found: dict[str, list[float]] = {}
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            for name, gap in GAPS.items():
                count = max(5, int(seconds / (gap + 100e-6)))
                rounds = runner.run(_measure(peers, end, stamp, gap, count))
                found |= {f"{name}, {peer}": rounds[peer] for peer in rounds}
    finally:
        os.sched_setaffinity(0, _CPUS)
        os.close(end)
        os.waitpid(pid, 0)
    for peer in peers:
        peer.close()
    return found


def main() -> None:
    found = wake_ups(0.05)
    for name, rounds in found.items():
        least = found[f"{name.partition(', ')[0]}, eventfd"]
        ratio = statistics.median(a / b for a, b in zip(rounds, least, strict=True))
        median = statistics.median(rounds) * 1e6
        print(f"{name:44} {median:8.1f} us {ratio:6.2f} x eventfd")


if __name__ == "__main__":
    main()
