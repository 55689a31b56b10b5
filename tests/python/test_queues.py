# SPDX-License-Identifier: MIT
"""Queue, SimpleQueue and JoinableQueue behave as multiprocessing's do."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import queue as standard
import socket
import sys
import threading
from collections.abc import Iterator
from multiprocessing import queues
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from tensoring import _core
from tensoring._serial.pickles import dump_any
from tensoring._standin import objects as _objects

SLOTS = [(4096, 16), (1 << 20, 4)]
METHODS = ["fork", "spawn", "forkserver"]


def double(inbox: Any, outbox: Any) -> None:
    while (item := inbox.get()) is not None:
        outbox.put(item * 2)


def work_and_tell(inbox: Any) -> None:
    while True:
        item = inbox.get()
        inbox.task_done()
        if item is None:
            return


def put_some(queue: Any, n: int) -> None:
    for i in range(n):
        queue.put(np.full(1000, i))


@pytest.fixture
def one() -> Iterator[tr.Queue]:
    queue = tr.Queue(slots=SLOTS)
    yield queue
    queue.close()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [tr.Queue, tr.SimpleQueue])
def test_between_processes(method: str, kind: Any) -> None:
    context = multiprocessing.get_context(method)
    inbox, outbox = kind(slots=SLOTS), kind(slots=SLOTS)
    child = context.Process(target=double, args=(inbox, outbox))
    child.start()
    for i in range(20):
        inbox.put(np.full(100, i))
    for i in range(20):
        assert (outbox.get() == 2 * i).all()
    inbox.put(None)
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_joinable(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    queue = tr.JoinableQueue(slots=SLOTS, ctx=context)
    child = context.Process(target=work_and_tell, args=(queue,))
    child.start()
    for i in range(10):
        queue.put(i)
    queue.join()
    assert queue.empty()
    queue.put(None)
    queue.join()
    child.join(60)
    assert child.exitcode == 0
    with pytest.raises(ValueError, match="too many"):
        queue.task_done()


def test_same_exceptions(one: tr.Queue) -> None:
    with pytest.raises(standard.Empty):
        one.get_nowait()
    with pytest.raises(standard.Empty):
        one.get(timeout=0.01)
    with pytest.raises(standard.Empty):
        one.get(False)
    small = tr.Queue(2, slots=SLOTS)
    small.put(1)
    small.put(2)
    assert small.full()
    assert small.qsize() == 2
    with pytest.raises(standard.Full):
        small.put_nowait(3)
    with pytest.raises(standard.Full):
        small.put(3, timeout=0.01)
    assert small.get_many(9) == [1, 2]
    assert small.empty()
    small.close()
    with pytest.raises(ValueError, match="closed"):
        small.put(1)
    with pytest.raises(ValueError, match="closed"):
        small.get()
    small.join_thread()
    assert "closed" in repr(small)


def test_join_thread_needs_close(one: tr.Queue) -> None:
    with pytest.raises(AssertionError, match="not closed"):
        one.join_thread()


def test_put_never_waits_and_keeps_order(one: tr.Queue) -> None:
    one.put_many(np.full(3, i) for i in range(500))
    assert one.qsize() > 16
    assert [int(one.get(timeout=30)[0]) for _ in range(500)] == list(range(500))


def test_any_object(one: tr.Queue) -> None:
    one.put({"x": np.arange(3), "f": len, "e": ValueError("no")})
    got = one.get()
    assert got["x"].tolist() == [0, 1, 2]
    assert got["f"] is len
    assert str(got["e"]) == "no"


def test_what_was_put_arrives_after_the_process_ended(one: tr.Queue) -> None:
    child = multiprocessing.get_context("fork").Process(target=put_some, args=(one, 60))
    child.start()
    assert [int(one.get(timeout=30)[0]) for _ in range(60)] == list(range(60))
    child.join(30)
    assert child.exitcode == 0


def test_pending_stays_the_parents(one: tr.Queue) -> None:
    one.put_many(range(100))
    pid = os.fork()
    if pid == 0:
        os._exit(one._feeder.thread is not None or len(one._feeder.pending))
    assert os.waitpid(pid, 0)[1] == 0
    assert [one.get(timeout=30) for _ in range(100)] == list(range(100))


def get_when_told(told: Any, queue: Any, outbox: Any, n: int) -> None:
    told.wait(60)
    outbox.put([queue.get() for _ in range(n)])


@pytest.mark.parametrize("waiting", [0, 100])
def test_a_closed_queue_does_not_disturb_a_fork(
    one: tr.Queue, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`waiting`: objects that its thread still sends when the process forks."""
    context = multiprocessing.get_context("fork")
    closed, told = tr.Queue(slots=SLOTS), context.Event()
    reader = context.Process(target=get_when_told, args=(told, closed, one, waiting))
    reader.start()
    closed.put_many(range(waiting))
    closed.close()
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    pid = os.fork()
    if pid == 0:
        sends = closed._feeder.thread is not None or not closed._queue.closed
        os._exit(bool(raised) or sends or one._feeder.closed)
    assert os.waitpid(pid, 0)[1] == 0
    told.set()
    assert one.get(timeout=60) == list(range(waiting))
    reader.join(60)
    closed.join_thread()


