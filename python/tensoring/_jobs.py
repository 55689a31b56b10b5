# SPDX-License-Identifier: MIT
"""A pool's jobs and results as messages. A message's correlation id is the number of the
job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensoring import _objects, _stuck
from tensoring._arena import ArenaQueue
from tensoring._core import Message
from tensoring._errors import Empty, Full


def send(
    queue: ArenaQueue,
    number: int,
    job: Any,
    when_full: Callable[[], None] | None = None,
) -> None:
    """Encode and send. With `when_full`, call that instead of waiting for room."""
    if when_full is None:
        _send_patiently(queue, number, job)
        return
    patience = _stuck.Patience(queue, "a job")
    while True:
        try:
            _objects.send(queue, job, 0, number)
            return
        except Full:
            when_full()
            patience.waited()


def _send_patiently(queue: ArenaQueue, number: int, job: Any) -> None:
    patience = _stuck.Patience(queue, "a result")
    while True:
        try:
            _objects.send(queue, job, patience.step(), number)
            return
        except Full:
            patience.waited()


def receive(queue: ArenaQueue) -> Message:
    """The next job, undecoded. What jobs left in cycles keeps slots: it is collected
    where there is nothing else to do."""
    message: Message | None = queue._take_message(None)
    patience = _stuck.Patience(queue, "")
    while message is None:
        try:
            message = queue.receive_message(patience.idle())
        except Empty:
            patience.over()
    return message
