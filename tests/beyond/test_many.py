# SPDX-License-Identifier: MIT
"""Many queues, large messages, arenas of other slots, clocks that differ."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import numpy as np
import pytest

import traffic
from bridges import Pair
from engines import both_in_soak
from hosts import LONGEST, SOAK, until
from traffic import Receiver, Sender, account

GIB = 1 << 30
PART = 1 << 24  # elements that are looked at together
MANY = 1000


@both_in_soak
def test_arenas_with_other_slots(pair: Pair) -> None:
    pair.open(there=[(20 << 10, 200), (9 << 20, 40)])
    pair.listen()
    pair.connect()
    sender, receiver = Sender(pair.source, 500), Receiver(pair.target)
    sender.wait()
    receiver.total(500)
    account(receiver.stop(), 500)
    pair.ends()


@both_in_soak
@pytest.mark.usefixtures("real")
def test_a_thousand_queues(pair: Pair) -> None:
    """Over one connection, each with messages of its own."""
    names = tuple(f"jobs{number}" for number in range(MANY))
    pair.open(
        [(4 << 10, 6 * MANY)],
        [(4 << 10, 6 * MANY)],
        names,
        4,
        max_channels=MANY + 24,
        ring_bytes=64 << 20,
    )
    pair.listen()
    pair.connect()
    for number, queue in enumerate(pair.sources):
        for again in range(2):
            queue.send(traffic.content(2 * number + again, 8), LONGEST)
    for number, queue in enumerate(pair.targets):
        found = [traffic.number_of(queue.receive(LONGEST)) for _ in range(2)]
        assert found == [2 * number, 2 * number + 1], queue.name
    pair.ends()


@pytest.fixture
def later(pair: Pair) -> Iterator[list[str]]:
    """Start a program with a clock that is ten hours ahead of what others have."""
    holder = subprocess.Popen(
        ["unshare", "--time", "--monotonic", "36000", "cat"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        path = f"/proc/{holder.pid}/ns/time_for_children"
        enter = ["nsenter", f"--time={path}", "--"]
        ask = [*enter, "cat", "/proc/uptime"]

        def can() -> bool:
            if holder.poll() is not None:
                assert holder.stderr
                pytest.skip(holder.stderr.read().decode())
            done = subprocess.run(["readlink", path], capture_output=True, text=True)
            own = subprocess.run(
                ["readlink", "/proc/self/ns/time"], capture_output=True, text=True
            )
            return done.stdout not in ("", own.stdout)

        until(can)
        if subprocess.run(ask, capture_output=True).returncode:
            pytest.skip("no time namespaces here")
        yield enter
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("side", ["here", "there"])
def test_clocks_that_differ_by_hours(pair: Pair, later: list[str], side: str) -> None:
    """What a bridge says of time is how long, never when."""
    pair.open()
    pair.listen(before=later if side == "there" else ())
    pair.connect(before=later if side == "here" else ())
    sender, receiver = Sender(pair.source, 200), Receiver(pair.target)
    sender.wait()
    receiver.total(200)
    account(receiver.stop(), 200)
    pair.ends()


@both_in_soak
@pytest.mark.skipif(not SOAK, reason="takes 9 GiB: TR_SOAK=1")
def test_a_message_of_four_gib(plain: Pair) -> None:
    slots = [(4 << 10, 64), (4 * GIB + (1 << 20), 1)]
    plain.open(slots, slots, lazy=True, overcommit=True)
    plain.listen()
    plain.connect()
    with plain.source.loan((4 * GIB // 8,), "u8", timeout=LONGEST) as array:
        for at in range(0, len(array), PART):
            array[at : at + PART] = np.arange(at, at + PART, dtype="u8")
    array = plain.target.receive(10 * LONGEST)
    for at in range(0, len(array), PART):
        part = array[at : at + PART]
        assert np.array_equal(part, np.arange(at, at + len(part), dtype="u8"))
    del array, part
    plain.ends()
