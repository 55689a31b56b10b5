# SPDX-License-Identifier: MIT
"""What holds when the link is cut, and when a receiver is slow or stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tensoring as tr
import traffic
from bridges import Pair
from engines import both, both_in_soak
from hosts import LONGEST, SOAK, pause, until
from traffic import CAPACITY, WINDOW, Receiver, Sender, account

TRAFFIC = str(Path(traffic.__file__))
SLACK = 4 << 20  # bytes


@both_in_soak
@pytest.mark.parametrize("which", ["none", "both"])
def test_a_cut_of_seconds(pair: Pair, which: str) -> None:
    """Under traffic, also with both bridges killed while the link is down."""
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    receiver.more(100)
    pair.hosts.here.link("down")
    pause(3)
    if which == "both":
        for bridge in bridges:
            bridge.again()
    pair.hosts.here.link("up")
    receiver.more(4 * WINDOW)
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, doubled=1, late=WINDOW)
    pair.ends()


@both
@pytest.mark.usefixtures("real")
def test_a_cut_is_told_and_senders_time_out(pair: Pair) -> None:
    """Data is in flight, which TCP alone would send again for many minutes."""
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    until(lambda: pair.link_is("up"), pair.status)
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    receiver.more(100)
    pair.hosts.here.link("down")
    until(lambda: not pair.link_is("up"), pair.status)
    until(lambda: not pair.link_is("up", pair.there), lambda: pair.status(pair.there))
    sender.stop()

    def full() -> bool:
        try:
            pair.source.send(traffic.content(sender.sent), 0.2)
        except tr.SendTimedOutError:
            return True
        sender.sent += 1
        return False

    until(full)
    assert sender.sent - len(receiver.numbers) <= 2 * CAPACITY + WINDOW + 1
    before = [bridge.resident() for bridge in bridges]
    pause(60 if SOAK else 3)
    for bridge, bytes_then in zip(bridges, before, strict=True):
        assert bridge.alive
        assert bridge.resident() <= bytes_then + SLACK
    pair.hosts.here.link("up")
    receiver.all_of(sender.sent)
    account(receiver.stop(), sender.sent)
    until(lambda: pair.link_is("up"), pair.status)
    pair.ends()


@both_in_soak
def test_a_slow_receiver_and_a_stopped_one(pair: Pair) -> None:
    """What is on the way is bounded, and nobody takes it for a death."""
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    output = pair.folder / "received"
    with output.open("wb") as file:
        receiver = subprocess.Popen(
            [sys.executable, TRAFFIC, "receive", str(pair.there.name), "jobs", "0.02"],
            stdout=file,
        )

    def got() -> list[int]:
        return [int(line) for line in output.read_text().splitlines()]

    try:
        sender = Sender(pair.source)
        until(lambda: len(got()) > 20)
        os.kill(receiver.pid, signal.SIGSTOP)
        until(lambda: sender.sent - len(got()) >= 2 * CAPACITY)
        pause(3)
        resident = [bridge.resident() for bridge in bridges]
        pause(30 if SOAK else 3)
        # Both queues, the window, and the receiver's hand.
        assert sender.sent - len(got()) <= 2 * CAPACITY + WINDOW + 1
        for bridge, before in zip(bridges, resident, strict=True):
            assert bridge.resident() <= before + SLACK
        os.kill(receiver.pid, signal.SIGCONT)
        count = sender.stop()
        until(lambda: len(got()) >= count)
        account(got(), count)
    finally:
        receiver.kill()
        receiver.wait(LONGEST)
    pair.ends()


@both
@pytest.mark.usefixtures("real")
def test_a_device_that_comes_up_later(pair: Pair) -> None:
    """Both bridges started when they could not reach anybody."""
    pair.hosts.here.link("down")
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    bridges[0].says("listens on")
    bridges[1].says("no link to")
    pair.hosts.here.link("up")
    sender, receiver = Sender(pair.source, 20), Receiver(pair.target)
    receiver.total(20)
    account(receiver.stop(), 20)
    sender.stop()
    pair.ends()
