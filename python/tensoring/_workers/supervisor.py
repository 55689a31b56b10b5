# SPDX-License-Identifier: MIT
"""Pre-forked workers that are placed, restarted, recycled and reloaded: the master."""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable
from types import FrameType
from typing import Any, NamedTuple, Self

from tensoring import _core
from tensoring._arena.arena import Arena
from tensoring._errors import ClosedError, Error
from tensoring._options import MOST_FD, U32, U64, flag, one_of, refuse, seconds, whole
from tensoring._workers.plan import Plan
from tensoring._workers.supervised import Worker, begin, flush, live

_TAKEN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)
_LONGEST = (1 << 63) - 1  # nanoseconds

_log = logging.getLogger("tensoring")


class SupervisorStatus(NamedTuple):
    """How many workers of a supervisor are in which state.

    workers: wanted.
    alive: processes, those that drain among them.
    ready: of the newest generation, ready and not draining.
    draining: asked to stop.
    waiting: wait for their restart.
    generation: how many reloads there were.
    deaths: processes that ended without a request.
    started, jobs: processes and jobs since the start."""

    workers: int
    alive: int
    ready: int
    draining: int
    waiting: int
    generation: int
    deaths: int
    started: int
    jobs: int


class WorkerState(NamedTuple):
    """One worker of a supervisor, as the master sees it.

    worker: its place in the plan.
    pid: its newest process; None: it waits for its restart.
    generation: how many reloads that process came after.
    cpus: the logical processors that it is bound to; cores: how many physical cores these
    are; threads: how many threads it may use. [], 0 and 0 without a plan.
    restarts: how often it was restarted after its process had ended."""

    worker: int
    pid: int | None
    generation: int
    cpus: list[int]
    cores: int
    threads: int
    restarts: int


class WorkerDeath(NamedTuple):
    """How the process of one worker ended.

    worker, pid, generation: which one.
    signal: that killed it, or 0.
    exit_code: -1: it was killed, or another part of the program has waited for it.
    dumped: it left a core dump.
    expected: it was asked to stop, or recycled itself.
    in_a_row: failures of this worker one after the other; that of a process which had
    been ready counts as the first.
    lived: seconds; jobs: how many it did; max_rss_bytes: its largest resident memory.
    restart: seconds until the worker is restarted; None: it is not.
    reaped, freed, redelivered, dropped: what arena.reap() did: dead processes, slots,
    messages that go to another receiver, messages that were given up."""

    worker: int
    pid: int
    generation: int
    signal: int
    exit_code: int
    dumped: bool
    expected: bool
    in_a_row: int
    lived: float
    jobs: int
    max_rss_bytes: int
    restart: float | None
    reaped: int
    freed: int
    redelivered: int
    dropped: int

    def __str__(self) -> str:
        how = f"ended with code {self.exit_code}"
        if self.signal:
            how = f"was killed by {_name_of(self.signal)}"
        elif self.exit_code < 0:
            how = "ended"
        then = "it was asked to stop" if self.expected else "it is not restarted"
        if self.restart is not None:
            then = f"it is restarted in {self.restart:.1f} s"
        return f"worker {self.worker} (pid {self.pid}) {how}; {then}"


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _death(row: tuple[Any, ...]) -> WorkerDeath:
    lived_ns, restart_ns = row[8], row[11]
    restart = None if restart_ns < 0 else restart_ns / 1e9
    return WorkerDeath._make([*row[:8], lived_ns / 1e9, *row[9:11], restart, *row[12:]])


def _nanoseconds(name: str, value: float) -> int:
    return int(min(seconds(name, value, "a number") * 1e9, _LONGEST))


def _descriptors(keep: Iterable[Any]) -> list[int]:
    if isinstance(keep, str | bytes) or not isinstance(keep, Iterable):
        refuse(TypeError, "keep", keep, "give descriptors, or files, in a list")
    numbers = (one.fileno() if hasattr(one, "fileno") else one for one in keep)
    return [whole("keep", number, 0, MOST_FD) for number in numbers]


