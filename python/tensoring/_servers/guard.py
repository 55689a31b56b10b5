# SPDX-License-Identifier: MIT
"""A process group that ends with the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_PAUSE = 0.05  # seconds between two looks at a group that must end


def members(group: int) -> dict[int, int]:
    """{pid: parent's pid} of the living processes of a group."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, parent, own, *_ = (
                Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            )
            if int(own) == group and state != b"Z":
                found[int(name)] = int(parent)
    return found


class Guard:
    """A process that leads the group: so the group's number is not given to others. If
    its starter ends without stop(), it ends the group: by SIGTERM, and after `grace`
    seconds by SIGKILL. Make it before all else: it is a fork. `name` is in ps."""

    def __init__(self, name: str, grace: float) -> None:
        self._name, self._grace = name, grace
        self.group = self._pid = self._fork(0)

    def _fork(self, group: int) -> int:
        """The guard of a group, or of a new one if that is 0."""
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                _guard(reader, group, self._name, self._grace)
            finally:
                os._exit(0)
        os.close(reader)
        with contextlib.suppress(OSError):  # it does so itself
            os.setpgid(pid, group)
        self._end = os.pidfd_open(pid)
        self.leads = True  # it was not killed with its group
        return pid

    def fileno(self) -> int:
        """Readable when the guard has ended."""
        return self._end

    def _close(self) -> None:
        os.close(self._end)
        os.close(self._writer)

    def renew(self) -> None:
        """After an end of the guard: have another one. The first one stays a zombie,
        which keeps the number of the group."""
        if self._pid != self.group:
            os.waitpid(self._pid, 0)
        self._close()
        self._pid = self._fork(self.group)

    def forget(self) -> None:
        """Call it in a fork of the starter, for whose end the guard must not wait."""
        self._close()

    def others(self) -> dict[int, int]:
        """{pid: parent's pid} of the processes of the group but the guard."""
        found = members(self.group)
        found.pop(self._pid, None)
        return found

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; of them the guard takes SIGKILL alone."""
        self.leads &= number != signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)

    def stop(self) -> None:
        """End. What is left of the group ends as if the starter had been killed."""
        with contextlib.suppress(BrokenPipeError):  # it was killed with its group
            if not self.others():
                os.write(self._writer, b"x")
        self._close()
        for pid in {self._pid, self.group}:
            os.waitpid(pid, 0)


def _guard(reader: int, group: int, name: str, grace: float) -> None:
    os.setpgid(0, group)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    Path("/proc/self/comm").write_text(f"guard-{name}")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # a reader of our output must not wait for this process
        os.dup2(nothing, standard)
    os.dup2(reader, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    if os.read(3, 1):
        return
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    end = time.monotonic() + grace
    while len(members(group)) > 1 and time.monotonic() < end:
        time.sleep(_PAUSE)  # no event tells when the last of a group has ended
    os.killpg(group, signal.SIGKILL)
