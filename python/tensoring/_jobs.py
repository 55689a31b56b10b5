# SPDX-License-Identifier: MIT
"""A pool's jobs and results as messages. A message's correlation id is the number of the
job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensoring import _objects
from tensoring._arena import ArenaQueue
from tensoring._errors import Full


def send(
    queue: ArenaQueue,
    number: int,
    job: Any,
    when_full: Callable[[], None] | None = None,
) -> None:
    """Encode and send. With `when_full`, call that instead of waiting for room."""
    if when_full is None:
        _objects.send(queue, job, None, number)
        return
    while True:
        try:
            _objects.send(queue, job, 0, number)
            return
        except Full:
            when_full()
