# SPDX-License-Identifier: MIT
"""Hooks for gunicorn: one arena for all its workers, which tensoring.server() gives.

    # gunicorn.conf.py
    from tensoring.gunicorn import *

    arena(slots=[(64 << 10, 256)], setup="tables:publish")

If you have a hook of your own, call ours in it: tensoring.gunicorn.post_fork(server,
worker). The hooks do not raise: what fails is in gunicorn's log, and the server goes on.
Only on_starting() ends a start that cannot succeed."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tensoring import _core
from tensoring._arena.arena import Arena
from tensoring._options import flag, pairs, refuse, whole
from tensoring._servers import dirty as names
from tensoring._servers import handover
from tensoring._servers.answers import answered
from tensoring._servers.current import VARIABLE, attach_given, current, set_current
from tensoring._servers.functions import Function, call_once, function_of
from tensoring._servers.parts import Parts
from tensoring._workers.plan import Plan, prefork

__all__ = [
    "arena",
    "child_exit",
    "dirty",
    "model",
    "nworkers_changed",
    "on_exit",
    "on_reload",
    "on_starting",
    "post_fork",
    "post_worker_init",
    "pre_exec",
    "pre_fork",
    "when_ready",
    "worker_exit",
]

Hook: TypeAlias = Callable[..., None]
_MOST_WORKERS = 1024
_CONSENT = ("allow_pickle", "max_expansion")


@dataclass
class _Asked:
    """What the configuration asks for."""

    slots: list[Any] | None = None
    setup: str | Function | None = None
    place: bool = True
    freeze: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def made_of(self) -> str:
        """To compare with that of an arena that is there."""
        return repr((self.slots, sorted(self.options.items())))


@dataclass
class _State:
    """One server. gunicorn.conf.py runs again at each HUP, in a module of its own."""

    asked: _Asked = field(default_factory=_Asked)
    fd: int = -1  # the arena's, for a child that must not ask the arena
    made_of: str = ""
    warned: str = ""
    parts: Parts = field(default_factory=Parts)
    models: list[str] = field(default_factory=list)  # of model(), until dirty()


_state = _State()


def arena(
    slots: Iterable[tuple[int, int]] | None = None,
    *,
    setup: str | Function | None = None,
    place: bool = True,
    freeze: bool = False,
    **options: Any,
) -> None:
    """Say which arena on_starting() makes; without this call it makes one by default.

    slots, options: as of Arena(), but no name. max_participants is by default enough for
    a reload (HUP) and a second server (USR2). A running arena keeps its options: to
    change them, stop and start gunicorn.
    setup: a function, or "module:function", that the master calls once with the arena,
    before it forks (tables, weights). Not at HUP, nor in the server that USR2 starts.
    place: give each worker cores of its own and thread counts that fit.
    freeze: before the fork, gc.freeze() what the master has: the collector of a worker
    then does not write to these pages, which so stay shared."""
    if "name" in options:
        refuse(ValueError, "name", options["name"], "the server's arena has none")
    given = None if slots is None else pairs(slots)
    _state.asked = _Asked(
        given, setup, flag("place", place), flag("freeze", freeze), options
    )


def model(path: str, workers: int = 1) -> None:
    """Serve a tr.Model, given as "module:Class", in so many of gunicorn's dirty workers,
    which gunicorn has since version 25. The configuration also has to say

        dirty_apps, dirty_workers = dirty(), 2

    Web workers call it by tr.server().service("name of the class in lower case")."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        refuse(ValueError, "path", path, 'give "module:Class"')
    number = whole("workers", workers, 1, _MOST_WORKERS)
    _state.models.append(f"{names.__name__}:{names.name_of(path)}:{number}")


def _has_dirty_workers() -> bool:
    with contextlib.suppress(ImportError):
        return importlib.util.find_spec("gunicorn.dirty") is not None
    return False


def dirty() -> list[str]:
    """The value for dirty_apps: what model() was called with."""
    if not _has_dirty_workers():
        raise RuntimeError(
            "this gunicorn has no dirty workers: install 25 or newer, or run the models"
            " with a tr.Supervisor"
        )
    found, _state.models = _state.models, []
    return found


def _total(hook: Hook) -> Hook:
    """Log what it raises: an exception in a hook can end the server and all workers."""

    @functools.wraps(hook)
    def total(server: Any, *more: Any) -> None:
        try:
            hook(server, *more)
        except Exception:
            server.log.exception("tensoring: %s failed", hook.__name__)

    return total


