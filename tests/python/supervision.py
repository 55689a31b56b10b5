# SPDX-License-Identifier: MIT
"""What the tests of supervisors share."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import tensoring as tr

PATIENCE = 60.0  # seconds; nothing is measured


def until(supervisor: tr.Supervisor, done: Callable[[], bool]) -> None:
    while not done():
        assert supervisor.step(PATIENCE), supervisor.status()


def forked(function: Callable[[], object]) -> int:
    """A process beside the supervisor's."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def forever(worker: tr.Worker) -> None:
    while not worker.stopping():
        select.select([], [], [], 0.01)
