# SPDX-License-Identifier: MIT
"""A supervised worker is a fork of an interpreter, as by os.fork()."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
from supervision import PATIENCE, ended, forever, forked, until

pytestmark = pytest.mark.usefixtures("no_descriptor_left")


def test_exceptions_are_printed(capfd: pytest.CaptureFixture[str]) -> None:
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        if worker.index == 0:
            raise ValueError("out of the worker")
        sys.exit("a text")

    with tr.Supervisor(work, 2, died=deaths.append, restart="never") as supervisor:
        until(supervisor, lambda: len(deaths) == 2)
    assert [death.exit_code for death in deaths] == [1, 1]
    said = capfd.readouterr().err
    assert "Traceback" in said
    assert "ValueError: out of the worker" in said
    assert "a text" in said
    assert "in test_exceptions" not in said  # no frame of the master


PRINTS = """
import atexit, os, sys
import tensoring as tr
atexit.register(lambda: print("master's exit"))
def work(worker):
    print("works")
    atexit.register(lambda: print("leaves"))
    os.register_at_fork(before=lambda: None)
print("once")
try:
    with tr.Supervisor(work, 2) as pool:
        pool.run()
finally:
    print("finally")
"""


def test_nothing_of_the_master_runs_twice() -> None:
    env = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", PRINTS],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert [said.count(text) for text in ("once", "finally", "master's exit")] == [1] * 3
    assert [said.count(text) for text in ("works", "leaves")] == [2, 2]


def test_threads_of_a_worker_are_waited_for(arena: tr.Arena) -> None:
    told = arena.queue("told")

    def work(worker: tr.Worker) -> None:
        started = threading.Event()

        def late() -> None:
            started.set()
            threading.main_thread().join()
            told.send("late")

        threading.Thread(target=late).start()
        assert started.wait(PATIENCE)

    with tr.Supervisor(work, 1) as supervisor:
        until(supervisor, lambda: not supervisor.status().alive)
        assert told.receive(0) == "late"


hooks = {"before": 0, "parent": 0, "child": 0}


def count(name: str) -> Callable[[], None]:
    def add() -> None:
        hooks[name] += 1

    return add


os.register_at_fork(
    before=count("before"),
    after_in_parent=count("parent"),
    after_in_child=count("child"),
)


def test_hooks_of_forks_run(arena: tr.Arena) -> None:
    told, go = arena.queue("told"), arena.queue("go")
    start = dict(hooks)

    def work(worker: tr.Worker) -> None:
        told.send([hooks["child"] - start["child"], os.getpid()])
        assert threading.current_thread() is threading.main_thread()
        for _ in worker.jobs(go):
            break

    with tr.Supervisor(work, 2, restart="always", backoff=0) as supervisor:
        assert {told.receive(PATIENCE)[0] for _ in range(2)} == {1}
        assert hooks["before"] - start["before"] == 1  # one call, two forks
        supervisor.wait_ready(PATIENCE)
        while supervisor.step(0):
            pass
        assert hooks["before"] - start["before"] == 1  # looking forks nothing
        go.send(1)
        until(supervisor, lambda: supervisor.status().started == 3)
        assert told.receive(PATIENCE)[0] == 1
        assert hooks["before"] - start["before"] > 1
    assert hooks["before"] - start["before"] == hooks["parent"] - start["parent"]
    assert hooks["child"] == start["child"]


def test_signals_of_a_worker(arena: tr.Arena) -> None:
    told = arena.queue("told")

    def work(worker: tr.Worker) -> None:
        default = [signal.getsignal(n) == signal.SIG_DFL for n in asked]
        mask = sorted(int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, []))
        ignored = signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
        told.send([default, mask, ignored, signal.set_wakeup_fd(-1)])
        os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C goes to the whole group
        told.send("goes on")
        forever(worker)

    def mine(number: int, frame: object) -> None:
        raise AssertionError("the master's")

    asked = (signal.SIGTERM, signal.SIGUSR1)
    before = [signal.signal(number, mine) for number in asked]
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
    try:
        with tr.Supervisor(work, 1):
            found = told.receive(PATIENCE)
            assert found == [[True, True], [int(signal.SIGWINCH)], True, -1]
            assert told.receive(PATIENCE) == "goes on"
        now = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        assert now == mask | {signal.SIGWINCH}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR2, ignored)
        for number, handler in zip(asked, before, strict=True):
            signal.signal(number, handler)


def test_a_worker_has_a_loop_of_its_own(arena: tr.Arena) -> None:
    """Also if it was forked out of a running event loop."""
    told = arena.queue("told")
    deaths: list[tr.WorkerDeath] = []

    def work(worker: tr.Worker) -> None:
        async def main() -> None:
            await asyncio.sleep(0)
            told.send([worker.generation])

        asyncio.run(main())
        forever(worker)

    async def master() -> None:
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def look() -> None:
            try:
                while supervisor.step(0):
                    pass
            except tr.ClosedError:
                loop.remove_reader(supervisor)
                ended.set_result(None)

        with tr.Supervisor(work, 1, died=deaths.append, backoff=0) as supervisor:
            loop.add_reader(supervisor, look)
            assert await told.receive_async() == [0]
            supervisor.reload()
            assert await told.receive_async() == [1]
            supervisor.signal(signal.SIGKILL)
            assert await told.receive_async() == [1]
            supervisor.drain()
            await asyncio.wait_for(ended, PATIENCE)

    asyncio.run(master())
    assert deaths[-1].exit_code == 0


def test_threads_beside_the_supervisor(arena: tr.Arena) -> None:
    """The interpreter is locked around a fork as by os.fork(); a warning says what that
    does not help against."""
    service = arena.service("model")
    end = threading.Event()

    def busy() -> None:
        while not end.is_set():
            [str(i) for i in range(100)]

    def work(worker: tr.Worker) -> None:
        worker.serve(service, lambda x: [x, threading.active_count()])

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        with pytest.warns(RuntimeWarning, match="start the supervisor first"):
            supervisor = tr.Supervisor(work, 2)
        with supervisor:
            for i in range(10):
                supervisor.reload()
                supervisor.wait_ready(PATIENCE)
                assert service.call(i, timeout=PATIENCE) == [i, 1]
    finally:
        end.set()
        for thread in threads:
            thread.join()


def test_workers_of_a_thread(arena: tr.Arena) -> None:
    """A worker's main thread is the one that forked it."""
    told = arena.queue("told")

    def work(worker: tr.Worker) -> None:
        main = threading.current_thread() is threading.main_thread()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # for main threads alone
        told.send([worker.generation, main])
        forever(worker)

    def master() -> None:
        with pytest.warns(RuntimeWarning, match=r"\d+ threads"):
            supervisor = tr.Supervisor(work, 1)
        with supervisor:
            supervisor.wait_ready(PATIENCE)
            supervisor.reload()
            supervisor.wait_ready(PATIENCE)

    thread = threading.Thread(target=master)
    thread.start()
    thread.join()
    assert [told.receive(0) for _ in range(2)] == [[0, True], [1, True]]


