# SPDX-License-Identifier: MIT
"""What runs in a worker of a pool."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined]
from types import FrameType
from typing import Any

from tensoring._arena.queue import ArenaQueue
from tensoring._core import Message
from tensoring._errors import ClosedError, Error, TooLargeError
from tensoring._pool import jobs as _jobs
from tensoring._pool.calls import Known, run
from tensoring._pool.failures import Packed, pack, shortened
from tensoring._pool.lifeline import Lifeline
from tensoring._standin import objects
from tensoring._workers.plan import Plan, limit_threads

DONE, FAILED, DIED, BROKEN, LEFT, READY, UNREAD, PART = range(8)
_JOBS = 16  # between quick looks at the master


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
    master: int
    executor: bool  # behaves as concurrent.futures does, not as multiprocessing


class _Interrupts:
    """What SIGINT does in a worker: Ctrl-C goes to the whole group. A pool's master ends
    its workers in good order; an executor's waits for what they do, so the job that one
    does is interrupted, as in concurrent.futures. Programs that a job starts get the
    usual handler, which they would not if the signal were ignored."""

    def __init__(self, executor: bool) -> None:
        self.executor = executor
        self.in_job = False
        self.pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if (self.executor and self.in_job) or os.getpid() != self.pid:
            signal.default_int_handler(number, frame)


class Worker:
    """Receives jobs, runs them, sends what they give."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.known = Known()
        self.lifeline = Lifeline(setup.master)
        self.interrupts = _Interrupts(setup.executor)

    def send(self, number: int, answer: tuple[int, list[Any]]) -> None:
        """Wait for room as long as there is a master that makes it."""
        _jobs.send(self.setup.results, number, answer, self.lifeline.holds_fast)

    def send_error(self, kind: int, number: int, packed: Packed) -> None:
        """Send an exception, or its texts if it is too large."""
        try:
            self.send(number, (kind, [packed]))
        except ClosedError:
            raise
        except BaseException:
            self.send(number, (kind, [shortened(packed)]))

    def send_values(self, number: int, values: list[Any], kind: int = DONE) -> None:
        """Send what a job gave, in several messages if one would be too large."""
        try:
            self.send(number, (kind, values))
        except TooLargeError:
            if len(values) < 2:
                raise
            half = len(values) // 2
            self.send_values(number, values[:half], PART)
            self.send_values(number, values[half:], kind)

    def run(self, message: Message) -> None:
        """Do a job. It is held until its result is sent: if this process dies before,
        another gets it."""
        number = message.correlation_id
        if message.deliveries:
            # Its first worker died, so it is not tried again.
            self.send(number, (DIED, [message.header()["last_receiver"]]))
            return
        try:
            (kind, pickled, by_name, names), values = objects.open(message)
            function = self.known.function(pickled, by_name)
        except BaseException as error:
            self.send_error(UNREAD, number, pack(error))
            return
        try:
            self.interrupts.in_job = True
            found = run(kind, function, names, values)
            self.interrupts.in_job = False
        except BaseException as error:
            self.interrupts.in_job = False
            self.send_error(FAILED, number, pack(error))
            return
        try:
            self.send_values(number, found)
        except ClosedError:
            raise
        except BaseException as error:
            self.send_error(FAILED, number, pack(self._unsent(error, found)))

    def _unsent(self, error: BaseException, found: list[Any]) -> BaseException:
        if self.setup.executor or isinstance(error, Error):
            return error
        try:
            value = found[0] if len(found) == 1 else found
            wrapped: BaseException = MaybeEncodingError(error, value)
            return wrapped
        except BaseException:  # it prints the value
            return error

    def work(self) -> None:
        """Until the queue of jobs is shut down, the master dies, or enough is done."""
        self.lifeline.renew()
        if not self.lifeline.holds_fast():
            return
        self.send(0, (READY, [os.getpid()]))
        jobs, holds = self.setup.jobs, self.lifeline.holds_fast
        done = 0
        while self.setup.max_tasks is None or done < self.setup.max_tasks:
            if not done % _JOBS and not self.lifeline.holds():
                return  # what is left is nobody's
            self.run(_jobs.receive(jobs, holds))
            done += 1
        self.send(0, (LEFT, [os.getpid()]))


def _enter(setup: Setup, index: int) -> None:
    if setup.plan is not None:
        Plan.from_bytes(setup.plan).enter(index)
    elif setup.threads is not None:
        limit_threads(setup.threads)
    if setup.initializer is not None:
        setup.initializer(*setup.initargs)


def main(setup: Setup, index: int) -> None:
    """The life of a worker."""
    setup.jobs._copy_if_kept()
    setup.jobs._half = setup.results._half = True
    worker = Worker(setup)
    signal.signal(signal.SIGINT, worker.interrupts)
    try:
        try:
            _enter(setup, index)
        except BaseException as error:
            if setup.executor:
                log = logging.getLogger("concurrent.futures")
                log.critical("Exception in initializer:", exc_info=True)
            worker.send_error(BROKEN, 0, pack(error))
            if setup.executor:
                return
            raise  # multiprocessing prints it
        worker.work()
    except ClosedError:
        pass
