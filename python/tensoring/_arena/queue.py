# SPDX-License-Identifier: MIT
"""Queues of an arena."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from tensoring import _core
from tensoring._arena import aio
from tensoring._arena.channel import MessageReceiver, Named
from tensoring._arena.histogram import KINDS, Histogram
from tensoring._arena.loan import Loan, Shape, rows_of
from tensoring._errors import (
    CODES,
    ClosedError,
    Empty,
    Error,
    Full,
    NotFoundError,
    hand_over,
)
from tensoring._options import U32, U64, fit, flag, one_of, text, whole
from tensoring._serial import registry

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena


class ArenaQueue(MessageReceiver, Named, _core.Queue):
    """A queue of an arena, by arena.queue(name): each message goes to one receiver.

    It has send() and receive(). tr.Queue stands in for multiprocessing's, with put() and
    get(), and makes an arena of its own.

    Iteration, also `async for`, receives until the queue is shut down and drained."""

    _maker = "queue"
    _told = False  # that something waits, see _standin/stuck.py
    _half = False  # of a limit that is shared by two arenas, see _standin/memory.py

    @classmethod
    def _of(
        cls,
        arena: Arena,
        name: str,
        capacity: int,
        policy: str,
        max_deliveries: int,
        stamp: bool,
        histograms: bool,
    ) -> Self:
        text("name", name)
        one_of("policy", policy, _core.POLICIES)
        flag("stamp", stamp)
        flag("histograms", histograms)
        fit(U32, capacity=capacity, max_deliveries=max_deliveries)
        number = _core.POLICIES[policy]
        self = cls._open(
            *(arena, name, capacity, number, max_deliveries),
            *(int(stamp), int(histograms)),
        )
        self._options = {
            "capacity": capacity,
            "policy": policy,
            "max_deliveries": max_deliveries,
            "stamp": stamp,
            "histograms": histograms,
        }
        return self._enter(arena)

    def loan(
        self,
        shape: Shape | Mapping[str, tuple[Shape, Any]],
        dtype: Any = "float64",
        *,
        order: str = "C",
        timeout: float | None = None,
    ) -> Loan:
        """A slot to fill in place: `with queue.loan((64, 784), "f4") as x: x[...] = 1`.

        A dict {name: (shape, dtype)} gives a dict of arrays in one message. order: "C" or
        "F". timeout: seconds to wait for a slot, and again for room; None: forever. Full,
        SendTimedOutError, TooLargeError and ClosedError as send(), at the start of the
        block or at its end."""
        return Loan(self, rows_of(shape, dtype, order), timeout)

    def receive_as(self, content_type: str, timeout: float | None = None) -> Any:
        """Receive as receive() does, but refuse a message of another content type:
        ContentTypeError names both, and the message is released."""
        if type(content_type) is not str:
            text("content_type", content_type)
        message = self.receive_message(timeout)
        try:
            return registry.decode_as(message, content_type)
        except Error:
            if not message.views:  # the exception keeps this frame
                message.release()
            raise

    async def send_async(self, obj: Any) -> None:
        """Send in an event loop: as send(), and other tasks run while no slot is free, or
        there is no room. A cancelled call sent nothing. ClosedError, TooLargeError."""
        if len(self) >= self.capacity:
            await aio.hub_of(self.arena).ready(self, aio.WRITABLE)
        await aio.send(self, obj, self.send_message)

    def send_many(self, objects: Iterable[Any], timeout: float | None = None) -> int:
        """Send each of the objects; how many went before one found no room within
        `timeout` seconds (None: all go)."""
        sent = 0
        for obj in objects:
            try:
                self.send(obj, timeout)
            except Full:
                break
            sent += 1
        return sent

    def receive_many(self, limit: int, timeout: float | None = None) -> list[Any]:
        """Wait for one message, then take what is there, at most `limit`. If one of them
        cannot be decoded, the error has those before it in a list, `error.taken`."""
        if type(limit) is not int:
            limit = whole("limit", limit, -U64, U64)
        if limit < 1:
            return []
        found = [self.receive(timeout)]
        try:
            while len(found) < limit:
                found.append(self.receive(0))
        except (Empty, ClosedError):
            pass
        except BaseException as error:
            hand_over(error, found)
            raise
        return found

    def histogram(self, kind: str = "wait") -> Histogram:
        """What the queue has counted since it was made, for all its senders and
        receivers, also those that have died. "wait": seconds that messages waited;
        "service_time": seconds that servers had requests; "batch_size": rows that
        serve_batches() put together.

        NotFoundError if it counts nothing: the process that makes it says
        histograms=True, which is the default of a service."""
        one_of("kind", kind, KINDS)
        found = self.arena._histograms(self.name)
        if not found:
            error = NotFoundError(
                f"queue {self.name!r} counts nothing: make it with histograms=True"
            )
            error.code = CODES["TR_ENOENT"]
            try:
                raise error
            finally:
                del error  # its traceback would keep itself alive
        return Histogram(kind, found[KINDS.index(kind)])

    def _about(self) -> str:
        return f" {self.name!r}, {len(self)} of {self.capacity}"