def test_what_waits_is_as_it_was_when_it_was_put(one: tr.Queue) -> None:
    items = [[i, {"odd": {i}}] if i % 2 else [i] for i in range(100)]
    for item in items:
        one.put(item)
        item.append("later")
    assert all("later" not in one.get(timeout=30) for _ in items)


def test_what_cannot_be_carried_is_the_callers_error_also_behind_others(
    one: tr.Queue,
) -> None:
    one.put_many(range(100))
    with pytest.raises(TypeError):
        one.put(x for x in ())
    one.put("last")
    assert [one.get(timeout=30) for _ in range(101)] == [*range(100), "last"]


def test_threads_that_put_behind_others_keep_their_order(one: tr.Queue) -> None:
    def put(who: int) -> None:
        for i in range(300):
            one.put((who, i))

    threads = [threading.Thread(target=put, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    got = [one.get(timeout=30) for _ in range(900)]
    for thread in threads:
        thread.join()
    for who in range(3):
        assert [i for one_of, i in got if one_of == who] == list(range(300))


def leave_behind(queue: Any, join: bool) -> None:
    queue.cancel_join_thread()
    for i in range(100):
        queue.put(i)
    if join:
        queue.close()
        queue.join_thread()


@pytest.mark.parametrize("join", [False, True])
def test_cancel_before_the_first_put(one: tr.Queue, join: bool) -> None:
    context = multiprocessing.get_context("fork")
    child = context.Process(target=leave_behind, args=(one, join))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("kind", [tr.Queue, tr.JoinableQueue])
def test_after_close(kind: Any) -> None:
    unused, used = kind(slots=SLOTS), kind(slots=SLOTS)
    unused.close()
    unused.join_thread()
    assert unused.empty()
    used.put("x")
    used.close()
    used.join_thread()
    used.close()
    with pytest.raises(OSError, match="is closed"):
        used.empty()
    assert used.qsize() == 1
    assert not used.full()
    for call in (lambda: used.put(1), used.get, lambda: used.put_nowait(1)):
        with pytest.raises(ValueError, match="is closed"):
            call()
    if kind is tr.JoinableQueue:
        used.task_done()
        with pytest.raises(ValueError, match="too many"):
            used.task_done()


def test_simple_after_close() -> None:
    queue = tr.SimpleQueue(slots=SLOTS)
    queue.close()
    queue.close()
    for call in (lambda: queue.put(1), queue.get, queue.empty):
        with pytest.raises(OSError, match="is closed"):
            call()


def test_a_closed_bounded_queue_was_full_or_not() -> None:
    queue = tr.Queue(2, slots=SLOTS)
    queue.put(1)
    queue.put(2)
    queue.close()
    assert queue.full()
    assert queue.qsize() == 2


def get_many(queue: Any, outbox: Any, n: int) -> None:
    outbox.put(sum(queue.get() for _ in range(n)))


@pytest.mark.parametrize("method", METHODS)
def test_more_than_a_ring_holds(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    queue, outbox = tr.Queue(100_000, ctx=context), tr.SimpleQueue(ctx=context)
    for i in range(70_000):
        queue.put_nowait(i)
    assert queue.qsize() == 70_000
    assert not queue.full()
    child = context.Process(target=get_many, args=(queue, outbox, 70_000))
    child.start()
    assert outbox.get() == sum(range(70_000))
    child.join(60)
    assert child.exitcode == 0
    assert queue.empty()
    queue.close()


def test_more_than_a_ring_holds_has_an_end() -> None:
    most = _core.MAX_CAPACITY + 2
    queue = tr.Queue(most)
    queue.put_many(range(most))
    assert queue.full()
    with pytest.raises(standard.Full):
        queue.put_nowait(0)
    with pytest.raises(standard.Full):
        queue.put(0, timeout=0.01)
    assert queue.get() == 0
    assert not queue.full()
    with pytest.raises(TypeError):
        queue.put(x for x in ())
    queue.put_nowait(0)
    assert queue.full()
    assert [queue.get(timeout=30) for _ in range(most)] == [*range(1, most), 0]
    queue.close()
    queue.join_thread()


def test_names_of_the_original() -> None:
    ours = {
        tr.Queue: "Queue",
        tr.JoinableQueue: "JoinableQueue",
        tr.SimpleQueue: "SimpleQueue",
    }
    for kind, name in ours.items():
        theirs = getattr(queues, name)
        for method in vars(theirs):
            if not method.startswith("_"):
                want = list(
                    inspect.signature(getattr(theirs, method)).parameters.values()
                )
                have = list(inspect.signature(getattr(kind, method)).parameters.values())
                assert [(one.name, one.default) for one in have] == [
                    (one.name, one.default) for one in want
                ]
        assert kind[int].__args__ == (int,)
        kind(ctx=multiprocessing).close()


def test_sockets_and_connections(one: tr.Queue) -> None:
    """They travel by the ways that multiprocessing has for them."""
    ours, theirs = socket.socketpair()
    receiver, sender = multiprocessing.Pipe(False)
    with ours, theirs, receiver, sender:
        one.put([theirs, sender])
        end, connection = one.get(timeout=30)
        with end, connection:
            end.send(b"hello")
            assert ours.recv(5) == b"hello"
            connection.send("there")
            assert receiver.recv() == "there"


def test_torch_tensors_leave_their_bytes_outside(one: tr.Queue) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(2, 3, 4).repeat(20, 1, 1)
    sent = {
        "plain": base,
        "strided": base[::2, :, 1:],
        "channels last": base.permute(2, 0, 1),
        "bfloat16": base.to(torch.bfloat16),
        "complex": base.to(torch.complex64).conj(),
        "gradient": base.clone().requires_grad_(),
        "none": torch.zeros(0, 3, dtype=torch.int16),
        "scalar": torch.tensor(True),
        "parameter": torch.nn.Parameter(base),
        "sparse": base[:, 0].to_sparse(),
    }
    stream, *buffers = dump_any([sent["plain"], sent["strided"], sent["bfloat16"]])
    assert len(buffers) == 3
    assert len(stream) < base.nbytes // 2
    one.put(sent)
    got = one.get(timeout=30)
    for name, tensor in sent.items():
        assert type(got[name]) is type(tensor), name
        assert got[name].dtype == tensor.dtype, name
        assert got[name].requires_grad == tensor.requires_grad, name
        assert torch.equal(got[name].to_dense(), tensor.to_dense()), name
    assert got["channels last"].stride() == sent["channels last"].stride()


def test_many_at_a_time_in_order_and_not_beyond_the_limit() -> None:
    queue = tr.Queue()
    queue.put_many([i, str(i), {i}] for i in range(600))  # one by a pickle
    assert queue.get_many(0) == []
    found = [queue.get_many(257), queue.get_many(1), queue.get_many(1000)]
    assert [len(part) for part in found] == [257, 1, 342]
    objects = [one for part in found for one in part]
    assert objects == [[i, str(i), {i}] for i in range(600)]
    with pytest.raises(standard.Empty):
        queue.get_many(5, False)
    queue.close()


def test_put_rests_hardly_ever_where_nobody_receives() -> None:
    queue = tr.Queue()
    queue.cancel_join_thread()
    while queue._queue._put(0, dump_any):
        pass
    rests = [queue._queue._rest() for _ in range(1000)]
    # Each that was in vain is followed by twice as many calls without one.
    assert 0 < sum(rests) <= 10
    assert not any(rests[-400:])
    queue.close()


def test_put_leaves_some_slots_free() -> None:
    queue = tr.Queue()
    queue.cancel_join_thread()
    for i in range(5000):
        queue.put(i)
    small = queue._queue.arena._sizes()[0]
    assert small["free"] > 0
    assert [queue.get() for _ in range(5000)] == list(range(5000))
    queue.close()


def test_a_close_ends_a_put_that_waits() -> None:
    with tr.Arena([(4096, 8)], allow_pickle=True) as arena:
        queue = arena.queue("full", 1)
        _objects.send(queue, 1, 0)
        ended: list[BaseException] = []

        def put() -> None:
            try:
                _objects.send(queue, 2)
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        while not arena.stats()["channels"][0]["sleeping_senders"]:
            os.sched_yield()
        queue.close()
        thread.join(30)
        assert [type(error) for error in ended] == [tr.ClosedError]


def put_and_leave(one: Any) -> None:
    put_some(one, 30)


def test_a_queue_that_was_closed_leaves_the_others_to_a_child(
    one: tr.Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    closed = [tr.Queue(slots=SLOTS) for _ in range(3)]
    put_some(one, 20)  # a thread, which the child has not
    for queue in closed:
        queue.close()
    child = multiprocessing.get_context("fork").Process(target=put_and_leave, args=(one,))
    child.start()
    assert sorted(int(one.get(timeout=30)[0]) for _ in range(50)) == sorted(
        [*range(20), *range(30)]
    )
    child.join(30)
    assert child.exitcode == 0
    assert capfd.readouterr().err == ""


def put_three(queue: Any, waits: Any) -> None:
    queue.put("x")
    queue.put("x")
    waits.set()
    queue.put("no room")


def test_what_a_killed_process_waited_to_put_is_not_joined() -> None:
    context = multiprocessing.get_context("fork")
    queue, waits = tr.JoinableQueue(2, slots=SLOTS, ctx=context), context.Event()
    child = context.Process(target=put_three, args=(queue, waits))
    child.start()
    assert waits.wait(30)
    child.join(0.2)  # it does not end; it waits in put(), or else is not there yet
    child.kill()
    child.join(30)
    for _ in range(2):
        assert queue.get(timeout=30) == "x"
        queue.task_done()
    with pytest.raises(ValueError, match="too many"):
        queue.task_done()
    queue.join()
    queue.close()


class Fragile:
    """Cannot be unpickled."""

    def __reduce__(self) -> Any:
        return {}.__getitem__, ("not there",)


@pytest.mark.parametrize("make", [lambda: tr.Queue(1 << 17), lambda: tr.JoinableQueue(3)])
def test_what_cannot_be_unpickled_leaves_its_place(make: Any) -> None:
    queue = make()
    places = queue._room._semlock._get_value()
    for block in (True, False):
        queue.put(Fragile())
        with pytest.raises(KeyError):
            queue.get(block)
    assert queue._room._semlock._get_value() == places
    queue.close()


@pytest.mark.parametrize("size", [0, 5, 1 << 17])
def test_what_came_before_an_error_is_not_lost(size: int) -> None:
    queue = tr.Queue(size)
    queue.put_many([1, 2, Fragile(), 4])
    with pytest.raises(KeyError) as caught:
        queue.get_many(9)
    assert caught.value.taken == [1, 2]  # type: ignore[attr-defined]
    assert queue.get_many(9) == [4]
    queue.close()


def put_until_refused(queue: Any, sent: list[int]) -> None:
    while True:
        queue.put(len(sent))
        sent.append(len(sent))


def test_a_thread_that_cannot_be_started_is_started_later(
    one: tr.Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    sent: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="start new thread"):
                put_until_refused(one, sent)
    for i in range(len(sent), 100):
        one.put(i)
    assert [one.get(timeout=30) for _ in range(100)] == list(range(100))


def test_arrays_that_are_read_only_arrive_as_multiprocessing_gives_them(
    one: tr.Queue,
) -> None:
    for size in (2, 1000):
        array = np.arange(float(size))
        array.flags.writeable = False
        one.put((array, {"pickled"}, array[::2]))
        first, _, second = one.get(timeout=30)
        assert first.flags.writeable
        assert second.flags.writeable
        assert np.array_equal(first, array)
        assert np.array_equal(second, array[::2])
