# SPDX-License-Identifier: MIT
"""Calls and servers in event loops."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import free
from test_aio import LOOPS, run
from test_service import start, work


def child(target: Callable[..., None], *args: Any) -> Any:
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    return process


async def double(x: Any) -> Any:
    await asyncio.sleep(0)
    return work(x)


def serve(loop: str, service: tr.Service, tasks: int) -> None:
    """Serves in a loop, several requests at a time."""

    async def main() -> None:
        await asyncio.gather(*(service.serve_async(double) for _ in range(tasks)))

    run(loop, main)


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return str(request.param)


@pytest.mark.parametrize("servers", ["sync", "async"])
def test_many_in_flight(loop: str, servers: str, arena: tr.Arena) -> None:
    """More than there are slots and room."""
    service = arena.service("model", 8)
    children = [
        start(service) if servers == "sync" else child(serve, loop, service, 3)
        for _ in range(2)
    ]

    async def one(i: int) -> list[int]:
        answer: list[int] = (await service.call_async(np.full(3, i))).tolist()
        return answer

    async def main() -> list[list[int]]:
        return await asyncio.gather(*(one(i) for i in range(200)))

    assert run(loop, main) == [[2 * i] * 3 for i in range(200)]
    service.shutdown()
    for process in children:
        process.join(30)
        assert process.exitcode == 0


def test_ends(loop: str, arena: tr.Arena) -> None:
    service = tr.Service(arena.queue("model", max_deliveries=1))
    process = start(service)

    async def main() -> None:
        with pytest.raises(tr.RemoteError, match="ValueError: not now") as caught:
            await service.call_async("now", timeout=30)
        assert caught.value.remote_code == 1
        died, fine = await asyncio.gather(
            service.call_async("die"), service.call_async(1), return_exceptions=True
        )
        assert isinstance(died, tr.PeerDiedError)
        assert fine == 2 or isinstance(fine, tr.PeerDiedError)
        service.shutdown()
        with pytest.raises(tr.ClosedError):
            await service.call_async(1, timeout=30)

    rescue = threading.Thread(target=lambda: (process.join(30), start(service).join(30)))
    rescue.start()
    run(loop, main)
    rescue.join(30)


def test_late_replies_are_dropped(loop: str, arena: tr.Arena) -> None:
    service = arena.service("model")
    before = free(arena)

    async def main() -> None:
        with pytest.raises(tr.TimedOutError, match=r"no reply.*nobody serves it"):
            await service.call_async(np.zeros(3), timeout=0.01)
        with pytest.raises(tr.NoServerError):
            await service.call_async(1, need_server=True)
        with pytest.raises(ValueError, match="timeout is -1"):
            await service.call_async(1, timeout=-1)
        assert free(arena) == before  # taken back out of the queue
        calls = [asyncio.create_task(service.call_async(i)) for i in range(3)]
        requests = [await service.queue.receive_message_async()]
        requests += [service.queue.receive_message(0) for _ in range(2)]
        calls[1].cancel()
        await asyncio.gather(calls[1], return_exceptions=True)
        for i, request in enumerate(requests):
            request.reply(10 + i)
        assert await calls[0] == 10
        assert await calls[2] == 12
        while free(arena) != before:  # without another call
            await asyncio.sleep(0)

    run(loop, main)


def test_cancelled_at_every_point(loop: str, arena: tr.Arena) -> None:
    service = arena.service("model", 4)
    before = free(arena)

    async def server() -> None:
        await service.serve_async(double)

    async def main() -> int:
        serving = [asyncio.create_task(server()) for _ in range(2)]
        answered = 0
        for rounds in range(25):
            calls = [asyncio.create_task(service.call_async(i)) for i in range(12)]
            for _ in range(rounds):
                await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert ends[1::2] == [2 * i for i in range(1, 12, 2)]
            for i, end in enumerate(ends[::2]):
                assert end == 4 * i or isinstance(end, asyncio.CancelledError)
                answered += end == 4 * i
        while free(arena) != before:
            await asyncio.sleep(0)
        service.shutdown()
        await asyncio.gather(*serving)
        return answered

    assert run(loop, main) > 0
    assert free(arena) == before


def test_a_cancelled_server_loses_nothing(loop: str, arena: tr.Arena) -> None:
    service = arena.service("model")

    async def main() -> None:
        began = asyncio.Event()

        async def stuck(x: int) -> None:
            began.set()
            await asyncio.Event().wait()

        serving = asyncio.create_task(service.serve_async(stuck))
        first = asyncio.create_task(service.call_async(1))
        await began.wait()
        second = asyncio.create_task(service.call_async(2))
        await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(tr.RemoteError, match="CancelledError"):
            await first
        assert await asyncio.gather(serving, return_exceptions=True) != [None]
        idle = asyncio.create_task(service.serve_async(stuck))
        await asyncio.sleep(0)
        idle.cancel()  # it may have got hold of the second
        assert await service.serve_async(double, 0) == 0
        served = asyncio.create_task(service.serve_async(double, 1))
        end = (await asyncio.gather(second, return_exceptions=True))[0]
        assert end == 4 or isinstance(end, tr.RemoteError)
        served.cancel()
        await asyncio.gather(idle, served, return_exceptions=True)

    run(loop, main)


def test_threads_call_beside_loops(loop: str, arena: tr.Arena) -> None:
    """Two loops and two threads of one process each get their own replies."""
    service = arena.service("model")
    children = [start(service) for _ in range(2)]
    right: list[int] = []

    def in_thread(base: int) -> None:
        right.extend(service.call(i, timeout=30) for i in range(base, base + 100))

    def in_loop(base: int) -> None:
        async def main() -> None:
            for i in range(base, base + 100, 10):
                ends = await asyncio.gather(
                    *(service.call_async(j, timeout=30) for j in range(i, i + 10))
                )
                right.extend(ends)

        run(loop, main)

    threads = [
        threading.Thread(target=target, args=(1000 * i,))
        for i, target in enumerate((in_thread, in_loop, in_thread, in_loop))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = [2 * (1000 * i + j) for i in range(4) for j in range(100)]
    assert sorted(right) == expected
    service.shutdown()
    for process in children:
        process.join(30)