def test_a_call_during_another_call(arena: tr.Arena) -> None:
    """Hooks run in the middle of a call that forks."""
    refused: list[str] = []
    supervisors: list[tr.Supervisor] = []

    def hook() -> None:
        for supervisor in supervisors:
            for call in (supervisor.status, supervisor.step, supervisor.close):
                try:
                    call()
                except RuntimeError as error:
                    refused.append(str(error))

    os.register_at_fork(before=hook)
    with tr.Supervisor(forever, 1) as supervisor:
        supervisor.wait_ready(PATIENCE)
        supervisors.append(supervisor)
        supervisor.reload()
        supervisors.clear()
        assert refused == ["the supervisor is in another call"] * 3
        supervisor.wait_ready(PATIENCE)


def test_the_supervisor_is_its_masters(arena: tr.Arena) -> None:
    told = arena.queue("told")
    found: list[tr.Supervisor] = []

    def refusals(supervisor: tr.Supervisor) -> int:
        calls: list[Callable[[], object]] = [
            supervisor.step,
            supervisor.reload,
            supervisor.drain,
            supervisor.status,
            lambda: supervisor.signal(9),
            lambda: supervisor.resize(1),
        ]
        refused = 0
        for call in calls:
            try:
                call()
            except tr.ForkError:
                refused += 1
        return refused - len(calls)

    def refuses(supervisor: tr.Supervisor) -> None:
        assert refusals(supervisor) == 0

    def work(worker: tr.Worker) -> None:
        if found:
            found[0].close()
            told.send(refusals(found[0]))
            gc.collect()
        forever(worker)

    with tr.Supervisor(work, 1) as supervisor:
        found.append(supervisor)
        supervisor.reload()
        assert told.receive(PATIENCE) == 0
        supervisor.wait_ready(PATIENCE)
        assert ended(forked(lambda: refuses(supervisor))) == 0
        assert supervisor.status().deaths == 0


