# SPDX-License-Identifier: MIT
"""Two servers answer requests; an error in the function comes back as RemoteError."""

import os

import numpy as np

import tensoring as tr


def model(x: np.ndarray) -> np.ndarray:
    if x.ndim != 2:
        raise ValueError(f"2 dimensions expected, not {x.ndim}")
    return x @ np.ones((x.shape[1], 1))


service = tr.Arena(slots=[(64 << 10, 32)]).service("model")
servers = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        service.serve(model)
        os._exit(0)
    servers.append(pid)

assert (service.call(np.ones((4, 8)), timeout=30) == 8).all()
try:
    service.call(np.ones(3), timeout=30)
except tr.RemoteError as error:
    print(f"as expected: {error}")
service.shutdown()
assert all(os.waitpid(pid, 0)[1] == 0 for pid in servers)
print("answered")
