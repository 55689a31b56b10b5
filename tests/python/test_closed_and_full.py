# SPDX-License-Identifier: MIT
"""Calls that wait for a free slot end when what the message is for is shut down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import in_the_end


@pytest.fixture
def full() -> Iterator[tr.Arena]:
    """An arena without a free slot."""
    with tr.Arena([(4096, 1)]) as arena:
        arena.queue("holder").send(1)
        yield arena


def loan(arena: tr.Arena) -> None:
    with arena.queue("q").loan(4):
        pass


WAITS: dict[str, tuple[str, Callable[[tr.Arena], Any]]] = {
    "send an array": ("queue", lambda arena: arena.queue("q").send(np.zeros(4))),
    "send bytes": ("queue", lambda arena: arena.queue("q").send(b"1234")),
    "send a dict": ("queue", lambda arena: arena.queue("q").send({"a": np.zeros(4)})),
    "loan": ("queue", loan),
    "call": ("queue", lambda arena: arena.service("q").call(np.zeros(4))),
    "publish": ("broadcast", lambda arena: arena.broadcast("q").publish(np.zeros(4))),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_for_a_slot_ends_at_shutdown(full: tr.Arena, name: str) -> None:
    kind, call = WAITS[name]
    channel = getattr(full, kind)("q")
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            call(full)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    in_the_end(lambda: full.stats()["sizes"][0]["waiting"], bool)
    channel.shutdown()
    thread.join(60)
    [error] = errors
    assert isinstance(error, tr.ClosedError)
    assert "'q'" in str(error) or '"q"' in str(error)


@pytest.mark.parametrize("name", WAITS)
def test_and_does_not_begin_after_it(full: tr.Arena, name: str) -> None:
    kind, call = WAITS[name]
    getattr(full, kind)("q").shutdown()
    with pytest.raises(tr.ClosedError):
        call(full)


def test_a_call_in_an_event_loop_ends_at_shutdown(full: tr.Arena) -> None:
    service = full.service("q")

    async def run() -> None:
        call = asyncio.ensure_future(service.call_async(np.zeros(4)))
        await asyncio.sleep(0)
        service.shutdown()
        with pytest.raises(tr.ClosedError):
            await call

    asyncio.run(asyncio.wait_for(run(), 60))
