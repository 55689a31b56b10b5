# SPDX-License-Identifier: MIT
"""Models of `tensoring serve`. Files in the server's folder say how they behave."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import tensoring as tr


class Model(tr.Model):
    """Says twice its number, and one."""

    def load(self) -> None:
        if Path("broken").exists():
            raise LookupError("no weights here")
        line = f"loaded {os.getpid()} {os.environ['OMP_NUM_THREADS']}\n"
        os.write(1, line.encode())  # in one call: other models write there, too

    def predict(self, batch: tr.Batch) -> Any:
        if Path("hold").exists():  # a FIFO, which opens when the test opens it
            Path("held").touch()
            with contextlib.suppress(FileNotFoundError):  # opened, and gone, meanwhile
                Path("hold").read_bytes()
        return 2 * batch.x + 1


class Second(tr.Model):
    """Three more."""

    def predict(self, batch: tr.Batch) -> Any:
        return batch.x + 3


def publish(arena: tr.Arena) -> None:
    board = arena.board("setup")
    board["calls"] = board["calls"] + 1 if "calls" in board else 1
