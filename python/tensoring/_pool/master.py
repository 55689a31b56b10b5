# SPDX-License-Identifier: MIT
"""What a Pool and an Executor share: sends jobs, receives their results, sees to it that
every job ends.

A caller that waits for a result receives all results. A thread does so while there are
callbacks or futures to be served, which nobody waits for, and while jobs wait for room;
it has a look now and then while there are results that nobody waits for yet."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tensoring import _core
from tensoring._errors import ClosedError, Empty, Full, TooLargeError
from tensoring._interrupts import Waker, in_main_thread, is_interrupt, of_handler
from tensoring._pool.calls import APPLY, Call
from tensoring._pool.crew import Crew, check_crew, check_threads
from tensoring._pool.failures import (
    WorkerDied,
    again,
    report,
    to_keep,
    unpack,
    with_cause,
)
from tensoring._pool.halves import Halves, Into
from tensoring._pool.slots import JOBS, arena_of
from tensoring._pool.worker_main import (
    BROKEN,
    DIED,
    DONE,
    FAILED,
    LEFT,
    PART,
    READY,
    UNREAD,
    Setup,
)
from tensoring._standin import objects, stuck
from tensoring._standin.memory import name_share
from tensoring._workers.plan import Plan

_LOOK = 0.02  # seconds between looks for dead workers, while waiting
_NAP = 0.05  # seconds between looks for results that nobody waits for
_UNSENT = -1


Job = tuple[int, Call, list[Any]]


_masters: weakref.WeakSet[Master] = weakref.WeakSet()


def _inherit() -> None:
    for master in list(_masters):
        master.inherited = True


os.register_at_fork(after_in_child=_inherit)


class Master:
    """The jobs of a crew of workers."""

    def __init__(
        self,
        count: int,
        initializer: Callable[..., object] | None,
        initargs: Iterable[Any],
        max_tasks: int | None,
        context: Any,
        slots: Iterable[tuple[int, int]] | None,
        memory_bytes: int | None,
        threads: int | str | None,
        copy: bool,
        remote: type[Exception],
        executor: bool,
    ) -> None:
        check_threads(threads)
        check_crew(context, initializer, initargs)
        # Two arenas: jobs that wait must not leave the results without a slot.
        self.arenas = [arena_of(slots, memory_bytes, count) for _ in range(2)]
        self._memory = memory_bytes
        self._jobs = self.arenas[0].queue("jobs", JOBS, max_deliveries=255)
        self._results = self.arenas[1].queue("results", JOBS, max_deliveries=255)
        setup = Setup(
            self._jobs,
            self._results,
            initializer,
            tuple(initargs),
            max_tasks,
            bytes(Plan(count)) if threads == "auto" else None,
            threads if isinstance(threads, int) else None,
            os.getpid(),
            executor,
        )
        self.owner = setup.master
        self.inherited = False  # by a forked child
        _masters.add(self)
        self._copy = copy
        self._results._copy_if_kept()
        self._jobs._half = self._results._half = True
        self.remote = remote
        self._executor = executor
        self._numbers = itertools.count(1)
        self.waiting: dict[int, tuple[Into, int]] = {}
        # Values that came before the last, by the sequence of their messages.
        self._parts: dict[int, dict[int, list[Any]]] = {}
        self._backlog: deque[Job] = deque()
        self._unsent: deque[tuple[int, BaseException]] = deque()  # for the thread to end
        self._patience: stuck.Patience | None = None  # with the first of it
        self._no_room = False  # since a result was received
        self._pushed: tuple[int, list[None]] = (0, [])  # the first that waits: if sent
        self._sending = _core.Turn()
        self._pumping = _core.Turn()
        self._got: list[_core.Message] = []  # received, and not dealt with: one at most
        self._doubted = _UNSENT  # its opening was interrupted, perhaps by itself
        self._waiters: set[object] = set()
        self.serving: set[object] = set()  # for which the thread has to receive
        self._serve_lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self._asleep = False
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()  # may be used anywhere
        self.on_idle: Callable[[], bool] = bool  # whether the thread must end
        self.on_pause: Callable[[], object] = bool  # while nothing comes
        self.on_broken: Callable[[BaseException], None] | None = None
        self.broken: BaseException | None = None
        self._refusal: BaseException | None = None  # of an initializer
        self.ended = False
        self._ending = _core.Turn()
        self._over = False
        self.finalizer: Any = None
        self._looked = time.monotonic()
        self.crew = Crew(setup, count, context or multiprocessing.get_context())

    def start(self) -> None:
        """Start all workers, or none."""
        try:
            self.crew.fill()
        except BaseException:
            self._close()
            raise

    def check_owner(self) -> None:
        """RuntimeError in a child: the results would go to the wrong process."""
        if self.inherited:
            raise RuntimeError(f"these workers are those of process {self.owner}")

    # ---- sending

    def send(
        self,
        what: Call,
        values: list[Any],
        into: Into,
        index: int,
        sent: list[None] | None = None,
    ) -> None:
        """Send a job, now or when there is room. Never waits. There is something in
        `sent` from the step on in which that was done, whatever is raised."""
        sent = [] if sent is None else sent
        number = next(self._numbers)
        jobs = [(number, what, values)]
        try:
            self.waiting[number] = (into, index)
            if self.broken is not None:
                raise again(self.broken)
            if self.inherited:
                self.check_owner()
            if not self._backlog:
                with self._sending as mine:
                    if mine or self._sending.is_mine():
                        try:
                            objects.send_noted(self._jobs, (what, values), number, sent)
                            return
                        except Full:
                            self._no_room = True
                        except TooLargeError:
                            if not self._halve(jobs):
                                raise
            self._send_later(jobs, sent)
        except BaseException as error:
            if sent and is_interrupt(error):
                raise
            self._take_back(jobs, name_share(error, self._memory))

    def _halve(self, jobs: list[Job]) -> bool:
        """Two jobs in place of one that is too large for a message, if it has parts."""
        number, what, values = jobs[0]
        wanted = self.waiting.get(number)
        if wanted is None or what[0] == APPLY or len(values) < 2:
            return False
        halves, middle = Halves(*wanted), len(values) // 2
        for i, part in enumerate((values[:middle], values[middle:])):
            jobs.append((next(self._numbers), what, part))
            self.waiting[jobs[-1][0]] = (halves, i)
        self.waiting.pop(number, None)
        del jobs[0]
        return True

    def _take_back(self, jobs: list[Job], error: BaseException) -> None:
        """Raise why they were not sent, unless another thread has ended all jobs
        meanwhile: their caller must not be told twice."""
        try:
            ours = [self.waiting.pop(job[0], None) for job in jobs]
            if any(ours) or self.broken is None or is_interrupt(error):
                raise error
        finally:
            del error  # its traceback would keep itself alive

    def fail(self, into: Into, index: int, error: BaseException) -> None:
        """End a job that cannot be sent, in the thread: callbacks run in no thread that
        gives jobs, which may hold a lock that they take."""
        number = next(self._numbers)
        self.waiting[number] = (into, index)
        if self.ended:  # there is no thread any more
            self._end_job(number, _UNSENT, [error])
        self._unsent.append((number, error))
        self._need_thread()

    def _send_later(self, jobs: list[Job], sent: list[None]) -> None:
        sent.extend(map(self._backlog.append, jobs))  # in one call of C
        self._need_thread()
        self._push()

    def _push(self) -> None:
        """Send what waits for room, in order, as far as there is any."""
        while self._backlog and not self._no_room:
            with self._sending as mine:
                if not mine:
                    return  # another thread looks again when it is through
                while self._backlog and not self._no_room:
                    if not self._push_one(self._backlog[0]):
                        return

    def _push_one(self, job: Job) -> bool:
        """False: the first that waits is left to the thread."""
        number, what, values = job
        if self._pushed[0] != number:
            self._pushed = (number, [])
        sent = self._pushed[1]
        try:
            if not sent:
                objects.send_noted(self._jobs, (what, values), number, sent)
        except Full:
            self._no_room = True
            self._wait_for_room()
            return True
        except BaseException as error:
            if is_interrupt(error):
                raise
            # What a signal's handler raises is not why a job cannot be sent.
            if in_main_thread() and self.thread is not None:
                return False
            self._backlog.popleft()
            jobs = [job]
            if isinstance(error, TooLargeError) and self._halve(jobs):
                self._backlog.extendleft(reversed(jobs))
            else:
                kept = to_keep(name_share(error, self._memory), self.remote)
                self._end_job(number, _UNSENT, [kept])
            return True
        self._patience = None
        self._backlog.popleft()
        return True

    def _wait_for_room(self) -> None:
        if self._patience is None:
            self._patience = stuck.PatienceAside(self._jobs, "a job")
        elif len(self.waiting) - len(self._backlog) < self.crew.most:  # some are idle
            self._patience.waited()

    # ---- receiving

    def _receive(self, timeout: float | None) -> bool:
        """Take one result and hand it to the job that wants it; whether there was one.

        The handler of a signal may raise at any step. So a message is taken by one call
        of C, and stays until it was dealt with; what is done to that end can be done
        again."""
        if not self._got:
            try:
                self._results._receive_onto(self._got, timeout)
            except (Empty, ClosedError):
                return False
        message = next(iter(self._got), None)
        if message is None:
            return True
        number = message.correlation_id
        try:
            kind, values = objects.open(message, self._copy)
        except BaseException as error:  # what it holds cannot be made here
            if self._is_doubtful(error, number):
                raise
            kept = to_keep(error, self.remote)
            kind, values = _UNSENT, [self._unread(kept, "result")]
        self._no_room = False
        if number:
            self.crew.failed = 0
            if kind != PART:
                self._end_job(number, kind, values)
            elif number in self.waiting:
                self._parts.setdefault(number, {})[message.header()["sequence"]] = values
        else:
            self._hear(kind, values)
        try:  # noqa: SIM105  suppress() takes longer than the rest
            self._got.remove(message)
        except ValueError:  # a handler's call was through with it
            pass
        del message
        if self._backlog:
            self._push()
        return True

    def _is_doubtful(self, error: BaseException, number: int) -> bool:
        """Whether it may not be the message's: then the message is opened again."""
        before, self._doubted = self._doubted, number
        return of_handler(error) or (is_interrupt(error) and before != number)

    def _hear(self, kind: int, values: list[Any]) -> None:
        """What a worker says of itself."""
        if kind == READY:
            self.crew.failed = 0
        elif kind == LEFT:
            self.crew.leaves(values[0])
        elif kind == BROKEN:
            self.crew.reason = values[0][2]
            if self._executor:
                # It tells its log, and ends; then the others do.
                self._refusal = unpack(values[0], self.remote)
                self.crew.broken = f"a worker's initializer failed: {values[0][2]}"

    def _end_job(self, number: int, kind: int, values: list[Any]) -> None:
        wanted = self.waiting.get(number)
        if wanted is None:
            self._parts.pop(number, None)
            return
        into, index = wanted
        before = self._parts.get(number)
        if before is not None and kind == DONE:
            values = [*itertools.chain.from_iterable(before.values()), *values]
        error = None if kind == DONE else self._error(kind, values)
        values = values if kind == DONE else []
        try:
            into._set(index, values, error)
        except BaseException:
            if in_main_thread():
                raise  # it is done again
            report()
        self.waiting.pop(number, None)
        self._parts.pop(number, None)
        try:
            if kind == _UNSENT and error is not None and is_interrupt(error):
                raise error
        finally:
            del error, values  # its traceback would keep itself alive

    def _error(self, kind: int, values: list[Any]) -> BaseException:
        if kind == FAILED:
            return name_share(unpack(values[0], self.remote), self._memory)
        if kind == UNREAD:
            return self._unread(unpack(values[0], self.remote), "call")
        if kind == DIED:
            how = self.crew.death_of(values[0])
            return WorkerDied(f"the worker that had the job died ({how})")
        error: BaseException = values[0]
        return error

    def _unread(self, error: BaseException, what: str) -> BaseException:
        """The error for a call or a result that the other side cannot unpickle. It breaks
        the executors of concurrent.futures, whose callers look for that."""
        if not self._executor or is_interrupt(error):
            return error
        text = f"the {what} cannot be unpickled: {type(error).__qualname__}"
        return with_cause(BrokenProcessPool(text), error)

    def _break(self, error: BaseException) -> None:
        """No job is done any more."""
        if self.broken is None:
            self.broken = error
        self._backlog.clear()
        self._parts.clear()
        while self.waiting:
            for number in list(self.waiting):
                self._end_job(number, _UNSENT, [again(error)])
        if self.on_broken is not None:
            self.on_broken(error)

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self.ended or self.broken is not None:
            return
        died = self.crew.look()
        self._no_room = False
        if self.crew.stopped:  # whether they end is theirs to say
            if self.crew.lost:
                self._break(WorkerDied(str(self.crew.broken)))
        elif self.crew.broken and (died or self._refusal is None):
            error = WorkerDied(self.crew.broken)
            self._break(with_cause(error, self._refusal) if self._refusal else error)
            self.crew.end(True)

    def _pump(self, timeout: float, done: Callable[[], bool] = bool) -> bool:
        """Receive for everybody, unless somebody else does. Returns after `timeout`, or
        when something was received (True), or if it is done already."""
        with self._pumping as mine:
            # What a signal's handler waits for is received in the middle of a receipt.
            if mine or self._pumping.is_mine():
                if self.ended or (done() and not self._got):
                    return False
                try:
                    got = self._receive(min(timeout, _LOOK))
                    if not got or time.monotonic() - self._looked > 10 * _LOOK:
                        self._look()
                        self._push()
                    return got
                except ValueError:  # it was terminated meanwhile
                    if not self.ended:
                        raise
                    return False
        self._push()  # the one that receives may have left it to this thread
        self._pumping.wait(min(timeout, _LOOK))
        return False

    def wait_for(
        self,
        done: Callable[[], bool],
        timeout: float | None,
        waker: Callable[[], Waker] | None = None,
    ) -> None:
        """Receive until it is done, or wait while the thread does."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiter = object()
        try:
            self._waiters.add(waiter)
            # What an exception has left behind comes first.
            while self._got or not done():
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if waker is not None and (self.serving or self._backlog):
                    self.serve(waiter)  # until this one has waited, too
                    waker().wait(min(max(left, 0), 1.0))
                    self.served(waiter)
                else:
                    self._pump(max(left, 0), done)
                if left <= 0:
                    return
        finally:
            self._waiters.discard(waiter)
            self.serving.discard(waiter)

    # ---- the thread

    def serve(self, one: object) -> None:
        """Have the thread receive until this one was served()."""
        try:
            self.serving.add(one)
            self._need_thread()
        except BaseException:
            self.served(one)
            raise

    def served(self, one: object) -> None:
        """It needs the thread no more."""
        self.serving.discard(one)

    def watch(self) -> None:
        """Have the thread look for results that nobody waits for."""
        if self.thread is None or self._asleep:
            self._need_thread()

    def _need_thread(self) -> None:
        if self.thread is None:
            with self._serve_lock:
                if self.thread is None and not self.ended:
                    # An executor's is waited for when the interpreter ends.
                    thread = threading.Thread(
                        target=self._run,
                        name="tensoring-master",
                        daemon=not self._executor,
                    )
                    thread.start()
                    self.thread = thread  # there is none if it cannot be started
        self.wake()

    def wake(self) -> None:
        """Let the thread look whether there is anything to do."""
        if self._asleep and self._wakes.empty():
            self._wakes.put(None)

    def _nap(self, timeout: float | None, needless: Callable[[], bool]) -> None:
        while not self._wakes.empty():  # those that were put more than once
            self._wakes.get()
        self._asleep = True
        try:
            if not needless():  # since before it could be told
                self._wakes.get(timeout=timeout)
        except queue.Empty:
            pass
        self._asleep = False

    def _is_busy(self) -> bool:
        return bool(self.serving or self._backlog or self._unsent or self.ended)

    def _has_to_do(self) -> bool:
        return self._is_busy() or bool(self.waiting) or self.on_idle()

    def _is_the_one(self) -> bool:
        """Whether this thread is that of this master: start() may be interrupted."""
        with self._serve_lock:
            self.thread = self.thread or threading.current_thread()
            return self.thread is threading.current_thread()

    def _run(self) -> None:
        if not self._is_the_one():
            return
        while not self.ended:
            try:
                if self._step():
                    break
            except BaseException:
                if not self.ended:
                    report()
                    # What failed may fail at once again, and there is no event that says
                    # when it will not: the pause keeps the thread from taking a core.
                    time.sleep(_LOOK)
        if self.ended:
            self._close()

    def _step(self) -> bool:
        if self._unsent:
            number, error = self._unsent.popleft()
            self._end_job(number, _UNSENT, [error])
        elif self._is_busy():
            if not self._pump(_LOOK):
                self.on_pause()
        elif self.waiting:
            self._nap(_NAP, self._is_busy)
            while not (self._waiters or self._is_busy()) and self._pump(0):
                pass
        elif self.on_idle():
            self.finish()
            return True
        else:
            self._nap(None, self._has_to_do)
        return False

    # ---- the end

    def finish(self) -> None:
        """End workers that have nothing to do."""
        self._end(None)

    def terminate(self, why: str = "the pool was terminated") -> None:
        """End the workers now."""
        self._end(why)

    def _end(self, why: str | None) -> None:
        """May be called again, where an exception has ended it."""
        if self.inherited or self._over:
            return
        with self._ending as mine:
            if not mine:
                return
            self.ended = True
            with contextlib.suppress(ValueError):  # the thread has closed it
                self._jobs.shutdown()
            self.crew.end(why is not None)
            if why is not None:
                self._break(WorkerDied(why))
            self._leave()
            self._over = True

    def _leave(self) -> None:
        if self.finalizer is not None:
            self.finalizer.cancel()
        self.wake()
        thread = self.thread
        if thread is None or not thread.is_alive():
            self._close()
        elif thread is not threading.current_thread():
            thread.join()

    def _close(self) -> None:
        for arena in self.arenas:
            arena.close()
