# SPDX-License-Identifier: MIT
"""Event loops in a process that was taken for dead, or whose arena others write into."""

from __future__ import annotations

import asyncio
import mmap
import struct
from typing import Any

import pytest

import tensoring as tr
from tensoring._arena import aio
from test_aio import LOOPS, run

PARTICIPANTS_AT, PARTICIPANT_BYTES = 40, 384  # in the control block; see ipc/layout.h


def take_for_dead(arena: tr.Arena) -> None:
    """As a reaper does it: the entry is somebody else's by now."""
    info = arena.info()
    with mmap.mmap(arena.fd, info["total_bytes"]) as memory:
        (first,) = struct.unpack_from("<Q", memory, PARTICIPANTS_AT)
        memory[first + PARTICIPANT_BYTES * info["self"] + 4] ^= 1  # its incarnation


@pytest.fixture
def complaints() -> list[Any]:
    """What a loop has to say of callbacks that raised."""
    return []


@pytest.mark.parametrize("loop", LOOPS)
def test_waiters_are_told(loop: str, complaints: list[Any]) -> None:
    async def main() -> list[Any]:
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda _, context: complaints.append(context))
        with tr.Arena([(4096, 8)]) as arena:
            queue, service = arena.queue("q", 8), arena.service("s", 8)
            waiting = [asyncio.create_task(queue.receive_async()) for _ in range(3)]
            waiting.append(asyncio.create_task(service.call_async(1)))
            await asyncio.sleep(0)
            take_for_dead(arena)
            hub = aio.hub_of(arena)
            running.call_soon(hub.look)  # a message might come to it
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert hub.closed
            assert not running.remove_reader(hub.fd)  # nor does it spin
            assert not arena._hubs
            return found

    found = run(loop, main)
    assert all(isinstance(one, tr.CorruptError) for one in found), found
    assert len({id(one) for one in found}) == 4
    assert complaints == []


def test_what_was_found_before_is_told(
    arena: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue has a message, and the inbox of replies is broken."""

    def broken(hub: aio.Hub) -> None:
        raise tr.CorruptError("the inbox")

    async def main() -> tuple[Any, ...]:
        queue, service = arena.queue("q", 8), arena.service("s", 8)
        waiter = asyncio.create_task(queue.receive_async())
        call = asyncio.create_task(service.call_async(1))
        await asyncio.sleep(0)
        hub = aio.hub_of(arena)
        queue.send(7)
        tokens = [hub.of[what, aio.READABLE].token for what in (queue, None)]
        monkeypatch.setattr(hub, "_wait", lambda timeout: [(t, 1) for t in tokens])
        monkeypatch.setattr(aio.Hub, "_reply_next", broken, raising=False)
        hub.look()
        with pytest.raises(tr.CorruptError):
            await call
        return (await waiter,)

    assert run("asyncio", main) == (7,)


@pytest.mark.parametrize("calls", [False, True])
def test_a_cancelled_task_stays_cancelled(calls: bool) -> None:
    """Leaving the set fails, too; that is no reason to raise something else."""

    async def main() -> None:
        with tr.Arena([(4096, 8)]) as arena:
            queue, service = arena.queue("q", 8), arena.service("s", 8)
            what = service.call_async(1) if calls else queue.receive_async()
            task = asyncio.create_task(what)
            await asyncio.sleep(0)
            take_for_dead(arena)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run("asyncio", main)
