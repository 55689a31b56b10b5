# SPDX-License-Identifier: MIT
"""The arena of the server that this process belongs to.

Workers that are forked inherit it. Workers that are spawned share only their parent: so
its pid and start time are in the name of their arena, which the first of them creates."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

from tensoring._arena.arena import Arena
from tensoring._errors import (
    CODES,
    DeniedError,
    Error,
    NotFoundError,
    SystemFailureError,
)
from tensoring._serial.allowance import MAX_EXPANSION
from tensoring._servers.users import Use

VARIABLE = "TENSORING_ARENA"

_KINDS: dict[type[OSError], type[Error]] = {
    FileNotFoundError: NotFoundError,
    PermissionError: DeniedError,
}

_PRELOADED = (
    "with preload_app gunicorn imports the application before there is an arena: call"
    " server() in functions, not while a module is imported"
)

_lock = threading.Lock()
_current: Arena | None = None
_use: Use | None = None  # of an arena that the workers of this server know by its name


def current() -> Arena | None:
    """The arena that this process has made, found or inherited, if it is open."""
    return None if _current is None or _current.closed else _current


def set_current(arena: Arena | None) -> None:
    """Make it what server() gives, here and in processes that are forked later."""
    global _current
    _current = arena


def started(pid: int) -> str:
    """When a process was started, in ticks since the boot: pids come again."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return "0"


def _server_pid() -> int:
    """The process that starts the workers of this server; this one if none does."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        return parent.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else os.getpid()


def prefix() -> str:
    """That the arenas of all servers of this user have in their names."""
    return f"server.{os.geteuid()}."


def name_of_server() -> str:
    """The arena's name, the same in all workers of a server."""
    pid = _server_pid()
    return f"{prefix()}{pid}.{started(pid)}"


def _attach_path(path: str, **consent: Any) -> Arena:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    arena = None
    try:
        arena = Arena.attach_fd(fd, **consent)
    finally:
        if arena is None or arena.info()["closing_is_safe"]:
            os.close(fd)
    return arena


def _of_the_variable(where: str, error: Error | OSError) -> Error:
    kind: type[Error]
    if isinstance(error, Error):
        kind, code = type(error), error.code
    else:
        kind = _KINDS.get(type(error), SystemFailureError)
        code = -(error.errno or 0)
    told = kind(
        f"{VARIABLE} is {where!r}; it must be the name of an arena that is there, or the"
        f" path of a descriptor of one, /proc/PID/fd/N: {error}"
    )
    told.code = code
    return told


def attach_given(where: str, timeout: float | None = 0, **consent: Any) -> Arena:
    """Attach to what the environment variable says, a name, or the path of a descriptor,
    /proc/PID/fd/N; errors name the variable."""
    try:
        if where.startswith("/"):
            return _attach_path(where, **consent)
        return Arena.attach(where, timeout=timeout, **consent)
    except (Error, OSError) as error:
        raise _of_the_variable(where, error) from None


def _open_named(slots: Iterable[tuple[int, int]] | None, **options: Any) -> Arena:
    global _use
    Arena.sweep(prefix())  # of servers whose processes are all dead
    while True:
        found = Arena.open(name_of_server(), slots, **options)
        try:
            _use = Use(found)
        except BaseException:
            found.close()
            if found.created:
                Arena.unlink(name_of_server())
            raise
        if _use.named():
            found.reap()  # what the worker held whose place this one takes
            return found
        _use.leave()  # the last worker has just removed the name
        found.close()


def open_server(slots: Iterable[tuple[int, int]] | None, **options: Any) -> Arena:
    """The arena of this server, which its first worker creates."""
    with _lock:
        found = current()
        if found is None:
            where = os.environ.get(VARIABLE)
            if where:
                consent = ("allow_pickle", "max_expansion")
                given = {key: options[key] for key in consent if key in options}
                found = attach_given(where, **given)
            else:
                found = _open_named(slots, **options)
            set_current(found)
        return found


def server(
    timeout: float | None = 0,
    *,
    allow_pickle: bool = False,
    max_expansion: int = MAX_EXPANSION,
) -> Arena:
    """The arena of the web server that this process belongs to, wherever the code runs:
    the one that the process made or inherited (tensoring.gunicorn, tensoring.asgi), else
    the one that TENSORING_ARENA names (a name, or the path of a descriptor), else the one
    that another worker of the same server made. Waits for it, at most `timeout` seconds.
    Consent as in Arena.attach(), where it has to attach.

    NotFoundError, TimedOutError: there is none (in time)."""
    known = current()
    if known is not None:
        return known
    consent: dict[str, Any] = {
        "allow_pickle": allow_pickle,
        "max_expansion": max_expansion,
    }
    # Without the lock: another thread may be about to make what this one waits for.
    where = os.environ.get(VARIABLE)
    if where:
        found = attach_given(where, timeout, **consent)
    else:
        found = _attach_own(name_of_server(), timeout, **consent)
    with _lock:
        known = current()
        if known is None:
            set_current(found)
            return found
    found.close()
    return known


def _attach_own(name: str, timeout: float | None, **consent: Any) -> Arena:
    try:
        return Arena.attach(name, timeout=timeout, **consent)
    except NotFoundError:
        preloaded = "gunicorn.arbiter" in sys.modules
        found = NotFoundError(
            f"this process belongs to no server that has an arena (looked for {name!r}):"
            " use the hooks of tensoring.gunicorn, tensoring.asgi.lifespan(), or set"
            f" {VARIABLE} to the name of an arena"
            + ("; " + _PRELOADED if preloaded else "")
        )
        found.code = CODES["TR_ENOENT"]
        raise found from None


def leave() -> None:
    """Close it; the last worker of a server removes the name."""
    global _use
    with _lock:
        found, use = current(), _use
        set_current(None)
        _use = None
    if found is not None:
        found.close()
    if use is not None:
        use.leave()
