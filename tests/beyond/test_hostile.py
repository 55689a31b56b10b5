# SPDX-License-Identifier: MIT
"""A peer that may connect and does not keep the rules harms only itself."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import hostile
from bridges import PORT, Pair
from hosts import LONGEST, until
from traffic import Receiver, Sender, account

pytestmark = pytest.mark.usefixtures("real")
MIB = 1 << 20
BROKEN = "broke the rules of the wire"
SAYS = {
    "names": BROKEN,
    "pieces": "is up",
    "huge": BROKEN,
    "twice": "asked for twice",
}


@contextlib.contextmanager
def peer(pair: Pair, kind: str) -> Iterator[None]:
    """While it has said all that it says, and stays."""
    process = pair.hosts.here.start(
        *(sys.executable, hostile.__file__, pair.hosts.there.address, str(PORT), kind),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "said\n"
        yield
    finally:
        process.communicate("", LONGEST)


def works(pair: Pair, count: int = 20) -> None:
    """Another peer, which keeps the rules, is served."""
    sender, receiver = Sender(pair.source, count), Receiver(pair.target)
    receiver.all_of(count)
    sender.stop()
    account(receiver.stop(), count)


@pytest.mark.parametrize("kind", ["names", "pieces", "huge", "twice"])
def test_memory_is_bounded(plain: Pair, kind: str) -> None:
    plain.open()
    bridge = plain.listen()
    bridge.says("listens on")
    with peer(plain, kind):
        bridge.says(SAYS[kind])
        until(lambda: bridge.resident() < 24 * MIB, lambda: bridge.resident() // MIB)
        assert bridge.alive
        if kind != "pieces":  # which keep the rules
            return
    plain.connect()
    works(plain)


def test_a_side_that_breaks_the_rules_is_not_asked_again_at_once(plain: Pair) -> None:
    """Each pause is twice the one before, 0.1 s at first, and up to a quarter less."""
    tries, least = 6, 0.75 * (0.1 + 0.2 + 0.4 + 0.8 + 1.6)
    plain.open()
    process = plain.hosts.there.start(
        *(sys.executable, hostile.__file__, plain.hosts.there.address, str(PORT)),
        "answers",
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "listens\n"
        bridge = plain.connect()
        times = [float(process.stdout.readline()) for _ in range(tries)]
        assert BROKEN in bridge.output
        assert times[-1] - times[0] >= least
    finally:
        process.kill()
        process.communicate(timeout=LONGEST)


def test_texts_do_not_steer_a_terminal(plain: Pair) -> None:
    plain.open()
    bridge = plain.listen()
    bridge.says("listens on")
    with peer(plain, "title"):
        bridge.says("is up")
        until(lambda: plain.link_is("up", plain.there), plain.status)
        shown = plain.status(plain.there)["bridges"][0]["peer"]
        assert shown == "?]0;owned???31m?"
        assert "\x1b" not in bridge.output


def test_a_deadline_that_is_never(plain: Pair) -> None:
    """As far away as a number goes: here that is further than the clock goes."""
    plain.open()
    bridge = plain.listen()
    bridge.says("listens on")
    with peer(plain, "deadline"):
        assert bytes(plain.target.receive(LONGEST)) == b"deadline"
