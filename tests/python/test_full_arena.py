# SPDX-License-Identifier: MIT
"""Requests that have all slots are answered: in their own slots."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensoring as tr

SLOTS_HERE = 8
CALLS = 40


def double(value: Any) -> Any:
    return value * 2


def serve(service: tr.Service) -> None:
    service.serve(double)


def serve_async(service: tr.Service) -> None:
    asyncio.run(service.serve_async(double))


def serve_batches(service: tr.Service) -> None:
    service.serve_batches(lambda batch: batch.x * 2)


async def call_all(service: tr.Service, server: threading.Thread) -> list[float]:
    """More calls than there are slots; the server starts when they have all of those."""

    async def call(number: int) -> float:
        row = np.full(4, float(number))
        return float((await service.call_async(row, timeout=60)).sum())

    calls = [asyncio.ensure_future(call(number)) for number in range(CALLS)]
    while service.arena.stats()["totals"]["slots_free"]:
        await asyncio.sleep(0)
    server.start()
    return list(await asyncio.gather(*calls))


@pytest.mark.parametrize("kind", [serve, serve_async, serve_batches])
def test_all_calls_are_answered(kind: Callable[[tr.Service], None]) -> None:
    with tr.Arena([(4096, SLOTS_HERE)]) as arena:
        service = arena.service("service")
        server = threading.Thread(target=kind, args=(service,), daemon=True)
        answers = asyncio.run(call_all(service, server))
        assert answers == [8.0 * number for number in range(CALLS)]
        service.shutdown()
        server.join(60)


KINDS = [b"bytes", "text", 7, None, {"a": [1, 2.5]}, np.arange(5.0), np.float32(2)]


@pytest.mark.parametrize("asked", KINDS, ids=repr)
def test_an_answer_may_be_of_any_kind(asked: Any) -> None:
    with tr.Arena([(4096, 1)]) as arena:
        service = arena.service("service")

        def answer() -> None:
            for wanted in KINDS:
                service.serve_one(lambda _, wanted=wanted: wanted, 60)

        server = threading.Thread(target=answer)
        server.start()
        for wanted in KINDS:
            got = service.call(asked, timeout=60)
            assert type(got) is type(wanted)
            assert np.array_equal(got, wanted) if got is not None else wanted is None
            del got
        server.join(60)


def request_of(arena: tr.Arena, value: Any, answers: list[Any]) -> tuple[Any, Any]:
    """A request in hand, and the thread that waits for its end."""
    service = arena.service("service")

    def call() -> None:
        try:
            answers.append(service.call(value, timeout=60))
        except tr.RemoteError as error:
            answers.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return service.queue.receive_message(60), thread


def test_a_request_that_is_looked_into_is_not_reused() -> None:
    with tr.Arena([(4096, 4)]) as arena:
        answers: list[Any] = []
        request, thread = request_of(arena, np.arange(4.0), answers)
        view = request.array(0)
        assert not request._reply_reusing(view[::-1])
        del view
        assert not request._reply_reusing(np.zeros(1000))  # it has 4096 bytes
        with pytest.raises(tr.UnsupportedError):
            request._reply_reusing(time.sleep)
        assert not request.released
        assert request._reply_reusing(np.arange(3.0))
        assert request.released
        thread.join(60)
        assert answers[0].tolist() == [0.0, 1.0, 2.0]
