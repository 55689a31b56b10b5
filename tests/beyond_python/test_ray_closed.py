# SPDX-License-Identifier: MIT
"""What Ray pickles while another thread closes the arena. No cluster is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensoring as tr

pytest.importorskip("ray")
from tensoring._arena.cells import Cells
from tensoring._servers import ray_views


def test_ray_carries_an_array_while_the_arena_is_closed(
    pool: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = np.random.default_rng(7).random((9, 128, 64, 2))
    pool.queue("q").send(before)
    array = pool.queue("q").receive()
    cells = Cells(pool, "objects", 16, 0)
    loan = ray_views.loan

    def close_and_loan(*args: Any) -> Any:
        pool.close()
        return loan(*args)

    monkeypatch.setattr(ray_views, "_least", 1 << 20)
    monkeypatch.setattr(ray_views, "_is_counted", lambda: True)
    monkeypatch.setattr(ray_views, "node_id", lambda: "node")
    monkeypatch.setattr(ray_views, "cells_of", lambda node: cells)
    monkeypatch.setattr(ray_views, "loan", close_and_loan)
    make, args = ray_views._reduce(array)[:2]
    assert pool.closed
    assert np.array_equal(make(*args), before)
