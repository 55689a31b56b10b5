# SPDX-License-Identifier: MIT
"""Every path of the extension once or a few times, for test_valgrind.py: short, since
each instruction costs fifty."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import tensoring as tr


class Producer:
    """Gives DLPack and no buffer."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def refused(error: Any, call: Callable[..., object], *args: Any, **options: Any) -> None:
    try:
        call(*args, **options)
    except error as caught:
        str(caught)
    else:
        raise AssertionError(f"{call} did not raise")


def objects(arena: tr.Arena) -> None:
    queue = arena.queue("objects")
    plain = [None, True, 2**70, 1.5, "ünï", b"bytes", [1, "a"], {"a": (1, [2.5])}]
    arrays = [
        np.zeros(0),
        np.float64(3).reshape(()),
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(12, dtype=">i4")[::-2],
        np.arange(12).reshape(3, 4).T[1:],
        np.array(["2026-01-01"], "M8[D]"),
        np.zeros(3, [("x", "f4"), ("y", "U3")]),
        np.ones((300, 300)),
    ]
    trees = [
        {"a": np.zeros(2), "b": np.ones(3)},
        [np.zeros(2), (np.ones(3), "x")],
        [np.zeros(4)] * 6,
    ]
    for obj in [*plain, *arrays, *trees]:
        queue.send(obj)
        got = queue.receive(0)
        if isinstance(obj, np.ndarray):
            assert (got == obj).all()
        del got
    refused(TypeError, queue.send, np.array([object()], object))
    refused(TypeError, queue.send, object())
    refused(ValueError, queue.send, np.zeros(1 << 20))
    refused(tr.Empty, queue.receive, 0)
    refused(tr.Empty, queue.receive_message, 0.001)
    queue.send(1)
    refused(tr.Error, queue.receive_as, "application/x-npy")
    assert queue.send_many([1, np.zeros(3)]) == 2
    assert (len(queue), bool(queue), repr(queue)) != (0, False, "")
    queue.shutdown()
    assert len(list(queue)) == 2
    refused(tr.ClosedError, queue.send, 1)
    queue.close()
    refused(ValueError, queue.send, 1)


def views(arena: tr.Arena) -> None:
    queue, other = arena.queue("views"), arena.queue("other")
    queue.send(np.arange(100.0))
    array = queue.receive(0)
    part, view, row = array[10:20], memoryview(array), array.reshape(10, 10)[3]
    del array
    gc.collect()
    assert part[0] + view[1] + row[0] == 41
    ring: list[Any] = [part, view, row]
    ring.append(ring)
    del part, view, row, ring
    queue.send(np.arange(6, dtype="f4").reshape(2, 3))
    message = queue.receive_message(0)
    raw = memoryview(message.view(0))
    assert raw.tolist() == [[0, 1, 2], [3, 4, 5]]
    refused(BufferError, message.release)
    refused(BufferError, other.send_message, message)
    refused(IndexError, message.array, 5)
    raw.release()
    told = (message.header(), message.content, message.deliveries, message.views)
    told += (message.pickle, message.is_request, message.remaining, repr(message))
    other.send_message(message)
    assert other.receive(0).sum() == 15
    refused(ValueError, message.array, 0)
    with queue.loan((3, 4), "i2") as x:
        x[...] = 7
        base = x.base
    with queue.loan({"a": (3, "f4"), "b": ((2, 2), "?")}, order="F") as named:
        named["a"][...] = 1
    with contextlib.suppress(ZeroDivisionError), queue.loan(5) as x:
        x[0] = 1 / 0
    assert queue.receive(0).sum() == 84
    assert sorted(queue.receive(0)) == ["a", "b"]
    refused(ValueError, memoryview, base)
    held = []
    with contextlib.suppress(tr.Full):
        while True:
            queue.send(np.zeros(3), 0)
            held.append(queue.receive(0))
    refused(tr.SendTimedOutError, queue.send, np.zeros(3), 0.001)


def dlpack(arena: tr.Arena) -> None:
    queue = arena.queue("dlpack")
    queue.send(np.arange(10.0))
    array = queue.receive(0)
    other = np.from_dlpack(array.base)
    unused = [array.base.__dlpack__(), array.base.__dlpack__(max_version=(1, 0))]
    refused(RuntimeError, array.base.__dlpack__, stream=1)
    unused += [array.base.__dlpack__(copy=True), np.from_dlpack(array.base, copy=True)]
    refused(BufferError, array.base.__dlpack__, dl_device=(2, 0))
    assert array.base.__dlpack_device__() == (1, 0)
    del array, unused
    assert other.sum() == 45
    del other
    source = np.arange(12.0).reshape(3, 4)
    for one in (source, source[::2, ::-1], source.T):
        message = arena._encode_parts((0, "", [(Producer(one), None, None)]))
        assert (message.array(0) == one).all()
        message.set(user=b"user", correlation_id=7)
        message.seal()
        message.verify()
    refused(TypeError, arena._encode_parts, (0, "", [(object(), None, None)]))
    refused(TypeError, arena._encode_parts, 5)
    refused(TypeError, arena._loan, [(None, "no", (1,))])
    refused(ValueError, queue.loan, 5, order="K")