def test_child_and_descriptors(arena: tr.Arena, tmp_path: Path) -> None:
    told = arena.queue("told")
    path = tmp_path / "children"

    def child(index: int) -> None:
        with path.open("a") as file:
            file.write(f"{index}\n")

    def is_open(fd: int) -> bool:
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True

    with path.open("w") as kept, path.open() as closed:

        def work(worker: tr.Worker) -> None:
            numbers = (kept.fileno(), closed.fileno())
            told.send([is_open(fd) for fd in numbers] + path.read_text().split())
            forever(worker)

        with tr.Supervisor(work, 1, child=child, close_inherited=True, keep=[kept]):
            assert told.receive(PATIENCE) == [True, False, "0"]


def test_child_that_raises(capfd: pytest.CaptureFixture[str]) -> None:
    deaths: list[tr.WorkerDeath] = []

    def child(index: int) -> None:
        raise ValueError(f"no {index}")

    with tr.Supervisor(
        forever, 1, child=child, died=deaths.append, restart="never"
    ) as supervisor:
        until(supervisor, lambda: bool(deaths))
    assert deaths[0].exit_code == 1
    assert "ValueError: no 0" in capfd.readouterr().err


def test_a_closed_arena_stays_the_supervisors() -> None:
    with tr.Arena([(4096, 8)]) as arena:
        supervisor = tr.Supervisor(forever, 1, arena=arena, backoff=0)
    with supervisor:
        supervisor.wait_ready(PATIENCE)
        supervisor.signal(signal.SIGKILL)
        until(supervisor, lambda: supervisor.status().deaths == 1)
        supervisor.wait_ready(PATIENCE)


def test_atexit_of_the_test_process() -> None:
    """Nothing registered here is forgotten by making workers."""
    called: list[int] = []
    atexit.register(called.append, 1)
    try:
        with tr.Supervisor(lambda worker: None, 1) as supervisor:
            until(supervisor, lambda: not supervisor.status().alive)
        assert atexit._ncallbacks() > 0
    finally:
        atexit.unregister(called.append)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"function": 5}, TypeError, "function is 5; give a function"),
        ({"died": 5}, TypeError, "died is 5; give a function"),
        ({"workers": -1}, ValueError, "workers is -1"),
        ({"workers": 300}, ValueError, "300 workers, there may be at most 256"),
        ({"restart": "maybe"}, ValueError, "restart is one of on_failure, always, never"),
        ({"max_jobs": -1}, ValueError, "max_jobs is -1"),
        ({"backoff": -1}, ValueError, "backoff is -1"),
        ({"drain": "x"}, TypeError, "drain is 'x'"),
        ({"stop_signal": 99}, ValueError, "stop_signal is 99"),
        ({"plan": 4}, TypeError, "plan is 4; give a Plan, or None"),
        ({"plan": tr.Plan(1), "no_plan": True}, ValueError, "exclude each other"),
        ({"arena": 4}, TypeError, "arena is 4; give an Arena, or None"),
        ({"keep": [1]}, ValueError, "only close_inherited=True closes descriptors"),
        ({"keep": "x"}, TypeError, "keep is 'x'"),
        ({"keep": ["x"], "close_inherited": True}, TypeError, "keep is 'x'"),
    ],
    ids=str,
)
def test_options(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    given: dict[str, Any] = {"function": forever, "workers": 1} | options
    with pytest.raises(kind, match=text):
        tr.Supervisor(**given)


def test_neither_is_pickled() -> None:
    import pickle

    with (
        tr.Supervisor(forever, 1) as supervisor,
        pytest.raises(TypeError, match="cannot be pickled"),
    ):
        pickle.dumps(supervisor)
