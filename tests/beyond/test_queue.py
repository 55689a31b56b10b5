# SPDX-License-Identifier: MIT
"""A queue over a bridge, while bridges are killed: nothing is lost, nothing is torn, and
what comes twice is bounded by the kills of the receiving bridge."""

from __future__ import annotations

import random

import pytest

import traffic
from bridges import Bridge, Pair
from engines import both, both_in_soak
from hosts import SOAK, pause, until
from traffic import WINDOW, Receiver, Sender, account

KILLS = 60 if SOAK else 5
COUNT = 40_000 if SOAK else 2_000


def kill_by_and_by(bridges: list[Bridge], receiver: Receiver, kills: int) -> None:
    """One after the other, at any moment, and each time some messages come after it."""
    chance = random.Random(kills)
    for number in range(kills):
        receiver.more(1 + chance.randrange(100))
        pause(chance.uniform(0, 0.2))
        bridges[number % len(bridges)].again()
    receiver.more(WINDOW)


@pytest.mark.parametrize(
    ("engine", "kind"), [("zmq", "pair"), ("zmq", "plain"), ("ucx", "pair")]
)
def test_all_arrive_once_and_in_order(
    engine: str, kind: str, request: pytest.FixtureRequest
) -> None:
    pair: Pair = request.getfixturevalue(kind).open()
    pair.listen()
    pair.connect()
    sender, receiver = Sender(pair.source, COUNT), Receiver(pair.target)
    sender.wait()
    receiver.total(COUNT)
    account(receiver.stop(), COUNT)
    pair.ends()


@both_in_soak
def test_kills_of_the_sending_bridge(pair: Pair) -> None:
    pair.open().listen()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    kill_by_and_by([pair.connect()], receiver, KILLS)
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, late=KILLS * WINDOW)
    pair.ends()


@both_in_soak
def test_kills_of_the_receiving_bridge(pair: Pair) -> None:
    pair.open().connect()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    kill_by_and_by([pair.listen()], receiver, KILLS)
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, doubled=KILLS)
    pair.ends()


@both
def test_kills_of_both(pair: Pair) -> None:
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    kill_by_and_by(bridges, receiver, 2 * KILLS)
    if SOAK:  # at least so many, however long the kills took
        until(lambda: sender.sent >= COUNT, lambda: f"{sender.sent} were sent", 600)
    count = sender.stop()
    receiver.all_of(count, 600)
    account(receiver.stop(), count, doubled=KILLS, late=KILLS * WINDOW)
    pair.ends()


@both_in_soak
def test_both_start_in_any_order(pair: Pair) -> None:
    pair.open().connect()
    sender, receiver = Sender(pair.source, 100), Receiver(pair.target)
    until(lambda: sender.sent >= traffic.CAPACITY)
    pair.listen()
    sender.wait()
    receiver.total(100)
    account(receiver.stop(), 100)
    pair.ends()


@both_in_soak
def test_two_bridges_on_one_queue(pair: Pair) -> None:
    """Each message goes over one of them."""
    pair.open().listen()
    pair.connect()
    pair.connect(log="second")
    sender, receiver = Sender(pair.source, COUNT), Receiver(pair.target)
    sender.wait()
    receiver.total(COUNT)
    account(receiver.stop(), COUNT, late=COUNT)
    pair.ends()


@both_in_soak
def test_one_bridge_takes_over_from_another(pair: Pair) -> None:
    """An upgrade: the next bridge is there before the last one stops."""
    pair.open().listen()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    old = pair.connect()
    for number in range(3):
        receiver.more(100)
        new = pair.connect(log=f"upgrade{number}")
        receiver.more(100)
        old.process.terminate()
        old.process.wait(traffic.LONGEST)
        old = new
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, late=count)
    pair.ends()
