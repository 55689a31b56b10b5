# SPDX-License-Identifier: MIT
"""Objects other than arrays, and the registry of serializers."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

import tensoring as tr
from tensoring import serializers


class Pair(collections.namedtuple("Pair", "left right")):
    __slots__ = ()


@dataclasses.dataclass
class Batch:
    x: np.ndarray
    label: str
    weights: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: np.ndarray


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value


PLAIN = [None, True, 0, -(2**70), 1.5, "", "ünï", b"", b"bytes", [], [1, "a", None], {}]
PLAIN += [(), {"a": 1, "b": [2.5]}, (1, (2,)), {1: "x", (2, 3): "y"}, [(1, 2), [3]]]


def through(queue: tr.ArenaQueue, obj: object) -> object:
    queue.send(obj)
    return queue.receive(0)


@pytest.mark.parametrize(
    "obj",
    PLAIN,
)
def test_plain_values(queue: tr.ArenaQueue, obj: object) -> None:
    got = through(queue, obj)
    assert got == obj
    assert type(got) is type(obj)


def test_nested_arrays(queue: tr.ArenaQueue) -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3, dtype="i2")
    got = through(queue, {"a": [x, (y, "text")], "b": b"raw", "c": np.float32(2)})
    assert (got["a"][0] == x).all()
    assert (got["a"][1][0] == y).all()
    assert got["a"][1][1] == "text"
    assert got["b"] == b"raw"
    assert type(got["c"]) is np.float32


def test_named_arrays_need_no_tree(queue: tr.ArenaQueue) -> None:
    queue.send({"x": np.zeros(2), "y": np.ones((2, 2), "f4")})
    message = queue.receive_message(0)
    assert message.content == (0, "")
    assert [message.name(i) for i in range(len(message))] == ["x", "y"]
    assert list(serializers.decode(message)) == ["x", "y"]


def test_namedtuples_and_dataclasses(queue: tr.ArenaQueue) -> None:
    pair = through(queue, Pair(np.zeros(2), 1))
    assert type(pair) is Pair
    assert pair.right == 1
    batch = through(queue, Batch(np.ones(3), "cat", [np.zeros(1)]))
    assert type(batch) is Batch
    assert batch.label == "cat"
    assert batch.x.sum() == 3
    assert through(queue, Frozen(np.ones(2))).x.sum() == 2


def test_many_like_arrays_become_one_tensor(queue: tr.ArenaQueue) -> None:
    rows = [np.full(8, i, "f4") for i in range(50)]
    queue.send(rows)
    message = queue.receive_message(0)
    assert len(message) == 2
    got = serializers.decode(message)
    assert type(got) is list
    assert len(got) == 50
    assert all((a == b).all() for a, b in zip(got, rows, strict=True))


def test_unknown_class_is_named(queue: tr.ArenaQueue) -> None:
    local = dataclasses.make_dataclass("Local", ["x"])
    queue.send(local(np.zeros(1)))
    with pytest.raises(tr.FormatError, match="Local"):
        queue.receive(0)


def test_objects_need_permission(queue: tr.ArenaQueue, trusting: tr.Arena) -> None:
    with pytest.raises(TypeError, match="allow_pickle"):
        queue.send(Plain(1))
    got = through(trusting.queue("q"), Plain({"x": np.arange(5)}))
    assert type(got) is Plain
    assert got.value["x"].tolist() == [0, 1, 2, 3, 4]


def test_a_pickle_is_not_read_without_permission(queue: tr.ArenaQueue) -> None:
    message = queue.arena._encode(b"\x80\x05N.")
    message.set(content=(8, ""))
    queue.send_message(message)
    with pytest.raises(tr.FormatError, match="pickle"):
        queue.receive(0)


def test_pickle_keeps_arrays_out_of_band(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    big = np.arange(10000.0)
    queue.send(Plain([big, big[::2]]))
    message = queue.receive_message(0)
    assert len(message) == 3
    assert message.view(0).nbytes < 1000
    first, second = serializers.decode(message).value
    assert (first == big).all()
    assert (second == big[::2]).all()


def test_lambdas_by_cloudpickle(trusting: tr.Arena) -> None:
    pytest.importorskip("cloudpickle")
    assert through(trusting.queue("q"), lambda x: x + 1)(2) == 3


def test_a_failed_send_leaks_no_slot(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    before = trusting.stats()["totals"]["slots_free"]
    with pytest.raises(tr.TooLargeError):
        queue.send(Plain(np.zeros(1 << 20)))
    with pytest.raises(TypeError):
        trusting._encode_parts(
            (0, "", [(np.zeros(2), None, None), (object(), "x", None)])
        )
    assert trusting.stats()["totals"]["slots_free"] == before


FORMATS = [
    ("application/x-npy", np.arange(6.0).reshape(2, 3)),
    ("application/x-npy", np.asfortranarray(np.arange(6).reshape(2, 3))),
    ("application/json", {"a": [1, 2]}),
    ("application/jsonlines", [{"a": 1}, {"b": 2}]),
    ("text/csv", [["a", "b"], ["1", "2"]]),
    ("text/plain", "text"),
    ("text/libsvm", "1 1:2"),
    ("application/octet-stream", b"raw"),
]


@pytest.mark.parametrize(("content_type", "obj"), FORMATS)
def test_as_a_content_type(queue: tr.ArenaQueue, content_type: str, obj: object) -> None:
    queue.send(tr.As(obj, content_type))
    message = queue.receive_message(0)
    assert serializers.content_type(message) == content_type
    got = serializers.decode_as(message, content_type)
    if isinstance(obj, np.ndarray):
        assert (got == obj).all()
        assert got.flags.f_contiguous == obj.flags.f_contiguous
    else:
        assert got == obj


def test_npz(queue: tr.ArenaQueue) -> None:
    got = through(queue, tr.As({"x": np.arange(3)}, "application/x-npz"))
    assert got["x"].tolist() == [0, 1, 2]


def test_wrong_content_type_names_both(queue: tr.ArenaQueue) -> None:
    queue.send("text")
    with pytest.raises(tr.ContentTypeError, match=r"text/plain.*application/x-npy"):
        queue.receive_as("application/x-npy", 0)


@pytest.mark.parametrize(
    ("content", "data"),
    [(3, b"{"), (6, b"\x93NUMPY junk"), (7, b"PK"), (2, b"\xff"), (200, b"")],
)
def test_broken_payloads(queue: tr.ArenaQueue, content: int, data: bytes) -> None:
    message = queue.arena._encode(data)
    message.set(content=(content, ""))
    queue.send_message(message)
    with pytest.raises(tr.FormatError):
        queue.receive(0)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed(codec: str) -> None:
    with tr.Arena([(1 << 16, 8)], max_expansion=100_000) as arena:
        compressed(arena, arena.queue("q"), codec)


def compressed(arena: tr.Arena, queue: tr.ArenaQueue, codec: str) -> None:
    pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[codec])
    before = [one.id for one in serializers.registered()]
    kind = tr.compressed(codec)
    assert tr.compressed(codec) == kind
    zeros = np.zeros((1000, 1000), "f4")  # larger than any slot
    got = through(queue, tr.As(zeros, kind))
    assert got.shape == zeros.shape
    assert not got.any()
    got = through(queue, tr.As({"a": [np.arange(3), "x"]}, kind))
    assert got["a"][0].tolist() == [0, 1, 2]
    message = arena._encode(b"junk")
    message.set(content=(255, kind))
    queue.send_message(message)
    with pytest.raises(tr.FormatError):
        queue.receive(0)
    for one in serializers.registered():
        if one.id not in before:
            serializers.unregister(one.id)
    with pytest.raises(ValueError, match="codec is one of"):
        tr.compressed("zip")


@pytest.fixture
def abacus() -> Iterator[None]:
    serializers.register(
        "AB",
        "abacus",
        "application/x-abacus",
        lambda obj: isinstance(obj, Plain),
        lambda obj: [np.asarray(obj.value)],
        lambda parts: Plain(parts[0]),
        first=True,
    )
    yield
    serializers.unregister("AB")


@pytest.mark.usefixtures("abacus")
def test_registry(queue: tr.ArenaQueue) -> None:
    assert serializers.registered()[0].id == "AB"
    got = through(queue, [Plain([1, 2]), "and more"])
    assert got[0].value.tolist() == [1, 2]
    one = serializers.registered()[0]
    with pytest.raises(ValueError, match="abacus"):
        serializers.register(
            "AB", "x", "x/y", one.supported, one.serialize, one.deserialize
        )
    with pytest.raises(ValueError, match="abacus"):
        serializers.register(
            "XX", "x", one.content_type, one.supported, one.serialize, one.deserialize
        )
    with pytest.raises(ValueError, match="no serializer"):
        serializers.unregister("YY")


def test_header(queue: tr.ArenaQueue) -> None:
    message = queue.arena._encode(np.zeros(3))
    message.set(user=b"hello", correlation_id=7)
    message.seal()
    queue.send_message(message)
    got = queue.receive_message(0)
    header = got.header()
    assert header["user"][:5] == b"hello"
    assert header["correlation_id"] == 7
    assert header["has_crc"]
    got.verify()
    got.array(0)[0] = 1
    with pytest.raises(tr.CorruptError):
        got.verify()


def test_pandas(queue: tr.ArenaQueue) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "t": ["x", "yy", "ü"]},
        index=pandas.Index([10, 20, 30], name="id"),
    )
    frame["when"] = pandas.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
    pandas.testing.assert_frame_equal(through(queue, frame), frame)
    empty = pandas.DataFrame({"a": []})
    pandas.testing.assert_frame_equal(through(queue, empty), empty)


def test_torch(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.bool):
        tensor = torch.arange(6).reshape(2, 3).to(dtype).t()
        got = through(queue, tensor)
        assert got.dtype == dtype
        assert torch.equal(got, tensor)
    del got
    assert arena.stats()["totals"]["slots_queued"] == 0


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "coo", "dia"])
def test_sparse(queue: tr.ArenaQueue, layout: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.random(20, 30, 0.1, layout, random_state=1)
    got = through(queue, matrix)
    assert got.format == layout
    assert (got != matrix).nnz == 0
