# SPDX-License-Identifier: MIT
"""Numbered messages: a sender, a receiver that looks at every element, and the account.

python traffic.py send ARENA QUEUE FIRST COUNT       as processes of their own
python traffic.py receive ARENA QUEUE PAUSE          prints each number
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections import Counter
from typing import Any

import numpy as np

import tensoring as tr
from hosts import LONGEST, pause, until

# Elements: 64 B, 4 KiB, 64 KiB and the array (9, 128, 64, 3); and their shares in %.
SIZES = (8, 512, 8192, 221184)
SHARES = (60, 20, 15, 5)
SLOTS = [(4 << 10, 160), (8 << 10, 96), (128 << 10, 64), (2 << 20, 24)]
WINDOW = 16
CAPACITY = 32


def content(number: int, length: int | None = None) -> np.ndarray[Any, Any]:
    """Every element tells the number of the message and its place."""
    if length is None:
        length = random.Random(number).choices(SIZES, SHARES)[0]
    return np.arange(length, dtype="u8") + np.uint64(number << 32)


def number_of(array: np.ndarray[Any, Any]) -> int:
    """The number of a message, -1 if an element is not what was sent."""
    number = int(array[0]) >> 32
    expected = content(number, len(array))
    return number if array.dtype == "u8" and np.array_equal(array, expected) else -1


def open_queue(arena: tr.Arena, name: str, capacity: int = CAPACITY) -> tr.ArenaQueue:
    """A kill of the sending bridge counts as a delivery."""
    return arena.queue(name, capacity=capacity, max_deliveries=255)


def open_arena(slots: list[tuple[int, int]] | None = None, **more: Any) -> tr.Arena:
    name = f"beyond.{os.getpid()}.{random.randbytes(4).hex()}"
    return tr.Arena.create(name, slots or SLOTS, **more)


class Sender:
    """Sends numbers in their order, until stop()."""

    def __init__(
        self, queue: tr.ArenaQueue, count: int = 1 << 31, length: int | None = None
    ) -> None:
        self.sent = 0
        self.error: Exception | None = None
        self._queue, self._count, self._length = queue, count, length
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while self.sent < self._count and not self._stop.is_set():
                with contextlib.suppress(tr.SendTimedOutError):
                    self._queue.send(content(self.sent, self._length), 0.2)
                    self.sent += 1
        except Exception as error:
            self.error = error

    def stop(self) -> int:
        """How many were sent."""
        self._stop.set()
        self._thread.join(LONGEST)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        return self.sent

    def wait(self) -> int:
        """All of its count."""
        until(lambda: not self._thread.is_alive(), lambda: f"{self.sent} were sent", 600)
        return self.stop()


class Receiver:
    """Takes what comes, and looks at all of it."""

    def __init__(self, queue: tr.ArenaQueue, pause: float = 0) -> None:
        self.numbers: list[int] = []
        self.origins: list[tuple[int, int] | None] = []  # of the same messages
        self.error: Exception | None = None
        self._queue, self._pause = queue, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                with contextlib.suppress(tr.ReceiveTimedOutError):
                    self._take(self._queue.receive_message(0.1))
                    if self._pause:
                        pause(self._pause)
        except Exception as error:
            self.error = error

    def _take(self, message: tr.Message) -> None:
        with message:
            self.origins.append(message.origin)
            self.numbers.append(number_of(message.array(0)))

    def more(self, count: int = 1, longest: float = LONGEST) -> None:
        """Wait for so many messages from now on."""
        self.total(len(self.numbers) + count, longest)

    def total(self, count: int, longest: float = LONGEST) -> None:
        until(
            lambda: len(self.numbers) >= count or self.error,
            lambda: f"{len(self.numbers)} of {count} came",
            longest,
        )
        assert self.error is None, self.error

    def all_of(self, count: int, longest: float = LONGEST) -> None:
        """Wait until each of the first `count` has come."""

        def look() -> bool:
            found = self.numbers
            return self.error is not None or (
                len(found) >= count and len(set(found)) >= count
            )

        until(look, lambda: f"{len(set(self.numbers))} of {count} came", longest)
        assert self.error is None, self.error

    def stop(self) -> list[int]:
        self._stop.set()
        self._thread.join(LONGEST)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        return self.numbers


def account(numbers: list[int], count: int, doubled: int = 0, late: int = 0) -> None:
    """Each of the first `count` numbers came, whole, and at most `doubled` of them twice;
    at most `late` came after a greater one."""
    assert -1 not in numbers, f"{numbers.count(-1)} are torn"
    seen = Counter(numbers)
    missing = set(range(count)) - set(seen)
    assert not missing, f"{len(missing)} of {count} are lost: {sorted(missing)[:10]}"
    assert set(seen) == set(range(count)), f"never sent: {sorted(set(seen))[-5:]}"
    more = len(numbers) - count
    assert more <= doubled, f"{more} came twice, {doubled} may"
    first = list(dict.fromkeys(numbers))
    greatest = np.maximum.accumulate(first)
    behind = int((np.asarray(first) < greatest).sum())
    assert behind <= late, f"{behind} came late, {late} may"


def origins_tell(receiver: Receiver) -> None:
    """Two messages have one origin if they are one message, which came twice."""
    pairs = set(zip(receiver.numbers, receiver.origins, strict=True))
    assert len(pairs) == len(set(receiver.numbers)) == len(set(receiver.origins))
    assert None not in receiver.origins
    assert len({origin[0] for origin in receiver.origins if origin}) == 1


def at_rest(arena: tr.Arena) -> bool:
    """Whether no message is on its way."""
    totals = arena.stats()["totals"]
    states = ("loaned", "queued", "received", "orphaned")
    return not any(totals[f"slots_{state}"] for state in states)


def nothing_left(arena: tr.Arena) -> None:
    """No slot is in anybody's hands, and this process is the only one in the arena. What
    boards hold stays."""

    def look() -> bool:
        arena.reap()
        found = arena.stats()
        totals = found["totals"]
        idle = totals["slots"] - totals["slots_board"] - totals["slots_kept"]
        pids = [one["pid"] for one in found["participants"]]
        return pids == [os.getpid()] and totals["slots_free"] == idle

    until(look, lambda: arena.stats())


def _main(what: str, name: str, queue_name: str, *rest: str) -> None:
    arena = tr.Arena.attach(name)
    queue = open_queue(arena, queue_name)
    if what == "send":
        first, count = map(int, rest)
        for number in range(first, first + count):
            queue.send(content(number), LONGEST)
        return
    while True:
        print(number_of(queue.receive()), flush=True)
        pause(float(rest[0]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
