# SPDX-License-Identifier: MIT
"""soak.py SECONDS SEED: queues, pools and executors with senders, receivers, keepers and
processes that are killed, one after the other. Says as JSON what was done and what it
took.

What a round leaves behind shows as memory, descriptors or processes at the end. Each
round checks what it got: nothing twice, and nothing lost but what a killed one had."""

from __future__ import annotations

import ctypes
import gc
import json
import multiprocessing
import os
import queue as standard
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

import tensoring as tr

SIZES = (3, 500, 20_000, 300_000)
LIMITS = (None, None, 8 << 20)  # bytes of a stand-in
FORK: Any = multiprocessing.get_context("fork")
SPAWN: Any = multiprocessing.get_context("spawn")
KEPT: list[Any] = []
DIED = (tr.WorkerDied, BrokenProcessPool)


def send(queue: Any, first: int, n: int, size: int) -> None:
    for i in range(first, first + n):
        queue.put((i, np.full(size, i, "i4")))


def receive(queue: Any, seen: Any, keep: bool) -> None:
    while (item := queue.get()) is not None:
        number, array = item
        assert int(array[-1]) == number
        seen.put(number)
        if keep:
            KEPT.append(array)


def work(array: Any) -> int:
    if array[0] % 3 == 0:
        KEPT.append(array)
    return int(array[-1])


def work_or_die(array: Any) -> int:
    if array[0] % 11 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return work(array)


def fill(i: int, size: int) -> Any:
    return np.full(size, i, "i4")


def drain(queue: Any) -> list[Any]:
    found = []
    try:
        while True:
            found.append(queue.get_nowait())
    except standard.Empty:
        return found


def end(children: list[Any]) -> None:
    for child in children:
        child.join(60)
        assert child.exitcode is not None, "a process does not end"


def queue_round(rng: random.Random) -> str:
    """Senders, and receivers of which some keep what they get, and one may be killed."""
    context = SPAWN if rng.random() < 0.05 else FORK
    kill = rng.random() < 0.5
    n, size = rng.randrange(1, 60), rng.choice(SIZES)
    queue = tr.Queue(rng.choice((0, 0, 5, 40)), memory_bytes=rng.choice(LIMITS))
    seen = tr.Queue()
    senders = [
        context.Process(target=send, args=(queue, 1000 * k, n, size))
        for k in range(rng.randrange(1, 4))
    ]
    receivers = [
        context.Process(target=receive, args=(queue, seen, rng.random() < 0.4))
        for _ in range(rng.randrange(1, 4))
    ]
    for child in (*receivers, *senders):
        child.start()
    if kill:
        os.kill(rng.choice(receivers).pid, signal.SIGKILL)
        receivers.append(context.Process(target=receive, args=(queue, seen, False)))
        receivers[-1].start()
    end(senders)
    for _ in receivers:
        queue.put(None)
    end(receivers)
    told = Counter(drain(seen))
    assert not told or max(told.values()) == 1, "an object was got twice"
    if not kill:
        assert len(told) == n * len(senders), "an object was lost"
    del receivers, senders
    drain(queue)
    for one in (queue, seen):
        one.close()
        one.join_thread()
    return "queue, killed" if kill else "queue"


def pool_round(rng: random.Random) -> str:
    """A pool whose workers keep arguments; some die of them."""
    die, copy = rng.random() < 0.4, rng.random() < 0.5
    n, size = rng.randrange(1, 60), rng.choice(SIZES)
    memory = rng.choice(LIMITS)
    with tr.Pool(
        rng.randrange(1, 4), context=FORK, copy=copy, memory_bytes=memory
    ) as pool:
        todo = work_or_die if die else work
        jobs = [pool.apply_async(todo, (fill(i, size),)) for i in range(n)]
        for i, job in enumerate(jobs):
            try:
                assert job.get(60) == i
            except DIED:
                assert die, "a worker died"
        kept = pool.starmap_async(fill, [(i, size) for i in range(n)]).get(60)
        assert [int(array[-1]) for array in kept] == list(range(n))
        del kept
        if rng.random() < 0.5:
            pool.close()
            pool.join()
    return "pool, killed" if die else "pool"


def executor_round(rng: random.Random) -> str:
    """An executor, the same."""
    die = rng.random() < 0.3
    n, size = rng.randrange(1, 40), rng.choice(SIZES)
    memory = rng.choice(LIMITS)
    with tr.Executor(rng.randrange(1, 4), FORK, memory_bytes=memory) as executor:
        todo = work_or_die if die else work
        try:
            futures = [executor.submit(todo, fill(i, size)) for i in range(n)]
        except DIED:
            assert die, "a worker died"
            futures = []
        for i, future in enumerate(futures):
            try:
                assert future.result(60) == i
            except DIED:
                assert die, "a worker died"
    return "executor, killed" if die else "executor"


ROUNDS: tuple[Callable[[random.Random], str], ...] = (
    queue_round,
    queue_round,
    pool_round,
    executor_round,
)


def pss() -> int:
    """KiB of this process's own and of shared memory; the files of libraries are divided
    among all processes of the machine, which come and go."""
    with open("/proc/self/smaps_rollup") as file:
        found = {line.split()[0]: line.split()[1] for line in file if "kB" in line}
    if "Pss_Anon:" in found:
        return int(found["Pss_Anon:"]) + int(found["Pss_Shmem:"])
    return int(found["Pss:"])


def give_back() -> None:
    """What malloc() keeps for later is nobody's leak. All of it goes where there is one
    heap: run this with MALLOC_ARENA_MAX=1."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def measure() -> dict[str, int]:
    gc.collect()
    give_back()
    return {
        "pss_kib": pss(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(multiprocessing.active_children()),
    }


def end_at_once() -> None:
    child = SPAWN.Process(target=int)
    child.start()
    end([child])


def soak(seconds: float, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    begin = time.monotonic()
    done: Counter[str] = Counter()
    before: dict[str, int] = {}
    end_at_once()  # what the start method needs stays
    while (now := time.monotonic() - begin) < seconds or not before:
        if not before and now > seconds / 4 and sum(done.values()) >= 8:
            before = measure()
        done[rng.choice(ROUNDS)(rng)] += 1
    return {"rounds": dict(done), "before": before, "after": measure()}


if __name__ == "__main__":
    # What a round waits for in vain ends it, with a traceback of every thread.
    import faulthandler

    faulthandler.enable(all_threads=True)
    print(json.dumps(soak(float(sys.argv[1]), int(sys.argv[2]))))
