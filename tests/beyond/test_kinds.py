# SPDX-License-Identifier: MIT
"""Boards and broadcasts: the newest value wins, what is too much is dropped."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tensoring as tr
from bridges import Pair
from engines import both, both_in_soak
from hosts import LONGEST, until

pytestmark = pytest.mark.usefixtures("real")


def has(board: tr.Board, key: str, value: object) -> bool:
    """Whether the board has that value."""
    try:
        return bool(np.array_equal(board[key], value))
    except KeyError:
        return False


def start(pair: Pair, *channels: str) -> None:
    pair.listen(*channels)
    pair.connect(*channels)
    until(lambda: pair.link_is("up"))


@both
def test_a_board_is_mirrored(pair: Pair) -> None:
    pair.open()
    here, there = pair.here.board("features"), pair.there.board("features")
    here["before"] = np.arange(7)
    start(pair, "--board", "features")
    until(lambda: has(there, "before", np.arange(7)))
    for number in range(100):
        here[f"key {number}"] = np.full(100, number)
    here["large"] = np.arange(200_000, dtype="u8")
    for number in range(100):
        until(lambda number=number: has(there, f"key {number}", np.full(100, number)))
    until(lambda: has(there, "large", np.arange(200_000, dtype="u8")))
    del here["before"]
    until(lambda: "before" not in there)
    here["before"] = np.arange(8)
    until(lambda: has(there, "before", np.arange(8)))


@pytest.mark.parametrize("killed", ["listener", "connector", "both"])
def test_what_is_deleted_while_a_bridge_is_away_is_deleted_there(
    pair: Pair, killed: str
) -> None:
    pair.open()
    here, there = pair.here.board("features"), pair.there.board("features")
    there["of that side alone"] = np.arange(2)
    for key in ("gone", "stays"):
        here[key] = np.arange(3)
    bridges = {
        "listener": pair.listen("--board", "features"),
        "connector": pair.connect("--board", "features"),
    }
    until(lambda: "gone" in there and "stays" in there)
    away = [one for name, one in bridges.items() if killed in (name, "both")]
    for bridge in away:
        bridge.kill()
    del here["gone"]
    for bridge in away:
        bridge.again()
    until(lambda: "gone" not in there)
    here["last"] = np.arange(4)
    until(lambda: has(there, "last", np.arange(4)))
    assert sorted(there) == ["last", "of that side alone", "stays"]


@both_in_soak
def test_the_newest_value_wins_over_kills_of_both(pair: Pair) -> None:
    pair.open()
    here, there = pair.here.board("features"), pair.there.board("features")
    bridges = [pair.listen("--board", "features"), pair.connect("--board", "features")]
    highest = 0
    for number in range(1, 601):
        here["hot"] = np.full(1000, number)
        if number % 200 == 100:
            bridges[number // 200 % 2].again()
        if "hot" in there:
            seen = np.asarray(there["hot"])
            assert (seen == seen[0]).all()
            assert highest <= seen[0] <= number
            highest = int(seen[0])
    until(lambda: has(there, "hot", np.full(1000, 600)))


def test_a_value_that_is_too_large_there_keeps_no_other_back(pair: Pair) -> None:
    pair.open(there=[(8 << 10, 64)])
    here, there = pair.here.board("features"), pair.there.board("features")
    start(pair, "--board", "features")
    for _ in range(40):
        here["large"] = np.zeros(100_000)
        here["small"] = np.arange(3)
    until(lambda: has(there, "small", np.arange(3)))
    here["last"] = np.arange(4)
    until(lambda: has(there, "last", np.arange(4)))
    here["large"] = np.arange(5)
    until(lambda: has(there, "large", np.arange(5)))


@both
def test_a_broadcast_reaches_subscribers_there(pair: Pair) -> None:
    pair.open()
    here, there = pair.here.broadcast("news"), pair.there.broadcast("news")
    subscription = there.subscribe()
    start(pair, "--broadcast", "news")
    until(lambda: here.subscribers == 1)
    found: list[int] = []

    def read() -> None:
        while not found or found[-1] != 299:
            array = np.asarray(subscription.receive(LONGEST))
            assert (array == array[0]).all()
            found.append(int(array[0]))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(300):
        here.publish(np.full(1000, number))
        # Neither the bridge nor the reader is so far behind that anything is dropped.
        until(lambda number=number: len(found) >= number - 20)
    reader.join(LONGEST)
    assert found == list(range(300))
    subscription.close()


@both_in_soak
def test_what_a_broadcast_drops_is_counted(pair: Pair) -> None:
    pair.open()
    here, there = pair.here.broadcast("news"), pair.there.broadcast("news")
    start(pair, "--broadcast", "news")
    until(lambda: here.subscribers == 1)
    slow = there.subscribe(lag="block")  # reads nothing: the bridge cannot publish all
    here.publish(np.full(100, 0))
    until(lambda: pair.status()["confirmed"] == 1)
    for number in range(1, 1000):
        here.publish(np.full(100, number))
    slow.close()
    until(lambda: pair.status()["confirmed"] + pair.status()["missed"] >= 1000)
    said = pair.status()
    assert said["confirmed"] + said["missed"] == 1000
    assert said["missed"] > 500
