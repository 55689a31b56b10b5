# SPDX-License-Identifier: MIT
"""Messages that do not fit there, and arenas that have no slot left."""

from __future__ import annotations

import numpy as np
import pytest

import traffic
from bridges import Pair
from engines import both_in_soak
from hosts import LONGEST, until
from traffic import Receiver, account

pytestmark = pytest.mark.usefixtures("real")
PIECE = 21845  # bytes: three are less than 64 KiB, and more with the space between them


@both_in_soak
def test_declined_while_its_rest_is_on_the_way(pair: Pair) -> None:
    """Only the other arena can tell that it does not fit. The link stays, newer messages
    pass, and the reason is told as long as it waits."""
    pair.open([(4096, 32), (1 << 20, 8)], [(4096, 32), (1 << 16, 8)])
    bridges = [pair.listen(), pair.connect()]
    parts = {name: np.zeros(PIECE, np.uint8) for name in "abc"}
    pair.source.send(parts, LONGEST)
    for number in range(20):
        pair.source.send(traffic.content(number, 8), LONGEST)
    receiver = Receiver(pair.target)
    receiver.all_of(20)
    account(receiver.stop(), 20)
    assert not any("broke the rules" in bridge.output for bridge in bridges)
    until(lambda: pair.status()["confirmed"] == 20, pair.status)
    channel = pair.status()["bridges"][0]["channels"][0]
    assert channel["held"] == 1
    assert "too large" in channel["why"]


@both_in_soak
def test_no_slot_is_free_when_the_link_is_made(pair: Pair) -> None:
    """The messages wait for one, and status goes on to tell of the bridge meanwhile."""
    pair.open(there=[(4096, 32)])
    other = traffic.open_queue(pair.there, "other", 64)
    bridge = pair.listen()
    bridge.says("listens on")
    until(lambda: pair.status(pair.there)["bridges"])
    full = 0
    while pair.there.stats()["totals"]["slots_free"]:
        other.send(traffic.content(full, 8), LONGEST)
        full += 1
    connector = pair.connect()
    connector.says("is up")
    for number in range(10):
        pair.source.send(traffic.content(number, 8), LONGEST)
    until(
        lambda: "without news" in pair.status(pair.there)["bridges"][0]["why"],
        lambda: pair.status(pair.there),
    )
    assert pair.status()["bridges"][0]["channels"][0]["state"] == "open"
    for number in range(full):
        assert traffic.number_of(other.receive(LONGEST)) == number
    receiver = Receiver(pair.target)
    receiver.all_of(10)
    account(receiver.stop(), 10)


def test_the_first_bridge_of_a_full_arena(pair: Pair) -> None:
    """It may be the one that empties it."""
    pair.open(here=[(4096, 32)], capacity=64)
    count = 0
    while pair.here.stats()["totals"]["slots_free"]:
        pair.source.send(traffic.content(count, 8), LONGEST)
        count += 1
    pair.listen()
    pair.connect()
    receiver = Receiver(pair.target)
    receiver.all_of(count)
    account(receiver.stop(), count)
    pair.ends()


def test_status_knows_a_bridge_that_ended(pair: Pair) -> None:
    """A bridge that was killed is not told of any more, and asking makes no board."""
    pair.open()
    assert pair.status()["bridges"] == []
    pair.listen()
    connector = pair.connect()
    until(lambda: pair.link_is("up"), pair.status)
    connector.kill()
    assert pair.status()["bridges"] == []
