# SPDX-License-Identifier: MIT
"""Requests that wait in a queue, and processes that serve them in batches."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensoring as tr

LONGEST = 60  # seconds, that anything here may take


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + LONGEST
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0)
    return found


def sent(service: tr.Service) -> int:
    """How many requests the queue has got so far, those that it has no more, too."""
    found = service.arena.stats()["channels"]
    return sum(one["sent"] for one in found if one["name"] == service.queue.name)


class Calls:
    """Calls that wait for their answers, each in a thread. `ends` has what came, in their
    order: the answer, or the exception. If nobody serves yet they come into the queue in
    this order, too."""

    def __init__(
        self,
        service: tr.Service,
        given: list[Any],
        timeout: float = LONGEST,
        served: bool = False,
    ) -> None:
        self.ends: list[Any] = [None] * len(given)
        self._service = service
        self._timeout = timeout
        self._threads = []
        for number, obj in enumerate(given):
            thread = threading.Thread(target=self._call, args=(number, obj))
            self._threads.append(thread)
            before = sent(service)
            thread.start()
            until(lambda before=before: served or sent(service) > before)

    def _call(self, number: int, obj: Any) -> None:
        try:
            self.ends[number] = self._service.call(obj, timeout=self._timeout)
        except Exception as error:
            self.ends[number] = error

    def join(self) -> list[Any]:
        for thread in self._threads:
            thread.join()
        return self.ends


def answer(
    service: tr.Service, predict: Callable[[Any], Any], **options: Any
) -> list[Any]:
    """Serve what is in the queue, in this thread; the batches, as predict returned."""
    seen = []

    def seeing(batch: tr.Batch) -> Any:
        seen.append(len(batch))
        return predict(batch)

    with stopped() as stop:
        service.serve_batches(seeing, stop=stop, **options)
    return seen


@contextlib.contextmanager
def stopped() -> Iterator[int]:
    """A descriptor that is readable."""
    stop = os.eventfd(1)
    try:
        yield stop
    finally:
        os.close(stop)
