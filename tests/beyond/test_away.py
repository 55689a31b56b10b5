# SPDX-License-Identifier: MIT
"""A queue that is given out to several hosts, one of which is away, or full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import tensoring as tr
import traffic
from bridges import Pair
from hosts import until
from traffic import WINDOW, Receiver, Sender, account

pytestmark = pytest.mark.usefixtures("real")
COUNT = 100
PLACES = 4  # of the queue that is full


@contextmanager
def third() -> Iterator[tr.Arena]:
    arena = traffic.open_arena()
    try:
        yield arena
    finally:
        name = str(arena.name)
        arena.close()
        tr.Arena.unlink(name)


def all_arrive(*receivers: Receiver) -> None:
    until(
        lambda: sum(len(one.numbers) for one in receivers) == COUNT,
        lambda: [len(one.numbers) for one in receivers],
    )


def test_others_get_what_comes_after(pair: Pair) -> None:
    """What the host that is away may have waits for it, and nothing waits for that."""
    pair.open(names=("news",))
    source = traffic.open_queue(pair.there, "jobs")
    first = traffic.open_queue(pair.here, "jobs", PLACES)
    pair.listen("--queue", "out:jobs")
    incoming = ["--queue", "in:jobs"]
    connector = pair.connect(queues=incoming)
    until(lambda: pair.link_is("up"), pair.status)
    sender = Sender(source, COUNT, 8)

    def channel() -> dict[str, int]:
        (bridge,) = pair.status(pair.there)["bridges"]
        (found,) = (one for one in bridge["channels"] if one["name"] == "jobs")
        return dict(found)

    until(
        lambda: (channel()["confirmed"], channel()["in_flight"]) == (PLACES, WINDOW),
        channel,
    )
    connector.kill()
    with third() as arena:
        second = Receiver(traffic.open_queue(arena, "jobs"))
        pair.connect(log="second", queues=incoming, arena=arena)
        second.total(COUNT - PLACES - WINDOW)
        assert channel()["away"] == WINDOW
        sender.wait()
        returned = Receiver(first)
        pair.connect(log="first", queues=incoming)
        returned.total(PLACES + WINDOW)
        account(second.stop() + returned.stop(), COUNT, late=COUNT)
        until(lambda: channel()["in_flight"] == 0, channel)
        del second
        pair.ends_here()
    assert len(first) == 0


def test_a_full_host_does_not_stop_the_others(pair: Pair) -> None:
    """The listener has a larger window than all connectors together."""
    pair.open(names=("news",))
    source = traffic.open_queue(pair.there, "jobs")
    first = traffic.open_queue(pair.here, "jobs", PLACES)
    pair.listen("--queue", "out:jobs", "--window", str(3 * WINDOW))
    incoming = ["--queue", "in:jobs"]
    pair.connect(queues=incoming)
    sender = Sender(source, COUNT, 8)
    until(lambda: len(first) == PLACES, lambda: len(first))
    with third() as arena:
        second = Receiver(traffic.open_queue(arena, "jobs"))
        pair.connect(log="second", queues=incoming, arena=arena)
        sender.wait()
        second.total(COUNT - PLACES - WINDOW)  # the first keeps these at most
        assert len(first) == PLACES
        returned = Receiver(first)
        all_arrive(second, returned)
        account(second.stop() + returned.stop(), COUNT, late=COUNT)
        del second
        pair.ends_here()
    assert len(first) == 0
