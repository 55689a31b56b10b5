# SPDX-License-Identifier: MIT
"""What a Pool and an Executor do at the ends of programs, masters and workers."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import Any

import pytest


def ended(pid: int) -> bool:
    """Wait for the end of a process that is no child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(30_000))
    finally:
        os.close(fd)


def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


AT_EXIT = """
import atexit, sys, tensoring as tr
def save(path):
    open(path, "w").close()
def too_late():
    try:
        executor.submit(abs, 1)
    except RuntimeError as error:
        print(error)
if __name__ == "__main__":
    executor = tr.Executor(2)
    atexit.register(too_late)
    for i in range(20):
        executor.submit(save, f"{sys.argv[1]}/{i}")
    if sys.argv[2] == "shutdown":
        executor.shutdown(wait=False)
    if sys.argv[2] == "del":
        del executor
        executor = tr.Executor(1)
"""


@pytest.mark.parametrize("how", ["nothing", "shutdown", "del"])
def test_what_was_submitted_is_done_at_exit(how: str, tmp_path: Any) -> None:
    done = run(AT_EXIT, str(tmp_path), how)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("cannot schedule new futures after")
    assert len(os.listdir(tmp_path)) == 20


IN_CHILD = """
import multiprocessing, sys, tensoring as tr
def save(path):
    open(path, "w").close()
def child(folder):
    executor = tr.Executor(2)
    for i in range(20):
        executor.submit(save, f"{folder}/{i}")
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=child, args=sys.argv[1:])
    process.start()
    process.join()
"""


def test_what_a_child_submitted_is_done_at_its_end(tmp_path: Any) -> None:
    done = run(IN_CHILD, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(os.listdir(tmp_path)) == 20


MASTER = """
import multiprocessing, os, sys, time, tensoring as tr
def pid_of(_):
    return os.getpid()
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    pool = tr.Pool(2, context=context)
    executor = tr.Executor(2, context)
    pids = {process.pid for process in pool._workers.processes}
    pool.map(pid_of, range(8), 1)
    pids.add(executor.submit(pid_of, 1).result())
    pool.apply_async(time.sleep, (0.2,))
    print(*pids, flush=True)
    if sys.argv[2] == "leaves":
        os._exit(0)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["killed", "leaves"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_end_with_their_master(method: str, how: str, tmp_path: Any) -> None:
    script = tmp_path / "master.py"
    script.write_text(MASTER)
    with subprocess.Popen(
        [sys.executable, script, method, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as master:
        assert master.stdout is not None
        pids = [int(pid) for pid in master.stdout.readline().split()]
        if how == "killed":
            master.kill()
        assert len(pids) >= 3
        assert all(ended(pid) for pid in pids)


BUSY = """
import collections, itertools, multiprocessing, os, sys, threading, tensoring as tr
def run(how):
    os.write(1, b"%d\\n" % os.getpid())
    if how == "waits":
        threading.Event().wait()
    collections.deque(itertools.repeat(0), maxlen=0)  # without end, with the GIL
if __name__ == "__main__":
    method, kind, how = sys.argv[1:]
    context = multiprocessing.get_context(method)
    made = tr.Pool(1, context=context) if kind == "pool" else tr.Executor(1, context)
    job = made.apply_async(run, (how,)) if kind == "pool" else made.submit(run, how)
    (job.get if kind == "pool" else job.result)()
"""


@pytest.mark.parametrize("how", ["waits", "computes"])
@pytest.mark.parametrize("kind", ["pool", "executor"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_end_with_their_master_in_the_middle_of_a_job(
    method: str, kind: str, how: str, tmp_path: Any
) -> None:
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    with subprocess.Popen(
        [sys.executable, script, method, kind, how], stdout=subprocess.PIPE, text=True
    ) as master:
        assert master.stdout is not None
        worker = int(master.stdout.readline())
        master.kill()
        if not ended(worker):
            os.kill(worker, signal.SIGKILL)
            pytest.fail("the worker goes on with its job")


DEATH = """
import os, signal, sys, tensoring as tr
def die():
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for kind in (tr.Pool, tr.Executor):
        with kind(1) as made:
            start = made.apply_async if kind is tr.Pool else made.submit
            job = start(die)
            try:
                job.get(30) if kind is tr.Pool else job.result(30)
            except tr.WorkerDied:
                print("died")
            job = start(os.getpid)
            print((job.get(30) if kind is tr.Pool else job.result(30)) != os.getpid())
"""


def test_deaths_are_seen_where_sigchld_is_ignored() -> None:
    done = run(DEATH)
    assert done.stdout.split() == ["died", "True"] * 2, done.stderr


WITHOUT_POLL = """
import operator, os, select
del select.poll
import tensoring as tr

with tr.Pool(2) as pool:
    print(pool.map(operator.neg, [1, 2]))
    try:
        pool.apply(os._exit, (3,))
    except tr.WorkerDied as error:
        print("exit code 3" in str(error), pool.apply(abs, (-4,)))
with tr.Executor(2) as executor:
    print(list(executor.map(operator.neg, [3, 4])))
"""


def test_workers_live_where_poll_is_taken_away() -> None:
    # As eventlet.monkey_patch() does: select.poll() would wait for no green thread.
    found = run(WITHOUT_POLL)
    assert (found.stdout, found.stderr) == ("[-1, -2]\nTrue 4\n[-3, -4]\n", "")
