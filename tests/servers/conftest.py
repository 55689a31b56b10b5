# SPDX-License-Identifier: MIT
"""Nothing of a test's server may live on."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = set(os.listdir("/dev/shm"))
    yield
    gc.collect()
    more = set(os.listdir("/dev/shm")) - before
    assert not [one for one in more if one.startswith("tensoring.server")]
