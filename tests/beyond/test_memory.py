# SPDX-License-Identifier: MIT
"""Bridges that get no memory: whatever becomes of them, no message is lost."""

from __future__ import annotations

import os
import resource

import pytest

from bridges import Bridge, Pair, program
from hosts import LONGEST, until
from traffic import WINDOW, Receiver, Sender, account

pytestmark = pytest.mark.usefixtures("real")
MORE = 100


def test_no_memory_for_a_message(pair: Pair) -> None:
    """The bridge ends with it in hand, and the arena gives it to the next one."""
    if not program()[-1].endswith("-testing"):
        pytest.skip("TR_BRIDGE names a bridge without points")
    pair.open().listen()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    for number in (1, 2, 50):
        short = ["env", f"TENSORING_BRIDGE_MEMORY={number}"]
        bridge = pair.connect(before=short, log=f"short.{number}")
        assert bridge.process.wait(LONGEST) == os.EX_OSERR
        assert "out of memory at 'jobs'" in bridge.output
    pair.connect()
    receiver.more(WINDOW)
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, late=3 * WINDOW)
    pair.ends()


def no_more_memory(bridge: Bridge) -> None:
    """What it has, it keeps; the kernel gives it no more."""
    _, most = resource.prlimit(bridge.pid, resource.RLIMIT_DATA)
    resource.prlimit(bridge.pid, resource.RLIMIT_DATA, (1, most))


@pytest.mark.parametrize("side", ["connect", "listen"])
def test_the_kernel_gives_no_memory(pair: Pair, side: str) -> None:
    """It goes on with what it has, loses its link, or ends: its engine may abort."""
    pair.open()
    bridges = {"listen": pair.listen(), "connect": pair.connect()}
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    deaths = 0
    for _ in range(3):
        until(lambda: pair.link_is("up"), pair.status)
        no_more_memory(bridges[side])
        start = len(receiver.numbers)
        until(
            lambda start=start: (
                not bridges[side].alive
                or len(receiver.numbers) > start + MORE
                or not pair.link_is("up")
            ),
            lambda: bridges[side].output,
        )
        deaths += 1
        bridges[side].again()
    receiver.more(WINDOW)
    count = sender.stop()
    receiver.all_of(count)
    doubled, late = (deaths, 0) if side == "listen" else (0, deaths * WINDOW)
    account(receiver.stop(), count, doubled=doubled, late=late)
    pair.ends()
