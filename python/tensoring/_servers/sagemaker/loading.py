# SPDX-License-Identifier: MIT
"""A model that loads in a thread of its own, so that /ping is answered meanwhile."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from tensoring._arena import greenlets
from tensoring._servers.sagemaker.answers import log
from tensoring._servers.sagemaker.errors import RequestError, busy


class Loading:
    """The model of this process, when it is there."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._model: Any = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._maker = threading.get_ident()
        self._thread = threading.Thread(target=self._run, daemon=True)
        _all.add(self)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._model = greenlets.aside(self._load)
        except BaseException as error:
            self._error = error
            log.error("the model could not be loaded", exc_info=error.__cause__ or error)
        self._done.set()

    @property
    def ready(self) -> bool:
        """Whether it has been loaded."""
        return self._done.is_set() and self._error is None

    def model(self, timeout: float) -> Any:
        """Wait for it, at most so many seconds."""
        if not self._done.wait(min(timeout, threading.TIMEOUT_MAX)):
            raise busy("the model is still being loaded")
        if self._error is not None:
            raise RequestError(
                "the model could not be loaded; the log of the server says more", 503
            )
        return self._model

    def before_fork(self) -> None:
        """A child has no such thread: so the model is there before it is made. gunicorn's
        preload_app loads one model for all workers. What other threads fork are no
        workers: the model may wait for them, as it does for those of a pool."""
        if threading.get_ident() == self._maker:
            self._thread.join()


_all: weakref.WeakSet[Loading] = weakref.WeakSet()


def _before_fork() -> None:
    for one in list(_all):
        one.before_fork()


os.register_at_fork(before=_before_fork)
