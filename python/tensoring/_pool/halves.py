# SPDX-License-Identifier: MIT
"""Where the values of a job go, and of one that was cut in two."""

from __future__ import annotations

import threading
from typing import Any, Protocol


class Into(Protocol):
    """Where the values of a job go."""

    def _set(
        self, index: int, values: list[Any], error: BaseException | None
    ) -> None: ...


class Halves:
    """Where the values of the halves of a job go that was too large for one message."""

    def __init__(self, into: Into, index: int) -> None:
        self.into = into
        self.index = index
        self.found: dict[int, list[Any]] = {}
        self.error: BaseException | None = None
        self.lock = threading.Lock()

    def _set(self, half: int, values: list[Any], error: BaseException | None) -> None:
        with self.lock:
            self.found[half] = values
            self.error = self.error or error
            if self.error is None and len(self.found) < 2:
                return
        both = [] if self.error else [*self.found[0], *self.found[1]]
        self.into._set(self.index, both, self.error)  # again does no harm
