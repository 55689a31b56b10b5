# SPDX-License-Identifier: MIT
"""Queue, SimpleQueue and JoinableQueue that stand in for multiprocessing's.

Same methods, same exceptions; large arrays are copied once instead of four times, and
what get() returns looks into the shared slot. Each queue has an arena of its own, lazily
reserved, so that one that is full cannot starve another."""

from __future__ import annotations

import multiprocessing
import os
import time
import types
import weakref
from collections.abc import Iterable
from typing import Any

from tensoring import _core
from tensoring._arena.arena import Arena
from tensoring._arena.queue import ArenaQueue
from tensoring._errors import Empty, Full, hand_over
from tensoring._options import U64, refuse, whole
from tensoring._standin import objects as _objects
from tensoring._standin import stuck
from tensoring._standin.feeder import Feeder
from tensoring._standin.memory import standin_arena

# Windows of the address space: a slot has the memory that its message needs.
SLOTS = [(64 << 10, 1024), (16 << 20, 256), (1 << 30, 32)]
_NAME = "queue"
_MOST = (1 << 31) - 1  # what a semaphore counts to
_AT_A_TIME = 256  # objects between looks for signals
_UNBOUNDED = 4096  # more than there are slots


def _seconds(timeout: float | None) -> float | None:
    """As multiprocessing takes it: less than 0 is 0."""
    try:
        return None if timeout is None else max(0.0, timeout)
    except TypeError:
        refuse(TypeError, "timeout", timeout, "give seconds, or None to wait forever")


def queue_arena(
    slots: Iterable[tuple[int, int]] | None, maxsize: int, memory_bytes: int | None
) -> Arena:
    """The arena of one queue: any object may go through it, as with multiprocessing."""
    (small, count), *large = SLOTS
    # So many objects have to fit in, if they are small.
    default = [(small, max(count, maxsize)), *large]
    return standin_arena(
        slots, default, memory_bytes=memory_bytes, capacity=maxsize or _UNBOUNDED
    )


class _Base:
    """What all have in common: an arena, a queue in it, and what is not sent yet."""

    _counts = False  # whether places are counted by a semaphore, whatever maxsize is

    def __init__(
        self,
        maxsize: int,
        slots: Iterable[tuple[int, int]] | None,
        memory_bytes: int | None,
        ctx: Any,
    ) -> None:
        counted = maxsize > _core.MAX_CAPACITY or (self._counts and maxsize > 0)
        arena = queue_arena(slots, 0 if counted else maxsize, memory_bytes)
        # What was got is got, also if its process ends while it looks into the slot.
        capacity = maxsize if maxsize and not counted else _UNBOUNDED
        queue = arena.queue(_NAME, capacity, policy="drop")
        room = (ctx or multiprocessing).BoundedSemaphore(maxsize) if counted else None
        self._set(queue, maxsize, room, True)

    def _set(self, queue: ArenaQueue, maxsize: int, room: Any, owner: bool) -> None:
        queue._copy_if_kept()
        queue._may_nap()
        self._queue = queue
        self._owner = owner
        self._maxsize = maxsize
        self._room = room  # of a queue whose places a semaphore counts
        self._closed = False
        self._left = 0  # how many there were when it was closed
        self._reset()
        _queues.add(self)

    def _reset(self) -> None:
        self._feeder = Feeder(self._queue, self._owner)
        weakref.finalize(self, self._feeder.close).atexit = False
        if self._closed:
            self._feeder.close()

    def __getstate__(self) -> Any:
        return (self._queue, self._maxsize, self._room)

    def __setstate__(self, state: Any) -> None:
        queue, maxsize, room = state
        self._set(queue, maxsize, room, False)

    def close(self) -> None:
        """No more put() and get() from this process; the others go on."""
        if not self._closed:
            self._left = self._count()
            self._closed = True
        self._feeder.close()

    def _count(self) -> int:
        if self._closed or self._queue.closed:
            return self._left
        return len(self._queue) + len(self._feeder.pending)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._count()} inside"
        return f"<tensoring.{type(self).__name__}, {state}>"

    __class_getitem__: Any = classmethod(types.GenericAlias)


