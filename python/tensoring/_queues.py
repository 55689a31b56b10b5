# SPDX-License-Identifier: MIT
"""Queue, SimpleQueue and JoinableQueue that stand in for multiprocessing's.

Same methods, same exceptions; large arrays are copied once instead of four times, and
what get() returns looks into the shared slot. Each queue has an arena of its own, lazily
reserved, so that one that is full cannot starve another."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Iterable
from multiprocessing import util
from typing import Any

from tensoring import _core, _objects, _stuck
from tensoring._arena import Arena, ArenaQueue
from tensoring._errors import Closed, Empty, Full
from tensoring._memory import standin_arena

# Windows of the address space: a slot has the memory that its message needs.
SLOTS = [(64 << 10, 1024), (16 << 20, 256), (1 << 30, 32)]
_NAME = "queue"
_UNBOUNDED = 4096  # more than there are slots


def _seconds(timeout: float | None) -> float | None:
    """As multiprocessing takes it: less than 0 is 0."""
    return None if timeout is None else max(0.0, timeout)


def queue_arena(slots: Iterable[tuple[int, int]] | None, maxsize: int) -> Arena:
    """The arena of one queue: any object may go through it, as with multiprocessing."""
    (small, count), *large = SLOTS
    # So many objects have to fit in, if they are small.
    default = [(small, max(count, maxsize)), *large]
    return standin_arena(slots, default, capacity=maxsize or _UNBOUNDED)


class _Feeder:
    """What put() could not send at once, and the thread that sends it, in order."""

    def __init__(self, queue: ArenaQueue, owner: bool) -> None:
        self.queue = queue
        self.owner = owner  # a copy that came by pickle shares the arena with others
        self.condition = threading.Condition()
        self.pending: deque[Any] = deque()
        self.thread: threading.Thread | None = None
        self.closed = False
        self.finalizer: Any = None

    def put(self, obj: Any) -> None:
        with self.condition:
            if not self.pending:
                try:
                    _objects.send(self.queue, obj, 0)
                    return
                except Full:
                    pass
            self.pending.append(obj)
            if self.thread is None:
                self.start()
            self.condition.notify()

    def start(self) -> None:
        self.finalizer = util.Finalize(None, self.finish, exitpriority=-5)
        self.thread = threading.Thread(
            target=self.run, name="tensoring-feeder", daemon=True
        )
        self.thread.start()

    def run(self) -> None:
        try:
            self.send_all()
        finally:
            self.cancel()  # it would keep the arena
            if self.closed:
                self.leave()

    def send_all(self) -> None:
        while True:
            with self.condition:
                while not self.pending:
                    if self.closed:
                        return
                    self.condition.wait()
                obj = self.pending[0]
            try:
                _stuck.send(self.queue, obj, "what was put", backlog=True)
            except Closed:
                return
            except Exception:
                traceback.print_exc()  # as multiprocessing's feeder does
            del obj
            with self.condition:
                self.pending.popleft()

    def close(self) -> None:
        with self.condition:
            self.closed = True
            self.condition.notify()
            if self.thread is None:
                self.leave()

    def leave(self) -> None:
        self.queue.close()
        if self.owner:
            self.queue.arena.close()

    def finish(self) -> None:
        self.close()
        if self.thread is not None:
            self.thread.join()

    def cancel(self) -> None:
        if self.finalizer is not None:
            self.finalizer.cancel()


class SimpleQueue:
    """Stands in for multiprocessing.SimpleQueue."""

    def __init__(
        self, *, slots: Iterable[tuple[int, int]] | None = None, _maxsize: int = 0
    ) -> None:
        arena = queue_arena(slots, _maxsize)
        # What was got is got, also if its process ends while it looks into the slot.
        queue = arena.queue(_NAME, _maxsize or _UNBOUNDED, policy="drop")
        self._set(queue, _maxsize, True)

    def _set(self, queue: ArenaQueue, maxsize: int, owner: bool) -> None:
        queue._copy_if_kept()
        self._queue = queue
        self._owner = owner
        self._maxsize = maxsize
        self._closed = False
        self._reset()
        _queues.add(self)

    def _reset(self) -> None:
        self._feeder = _Feeder(self._queue, self._owner)
        weakref.finalize(self, self._feeder.close).atexit = False

    def __getstate__(self) -> Any:
        return (self._queue, self._maxsize)

    def __setstate__(self, state: Any) -> None:
        queue, maxsize = state
        self._set(queue, maxsize, False)

    def _open(self) -> ArenaQueue:
        if self._closed:
            raise ValueError(f"{self!r} is closed")
        return self._queue

    def put(self, obj: Any) -> None:
        """Send `obj`. Never waits: what does not fit now is sent by a thread."""
        self._open()
        self._feeder.put(obj)

    def get(self) -> Any:
        """The next object; waits for it."""
        return _stuck.receive(self._open(), "get()")

    def empty(self) -> bool:
        """Whether there is nothing to get."""
        return len(self._open()) == 0

    def close(self) -> None:
        """No more put() and get() from this process; the others go on."""
        self._closed = True
        self._feeder.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._queue)} inside"
        return f"<tensoring.{type(self).__name__}, {state}>"


_queues: weakref.WeakSet[SimpleQueue] = weakref.WeakSet()


def _after_fork() -> None:
    # What the parent has not sent yet stays the parent's, as does its thread.
    for queue in list(_queues):
        queue._reset()


os.register_at_fork(after_in_child=_after_fork)


class Queue(SimpleQueue):
    """Stands in for multiprocessing.Queue."""

    def __init__(
        self, maxsize: int = 0, *, slots: Iterable[tuple[int, int]] | None = None
    ) -> None:
        if maxsize > _core.MAX_CAPACITY:
            raise ValueError(f"maxsize is at most {_core.MAX_CAPACITY}, not {maxsize}")
        super().__init__(slots=slots, _maxsize=max(maxsize, 0))

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send `obj`; Full if there is no room at once, or within `timeout` seconds."""
        queue = self._open()
        if self._maxsize == 0:
            self._feeder.put(obj)
        elif block and timeout is None:
            _stuck.send(queue, obj, "put()")
        else:
            _objects.send(queue, obj, _seconds(timeout) if block else 0)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next object; Empty if there is none now, or within `timeout` seconds."""
        if block and timeout is None:
            return _stuck.receive(self._open(), "get()")
        return self._open().receive(_seconds(timeout) if block else 0)

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
        deadline = None if timeout is None else time.monotonic() + timeout
        for obj in objects:
            self.put(obj, block, deadline and max(0.0, deadline - time.monotonic()))

    def get_many(
        self, limit: int, block: bool = True, timeout: float | None = None
    ) -> list[Any]:
        """Wait for one object, then take what is there, at most `limit`."""
        if limit < 1:
            return []
        found = [self.get(block, timeout)]
        try:
            while len(found) < limit:
                found.append(self.get(False))
        except Empty:
            pass
        return found

    def qsize(self) -> int:
        """About how many objects are inside."""
        return len(self._queue) + len(self._feeder.pending)

    def full(self) -> bool:
        """Whether put() would have to wait."""
        return 0 < self._maxsize <= len(self._open())

    def join_thread(self) -> None:
        """Wait until everything that was put is sent. Only after close()."""
        if not self._closed:
            raise ValueError(f"{self!r} is not closed")
        self._feeder.finish()

    def cancel_join_thread(self) -> None:
        """Do not wait at exit for what is not sent yet."""
        self._feeder.cancel()


class JoinableQueue(Queue):
    """Stands in for multiprocessing.JoinableQueue. `ctx` is the context of the processes
    that it is for, if that is not the default one."""

    def __init__(
        self,
        maxsize: int = 0,
        *,
        slots: Iterable[tuple[int, int]] | None = None,
        ctx: Any = multiprocessing,
    ) -> None:
        super().__init__(maxsize, slots=slots)
        self._unfinished = ctx.Semaphore(0)
        self._finished = ctx.Condition()

    def __getstate__(self) -> Any:
        return (super().__getstate__(), self._unfinished, self._finished)

    def __setstate__(self, state: Any) -> None:
        inner, self._unfinished, self._finished = state
        super().__setstate__(inner)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send `obj`, which one task_done() must follow."""
        # Counted first: the receiver may be done before put() returns.
        self._unfinished.release()
        try:
            super().put(obj, block, timeout)
        except BaseException:
            self.task_done()
            raise

    def task_done(self) -> None:
        """Say that an object that was got is dealt with."""
        with self._finished:
            if not self._unfinished.acquire(False):
                raise ValueError("task_done() called too many times")
            if self._unfinished._semlock._is_zero():
                self._finished.notify_all()

    def join(self) -> None:
        """Wait until every object that was put is dealt with."""
        with self._finished:
            if not self._unfinished._semlock._is_zero():
                self._finished.wait()
