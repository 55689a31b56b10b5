# SPDX-License-Identifier: MIT
"""Queue, SimpleQueue and JoinableQueue behave as multiprocessing's do."""

from __future__ import annotations

import multiprocessing
import os
import queue as standard
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME
from tensoring._pickle import dump_any

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
    with pytest.raises(ValueError, match="not closed"):
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


def attach(arena: tr.Arena, queue: tr.ArenaQueue, again: tr.Arena) -> None:
    assert again is arena
    queue.send(arena.queue(queue.name).receive(30) + 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("named", [True, False])
def test_arenas_and_their_queues_travel(method: str, named: bool) -> None:
    arena = tr.Arena(SLOTS, name=f"{NAME}{method}" if named else None)
    queue = arena.queue("q")
    queue.send(np.zeros(3))
    context = multiprocessing.get_context(method)
    child = context.Process(target=attach, args=(arena, queue, arena))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.receive(0).tolist() == [1, 1, 1]
    if named:
        with tr.Arena.attach(f"{NAME}{method}") as other:
            assert len(other.queue("q")) == 0
        with pytest.raises(tr.Exists):
            tr.Arena.create(f"{NAME}{method}", SLOTS)
        tr.Arena.unlink(f"{NAME}{method}")
    arena.close()


def test_absent_arena() -> None:
    with pytest.raises(FileNotFoundError):
        tr.Arena.attach(f"{NAME}-absent")


def test_sockets_and_connections(one: tr.Queue) -> None:
    """By the ways that multiprocessing has for them."""
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
