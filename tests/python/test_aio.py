# SPDX-License-Identifier: MIT
"""Receiving in event loops: asyncio, and uvloop if it is there."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

import tensoring as tr

LOOPS = ["asyncio", "uvloop"]


def run(loop: str, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    factory = None
    if loop == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(main(), 60))


def feed(queue: Any, n: int) -> None:
    for i in range(n):
        queue.send(np.full(4, i))
    queue.shutdown()


@pytest.mark.parametrize("loop", LOOPS)
def test_from_another_process(loop: str, arena: tr.Arena) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")  # before there is a child to leave behind
    queue = arena.queue("q", 8)
    child = multiprocessing.get_context("fork").Process(target=feed, args=(queue, 200))
    child.start()

    async def main() -> list[int]:
        return [int(array[0]) async for array in queue]

    assert run(loop, main) == list(range(200))
    child.join(30)


@pytest.mark.parametrize("loop", LOOPS)
def test_many_waiters_each_get_one(
    loop: str, arena: tr.Arena, queue: tr.ArenaQueue
) -> None:
    async def main() -> list[int]:
        tasks = [asyncio.create_task(queue.receive_async()) for _ in range(10)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=queue.send_many, args=(range(10),))
        thread.start()
        got = await asyncio.gather(*tasks)
        thread.join()
        return sorted(got)

    assert run(loop, main) == list(range(10))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_receive_loses_nothing(loop: str, queue: tr.ArenaQueue) -> None:
    async def main() -> list[int]:
        got = []
        for i in range(50):
            task = asyncio.create_task(queue.receive_async())
            await asyncio.sleep(0)
            queue.send(i)
            for _ in range(i % 5):
                await asyncio.sleep(0)
            task.cancel()
            try:
                got.append(await task)
            except asyncio.CancelledError:
                got.append(await queue.receive_async())
        return got

    assert run(loop, main) == list(range(50))


def test_cancelled_after_it_was_told(queue: tr.ArenaQueue) -> None:
    async def main() -> int:
        first = asyncio.create_task(queue.receive_async())
        second = asyncio.create_task(queue.receive_async())
        await asyncio.sleep(0)
        (watcher,) = tr._aio._watchers[queue].values()
        queue.send(1)
        watcher.wake()  # the first is told
        first.cancel()
        return await second

    assert run("asyncio", main) == 1


def test_one_loop_after_another(queue: tr.ArenaQueue) -> None:
    async def main() -> int:
        asyncio.get_running_loop().call_later(0.01, queue.send, 5)
        return await queue.receive_async()

    assert [run("asyncio", main) for _ in range(3)] == [5, 5, 5]


def test_no_thread_is_started(queue: tr.ArenaQueue) -> None:
    before = threading.active_count()

    async def main() -> int:
        asyncio.get_running_loop().call_soon(queue.send, 1)
        await queue.receive_async()
        return threading.active_count()

    assert run("asyncio", main) == before
    assert importlib.util.find_spec("tensoring._aio")
