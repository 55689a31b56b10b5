# SPDX-License-Identifier: MIT
"""Runs a program in a session of its own, of which nothing is left."""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import signal
import subprocess
from dataclasses import dataclass

GRACE = 20  # seconds that its processes have to end after it


@dataclass
class Ended:
    """What became of a program."""

    status: int | None  # None: it ran out of time
    output: str
    left: list[str]  # command lines of processes that it left behind, killed now


def run(
    command: list[str],
    seconds: float,
    log: pathlib.Path,
    grace: float = GRACE,
    **more: str,
) -> Ended:
    """Run it with `more` in its environment; its output goes to `log`."""
    with log.open("w") as output:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
            start_new_session=True,
        )
    status: int | None = None
    try:
        status = program.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        left = _end(program.pid, 0 if status is None else grace)
        program.wait()
    return Ended(status, log.read_text(errors="replace"), left)


def _end(session: int, grace: float) -> list[str]:
    """Wait for the processes of a session, then kill those that are left."""
    for one in _members(session):
        _ends(one, grace)
    lines = []
    while left := _members(session):
        for one in left:
            lines.append(_command(one))
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
            _ends(one, GRACE)
    return lines


def _members(session: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{name}/stat").read_text()
            state, _, _, its_session = stat.rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(name))
    return found


def _ends(pid: int, seconds: float) -> None:
    """Wait for a process that may not be a child."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([process], [], [], seconds)
    finally:
        os.close(process)


def _command(pid: int) -> str:
    try:
        line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return str(pid)
    return f"{pid}: {line.replace(bytes(1), b' ').decode(errors='replace')[:200]}"
