# SPDX-License-Identifier: MIT
"""One participant scribbles over all that participants share, while others go on.

    python scribbler.py SECONDS [SEED]

Each round has an arena, two victims and a scribbler; one victim has an event loop. It
uses queues, broadcasts, boards, services, statistics and reaps, each call with a time
limit. It gets values or an error of the library; it is not ended by a signal, and no
call takes much longer than its time. Anything else is a finding: the exit code is 1."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import mmap
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tensoring as tr

ROUND = 2.5  # seconds
LATE = 5.0  # a call may take this much longer than its time: the machine is shared
ODD = [0, 1, 2, 2**64 - 1, 2**63, 2**63 - 1, 2**32, 2**32 - 1, 2**20, 2**63 | 1, 2**62]
OFFSETS = 40  # of the regions in the control block: participants_off and five more


def regions(fd: int) -> list[tuple[int, int]]:
    """Everything between the control block and the payloads."""
    with mmap.mmap(fd, 4096, prot=mmap.PROT_READ) as control:
        offsets = struct.unpack_from("<6Q", control, OFFSETS)
    people, pins, channels, rings, records, payloads = offsets
    bounds = (4096, people, pins, channels, rings, min(records, rings + (1 << 20)))
    found = [(a, b) for a, b in itertools.pairwise(bounds) if a < b]
    return [*found, (records, payloads)]


def scribble(fd: int, total: int, end: float, seed: int) -> None:
    """Change a word now and then: odd numbers, single bits, near misses, noise."""
    dice = random.Random(seed)
    where = regions(fd)
    with mmap.mmap(fd, total) as memory:
        while time.monotonic() < end:
            low, high = dice.choice(where)
            at = dice.randrange(low, high, 8)
            (old,) = struct.unpack_from("<Q", memory, at)
            new = dice.choice(
                [
                    dice.choice(ODD),
                    old ^ (1 << dice.randrange(64)),
                    (old + dice.choice([-1, 1, 1 << 20, 1 << 32])) % 2**64,
                    dice.getrandbits(64),
                ]
            )
            struct.pack_into("<Q", memory, at, new)
            if dice.random() < 0.3:
                select.select([], [], [], dice.random() * 0.002)


def check_time(name: str, limit: float, begun: float) -> None:
    """RuntimeError if a call took much longer than it may."""
    took = time.monotonic() - begun
    if took > limit + LATE:
        raise RuntimeError(f"{name} took {took:.1f} s of {limit} s")


class Victim:
    """Uses everything, and counts what came of it."""

    def __init__(self, arena: tr.Arena, seed: int) -> None:
        self.arena = arena
        self.dice = random.Random(seed)
        self.done: collections.Counter[str] = collections.Counter()
        self.failed: collections.Counter[str] = collections.Counter()
        self.queue = arena.queue("q", 64)
        self.news = arena.broadcast("b", 15)
        self.reader = self.news.subscribe(last=1)
        self.board = arena.board("board", 64)
        self.service = arena.service("svc", 16)

    def calls(self) -> list[tuple[str, float, Callable[[], Any]]]:
        """Name, time and call of each thing to do."""
        x, key = np.arange(100.0), f"k{self.dice.randrange(8)}"
        small = [("a", x), ("b", x)]
        return [
            ("send", 0.1, lambda: self.queue.send(x, 0.1)),
            ("send dict", 0.1, lambda: self.queue.send(dict(small), 0.1)),
            ("receive", 0.1, lambda: self.queue.receive(0.1)),
            ("publish", 0.1, lambda: self.news.publish(x, 0.1)),
            ("follow", 0.05, lambda: self.reader.receive(0.05)),
            ("put", 0.1, lambda: self.board.put(key, x, timeout=0.1)),
            ("get", 0.0, lambda: self.board[key]),
            ("get many", 0.0, lambda: self.board.get_many(["k1", "k2", "k3"])),
            ("keys", 0.0, lambda: list(self.board)),
            ("wait", 0.05, lambda: self.board.wait("k1", newer_than=2**40, timeout=0.05)),
            ("call", 0.1, lambda: self.service.call(x, timeout=0.1)),
            ("stats", 0.0, self.arena.stats),
            ("reap", 0.0, self.arena.reap),
            ("open", 0.0, lambda: self.arena.queue(f"n{self.dice.randrange(4)}", 4)),
        ]

    def one(self, name: str, limit: float, call: Callable[[], Any]) -> None:
        begun = time.monotonic()
        try:
            call()
            self.done[name] += 1
        except (tr.Error, KeyError, MemoryError) as error:
            self.failed[f"{name}: {type(error).__name__}"] += 1
        check_time(name, limit, begun)

    def live(self, end: float) -> None:
        while time.monotonic() < end:
            for name, limit, call in self.calls():
                self.one(name, limit, call)


class LoopVictim(Victim):
    """Does some of it in an event loop, many things at once."""

    def __init__(self, arena: tr.Arena, seed: int) -> None:
        super().__init__(arena, seed)
        self.complaints: collections.Counter[str] = collections.Counter()

    def complain(self, loop: object, context: dict[str, Any]) -> None:
        self.complaints[f"{context['message']}: {context.get('exception')!r}"] += 1

    async def within(self, name: str, limit: float, call: Callable[[], Any]) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await call()
            self.done[name] += 1
        except (tr.Error, MemoryError, TimeoutError) as error:
            self.failed[f"{name}: {type(error).__name__}"] += 1
        check_time(name, limit, begun)

    async def again(self, end: float, *what: Any) -> None:
        while time.monotonic() < end:
            await self.within(*what)
            await asyncio.sleep(0)

    async def others(self, end: float) -> None:
        """What has no form for loops."""
        while time.monotonic() < end:
            for name, limit, call in self.calls():
                if name not in ("receive", "follow", "wait", "call"):
                    self.one(name, limit, call)
                await asyncio.sleep(0)

    async def main(self, end: float) -> None:
        asyncio.get_running_loop().set_exception_handler(self.complain)
        x, service = np.arange(100.0), self.service
        things = [
            ("receive async", 0.1, self.queue.receive_async),
            ("follow async", 0.1, self.reader.receive_async),
            ("call async", 0.3, lambda: service.call_async(x, timeout=0.2)),
            ("call dict", 0.3, lambda: service.call_async({"a": x}, timeout=0.1)),
            ("call tree", 0.3, lambda: service.call_async([1, {"z": x}], timeout=0.1)),
            ("serve async", 0.2, lambda: service.serve_async(lambda found: found)),
        ]
        tasks = [self.again(end, *thing) for thing in things]
        await asyncio.gather(self.others(end), *tasks)

    def live(self, end: float) -> None:
        asyncio.run(self.main(end))
        if self.complaints:
            raise RuntimeError(f"the loop complains: {self.complaints.most_common(3)}")


def victim(
    kind: type[Victim], arena: tr.Arena, end: float, seed: int, report: int
) -> None:
    """Runs in a process of its own: says what it did, or what broke."""
    found: Victim | None = None
    said = "nothing could be opened"
    try:
        with contextlib.suppress(tr.Error):
            found = kind(arena, seed)
        if found:
            found.live(end)
            said = f"done {dict(found.done)} failed {dict(found.failed.most_common(6))}"
    except BaseException as error:
        said = f"FINDING {type(error).__name__}: {error}"
    os.write(report, said.encode("utf-8", "replace")[:4000])
    os._exit(0)


def start(arena: tr.Arena, end: float, seed: int) -> dict[int, tuple[str, int]]:
    """Pids, with what each is and where it reports."""
    people = {}
    fd, total = arena.fd, arena.info()["total_bytes"]
    for name in ("victim 0", "victim 1", "scribbler"):
        mine, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            if name == "scribbler":
                # The victims open their channels first.
                select.select([], [], [], 0.2)
                scribble(fd, total, end, seed)
                os._exit(0)
            kind = LoopVictim if name == "victim 1" else Victim
            victim(kind, arena, end, seed + int(name[-1]), theirs)
        os.close(theirs)
        people[pid] = (name, mine)
    return people


def bury(pid: int, deadline: float) -> int | None:
    """The status of a child that ends in time; None: it had to be killed."""
    with open(os.pidfd_open(pid)) as pidfd:
        readable, _, _ = select.select(
            [pidfd], [], [], max(0, deadline - time.monotonic())
        )
    if not readable:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return status if readable else None


def round_of(seed: int, totals: collections.Counter[str]) -> list[str]:
    """One arena; what was found."""
    findings = []
    slots = [(4096, 32), (65536, 4)]
    with tr.Arena(
        slots, max_participants=8, max_channels=16, ring_bytes=1 << 20
    ) as arena:
        end = time.monotonic() + ROUND
        people = start(arena, end, seed)
        for pid, (name, report) in people.items():
            status = bury(pid, end + 3 * LATE)
            with os.fdopen(report, "rb") as pipe:
                said = pipe.read().decode("utf-8", "replace")
            if status is None:
                findings.append(f"seed {seed}: {name} hangs: {said}")
            elif os.WIFSIGNALED(status):
                kind = signal.Signals(os.WTERMSIG(status)).name
                findings.append(f"seed {seed}: {name} was ended by {kind}: {said}")
            elif said.startswith("FINDING"):
                findings.append(f"seed {seed}: {name}: {said}")
            elif said.startswith("done"):
                totals["victims"] += 1
    return findings


def main(seconds: float, seed: int) -> int:
    """Rounds for so long."""
    totals: collections.Counter[str] = collections.Counter()
    findings: list[str] = []
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        seed += 10
        totals["rounds"] += 1
        findings += round_of(seed, totals)
    for one in findings:
        print(one)
    print(
        f"{totals['rounds']} rounds, {totals['victims']} victims went on to the end,"
        f" {len(findings)} findings"
    )
    return 1 if findings or not totals["victims"] else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])))
