# SPDX-License-Identifier: MIT
"""Models in gunicorn's dirty workers, which gunicorn starts, watches and starts again.

gunicorn imports an application of theirs by "module:name"; the names here are those of
the models that gunicorn.conf.py has asked for. A model serves its queue in the arena;
nothing goes the way of gunicorn's own requests to dirty workers."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tensoring._arena.arena import Arena
from tensoring._servers.current import server
from tensoring._servers.model import serve_model

# Seconds that a stop may take; gunicorn's graceful_timeout is 30 by default.
_PATIENCE = 25

_log = logging.getLogger("tensoring")
_paths: dict[str, str] = {}  # of models, by name
_apps: list[App] = []  # of this dirty worker


def name_of(path: str) -> str:
    """The name by which gunicorn finds the application of a model."""
    name = path.replace(".", "_").replace(":", "_")
    _paths[name] = path
    return name


def __getattr__(name: str) -> type[App]:
    if name not in _paths:
        raise AttributeError(f"gunicorn.conf.py has no model {name!r}")
    return type(name, (App,), {"path": _paths[name]})


class App:
    """What gunicorn wants of an application."""

    workers: int | None = None
    path = ""

    def init(self) -> None:
        """Load the model, and serve it in a thread from then on."""
        if not _apps:
            _follow(os.getppid())
        _apps.append(self)
        self._arena = server()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loaded = False
        self._thread = threading.Thread(target=self._run, name=self.path, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            serve_model(self._arena, self.path, stop=self._stop, ready=self._tell)
        except BaseException as error:
            if not self._loaded:
                self._failure = error
                self._ready.set()
                return
            _log.exception("the model %s has ended; so its process does", self.path)
            os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self) -> None:
        self._loaded = True
        self._ready.set()

    def __call__(self, action: str, *args: Any, **more: Any) -> Any:
        """Refuse: web workers call the service in the arena."""
        raise ValueError(f"no {action!r} here: call the model's service in the arena")

    def close(self) -> None:
        """Answer the web workers until they have ended, too. gunicorn tells both to stop
        at the same time."""
        end = time.monotonic() + _PATIENCE
        if self._thread.is_alive():
            _wait_for(_web_workers(self._arena), end)
        self._finish(end)

    def _finish(self, end: float) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join(max(0.0, end - time.monotonic()))


def _follow(manager: int) -> None:
    """End with gunicorn's dirty arbiter. If that is killed, gunicorn starts another one
    with new dirty workers, and the old ones would go on for good, after the server's end,
    too."""
    process = os.pidfd_open(manager)

    def end() -> None:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.poll()
        _log.warning("the dirty arbiter %d has ended; so does this dirty worker", manager)
        end = time.monotonic() + _PATIENCE
        for app in _apps:
            app._finish(end)
        os._exit(1)

    threading.Thread(target=end, name="follow the dirty arbiter", daemon=True).start()


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[1])
    return 0


def _web_workers(arena: Arena) -> set[int]:
    """Those of the processes in the arena that gunicorn's master has started."""
    manager = os.getppid()  # of the dirty workers
    master = _parent(manager)
    found = {one["pid"] for one in arena.stats()["participants"] if one["alive"]}
    return {pid for pid in found - {manager} if _parent(pid) == master}


def _wait_for(pids: set[int], end: float) -> None:
    """Until they have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            try:
                left = max(0.0, end - time.monotonic())
                select.select([process], [], [], left)
            finally:
                os.close(process)
