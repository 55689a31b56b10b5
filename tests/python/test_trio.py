# SPDX-License-Identifier: MIT
"""trio: tasks wait for messages, calls, room and slots; anyio runs on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import tensoring as tr

trio = pytest.importorskip("trio")
pytest.importorskip("trio.testing")
LONGEST = 60


def run(main: Callable[[], Any]) -> None:
    async def within() -> None:
        with trio.fail_after(LONGEST):
            await main()

    trio.run(within)


async def settled() -> None:
    """Each task waits by now."""
    await trio.testing.wait_all_tasks_blocked()


def test_tasks_receive_in_turn(arena: tr.Arena) -> None:
    queue = arena.queue("q")
    got: list[Any] = []

    async def receive() -> None:
        got.append(await queue.receive_async())

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(receive)
            await settled()
            assert not got
            for number in range(5):
                queue.send(number)

    for _ in range(2):  # the second run is another loop in the same arena
        run(main)
        assert sorted(got) == list(range(5))
        got.clear()


def test_calls_side_by_side(arena: tr.Arena) -> None:
    service = arena.service("model")
    ends: list[Any] = []

    async def ask(number: int) -> None:
        ends.append(await service.call_async(number, timeout=LONGEST))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
            await settled()
            served = await service.serve_async(lambda x: 2 * x, limit=20)
            assert served == 20

    run(main)
    assert sorted(ends) == [2 * number for number in range(20)]


def test_the_server_may_be_a_thread(arena: tr.Arena) -> None:
    service = arena.service("model")
    thread = threading.Thread(target=service.serve, args=(lambda x: x + 1, 50))
    thread.start()

    async def main() -> None:
        for number in range(50):
            assert await service.call_async(number, timeout=LONGEST) == number + 1

    run(main)
    thread.join()


def test_times_and_errors(arena: tr.Arena) -> None:
    service, full = arena.service("model"), arena.service("full", capacity=2)
    for _ in range(2):
        full.queue.send(0)

    async def main() -> None:
        with pytest.raises(tr.TimedOutError, match="nobody serves it"):
            await service.call_async(1, timeout=0.01)
        with pytest.raises(tr.TimedOutError, match="no room in queue 'full'"):
            await full.call_async(1, timeout=0.01)
        with pytest.raises(tr.BusyError):
            await full.call_async(1, need_room=True)

    run(main)


def test_a_cancelled_wait_takes_nothing(arena: tr.Arena) -> None:
    queue = arena.queue("q")
    got: list[Any] = []

    async def receive() -> None:
        got.append(await queue.receive_async())

    async def main() -> None:
        with trio.move_on_after(0) as scope:
            await receive()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await settled()
            queue.send(1)
            nursery.start_soon(receive)
            queue.send(2)

    run(main)
    assert sorted(got) == [1, 2]


def test_a_server_that_is_cancelled_answers(arena: tr.Arena) -> None:
    service = arena.service("model")
    errors: list[Any] = []

    def ask() -> None:
        try:
            service.call(1, timeout=LONGEST)
        except tr.RemoteError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()

    async def main() -> None:
        with trio.CancelScope() as scope:

            async def answer(number: int) -> int:
                scope.cancel()
                await trio.sleep_forever()
                return number

            await service.serve_async(answer)

    run(main)
    thread.join()
    assert "Cancelled" in errors[0]


def test_a_close_ends_waits() -> None:
    arena = tr.Arena([(4096, 8)])
    queue = arena.queue("q")
    ends: list[type[BaseException]] = []

    async def receive() -> None:
        try:
            await queue.receive_async()
        except Exception as error:
            ends.append(type(error))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(receive)
            await settled()
            arena.close()

    run(main)
    assert len(ends) == 2


def test_boards_and_anyio(arena: tr.Arena) -> None:
    anyio = pytest.importorskip("anyio")
    board = arena.board("b")

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def put() -> None:
                board["key"] = 7

            group.start_soon(put)
            with anyio.fail_after(LONGEST):
                assert (await board.wait_async("key")).value == 7

    for backend in ("trio", "asyncio"):
        anyio.run(main, backend=backend)
