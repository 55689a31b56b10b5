# SPDX-License-Identifier: MIT
"""Requests over a bridge: each ends in one way, also when the link is cut."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from bridges import Bridge, Pair
from engines import both, both_in_soak
from hosts import LONGEST, until

pytestmark = pytest.mark.usefixtures("real")
SERVICE = ("--service", "model")


@contextlib.contextmanager
def serving(pair: Pair, function: Callable[[Any], Any]) -> Iterator[None]:
    service = pair.there.service("model", max_deliveries=255)
    thread = threading.Thread(target=service.serve, args=(function,))
    thread.start()
    try:
        yield
    finally:
        service.shutdown()
        thread.join(LONGEST)
        assert not thread.is_alive()


def start(pair: Pair, *more: str) -> list[Bridge]:
    bridges = [pair.listen(*SERVICE), pair.connect(*SERVICE, *more)]
    until(lambda: pair.link_is("up"))
    return bridges


@both
def test_calls_are_answered(pair: Pair) -> None:
    pair.open()
    model = pair.here.service("model")
    with serving(pair, lambda x: x * 2):
        start(pair)
        for length in (1, 100, 10_000, 100_000):
            x = np.arange(length, dtype="f8") + length
            assert np.array_equal(model.call(x, LONGEST), x * 2)
    until(lambda: pair.status()["in_flight"] == 0)


@both_in_soak
def test_many_callers_get_their_own_answers(pair: Pair) -> None:
    pair.open()
    model = pair.here.service("model")
    wrong: list[int] = []

    def call(first: int) -> None:
        for number in range(first, first + 50):
            answer = np.asarray(model.call(np.full(100, number), LONGEST))
            if not (answer == number + 1).all():
                wrong.append(number)

    with serving(pair, lambda x: x + 1):
        start(pair)
        threads = [threading.Thread(target=call, args=(1000 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST)
    assert not wrong


def test_an_error_of_the_server_is_told(pair: Pair) -> None:
    def refuse(_: object) -> object:
        raise ValueError("not this one")

    pair.open()
    model = pair.here.service("model")
    with serving(pair, refuse):
        start(pair)
        with pytest.raises(tr.RemoteError, match="not this one"):
            model.call(np.zeros(3), LONGEST)


def test_an_answer_that_is_too_large_here_is_told(pair: Pair) -> None:
    pair.open(here=[(8 << 10, 64)])
    model = pair.here.service("model")
    with serving(pair, lambda x: np.zeros(100_000)):
        start(pair)
        with pytest.raises(tr.RemoteError, match="cannot be taken"):
            model.call(np.zeros(3), LONGEST)
        with pytest.raises(tr.RemoteError, match="cannot be taken"):
            model.call(np.zeros(3), LONGEST)


class HeldCall:
    """A call of the service whose server has it in hand until end()."""

    def __init__(self, pair: Pair) -> None:
        self.came, self.go_on = threading.Semaphore(0), threading.Event()
        self.ended: list[object] = []  # the answer, or the error
        self.model = pair.here.service("model")
        self.thread = threading.Thread(target=self.call)

    def serve(self, x: Any) -> Any:
        self.came.release()
        assert self.go_on.wait(LONGEST)
        return x + 1

    def call(self) -> None:
        try:
            answer = self.model.call(np.arange(3), LONGEST)
            self.ended.append(np.asarray(answer).tolist())
        except tr.Error as error:
            self.ended.append(error)

    def begin(self) -> None:
        """Returns when the server has it."""
        self.thread.start()
        assert self.came.acquire(timeout=LONGEST)

    def end(self) -> None:
        self.go_on.set()
        self.thread.join(LONGEST)


@both_in_soak
@pytest.mark.parametrize("policy", ["fail", "retry"])
def test_a_cut_in_the_middle_of_a_request(pair: Pair, policy: str) -> None:
    pair.open()
    held = HeldCall(pair)
    with serving(pair, held.serve):
        listener, _ = start(pair, "--on-cut", policy)
        held.begin()
        listener.again()
        if policy == "fail":
            held.thread.join(LONGEST)
            assert "may have run" in str(held.ended[0])
        held.end()
        if policy == "retry":
            assert held.ended == [[1, 2, 3]]
            assert held.came.acquire(timeout=LONGEST)  # it ran twice
        assert len(held.ended) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("wait", "fail or retry"),
        ("retry:", "fail or retry"),
        ("retry:other", "no service 'other' goes out"),
        ("fail:back", "no service 'back' goes out"),
    ],
)
def test_a_policy_that_means_nothing(pair: Pair, given: str, says: str) -> None:
    pair.open()
    bridge = pair.connect(*SERVICE, "--service", "in:back", "--on-cut", given)
    assert bridge.process.wait(LONGEST) == 64
    assert says in bridge.output


def test_a_deadline_travels(pair: Pair) -> None:
    """As the time that is left, and the requester ends by its own."""
    pair.open()
    model = pair.here.service("model")
    requests = pair.there.queue("model", max_deliveries=255)
    ended: list[Exception] = []

    def call() -> None:
        try:
            model.call(np.zeros(3), 5.0)
        except tr.TimedOutError as error:
            ended.append(error)

    start(pair)
    caller = threading.Thread(target=call)
    caller.start()
    request = requests.receive_message(LONGEST)
    assert request.remaining is not None
    assert 0 <= request.remaining <= 5
    caller.join(LONGEST)
    assert len(ended) == 1
    request.release()
    until(lambda: pair.status()["in_flight"] == 0)


def test_answers_larger_than_the_window_of_bytes_wait_for_room(pair: Pair) -> None:
    """They come faster than the one slot here is free, and the link stays."""
    pair.open(here=[(8 << 10, 64), (1 << 20, 1)], there=[(8 << 10, 64), (1 << 20, 16)])
    model = pair.here.service("model")
    wrong: list[object] = []

    def call(first: int) -> None:
        for number in range(first, first + 3):
            try:
                answer = np.asarray(model.call(np.full(3, number), LONGEST)).copy()
            except tr.Error as error:
                wrong.append(error)
                continue
            if not (answer == number + 1).all():
                wrong.append(number)

    with serving(pair, lambda x: np.full(90_000, x[0] + 1)):
        start(pair, "--window-bytes", str(1 << 20))
        threads = [threading.Thread(target=call, args=(1000 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST)
    assert not wrong
    assert pair.status()["bridges"][0]["reconnects"] == 0


def test_a_bridge_that_stops_waits_for_the_answers_of_its_servers(pair: Pair) -> None:
    pair.open()
    held = HeldCall(pair)
    with serving(pair, held.serve):
        listener = pair.listen(*SERVICE, "--grace", str(LONGEST))
        pair.connect(*SERVICE)
        held.begin()
        listener.process.terminate()
        until(lambda: listener.has_taken_signals() or not listener.alive)
        held.end()
        assert held.ended == [[1, 2, 3]]
        assert listener.process.wait(LONGEST) == 0
