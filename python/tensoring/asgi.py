# SPDX-License-Identifier: MIT
"""The arena of an ASGI server: uvicorn, granian, Hypercorn, gunicorn's ASGI workers.

    app = FastAPI(lifespan=tensoring.asgi.lifespan(slots=[(64 << 10, 256)]))

Each worker finds the server's arena in request.state.arena, and by tensoring.server()."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from tensoring._arena.arena import Arena
from tensoring._options import refuse
from tensoring._servers.current import leave, open_server

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]


def function_of(what: str | Callable[[Arena], object]) -> Callable[[Arena], object]:
    """A function, given itself or as "module:name"."""
    if callable(what):
        return what
    module, colon, path = what.partition(":") if isinstance(what, str) else ("", "", "")
    if not (module and colon and path):
        refuse(ValueError, "once", what, 'give a function, or "module:function"')
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        refuse(TypeError, "once", what, "it is no function")
    checked: Callable[[Arena], object] = found
    return checked


def key_of(what: str | Callable[[Arena], object]) -> str:
    """By which all workers know the same function."""
    if isinstance(what, str):
        return what
    return f"{what.__module__}:{what.__qualname__}"


def _enter(
    slots: Iterable[tuple[int, int]] | None,
    once: str | Callable[[Arena], object] | None,
    options: dict[str, Any],
) -> Arena:
    arena = open_server(slots, **options)
    if once is not None:
        function = function_of(once)
        arena.once(key_of(once), lambda: function(arena))
    return arena


def lifespan(
    slots: Iterable[tuple[int, int]] | None = None,
    *,
    once: str | Callable[[Arena], object] | None = None,
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

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        arena = await loop.run_in_executor(None, _enter, slots, once, options)
        try:
            if inner is None:
                yield {"arena": arena}
            else:
                async with inner(app) as more:
                    given = more if isinstance(more, Mapping) else {}
                    yield {"arena": arena, **given}
        finally:
            await loop.run_in_executor(None, leave)

    return run
