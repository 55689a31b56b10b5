# SPDX-License-Identifier: MIT
"""Waits of event loops for a free slot, or for room: an event ends them, and no pause."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import in_the_end
from test_aio import LOOPS, run

# What waits for a slot, and how to see that it is done.
WAYS: dict[str, Callable[[tr.Arena], Awaitable[Any]]] = {
    "send": lambda arena: arena.queue("q").send_async(np.zeros(4)),
    "publish": lambda arena: arena.broadcast("news").publish_async({"a": [1, "x"]}),
    "put": lambda arena: arena.board("b").put_async("key", b"1234"),
    "call": lambda arena: arena.service("s").call_async(np.zeros(4)),
}


@pytest.fixture(params=["fixed", "elastic"])
def full(request: pytest.FixtureRequest) -> Iterator[tuple[tr.Arena, list[Any]]]:
    """An arena without a free slot, or without memory, and the messages that hold it."""
    elastic = request.param == "elastic"
    options: dict[str, Any] = {"elastic": True, "memory_bytes": 8192} if elastic else {}
    with tr.Arena([(4096, 16 if elastic else 2)], **options) as arena:
        held = [arena._encode(np.zeros(4), 0) for _ in range(2)]
        with pytest.raises(tr.Full):
            arena._encode(np.zeros(4), 0)
        yield arena, held
        held.clear()


def waiting(arena: tr.Arena) -> int:
    return int(arena.stats()["sizes"][0]["waiting"])


async def until_waiting(arena: tr.Arena) -> None:
    while not waiting(arena):
        await asyncio.sleep(0)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_free_slot_ends_the_wait(
    loop: str, way: str, full: tuple[tr.Arena, list[Any]]
) -> None:
    arena, held = full

    async def main() -> None:
        task = asyncio.ensure_future(WAYS[way](arena))
        await until_waiting(arena)
        assert not task.done()
        held.pop().release()
        if way == "call":
            held.pop().release()  # for the answer
            await asyncio.get_running_loop().run_in_executor(None, answer)
        await task

    def answer() -> None:
        with arena.queue("s").receive_message(60) as request:
            request.reply(np.ones(4))

    run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_it_is_the_event_that_ends_it(
    loop: str, full: tuple[tr.Arena, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that finds no slot tells no task, so none tries in vain."""
    arena, held = full
    queue = arena.queue("q")
    tries = []
    encode = type(queue)._encode_now
    monkeypatch.setattr(
        type(queue), "_encode_now", lambda *given: (tries.append(1), encode(*given))[1]
    )

    async def main() -> None:
        task = asyncio.ensure_future(queue.send_async(1))
        await until_waiting(arena)
        assert len(tries) == 1
        held.pop().release()
        await task

    run(loop, main)
    assert len(tries) == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_another_process_frees_it(loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")  # before there is a child to leave behind
    with tr.Arena([(4096, 1)]) as arena:
        queue, go = arena.queue("q"), arena.queue("other")

        def hold_and_release() -> None:
            for _ in range(20):
                with queue.receive_message(60):
                    pass

        child = multiprocessing.get_context("fork").Process(target=hold_and_release)
        child.start()

        async def main() -> None:
            for i in range(20):  # one slot: each send waits for the child
                await queue.send_async(i)

        run(loop, main)
        child.join(60)
        assert child.exitcode == 0
        assert len(go) == 0


def test_the_holder_is_killed() -> None:
    with tr.Arena([(4096, 1)]) as arena:
        queue = arena.queue("q")

        def hold(ready: Any) -> None:
            message = arena._encode(1, 0)
            ready.set()
            signal.pause()
            del message

        context = multiprocessing.get_context("fork")
        ready = context.Event()
        child = context.Process(target=hold, args=(ready,))
        child.start()
        assert ready.wait(60)

        async def main() -> None:
            task = asyncio.ensure_future(queue.send_async(2))
            await until_waiting(arena)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await task

        run("asyncio", main)
        child.join(60)
        assert queue.receive(0) == 2


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kinds", [1, 3])
def test_each_slot_is_for_the_next_in_line(loop: str, kinds: int) -> None:
    """Also where they need different things of the same slots."""
    with tr.Arena([(4096, 2)]) as arena:
        queue = arena.queue("q", 128)
        held = [arena._encode(0, 0) for _ in range(2)]

        async def main() -> list[int]:
            sends = [queue.send_async(np.full(1 + i % kinds, i)) for i in range(100)]
            tasks = [asyncio.ensure_future(send) for send in sends]
            await until_waiting(arena)
            for message in held:
                message.release()
            got = [int((await queue.receive_async())[0]) for _ in tasks]
            await asyncio.gather(*tasks)
            return got

        assert run(loop, main) == list(range(100))


@pytest.mark.parametrize("loop", LOOPS)
def test_small_ones_do_not_wait_for_large_ones(loop: str) -> None:
    with tr.Arena([(256, 1), (65536, 1)]) as arena:
        queue = arena.queue("q", 8)
        small, large = arena._encode(0, 0), arena._encode(bytes(60000), 0)

        async def main() -> None:
            first = asyncio.ensure_future(queue.send_async(bytes(60000)))
            second = asyncio.ensure_future(queue.send_async(2))
            await until_waiting(arena)
            small.release()
            await second
            assert not first.done()
            large.release()
            await first

        run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("rounds", range(6))
def test_a_cancelled_one_passes_the_slot_on(loop: str, rounds: int) -> None:
    """Whatever it had come to: before it was told, after it, or with the slot in hand."""
    with tr.Arena([(4096, 1)]) as arena:
        queue = arena.queue("q", 8)
        held = arena._encode(0, 0)

        async def main() -> list[int]:
            tasks = [asyncio.ensure_future(queue.send_async(i)) for i in range(2)]
            await until_waiting(arena)
            held.release()
            for _ in range(rounds):
                await asyncio.sleep(0)
            tasks[0].cancel()
            got = [await queue.receive_async()]
            done = await asyncio.gather(*tasks, return_exceptions=True)
            while len(queue):
                got.append(queue.receive(0))
            assert done[1] is None
            assert (0 in got) == (done[0] is None)
            return got

        assert 1 in run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_timeout_ends_it(loop: str, full: tuple[tr.Arena, list[Any]]) -> None:
    arena, held = full

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await arena.queue("q").send_async(1)
        with pytest.raises(tr.TimedOutError, match="slot"):
            await arena.service("s").call_async(1, timeout=0.05)
        held.pop().release()
        await arena.queue("q").send_async(2)

    run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_late_call_says_so(loop: str, full: tuple[tr.Arena, list[Any]]) -> None:
    """Also where the timer of the loop is early: uvloop's counts whole milliseconds."""
    service = full[0].service("s")

    async def main() -> None:
        for i in range(60):
            with pytest.raises(tr.SendTimedOutError, match="slot"):
                await service.call_async(1, timeout=0.001 + i * 0.0001)

    run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["shutdown", "close", "close the arena"])
