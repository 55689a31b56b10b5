# SPDX-License-Identifier: MIT
"""Forked workers share the work: arrays go there and back without pickle."""

import os

import numpy as np

import tensoring as tr

WORKERS, JOBS = 3, 30

arena = tr.Arena(slots=[(4 << 10, 32), (1 << 20, 32)])
jobs = arena.queue("jobs")
results = arena.queue("results")


def work() -> None:
    """A job is done when its last view is gone. One that is still held when its worker
    ends goes to another: hence a function, whose `job` does not outlive it."""
    for job in jobs:  # a view of the slot, until the queue is shut down
        results.send({"id": job["id"], "norm": np.linalg.norm(job["x"], axis=1)})


children = []
for _ in range(WORKERS):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    children.append(pid)

for i in range(JOBS):
    with jobs.loan({"id": ((), "int64"), "x": ((100, 50), "float64")}) as loan:
        loan["id"][...] = i
        loan["x"][...] = i  # written where the worker will read it
jobs.shutdown()

seen = set()
for _ in range(JOBS):
    result = results.receive()
    assert np.allclose(result["norm"], int(result["id"]) * np.sqrt(50))
    seen.add(int(result["id"]))
assert seen == set(range(JOBS))
assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
print(f"{JOBS} jobs done by {WORKERS} workers")
