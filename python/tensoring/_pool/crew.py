# SPDX-License-Identifier: MIT
"""The worker processes of a pool: started, looked after, replaced, ended."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

from tensoring._interrupts import is_interrupt
from tensoring._options import U32, refuse
from tensoring._pool.worker_main import Setup, main

_MORE_TRIES = 3  # starts that may fail one after the other, beyond one for each worker
_PAUSE = 0.1  # seconds before the first of these; doubled for each that follows
_PATIENCE = 5.0  # seconds that a worker may take to end by SIGTERM
_DEATHS = 1024  # of so many it is known how they died


def check_threads(threads: int | str | None) -> None:
    number = isinstance(threads, int) and 1 <= threads <= U32
    if not number and threads is not None and threads != "auto":
        way = f'give "auto", a number from 1 to {U32}, or None'
        refuse(ValueError, "threads", threads, way)


def check_crew(context: Any, initializer: Any, initargs: Any) -> None:
    """What workers are started with and from."""
    if context is not None and not hasattr(context, "Process"):
        way = "give multiprocessing.get_context(METHOD), or None"
        refuse(TypeError, "the context", context, way)
    if initializer is not None and not callable(initializer):
        refuse(TypeError, "initializer", initializer, "it must be a callable, or None")
    if not isinstance(initargs, Iterable):
        refuse(TypeError, "initargs", initargs, "give a tuple of arguments")


class Worker:
    """One process, watched by a descriptor of it: what SIGCHLD does changes nothing."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.fd = -1
        self._vanished = False
        pid: Any = getattr(process, "pid", None)  # a context may make what has none
        self.pid = pid
        if not hasattr(select, "poll"):
            return  # eventlet takes it away
        try:
            self.fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._vanished = True  # nobody has to wait for it where SIGCHLD is ignored
        except (AttributeError, OSError, TypeError):
            pass  # this kernel has none

    def is_dead(self) -> bool:
        """Whether it has ended."""
        if self.fd < 0:
            return self._vanished or not self.process.is_alive()
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def await_death(self, timeout: float | None) -> bool:
        """Wait for its end at most `timeout` seconds; whether it came."""
        if self.fd < 0:
            self.process.join(*() if timeout is None else (timeout,))
            return self.is_dead()
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0, timeout * 1000)))

    def kill(self, number: int) -> None:
        """Send it a signal, unless it is dead."""
        try:
            if self.fd >= 0:
                signal.pidfd_send_signal(self.fd, number)
            elif not self._vanished and number == signal.SIGKILL:
                self.process.kill()
            elif not self._vanished:
                self.process.terminate()
        except ProcessLookupError:
            pass

    def bury(self) -> str:
        """Reap it. Says how it died."""
        if not self._vanished:
            self.process.join()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self._vanished = True
        return f"pid {self.pid}, {_ended(self.process.exitcode)}"


def _ended(code: int | None) -> str:
    if code is None:
        return "exit code unknown"
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}"