@pytest.mark.parametrize("kind", ["queue", "broadcast", "board"])
def test_a_close_ends_it(
    loop: str, end: str, kind: str, full: tuple[tr.Arena, list[Any]]
) -> None:
    arena, held = full
    channel: Any = getattr(arena, kind)("c")
    if kind == "board" and end == "shutdown":
        pytest.skip("boards are not shut down")
    send = {
        "queue": lambda i: channel.send_async(i),
        "broadcast": lambda i: channel.publish_async(i),
        "board": lambda i: channel.put_async("key", i),
    }[kind]

    async def main() -> None:
        tasks = [asyncio.ensure_future(send(i)) for i in range(2)]
        await until_waiting(arena)
        call = {
            "shutdown": lambda: channel.shutdown(),
            "close": channel.close,
            "close the arena": arena.close,
        }[end]
        thread = threading.Thread(target=call)
        thread.start()
        for task in tasks:
            with pytest.raises((tr.ClosedError, ValueError), match="closed"):
                await task
        thread.join()

    run(loop, main)
    held.clear()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["queue", "broadcast"])
def test_room_ends_it(loop: str, kind: str) -> None:
    with tr.Arena([(4096, 16)]) as arena:
        channel: Any = (
            arena.queue("c", 1) if kind == "queue" else arena.broadcast("c", capacity=2)
        )
        source = channel if kind == "queue" else channel.subscribe("block")
        send = channel.send_async if kind == "queue" else channel.publish_async

        async def main() -> list[int]:
            sent = asyncio.ensure_future(send_all())
            got = [await source.receive_async() for _ in range(20)]
            await sent
            return got

        async def send_all() -> None:
            for i in range(20):
                await send(i)

        assert run(loop, main) == list(range(20))


