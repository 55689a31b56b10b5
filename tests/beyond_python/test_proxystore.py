# SPDX-License-Identifier: MIT
"""The connector for ProxyStore: a real Store, real proxies, several processes, and
another host, which is a mount namespace without this host's arenas."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr

pytest.importorskip("proxystore")
from proxystore.connectors.file import FileConnector
from proxystore.connectors.protocols import Connector
from proxystore.proxy import Proxy, extract
from proxystore.serialize import SerializationError
from proxystore.store import Store

import tensoring.proxystore as tp

PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
X = np.random.default_rng(7).random((9, 128, 64, 3))


def kept(arena: tr.Arena) -> int:
    """Slots of objects that were not evicted, the identity's included."""
    return arena.stats()["totals"]["slots_board"]


def pinned(arena: tr.Arena) -> int:
    """Objects that processes look into."""
    return sum(one["pinned"] for one in arena.stats()["participants"])


@contextmanager
def store_on(arena: tr.Arena, also: Any = None, **options: Any) -> Iterator[Store[Any]]:
    """A store whose gets are not answered by its cache."""
    connector = tp.TensoringConnector(arena, also=also, **options)
    with connector.store(arena.name, cache_size=0, populate_target=False) as store:
        yield store


def in_child(code: str, given: Any, *before: str) -> Any:
    """What `code` leaves in `out`, in another process that gets `given` as `it`."""
    program = (
        "import pickle, sys\n"
        "it = pickle.load(sys.stdin.buffer)\n"
        f"{code}\n"
        "sys.stdout.buffer.write(pickle.dumps(out))\n"
    )
    done = subprocess.run(
        [*before, sys.executable, "-c", program],
        input=pickle.dumps(given),
        capture_output=True,
        timeout=60 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)


def elsewhere() -> list[str]:
    """A command that runs another one where /dev/shm is empty, or the test is skipped."""
    within = 'mount -t tmpfs none /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", within, "sh"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, timeout=60)
    except OSError as error:
        pytest.skip(f"no mount namespace can be made: {error}")
    if done.returncode:
        pytest.skip(f"no mount namespace can be made: {done.stderr.decode()}")
    return command


# ---- one host