# ---- the master


def _consent() -> dict[str, Any]:
    options = _state.asked.options
    return {key: options[key] for key in _CONSENT if key in options}


def _create(server: Any) -> Arena:
    _state.made_of = _state.asked.made_of()
    where = os.environ.get(VARIABLE)
    if where:
        return attach_given(where, **_consent())
    options = dict(_state.asked.options)
    dirty = getattr(server.cfg, "dirty_workers", 0)  # gunicorn has them since 25
    wanted = 4 * server.cfg.workers + 2 * dirty + 16
    options.setdefault("max_participants", min(wanted, _core.MAX_PARTICIPANTS))
    return Arena(_state.asked.slots, **options)


def _adopt(server: Any) -> Arena | None:
    """The arena of the server that USR2 replaces."""
    server.cfg.env_orig.pop(handover.VARIABLE, None)
    found = handover.take(os.environ)
    if found is None or "GUNICORN_PID" not in os.environ:
        return None
    try:
        taken = handover.adopt(found[0], **_consent())
    except Exception as error:
        server.log.warning(
            "tensoring: the old server's arena cannot be used, so there is a new one: %s",
            error,
        )
        return None
    _state.made_of = found[1]
    return taken


def _check_options(server: Any) -> None:
    new = _state.asked.made_of()
    if new not in (_state.made_of, _state.warned):
        _state.warned = new
        server.log.warning(
            "tensoring: the arena keeps its slots and options, %s, until gunicorn is"
            " stopped and started; the configuration says %s",
            _state.made_of,
            new,
        )


def on_starting(server: Any) -> None:
    """Make the arena, or take the old server's (USR2), or the one that TENSORING_ARENA
    names; call setup."""
    asked = _state.asked
    if asked.setup is not None:
        function_of("setup", asked.setup)
    found = _adopt(server) or _create(server)
    set_current(found)
    _state.fd = found.fd
    _check_options(server)
    if asked.setup is not None:
        call_once(found, "setup", asked.setup)
    _make_plan(server)


@_total
def _make_plan(server: Any) -> None:
    _state.parts.plan = None
    if _state.asked.place:
        _state.parts.plan = Plan(max(1, server.num_workers))


@_total
def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Another plan; at each HUP, too. gunicorn's first call is before on_starting()."""
    if current() is not None:
        _make_plan(server)


@_total
def when_ready(server: Any) -> None:
    """Freeze, if arena() says so."""
    if _state.asked.freeze:
        gc.collect()
        gc.freeze()


def _reap() -> None:
    found = current()
    if found is not None:
        found.reap()


@_total
def on_reload(server: Any) -> None:
    """Say if the arena is not as the configuration says now."""
    _check_options(server)
    _reap()


@_total
def pre_fork(server: Any, worker: Any) -> None:
    """Choose the worker's part of the plan."""
    _state.parts.assign(worker, list(server.WORKERS.values()))
    prefork()


@_total
def child_exit(server: Any, worker: Any) -> None:
    """Take back what a dead worker held."""
    _reap()


@_total
def pre_exec(server: Any) -> None:
    """Runs in the child that becomes the next server. It must not use the arena: it would
    join it, and seem to be alive in the next server's process for good."""
    if _state.fd >= 0:
        handover.give(_state.fd, _state.made_of, server.cfg.env_orig)


@_total
def on_exit(server: Any) -> None:
    """Leave the arena."""
    found = current()
    set_current(None)
    _state.fd = -1
    if found is not None:
        found.close()


# ---- workers


@_total
def post_fork(server: Any, worker: Any) -> None:
    """Enter the plan: cores and thread counts."""
    _state.parts.enter(worker)


@_total
def post_worker_init(worker: Any) -> None:
    """Let gunicorn log and answer what a WSGI application lets out: many of our errors
    are an OSError, too, which gunicorn takes for one of the client's connection."""
    if hasattr(worker, "handle_request") and callable(getattr(worker, "wsgi", None)):
        worker.wsgi = answered(worker.wsgi)


@_total
def worker_exit(server: Any, worker: Any) -> None:
    """Leave the arena. gunicorn may call this in the master, for a worker it lost."""
    found = current()
    if found is not None and os.getpid() == worker.pid:
        found.close()
