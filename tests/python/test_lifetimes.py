# SPDX-License-Identifier: MIT
"""A slot is free exactly when the last thing that looks into it is gone."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import tensoring as tr
from conftest import SLOTS, free

LOAD = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("tensoring._core", {path!r})
spec.loader.exec_module(module_from_spec(spec))
"""


def received(queue: tr.ArenaQueue) -> np.ndarray:
    queue.send(np.arange(100.0))
    return queue.receive(0)


def test_last_view_frees_the_slot(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    all_free = free(arena)
    array = received(queue)
    assert free(arena) == all_free - 1
    part, view, row = array[10:20], memoryview(array), array.reshape(10, 10)[3]
    del array
    assert free(arena) == all_free - 1
    del part, view
    assert free(arena) == all_free - 1
    assert row[0] == 30
    del row
    assert free(arena) == all_free


def test_views_in_a_cycle(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    all_free = free(arena)
    ring: list[object] = [received(queue)]
    ring.append(ring)
    del ring
    gc.collect()
    assert free(arena) == all_free


def test_view_outlives_queue_and_arena() -> None:
    arena = tr.Arena(SLOTS)
    queue = arena.queue("q")
    array = received(queue)
    queue.close()
    arena.close()
    del queue, arena
    gc.collect()
    assert array.sum() == 4950
    array[0] = 1
    assert array[0] == 1


def test_closed_arena_and_queue_refuse(arena: tr.Arena) -> None:
    queue = arena.queue("q")
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        queue.send(1)
    other = arena.queue("q")
    arena.close()
    assert other.closed
    with pytest.raises(ValueError, match="closed"):
        other.receive(0)
    with pytest.raises(ValueError, match="closed"):
        arena.queue("q")
    assert "closed" in repr(arena)
    assert "closed" in repr(other)


def test_each_array_of_a_message_holds_it(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    all_free = free(arena)
    queue.send({"a": np.zeros(3), "b": np.ones(4)})
    got = queue.receive(0)
    b = got.pop("b")
    del got
    assert free(arena) == all_free - 1
    assert b.sum() == 4
    del b
    assert free(arena) == all_free


def test_release_while_views_live_is_a_buffer_error(queue: tr.ArenaQueue) -> None:
    queue.send(np.zeros(3))
    message = queue.receive_message(0)
    array = message.array(0)
    with pytest.raises(BufferError, match="1 arrays"):
        message.release()
    with pytest.raises(BufferError):
        queue.send_message(message)
    del array
    message.release()
    assert message.released
    with pytest.raises(ValueError, match="released"):
        message.array(0)


def test_forward_without_a_copy(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    other = arena.queue("other")
    queue.send(np.arange(5))
    message = queue.receive_message(0)
    address = message.array(0).ctypes.data
    other.send_message(message)
    got = other.receive(0)
    assert got.ctypes.data == address
    assert got.tolist() == [0, 1, 2, 3, 4]


def test_view_of_a_sent_loan_says_so(queue: tr.ArenaQueue) -> None:
    with queue.loan(3) as x:
        view = x.base
    with pytest.raises(ValueError, match="sent"):
        memoryview(view)
    with pytest.raises(ValueError, match="sent"):
        np.from_dlpack(view)
    assert "sent" in repr(view)


def test_dlpack_shares_memory_and_holds_the_slot(
    arena: tr.Arena, queue: tr.ArenaQueue
) -> None:
    all_free = free(arena)
    array = received(queue)
    other = np.from_dlpack(array.base)
    assert other.ctypes.data == array.ctypes.data
    del array
    gc.collect()
    assert free(arena) == all_free - 1
    del other
    gc.collect()
    assert free(arena) == all_free


def test_dlpack_capsule_that_nobody_takes(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    all_free = free(arena)
    array = received(queue)
    capsules = [array.base.__dlpack__(), array.base.__dlpack__(max_version=(1, 0))]
    assert "dltensor_versioned" in repr(capsules[1])
    assert array.base.__dlpack_device__() == (1, 0)
    capsules.append(array.base.__dlpack__(copy=True))
    with pytest.raises(BufferError):
        array.base.__dlpack__(dl_device=(2, 0))
    del array, capsules
    assert free(arena) == all_free


def test_dlpack_in(queue: tr.ArenaQueue) -> None:
    class Producer:
        """Not an ndarray, and without the buffer protocol."""

        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **options: object) -> object:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    array = np.arange(12.0).reshape(3, 4)
    for source in (array, array[::2, ::-1], array.T):
        message = queue.arena._encode_parts((0, "", [(Producer(source), None, None)]))
        assert (message.array(0) == source).all()


def test_memoryview_tells_type_and_shape(queue: tr.ArenaQueue) -> None:
    queue.send(np.arange(6, dtype="f4").reshape(2, 3))
    view = memoryview(queue.receive_message(0).view(0))
    assert (view.format, view.shape, view.strides) == ("f", (2, 3), (12, 4))
    assert view.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_no_python_memory_leaks(queue: tr.ArenaQueue) -> None:
    objects = [
        np.zeros(3),
        np.zeros(3, ">f4"),
        {"a": np.zeros(2)},
        [1, np.zeros(2), "x"],
        b"bytes",
        "text",
    ]

    def spin() -> None:
        for _ in range(200):
            for obj in objects:
                queue.send(obj)
                got = queue.receive(0)
                del got
            with contextlib.suppress(tr.Empty):
                queue.receive(0)

    spin()
    tracemalloc.start()
    spin()
    before = tracemalloc.get_traced_memory()[0]
    spin()
    spin()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 10_000


def test_references_do_not_grow(queue: tr.ArenaQueue) -> None:
    watched = [np.dtype("f8"), np.ndarray, None, queue, queue.arena]
    array = np.zeros(4)
    queue.send(array)
    queue.receive(0)
    before = [sys.getrefcount(obj) for obj in watched]
    for _ in range(1000):
        queue.send(array)
        queue.receive(0)
    after = [sys.getrefcount(obj) for obj in watched]
    assert all(b - a < 20 for a, b in zip(before, after, strict=True))


def test_views_at_interpreter_shutdown() -> None:
    code = """
import numpy as np, tensoring as tr
arena = tr.Arena([(4096, 8)])
queue = arena.queue("q")
queue.send(np.arange(10)); kept = queue.receive()
queue.send(np.arange(10)); other = np.from_dlpack(queue.receive().base)
import builtins
builtins.kept = kept
builtins.cycle = [other]; builtins.cycle.append(builtins.cycle)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_subinterpreters_are_refused() -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = pytest.importorskip(name)
    one = interpreters.create()
    code = LOAD.format(path=tr._core.__file__)
    if sys.version_info >= (3, 13):
        failure = interpreters.run_string(one, code)
        assert failure.type.__name__ == "ImportError"
        assert "interpreter" in failure.msg
    else:
        with pytest.raises(interpreters.RunFailedError, match="interpreter"):
            interpreters.run_string(one, code)
    interpreters.destroy(one)


def test_views_die_in_other_threads(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    all_free = free(arena)
    arrays = [received(queue) for _ in range(8)]

    def drop(array: np.ndarray) -> None:
        array[0] = 1

    threads = [threading.Thread(target=drop, args=(arrays.pop(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del threads
    gc.collect()
    assert free(arena) == all_free


def test_full_says_who_holds_the_slots(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    held = []

    def hold_all() -> None:
        while True:
            queue.send(np.zeros(3), 0)
            held.append(queue.receive(0))

    with pytest.raises(tr.Full):
        hold_all()
    with pytest.raises(tr.SendTimedOutError, match=f"pid {os.getpid()}") as caught:
        queue.send(np.zeros(3), 0.01)
    assert isinstance(caught.value, TimeoutError)
    held.pop()
    queue.send(np.zeros(3), 0)


DAEMON = """
import os
import tensoring as tr
from tensoring._arena import arena as _arena

class Sent:
    def __init__(self, fd):
        self.fd = fd

    def detach(self):
        return self.fd  # as a number that nobody has

with tr.Arena([(4096, 4)]) as arena:
    own = os.fstat(arena.fd)
    other = os.dup(arena.fd)
    os.close(0)
    assert os.dup(other) == 0
    again = _arena._rebuild(tr.Arena, (own.st_dev, own.st_ino, False, 99), Sent(0))
    assert again.max_expansion == 99
    try:
        os.write(0, b"what a daemon prints")
    except OSError:
        again.queue("q").send(b"sound", 0)
        print(arena.queue("q").receive(0))
"""


def test_an_arena_that_was_sent_is_not_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("b'sound'\n", 0), done.stderr


def count_descriptors(inbox: tr.Queue, outbox: tr.Queue) -> None:
    """How many there are after each arena that came."""
    for arena in iter(inbox.get, None):
        arena.queue("q").send(b"here")
        arena.close()
        del arena
        outbox.put(len(os.listdir("/proc/self/fd")))


def test_arenas_that_were_sent_and_closed_leave_no_descriptor() -> None:
    """Nor do copies of one that the receiver has, in either process."""
    inbox, outbox = tr.Queue(), tr.Queue()
    child = multiprocessing.Process(target=count_descriptors, args=(inbox, outbox))
    child.start()
    theirs, ours = [], []
    for _ in range(20):
        with tr.Arena([(4096, 4)]) as arena:
            inbox.put(arena)
            theirs.append(outbox.get(timeout=60))
            assert arena.queue("q").receive(60) == b"here"
            outbox.put(arena)
            assert outbox.get(timeout=60) is arena
        ours.append(len(os.listdir("/proc/self/fd")))
    inbox.put(None)
    child.join(60)
    assert child.exitcode == 0
    # What the other process has just asked for may be open for a moment.
    assert theirs[-1] < theirs[1] + 10
    assert ours[-1] < ours[1] + 10
    inbox.close()
    outbox.close()
