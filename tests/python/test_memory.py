# SPDX-License-Identifier: MIT
"""memory_bytes= of the stand-ins: a limit that holds, is named, and loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from supervision import ended, forked
from tensoring._standin import feeder, stuck
from test_soak import cage

MIB = 1 << 20
QUEUES = [tr.Queue, tr.SimpleQueue, tr.JoinableQueue]
METHODS = ["fork", "spawn", "forkserver"]
KEPT: list[Any] = []


def megabytes(n: float) -> Any:
    """An object of n MiB, less a page."""
    return np.ones(int(n * MIB) - 4096, "u1")


def remember(array: Any) -> int:
    KEPT.append(array)
    return len(KEPT)


def total(array: Any) -> int:
    return int(array.sum())


def taken(queue: Any) -> int:
    return int(queue._queue.arena.info()["slots_bytes"])


def end(*queues: Any) -> None:
    for queue in queues:
        queue.close()
        if hasattr(queue, "join_thread"):
            queue.join_thread()


@pytest.mark.parametrize("kind", QUEUES)
def test_limit_holds_and_what_waits_arrives(kind: Any) -> None:
    queue = kind(memory_bytes=4 * MIB)
    for i in range(12):
        queue.put((i, megabytes(1)))
        assert taken(queue) <= 4 * MIB
    for i in range(12):
        number, array = queue.get()
        assert number == i
        assert array.nbytes == MIB - 4096
    end(queue)


def test_bounded_put_waits_for_memory() -> None:
    queue = tr.Queue(100, memory_bytes=4 * MIB)
    for _ in range(3):
        queue.put(megabytes(1))
    with pytest.raises(tr.SendTimedOutError) as caught:
        queue.put(megabytes(2), timeout=0.01)
    assert "memory" in str(caught.value)
    assert str(4 * MIB) in str(caught.value)
    with pytest.raises(tr.Full, match="memory"):
        queue.put_nowait(megabytes(2))
    assert [queue.get().nbytes for _ in range(3)] == [MIB - 4096] * 3
    queue.put(megabytes(2))
    assert queue.get().nbytes == 2 * MIB - 4096
    end(queue)


@pytest.mark.parametrize(
    "make",
    [
        megabytes,
        lambda n: bytes(int(n * MIB)),
        lambda n: [1, megabytes(n)],
        lambda n: {megabytes(n).tobytes()},
    ],
    ids=["array", "bytes", "tree", "pickle"],
)
@pytest.mark.parametrize("kind", QUEUES)
def test_larger_than_the_limit_fails_at_put(kind: Any, make: Any) -> None:
    queue = kind(memory_bytes=4 * MIB)

    def refused() -> None:
        with pytest.raises(tr.TooLargeError) as caught:
            queue.put(make(5))
        text = str(caught.value)
        assert "the message needs 52" in text
        assert f"limit is {4 * MIB} (memory_bytes)" in text

    refused()
    for i in range(6):
        queue.put([i, megabytes(1)])
    assert queue._feeder.pending
    refused()
    queue.put(make(0.5))
    assert [queue.get()[0] for _ in range(6)] == list(range(6))
    assert queue.get() is not None
    if kind is tr.JoinableQueue:
        for _ in range(7):
            queue.task_done()
        queue.join()
    end(queue)


@pytest.mark.parametrize("make", [lambda n: bytes(n), lambda n: {bytes(n)}])
def test_larger_than_the_slots_fails_at_put_behind_others(make: Any) -> None:
    queue = tr.Queue(slots=[(8192, 2)])
    for _ in range(5):
        queue.put(bytes(5000))
    assert queue._feeder.pending
    with pytest.raises(tr.TooLargeError, match="largest slots have 8192"):
        queue.put(make(20_000))
    for _ in range(5):
        assert queue.get() == bytes(5000)
    end(queue)


def test_keeper_gets_copies_before_the_memory_is_used_up() -> None:
    queue = tr.Queue(100, memory_bytes=8 * MIB)
    kept = []
    for i in range(20):
        queue.put(np.full(MIB - 4096, i, "u1"), timeout=60)
        kept.append(queue.get(timeout=60))
        info = queue._queue.arena.info()
        assert info["received_bytes"] <= 4 * MIB
    assert [int(array[0]) for array in kept] == list(range(20))
    assert isinstance(kept[0].base, tr.View)
    queue.put(megabytes(4), timeout=60)
    end(queue)


def test_what_is_not_kept_is_not_copied() -> None:
    queue = tr.Queue(100, memory_bytes=8 * MIB)
    for i in range(20):
        queue.put(np.full(MIB, i, "u1"), timeout=60)
        array = queue.get(timeout=60)
        assert isinstance(array.base, tr.View)
        del array
    end(queue)


@pytest.mark.parametrize("method", METHODS)
def test_pool_whose_workers_keep_within_the_limit(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with tr.Pool(2, context=context, memory_bytes=16 * MIB, copy=False) as pool:
        jobs = [pool.apply_async(remember, (megabytes(1),)) for _ in range(30)]
        assert all(job.get(60) for job in jobs)
        kept = pool.map(megabytes, [1] * 30, 1)
        assert len(kept) == 30
        for arena in pool._master.arenas:
            assert arena.info()["memory_bytes"] == 8 * MIB
            assert arena.info()["slots_bytes"] <= 8 * MIB
        del kept


def test_pool_names_its_limit() -> None:
    with tr.Pool(1, memory_bytes=4 * MIB) as pool:
        for call in (
            lambda: pool.apply(total, (megabytes(3),)),
            lambda: pool.apply(megabytes, (3,)),
        ):
            with pytest.raises(tr.TooLargeError, match=f"half of memory_bytes={4 * MIB}"):
                call()
        behind = [pool.apply_async(total, (megabytes(1),)) for _ in range(6)]
        with pytest.raises(tr.TooLargeError, match=f"half of memory_bytes={4 * MIB}"):
            pool.apply(total, (megabytes(3),))
        assert [one.get(60) for one in behind] == [MIB - 4096] * 6


@pytest.mark.parametrize("copy", [True, False])
def test_pieces_that_are_too_large_for_a_message_go_in_parts(copy: bool) -> None:
    with tr.Pool(2, memory_bytes=4 * MIB, copy=copy) as pool:
        assert pool.map(total, [megabytes(1)] * 11, 5) == [MIB - 4096] * 11
        made = pool.map(megabytes, [1, 0.5] * 5 + [0.1], 11)
        assert [len(one) for one in made] == [
            len(megabytes(n)) for n in [1, 0.5] * 5 + [0.1]
        ]
        del made
        found = pool.imap(total, iter([megabytes(0.7)] * 9), 4)
        assert list(found) == [int(megabytes(0.7).sum())] * 9
        assert pool.starmap(pow, [(2, i) for i in range(9)], 9)[8] == 256
        # One of a piece that fits in no message.
        for call, items in ((total, [megabytes(1), megabytes(3)]), (megabytes, [1, 3])):
            with pytest.raises(tr.TooLargeError, match=f"half of memory_bytes={4 * MIB}"):
                pool.map(call, items, 2)
        pool.close()
        pool.join()  # the other half of a piece may still be on its way
        assert not pool._master._parts
        assert not pool._master.waiting


def test_the_main_thread_also_sends_what_waits_for_room() -> None:
    """It receives all the time, and the other thread has no turn to."""
    for _ in range(3):
        with tr.Pool(2, memory_bytes=4 * MIB) as pool:
            found = pool.imap(total, iter([megabytes(0.7)] * 9), 4)
            values = [found.next(timeout=10) for _ in range(9)]
        assert values == [int(megabytes(0.7).sum())] * 9


def test_executor_names_its_limit() -> None:
    with tr.Executor(1, memory_bytes=4 * MIB) as executor:
        for future in (
            executor.submit(total, megabytes(3)),
            executor.submit(megabytes, 3),
        ):
            with pytest.raises(tr.TooLargeError, match=f"half of memory_bytes={4 * MIB}"):
                future.result(60)
        assert executor.submit(total, megabytes(1)).result(60) == MIB - 4096


IN_CGROUP = """
import sys, numpy as np, tensoring as tr
def total(array):
    return int(array.sum())
