# SPDX-License-Identifier: MIT
"""Waits in a process that gevent has patched.

gevent cannot patch what waits in C: one greenlet would stop all others. So such calls go
to the thread pool of the greenlet's hub, whose threads gevent leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def patched() -> bool:
    """Whether a thread of this process is a greenlet. A worker of gunicorn is patched
    after the fork, when this package is long there, so it is asked each time."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


def apply(function: Callable[..., Any], *given: Any) -> Any:
    """Call it, while the other greenlets run."""
    hub = sys.modules["gevent"].get_hub()
    return hub.threadpool.apply(function, given)
