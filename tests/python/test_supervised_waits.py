# SPDX-License-Identifier: MIT
"""A worker waits in one place for its jobs and for the request to stop."""

from __future__ import annotations

import asyncio
import os

import pytest

import tensoring as tr
from supervision import ended, forked, until

pytestmark = pytest.mark.usefixtures("no_descriptor_left")

PATIENCE = 60.0  # seconds; nothing is measured


def told(reader: int) -> str:
    """The next letter of a worker."""
    return os.read(reader, 1).decode()


def test_one_wait_for_all(arena: tr.Arena) -> None:
    jobs, news = arena.queue("jobs"), arena.broadcast("news")
    board, pipe = arena.board("models"), os.pipe()
    heard, said = os.pipe()

    def work(worker: tr.Worker) -> None:
        with (
            news.subscribe() as subscription,
            board.watch("newest") as watch,
            arena.wait_set() as waits,
        ):
            letters = {jobs: b"j", subscription: b"n", watch: b"m", pipe[0]: b"p"}
            for one in letters:
                waits.add(one)
            waits.add(worker)
            while not worker.stopping():
                (one, how), *others = waits.wait()
                assert not others
                assert how == tr.READABLE
                if one is worker:
                    assert worker.stopping()
                    continue
                if one == pipe[0]:
                    os.read(pipe[0], 1)
                else:
                    one.receive(0)
                os.write(said, letters[one])
            os.write(said, b"s")

    with tr.Supervisor(work, 1, arena=arena) as supervisor:
        supervisor.wait_ready(PATIENCE)
        jobs.send(1)
        assert told(heard) == "j"
        news.publish(2)
        assert told(heard) == "n"
        board["newest"] = 3
        assert told(heard) == "m"
        os.write(pipe[1], b"x")
        assert told(heard) == "p"
        supervisor.reload()  # the new one waits, the old one is told
        assert told(heard) == "m"  # the newest version is news to the new one
        supervisor.wait_ready(PATIENCE)
        assert told(heard) == "s"
        jobs.send(4)
        assert told(heard) == "j"
        supervisor.stop(PATIENCE)
    assert told(heard) == "s"
    for one in (*pipe, heard, said):
        os.close(one)


def test_in_an_event_loop(arena: tr.Arena) -> None:
    jobs = arena.queue("jobs")
    deaths: list[tr.WorkerDeath] = []

    async def serve(worker: tr.Worker) -> None:
        loop, waits, over = asyncio.get_running_loop(), arena.wait_set(), asyncio.Event()

        def look() -> None:
            while events := waits.wait(0):
                for one, _ in events:
                    if one is worker:
                        loop.remove_reader(waits)
                        over.set()
                        return
                    one.receive(0)
                    worker.job_done()

        waits.add(worker)
        waits.add(jobs)
        loop.add_reader(waits, look)
        worker.ready()
        look()  # arms the descriptor
        await over.wait()

    with tr.Supervisor(
        lambda worker: asyncio.run(serve(worker)), 1, arena=arena, died=deaths.append
    ) as supervisor:
        for _ in range(3):
            jobs.send(1)
        while supervisor.status().jobs < 3:
            supervisor.step(0.01)
        supervisor.stop(PATIENCE)
    assert [(death.exit_code, death.jobs) for death in deaths] == [(0, 3)]


def test_ready_when_its_jobs_are_done(arena: tr.Arena) -> None:
    jobs = arena.queue("jobs")
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        with arena.wait_set() as waits:
            waits.add(jobs)
            waits.add(worker)
            worker.ready()
            while (one := waits.wait()[0][0]) is jobs:
                jobs.receive(0)
                worker.job_done()
            assert one is worker
            assert worker.stopping()

    with tr.Supervisor(
        work, 1, arena=arena, max_jobs=2, died=deaths.append
    ) as supervisor:
        for _ in range(3):
            jobs.send(1)
        until(supervisor, lambda: len(deaths) == 1)
        assert (deaths[0].exit_code, deaths[0].jobs, deaths[0].expected) == (0, 2, True)


def test_who_may_add_a_worker(arena: tr.Arena) -> None:
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        waits = arena.wait_set()
        token = waits.add(worker)
        assert waits.wait(0) == []
        with pytest.raises(FileExistsError):
            waits.add(worker)

        def child() -> None:
            assert waits.wait(0) == [(worker, tr.READABLE)]
            with pytest.raises(tr.ForkError, match=f"process {worker_pid}"):
                arena.wait_set().add(worker)

        worker_pid = os.getpid()
        assert ended(forked(child)) == 0
        waits.remove(token)
        waits.close()

    with tr.Supervisor(
        work, 1, arena=arena, restart="never", died=deaths.append
    ) as supervisor:
        until(supervisor, lambda: len(deaths) == 1)
    assert deaths[0].exit_code == 0
