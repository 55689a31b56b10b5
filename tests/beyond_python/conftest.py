# SPDX-License-Identifier: MIT
"""An arena with a name for each test; nothing of it may be left."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
from collections.abc import Iterator

import pytest

import tensoring as tr

SLOTS = [(4096, 16), (64 << 10, 8), (2 << 20, 4)]


@pytest.fixture
def pool() -> Iterator[tr.Arena]:
    name = f"beyond.{os.getpid()}.{secrets.token_hex(4)}"
    with tr.Arena.create(name, SLOTS) as arena:
        yield arena
    gc.collect()
    with contextlib.suppress(tr.NotFoundError):
        tr.Arena.unlink(name)
