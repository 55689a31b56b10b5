# SPDX-License-Identifier: MIT
"""The connector for ProxyStore, when its arena or the class of its other connector is not
there."""

from __future__ import annotations

import contextlib
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr

pytest.importorskip("proxystore")
from proxystore.connectors.file import FileConnector

import tensoring.proxystore as tp
from test_proxystore import X, kept


def test_an_arena_that_was_closed(pool: tr.Arena, tmp_path: Path) -> None:
    """The connector attaches again by its name; a handle stays the caller's."""
    connector = tp.TensoringConnector(pool.name)
    with connector.store("again", cache_size=0) as store:
        first = store.put(X)
        assert connector.arena is not None
        connector.arena.close()
        assert np.array_equal(store.get(first), X)
        connector.arena.close()
        second = store.put(X)
        connector.arena.close()
        assert store.exists(second)
        store.evict(first)
        connector.arena.close()
        connector.close(clear=True)
    assert kept(pool) == 1
    given = tr.Arena.attach(str(pool.name))
    also = FileConnector(str(tmp_path / "files"))
    closed = tp.TensoringConnector(given, also=also)
    key = closed.put(b"x" * 9000)
    given.close()
    for call in (closed.get, closed.exists, closed.evict):
        with pytest.raises(tr.InvalidError, match="that the connector was given"):
            call(key)
    with pytest.raises(tr.InvalidError, match="give it the name"):
        closed.put(b"x")
    closed.close(clear=True)
    assert kept(pool) == 2


class Holder:
    class Connector(FileConnector):
        """Its class is found by more than one name."""


def test_the_other_connector_is_found_by_its_class(
    pool: tr.Arena, tmp_path: Path
) -> None:
    class Local(FileConnector):
        pass

    folder = str(tmp_path / "files")
    with tp.TensoringConnector(pool, also=Holder.Connector(folder)) as connector:
        config = pickle.loads(pickle.dumps(connector.config()))
        again = tp.TensoringConnector.from_config(config)
        assert type(again._also) is Holder.Connector
        again.close()
    with tp.TensoringConnector(pool, also=Local(folder)) as local:
        config = local.config()
    with pytest.raises(ValueError, match="define it in a module"):
        tp.TensoringConnector.from_config(config)


def test_bytes_of_a_message_are_copied(pool: tr.Arena) -> None:
    """The caller may change a received array, put it twice, or get it elsewhere."""
    connector = tp.TensoringConnector(pool)
    before = np.arange(9000, dtype=np.uint8)
    with tr.Arena([(64 << 10, 4)]) as elsewhere:
        for arena in (pool, elsewhere):
            arena.queue("q").send(before)
            array = arena.queue("q").receive()
            keys = connector.put_batch([memoryview(array)] * 2)
            array[:] = 0
            for got in connector.get_batch(keys):
                assert bytes(got) == before.tobytes()
            for key in keys:
                connector.evict(key)
            del array, got
    assert kept(pool) == 1
    connector.close()


class Down:
    """A connector that takes `count` objects, and evicts none."""

    def __init__(self, count: int) -> None:
        self.count = count

    def put(self, obj: Any) -> int:
        if not self.count:
            raise OSError("it takes no more")
        self.count -= 1
        return self.count

    def evict(self, key: int) -> None:
        raise OSError("it evicts none")


def test_a_batch_that_fails_says_why(pool: tr.Arena) -> None:
    connector = tp.TensoringConnector(pool, also=Down(3))
    with pytest.raises(OSError, match="it takes no more"):
        connector.put_batch([b"x" * 9000] * 5)
    assert kept(pool) == 1


class Gone:
    """A connector whose objects are evicted on another host, while two threads ask."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2)

    def put(self, obj: Any) -> int:
        return 1

    def exists(self, key: int) -> bool:
        self.both.wait(60)
        return False


def test_two_threads_sweep(pool: tr.Arena) -> None:
    connector = tp.TensoringConnector(pool, also=Gone())
    connector.put(b"x" * 9000)
    swept: list[int] = []
    threads = [
        threading.Thread(target=lambda: swept.append(connector.sweep())) for _ in "ab"
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(swept) == [0, 1]
    assert kept(pool) == 1


def test_a_connector_that_comes_to_a_full_arena(pool: tr.Arena) -> None:
    first = tp.TensoringConnector(pool, timeout=0)
    keys: list[tp.TensoringKey] = []
    with contextlib.suppress(tr.Full):
        while True:
            keys.append(first.put(b"x"))
    seen: list[Any] = []

    def come() -> None:
        with tp.TensoringConnector(pool.name) as second:
            seen.append(bytes(second.get(keys[0])))

    comes = threading.Thread(target=come, daemon=True)
    comes.start()
    comes.join(60)
    assert seen == [b"x"]


def test_the_first_connector_of_a_full_arena(pool: tr.Arena) -> None:
    held: list[Any] = []
    with contextlib.suppress(tr.Full):
        while True:
            held.append(pool._loan(tp._row(1), 0))
    with pytest.raises(tr.SendTimedOutError):
        tp.TensoringConnector(pool.name, timeout=0.01)
    del held
    with tp.TensoringConnector(pool.name, timeout=0.01) as connector:
        assert connector.exists(connector.put(b"x"))