size = 20 << 20
for queue in (tr.Queue(), tr.Queue(100)):
    sent = 0
    try:
        while sent < 20:
            queue.put(np.ones(size, "u1"), timeout=60)
            sent += 1
    except tr.OutOfMemoryError as error:
        print(error)
    assert [queue.get().nbytes for _ in range(sent)] == [size] * sent
queue = tr.Queue(100, memory_bytes=60 << 20)
sent = 0
try:
    while sent < 20:
        queue.put_nowait(np.ones(size, "u1"))
        sent += 1
except tr.Full as error:
    print(error)
assert sent == 3
del queue
with tr.Pool(1, memory_bytes=100 << 20) as pool:
    assert pool.map(total, [np.ones(size, "u1")] * 12, 1) == [size] * 12
"""


def test_limit_of_a_cgroup_is_named_and_may_be_kept_away_from() -> None:
    with cage() as group:
        if group is None:
            pytest.skip("no memory cgroup can be made")
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (group / name).exists():
                (group / name).write_text(str(192 << 20))
        enter = f'echo $$ > {group}/cgroup.procs; exec "$0" "$@"'
        done = subprocess.run(
            ["sh", "-c", enter, sys.executable, "-c", IN_CGROUP],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert (done.returncode, done.stderr) == (0, "")
    *machine, own = done.stdout.splitlines()
    assert len(machine) == 2
    for line in machine:
        assert "a message of 20971520 bytes: 20971520 bytes are needed" in line
        assert re.search(r"the memory cgroup \(.*\) leaves \d+; .*\bmemory_bytes\b", line)
    assert (
        f"of the arena's limit of {60 << 20} (memory_bytes) {60 << 20} are in use" in own
    )


# ---- what waiting loans are told


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck, "PATIENCE", 0.02)


def said_by(call: Callable[[], Any], answer: Callable[[], Any]) -> list[str]:
    said: list[str] = []

    def show(message: Any, category: Any, *_: Any) -> None:
        if category is tr.StuckWarning:
            said.append(str(message))
            answer()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        call()
    return said


@pytest.mark.usefixtures("impatient")
def test_put_says_how_much_memory_is_taken() -> None:
    queue = tr.Queue(100, memory_bytes=4 * MIB)
    queue.put(megabytes(1))
    kept = [queue.get()]
    assert isinstance(kept[0].base, tr.View)

    def let_go() -> None:
        kept.clear()

    said = said_by(lambda: queue.put(megabytes(4)), let_go)
    assert len(said) == 1
    assert (
        f"of the limit of {4 * MIB} bytes (memory_bytes=) {MIB - 4096} are taken"
        in said[0]
    )
    assert f"(0 queued or loaned, {MIB - 4096} received" in said[0]
    assert f"pid {os.getpid()}" in said[0]
    assert "memory_bytes=BYTES" in said[0]
    end(queue)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", [tr.Queue, tr.JoinableQueue])
def test_join_thread_says_that_nobody_receives(kind: Any) -> None:
    queue = kind(memory_bytes=4 * MIB)
    waits, go = os.pipe()

    def receive_all() -> None:
        os.read(waits, 1)
        assert [queue.get().nbytes for _ in range(3)] == [4 * MIB - 4096] * 3

    # Another process: this one closes its arena with the last that it sends.
    receiver = forked(receive_all)
    for _ in range(3):
        queue.put(megabytes(4))
    queue.close()
    said = said_by(queue.join_thread, lambda: os.write(go, b"x"))
    os.close(go)
    os.close(waits)
    assert ended(receiver) == 0
    assert len(said) == 1
    assert (
        "join_thread(), for which 2 objects are not sent yet (cancel_join_th" in said[0]
    )
    assert f"({4 * MIB - 4096} queued or loaned, 0 received, 0 free)" in said[0]
    assert "no process holds any, 1 wait to be received" in said[0]


AT_ITS_END = """
import sys, numpy as np, tensoring as tr
from tensoring._standin import stuck as _stuck
_stuck.PATIENCE = 0.02
queue, told, reader = tr.Queue(memory_bytes=1 << 20), _stuck.tell, None
def tell_and_receive(*args):
    try:
        told(*args)
    finally:
        print(sum(reader.receive(30)[0] for _ in range(3)))
