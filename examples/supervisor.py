# SPDX-License-Identifier: MIT
"""A model server: workers on cores of their own, one of which dies, then all are new."""

import os
import signal

import numpy as np

import tensoring as tr

arena = tr.Arena(slots=[(64 << 10, 64)])
service = arena.service("model", max_deliveries=1)


def model(x: np.ndarray) -> np.ndarray:
    if not x.size:
        os.kill(os.getpid(), signal.SIGKILL)
    return x @ np.ones((x.shape[1], 1))


def work(worker: tr.Worker) -> None:
    worker.serve(service, model)


def client() -> None:
    for i in range(100):
        assert (service.call(np.full((4, 8), i), timeout=30) == 8 * i).all()
        if i == 50:
            try:
                service.call(np.zeros((0, 8)), timeout=30)
            except tr.PeerDiedError as error:
                print(f"as expected: {error}", flush=True)


with tr.Supervisor(work, 2, arena=arena, died=print) as supervisor:
    pid = os.fork()
    if pid == 0:
        client()
        os._exit(0)
    while not supervisor.status().deaths:
        supervisor.step()
    supervisor.reload()  # under load: no request is lost
    supervisor.wait_ready(30)
    for state in supervisor.workers():
        print(state)
    assert os.waitpid(pid, 0)[1] == 0
print("answered")
