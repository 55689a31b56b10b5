# SPDX-License-Identifier: MIT
"""A process that keeps a named arena while another process lives, and then removes it.

python -m tensoring._servers.keeper NAME PID STARTED

It takes part in the arena, so that the arena is there while nobody uses it. It says
"ready" and goes on in the background."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from tensoring._arena.arena import Arena
from tensoring._errors import NotFoundError
from tensoring._servers.current import started


def _wait_for(pid: int, since: str) -> None:
    """Until the process that began then has ended."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:  # it has ended, or there are no descriptors of processes
        while started(pid) == since:
            select.select([], [], [], 0.5)
        return
    if started(pid) == since:
        select.select([fd], [], [])
    os.close(fd)


def _keep(name: str, pid: int, since: str, ready: int) -> None:
    with contextlib.suppress(NotFoundError):
        arena = Arena.attach(name)
        os.write(ready, b"ready\n")
        os.close(ready)
        _wait_for(pid, since)
        arena.close()
        Arena.unlink(name)


def main() -> None:
    """Fork: the parent ends when the child takes part."""
    name, pid, since = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        _keep(name, pid, since, write)
        os._exit(0)
    os.close(write)
    said = os.read(read, 16)
    sys.exit(0 if said else f"no arena {name!r} to keep")


if __name__ == "__main__":
    main()
