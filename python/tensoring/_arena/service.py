# SPDX-License-Identifier: MIT
"""Request and reply: any number of clients and servers on one queue."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensoring import _core
from tensoring._arena import aio, greenlets
from tensoring._errors import CODES, ClosedError, CorruptError, Error, NoServerError
from tensoring._options import U64, whole
from tensoring._serial import registry

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena
    from tensoring._arena.queue import ArenaQueue

FAILED = 1  # the code of a server function that raised
_DAMAGED = 64  # so many damaged requests in a row are more than a bad requester


def _refuse(request: _core.Message, error: BaseException) -> None:
    """Answer with an error. Its text may quote the request, and be none that can be sent;
    the request may say that it came from nowhere. Serving goes on."""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # it has no text
        said = type(error).__name__
    said = said.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    with contextlib.suppress(Error):
        request.reply_error(FAILED, said)


class Service:
    """A function that other processes call: svc.serve(fn) there, svc.call(x) here; in
    event loops `await svc.serve_async(fn)` and `await svc.call_async(x)`.

    A call ends in exactly one way: a reply, RemoteError if the function raised,
    PeerDiedError if every server that tried it died, or TimedOutError, which says how
    many serve and which process has the request in hand. A late reply is never taken for
    another's."""

    def __init__(self, queue: ArenaQueue) -> None:
        self._queue = queue

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

    def _check_servers(self, need_server: bool) -> None:
        if need_server and not self.servers:
            error = NoServerError(f"call: nobody serves {self.name!r}")
            error.code = CODES["TR_EPEERDIED"]
            try:
                raise error
            finally:
                del error  # its traceback would keep itself alive

    def call(
        self, obj: Any, timeout: float | None = None, need_server: bool = False
    ) -> Any:
        """Send `obj`, wait for the answer. The timeout in seconds is for all of it; 0
        gives a server no time. With need_server, NoServerError at once if nobody
        serves. Where gevent has patched the process, other greenlets run meanwhile."""
        self._check_servers(need_server)
        if greenlets.patched():
            return greenlets.apply(self._queue._call, obj, timeout)
        return self._queue._call(obj, timeout)

    async def call_async(
        self, obj: Any, timeout: float | None = None, need_server: bool = False
    ) -> Any:
        """Call in an event loop. Any number may be in flight; they wait for room in the
        queue and for slots. A call that is cancelled, or late, is given up."""
        self._check_servers(need_server)
        return await aio.call(self._queue, obj, timeout)

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
                if damaged > _DAMAGED:
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
                if damaged > _DAMAGED:
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
            answer = await aio.encode(self.arena, found)
            del found
            request.reply(answer)
        except (Exception, asyncio.CancelledError) as error:
            if request.released:
                raise
            _refuse(request, error)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _answer(self, request: _core.Message, function: Callable[[Any], Any]) -> None:
        try:
            if not request.is_request or request.remaining == 0:
                return  # nobody waits for it, or no longer
            answer = self.arena._encode(function(registry.decode(request)))
            # If the function kept a view of its argument, this says so.
            request.reply(answer)
        except Exception as error:
            if request.released:
                raise
            _refuse(request, error)

    def shutdown(self) -> None:
        """No more requests: servers end when they have answered what is there."""
        self._queue.shutdown()

    def __reduce__(self) -> Any:
        return (Service, (self._queue,))

    def __repr__(self) -> str:
        return f"<tensoring.Service on {self._queue!r}>"