_stuck.tell = tell_and_receive
for _ in range(3):
    queue.put(np.ones(1 << 17))
reader = queue._queue.arena.queue("queue")
"""


@pytest.mark.parametrize("warnings", ["default", "error"])
def test_a_process_says_why_it_does_not_end(warnings: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", f"{warnings}::RuntimeWarning", "-c", AT_ITS_END],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "3.0\n")
    text = "StuckWarning: the end of this process, for which 2 objects are not sent yet"
    assert done.stderr.count(text) == 1


@pytest.mark.usefixtures("impatient")
def test_get_says_that_a_sender_waits_for_memory() -> None:
    queue = tr.Queue(memory_bytes=4 * MIB)
    queue.put(megabytes(2))
    kept = [queue.get()]
    assert isinstance(kept[0].base, tr.View)
    got: list[Any] = []

    def put_and_get() -> None:
        queue.put(megabytes(4))  # by the thread, which warns as well, or get() does
        got.append(queue.get())

    said = said_by(put_and_get, kept.clear)
    assert got[0].nbytes == 4 * MIB - 4096
    assert len(said) == 1
    assert "(memory_bytes=)" in said[0]
    got.clear()
    end(queue)


@pytest.mark.usefixtures("impatient")
def test_pool_says_that_its_arenas_share_the_limit() -> None:
    with tr.Pool(1, memory_bytes=4 * MIB) as pool:
        text = stuck.explain(pool._master._jobs, "a job", 10)
    assert f"of the limit of {2 * MIB} bytes (memory_bytes=; it has half of it)" in text


def test_nothing_is_lost_while_the_machine_has_no_memory(
    monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    queue = tr.Queue(memory_bytes=MIB)
    offer, refused = feeder.Feeder.offer, threading.Event()
    monkeypatch.setattr(stuck, "PATIENCE", 0.02)

    def none_at_first(self: Any, kept: Any, timeout: Any) -> bool:
        if not again.is_set():
            refused.set()
            raise tr.OutOfMemoryError("loan: no memory: the cgroup has 5 bytes left")
        return offer(self, kept, timeout)

    again = threading.Event()
    monkeypatch.setattr(feeder.Feeder, "offer", none_at_first)

    def put_and_wait() -> None:
        for i in range(4):
            queue.put((i, megabytes(0.6)))
        assert queue.get()[0] == 0  # was sent by put()
        assert refused.wait(60)
        until(again.is_set)

    said = said_by(put_and_wait, again.set)
    assert "the cgroup has 5 bytes left" in said[0]
    assert [queue.get()[0] for _ in range(3)] == [1, 2, 3]
    end(queue)
    assert "Traceback" not in capfd.readouterr().err


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()
