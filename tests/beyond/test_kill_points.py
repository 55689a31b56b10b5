# SPDX-License-Identifier: MIT
"""Bridges that kill themselves at points of their work: a message comes twice only if
that was between its publication and its note."""

from __future__ import annotations

import os
import subprocess

import pytest

from bridges import Pair, program
from engines import both_in_soak
from hosts import LONGEST
from traffic import WINDOW, Receiver, Sender, account, origins_tell

EVERY = 50
KILLS = 4
RECEIVING = {"fetched": 0, "published": 1, "noted": 0, "receipt": 0}  # doubled by a kill
SENDING = ("received", "sent", "confirmed")


@pytest.fixture(autouse=True)
def _points(real: None) -> None:
    """The bridge of the tests has them, the one that is installed has not."""
    if not program()[-1].endswith("-testing"):
        pytest.skip("TR_BRIDGE names a bridge without points")


def killed_at(point: str) -> list[str]:
    return ["env", f"TENSORING_BRIDGE_KILL={point}:{EVERY}"]


def deaths(start: object, receiver: Receiver) -> int:
    """Let it die and start it again, some times. How often it died."""
    assert callable(start)
    for _ in range(KILLS):
        try:
            start().process.wait(LONGEST)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{len(receiver.numbers)} came") from error
    return KILLS


@both_in_soak
@pytest.mark.parametrize("point", RECEIVING)
def test_the_receiving_bridge(pair: Pair, point: str) -> None:
    pair.open().connect()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    kills = deaths(lambda: pair.listen(before=killed_at(point)), receiver)
    pair.listen()
    receiver.more(WINDOW)
    count = sender.stop()
    receiver.all_of(count)
    numbers = receiver.stop()
    account(numbers, count, doubled=RECEIVING[point] * kills)
    assert len(numbers) == count + RECEIVING[point] * kills
    origins_tell(receiver)
    pair.ends()


@both_in_soak
@pytest.mark.parametrize("point", SENDING)
def test_the_sending_bridge(pair: Pair, point: str) -> None:
    pair.open().listen()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    kills = deaths(lambda: pair.connect(before=killed_at(point)), receiver)
    pair.connect()
    receiver.more(WINDOW)
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, late=kills * WINDOW)
    origins_tell(receiver)
    pair.ends()


def test_the_bridges_were_killed() -> None:
    """The points are those of the program that is tested."""
    text = subprocess.run(["strings", program()[-1]], capture_output=True).stdout.decode()
    missing = {*RECEIVING, *SENDING} - set(text.split())
    assert not missing or not text
    assert os.access(program()[-1], os.X_OK)
