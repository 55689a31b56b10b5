# SPDX-License-Identifier: MIT
"""A pool's jobs and results as messages: trees, made and read by the extension, with a
pickle of whatever is in them that it has no word for. A message's correlation id is the
number of the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensoring._arena import ArenaQueue
from tensoring._errors import Full
from tensoring._pickle import dump_any


def send(
    queue: ArenaQueue,
    number: int,
    job: Any,
    when_full: Callable[[], None] | None = None,
) -> None:
    """Encode and send. With `when_full`, call that instead of waiting for room."""
    if when_full is None:
        queue._send_tree(job, dump_any, number)
        return
    while True:
        try:
            queue._send_tree(job, dump_any, number, 0)
            return
        except Full:
            when_full()