def _left(deadline: float) -> float | None:
    if deadline == math.inf:
        return None
    return max(0.0, deadline - time.monotonic())


def _deadline(timeout: float | None) -> float:
    if timeout is None:
        return math.inf
    return time.monotonic() + seconds("timeout", timeout, "or None to wait forever")


class Supervisor(_core.Supervisor):
    """Pre-forked processes that run function(worker): each is bound to its part of a plan
    of the cores, is replaced when it dies, and finishes its job before it stops.

    with tr.Supervisor(work, 4, arena=arena) as supervisor:
        supervisor.run()  # until SIGTERM

    The constructor starts the workers: call it before the master has threads. A worker is
    a fork of the master as the master is then; a restarted worker is a fork of the master
    as it is at the restart. The hooks of os.register_at_fork() run as for os.fork(). An
    exception in a worker is printed and ends it with code 1; sys.exit(n) ends it with n,
    a return with 0. All calls are for one thread; a call during another one is a
    RuntimeError, a call in another process a ForkError. Under gevent other greenlets run
    while a call waits; a worker has copies of the master's, as after os.fork().

    function: gets a Worker, and returns when worker.stopping() is true; worker.serve()
    and worker.jobs() do that.
    workers: 0: as many as the plan has, or one for each core.
    plan: its options also make the plans of later resizes. no_plan: do not place workers.
    bind: False sets thread counts, and binds no worker.
    arena: is reaped when a worker has died.
    died: is called with a WorkerDeath for each worker that ended, in step(). None: log
    failures as warnings of the logger "tensoring".
    child: child(index) is called first in each new worker, to close or reset what the
    worker is not to inherit.
    restart: "on_failure": replace a worker that was killed, or ended with another code
    than 0; "always"; "never". A worker that recycles itself is always replaced.
    max_jobs, max_private_bytes: a worker recycles itself after so many jobs, or with more
    memory of its own than that; 0: never.
    backoff, backoff_max: seconds before the restart of a worker that failed before it was
    ready; each further failure in a row doubles them, up to backoff_max. A worker that
    had been ready restarts at once if it lived for `backoff`, else after that time.
    drain: seconds from the request to stop to SIGKILL; None: never.
    stop_signal: is also sent to a worker that must stop. 0: the worker sees the request
    at its next job, or within 0.1 seconds.
    die_with_master: the kernel sends SIGTERM to the workers when the thread that started
    them ends. Without it they stop at their next job.
    ready_at_start: a worker counts as ready at once, not at its first worker.stopping().
    close_inherited: a worker closes the descriptors that it inherits, except 0, 1, 2,
    those of arenas, and `keep`."""

    _worker_type = Worker

    def __init__(
        self,
        function: Callable[[Worker], object],
        workers: int = 0,
        *,
        plan: Plan | None = None,
        no_plan: bool = False,
        bind: bool = True,
        arena: Arena | None = None,
        died: Callable[[WorkerDeath], object] | None = None,
        child: Callable[[int], object] | None = None,
        restart: str = "on_failure",
        max_jobs: int = 0,
        max_private_bytes: int = 0,
        backoff: float = 0.1,
        backoff_max: float = 10.0,
        drain: float | None = 30.0,
        stop_signal: int = 0,
        die_with_master: bool = False,
        ready_at_start: bool = False,
        close_inherited: bool = False,
        keep: Collection[Any] = (),
    ) -> None:
        for name, value in (("function", function), ("died", died), ("child", child)):
            if not callable(value) and (value is not None or name == "function"):
                refuse(TypeError, name, value, "give a function")
        if plan is not None and not isinstance(plan, Plan):
            refuse(TypeError, "plan", plan, "give a Plan, or None")
        if plan is not None and flag("no_plan", no_plan):
            raise ValueError("plan and no_plan exclude each other; give one of them")
        if workers == 0 and plan is not None:
            workers = len(plan)
        flags = (
            flag("no_plan", no_plan) * _core.POOL_NO_PLAN
            | flag("die_with_master", die_with_master) * _core.POOL_DIE_WITH_MASTER
            | flag("ready_at_start", ready_at_start) * _core.POOL_READY_AT_START
            | flag("close_inherited", close_inherited) * _core.POOL_CLOSE_INHERITED
        )
        kept = _descriptors(keep)
        if kept and not close_inherited:
            refuse(
                ValueError, "keep", keep, "only close_inherited=True closes descriptors"
            )
        self._function, self._died, self._child = function, died, child
        self._plan_options = (0, 0, 0, 0) if plan is None else plan._options
        self._stopping = False
        self._older: dict[int, int] = {}  # generations of processes from before a reload
        self._restarts: dict[int, int] = {}
        self._untold: deque[tuple[Any, ...]] = deque()
        if threading.active_count() > 1:
            warnings.warn(
                f"the master has {threading.active_count()} threads; a lock that one of "
                "them holds stays locked in the workers: start the supervisor first",
                RuntimeWarning,
                stacklevel=2,
            )
        self._start(
            whole("workers", workers, 0, U32),
            flags,
            _core.RESTARTS[one_of("restart", restart, _core.RESTARTS)],
            whole("max_jobs", max_jobs, 0, U64),
            whole("max_private_bytes", max_private_bytes, 0, U64),
            _nanoseconds("backoff", backoff),
            _nanoseconds("backoff_max", backoff_max),
            -1 if drain is None else _nanoseconds("drain", drain),
            whole("stop_signal", stop_signal, 0, signal.NSIG - 1),
            0 if flag("bind", bind) else _core.ENTER_NO_BIND,
            self._plan_options,
            kept,
            arena,
        )

    # Called by the extension: before a fork, first in a worker, and as all of its life.

    def _before_fork(self) -> None:
        flush()  # or each worker would print it again

    def _begin(self, index: int) -> None:
        begin(self._child, index)

    def _main(self, worker: Worker) -> int:
        return live(self._function, worker)

    # The master.

    def step(self, timeout: float | None = None) -> bool:
        """Wait for an event and handle it: reap workers that have died, restart them when
        their back-off has passed, kill workers that do not stop. True: there was an
        event, or a worker became ready; False: there was none in time. ClosedError: no
        worker is left, and none will be started."""
        return self._look(timeout, None)

    def _look(self, timeout: float | None, what: str | None) -> bool:
        try:
            return self._step(timeout, what)
        finally:
            self._tell()

    def _tell(self) -> None:
        self._untold.extend(self._deaths())
        while self._untold:  # died() may raise, or step
            death = _death(self._untold.popleft())
            self._older.pop(death.pid, None)
            if death.restart is not None:
                self._restarts[death.worker] = self._restarts.get(death.worker, 0) + 1
            if self._died is not None:
                self._died(death)
            elif not death.expected and (death.signal or death.exit_code):
                _log.warning("%s", death)

    def run(self) -> None:
        """step() until no worker is left. SIGTERM and SIGINT drain, a second one kills,
        SIGHUP reloads, SIGTTIN and SIGTTOU add and remove a worker. A signal that the
        master ignores stays ignored. run() restores the handlers when it returns, and
        works in the main thread only."""
        before = {number: signal.getsignal(number) for number in _TAKEN}
        taken = [n for n, handler in before.items() if handler != signal.SIG_IGN]
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            try:
                for number in taken:
                    signal.signal(number, _take)
                self._run(reader)
            finally:
                for number in taken:
                    signal.signal(number, before[number] or signal.SIG_DFL)
                signal.set_wakeup_fd(woken)
        finally:
            os.close(reader)
            os.close(writer)

    def _run(self, reader: int) -> None:
        ready = selectors.DefaultSelector()  # gevent and eventlet have one of their own
        with ready:
            for descriptor in (reader, self.fileno()):
                ready.register(descriptor, selectors.EVENT_READ)
            self._turn(ready, reader)

    def _turn(self, ready: selectors.BaseSelector, reader: int) -> None:
        while True:
            try:
                if self.step(0):
                    continue
            except ClosedError:
                return
            ready.select()
            try:
                numbers = os.read(reader, 64)
            except BlockingIOError:
                continue
            for number in numbers:
                self._obey(number)

    def _obey(self, number: int) -> None:
        try:
            if number == signal.SIGHUP:
                self.reload()
            elif number == signal.SIGTTIN:
                self.resize(self.status().workers + 1)
            elif number == signal.SIGTTOU and self.status().workers > 1:
                self.resize(self.status().workers - 1)
            elif number in (signal.SIGTERM, signal.SIGINT) and self._stopping:
                self.signal(signal.SIGKILL)
            elif number in (signal.SIGTERM, signal.SIGINT):
                self.drain()
        except Error as error:  # the sender sees the workers as they were
            _log.warning("%s is not done: %s", _name_of(number), error)

    def wait_ready(self, timeout: float | None = None) -> None:
        """step() until every worker of the newest generation is ready and the older ones
        have ended. TimedOutError says which worker it waits for; ClosedError: no worker
        is left."""
        deadline = _deadline(timeout)
        while not self._all_ready():
            self._look(_left(deadline), "wait_ready")

    def _all_ready(self) -> bool:
        status = self.status()
        return status.ready == status.workers == status.alive

    def resize(self, workers: int) -> None:
        """Change the number of workers; 0: one for each core. Workers that stay get their
        new cores at once; surplus workers finish their job and stop."""
        self._resize(whole("workers", workers, 0, U32))

    def reload(self) -> None:
        """Start a new generation of workers beside the old one. An old worker finishes
        its job and stops when its successor is ready; until then it goes on."""
        older = {one.pid: one.generation for one in self.workers() if one.pid}
        now = self.status().generation
        try:
            self._reload()
        finally:
            if self.status().generation != now:
                self._older.update(older)

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        self._signal(whole("number", number, 0, signal.NSIG - 1))

    def drain(self) -> None:
        """Ask every worker to stop after its job. No worker is restarted any more."""
        self._drain()
        self._stopping = True

    def stop(self, timeout: float | None = None) -> None:
        """Drain, and wait until no worker is left. TimedOutError says which worker it
        waits for and the state of that process."""
        deadline = _deadline(timeout)
        self.drain()
        try:
            while True:
                self._look(_left(deadline), "stop")
        except ClosedError:
            pass

    def status(self) -> SupervisorStatus:
        """How many workers there are, and in which state."""
        return SupervisorStatus(*self._status())

    def workers(self) -> list[WorkerState]:
        """Each worker: its newest process, its cores, and how often it was restarted."""
        status = self.status()
        plan = self.plan
        parts = [] if plan is None else plan.workers
        found = []
        for index in range(status.workers):
            pid = self._pid(index) or None
            generation = self._older.get(pid or 0, status.generation)
            part = parts[index] if parts else None
            where = (part["cpus"], part["cores"], part["threads"]) if part else ([], 0, 0)
            restarts = self._restarts.get(index, 0)
            found.append(WorkerState(index, pid, generation, *where, restarts))
        return found

    @property
    def plan(self) -> Plan | None:
        """The plan that is in force until the next resize(); None: there is none."""
        given = self._plan()
        return None if given is None else Plan._made(given, self._plan_options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        """Stop, and close."""
        try:
            if not self.closed:
                self.stop()
        finally:
            self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a supervisor cannot be pickled: it is its process's own")

    def __repr__(self) -> str:
        if self.closed:
            return "<tensoring.Supervisor, closed>"
        status = self.status()
        return (
            f"<tensoring.Supervisor, {status.ready} of {status.workers} workers ready, "
            f"generation {status.generation}>"
        )


def _take(number: int, frame: FrameType | None) -> None:
    """The number comes through the wake-up descriptor."""
