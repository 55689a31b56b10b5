# SPDX-License-Identifier: MIT
"""How a worker learns that its master is gone."""

from __future__ import annotations

import multiprocessing
import os
import select

from tensoring import _core


class Lifeline:
    """A line from a worker to its master, which may not be its parent (forkserver).

    It ends with its master, whatever it does then, see parent.c. What it asks for itself
    is for a master that died before, and for where the kernel cannot."""

    def __init__(self, master: int) -> None:
        self._parent = os.getppid()
        self._child = self._parent == master
        self._gone: select.poll | None = None
        self._fd = -1
        self.renew()
        try:
            self._fd = os.pidfd_open(master)
        except ProcessLookupError:
            self._parent = -1
        except (AttributeError, OSError):
            pass  # this kernel has none
        else:
            if hasattr(select, "poll"):  # eventlet takes it away
                self._gone = select.poll()
                self._gone.register(self._fd, select.POLLIN)
            if not self._child:
                _core.end_with(self._fd)
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            self._parent = -1  # since before there was anything to look at

    def renew(self) -> None:
        """Again after what may have changed the user: the kernel forgets then."""
        if self._child:
            _core.end_with_parent()

    def holds(self) -> bool:
        """Whether the master lives, as far as is known without a look at it."""
        return os.getppid() == self._parent

    def holds_fast(self) -> bool:
        """Whether it lives: the same with a look."""
        return self.holds() and not (self._gone and self._gone.poll(0))
