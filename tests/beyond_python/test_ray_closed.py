# SPDX-License-Identifier: MIT
"""What Ray carries itself: another thread closes the arena, or it is full for a process
without pins. What may have readers that Ray does not count. No cluster is needed."""

from __future__ import annotations

import os
import queue
import socket
import types
from typing import Any

import numpy as np
import pytest

import tensoring as tr

pytest.importorskip("ray")
import tensoring.ray
from tensoring._arena.cells import Cells
from tensoring._servers import ray_objects, ray_orphans, ray_tokens, ray_views
from tensoring._servers.current import started

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
    token = ray_tokens.Token(3, b"0 0 3", None)
    tokens = types.SimpleNamespace(take=lambda: token, give_back=lambda token: None)
    put = cells.put

    def close_and_put(*args: Any) -> Any:
        pool.close()
        return put(*args)

    monkeypatch.setattr(cells, "put", close_and_put)
    monkeypatch.setattr(tensoring.ray.ray_node, "node_id", lambda: "node")
    monkeypatch.setattr(ray_objects, "cells_of", lambda node: cells)
    monkeypatch.setattr(ray_objects, "node_id", lambda: "node")
    monkeypatch.setitem(ray_objects._tokens, "node", tokens)
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
            message.set(user=f"{os.getpid()} {started(os.getpid())} 1".encode())
            places.append(cells.put(message, 0))
        views = [cells.get(*place) for place in places[:2]]
        with pytest.raises(tr.Full):
            ray_objects.loan(cells, 10, 0)
        del views


def test_the_cell_of_a_token_is_found() -> None:
    """Also where another object has the cell that is tried first."""
    with tr.Arena([(4096, 8)]) as arena:
        cells = Cells(arena, "objects", 4, 0)
        tokens = [ray_tokens.Token(n, f"1 2 {n}".encode(), None) for n in (1, 4, 7, 2)]
        places = []
        for token in tokens[:3]:
            message = ray_objects.loan(cells, 10, 0)
            message.set(user=token.label)
            places.append(cells.put(message, 0, token.number % cells.count))
        assert places[0][0] == 1
        assert [ray_objects._find(cells, token) for token in tokens] == [*places, None]


def test_a_process_answers_while_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = ray_orphans.Holder(*server.getsockname())
        assert holder.answers()
    assert not holder.answers()


def test_an_orphan_is_freed_when_no_process_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two looks in a row have to miss it: a message may be under way."""
    found = [{b"a"}, set(), {b"a"}, None, set(), set()]
    freed: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def in_use() -> set[bytes]:
        one = found.pop(0)
        if one is None:
            raise OSError("a node does not answer")
        return one

    monkeypatch.setattr(ray_orphans, "_PAUSE", 0.001)
    monkeypatch.setattr(ray_orphans, "_in_use", in_use)
    orphans = ray_orphans.Orphans(freed.put)
    orphans.add(b"a", "a token")
    assert freed.get(timeout=60) == "a token"
    assert found == []


def test_an_actor_that_makes_no_tokens_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray carries the objects, and nobody waits again."""
    asked: list[int] = []

    def no_actor() -> Any:
        asked.append(1)
        raise ray_tokens.RayError

    monkeypatch.setattr(ray_tokens, "this_process", lambda: ("host", 1))
    tokens = ray_tokens.Tokens(no_actor)
    assert tokens.take() is None
    assert tokens.take() is None
    assert len(asked) == ray_tokens._TRIES
