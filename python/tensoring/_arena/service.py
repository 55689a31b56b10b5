# SPDX-License-Identifier: MIT
"""Request and reply: any number of clients and servers on one queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensoring import _core
from tensoring._arena import aio, greenlets
from tensoring._arena.batch import MAX_PADDED, Batch, Form
from tensoring._arena.batches import Batches, HasFileno
from tensoring._arena.histogram import Histogram
from tensoring._arena.pace import Pace
from tensoring._arena.refusal import DAMAGED, described, refuse
from tensoring._errors import (
    CODES,
    BusyError,
    ClosedError,
    CorruptError,
    Full,
    NoServerError,
    TimedOutError,
)
from tensoring._options import U64, seconds, whole
from tensoring._serial import registry

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena
    from tensoring._arena.queue import ArenaQueue

_NO_SLOT = object()


def _answer_now(request: _core.Message, arena: Arena, found: Any) -> Any:
    """A message to reply with; None: the request's own slot went back with it; _NO_SLOT:
    neither is possible now. Requests alone may have all slots, and wait for this one."""
    try:
        return arena._encode(found, 0)
    except Full:
        return None if request._reply_reusing(found) else _NO_SLOT


class Service:
    """A function that other processes call: svc.serve(fn) there, svc.call(x) here; in
    event loops `await svc.serve_async(fn)` and `await svc.call_async(x)`.

    A call ends in exactly one way: a reply, RemoteError if the function raised,
    PeerDiedError if every server that tried it died, or TimedOutError, which says how
    many serve and which process has the request in hand. A late reply is never taken for
    another's."""

    def __init__(self, queue: ArenaQueue) -> None:
        self._queue = queue
        self._pace = Pace()

    @property
    def queue(self) -> ArenaQueue:
        """The queue of its requests."""
        return self._queue

    @property
    def arena(self) -> Arena:
        """The arena that it is in."""
        return self._queue.arena

    @property
    def name(self) -> str:
        """Its name in the arena."""
        return self._queue.name

    @property
    def servers(self) -> int:
        """How many living processes serve it: those that have waited for a request. A
        process that has died does not count, whether or not anybody has noticed."""
        return self._queue.receivers

    def histogram(self, kind: str = "service_time") -> Histogram:
        """What the service has counted since it was made; see ArenaQueue.histogram()."""
        return self._queue.histogram(kind)

    def _check_servers(self, need_server: bool) -> None:
        if need_server and not self.servers:
            error = NoServerError(f"call: nobody serves {self.name!r}")
            error.code = CODES["TR_EPEERDIED"]
            try:
                raise error
            finally:
                del error  # its traceback would keep itself alive

    def call(
        self,
        obj: Any,
        timeout: float | None = None,
        need_server: bool = False,
        need_room: bool = False,
    ) -> Any:
        """Send `obj`, wait for the answer. The timeout in seconds is for all of it; 0
        gives a server no time. With need_server, NoServerError at once if nobody
        serves. With need_room, BusyError at once if the queue is full, or no slot is
        free; else it waits for them. Under gevent other greenlets run
        meanwhile."""
        self._check_servers(need_server)
        try:
            if greenlets.here():
                return greenlets.call(self._queue, obj, timeout, need_room)
            return self._queue._call(obj, timeout, need_room)
        except Full as error:
            if not need_room or isinstance(error, TimedOutError):
                raise
            raise self._busy(error) from None

    async def call_async(
        self,
        obj: Any,
        timeout: float | None = None,
        need_server: bool = False,
        need_room: bool = False,
    ) -> Any:
        """Call in an event loop. Any number may be in flight; they wait for room in the
        queue and for slots, except with need_room: BusyError at once. A call that is
        cancelled, or late, is given up."""
        self._check_servers(need_server)
        try:
            return await aio.call(self._queue, obj, timeout, need_room)
        except Full as error:
            if not need_room or isinstance(error, TimedOutError):
                raise
            raise self._busy(error) from None

    def _busy(self, why: Full) -> BusyError:
        error = BusyError(f"call: {self.name!r} is busy: {why}")
        error.code = why.code
        error.retry_after = self._pace.retry_after(self._queue)
        return error

    def serve(self, function: Callable[[Any], Any], limit: int | None = None) -> int:
        """Answer requests with function(object) until the service is shut down, or
        `limit` are answered. An exception goes to the requester, and serving goes on."""
        if limit is not None:
            whole("limit", limit, 0, U64, ", or None")
        done = damaged = 0
        while limit is None or done < limit:
            try:
                request = self._queue.receive_message()
            except ClosedError:
                break
            except CorruptError:  # its requester has been told
                damaged += 1
                if damaged > DAMAGED:
                    raise
                continue
            self._answer(request, function)
            del request
            done, damaged = done + 1, 0
        return done

    def serve_one(
        self, function: Callable[[Any], Any], timeout: float | None = None
    ) -> None:
        """Answer one request; ReceiveTimedOutError if none comes in time."""
        self._answer(self._queue.receive_message(timeout), function)

    def serve_batches(
        self,
        predict: Callable[[Batch], Any],
        *,
        max_batch_size: int = 32,
        max_wait: float = 0.0,
        ragged: str | None = None,
        row_ndim: int = 1,
        max_padded_bytes: int = MAX_PADDED,
        stop: int | HasFileno | _core.Worker | None = None,
    ) -> int:
        """Answer requests in batches until the service is shut down: predict(batch) gets
        the rows of several requests in batch.x, and returns an array or a list with a
        row for each of them (or a dict of such). Each requester gets its own rows.
        Returns how many requests were answered.

        A request is one row, an array of `row_ndim` dimensions, or several rows, an array
        of one dimension more; its answer is then one row, or several.
        max_batch_size: rows of a batch.
        max_wait: seconds, from the first request of a batch, to wait for more, but at
        most half the time that any request in hand has left. 0: take what is there.
        Either way it waits for the first without polling.
        ragged: None: a batch has rows of one shape and dtype; other requests are kept for
        the next batch, the oldest goes first. "pad": rows may differ in their first
        dimension, and are filled with zeros; "concat": they are put one after another;
        batch.lengths tells how long each is. "list": batch.x is a list of what the
        requests sent, whatever it is; each is one row.
        max_padded_bytes: of a batch of several requests with ragged="pad"; a request that
        would make it larger goes into the next batch.
        stop: a descriptor, or an object with fileno(), that is readable when it is time
        to stop; or a Worker of a Supervisor. Then it answers what is in the queue by that
        time, and returns.

        A request fails alone, if its row in a list is an exception, or by batch.fail().
        If predict raises, it is called again with one request at a time. A request whose
        server died is run alone as well, so it is PeerDiedError only for that one
        which ends its servers. Requests whose deadline is over are dropped before."""
        form = Form(max_batch_size, ragged, row_ndim, max_padded_bytes)
        wait = seconds("max_wait", max_wait, "a number")
        return Batches(self._queue, predict, form, wait).run(stop)

    async def serve_async(
        self, function: Callable[[Any], Any], limit: int | None = None
    ) -> int:
        """Serve in an event loop, one request at a time; several tasks may do so. The
        function may be a coroutine function. Cancelled, it answers what it had in hand
        with an error."""
        if limit is not None:
            whole("limit", limit, 0, U64, ", or None")
        done = damaged = 0
        while limit is None or done < limit:
            try:
                request = await self._queue.receive_message_async()
            except ClosedError:
                break
            except CorruptError:  # its requester has been told
                damaged += 1
                if damaged > DAMAGED:
                    raise
                continue
            await self._answer_async(request, function)
            del request
            done, damaged = done + 1, 0
        return done

    async def _answer_async(
        self, request: _core.Message, function: Callable[[Any], Any]
    ) -> None:
        try:
            if not request.is_request or request.remaining == 0:
                return
            found = function(registry.decode(request))
            if inspect.isawaitable(found):
                found = await found
            answer = _answer_now(request, self.arena, found)
            if answer is None:
                return
            if answer is _NO_SLOT:
                answer = await aio.encode(self.arena, found)
            del found
            request.reply(answer)
        except BaseException as error:  # also a cancellation, of asyncio or trio
            if request.released:
                raise
            refuse(request, described(error))
            if not isinstance(error, Exception):
                raise

    def _answer(self, request: _core.Message, function: Callable[[Any], Any]) -> None:
        try:
            if not request.is_request or request.remaining == 0:
                return  # nobody waits for it, or no longer
            found = function(registry.decode(request))
            answer = _answer_now(request, self.arena, found)
            if answer is None:
                return
            if answer is _NO_SLOT:
                answer = self.arena._encode(found, request.remaining)
            del found
            # If the function kept a view of its argument, this says so.
            request.reply(answer)
        except Exception as error:
            if request.released:
                raise
            refuse(request, described(error))

    def shutdown(self) -> None:
        """No more requests: servers end when they have answered what is there."""
        self._queue.shutdown()

    def __reduce__(self) -> Any:
        return (Service, (self._queue,))

    def __repr__(self) -> str:
        return f"<tensoring.Service on {self._queue!r}>"
