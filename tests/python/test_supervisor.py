# SPDX-License-Identifier: MIT
"""Pre-forked workers: placed, replaced, recycled, reloaded, drained."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from supervision import PATIENCE, ended, forever, forked, until

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

# ---- placement ----


def test_workers_are_placed(arena: tr.Arena) -> None:
    told = arena.queue("told")

    def work(worker: tr.Worker) -> None:
        place = (os.environ["TENSORING_WORKER"], os.environ["OMP_NUM_THREADS"])
        cpus = sorted(os.sched_getaffinity(0))
        told.send([worker.index, cpus, worker.threads, *place])
        forever(worker)

    with tr.Supervisor(work, 2, plan=tr.Plan(2, policy="spread")) as supervisor:
        found = sorted(told.receive(PATIENCE) for _ in range(2))
        plan = supervisor.plan
        assert plan is not None
        for index, part in enumerate(plan.workers):
            threads = part["threads"]
            place = [threads, f"{index}/2", str(threads)]
            assert found[index] == [index, part["cpus"], *place]
        supervisor.wait_ready(PATIENCE)
        for one, part in zip(supervisor.workers(), plan.workers, strict=True):
            assert (one.cpus, one.cores) == (part["cpus"], part["cores"])
            assert one.pid is not None
            assert sorted(os.sched_getaffinity(one.pid)) == part["cpus"]


def test_without_a_plan(arena: tr.Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    told = arena.queue("told")

    def work(worker: tr.Worker) -> None:
        worker.stopping()
        told.send([worker.threads, os.environ["OMP_NUM_THREADS"]])

    with tr.Supervisor(work, 1, no_plan=True) as supervisor:
        assert told.receive(PATIENCE) == [0, "7"]
        assert supervisor.plan is None
        until(supervisor, lambda: not supervisor.status().alive)
        assert supervisor.workers() == [tr.WorkerState(0, None, 0, [], 0, 0, 0)]
        with pytest.raises(tr.ClosedError, match="no worker is left"):
            supervisor.step()


def test_as_many_as_the_plan_has() -> None:
    with tr.Supervisor(forever, plan=tr.Plan(3)) as supervisor:
        assert len(supervisor.workers()) == 3


# ---- death ----


def test_a_killed_worker_is_replaced(arena: tr.Arena) -> None:
    service = arena.service("model")
    deaths: list[tr.WorkerDeath] = []

    def answer(x: Any) -> Any:
        return [os.getpid(), x.sum()]

    def work(worker: tr.Worker) -> None:
        worker.serve(service, answer)

    with tr.Supervisor(work, 2, arena=arena, died=deaths.append, backoff=0) as supervisor:
        supervisor.wait_ready(PATIENCE)
        killed = supervisor.workers()[1].pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        until(supervisor, lambda: bool(deaths))
        supervisor.wait_ready(PATIENCE)
        (death,) = deaths
        assert (death.worker, death.pid, death.signal) == (1, killed, signal.SIGKILL)
        assert (death.exit_code, death.expected, death.in_a_row) == (-1, False, 1)
        assert death.restart == 0
        first, second = supervisor.workers()
        assert (first.restarts, second.restarts) == (0, 1)
        assert second.pid not in (None, killed)
        pid, total = service.call(np.ones(5), timeout=PATIENCE)
        assert (pid in (first.pid, second.pid), total) == (True, 5)
    assert supervisor.closed


def test_the_job_of_a_dead_worker_goes_to_another(arena: tr.Arena) -> None:
    jobs, done = arena.queue("jobs"), arena.queue("done")
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        while not worker.stopping():
            with contextlib.suppress(tr.ReceiveTimedOutError):
                message = jobs.receive_message(0.1)
                if not message.deliveries:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.send(message.array(0) * 2)
                message.release()

    with tr.Supervisor(work, 2, arena=arena, died=deaths.append, backoff=0) as supervisor:
        jobs.send(np.arange(4))
        until(supervisor, lambda: bool(deaths))
        assert done.receive(PATIENCE).tolist() == [0, 2, 4, 6]
        assert len(deaths) == 1
        assert deaths[0].redelivered in (0, 1)  # 0: the other worker was faster
        assert arena.stats()["totals"]["redelivered"] == 1


def test_back_off_doubles_up_to_its_limit() -> None:
    deaths: list[tr.WorkerDeath] = []

    def fail(worker: tr.Worker) -> None:
        sys.exit(3)

    with tr.Supervisor(
        fail, 1, died=deaths.append, backoff=0.01, backoff_max=PATIENCE
    ) as supervisor:
        until(supervisor, lambda: len(deaths) == 4)
        with pytest.raises(tr.TimedOutError, match="worker 0 failed 4 times in a row"):
            supervisor.wait_ready(0)
    assert [death.restart for death in deaths] == [0.01, 0.02, 0.04, 0.08]
    assert [death.in_a_row for death in deaths] == [1, 2, 3, 4]
    assert {death.exit_code for death in deaths} == {3}
    deaths.clear()
    with tr.Supervisor(
        fail, 1, died=deaths.append, backoff=PATIENCE, backoff_max=PATIENCE / 2
    ) as supervisor:
        until(supervisor, lambda: bool(deaths))
    assert deaths[0].restart == PATIENCE / 2


def test_which_workers_are_restarted() -> None:
    deaths: list[tr.WorkerDeath] = []
    for restart, expected in (("on_failure", None), ("always", 0)):
        deaths.clear()
        with tr.Supervisor(
            lambda worker: None, 1, died=deaths.append, restart=restart, backoff=0
        ) as supervisor:
            until(supervisor, lambda: bool(deaths))
            assert (deaths[0].exit_code, deaths[0].restart) == (0, expected)
    deaths.clear()
    with tr.Supervisor(
        lambda worker: signal.raise_signal(signal.SIGKILL),
        1,
        died=deaths.append,
        restart="never",
    ) as supervisor:
        until(supervisor, lambda: bool(deaths))
        assert (deaths[0].signal, deaths[0].restart) == (signal.SIGKILL, None)


def test_a_death_is_logged_unless_told(caplog: pytest.LogCaptureFixture) -> None:
    with tr.Supervisor(lambda worker: sys.exit(5), 1, restart="never") as supervisor:
        until(supervisor, lambda: not supervisor.status().alive)
    (record,) = caplog.records
    assert record.name == "tensoring"
    assert "ended with code 5; it is not restarted" in record.getMessage()


def test_died_may_raise(arena: tr.Arena) -> None:
    told = []

    def died(death: tr.WorkerDeath) -> None:
        told.append(death.worker)
        raise ZeroDivisionError

    with tr.Supervisor(lambda worker: None, 2, died=died) as supervisor:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                until(supervisor, lambda: False)
        assert sorted(told) == [0, 1]


def test_died_may_use_the_supervisor() -> None:
    generations: list[int] = []

    def died(death: tr.WorkerDeath) -> None:
        if not death.expected:
            supervisor.reload()
            generations.append(supervisor.status().generation)

    with tr.Supervisor(forever, 2, died=died) as supervisor:
        supervisor.wait_ready(PATIENCE)
        pid = supervisor.workers()[1].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(supervisor, lambda: bool(generations))
        supervisor.wait_ready(PATIENCE)
        assert generations == [1]


# ---- recycling, reload, resize ----


def test_recycled_after_so_many_jobs(arena: tr.Arena) -> None:
    jobs, done = arena.queue("jobs"), arena.queue("done")
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        for job in worker.jobs(jobs):
            done.send([job, os.getpid()])

    with tr.Supervisor(work, 1, max_jobs=3, died=deaths.append) as supervisor:
        for i in range(9):
            jobs.send(i)
        until(supervisor, lambda: len(deaths) == 3)
        found = [done.receive(0) for _ in range(9)]
        assert [job for job, _ in found] == list(range(9))
        assert len({pid for _, pid in found}) == 3
        for death in deaths:
            assert (death.jobs, death.expected, death.restart) == (3, True, 0)
        assert supervisor.status().deaths == 0
        assert supervisor.workers()[0].restarts == 3


def test_served_requests_count_as_jobs(arena: tr.Arena) -> None:
    service = arena.service("model")
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        worker.serve(service, lambda x: x + 1)

    with tr.Supervisor(work, 1, max_jobs=2, died=deaths.append) as supervisor:
        assert [service.call(i, timeout=PATIENCE) for i in range(2)] == [1, 2]
        until(supervisor, lambda: bool(deaths))
        assert deaths[0].jobs == 2
        service.shutdown()
        until(supervisor, lambda: not supervisor.status().alive)


def test_reload_loses_no_request(arena: tr.Arena) -> None:
    service, told = arena.service("model"), arena.queue("told")
    reloads, calls = 4, 300

    def work(worker: tr.Worker) -> None:
        worker.serve(service, lambda x: [worker.generation, x.tolist()])

    def client() -> None:
        seen, i = set(), 0
        while i < calls or reloads not in seen:
            generation, echo = service.call(np.full(3, i), timeout=PATIENCE)
            assert echo == [i] * 3
            seen.add(generation)
            i += 1
        told.send(sorted(seen))

    with tr.Supervisor(work, 2, arena=arena) as supervisor:
        supervisor.wait_ready(PATIENCE)
        pids = {one.pid for one in supervisor.workers()}
        pid = forked(client)
        for generation in range(1, reloads + 1):
            supervisor.reload()
            supervisor.wait_ready(PATIENCE)
            assert {one.generation for one in supervisor.workers()} == {generation}
        assert ended(pid) == 0
        assert told.receive(0)[-1] == reloads
        assert not pids & {one.pid for one in supervisor.workers()}
        assert supervisor.status().deaths == 0


def test_old_workers_stay_until_the_new_are_ready(arena: tr.Arena) -> None:
    service, go = arena.service("model"), arena.queue("go")

    def work(worker: tr.Worker) -> None:
        if worker.generation:
            go.receive(PATIENCE)
        worker.serve(service, lambda x: worker.generation)

    with tr.Supervisor(work, 1) as supervisor:
        supervisor.wait_ready(PATIENCE)
        old = supervisor.workers()[0].pid
        supervisor.reload()
        with pytest.raises(tr.Error, match="the last reload still waits for worker 0"):
            supervisor.reload()
        with pytest.raises(tr.TimedOutError):
            supervisor.wait_ready(0)
        assert supervisor.status()[:3] == (1, 2, 0)
        assert service.call(1, timeout=PATIENCE) == 0
        new = supervisor.workers()[0]
        assert (new.pid != old, new.generation) == (True, 1)
        go.send(1)
        supervisor.wait_ready(PATIENCE)
        assert service.call(1, timeout=PATIENCE) == 1


def test_the_generation_of_a_worker_from_before_a_reload() -> None:
    def work(worker: tr.Worker) -> None:
        forever(worker)

    with tr.Supervisor(work, 2) as supervisor:
        supervisor.wait_ready(PATIENCE)
        supervisor.reload()
        assert len(supervisor._older) == 2
        assert {one.generation for one in supervisor.workers()} == {1}
        supervisor.wait_ready(PATIENCE)
        assert not supervisor._older


def test_resize(arena: tr.Arena) -> None:
    with tr.Supervisor(forever, 1) as supervisor:
        supervisor.wait_ready(PATIENCE)
        first = supervisor.workers()[0].pid
        supervisor.resize(3)
        supervisor.wait_ready(PATIENCE)
        assert len({one.pid for one in supervisor.workers()}) == 3
        supervisor.resize(1)
        supervisor.wait_ready(PATIENCE)
        assert [one.pid for one in supervisor.workers()] == [first]
        with pytest.raises(ValueError, match="300 workers"):
            supervisor.resize(300)
        with pytest.raises(ValueError, match="workers is -1"):
            supervisor.resize(-1)


def test_a_worker_that_stays_adopts_the_new_plan(arena: tr.Arena) -> None:
    service = arena.service("model")

    def work(worker: tr.Worker) -> None:
        worker.serve(service, lambda x: os.environ["TENSORING_WORKER"])

    with tr.Supervisor(work, 1) as supervisor:
        assert service.call(1, timeout=PATIENCE) == "0/1"
        supervisor.resize(2)
        supervisor.wait_ready(PATIENCE)
        seen: set[str] = set()
        while not seen >= {"0/2", "1/2"}:  # at its next job
            seen.add(service.call(1, timeout=PATIENCE))
        assert seen <= {"0/1", "0/2", "1/2"}


# ---- run ----


class Running(tr.Supervisor):
    """Sends to `go` when run() has taken over the signals."""

    go: tr.ArenaQueue

    def _run(self, reader: int) -> None:
        self.go.send(True)
        super()._run(reader)


def test_signals_of_run(arena: tr.Arena) -> None:
    told, left, go = arena.queue("told"), arena.queue("left"), arena.queue("go")
    master = os.getpid()

    def work(worker: tr.Worker) -> None:
        told.send([worker.index, worker.generation, signal.set_wakeup_fd(-1)])
        forever(worker)
        left.send([worker.index, worker.generation])

    def driver() -> None:
        def starts(count: int) -> list[list[int]]:
            return sorted(told.receive(PATIENCE) for _ in range(count))

        assert starts(2) == [[0, 0, -1], [1, 0, -1]]
        assert go.receive(PATIENCE)
        os.kill(master, signal.SIGHUP)
        assert starts(2) == [[0, 1, -1], [1, 1, -1]]  # not the master's
        assert sorted(left.receive(PATIENCE) for _ in range(2)) == [[0, 0], [1, 0]]
        os.kill(master, signal.SIGTTIN)
        assert starts(1) == [[2, 1, -1]]
        # One by one: of two pending signals the kernel may keep one, or turn their order.
        for index in (2, 1):
            os.kill(master, signal.SIGTTOU)
            assert left.receive(PATIENCE) == [index, 1]
        os.kill(master, signal.SIGTERM)

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Running(work, 2) as supervisor:
        supervisor.go = go
        pid = forked(driver)
        supervisor.run()
        assert ended(pid) == 0
        status = supervisor.status()
        assert (status.generation, status.alive, status.deaths) == (1, 0, 0)
        assert status.workers == 1
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert before == after
    assert signal.set_wakeup_fd(-1) == -1


def test_sigterm_drains(arena: tr.Arena) -> None:
    """A request that a worker has in hand when the signal comes is answered."""
    service, told, go = arena.service("model"), arena.queue("told"), arena.queue("go")
    master = os.getpid()
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        def answer(x: Any) -> Any:
            assert go.receive(PATIENCE)
            os.kill(master, signal.SIGTERM)
            forever(worker)
            return x + 1

        worker.serve(service, answer)

    with Running(work, 2, died=deaths.append, drain=None) as supervisor:
        supervisor.go = go
        pid = forked(lambda: told.send(service.call(1, timeout=PATIENCE)))
        supervisor.run()
        assert ended(pid) == 0
        assert told.receive(0) == 2
    assert [(one.exit_code, one.expected) for one in deaths] == [(0, True)] * 2


def test_the_second_signal_kills(arena: tr.Arena) -> None:
    go = arena.queue("go")
    master = os.getpid()
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        assert go.receive(PATIENCE)
        os.kill(master, signal.SIGINT)
        forever(worker)
        os.kill(master, signal.SIGINT)
        while True:
            signal.pause()

    with Running(work, 1, died=deaths.append, drain=None) as supervisor:
        supervisor.go = go
        supervisor.run()
    assert [(one.signal, one.expected) for one in deaths] == [(signal.SIGKILL, True)]


def test_handlers_of_the_program_run_in_run(arena: tr.Arena) -> None:
    """Other signals are the program's; what their handlers raise ends run()."""
    go = arena.queue("go")
    master = os.getpid()

    def handler(number: int, frame: object) -> None:
        raise ZeroDivisionError

    def work(worker: tr.Worker) -> None:
        assert go.receive(PATIENCE)
        os.kill(master, signal.SIGUSR1)
        forever(worker)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with Running(work, 1) as supervisor:
            supervisor.go = go
            with pytest.raises(ZeroDivisionError):
                supervisor.run()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_ignored_signals_stay_ignored(arena: tr.Arena) -> None:
    go = arena.queue("go")
    master = os.getpid()

    def work(worker: tr.Worker) -> None:
        assert go.receive(PATIENCE)
        os.kill(master, signal.SIGHUP)
        os.kill(master, signal.SIGTERM)
        forever(worker)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Running(work, 1) as supervisor:
            supervisor.go = go
            supervisor.run()
            assert supervisor.status().generation == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_is_for_the_main_thread(recwarn: pytest.WarningsRecorder) -> None:
    caught: list[BaseException] = []

    with tr.Supervisor(forever, 1) as supervisor:

        def run() -> None:
            try:
                supervisor.run()
            except ValueError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(PATIENCE)
        assert "main thread" in str(caught[0])


