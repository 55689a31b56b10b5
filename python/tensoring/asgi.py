# SPDX-License-Identifier: MIT
"""The arena of an ASGI server: uvicorn, granian, Hypercorn, gunicorn's ASGI workers.

    app = FastAPI(lifespan=tensoring.asgi.lifespan(slots=[(64 << 10, 256)]))

Each worker finds the server's arena in request.state.arena, and by tensoring.server()."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeAlias

from tensoring._arena.arena import Arena
from tensoring._options import pairs, refuse
from tensoring._servers.current import leave, open_server
from tensoring._servers.functions import Function, call_once

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


def _enter(
    slots: Iterable[tuple[int, int]] | None,
    once: str | Function | None,
    options: dict[str, Any],
) -> Arena:
    arena = open_server(slots, **options)
    try:
        if once is not None:
            call_once(arena, "once", once)
    except BaseException:  # the server does not start, so nobody else leaves
        leave()
        raise
    return arena


@contextmanager
def _sigterm_comes_later() -> Iterator[None]:
    """Hypercorn sends SIGTERM to workers that are about to end, and they have no handler:
    one that was killed while it leaves would leave the name of the arena."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)


def lifespan(
    slots: Iterable[tuple[int, int]] | None = None,
    *,
    once: str | Function | None = None,
    inner: Lifespan | None = None,
    **options: Any,
) -> Lifespan:
    """A lifespan that opens the arena of the server: the first worker creates it, the
    others attach; the last one that leaves removes its name.

    slots, options: as of Arena(), but no name.
    once: a function, or "module:function", that one worker of the server calls with the
    arena before any of them serves (tables, weights). If that worker dies meanwhile,
    another one calls it.
    inner: a lifespan of your own, which runs inside: the arena is open by then. What it
    yields is in request.state beside `arena`."""
    if "name" in options:
        refuse(ValueError, "name", options["name"], "the server's arena has its own")
    classes = None if slots is None else pairs(slots)

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        arena = await loop.run_in_executor(None, _enter, classes, once, options)
        try:
            if inner is None:
                yield {"arena": arena}
            else:
                async with inner(app) as more:
                    given = more if isinstance(more, Mapping) else {}
                    yield {"arena": arena, **given}
        finally:
            with _sigterm_comes_later():
                await loop.run_in_executor(None, leave)

    return run