_queues: weakref.WeakSet[_Base] = weakref.WeakSet()


def _after_fork() -> None:
    # What the parent has not sent yet stays the parent's, as does its thread.
    for queue in list(_queues):
        queue._reset()


os.register_at_fork(after_in_child=_after_fork)


class SimpleQueue(_Base):
    """Stands in for multiprocessing.SimpleQueue. `ctx` is taken as the original takes it,
    and not needed; slots and memory_bytes are those of Queue."""

    def __init__(
        self,
        *,
        ctx: Any = None,
        slots: Iterable[tuple[int, int]] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        super().__init__(0, slots, memory_bytes, ctx)

    def _open(self) -> ArenaQueue:
        if self._closed:
            raise OSError(f"{self!r}: handle is closed")
        return self._queue

    def put(self, obj: Any) -> None:
        """Send `obj`. Never waits: what does not fit now is sent by a thread."""
        self._open()
        self._feeder.put(obj)

    def get(self) -> Any:
        """The next object; waits for it."""
        return stuck.receive(self._open(), "get()")

    def empty(self) -> bool:
        """Whether there is nothing to get."""
        return len(self._open()) == 0


class Queue(_Base):
    """Stands in for multiprocessing.Queue: put() and get(), in an arena of its own. What
    arena.queue(name) opens in an arena that you made is an ArenaQueue.

    Arrays that get() returns look into the shared memory, which is free when they are
    gone; they are copies where half of it is held.

    maxsize: how many objects it holds; 0 or less: as many as there is memory for.
    ctx: the context of the processes that it is for; only a maxsize of more than 65536
    needs it, for a semaphore. What does not fit waits in the process that put it then.
    slots: [(bytes, count), ...], how many objects of which size it holds at most; memory
    is taken for what they need only. None: 1024 of up to 64 KiB (or maxsize), 256 of up
    to 16 MiB, 32 of up to 1 GiB.
    memory_bytes: a limit in bytes of the shared memory that all objects in it take, whole
    pages each, those included that receivers look into. put() waits for memory as it
    waits for room; with a maxsize of 0 what does not fit waits in the process that put
    it. An object that is larger by itself is TooLargeError. None: there is no limit but
    the machine's and the memory cgroups'; beyond that put() raises OutOfMemoryError."""

    def __init__(
        self,
        maxsize: int = 0,
        *,
        ctx: Any = None,
        slots: Iterable[tuple[int, int]] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        most = whole("maxsize", maxsize, -U64, _MOST, ", 0 for no limit")
        super().__init__(max(most, 0), slots, memory_bytes, ctx)

    def _open(self) -> ArenaQueue:
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        return self._queue

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send `obj`; Full if there is no room at once, or within `timeout` seconds."""
        if self._closed:
            self._open()
        self._feeder.used = True
        if self._maxsize == 0:
            self._hand_over(obj)
        elif self._room is not None:
            self._put_counted(obj, block, timeout)
        elif block and timeout is None:
            stuck.send(self._queue, obj, "put()")
        else:
            _objects.send(self._queue, obj, _seconds(timeout) if block else 0)

    def _put_counted(self, obj: Any, block: bool, timeout: float | None) -> None:
        if not self._room.acquire(block, _seconds(timeout)):
            raise Full
        try:
            self._hand_over(obj)
        except BaseException:
            self._room.release()
            raise

    def _hand_over(self, obj: Any) -> None:
        """Send it, or have it sent by a thread."""
        self._feeder.put(obj)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next object; Empty if there is none now, or within `timeout` seconds."""
        queue = self._open() if self._closed else self._queue
        if self._room is not None:
            return self._get_counted(block, timeout)
        if block and timeout is None:
            return stuck.receive(queue, "get()")
        return queue.receive(_seconds(timeout) if block else 0)

    def _get_counted(self, block: bool, timeout: float | None) -> Any:
        if block and timeout is None:
            message = stuck.receive_message(self._queue, "get()")
        else:
            message = self._queue.receive_message(_seconds(timeout) if block else 0)
        self._room.release()  # before what may raise: its place is free
        return _objects.open(message)

    def put_nowait(self, obj: Any) -> None:
        """put() without waiting."""
        self.put(obj, False)

    def get_nowait(self) -> Any:
        """get() without waiting."""
        return self.get(False)

    def put_many(
        self, objects: Iterable[Any], block: bool = True, timeout: float | None = None
    ) -> None:
        """put() for each, with one timeout for all."""
        timeout = _seconds(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        for obj in objects:
            self.put(obj, block, deadline and max(0.0, deadline - time.monotonic()))

    def get_many(
        self, limit: int, block: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """Wait for one object, then take what is there, at most `limit`. If one of them
        cannot be unpickled, the error has those before it in a list, `error.taken`."""
        if type(limit) is not int:
            limit = whole("limit", limit, -U64, U64)
        if limit < 1:
            return []
        found = [self.get(block, timeout)]
        try:
            while self._take(found, min(limit - len(found), _AT_A_TIME)):
                pass
        except BaseException as error:
            hand_over(error, found)
            raise
        return found

    def _take(self, found: list[Any], most: int) -> bool:
        """Take what is there, at most so many. Whether there may be more."""
        if self._room is None:
            return most > 0 and self._queue._take_many(found, most) == most
        try:
            for _ in range(most):
                found.append(self.get(False))
        except Empty:
            return False
        return most > 0

    def qsize(self) -> int:
        """About how many objects are inside. After close(): how many there were then."""
        return self._count()

    def empty(self) -> bool:
        """Whether there is nothing to get. OSError after close(), if put() was used."""
        if not self._closed:
            return len(self._queue) == 0
        if self._feeder.used:
            raise OSError(f"{self!r}: handle is closed")
        return self._left == 0

    def full(self) -> bool:
        """Whether put() would have to wait. After close(): whether it would have."""
        return 0 < self._maxsize <= self._count()

    def join_thread(self) -> None:
        """Wait until everything that was put is sent. Only after close()."""
        if not self._closed:
            raise AssertionError(f"Queue {self!r} not closed")
        if not self._feeder.cancelled:
            self._feeder.finish("join_thread()")

    def cancel_join_thread(self) -> None:
        """Do not wait at exit for what is not sent yet, nor for what is put later."""
        self._feeder.cancel()


class JoinableQueue(Queue):
    """Stands in for multiprocessing.JoinableQueue. `ctx` is the context of the processes
    that it is for, if that is not the default one; maxsize, slots and memory_bytes are
    those of Queue. Each object that was put wants one task_done()."""

    _counts = True

    def __init__(
        self,
        maxsize: int = 0,
        *,
        ctx: Any = None,
        slots: Iterable[tuple[int, int]] | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        super().__init__(maxsize, ctx=ctx, slots=slots, memory_bytes=memory_bytes)
        self._unfinished_tasks = (ctx or multiprocessing).Semaphore(0)
        self._cond = (ctx or multiprocessing).Condition()

    def __getstate__(self) -> Any:
        return (super().__getstate__(), self._unfinished_tasks, self._cond)

    def __setstate__(self, state: Any) -> None:
        inner, self._unfinished_tasks, self._cond = state
        super().__setstate__(inner)

    def _hand_over(self, obj: Any) -> None:
        # There is a place for it: a process killed while it waited has counted nothing.
        # Counted before it is sent: the receiver may be done before put() returns.
        self._unfinished_tasks.release()
        try:
            super()._hand_over(obj)
        except BaseException:
            self.task_done()
            raise

    def task_done(self) -> None:
        """Say that an object that was got is dealt with."""
        with self._cond:
            if not self._unfinished_tasks.acquire(False):
                raise ValueError("task_done() called too many times")
            if self._unfinished_tasks._semlock._is_zero():
                self._cond.notify_all()

    def join(self) -> None:
        """Wait until every object that was put is dealt with."""
        with self._cond:
            if not self._unfinished_tasks._semlock._is_zero():
                self._cond.wait()