def test_stop_says_what_it_waits_for() -> None:
    def work(worker: tr.Worker) -> None:
        worker.ready()
        while True:
            signal.pause()

    with tr.Supervisor(work, 1, drain=None) as supervisor:
        supervisor.wait_ready(PATIENCE)
        with pytest.raises(
            tr.TimedOutError, match=r"worker 0 \(pid \d+\) should stop and is"
        ):
            supervisor.stop(0)
        supervisor.close()
        with pytest.raises(ValueError, match="closed"):
            supervisor.step()


def test_a_worker_that_does_not_stop_is_killed() -> None:
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        worker.ready()
        while True:
            signal.pause()

    with tr.Supervisor(work, 1, drain=0.01, died=deaths.append) as supervisor:
        supervisor.wait_ready(PATIENCE)
        supervisor.stop(PATIENCE)
    assert (deaths[0].signal, deaths[0].expected) == (signal.SIGKILL, True)


def test_a_dropped_supervisor_kills_its_workers(arena: tr.Arena) -> None:
    supervisor = tr.Supervisor(forever, 1)
    supervisor.wait_ready(PATIENCE)
    pid = supervisor.workers()[0].pid
    assert pid is not None
    watch = os.pidfd_open(pid)
    del supervisor
    gc.collect()
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    os.close(watch)


MASTER = """
import os, signal, sys
import tensoring as tr
arena = tr.Arena()
def work(worker):
    for job in worker.jobs(arena.queue("q")):
        pass
def wait(worker):
    worker.ready()
    while True:
        signal.pause()
pool = tr.Supervisor(work, 2)
more = tr.Supervisor(wait, 1, die_with_master=True)
for each in (pool, more):
    each.wait_ready()
    print(*[one.pid for one in each.workers()], flush=True)
pool.run()
"""


def test_workers_end_with_their_master() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MASTER], stdout=subprocess.PIPE, text=True
    ) as master:
        assert master.stdout is not None
        lines = [master.stdout.readline() for _ in range(2)]
        watches = [os.pidfd_open(int(pid)) for line in lines for pid in line.split()]
        assert len(watches) == 3
        master.kill()
        master.wait(PATIENCE)
        for watch in watches:
            poll = select.poll()
            poll.register(watch, select.POLLIN)
            assert poll.poll(PATIENCE * 1000)
            os.close(watch)