@pytest.mark.parametrize("kind", ["board", "queue", "broadcast"])
def test_a_close_ends_a_call_that_blocks(
    full: tuple[tr.Arena, list[Any]], kind: str
) -> None:
    arena, _ = full
    channel, errors = getattr(arena, kind)("b"), []
    give = {"board": "put", "queue": "send", "broadcast": "publish"}[kind]

    def call() -> None:
        try:
            getattr(channel, give)(*["key"] * (kind == "board"), 1, timeout=30)
        except tr.Error as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    in_the_end(lambda: waiting(arena), bool)
    channel.close()
    thread.join()
    assert [type(error) for error in errors] == [tr.ClosedError]
    assert "close() was called" in str(errors[0])  # not that the slots are in use


def test_while_it_waits_for_room_it_holds_no_slot() -> None:
    with tr.Arena([(4096, 4)]) as arena:
        queue = arena.queue("q", 1)
        queue.send(0)

        async def main() -> None:
            task = asyncio.ensure_future(queue.send_async(1))
            for _ in range(10):
                await asyncio.sleep(0)
                assert arena.stats()["sizes"][0]["free"] == 3
            assert queue.receive(0) == 0
            await task

        run("asyncio", main)
        assert queue.receive(0) == 1


def test_a_forked_child_waits_by_itself() -> None:
    with tr.Arena([(4096, 1)]) as arena:
        queue = arena.queue("q")
        held = arena._encode(0, 0)

        async def main() -> None:
            task = asyncio.ensure_future(queue.send_async(1))
            await until_waiting(arena)
            pid = os.fork()
            if pid == 0:
                os._exit(child())
            task.cancel()
            held.release()
            _, status = await asyncio.get_running_loop().run_in_executor(
                None, os.waitpid, pid, 0
            )
            assert os.waitstatus_to_exitcode(status) == 0

        def child() -> int:
            asyncio._set_running_loop(None)

            async def send() -> None:
                await asyncio.wait_for(queue.send_async(2), 60)

            asyncio.run(send())
            return 0

        run("asyncio", main)
        assert queue.receive(0) == 2


@pytest.mark.skipif(not importlib.util.find_spec("trio"), reason="trio is not there")
def test_in_trio(full: tuple[tr.Arena, list[Any]]) -> None:
    import trio

    arena, held = full

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(arena.queue("q").send_async, 1)
            nursery.start_soon(arena.broadcast("news").publish_async, 2)
            while not waiting(arena):
                await trio.sleep(0)
            with trio.move_on_after(0.05) as scope:
                await arena.board("b").put_async("key", 3)
            assert scope.cancelled_caught
            held.pop().release()
            held.pop().release()

    trio.run(main)
    assert arena.queue("q").receive(0) == 1


def test_a_wait_set_waits_for_room_in_a_broadcast(arena: tr.Arena) -> None:
    news = arena.broadcast("news", capacity=2)
    subscription = news.subscribe("block")
    with arena.wait_set() as waits:
        waits.add(news)
        while waits.wait(0):
            news.publish(1, 0)
        thread = threading.Thread(target=subscription.receive)
        thread.start()
        assert waits.wait(60) == [(news, tr.WRITABLE)]
        thread.join()


def test_a_slot_that_is_free_is_taken_at_once(arena: tr.Arena) -> None:
    """No turn of the loop, and no wait set."""

    async def main() -> None:
        await arena.queue("q").send_async(1)
        await arena.broadcast("news").publish_async(2)
        assert await arena.board("b").put_async("key", 3) == 1
        assert not arena._hubs

    asyncio.run(main())
    assert arena.queue("q").receive(0) == 1
    in_the_end(lambda: arena.stats()["sizes"][0]["waiting"], lambda n: not n)
