# SPDX-License-Identifier: MIT
"""How a worker learns that its master is gone."""

from __future__ import annotations

import multiprocessing
import os
import select


class Lifeline:
    """From a worker to its master, which may be the parent of its parent (forkserver).

    The parent of a process changes when the parent dies, and a forkserver ends with its
    master. PR_SET_PDEATHSIG would not do: it is sent when the *thread* ends that made the
    worker."""

    def __init__(self, master: int) -> None:
        self._parent = os.getppid()
        self._gone: select.poll | None = None
        self._fd = -1
        try:
            self._fd = os.pidfd_open(master)
        except ProcessLookupError:
            self._parent = -1
        except (AttributeError, OSError):
            pass  # this kernel has none
        else:
            self._gone = select.poll()
            self._gone.register(self._fd, select.POLLIN)
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            self._parent = -1  # since before there was anything to look at

    def holds(self) -> bool:
        """Whether the master lives, as far as is known without a look at it."""
        return os.getppid() == self._parent

    def holds_fast(self) -> bool:
        """Whether it lives: the same with a look."""
        return self.holds() and not (self._gone and self._gone.poll(0))
