# SPDX-License-Identifier: MIT
"""Which workers use a server's arena by its name: the last one that leaves removes it.

Each has a shared lock on a byte of the arena's file, which goes with its process. The
last one can make it exclusive. Participants do not tell: views that are left in globals
keep a worker in the arena until its end, when it can do nothing any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from tensoring._arena.arena import Arena
from tensoring._arena.once import lock
from tensoring._errors import Error

_USERS, _TURN = (1 << 40) - 2, (1 << 40) - 1  # bytes before those of Arena.once()


class Use:
    """This process uses the arena, until leave()."""

    def __init__(self, arena: Arena) -> None:
        self._name = arena.name or ""
        self._path = Path(f"/dev/shm/tensoring.{self._name}")
        self._pid = os.getpid()
        self._file = os.fstat(arena.fd).st_ino
        # A description of its own: closing another one does not drop the lock.
        self._fd = -1
        with contextlib.suppress(FileNotFoundError):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            lock(self._fd, fcntl.F_RDLCK, _USERS)  # waits while one removes the name

    def named(self) -> bool:
        """Whether the name still means this arena."""
        with contextlib.suppress(OSError):
            mine = self._fd >= 0 and os.fstat(self._fd).st_ino == self._file
            return mine and self._path.stat().st_ino == self._file
        return False

    def leave(self) -> None:
        """Remove the name if no other process uses it."""
        if self._fd < 0:
            return
        if os.getpid() == self._pid:  # a forked child has the parent's lock
            # One by one: two at a time would see each other, and both go.
            lock(self._fd, fcntl.F_WRLCK, _TURN)
            with contextlib.suppress(BlockingIOError, Error):
                lock(self._fd, fcntl.F_WRLCK, _USERS, wait=False)
                if self.named():
                    Arena.unlink(self._name)
            lock(self._fd, fcntl.F_UNLCK, _USERS)
            lock(self._fd, fcntl.F_UNLCK, _TURN)
        os.close(self._fd)
