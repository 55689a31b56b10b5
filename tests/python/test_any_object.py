# SPDX-License-Identifier: MIT
"""Generated objects, carried as stand-ins do, by arenas that allow pickle, and by arenas
that do not: what arrives is what pickle would have made, by type, value and identity. An
arena without pickle may refuse an object, and then says what to do."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import pickle
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensoring as tr
from alike import Difference, assert_alike
from tensoring._standin import objects as _objects

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

EXAMPLES = int(os.environ.get("TR_SOAK_OBJECTS", 0)) or (
    20_000 if os.environ.get("TR_SOAK") else 5_000
)


class Text(str):
    pass


class Whole(int):
    pass


class Items(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Unit(np.ndarray):  # type: ignore[type-arg]
    pass


class Point(NamedTuple):
    x: Any
    y: Any


class Named(Point):  # with a __dict__
    pass


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("a", "b")


class Reduced:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return (Reduced, (self.value,))


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclasses.dataclass
class Sample:
    x: Any
    y: Any = None


@dataclasses.dataclass(repr=False)
class Later:
    x: Any
    y: Any = dataclasses.field(init=False)


@dataclasses.dataclass(slots=True)
class Slim:
    x: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    x: Any


@dataclasses.dataclass
class Output(collections.OrderedDict):  # type: ignore[type-arg]
    x: Any = None

    def __reduce__(self) -> Any:
        return (Output, (self.x,))


@dataclasses.dataclass
class Stateful:
    x: Any

    def __getstate__(self) -> Any:
        return {"x": self.x, "was": True}


def made(kind: type, **attributes: Any) -> Any:
    obj = object.__new__(kind)
    for name, value in attributes.items():
        object.__setattr__(obj, name, value)
    return obj


def named(x: Any, y: Any) -> Named:
    point = Named(x, y)
    point.more = x  # type: ignore[attr-defined]
    return point


def with_more(x: Any, y: Any) -> Sample:
    sample = Sample(x)
    sample.more = y  # type: ignore[attr-defined]
    return sample


# ---- atoms

TEXTS = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(categories=["Cs", "Lu"]), max_size=4),
    st.sampled_from(["\ud83d\ude00", "long" * 600, "\0", "file\udcff"]),
)
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 80), 1 << 80),
    st.sampled_from([1 << 13_000, -(1 << 63), (1 << 63) - 1, 1 << 63]),
    st.floats(),
    st.complex_numbers(),
    TEXTS,
    st.binary(max_size=8),
    st.sampled_from([b"long" * 600, bytearray(b"xyz"), bytearray(5000)]),
    st.sampled_from([Text("t"), Whole(3), Colour.RED, Bits.ONE | Bits.TWO, Text, len]),
    st.builds(datetime.timedelta, st.integers(-9, 9)),
    st.dates(),
    st.uuids(),
    st.fractions().filter(lambda one: one.denominator < 1 << 40),
    st.decimals(allow_nan=False),
    st.sampled_from([range(3), slice(1, 2), Ellipsis, pathlib.Path("a/b")]),
)

# ---- arrays

_PLAIN = hnp.array_dtypes(allow_subarrays=True)
DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    _PLAIN,
    hnp.nested_dtypes(max_itemsize=200),
    st.sampled_from(
        [
            np.dtype("i1,f8", align=True),
            np.dtype([("a", "i1"), ("b", np.dtype("i2,f8", align=True))]),
            np.dtype({"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0]}),
            np.dtype({"names": ["i", "h"], "formats": ["i4", "i2"], "offsets": [0, 0]}),
            np.dtype([(("title", "a"), ">f4"), ("b", "?")]),
            np.dtype([]),
            np.dtype("g"),
            np.dtype("V5"),
            np.dtype("U0"),
            np.dtype("3i4"),
        ]
    ),
)


def _extension_dtypes() -> list[Any]:
    try:
        import ml_dtypes
    except ImportError:
        return []
    bfloat = np.dtype(ml_dtypes.bfloat16)
    small = np.dtype(ml_dtypes.float8_e5m2)
    return [
        bfloat,  # big-endian ones change for the whole process when NumPy unpickles them
        small,
        np.dtype(ml_dtypes.int4),
        np.dtype([("a", bfloat), ("b", small), ("c", "i4")]),
        np.dtype([("a", [("b", bfloat, (2,))])]),
    ]


EXTENSION = _extension_dtypes()
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


def filled(dtype: np.dtype[Any], shape: tuple[int, ...], seed: int) -> Any:
    """An array of any bytes; booleans are 0 or 1, texts are ASCII."""
    array = np.empty(shape, dtype)
    raw = np.random.default_rng(seed).integers(0, 2, array.nbytes, "u1")
    if array.nbytes:
        array = np.frombuffer(bytearray(raw), array.dtype).reshape(array.shape)
    return array


def ordered(array: Any, how: str) -> Any:
    if how == "F":
        return np.asfortranarray(array)
    if how == "transposed":
        return array.T
    if how == "strided" and array.ndim:
        return array[::-2]
    if how == "wide" and array.ndim > 1:
        return array[:, 1:]
    if how == "many":
        return array.reshape((1,) * (18 - array.ndim) + array.shape)
    if how == "read only":
        array.flags.writeable = False
    return array


ORDERS = st.sampled_from(
    ["C", "C", "F", "transposed", "strided", "wide", "many", "read only"]
)
RAW = st.builds(
    lambda dtype, shape, seed, how: ordered(filled(dtype, shape, seed), how),
    st.one_of(DTYPES, st.sampled_from(EXTENSION)) if EXTENSION else DTYPES,
    SHAPES,
    st.integers(0, 99),
    ORDERS,
)
SIMPLE = st.builds(
    lambda kind, n, how: ordered(np.arange(n * 3).reshape(n, 3).astype(kind), how),
    st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16", "f2", ">i4"]),
    st.integers(0, 60),
    ORDERS,
)
OBJECTS = st.sampled_from(
    [
        np.array([1, "a", None, [2]], object),
        np.array([{"a": np.arange(3)}], object),
        np.array([(1, "x")], [("n", "i4"), ("o", object)]),
    ]
)
SUBCLASSES = st.sampled_from(
    [
        np.matrix([[1, 2], [3, 4]]),
        np.rec.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
        np.arange(4.0).view(Unit),
        np.ma.MaskedArray([1, 2, 3], [0, 1, 0]),
        np.ma.MaskedArray(np.arange(100.0).reshape(10, 10)[::2], fill_value=7.0),
        np.char.array(["a", "bc"]),
    ]
)
SCALARS = st.sampled_from(
    [
        *(np.dtype(kind).type(3) for kind in "bhilBHILfdgFDe?"),
        np.str_("text"),
        np.str_(""),
        np.bytes_(b"x"),
        np.datetime64("2020-01-01"),
        np.datetime64("NaT"),
        np.timedelta64(3, "ms"),
        np.array([(1, 2.5)], "i4,f8")[0],
        *(kind.type(2) for kind in EXTENSION[:1]),
    ]
)
ARRAYS = st.one_of(RAW, SIMPLE, SIMPLE, OBJECTS, SUBCLASSES, SCALARS)


# ---- objects of other packages


def frames() -> Iterator[Any]:
    pandas = pytest.importorskip("pandas")
    plain = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "t": ["x", "ü"]})
    yield plain
    yield pandas.DataFrame(np.arange(6.0).reshape(2, 3))
    yield pandas.DataFrame({"a": [1, 2]}, index=pandas.Index([5, 6], name="id"))
    with_attrs = plain.copy()
    with_attrs.attrs["source"] = ["sensor", 7]
    yield with_attrs
    yield plain.pivot(index="a", columns="t", values="b")
    yield pandas.DataFrame({"a": [1.0, 2.0]}, index=pandas.date_range("2020", periods=2))
    yield pandas.DataFrame({"a": pandas.Series(["x", "y"], dtype=object)})
    yield pandas.DataFrame({"a": pandas.array(["x", "y"], dtype="string")})
    yield pandas.DataFrame({"a": pandas.Categorical(["x", "y"])})
    yield pandas.DataFrame({"a": pandas.Series([], dtype="str")})
    yield pandas.DataFrame({"a": np.array([1, 2], ">i4")})
    yield pandas.DataFrame({1: [1], "b": [2]})
    yield pandas.DataFrame({("a", 1): [1]})
    yield pandas.DataFrame({"a": [1]}, index=pandas.Index([1], name=("t", 1)))
    yield plain.set_index(["a", "t"])
    yield plain.set_flags(allows_duplicate_labels=False)
    yield pandas.DataFrame()
    yield pandas.Series([1, 2], name="s")
    yield pandas.Series(["x"], index=["i"])
    yield pandas.RangeIndex(3)
    yield pandas.Index(["a", "b"], name="n")
    yield pandas.date_range("2020", periods=3, freq="D", tz="UTC")
    yield pandas.Timestamp("2020-01-01", tz="UTC")


def tables() -> Iterator[Any]:
    if "polars" in OTHERS:
        polars = pytest.importorskip("polars")
        yield polars.DataFrame({"a": [1, None], "t": ["x", "y"]})
        yield polars.DataFrame({"c": polars.Series(["x", "y"], dtype=polars.Categorical)})
        yield polars.DataFrame({"e": polars.Series(["x"], dtype=polars.Enum(["x", "y"]))})
        yield polars.DataFrame({"l": [[1, 2], []], "d": [datetime.date(2020, 1, 1)] * 2})
        yield polars.DataFrame({"s": [{"a": 1}]})
        yield polars.Series("s", [1, 2])
    if "pyarrow" in OTHERS:
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({"n": ["x", "y"], "i": pyarrow.array([1, None], "int8")})
        yield table
        yield table.replace_schema_metadata({"origin": "lab"})
        yield table.slice(1)


def matrices() -> Iterator[Any]:
    sparse = pytest.importorskip("scipy.sparse")
    for layout in ("csr", "csc", "coo", "dia", "bsr", "lil"):
        yield sparse.random(8, 9, 0.3, layout, random_state=1)
    yield sparse.csr_array(np.eye(4, dtype="i2"))
    wide = sparse.csr_array(np.eye(4))
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    yield wide


def tensors() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    base = torch.arange(120.0).reshape(10, 12)
    yield base
    yield base.t()
    yield base[::2, 3:]
    yield base.to(torch.bfloat16)
    yield base.to(torch.complex64).conj()
    yield base.clone().requires_grad_()
    yield torch.nn.Parameter(base.clone())
    yield torch.tensor(True)
    yield torch.zeros(0, 2)
    yield base.to_sparse()


def installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


PACKAGES = ("pandas", "polars", "pyarrow", "scipy", "torch")
OTHERS = [one for one in PACKAGES if installed(one)]


def _company() -> list[Any]:
    found: list[Any] = []
    for name, make in (("pandas", frames), ("scipy", matrices), ("torch", tensors)):
        if name in OTHERS:
            found += make()
    return found + list(tables())


# ---- containers

WORDS = ["a", "b", "x" * 70, "ä" * 40, "\udc80", ""]
KEYS = st.one_of(st.sampled_from(WORDS), st.integers(), st.tuples(st.integers()))


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(lambda one, n: [one] * n, inner, st.integers(2, 6)),
        pair.map(lambda two: [two, two[0], [two[0]], two]),
        st.builds(Items, st.lists(inner, max_size=3)),
        st.builds(Table, st.dictionaries(KEYS, inner, max_size=3)),
        st.builds(collections.deque, st.lists(inner, max_size=3)),
        st.builds(collections.OrderedDict, st.dictionaries(KEYS, inner, max_size=3)),
        pair.map(lambda two: collections.defaultdict(list, a=two)),
        pair.map(lambda two: Point(*two)),
        pair.map(lambda two: named(*two)),
        pair.map(lambda two: Sample(*two)),
        pair.map(lambda two: with_more(*two)),
        inner.map(lambda one: made(Later, x=one)),
        inner.map(Slim),
        inner.map(Fixed),
        inner.map(Output),
        inner.map(Stateful),
        inner.map(Plain),
        inner.map(Reduced),
        inner.map(lambda one: made(Slotted, a=one)),
        inner.map(cyclic),
        inner.map(cyclic_tuple),
        st.lists(SIMPLE, min_size=1, max_size=3).map(rows),
    )


def cyclic(one: Any) -> Any:
    loop: list[Any] = [one]
    loop.append({"loop": loop, "one": one})
    return loop


def cyclic_tuple(one: Any) -> Any:
    pair: tuple[Any, ...] = (one, [])
    pair[1].append(pair)
    return pair


def rows(some: list[Any]) -> Any:
    alike = [some[0] + i for i in range(5)] if some[0].dtype != bool else some * 5
    return [alike, alike[2], some, alike[::-1]]


LEAVES = st.one_of(ATOMS, ARRAYS)
NESTED = st.recursive(LEAVES, containers, max_leaves=6)


# ---- the ways


def by_queue(queue: tr.ArenaQueue, obj: Any) -> Any:
    _objects.send(queue, obj, 0)
    return queue.receive(0)


def by_pool(queue: tr.ArenaQueue, obj: Any) -> Any:
    _objects.send(queue, obj, 0, 7)
    return _objects.open(queue.receive_message(0), True)


def by_feeder(queue: tr.ArenaQueue, obj: Any) -> Any:
    _objects.send(queue, _objects.freeze(obj), 0)
    return queue.receive(0)


WAYS: list[Callable[[tr.ArenaQueue, Any], Any]] = [by_queue, by_pool, by_feeder]


def agree(way: Callable[[tr.ArenaQueue, Any], Any], queue: Any, obj: Any) -> None:
    """Pickle and the way give the same, or both cannot."""
    try:
        want = pickle.loads(pickle.dumps(obj, 5))
    except Exception as error:
        with pytest.raises(type(error)):
            way(queue, obj)
        return
    assert_alike(way(queue, obj), want)


CLASSES = [(4096, 64), (64 << 10, 16), (1 << 20, 8)]


@pytest.fixture(scope="module")
def anything() -> Iterator[tr.ArenaQueue]:
    with tr.Arena(CLASSES, allow_pickle=True) as arena:
        yield arena.queue("q")


@pytest.fixture(scope="module")
def typed() -> Iterator[tr.ArenaQueue]:
    with tr.Arena(CLASSES, max_expansion=10_000) as arena:
        yield arena.queue("q")


def each_object(check: Callable[[Any], None]) -> None:
    company = st.sampled_from(_company() or [None])
    objects = st.one_of(NESTED, NESTED, NESTED, company, containers(company))
    settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        derandomize=not os.environ.get("TR_SOAK"),
        suppress_health_check=list(HealthCheck),
    )(given(objects)(check))()


def test_generated_objects(anything: tr.ArenaQueue) -> None:
    def check(obj: Any) -> None:
        for way in WAYS:
            agree(way, anything, obj)

    each_object(check)
    assert anything.arena.stats()["totals"]["slots_queued"] == 0


def through(queue: tr.ArenaQueue, obj: Any) -> Any:
    queue.send(obj, 0)
    return queue.receive(0)


def test_generated_objects_where_pickle_is_allowed(anything: tr.ArenaQueue) -> None:
    def check(obj: Any) -> None:
        try:
            want = pickle.loads(pickle.dumps(obj, 5))
        except Exception as error:
            with pytest.raises((tr.UnsupportedError, type(error))):
                through(anything, obj)
            return
        assert_alike(through(anything, obj), want)

    each_object(check)
    assert anything.arena.stats()["totals"]["slots_queued"] == 0


def test_generated_objects_without_pickle(typed: tr.ArenaQueue) -> None:
    sent, refused = 0, 0

    def check(obj: Any) -> None:
        nonlocal sent, refused
        try:
            typed.send(obj, 0)
        except TypeError as error:
            refused += 1
            assert "allow_pickle" in str(error)  # noqa: PT017
            return
        sent += 1
        assert_alike(typed.receive(0), pickle.loads(pickle.dumps(obj, 5)))

    each_object(check)
    assert sent > EXAMPLES // 8  # about a quarter: it is no empty test
    assert refused > EXAMPLES // 10
    assert typed.arena.stats()["totals"]["slots_queued"] == 0


def test_the_comparison_sees_what_differs() -> None:
    shared = [1]
    for a, b in [
        (1, True),
        (0.0, -0.0),
        ([shared, shared], [[1], [1]]),
        (np.float64(3), np.array(3.0)),
        (np.matrix([1]), np.array([[1]])),
        (np.zeros(1, np.dtype("i1,f8", align=True)), np.zeros(1, "i1,V7,f8")),
        (with_more(1, 2), Sample(1)),
        (named(1, 2), Named(1, 2)),
    ]:
        with pytest.raises(Difference):
            assert_alike(a, b)
        assert_alike(a, a)
    alike = np.dtype("i1,f8", align=True)
    a = np.frombuffer(bytes(range(96)), alike).reshape(2, 3).T
    for fill in range(20):
        b = np.frombuffer(bytes(range(96)), alike).reshape(2, 3).T
        old = np.full(a.nbytes, fill, "u1")  # memory that tobytes() may get
        del old
        assert_alike(a, b)
    b = b.copy()
    b["f1"][2, 1] = 1
    with pytest.raises(Difference):
        assert_alike(a, b)
    assert sys.getrefcount(shared) < 100
    assert uuid.UUID(int=1) != decimal.Decimal(1) != fractions.Fraction(1, 2)
