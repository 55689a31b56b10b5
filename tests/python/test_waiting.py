# SPDX-License-Identifier: MIT
"""Waits end: by time, signals, other processes; and a fork in the middle is safe."""

from __future__ import annotations

import os
import queue as standard
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME, SLOTS, free
from supervision import ended, forked

WAIT = """
import sys, tensoring as tr
queue = tr.Arena([(4096, 8)]).queue("q")
try:
    print("ready", flush=True)
    queue.receive()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_nothing_there(queue: tr.ArenaQueue) -> None:
    with pytest.raises(standard.Empty):
        queue.receive(0)
    with pytest.raises(TimeoutError) as caught:
        queue.receive(timeout=0.01)
    assert isinstance(caught.value, standard.Empty)
    assert isinstance(caught.value, tr.ReceiveTimedOutError)
    assert caught.value.name == "TR_ETIMEDOUT"


def test_full(arena: tr.Arena) -> None:
    queue = arena.queue("small", 2)
    assert queue.send_many([1, 2, 3], timeout=0) == 2
    with pytest.raises(standard.Full):
        queue.send(1, timeout=0)
    assert queue.receive_many(5) == [1, 2]


def test_shutdown_drains(queue: tr.ArenaQueue) -> None:
    queue.send(1)
    queue.send(2)
    queue.shutdown()
    assert list(queue) == [1, 2]
    with pytest.raises(BrokenPipeError):
        queue.receive()
    with pytest.raises(tr.ClosedError):
        queue.send(3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_receive(number: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    out, _ = child.communicate(timeout=30)
    if number == signal.SIGINT:
        assert (out, child.returncode) == ("interrupted\n", 0)
    else:
        assert child.returncode == -signal.SIGTERM


def test_a_handler_does_not_wait_for_the_end_of_a_slice(queue: tr.ArenaQueue) -> None:
    """Each slice that ends counts as a timeout of the library. A signal may come just
    before the process sleeps, or as a slice ends: so there are several tries."""
    told, heard = os.pipe()

    def wait() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: os.write(heard, b"x"))
        os.write(heard, b"x")
        queue.receive(120)

    def totals() -> tuple[int, int]:
        found = queue.arena.stats()["totals"]
        return found["waits"], found["timeouts"]

    child = forked(wait)
    os.read(told, 1)
    at_once = False
    while not at_once:
        before = totals()[0]
        while totals()[0] == before:  # it has gone to sleep since
            os.sched_yield()
        ended_slices = totals()[1]
        assert ended_slices < 10, "each handler ran after the end of a slice"
        os.kill(child, signal.SIGUSR1)
        os.read(told, 1)
        at_once = totals()[1] == ended_slices
    queue.send(1)
    assert ended(child) == 0
    os.close(told)
    os.close(heard)


def test_restarting_handler_still_runs() -> None:
    code = """
import signal, sys, tensoring as tr
queue = tr.Arena([(4096, 8)]).queue("q")
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
signal.siginterrupt(signal.SIGUSR1, False)
print("ready", flush=True)
queue.receive()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.send_signal(signal.SIGUSR1)
    child.communicate(timeout=30)
    assert child.returncode == 7


def test_other_threads_run_while_one_waits(queue: tr.ArenaQueue) -> None:
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(queue.receive(30)))
    thread.start()
    queue.send("hello")
    thread.join(30)
    assert got == ["hello"]


@pytest.mark.parametrize("what", ["queue", "arena"])
def test_closing_ends_the_waits_of_other_threads(arena: tr.Arena, what: str) -> None:
    queue = arena.queue("q")
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            queue.receive()
        except (tr.ClosedError, ValueError) as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    (queue if what == "queue" else arena).close()
    thread.join(30)
    assert len(ended) == 1


def test_many_threads(arena: tr.Arena) -> None:
    queue = arena.queue("threads", 8)
    results = arena.queue("results", 400)

    def work() -> None:
        for array in queue:
            results.send(int(array.sum()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()

    def feed() -> None:
        for i in range(300):
            queue.send(np.full(10, i))
        queue.shutdown()

    threads.append(threading.Thread(target=feed))
    threads[-1].start()
    total = sum(results.receive(30) for _ in range(300))
    for thread in threads:
        thread.join(30)
    assert total == 10 * sum(range(300))


def in_child(work: object) -> int:
    """Run `work` in a forked child; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = work() or 0  # type: ignore[operator]
        except BaseException as error:  # the child must not run the tests on
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_just_uses_it(queue: tr.ArenaQueue) -> None:
    queue.send(np.arange(10))

    def child() -> None:
        array = queue.receive(10)
        queue.send(array * 2)

    assert in_child(child) == 0
    assert queue.receive(10).tolist() == list(range(0, 20, 2))


def test_views_of_the_parent_stay_the_parents(
    arena: tr.Arena, queue: tr.ArenaQueue
) -> None:
    queue.send(np.arange(10))
    held: list[np.ndarray] = [queue.receive(0)]
    before = free(arena)

    def child() -> None:
        held.clear()  # the child's copy of the handle, not the parent's slot

    assert in_child(child) == 0
    assert free(arena) == before
    assert held[0].sum() == 45
    held.clear()
    assert free(arena) == before + 1


def test_errors_name_what_python_has() -> None:
    name = f"{NAME}taken"
    with tr.Arena(SLOTS, name=name) as arena:
        with pytest.raises(tr.Error, match=r"or Arena\.unlink\(\) it") as caught:
            tr.Arena(SLOTS, name=name)
        assert "tr_" not in str(caught.value)
        with pytest.raises(ValueError, match="seconds is -2"):
            arena.set_spin(-2)
        tr.Arena.unlink(name)


def test_a_child_never_sees_another_message_through_a_view(arena: tr.Arena) -> None:
    board = arena.board("b")
    board["mine"] = np.arange(10)
    board["other"] = np.zeros(3, dtype=np.float32)
    held = [board["mine"]]
    view = held[0].base

    def child() -> None:
        others = [board["other"] for _ in range(64)]  # all pins, the parent's, too
        for ask in (memoryview, np.from_dlpack, lambda view: view.nbytes):
            with pytest.raises(ValueError, match="taken before a fork"):
                ask(view)
        assert "View" in repr(view)
        assert held[0].tolist() == list(range(10))  # the slot is still the parent's
        assert all(other.tolist() == [0.0, 0.0, 0.0] for other in others)
        held.clear()
        others.clear()
        queue = arena.queue("q")  # it uses all of the library
        for n in range(100):
            queue.send(np.full(4, n))
            assert queue.receive(0)[0] == n
            board["other"] = np.full(3, n)
            assert board["other"][0] == n

    assert in_child(child) == 0
    assert memoryview(view).tolist() == list(range(10))
    assert held[0].sum() == 45
    assert board["other"].tolist() == [99, 99, 99]


def test_what_a_killed_child_held_comes_back(arena: tr.Arena) -> None:
    queue = arena.queue("jobs")
    queue.send("job")

    def child() -> None:
        _held = queue.receive_message(10)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(child) == -signal.SIGKILL
    report = arena.reap()
    assert report["redelivered"] in (0, 1)  # 0: somebody else was faster
    message = queue.receive_message(10)
    assert message.deliveries == 1


def test_fork_while_a_thread_waits(queue: tr.ArenaQueue) -> None:
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(queue.receive(30)))
    thread.start()
    assert in_child(lambda: queue.send("from the child", 10)) == 0
    thread.join(30)
    assert got == ["from the child"]