def test_it_is_a_connector(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        assert isinstance(store.connector, Connector)
        config = pickle.loads(pickle.dumps(store.connector.config()))
        again = tp.TensoringConnector.from_config(config)
        assert again.identity == store.connector.identity
        again.close()


def test_put_get_evict(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        key = store.put(X)
        assert store.exists(key)
        got = store.get(key)
        assert np.array_equal(got, X)
        assert not got.flags.writeable
        store.evict(key)
        assert not store.exists(key)
        assert store.get(key) is None
        assert np.array_equal(got, X)  # it stays while it is looked into
        assert (kept(pool), pinned(pool)) == (1, 1)
        del got
        assert (kept(pool), pinned(pool)) == (1, 0)


def test_a_proxy_resolves_to_a_view_in_another_process(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        proxy: Proxy[Any] = store.proxy(X)
        total, pinned = in_child(
            "from proxystore.proxy import extract\n"
            "import proxystore.store\n"
            "array = extract(it)\n"
            "store = proxystore.store.get_store(it)\n"
            "who = store.connector.arena.stats()['participants']\n"
            "out = float(array.sum()), sum(one['pinned'] for one in who)",
            proxy,
        )
        assert total == X.sum()
        assert pinned == 1  # it was a view, not a copy


def test_an_object_is_written_once(pool: tr.Arena) -> None:
    """The store's serializer fills the slot that put() hands to the board."""
    with store_on(pool) as store:
        block = store.serializer(X)
        totals = pool.stats()["totals"]
        assert totals["slots_loaned"] == 1
        key = store.connector.put(block)
        totals = pool.stats()["totals"]
        assert (totals["slots_loaned"], totals["slots_board"]) == (0, 2)
        assert np.array_equal(store.get(key), X)


def test_a_block_that_was_put_already_is_copied(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        block = store.serializer(X)
        first = store.connector.put(block)
        second = store.connector.put(store.connector.get(first))
        store.evict(first)
        assert np.array_equal(store.get(second), X)


@pytest.mark.parametrize("own", [True, False], ids=["ours", "theirs"])
def test_kinds_of_objects(pool: tr.Arena, own: bool) -> None:
    """Our serializers, and those that a Store has by itself."""
    objects: list[Any] = [
        b"",
        b"bytes",
        "text",
        7,
        {"a": [1, 2.5, None], "b": (True, "x")},
        np.arange(5),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(24).reshape(4, 6)[::2, ::3],
        np.array(3.5),
        {"x": np.ones(3, "f4"), "y": np.arange(4)},
        [np.ones(3), np.ones(4)],
    ]
    connector = tp.TensoringConnector(pool)
    if own:
        store = connector.store("own", cache_size=0)
    else:
        store = Store("theirs", connector, cache_size=0)
    with store:
        for one, key in zip(objects, store.put_batch(objects), strict=True):
            got = store.get(key)
            assert type(got) is type(one)
            assert repr(got) == repr(one)


def test_frames(pool: tr.Arena) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {"a": np.arange(1000), "b": np.random.default_rng(1).random(1000)}
    with store_on(pool) as store:
        frame = pandas.DataFrame(columns)
        pandas.testing.assert_frame_equal(store.get(store.put(frame)), frame)
        other = polars.DataFrame(columns)
        assert other.equals(store.get(store.put(other)))


def test_torch(pool: tr.Arena) -> None:
    torch = pytest.importorskip("torch")
    for tensor in (torch.arange(6.0).reshape(2, 3), torch.zeros(0), torch.tensor(3)):
        with store_on(pool) as store:
            got = store.get(store.put(tensor))
            assert got.dtype == tensor.dtype
            assert torch.equal(got, tensor)
            turned = tensor.permute(tuple(reversed(range(tensor.ndim))))
            assert torch.equal(store.get(store.put(turned)), turned)


def test_compression(pool: tr.Arena) -> None:
    pytest.importorskip("zstandard")
    codec = tp.Codec(compress="zstd")
    connector = tp.TensoringConnector(pool)
    with connector.store("small", codec, cache_size=0, populate_target=False) as store:
        key = store.put(np.zeros((1000, 100)))
        assert key.nbytes < 4096
        total = in_child(
            "from proxystore.proxy import extract\nout = extract(it).shape",
            store.proxy_from_key(key),
        )
        assert total == (1000, 100)


class Point:
    """No serializer knows it."""

    def __init__(self, x: int) -> None:
        self.x = x


def test_pickle_is_by_consent(pool: tr.Arena) -> None:
    connector = tp.TensoringConnector(pool)
    plain = connector.store("plain", cache_size=0)
    trusting = connector.store("trusting", tp.Codec(pickle=True), cache_size=0)
    with pytest.raises(tr.UnsupportedError, match="Point"):
        plain.put(Point(3))
    key = trusting.put(Point(3))
    assert trusting.get(key).x == 3
    with pytest.raises(SerializationError) as refused:
        plain.get(key)
    assert isinstance(refused.value.__cause__, tr.FormatError)
    assert "pickle" in str(refused.value.__cause__)
    connector.close()


@pytest.mark.parametrize(
    "block",
    [b"", b"TRF1", b"TRF1\xff\xff\xff\xff", b"BS\nabc", b"TRF1\x02\0\0\0[]", b"\0" * 100],
)
def test_a_block_of_something_else(block: bytes) -> None:
    with pytest.raises(tr.FormatError):
        tp.deserialize(block)


def test_blocks_that_are_damaged_raise_and_do_not_crash() -> None:
    block = tp.serialize({"x": np.arange(6.0), "y": np.ones((2, 3), "f4")})
    assert tp.deserialize(block)["x"].sum() == 15
    for at in range(min(len(block), 250)):
        for bit in (1, 16, 128):
            broken = bytearray(block)
            broken[at] ^= bit
            with suppress(tr.Error):
                tp.deserialize(broken)


# ---- room


def test_a_full_arena_names_its_holders(pool: tr.Arena) -> None:
    with store_on(pool, timeout=0.05) as store:
        keys = [store.put(X) for _ in range(4)]
        seen = store.get(keys[0])
        with pytest.raises(tr.SendTimedOutError, match=f"process {os.getpid()}.*into 1"):
            store.put(X)
        store.evict(keys[1])
        assert np.array_equal(store.get(store.put(X)), seen)


def test_a_put_waits_for_an_eviction(pool: tr.Arena) -> None:
    with store_on(pool, timeout=60 * PATIENCE) as store:
        keys = [store.put(X) for _ in range(4)]
        found: list[Any] = []
        thread = threading.Thread(
            # Not by the store, which has one lock for all its puts and evictions.
            target=lambda: found.append(store.connector.put(tp.serialize(X)))
        )
        thread.start()
        while not any(size["waiting"] for size in pool.stats()["sizes"]):
            os.sched_yield()
        store.connector.evict(keys[2])
        thread.join()
        assert np.array_equal(store.get(found[0]), X)


def test_more_than_any_slot_holds(pool: tr.Arena, tmp_path: Path) -> None:
    large = np.ones(1 << 20)
    with store_on(pool) as store, pytest.raises(tr.TooLargeError):
        store.put(large)
    with store_on(pool, FileConnector(str(tmp_path / "files"))) as store:
        key = store.put(large)
        assert key.arena == ""
        assert np.array_equal(store.get(key), large)


def test_when_full_other(pool: tr.Arena, tmp_path: Path) -> None:
    also = FileConnector(str(tmp_path / "files"))
    with store_on(pool, also, timeout=0.01, when_full="other") as store:
        keys = [store.put(X) for _ in range(6)]
        assert [key.arena == "" for key in keys] == [False] * 4 + [True] * 2
        assert all(np.array_equal(store.get(key), X) for key in keys)


def test_places_are_used_again(pool: tr.Arena) -> None:
    with store_on(pool, objects=4, timeout=0.01) as store:
        old = [store.put(i) for i in range(3)]
        with pytest.raises(tr.SendTimedOutError, match="all 3 places"):
            store.put(3)
        for round_ in range(20):
            for key in old:
                store.evict(key)
            new = [store.put([round_, i]) for i in range(3)]
            assert [store.get(key) for key in old] == [None] * 3
            assert [store.get(key) for key in new] == [[round_, i] for i in range(3)]
            old = new
        assert store.connector.arena is pool


def test_many_processes_get_places_of_their_own(pool: tr.Arena) -> None:
    with store_on(pool, objects=16) as store:
        code = (
            "import tensoring.proxystore as tp\n"
            "c = tp.TensoringConnector.from_config(it)\n"
            "s = c.store('s', cache_size=0)\n"
            "for i in range(100):\n"
            "    keys = [s.put([i, j]) for j in range(3)]\n"
            "    assert [s.get(k) for k in keys] == [[i, j] for j in range(3)]\n"
            "    for k in keys: s.evict(k)\n"
            "out = True"
        )
        config = store.connector.config()
        threads = [threading.Thread(target=in_child, args=(code, config)) for _ in "abc"]
        failed: list[Any] = []
        threading.excepthook, before = failed.append, threading.excepthook
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threading.excepthook = before
        assert not failed, failed
        assert kept(pool) == 1


def test_small_objects_take_no_pin(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        small, large = store.put([1, 2]), store.put(X)
        many = [store.connector.get(small) for _ in range(100)]
        assert len(set(many)) == 1
        views: list[Any] = []
        with pytest.raises(tr.Error, match="more pins"):
            views.extend(store.get(large) for _ in range(65))
        assert len(views) == 64


def test_without_a_pin_the_other_connector_is_asked(
    pool: tr.Arena, tmp_path: Path
) -> None:
    with store_on(pool, FileConnector(str(tmp_path / "files"))) as store:
        key = store.put(X)
        many = [store.get(key) for _ in range(70)]
        assert all(np.array_equal(one, X) for one in many)


def test_a_killed_holder_pins_nothing(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        proxy: Proxy[Any] = store.proxy(X)
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import pickle, sys, signal\n"
                "from proxystore.proxy import extract\n"
                "array = extract(pickle.load(sys.stdin.buffer))\n"
                "print(array.size, flush=True)\n"
                "signal.pause()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert holder.stdin
        assert holder.stdout
        try:
            holder.stdin.write(pickle.dumps(proxy))
            holder.stdin.close()
            assert int(holder.stdout.readline()) == X.size
            store.evict(proxy.__proxy_factory__.key)
            assert (kept(pool), pinned(pool)) == (1, 1)
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            holder.stdout.close()
        pool.reap()
        assert pinned(pool) == 0


def test_a_forked_child_goes_on(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        key = store.put(X)
        child = os.fork()
        if child == 0:
            good = np.array_equal(store.get(key), X)
            store.evict(key)
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert store.get(key) is None


# ---- other hosts


def test_another_host_asks_the_other_connector(pool: tr.Arena, tmp_path: Path) -> None:
    before = elsewhere()
    with store_on(pool, FileConnector(str(tmp_path / "files"), clear=False)) as store:
        proxy: Proxy[Any] = store.proxy(X)
        total, arena, back = in_child(
            "from proxystore.proxy import extract\n"
            "import proxystore.store\n"
            "store = proxystore.store.get_store(it)\n"
            "total = float(extract(it).sum())\n"
            "back = store.put([1, 2, 3])\n"
            "store.evict(it.__proxy_factory__.key)\n"
            "out = total, store.connector.arena, back",
            proxy,
            *before,
        )
        assert total == X.sum()
        assert arena is None
        assert back.arena == ""
        assert store.get(back) == [1, 2, 3]
        key = proxy.__proxy_factory__.key
        assert store.get(key) is not None  # that host could not reach this slot
        assert store.connector.sweep() == 1
        assert store.get(key) is None


def test_a_full_arena_is_swept(pool: tr.Arena, tmp_path: Path) -> None:
    also = FileConnector(str(tmp_path / "files"))
    with store_on(pool, also, timeout=0.05) as store:
        keys = [store.put(X) for _ in range(4)]
        for key in keys:
            also.evict(key.other)  # as another host does
        assert np.array_equal(store.get(store.put(X)), X)


def test_another_host_without_another_connector(pool: tr.Arena) -> None:
    before = elsewhere()
    with store_on(pool) as store:
        proxy: Proxy[Any] = store.proxy(X)
        said = in_child(
            "from proxystore.proxy import extract, ProxyResolveError\n"
            "try: extract(it)\n"
            "except ProxyResolveError as error: out = repr(error.__cause__)",
            proxy,
            *before,
        )
    assert "NotFoundError" in said
    assert pool.name in said
    assert "also=" in said


def test_an_arena_of_that_name_on_another_host(pool: tr.Arena, tmp_path: Path) -> None:
    """Its cells have the same numbers and versions, and other objects."""
    before = elsewhere()
    with store_on(pool, FileConnector(str(tmp_path / "files"), clear=False)) as store:
        proxy: Proxy[Any] = store.proxy(X)
        total, same, shape = in_child(
            "import tensoring as tr\n"
            f"arena = tr.Arena.create({pool.name!r}, [(4096, 2048), (2 << 20, 4)])\n"
            "from proxystore.proxy import extract\n"
            "import proxystore.store\n"
            "store = proxystore.store.get_store(it)\n"
            "wanted = it.__proxy_factory__.key\n"
            "for _ in range(store.connector._cells.count): store.put('mine')\n"
            "same = store.connector.identity == wanted.arena\n"
            "out = float(extract(it).sum()), same, store.get(wanted).shape",
            proxy,
            *before,
        )
        assert (total, same, shape) == (X.sum(), False, X.shape)


def test_an_arena_that_was_made_again(pool: tr.Arena, tmp_path: Path) -> None:
    name = str(pool.name)
    also = FileConnector(str(tmp_path / "files"))
    with tp.TensoringConnector(name, also=also).store("x", cache_size=0) as store:
        old = store.put(X)
        identity = store.connector.identity
        tr.Arena.unlink(name)
        with tr.Arena.create(name, [(4096, 8), (2 << 20, 4)]):
            new = store.put(X + 1)
            assert new.arena == store.connector.identity != identity
            assert np.array_equal(store.get(new), X + 1)
            assert np.array_equal(store.get(old), X)  # by the other connector
            assert new.arena != old.arena


# ---- what is wrong


def test_there_must_be_an_arena() -> None:
    name = f"none.{os.getpid()}"
    with pytest.raises(tr.NotFoundError, match=name):
        tp.TensoringConnector(name)
    with tr.Arena() as arena, pytest.raises(ValueError, match="carry its name"):
        tp.TensoringConnector(arena)


def test_a_closed_connector_says_so(pool: tr.Arena) -> None:
    connector = tp.TensoringConnector(pool)
    key = connector.put(b"x")
    connector.close()
    connector.close()
    with pytest.raises(tr.InvalidError, match="closed"):
        connector.get(key)
    assert not pool.closed


def test_close_may_clear(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        for _ in range(5):
            store.put([1])
        assert kept(pool) == 6
        store.close(clear=True)
    assert kept(pool) == 1


def test_a_batch_is_all_or_nothing(pool: tr.Arena) -> None:
    with store_on(pool, timeout=0) as store:
        blocks = [tp.serialize(X) for _ in range(6)]
        with pytest.raises(tr.Full):
            store.connector.put_batch(blocks)
        assert kept(pool) == 1


def test_a_failing_copy_leaves_nothing(pool: tr.Arena, tmp_path: Path) -> None:
    class Fails(FileConnector):
        def put(self, obj: Any) -> Any:
            raise OSError("no room there")

    with store_on(pool, Fails(str(tmp_path / "files"))) as store:
        with pytest.raises(OSError, match="no room there"):
            store.put(X)
        assert kept(pool) == 1


@pytest.mark.parametrize("name", ["proxystore", "ray"])
def test_it_is_imported_only_if_asked_for(name: str) -> None:
    code = (
        "import sys, tensoring\n"
        f"assert {name!r} not in sys.modules\n"
        f"sys.modules[{name!r}] = None\n"
        f"try: import tensoring.{name}\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"pip install 'tensoring[{name}]'" in done.stdout, done.stderr


def test_extract_gives_the_same_as_the_store(pool: tr.Arena) -> None:
    with store_on(pool) as store:
        proxy: Proxy[Any] = store.proxy(X, evict=True)
        assert np.array_equal(extract(proxy), X)
        assert kept(pool) == 1
