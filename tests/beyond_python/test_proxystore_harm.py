# SPDX-License-Identifier: MIT
"""The connector for ProxyStore, when its arena or the class of its other connector is not
there."""

from __future__ import annotations

import pickle
from pathlib import Path

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
