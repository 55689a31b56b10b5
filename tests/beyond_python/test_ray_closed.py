# SPDX-License-Identifier: MIT
"""What Ray carries itself: another thread closes the arena, or it is full for a process
without pins. No cluster is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensoring as tr

pytest.importorskip("ray")
import tensoring.ray
from tensoring._arena.cells import Cells
from tensoring._servers import ray_objects, ray_views

X = np.random.default_rng(7).random((9, 128, 64, 2))


def test_ray_carries_an_array_while_the_arena_is_closed(
    pool: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.queue("q").send(X)
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
    assert np.array_equal(make(*args), X)


def test_ray_carries_what_is_shared_while_the_arena_is_closed(
    pool: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cells(pool, "objects", 16, 0)
    put = cells.put

    def close_and_put(*args: Any) -> Any:
        pool.close()
        return put(*args)

    monkeypatch.setattr(cells, "put", close_and_put)
    monkeypatch.setattr(tensoring.ray.ray_node, "node_id", lambda: "node")
    monkeypatch.setattr(ray_objects, "cells_of", lambda node: cells)
    shared = tensoring.ray.share(X)
    assert pool.closed
    assert not shared.by_reference
    make, args = shared.__reduce__()
    assert make(*args) is X


def test_a_process_without_pins_finds_a_full_arena() -> None:
    with tr.Arena([(4096, 6)], pins=2) as arena:
        cells = Cells(arena, "objects", 16, 0)  # its identity takes a slot
        places = []
        for _ in range(5):
            message = ray_objects.loan(cells, 10, 0)
            message.set(user=ray_objects._owner())
            places.append(cells.put(message, 0))
        views = [cells.get(*place) for place in places[:2]]
        with pytest.raises(tr.Full):
            ray_objects.loan(cells, 10, 0)
        del views


def test_a_slot_is_freed_while_the_arena_is_closed(
    pool: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tr.Arena.attach(str(pool.name)) as closed:
        cells = Cells(closed, ray_objects._BOARD, ray_objects._OBJECTS, 0)
        place = cells.put(ray_objects.loan(cells, 10, 0), 0)
        delete = cells.delete

        def close_and_delete(*args: Any) -> None:
            closed.close()
            delete(*args)

        monkeypatch.setattr(cells, "delete", close_and_delete)
        ray_objects._free(cells, *place)
        assert closed.closed
        left = Cells(pool, ray_objects._BOARD, ray_objects._OBJECTS, 0)
        assert left.live() == []