def requests(arena: tr.Arena) -> None:
    service = arena.service("service")

    def double(x: Any) -> Any:
        if isinstance(x, str):
            raise ValueError(f"not {x}")
        return x * 2

    server = threading.Thread(target=service.serve, args=(double,))
    server.start()
    assert service.call(np.arange(4)).sum() == 12
    assert service.call({"a": 1, "b": [2]}.get("a")) == 2
    refused(tr.RemoteError, service.call, "now")
    service.shutdown()
    server.join()
    refused(tr.ClosedError, service.call, 1)
    unserved = arena.service("unserved")
    refused(TimeoutError, unserved.call, np.zeros(3), 0.001)
    refused(tr.Empty, unserved.serve_one, double, 0)


def boards(arena: tr.Arena) -> None:
    board = arena.board("board", 8)
    board["x"] = {"a": np.arange(3)}
    held = board["x"]["a"]
    board["x"] = np.arange(4)
    assert held.tolist() == [0, 1, 2]
    value, version = board.versioned("x")
    assert (value.sum(), version) == (6, 2)
    refused(tr.StaleError, board.put, "x", 1, expected=1)
    refused(KeyError, lambda: board["y"])
    refused(TimeoutError, board.wait, "x", 9, 0.001)
    assert (list(board), "x" in board, len(board)) == (["x"], True, 1)
    del board["x"]
    for i in range(7):
        board[f"k{i}"] = i
    refused(tr.Error, board.put, "one too many", 1)
    board.close()


def broadcasts(arena: tr.Arena) -> None:
    events = arena.broadcast("events", 3, keep=1)
    first, second = events.subscribe(), events.subscribe("block")
    events.publish(np.arange(5))
    a, b = first.receive(0), second.receive(0)
    assert a.tolist() == b.tolist()
    refused(ValueError, a.__setitem__, 0, 1)
    with contextlib.suppress(tr.Full):
        while True:
            events.publish(np.zeros(2), 0)
    second.close()
    for i in range(5):
        events.publish(i)
    refused(tr.LaggedError, first.receive, 0)
    events.shutdown()
    list(first)
    refused(ValueError, events.subscribe, "never")


def waiting(arena: tr.Arena) -> None:
    queue, other = arena.queue("waiting"), arena.queue("idle")
    with arena.wait_set() as waits:
        waits.add(queue)
        token = waits.add(other)
        assert waits.wait(0) == []
        queue.send(1)
        assert waits.wait(1)[0][0] is queue
        waits.remove(token)
        repr(waits)
    assert queue.receive() == 1
    sender = threading.Thread(target=queue.send, args=(np.ones(5),))
    sender.start()
    assert queue.receive().sum() == 5
    sender.join()


def looping(arena: tr.Arena) -> None:
    queue, board, service = arena.queue("lq"), arena.board("lb"), arena.service("served")
    subscriber = arena.broadcast("l").subscribe()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        serving = asyncio.create_task(service.serve_async(lambda x: x + 1))
        calls = [service.call_async(np.full(3, i)) for i in range(5)]
        assert [int(x[0]) for x in await asyncio.gather(*calls)] == [1, 2, 3, 4, 5]
        (end,) = await asyncio.gather(service.call_async("x"), return_exceptions=True)
        assert isinstance(end, tr.RemoteError)
        late = asyncio.create_task(service.call_async(1))
        for what in (queue, subscriber):
            task = asyncio.create_task(what.receive_async())
            await asyncio.sleep(0)
            task.cancel()
        late.cancel()
        loop.call_later(0.001, queue.send, 1)
        loop.call_later(0.002, board.put, "k", 2)
        loop.call_later(0.003, arena.broadcast("l").publish, 3)
        assert await queue.receive_async() == 1
        assert await board.wait_async("k") == (2, board.version("k"))
        assert await subscriber.receive_async() == 3
        with board.watch("k") as watch:
            board.close()
            assert (await anext(watch)).value == 2
        waiting = asyncio.create_task(queue.receive_message_async())
        await asyncio.sleep(0)
        queue.close()
        service.shutdown()
        await asyncio.gather(waiting, serving, return_exceptions=True)

    asyncio.run(main())
    board, keys = arena.board("lb"), ["k", "none"]
    assert board.get_many(keys)["k"].value == 2
    refused(TypeError, board.get_many, [1])
    refused(tr.Error, board.get_many, [""])
    board.close()


def arenas() -> None:
    refused(tr.Error, tr.Arena, [(1 << 50, 1 << 10)])
    refused(TypeError, tr.Arena._create, 1, 2)
    refused(FileNotFoundError, tr.Arena.attach, "no such arena")
    refused(ValueError, tr.Arena.attach_fd, 1000)
    arena = tr.Arena([(4096, 4)], lazy=True)
    with tr.Arena.attach_fd(arena.fd) as again:
        again.queue("q").send(np.arange(3))
    kept = arena.queue("q").receive()
    arena.info(), arena.stats(), arena.reap(), arena.trim(), repr(arena)
    arena.close()
    assert kept.sum() == 3
    refused(ValueError, arena.queue, "q")
    plan = tr.Plan(2)
    repr(plan), str(plan)
    refused(ValueError, tr.Plan, -1)


def main() -> None:
    for _ in range(int(sys.argv[1])):
        with tr.Arena([(4096, 16), (1 << 20, 4)], crc32c=True) as arena:
            for part in (
                objects,
                views,
                dlpack,
                requests,
                boards,
                broadcasts,
                waiting,
                looping,
            ):
                part(arena)
        arenas()
    gc.collect()
    print("done")


if __name__ == "__main__":
    main()
