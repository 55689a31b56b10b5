# SPDX-License-Identifier: MIT
"""What the handles in an arena have in common: closing, iterating, event loops."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from tensoring import _core
from tensoring._arena import aio
from tensoring._errors import ClosedError, LaggedError

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena


class Drain(Iterator[Any]):
    """What a channel receives, until it is shut down. An error that is of one message, or
    of a signal's handler, does not end it: the next call goes on."""

    def __init__(self, receive: Callable[[], Any]) -> None:
        self._receive = receive

    def __next__(self) -> Any:
        while True:
            try:
                return self._receive()
            except LaggedError:
                continue
            except ClosedError:
                raise StopIteration from None


class Channel:
    """A handle in an arena, which closes it when it is closed itself.

    A mixin: the extension's class comes after it. The class method _of() makes one."""

    _arena: Arena

    if TYPE_CHECKING:  # what the extension has

        @property
        def closed(self) -> bool: ...
        def close(self) -> None: ...

    def _enter(self, arena: Arena) -> Self:
        """The last step of _of()."""
        self._arena = arena
        arena._handles().add(self)
        return self

    @property
    def arena(self) -> Arena:
        """The arena that it is in."""
        return self._arena

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _about(self) -> str:
        """What repr() says of an open one, behind the name of its class."""
        raise NotImplementedError

    def __repr__(self) -> str:
        about = ", closed" if self.closed else self._about()
        return f"<tensoring.{type(self).__name__}{about}>"


class Named(Channel):
    """One that others open by its name, too; pickled by it."""

    _maker: str  # the arena's method that opens it
    _options: Mapping[str, Any] = MappingProxyType({})  # and how

    if TYPE_CHECKING:

        @property
        def name(self) -> str: ...

    def __reduce__(self) -> Any:
        return (_again, (self._arena, self._maker, self.name, dict(self._options)))


def _again(arena: Arena, maker: str, name: str, options: dict[str, Any]) -> Any:
    return getattr(arena, maker)(name, **options)


class Receiver(Channel):
    """One to receive from: receive(timeout), and _take(default) for event loops."""

    if TYPE_CHECKING:

        def receive(self, timeout: float | None = None) -> Any: ...
        def _take(self, default: Any, /) -> Any: ...

    def receive_async(self) -> Coroutine[Any, Any, Any]:
        """Receive in an event loop. A cancelled call has taken no message."""
        return aio.take(self, self._take)

    def __iter__(self) -> Iterator[Any]:
        return Drain(self.receive)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                return await self.receive_async()
            except LaggedError:
                continue
            except ClosedError:
                raise StopAsyncIteration from None

    def close(self) -> None:
        """Close this handle. The channel stays, and so does what was received."""
        super().close()
        aio.closed(self._arena, self)


class MessageReceiver(Receiver):
    """One that also gives messages undecoded, by _take_message(default)."""

    if TYPE_CHECKING:

        def _take_message(self, default: Any, /) -> Any: ...

    def receive_message_async(self) -> Coroutine[Any, Any, _core.Message]:
        """Receive undecoded in an event loop."""
        return aio.take(self, self._take_message)
