# SPDX-License-Identifier: MIT
"""An arena gives back what was sent, or says why it does not take it."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import datetime
import enum
import functools
import json
import pathlib
import pickle
import re
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensoring as tr
from alike import assert_alike

ml_dtypes = pytest.importorskip("ml_dtypes")

TREE = "application/x-tensor-tree"
ARRAY = "application/x-ndarray"


def through(queue: tr.ArenaQueue, obj: Any) -> Any:
    queue.send(obj, 0)
    return queue.receive(0)


# ---- arrays that are no tensors

BFLOAT = np.dtype(ml_dtypes.bfloat16)
SMALL = np.dtype(ml_dtypes.float8_e5m2)
ALIGNED = np.dtype("i1,f8", align=True)
ODD: dict[str, Any] = {
    "big-endian bfloat16": np.array([1, 2, 3.5]).astype(BFLOAT.newbyteorder(">")),
    "fields of small floats": np.ones(
        4, [("a", BFLOAT), ("b", SMALL, (2,)), ("c", ">i4")]
    ),
    "aligned": np.ones((2, 3), ALIGNED),
    "aligned inside": np.ones(3, [("a", "i1"), ("b", ALIGNED, (2,))]),
    "F order": np.ones((2, 3), "i4,f8", order="F"),
    "F order of fields": np.ones((2, 3), [("a", BFLOAT)], order="F"),
    "no bytes": np.zeros((2, 3), "V0"),
    "no letters": np.zeros(3, "U0"),
    "no fields": np.zeros(3, []),
    "int4": np.array([[1, -2], [3, 7]], ml_dtypes.int4),
    "many dimensions": np.arange(4.0).reshape((2,) + (1,) * 29 + (2,)),
    "long element": np.array(["x" * 30_000, "y"]),
    "many fields": np.ones(2, [(f"a_long_name_{i}", "i4") for i in range(1000)]),
    "fields in another order": np.ones(
        2, {"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0]}
    ),
    "union": np.ones(
        2, {"names": ["i", "h"], "formats": ["i4", "i2"], "offsets": [0, 0]}
    ),
    "titles": np.ones(2, [(("title", "a"), ">f4"), ("b", "?")]),
    "units": np.array(["2020-01-01"], "M8[25s]"),
    "no unit": np.array([3], "m8"),
    "long long": np.ones(2, [("a", "q"), ("b", ">u8"), ("c", "Q", (2,))]),
    "swapped long long": np.ones(2, [("a", np.dtype("q").newbyteorder(">"))]),
    "long long and small floats": np.ones(2, [("a", "q"), ("b", BFLOAT)]),
    "odd name": np.ones(2, [("a\n\udc80", "i4")]),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("trust", [False, True])
def test_odd_arrays(trust: bool, name: str) -> None:
    array = ODD[name]
    with tr.Arena([(1 << 20, 8)], allow_pickle=trust) as arena:
        queue = arena.queue("q")
        for obj in (array, [array, {"a": array}], {"x": array}):
            assert_alike(through(queue, obj), obj)


def test_an_odd_array_looks_into_its_slot(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    before = arena.stats()["totals"]["slots_free"]
    got = through(queue, ODD["many dimensions"])
    assert arena.stats()["totals"]["slots_free"] == before - 1
    assert got.flags.writeable
    del got
    assert arena.stats()["totals"]["slots_free"] == before


METADATA = np.dtype("i4", metadata={"a": 1})
KEPT_BY_PICKLE: dict[str, Any] = {
    "metadata": np.ones(3, METADATA),
    "metadata of a field": np.ones(3, [("a", METADATA)]),
    "records": np.ones(3, np.dtype((np.record, [("a", "i4")]))),
    "rows with metadata": [np.ones(3, METADATA) for _ in range(5)],
}


@pytest.mark.parametrize("name", KEPT_BY_PICKLE)
def test_what_only_pickle_keeps(
    queue: tr.ArenaQueue, trusting: tr.Arena, name: str
) -> None:
    obj = KEPT_BY_PICKLE[name]
    with pytest.raises(tr.UnsupportedError, match="allow_pickle=True"):
        queue.send(obj)
    assert_alike(through(trusting.queue("q"), obj), obj)
    stand_in: Any = tr.Queue()
    stand_in.put(obj)
    assert_alike(stand_in.get(), obj)
    stand_in.close()


DEEP = functools.reduce(lambda one, _: [one, [1]], range(40), "<i4")


def head(**changes: Any) -> bytes:
    good = {"dtype": "<i4", "shape": [2], "order": "C"}
    return json.dumps({**good, **changes}).encode()


@pytest.mark.parametrize(
    ("first", "data"),
    [
        (head(shape=[3]), b"12345678"),
        (head(shape=[1]), b"12345678"),
        (head(shape=[-2]), b"12345678"),
        (head(shape=[1 << 62, 1 << 62]), b""),
        (head(shape=[1 << 62], dtype="V0"), b"1"),
        (head(shape=[True, 2]), b"12345678"),
        (head(shape=[1] * 70), b"1234"),
        (head(dtype="O", shape=[1]), b"12345678"),
        (head(dtype=["O", [1]], shape=[1]), b"12345678"),
        (
            head(dtype=functools.reduce(lambda one, _: [one, [1]], range(40), "<i4")),
            b"8" * 8,
        ),
        (head(dtype={"names": ["a"]}), b"12345678"),
        (head(dtype="float4"), b"12345678"),
        (head(order="Z"), b"12345678"),
        (b"[]", b"12345678"),
    ],
)
def test_broken_heads(queue: tr.ArenaQueue, first: bytes, data: bytes) -> None:
    parts = [(first, None, None), (np.frombuffer(data, "u1"), None, (1, 8, 1, "", 0))]
    queue._send_parts((255, ARRAY, parts), 0)
    with pytest.raises(tr.FormatError):
        queue.receive(0)


# ---- scalars and plain objects

SCALARS = [
    *(np.dtype(kind).type(3) for kind in "bhilBHILefdgFDG?"),
    np.str_("text"),
    np.str_(""),
    np.bytes_(b"x"),
    np.datetime64("2020-01-01"),
    np.timedelta64(3, "ms"),
    np.array([(1, 2.5)], "i4,f8")[0],
    BFLOAT.type(2),
]
PLAIN: list[Any] = [
    *SCALARS,
    {np.float64(1.5): np.int8(2)},
    bytearray(b"xyz"),
    [bytearray(b"xyz"), b"xyz"],
    "half \udcff",
    ["half \udcff", "\U0001f600"],
    -float("nan"),
    [float("inf"), -0.0, struct.unpack("<d", b"\1\0\0\0\0\0\xf8\xff")[0]],
    1 << 200,
    {"": np.zeros(2), "a\nb": np.ones(2)},
    {"k" * 70: np.zeros(2)},
    {"ä" * 40: np.zeros(2)},
    ((), [()], {(): ()}),
]


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: ascii(obj)[:40])
@pytest.mark.parametrize("trust", [False, True])
def test_plain_objects(trust: bool, obj: Any) -> None:
    with tr.Arena([(4096, 8)], allow_pickle=trust) as arena:
        got = through(arena.queue("q"), obj)
        assert_alike(got, obj)
        if type(obj) is float:
            assert struct.pack("<d", got) == struct.pack("<d", obj)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Batch:
    x: Any
    y: Any = None

    @functools.cached_property
    def both(self) -> Any:
        return (self.x, self.y)


def shared() -> dict[str, Any]:
    array, items, scalar = np.arange(3), [1], np.float32(2)
    rows = [np.full(4, i) for i in range(6)]
    twins = [rows[0]] * 5
    pair = (array, items)
    point = Point(array, items)
    return {
        "arrays": [array, array],
        "named arrays": {"x": array, "y": array},
        "lists": [items, items, {"a": items}],
        "empty lists": [twins[:0]] * 3,
        "tuples": [pair, pair, pair[0]],
        "scalars": [scalar, scalar, {scalar: scalar}],
        "objects": [point, Batch(point, array), point.y],
        "a row": [rows, rows[3], rows],
        "a row before": [rows[3], rows],
        "rows twice": [rows, list(rows), rows[::-1]],
        "the same row": [twins, rows],
        "a key": [{(1, 2): pair}, pair],
        "in a dict": {"a": {"b": items}, "c": [items]},
    }


@pytest.mark.parametrize("name", shared())
@pytest.mark.parametrize("trust", [False, True])
def test_one_object_stays_one(trust: bool, name: str) -> None:
    obj = shared()[name]
    with tr.Arena([(1 << 16, 8)], allow_pickle=trust) as arena:
        assert_alike(through(arena.queue("q"), obj), obj)


def tree(node: Any) -> tuple[int, str, list[Any]]:
    return (255, TREE, [(json.dumps(node).encode(), None, None)])


def test_rows_that_come_again_are_not_searched_for(queue: tr.ArenaQueue) -> None:
    rows = [np.full(2, i) for i in range(500)]
    steps = 0

    def count(*event: object) -> Any:
        nonlocal steps
        steps += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        queue.send([rows, rows[::-1]], 0)
    finally:
        sys.settrace(before)
    first, again = queue.receive(0)
    assert all(a is b for a, b in zip(first, again[::-1], strict=True))
    assert steps < 50 * len(rows)


DOUBLED = ["k", 0, ["u", [["v", 1]]]]


@pytest.mark.parametrize(
    "node",
    [
        ["=", 0],
        ["k", 0, ["l", [["=", 0]]]],  # which holds itself
        ["l", [DOUBLED, DOUBLED]],
        ["k", "x", ["v", 1]],
        ["k", True, ["v", 1]],
        ["l", [DOUBLED, ["d", [[["=", 0], ["v", 1]]]]]],  # in a key
        ["l", [DOUBLED, ["d", [[["u", [["=", 0]]], ["v", 1]]]]]],
        ["l", [DOUBLED, ["e", 0, 0]]],  # no list
        ["l", [["k", 0, ["l", [["v", 1]]]], ["e", 0, 1]]],
        ["l", [["k", 0, ["l", [["v", 1]]]], ["e", 0, -1]]],
        ["f", "00"],
        ["f", 7],
    ],
    ids=str,
)
def test_broken_trees(queue: tr.ArenaQueue, node: Any) -> None:
    queue._send_parts(tree(node), 0)
    with pytest.raises(tr.FormatError):
        queue.receive(0)


# ---- what is refused


class Unit(np.ndarray):  # type: ignore[type-arg]
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Named(Point):
    pass


class Text(str):
    pass


@dataclasses.dataclass
class Output(collections.OrderedDict):  # type: ignore[type-arg]
    x: Any = None


@dataclasses.dataclass
class Reduced:
    x: Any = 1

    def __reduce__(self) -> Any:
        return (Reduced, (self.x,))


@dataclasses.dataclass
class Listed:
    x: Any = 1


copyreg.pickle(Listed, lambda one: (Listed, (one.x,)))  # type: ignore[arg-type]


def named() -> Named:
    found = Named(1, 2)
    found.more = 3  # type: ignore[attr-defined]
    return found


def unset() -> Batch:
    found = Batch(1)
    del found.x
    return found


def cached() -> Batch:
    found = Batch(1)
    assert found.both
    return found


def cyclic() -> list[Any]:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


class Constant(enum.IntEnum):
    ONE = 1


class Alike(LookupError):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike) and other.args == self.args

    __hash__ = None  # type: ignore[assignment]


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a subclass": (lambda: np.arange(3.0).view(Unit), "Unit would .* numpy.ndarray"),
    "a matrix": (lambda: np.matrix([1]), "matrix would .* numpy.ndarray"),
    "records": (lambda: np.rec.array([(1, 2.0)]), "recarray would .* numpy.ndarray"),
    "masked": (lambda: np.ma.MaskedArray([1, 2], [0, 1]), "MaskedArray would"),
    "a list's": (lambda: Items([1]), "Items would come back as a list"),
    "a dict's": (lambda: collections.OrderedDict(a=1), "OrderedDict would .* dict"),
    "a counter": (lambda: collections.Counter("ab"), "Counter would .* dict"),
    "a str's": (lambda: Text("x"), "Text would come back as a str"),
    "more attributes": (named, "Named has attributes that are no fields: more"),
    "a cache": (cached, "Batch has attributes that are no fields: both"),
    "fewer attributes": (unset, "fields of the Batch are not set"),
    "also a dict": (Output, r"__\w+__\(\)"),
    "its own way": (Reduced, r"Reduced has __reduce__\(\)"),
    "a way in copyreg": (Listed, "Listed has a reducer in copyreg"),
    "a cycle": (cyclic, "holds itself"),
    "objects": (lambda: np.array([{}, None]), "holds? Python objects"),
    "a set": (lambda: {1}, "no serializer takes a builtins.set: send a list"),
    "a complex": (lambda: 1j, "takes a builtins.complex: send a numpy.complex128"),
    "a time": (lambda: datetime.datetime(2024, 1, 1), "send .* numpy.datetime64"),
    "a path": (lambda: pathlib.Path("x"), r"PosixPath: send str\(\) of it"),
    "a constant": (lambda: Constant.ONE, "Constant: send its name or value"),
    "an exception": (lambda: Alike("x"), "Alike: send its text"),
    "a long number": (lambda: 1 << 20_000, "no form in JSON"),
    "two halves": (lambda: ["\ud83d\ude00"], "would change the surrogates"),
    "zeros at the end": (lambda: np.bytes_(b"x\0"), "zeros at its end"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_what_would_change_is_refused(
    queue: tr.ArenaQueue, trusting: tr.Arena, name: str, inside: bool
) -> None:
    make, why = REFUSED[name]
    obj = [np.zeros(2), make()] if inside else make()
    with pytest.raises(TypeError, match=why) as caught:
        queue.send(obj)
    assert isinstance(caught.value, tr.Error)
    assert "allow_pickle=True" in str(caught.value)
    want = pickle.loads(pickle.dumps(obj, 5))
    assert_alike(through(trusting.queue("q"), obj), want)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: {"batch": [{"when": {1}}]}, "['batch'][0]['when']"),
        (lambda: [0, (1, {2})], "[1][1]"),
        (lambda: Batch(1, [{2}]), ".y[0]"),
        (lambda: {"x": {frozenset([1]): 2}}, "['x'] the key frozenset({1})"),
    ],
)
def test_errors_say_where_in_an_object(
    queue: tr.ArenaQueue, make: Callable[[], Any], place: str
) -> None:
    with pytest.raises(
        tr.UnsupportedError, match=f"^at {re.escape(place)}: no serializer"
    ):
        queue.send(make(), 0)


def test_a_way_in_copyreg_counts_from_when_it_is_there(
    queue: tr.ArenaQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    obj = Batch(1, 2)
    assert_alike(through(queue, obj), obj)
    monkeypatch.setitem(copyreg.dispatch_table, Batch, lambda one: (Batch, (3, 4)))
    with pytest.raises(tr.UnsupportedError, match="Batch has a reducer in copyreg"):
        queue.send(obj, 0)


def test_too_many_parts(trusting: tr.Arena) -> None:
    many = [(np.zeros(1),) for _ in range(5000)]
    with (
        tr.Arena([(1 << 22, 2)]) as arena,
        pytest.raises(tr.UnsupportedError, match="4095"),
    ):
        arena.queue("q").send(many)
    assert_alike(through(trusting.queue("q"), many), many)


# ---- other packages


def frames() -> dict[str, Any]:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "t": ["x", "y"]})
    noted = frame.copy()
    noted.attrs["from"] = "lab"
    named_columns = frame.rename_axis(columns="c")
    with_freq = pandas.DataFrame({"a": [1]}, pandas.date_range("2020", periods=1))
    single = frame.set_flags(allows_duplicate_labels=False)
    return {
        "attrs": noted,
        "a name of the columns": named_columns,
        "frequency": with_freq,
        "duplicate labels": single,
        "MultiIndex": frame.assign(b=1).set_index(["a", "t"]),
        "category": frame.astype({"t": "category"}),
        "string": frame.astype({"t": pandas.StringDtype("python")}),
        "columns": pandas.DataFrame(np.zeros((1, 5000))),
        "native order": pandas.DataFrame({"a": np.array([1], ">i4")}),
    }


NAMES = ["attrs", "a name of the columns", "frequency", "duplicate labels", "MultiIndex"]
NAMES += ["category", "string", "columns", "native order"]


@pytest.mark.parametrize("name", NAMES)
def test_frames(queue: tr.ArenaQueue, trusting: tr.Arena, name: str) -> None:
    frame = frames()[name]
    with pytest.raises(tr.UnsupportedError, match=f"{name}.*allow_pickle=True"):
        queue.send(frame)
    assert_alike(through(trusting.queue("q"), frame), frame)


def test_frames_say_which_column_and_what_to_send(queue: tr.ArenaQueue) -> None:
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2020", periods=2, tz="UTC")
    for name, values, dtype, why in (
        ("c", ["x", "y"], "category", "column 'c': type category .* codes and cat"),
        ("z", times, None, r"column 'z': type .*UTC.* tz_convert\(None\)"),
        ("n", [1, 2], "Int64", r"column 'n': type Int64 .* astype\('int64'\)"),
        ("t", ["x", None], object, r"column 't': .* other than str \(NoneType\)"),
    ):
        frame = pandas.DataFrame({"a": [1, 2], name: pandas.Series(values, dtype=dtype)})
        with pytest.raises(tr.UnsupportedError, match=why):
            queue.send(frame)
    frame = frame.drop(columns="t").set_index(pandas.Index(["x", None], dtype=object))
    with pytest.raises(tr.UnsupportedError, match=r"the index: .* other than str"):
        queue.send(frame)


def test_frames_that_are_kept(queue: tr.ArenaQueue) -> None:
    pandas = pytest.importorskip("pandas")
    for frame in (
        pandas.DataFrame({"a": [1], "t": ["x"]}),
        pandas.DataFrame({"t": np.array(["x", "y"], object)}, dtype=object),
        pandas.DataFrame({"t": pandas.Series([], dtype="str")}),
        pandas.DataFrame({"t": pandas.Series([], dtype=object)}),
        pandas.DataFrame(np.zeros((2, 3))),
        pandas.DataFrame(),
        pandas.DataFrame({"a": [1]}, pandas.Index(["i"], dtype=object, name="n")),
        pandas.DataFrame({"a": [1]}, pandas.Index(["i"], dtype="str")),
        pandas.DataFrame({"a": [1]}, pandas.DatetimeIndex(["2020-01-01"])),
    ):
        assert_alike(through(queue, frame), frame)


def test_tables_stay_what_they_are(queue: tr.ArenaQueue) -> None:
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    table = pyarrow.table({"n": ["x", "y"]}).replace_schema_metadata({"from": "lab"})
    assert_alike(through(queue, table), table)
    frame = polars.DataFrame({"n": ["x", None], "e": [[1], []]})
    assert_alike(through(queue, [table, frame]), [table, frame])
    with pytest.raises(tr.UnsupportedError, match="Int128"):
        queue.send(polars.DataFrame({"n": polars.Series([1], dtype=polars.Int128)}))


def test_tensors(queue: tr.ArenaQueue, trusting: tr.Arena) -> None:
    torch = pytest.importorskip("torch")
    image = torch.arange(120.0).reshape(1, 3, 8, 5).to(memory_format=torch.channels_last)
    for one in (queue, trusting.queue("q")):
        got = through(one, image)
        assert torch.equal(got, image)
        assert got.stride() == image.stride()
    wrong = {
        "gradient": torch.zeros(2, requires_grad=True),
        "Parameter": torch.nn.Parameter(torch.zeros(2)),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "layout": torch.eye(2).to_sparse(),
        "complex32": torch.zeros(2, dtype=torch.complex32),
    }
    for why, tensor in wrong.items():
        with pytest.raises(tr.UnsupportedError, match=why):
            queue.send(tensor)
        assert type(through(trusting.queue("q"), tensor)) is type(tensor)


def test_sparse(queue: tr.ArenaQueue, trusting: tr.Arena) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    wide = sparse.csr_array(np.eye(4))
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    assert through(queue, wide).indices.dtype == np.int64
    noted = sparse.csr_array(np.eye(4))
    noted.note = "lab"
    with pytest.raises(tr.UnsupportedError, match="note"):
        queue.send(noted)
    assert through(trusting.queue("q"), noted).note == "lab"


# ---- the other channels


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_every_channel_carries_the_same(trusting: tr.Arena) -> None:
    matrix, twice = np.matrix([[1, 2]]), [1, {2}]
    for obj in (matrix, np.float32(3), named(), [twice, twice], ODD["aligned"]):
        board = trusting.board("b")
        board["x"] = obj
        assert_alike(board["x"], obj)
        news = trusting.broadcast("n")
        with news.subscribe() as subscription:
            news.publish(obj)
            assert_alike(subscription.receive(0), obj)
        service = trusting.service("s")
        server = threading.Thread(target=service.serve_one, args=(lambda one: one, 10))
        server.start()
        assert_alike(service.call(obj, 10), obj)
        server.join()


@pytest.mark.parametrize("obj", [{1}, Items([1]), np.arange(2).view(Unit)], ids=repr)
def test_every_channel_refuses_the_same(arena: tr.Arena, obj: Any) -> None:
    before = arena.stats()["totals"]["slots_free"]
    with pytest.raises(tr.UnsupportedError, match="allow_pickle"):
        arena.board("b")["x"] = obj
    with pytest.raises(tr.UnsupportedError, match="allow_pickle"):
        arena.broadcast("n").publish(obj)
    with pytest.raises(tr.UnsupportedError, match="allow_pickle"):
        arena.service("s").call(obj, 0)
    assert arena.stats()["totals"]["slots_free"] == before
