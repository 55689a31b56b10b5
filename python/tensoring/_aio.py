# SPDX-License-Identifier: MIT
"""Receiving in an event loop, by the pollable descriptor of a wait set: no thread.

A waiter is only told that there may be something; it takes the message itself, and
returns it without another await. So a cancelled receive has taken nothing."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Any

from tensoring import _core
from tensoring._errors import Empty


class _Watcher:
    """The waiters of one queue in one loop. The descriptor is watched while there are
    any: it stays readable as long as there are messages."""

    def __init__(self, queue: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.set = queue.arena.wait_set()
        self.set.add(queue)
        self.waiters: deque[asyncio.Future[None]] = deque()

    async def ready(self) -> None:
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.waiters.append(waiter)
        if len(self.waiters) == 1:
            self.loop.add_reader(self.set.fileno(), self.look)
            self.look()  # arms the descriptor, or finds what came meanwhile
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self.waiters:
                self.waiters.remove(waiter)
            elif not waiter.cancelled():
                self.wake()  # told, and then cancelled: it is somebody else's turn
            raise
        finally:
            self.rest()

    def rest(self) -> None:
        if not self.waiters and not self.set.closed:
            self.loop.remove_reader(self.set.fileno())

    def look(self) -> None:
        if self.set.closed or self.set._wait(0):
            self.wake()

    def wake(self) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


_watchers: weakref.WeakKeyDictionary[
    _core.Queue, weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watcher]
] = weakref.WeakKeyDictionary()


async def receive(queue: Any) -> Any:
    """The next message of `queue`, without blocking the loop."""
    try:
        return queue.receive(0)
    except Empty:
        pass
    loop = asyncio.get_running_loop()
    of_loops = _watchers.setdefault(queue, weakref.WeakKeyDictionary())
    watcher = of_loops.get(loop)
    if watcher is None or watcher.set.closed:
        watcher = of_loops[loop] = _Watcher(queue, loop)
    while True:
        await watcher.ready()
        try:
            return queue.receive(0)
        except Empty:
            continue
