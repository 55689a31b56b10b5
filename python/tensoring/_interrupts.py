# SPDX-License-Identifier: MIT
"""The handler of a signal runs in the main thread, between two steps of the interpreter,
and may raise there: what tells such an exception from others, and what it cannot leave
locked."""

from __future__ import annotations

import contextlib
import functools
import operator
import signal
import threading
from typing import Any


def in_main_thread() -> bool:
    """Where handlers of signals run."""
    return threading.current_thread() is threading.main_thread()


def _code_of(handler: Any) -> Any:
    """What runs when the handler does; None if it is not Python's."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = getattr(handler, "__func__", handler)
    if callable(handler) and not hasattr(handler, "__code__"):
        handler = type(handler).__dict__.get("__call__")
    return getattr(handler, "__code__", None)


def of_handler(error: BaseException) -> bool:
    """Whether a handler that is set now has raised it, or let it pass."""
    if not in_main_thread():
        return False
    handlers = {_code_of(signal.getsignal(one)) for one in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def is_interrupt(error: BaseException) -> bool:
    """Whether it is, perhaps, of a signal. That of Ctrl-C has no frame to know it by."""
    return in_main_thread() and (
        isinstance(error, KeyboardInterrupt) or of_handler(error)
    )


class Condition(threading.Condition):
    """`with` takes and gives back the lock in one step each; that of the original runs
    Python code, which an exception ends between the two."""

    # Properties without a function of Python: each call of a future goes through them.
    __enter__ = property(operator.attrgetter("_lock.__enter__"))
    __exit__ = property(operator.attrgetter("_lock.__exit__"))


class Waker:
    """An event, made of a lock alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Those that wait go on, and those that come later."""
        with contextlib.suppress(RuntimeError):  # it is set
            self._lock.release()

    def wait(self, timeout: float) -> None:
        """Until it is set, at most so many seconds. May return before."""
        if self._lock.acquire(timeout=timeout):
            self.set()
