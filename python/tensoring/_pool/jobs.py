# SPDX-License-Identifier: MIT
"""A pool's jobs and results as messages. A message's correlation id is the number of the
job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensoring._arena.queue import ArenaQueue
from tensoring._core import Message
from tensoring._errors import ClosedError, Empty, Full
from tensoring._standin import objects, stuck

_STEP = 1.0  # seconds between looks at the master


def send(queue: ArenaQueue, number: int, answer: Any, holds: Callable[[], bool]) -> None:
    """Send what a job gave. Waits for room as long as there is a master that makes it."""
    patience = None
    while True:
        try:
            objects.send(queue, answer, _STEP, number)
            return
        except Full:
            if not holds():
                raise ClosedError from None
            patience = patience or stuck.PatienceAside(queue, "a result", _STEP)
            patience.waited()


def receive(queue: ArenaQueue, holds: Callable[[], bool]) -> Message:
    """The next job, undecoded. ClosedError if there is no master any more. What jobs left
    in cycles keeps slots: it is collected where there is nothing else to do."""
    patience = None
    while True:
        try:
            return queue.receive_message(_STEP)
        except Empty:
            if not holds():
                raise ClosedError from None
            patience = patience or stuck.Patience(queue, "")
            patience.over()
