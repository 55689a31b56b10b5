# SPDX-License-Identifier: MIT
"""What runs in a worker of a pool."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensoring import _jobs, _objects
from tensoring._arena import ArenaQueue
from tensoring._calls import Known, run
from tensoring._core import Message
from tensoring._errors import Closed
from tensoring._workers import Plan, limit_threads

DONE, FAILED, DIED, BROKEN, LEFT = range(5)


@dataclass(frozen=True)
class Setup:
    """What every worker of a pool is given."""

    jobs: ArenaQueue
    results: ArenaQueue
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    max_tasks: int | None
    plan: bytes | None
    threads: int | None


class RemoteTraceback(Exception):
    """The traceback of an exception in a worker, as text: its __cause__ here."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def restore(error: BaseException, text: str) -> BaseException:
    """The exception as it was, with its remote traceback as the cause."""
    error.__cause__ = RemoteTraceback(f'\n"""\n{text}"""')
    return error


def _send_error(results: ArenaQueue, kind: int, number: int, error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        _jobs.send(results, number, (kind, [(error, text)]))
    except Closed:
        raise
    except Exception:  # an exception that cannot travel goes as its text
        plain = RuntimeError(f"{type(error).__qualname__}: {error}")
        _jobs.send(results, number, (kind, [(plain, text)]))


def _run(setup: Setup, message: Message, known: Known) -> None:
    number = message.correlation_id
    if message.deliveries:
        # Who had it first died with it, so it is not tried again.
        _jobs.send(setup.results, number, (DIED, []))
        return
    try:
        (kind, pickled, by_name, names), values = _objects.open(message)
        found = run(kind, known.function(pickled, by_name), names, values)
        _jobs.send(setup.results, number, (DONE, found))
    except Closed:
        raise
    except Exception as error:
        _send_error(setup.results, FAILED, number, error)


def _enter(setup: Setup, index: int) -> None:
    # Ctrl-C goes to the whole group; the master ends its workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if setup.plan is not None:
        plan = Plan.__new__(Plan)
        plan._bytes = setup.plan
        plan.enter(index)
    elif setup.threads is not None:
        limit_threads(setup.threads)
    if setup.initializer is not None:
        setup.initializer(*setup.initargs)


def main(setup: Setup, index: int) -> None:
    """Receive, run, send, until the queue of jobs is shut down."""
    done = 0
    known = Known()
    setup.jobs._copy_if_kept()
    try:
        _enter(setup, index)
    except Exception as error:
        _send_error(setup.results, BROKEN, 0, error)
        return
    try:
        while setup.max_tasks is None or done < setup.max_tasks:
            # The message is held until the result is sent: if this process dies before,
            # another gets it.
            message = _jobs.receive(setup.jobs)
            _run(setup, message, known)
            del message
            done += 1
        _jobs.send(setup.results, 0, (LEFT, [os.getpid()]))
    except Closed:
        pass
