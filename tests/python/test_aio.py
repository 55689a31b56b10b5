# SPDX-License-Identifier: MIT
"""Receiving in event loops: asyncio, and uvloop if it is there."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
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


@pytest.mark.parametrize("loop", LOOPS)
def test_cancelled_after_it_was_told(loop: str, arena: tr.Arena) -> None:
    one, other = arena.queue("one"), arena.queue("other")
    got: list[Any] = []

    async def main() -> Any:
        async def first() -> None:
            got.append(await one.receive_async())
            task.cancel()  # by now it has been told

        async def second() -> None:
            got.append(await other.receive_async())
            started.cancel()

        # Both are told by one look; the last of them goes on at once.
        started = asyncio.create_task(first())
        task = asyncio.create_task(second())
        third = asyncio.create_task(one.receive_async())
        fourth = asyncio.create_task(other.receive_async())
        await asyncio.sleep(0)
        one.send(1)
        other.send(2)
        done, _ = await asyncio.wait([third, fourth], return_when="FIRST_COMPLETED")
        one.send(3)
        other.send(4)
        rest = await asyncio.gather(third, fourth, started, task, return_exceptions=True)
        left = [*one.receive_many(9, 0)] if len(one) else []
        left += [*other.receive_many(9, 0)] if len(other) else []
        assert done
        return sorted(got + left + [x for x in rest if isinstance(x, int)])

    assert run(loop, main) == [1, 2, 3, 4]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["queue", "subscription", "watch"])
def test_cancelled_at_every_point(loop: str, kind: str, arena: tr.Arena) -> None:
    queue, board = arena.queue("q"), arena.board("b")
    events = arena.broadcast("e")
    source, send = {
        "queue": (queue, queue.send),
        "subscription": (events.subscribe("block"), events.publish),
        "watch": (board.watch("k"), lambda x: board.put("k", x)),
    }[kind]

    async def after(rounds: int) -> None:
        for _ in range(rounds):
            await asyncio.sleep(0)

    async def main() -> list[int]:
        got = []
        for i in range(8 * 8 * 2):
            task = asyncio.create_task(source.receive_async())
            other = asyncio.create_task(source.receive_async()) if i % 2 else None
            await after(i // 2 % 8)
            send(i)
            await after(i // 16)
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            if other and isinstance(end, asyncio.CancelledError):
                end = await other
            elif other:
                other.cancel()
                await asyncio.gather(other, return_exceptions=True)
            elif isinstance(end, asyncio.CancelledError):
                end = await source.receive_async()
            got.append(end.value if kind == "watch" else end)
        return got

    assert run(loop, main) == list(range(8 * 8 * 2))


@pytest.mark.parametrize("loop", LOOPS)
def test_subscription(loop: str, arena: tr.Arena) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    events = arena.broadcast("events", 7)

    def publish() -> None:
        while not events.subscribers:
            pass
        for i in range(300):
            events.publish(np.full(4, i))
        events.shutdown()

    child = multiprocessing.get_context("fork").Process(target=publish)
    child.start()

    async def main() -> list[int]:
        with events.subscribe("block") as subscriber:
            return [int(array[0]) async for array in subscriber]

    assert run(loop, main) == list(range(300))
    child.join(30)


@pytest.mark.parametrize("loop", LOOPS)
def test_lagging_is_told(loop: str, arena: tr.Arena) -> None:
    events = arena.broadcast("events", 3)
    told, passed = events.subscribe(), events.subscribe()

    async def main() -> list[int]:
        waiting = asyncio.create_task(told.receive_async())
        await asyncio.sleep(0)
        events.publish(0)
        assert await waiting == 0
        for i in range(10):
            events.publish(i)
        with pytest.raises(tr.LaggedError):
            await told.receive_async()
        events.shutdown()
        return [i async for i in passed]

    assert run(loop, main)[-1] == 9
    assert told.missed >= 6
    assert passed.missed >= 6


@pytest.mark.parametrize("loop", LOOPS)
def test_board(loop: str, arena: tr.Arena) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    board, seen = arena.board("features"), arena.queue("seen")

    def put() -> None:
        for i in range(20):
            board["other"] = i
            board["users"] = np.full(4, i)
            seen.receive(30)

    child = multiprocessing.get_context("fork").Process(target=put)
    child.start()

    async def main() -> list[tuple[int, int]]:
        value, version = await board.wait_async("users")
        got = [(int(value[0]), version)]
        seen.send(0)
        with board.watch("users", version) as watch:
            assert "users" in repr(watch)
            async for value, version in watch:
                got.append((int(value[0]), version))
                seen.send(0)
                if len(got) == 20:
                    return got
        raise AssertionError

    assert run(loop, main) == [(i, i + 1) for i in range(20)]
    child.join(30)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("where", ["queue", "arena", "arena, thread", "queue, thread"])
def test_closing_ends_waits(loop: str, where: str, arena: tr.Arena) -> None:
    queue, other = arena.queue("q"), arena.queue("other")

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(queue.receive_async()) for _ in range(3)]
        if "arena" in where:
            tasks += [asyncio.create_task(arena.service("s").call_async(1))]
            tasks += [asyncio.create_task(other.receive_async())]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        close = arena.close if "arena" in where else queue.close
        if "thread" in where:
            thread = threading.Thread(target=close)
            thread.start()
            thread.join()
        else:
            close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    for end in run(loop, main):
        assert isinstance(end, (ValueError, tr.ClosedError))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_forked_child_has_a_loop_of_its_own(loop: str, arena: tr.Arena) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    there, back = arena.queue("there"), arena.queue("back")

    async def echo() -> None:
        async for x in there:
            back.send(x)

    async def main() -> list[int]:
        asyncio.get_running_loop().call_soon(back.send, 0)
        assert await back.receive_async() == 0  # so that the child inherits a hub
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                asyncio._set_running_loop(None)
                run(loop, echo)
                arena.close()
                status = 0
            finally:
                os._exit(status)
        got = []
        for i in range(50):
            there.send(i)
            got.append(await back.receive_async())
        there.shutdown()
        assert os.waitpid(pid, 0)[1] == 0
        back.send("still here")
        assert await back.receive_async() == "still here"
        return got

    assert run(loop, main) == list(range(50))


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_not_awaited_any_more_goes_to_others(loop: str, arena: tr.Arena) -> None:
    queue, done = arena.queue("q"), arena.queue("done")

    def take() -> None:
        for x in queue:
            done.send(x)

    async def main() -> list[int]:
        task = asyncio.create_task(queue.receive_async())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        thread = threading.Thread(target=take)
        thread.start()
        got = []
        for i in range(100):
            queue.send(i)
            got.append(await done.receive_async())
        queue.shutdown()
        thread.join(30)
        return got

    assert run(loop, main) == list(range(100))


def test_undecoded(arena: tr.Arena) -> None:
    queue, events = arena.queue("q"), arena.broadcast("e")
    subscriber = events.subscribe()

    async def main() -> list[list[int]]:
        loop = asyncio.get_running_loop()
        loop.call_later(0.001, queue.send, np.arange(3))
        message = await queue.receive_message_async()
        loop.call_later(0.001, events.publish_message, message)
        same = await subscriber.receive_message_async()
        return [same.array(0).tolist(), list(same.array(0).shape)]

    assert run("asyncio", main) == [[0, 1, 2], [3]]


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
    assert importlib.util.find_spec("tensoring._arena.aio")
