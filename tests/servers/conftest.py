# SPDX-License-Identifier: MIT
"""Nothing of a test's server may live on."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from serving import Server, names


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No arena of the servers that the test has started. Others on this machine have
    theirs, which are none of its business."""
    Server.pids.clear()
    yield
    gc.collect()
    assert not [one for pid in Server.pids for one in names(pid)]
