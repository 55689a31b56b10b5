# SPDX-License-Identifier: MIT
"""Broadcasts: each message to every subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from tensoring import _core
from tensoring._arena import aio
from tensoring._arena.channel import MessageReceiver, Named
from tensoring._options import U32, fit, flag, one_of, text, whole

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena


class Broadcast(Named, _core.Broadcast):
    """Each message to every subscriber, one copy for all of them."""

    _maker = "broadcast"

    @classmethod
    def _of(
        cls,
        arena: Arena,
        name: str,
        capacity: int,
        keep: int,
        max_subscribers: int,
        stamp: bool,
    ) -> Self:
        text("name", name)
        flag("stamp", stamp)
        fit(U32, capacity=capacity, keep=keep, max_subscribers=max_subscribers)
        self = cls._open(arena, name, capacity, keep, max_subscribers, int(stamp))
        return self._enter(arena)

    def subscribe(self, lag: str = "drop_oldest", last: int = 0) -> Subscription:
        """Become a subscriber, beginning with the `last` messages that are still there.

        lag says what happens when it is too far behind: publishers wait ("block"), it
        misses the oldest ("drop_oldest"), or it must subscribe again ("evict")."""
        return Subscription._of(self, lag, last)

    async def publish_async(self, obj: Any) -> None:
        """Publish in an event loop: as publish(), and other tasks run while no slot is
        free or a subscriber that blocks is behind. A cancelled call published nothing."""
        await aio.send(self, obj, self.publish_message)

    def close(self) -> None:
        """Forget this handle; the broadcast stays."""
        super().close()
        aio.closed(self._arena, self)

    def _about(self) -> str:
        return f" {self.name!r}, {self.subscribers} subscribers"


class Subscription(MessageReceiver, _core.Subscription):
    """One place in a broadcast. Iteration, also `async for`, goes on over gaps (see
    `missed`) and ends when the broadcast is shut down."""

    @classmethod
    def _of(cls, broadcast: Broadcast, lag: str, last: int) -> Self:
        one_of("lag", lag, _core.LAGS)
        whole("last", last, 0, U32)
        return cls._open(broadcast, _core.LAGS[lag], last)._enter(broadcast.arena)

    def _about(self) -> str:
        return f", missed {self.missed}"
