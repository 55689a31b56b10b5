# SPDX-License-Identifier: MIT
"""Broadcasts, boards and wait sets."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME, free


def test_everybody_gets_it_read_only(arena: tr.Arena) -> None:
    events = arena.broadcast("events")
    first, second = events.subscribe(), events.subscribe("block")
    events.publish(np.arange(5))
    a, b = first.receive(0), second.receive(0)
    assert a.ctypes.data == b.ctypes.data
    assert a.tolist() == b.tolist() == [0, 1, 2, 3, 4]
    assert not a.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        a.flags.writeable = True
    assert not np.from_dlpack(a.base).flags.writeable
    assert events.subscribers == 2
    with pytest.raises(tr.Empty):
        first.receive(0)


def test_late_subscriber_and_iteration(arena: tr.Arena) -> None:
    events = arena.broadcast("events", 15, keep=3)
    for i in range(5):
        events.publish(i)
    late = events.subscribe(last=2)
    events.publish(5)
    events.shutdown()
    assert list(late) == [3, 4, 5]
    with pytest.raises(tr.ClosedError):
        events.publish(6)


def test_lagging_is_told(arena: tr.Arena) -> None:
    events = arena.broadcast("events", 3)
    slow = events.subscribe()
    for i in range(10):
        events.publish(i)
    with pytest.raises(tr.LaggedError):
        slow.receive(0)
    assert slow.missed >= 6
    last = slow.receive(0)
    while last != 9:
        last = slow.receive(0)
    blocking = events.subscribe("block")

    def publish_all() -> None:
        for i in range(10):
            events.publish(i, 0)

    with pytest.raises(tr.Full):
        publish_all()
    assert blocking.receive(0) == 0
    with pytest.raises(ValueError, match="lag is one of"):
        events.subscribe("never")


def test_broadcast_without_a_copy(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    events = arena.broadcast("events")
    subscriber = events.subscribe()
    queue.send(np.arange(3))
    events.publish_message(queue.receive_message(0))
    assert subscriber.receive(0).tolist() == [0, 1, 2]


def test_board(arena: tr.Arena) -> None:
    board = arena.board("features", 16)
    board["users"] = {"x": np.arange(3)}
    held = board["users"]["x"]
    board["users"] = {"x": np.arange(4)}
    assert held.tolist() == [0, 1, 2]
    assert board["users"]["x"].tolist() == [0, 1, 2, 3]
    value, version = board.versioned("users")
    assert version == 2 == board.version("users")
    assert board.put("users", 1, expected=2) == 3
    with pytest.raises(tr.StaleError):
        board.put("users", 1, expected=2)
    assert sorted(board) == ["users"]
    assert "users" in board
    assert len(board) == 1
    del board["users"], value
    with pytest.raises(KeyError):
        board["users"]
    with pytest.raises(KeyError):
        del board["other"]
    assert "users" not in board
    assert board.get("users", "none") == "none"


def test_board_get_many(arena: tr.Arena) -> None:
    board = arena.board("features", 128)
    board["a"] = {"x": np.arange(3)}
    board.put("b", 1)
    board.put("b", 2)
    found = board.get_many(["b", "none", "a", "b"])
    assert list(found) == ["b", "a"]
    assert found["b"] == (2, 2)
    assert found["a"].value["x"].tolist() == [0, 1, 2]
    assert board.get_many([]) == {}
    names = [f"key {i}" for i in range(100)]
    for i, name in enumerate(names[:20]):
        board[name] = i
    many = board.get_many(name for name in names)
    assert [one.value for one in many.values()] == list(range(20))
    with pytest.raises(tr.InvalidError):
        board.get_many(["a", ""])
    with pytest.raises(TypeError):
        board.get_many([1])  # type: ignore[list-item]
    with pytest.raises(tr.Error, match="all 128 keys"):
        board.get_many([f"too many {i}" for i in range(128)])


def test_board_get_many_is_one_instant(arena: tr.Arena) -> None:
    board, stop = arena.board("b"), threading.Event()
    board["first"] = board["second"] = 0

    def put() -> None:
        for i in range(1, 1 << 30):
            if stop.is_set():
                return
            board["first"] = i
            board["second"] = i

    thread = threading.Thread(target=put)
    thread.start()
    for _ in range(500):
        found = board.get_many(["second", "first"])
        assert 0 <= found["first"].value - found["second"].value <= 1
    stop.set()
    thread.join(30)


def test_watch(arena: tr.Arena) -> None:
    board = arena.board("b")
    with board.watch("k") as watch, arena.wait_set() as waiting:
        waiting.add(watch)
        assert waiting.wait(0) == []
        with pytest.raises(tr.ReceiveTimedOutError):
            watch.receive(0.01)
        board["k"] = 1
        board["k"] = 2
        assert waiting.wait(30) == [(watch, tr.READABLE)]
        assert watch.receive(0) == (2, 2)
        board["k"] = 3
        assert next(iter(watch)) == (3, 3)
        board.close()  # the watch still needs it
        with pytest.raises(tr.Empty):
            watch.receive(0)
    assert watch.closed


def test_closed_while_in_a_set(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    events = arena.broadcast("e")
    subscriber = events.subscribe()
    with arena.wait_set() as waiting:
        token = waiting.add(queue)
        waiting.add(subscriber)
        queue.close()
        events.close()
        assert waiting.wait(0) == []
        waiting.remove(token)
        assert waiting.wait(0) == []
        with pytest.raises(TypeError, match="wait set waits"):
            waiting.add(arena.board("b"))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="closed"):
            waiting.add(events)
        assert waiting.wait(0) == []


def test_board_wait(arena: tr.Arena) -> None:
    board = arena.board("features")
    with pytest.raises(tr.TimedOutError):
        board.wait("users", timeout=0.01)
    pid = os.fork()
    if pid == 0:
        board["users"] = np.arange(3)
        os._exit(0)
    value, version = board.wait("users", 0, 30)
    assert os.waitpid(pid, 0)[1] == 0
    assert value.tolist() == [0, 1, 2]
    assert version == 1


def test_shared_views_free_their_slot(arena: tr.Arena) -> None:
    board = arena.board("b")
    all_free = free(arena)
    board["k"] = np.arange(3)
    held = board["k"]
    del board["k"]
    assert held.sum() == 3
    del held
    for _ in range(100):  # retired slots are found when they are needed
        board["k"] = np.arange(3)
    del board["k"]
    arena.reap()
    assert free(arena) >= all_free - 40


def test_wait_set(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    other = arena.queue("other")
    read_end, write_end = os.pipe()
    with arena.wait_set() as waiting:
        waiting.add(queue)
        token = waiting.add(other)
        waiting.add(read_end)
        assert waiting.wait(0) == []
        other.send(1)
        assert waiting.wait(30) == [(other, tr.READABLE)]
        waiting.remove(token)
        os.write(write_end, b"x")
        assert waiting.wait(30) == [(read_end, tr.READABLE)]
        os.read(read_end, 1)
        thread = threading.Thread(target=queue.send, args=(2,))
        thread.start()
        assert waiting.wait(30) == [(queue, tr.READABLE)]
        thread.join()
        assert "3" in repr(waiting) or "2" in repr(waiting)
    os.close(read_end)
    os.close(write_end)


def test_closed_with_their_arena() -> None:
    arena = tr.Arena([(4096, 8)])
    events, board, waiting = arena.broadcast("e"), arena.board("b"), arena.wait_set()
    subscriber = events.subscribe()
    arena.close()
    for one in (events, board, waiting, subscriber):
        assert one.closed
        assert "closed" in repr(one)
    with pytest.raises(ValueError, match="closed"):
        events.publish(1)
    with pytest.raises(ValueError, match="closed"):
        board["x"] = 1
    with pytest.raises(ValueError, match="closed"):
        subscriber.receive(0)


HANDLES = {
    "queue": lambda arena: arena.queue("q"),
    "broadcast": lambda arena: arena.broadcast("c"),
    "board": lambda arena: arena.board("b"),
    "subscription": lambda arena: arena.broadcast("c").subscribe(),
    "watch": lambda arena: arena.board("b").watch("k"),
    "wait set": lambda arena: arena.wait_set(),
}


@pytest.mark.parametrize("kind", HANDLES)
def test_what_all_handles_have(arena: tr.Arena, kind: str) -> None:
    name = kind.title().replace(" ", "")
    with HANDLES[kind](arena) as one:
        assert one.arena is arena
        assert not one.closed
        assert name in repr(one)
        assert "closed" not in repr(one)
    assert one.closed
    assert f"{name}, closed>" in repr(one)
    one.close()


@pytest.mark.parametrize("kind", ["queue", "broadcast", "board"])
def test_named_handles_are_pickled_by_name(arena: tr.Arena, kind: str) -> None:
    one = HANDLES[kind](arena)
    make, given = one.__reduce__()
    again = make(*given)
    assert type(again) is type(one)
    assert (again.arena, again.name, again.capacity) == (arena, one.name, one.capacity)
    assert not again.closed


def test_a_pickled_queue_keeps_its_options(arena: tr.Arena) -> None:
    one = arena.queue(
        "q", 8, policy="drop", max_deliveries=2, stamp=True, histograms=True
    )
    make, given = one.__reduce__()
    assert make(*given).__reduce__() == (make, given)


def test_a_put_waits_no_longer_than_it_may() -> None:
    with tr.Arena([(4096, 2)]) as arena:
        board, queue = arena.board("b"), arena.queue("q")
        board["k"] = np.zeros(4)
        queue.send(np.zeros(4))  # the last slot
        for timeout in (0, 0.01):
            with pytest.raises(tr.Full):
                board.put("k", np.ones(4), timeout=timeout)
        assert board["k"].tolist() == [0, 0, 0, 0]


def test_a_reply_waits_no_longer_than_its_request() -> None:
    """The requester has given up by then; a server must not wait for a slot forever."""
    with tr.Arena([(4096, 2)]) as arena:
        service = arena.service("s")
        caller = threading.Thread(target=lambda: _give_up(service))
        caller.start()
        request = service.queue.receive_message(30)
        kept = arena._encode(np.zeros(4))  # the last slot
        caller.join()
        with pytest.raises(tr.Full):
            request.reply(np.ones(4))
        kept.release()
        request.release()


def _give_up(service: tr.Service) -> None:
    with pytest.raises(tr.TimedOutError):
        service.call(np.zeros(4), timeout=2)


def test_a_look_joins_nothing() -> None:
    name = f"{NAME}-look"
    with tr.Arena.create(name, [(4096, 4)], max_participants=1) as arena:
        try:
            queue = arena.queue("jobs", 2)
            queue.send(np.ones(3))
            joins = arena.stats()["totals"]["joins"]
            for found in (tr.Arena.look(name), tr.Arena.look(arena.fd)):
                assert found["totals"]["slots_queued"] == 1
                assert [one["pid"] for one in found["participants"]] == [os.getpid()]
                jobs = found["channels"][0]
                assert (jobs["name"], jobs["depth"], jobs["receivers"]) == ("jobs", 1, 0)
            queue.receive()
            assert tr.Arena.look(name)["channels"][0]["receivers"] == 1
            assert arena.stats()["totals"]["joins"] == joins
            with pytest.raises(tr.ExistsError, match=r"or Arena\.unlink\(\) it"):
                tr.Arena.create(name, [(4096, 4)])
        finally:
            tr.Arena.unlink(name)
    with pytest.raises(tr.NotFoundError):
        tr.Arena.look(name)


@pytest.mark.parametrize("value", [0, -1, 1 << 32])
def test_an_expansion_out_of_range_is_refused(arena: tr.Arena, value: int) -> None:
    with pytest.raises(ValueError, match=f"max_expansion is {value}; .* from 1 to"):
        tr.Arena(max_expansion=value)
    with pytest.raises(ValueError, match=f"max_expansion is {value}"):
        tr.Arena.attach_fd(arena.fd, max_expansion=value)


def test_a_full_queue_tells_which_process_has_its_messages(arena: tr.Arena) -> None:
    queue = arena.queue("few", 1)
    queue.send(np.ones(3))
    held = queue.receive()
    queue.send(np.ones(3))
    with pytest.raises(
        tr.SendTimedOutError,
        match=rf"is full.*pid {os.getpid()}, running\) has 1 in hand",
    ):
        queue.send(np.ones(3), timeout=0.001)
    del held
    queue.receive()