class Crew:
    """At most `most` workers. One that dies is replaced; if several die one after the
    other before they have done anything, with pauses, and in the end no more."""

    def __init__(self, setup: Setup, most: int, context: Any) -> None:
        self.setup = setup
        self.most = most
        self.context = context
        self.workers: list[Worker | None] = []
        self.failed = 0  # starts since a worker was last heard of
        self.reason: str | None = None  # of the last
        self._last_death = ""
        self._deaths: dict[int, str] = {}  # of whom others may still tell
        self.broken: str | None = None
        self.stopped = False  # by stop()
        self.lost = False  # since then, at least one
        self._leaving: list[Worker] = []
        self._resume = 0.0
        self._lock = threading.RLock()
        self._begun: Any = None  # the process that was started last
        self._ended = False

    @property
    def processes(self) -> list[Any]:
        """The processes that there are now."""
        there = [] if self._ended else self.workers
        return [worker.process for worker in there if worker is not None]

    def fill(self) -> None:
        """Start all that are missing. If one cannot be started, none is left."""
        try:
            while len(self.workers) < self.most:
                self.grow()
        except BaseException:
            self.end(True)
            raise

    def grow(self) -> None:
        """Start one more."""
        with self._lock:
            self.workers.append(self._start(len(self.workers)))

    def _start(self, index: int) -> Worker:
        if not self._is_left():
            self._begun = self.context.Process(
                target=main,
                args=(self.setup, index),
                daemon=False,
                name=f"worker-{index}",
            )
            self._begun.start()
        return Worker(self._begun)

    def _is_left(self) -> bool:
        """Whether a signal's handler raised between the start of a process and the note
        of it."""
        pid = getattr(self._begun, "pid", None)
        there = [
            one.process for one in (*self.workers, *self._leaving) if one is not None
        ]
        return pid is not None and self._begun not in there and pid not in self._deaths

    def leaves(self, pid: int) -> None:
        """This worker has done what it may do, and is about to end."""
        with self._lock:
            for i, worker in enumerate(self.workers):
                if worker is not None and worker.pid == pid:
                    self._leaving.append(worker)  # twice does no harm
                    self.workers[i] = None
                    self._restart(i)

    def look(self) -> bool:
        """Replace those that died; whether any did."""
        with self._lock:
            if self._ended:
                return False
            for left in [one for one in self._leaving if one.is_dead()]:
                self._bury(left)
                self._leaving.remove(left)
            died = [i for i, one in enumerate(self.workers) if one and one.is_dead()]
            for i in died:
                dead = self.workers[i]
                assert dead is not None
                self._bury(dead)
                self.lost = self.stopped
                self.workers[i] = None
                self._fail()
            for i, worker in enumerate(self.workers):
                if worker is None:
                    self._restart(i)
        if died:
            # The next participant that waits finds out by itself; this is quicker.
            self.setup.jobs.arena.reap()
            self.setup.results.arena.reap()
        return bool(died)

    def _bury(self, worker: Worker) -> None:
        self._last_death = self._deaths[worker.pid] = worker.bury()
        if len(self._deaths) > _DEATHS:
            del self._deaths[next(iter(self._deaths))]

    def death_of(self, pid: int) -> str:
        """How the worker of this pid died. It is dying at least: others have seen it."""
        with self._lock:
            there = [one for one in (*self.workers, *self._leaving) if one is not None]
        for worker in there:
            if worker.pid == pid and worker.await_death(_PATIENCE):
                self.look()
        return self._deaths.get(pid, f"pid {pid}")

    def _fail(self) -> None:
        self.failed += 1
        more = self.failed - self.most
        if more >= 0:
            self._resume = time.monotonic() + _PAUSE * 2**more
        if more >= _MORE_TRIES and not self.broken:
            why = self.reason or self._last_death
            self.broken = (
                f"{self.failed} workers died one after the other while they started:"
                f" {why}"
            )

    def _restart(self, index: int) -> None:
        if self._ended or self.broken or time.monotonic() < self._resume:
            return
        try:
            self.workers[index] = self._start(index)
        except Exception as error:
            if is_interrupt(error):
                raise  # it says nothing of the worker
            self.reason = f"{type(error).__name__}: {error}"
            self._fail()

    def stop(self, number: int) -> None:
        """Send a signal to all that live. None is replaced any more."""
        with self._lock:
            there = [*(one for one in self.workers if one is not None), *self._leaving]
            self.stopped = True
            self.broken = self.broken or (
                f"the workers were sent {signal.Signals(number).name}"
            )
            for worker in there:
                worker.kill(number)

    def end(self, kill: bool) -> None:
        """Wait until all have ended (the queue has told them to), or kill them. Those
        that have not ended when an exception comes are still there for the next call."""
        with self._lock:
            self._ended = True
            if self._is_left():
                self._leaving.append(Worker(self._begun))
            left = [*(one for one in self.workers if one is not None), *self._leaving]
        if kill:
            _kill_all(left)
        for worker in left:
            worker.await_death(None)
            with self._lock:
                self._bury(worker)
        with self._lock:
            self.workers, self._leaving = [], []


def _kill_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill(signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    for worker in workers:
        if worker.fd >= 0 and not worker.await_death(deadline - time.monotonic()):
            worker.kill(signal.SIGKILL)
