# SPDX-License-Identifier: MIT
"""What a stand-in sends: arrays, trees of arrays and plain values, or a pickle."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import pickle
import random
import sys
from collections.abc import Iterator
from multiprocessing.pool import MaybeEncodingError
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from alike import assert_alike
from tensoring import serializers
from tensoring._standin import objects as _objects


class Point:
    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    __hash__ = None  # type: ignore[assignment]


class Counter:
    """Counts its calls, in the process that it is in."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self, _: Any) -> int:
        self.calls += 1
        return self.calls


class BadCopy:
    """Pickles, but cannot be made again."""

    def __reduce__(self) -> Any:
        return (explode, ())


def explode() -> Any:
    raise LookupError("boom")


def give_bad(_: Any) -> Any:
    return BadCopy()


def same(x: Any) -> Any:
    return x


def first_is_second(a: Any, b: Any) -> bool:
    return a is b


@pytest.fixture(scope="module")
def pool() -> Iterator[tr.Pool]:
    with tr.Pool(2, slots=[(4096, 64), (64 << 10, 64), (4 << 20, 8)]) as pool:
        yield pool


def there_and_back(queue: tr.ArenaQueue, obj: Any, copy: bool = True) -> Any:
    _objects.send(queue, obj, 0, 7)
    message = queue.receive_message(0)
    assert message.correlation_id == 7
    return _objects.open(message, copy)


PLAIN: list[Any] = [
    None,
    True,
    [False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**200],
    [0.0, -0.5, float("inf"), 1e-300],
    ["", "text", "\u00e4\U0001f600", "a\0b", "\udc80"],
    [b"", b"short", bytes(1023), bytes(1024), b"long" * 5000],
    {"a": 1, 2: (3, 4), (5, 6): {"b": []}, None: {}},
    ([[[[]]]], (), ((),)),
    [Point(1), Point([2, 3]), {1, 2}, range(3), 1j, bytearray(b"xyz")],
]


@pytest.mark.parametrize("obj", PLAIN, ids=range(len(PLAIN)))
def test_plain_values(trusting: tr.Arena, obj: Any) -> None:
    got = there_and_back(trusting.queue("q"), obj)
    assert got == obj
    assert repr(type(got)) == repr(type(obj))


def arrays() -> list[np.ndarray]:
    base = np.arange(24.0).reshape(4, 6)
    return [
        base,
        base.T,
        base[::2, 1::2],
        np.array(5),
        np.zeros((0, 3), "i4"),
        np.arange(3, dtype=">u2"),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([(1, 2.5)], "i4,f8"),
        np.array(["abc", "d"]),
        np.array([None, "object"], object),
        np.array([True, False]),
        np.ones(2, "c8"),
    ]


@pytest.mark.parametrize("copy", [True, False])
def test_arrays(trusting: tr.Arena, copy: bool) -> None:
    for one in arrays():
        got = there_and_back(trusting.queue("q"), {"x": [one], "y": (one, 1)}, copy)
        assert got["x"][0] is got["y"][0]
        assert got["y"][0].dtype == one.dtype
        assert got["y"][0].shape == one.shape
        assert (got["y"][0] == one).all()
        assert got["y"][0].flags.writeable


def test_lists_of_like_arrays(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    rows = [np.full((2, 3), i) for i in range(9)]
    mixed: list[list[Any]] = [
        rows,
        [*rows, np.zeros(3, rows[0].dtype)],
        [*rows, rows[0].astype("f4")],
        [*rows, None],
        [np.array(i) for i in range(5)],
        [np.zeros(0)] * 5,
        [row.T for row in rows],
        [np.ones(4)] * 6,
    ]
    for one in mixed:
        got = there_and_back(queue, one)
        assert [type(x) for x in got] == [type(x) for x in one]
        assert all(np.array_equal(a, b) for a, b in zip(got, one, strict=True))
    view = there_and_back(queue, rows, copy=False)
    assert view[0].base is not None


def test_more_arrays_than_a_message_holds(trusting: tr.Arena) -> None:
    many = [np.full(1 + i % 7, i) for i in range(_core_max() + 100)]
    got = there_and_back(trusting.queue("q"), many)
    assert all(np.array_equal(a, b) for a, b in zip(got, many, strict=True))


def _core_max() -> int:
    return tr._core.MAX_TENSORS


def test_what_is_one_object_stays_one(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    shared: Any = {"list": [1], "big": np.zeros(1000), "bytes": bytes(5000)}
    got = there_and_back(queue, [(shared, i) for i in range(50)])
    assert all(item[0] is got[0][0] for item in got)
    pair = there_and_back(queue, [shared["big"], (shared["list"], shared["big"])])
    assert pair[0] is pair[1][1]
    point = Point(3)
    points = there_and_back(queue, [point, [point]])
    assert points[0] is points[1][0]
    text = "long" * 1000
    texts = there_and_back(queue, [text, (text,)])
    assert texts[0] is texts[1][0]


def test_an_object_is_not_cut_in_two(trusting: tr.Arena) -> None:
    """Both what a tree has a word for and what it has none for hold the same list."""
    shared = [1, 2]
    got = there_and_back(trusting.queue("q"), {"list": shared, "point": Point(shared)})
    assert got["list"] is got["point"].x


def test_rows_stay_the_objects_that_they_are(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    rows = [np.full(3, i) for i in range(5)]
    got = there_and_back(queue, [rows, rows[3], rows[:]])
    assert got[0][3] is got[1]
    assert got[0] is not got[2]
    assert all(a is b for a, b in zip(got[0], got[2], strict=True))
    got = there_and_back(queue, [rows[0], rows])
    assert got[0] is got[1][0]
    got = there_and_back(queue, [rows[0]] * 6)
    assert all(one is got[0] for one in got)
    got = there_and_back(queue, [[rows[0], rows[1], rows[0], rows[1]], rows])
    assert got[0][2] is got[1][0]
    assert [one[0] for one in got[1]] == list(range(5))


def test_cycles(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    loop: list[Any] = [1]
    loop.append({"self": loop})
    got = there_and_back(queue, loop)
    assert got[1]["self"] is got
    pair: tuple[Any, ...] = ({},)
    pair[0]["pair"] = pair
    got = there_and_back(queue, pair)
    assert got[0]["pair"] is got
    holder: list[Any] = []
    holder.append((holder, 2))
    got = there_and_back(queue, holder)
    assert got[0][1] == 2
    deep: Any = ()
    for _ in range(300):
        deep = (deep,)
    assert there_and_back(queue, deep) == deep


def test_a_tree_that_lies(trusting: tr.Arena) -> None:
    """Whatever the bytes say: an exception or some object, never a read beyond them."""
    queue = trusting.queue("q")
    shared: list[Any] = [1, "two"]
    rows = [np.full(3, i) for i in range(4)]
    obj = [shared, {"k": (3.5, np.arange(4)), "b": b"abc"}, shared, [rows, rows[0]]]
    _objects.send(queue, obj)
    message = queue.receive_message(0)
    kind = message.content
    assert kind == (255, "application/x-tensoring-objects")
    tree = bytes(message.view(0))
    assert _objects.open(message)[2] == shared
    chance = random.Random(1)
    for _ in range(3000):
        broken = bytearray(
            tree[: chance.choice([len(tree), chance.randrange(len(tree))])]
        )
        for _ in range(chance.randrange(4)):
            if broken:
                broken[chance.randrange(len(broken))] = chance.choice(
                    b"ntfidsbBarRDlum#=\0\xff"
                )
        lie = queue.arena._encode(np.frombuffer(broken, np.uint8))
        lie.set(content=kind)
        queue.send_message(lie)
        with contextlib.suppress(ValueError, IndexError, TypeError, MemoryError):
            queue.receive(0)


def test_functions_with_a_state_begin_anew(pool: tr.Pool) -> None:
    counts = pool.map(Counter().count, range(6), chunksize=1)
    assert counts == [1] * 6
    assert pool.map(Counter().count, range(6), chunksize=3) == [1, 2, 3] * 2


@pytest.mark.parametrize("kind", [tr.Pool, tr.Executor])
def test_functions_and_errors_go_without_cloudpickle(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # as if it were not installed
    forked = multiprocessing.get_context("fork")
    named = {"context": forked} if kind is tr.Pool else {"mp_context": forked}
    with kind(1, **named) as one:
        assert list(one.map(functools.partial(pow, 2), range(3))) == [1, 2, 4]
        assert list(one.map(Point(3).__eq__, [Point(3)])) == [True]
        with pytest.raises(ZeroDivisionError):
            list(one.map(functools.partial(divmod, 1), [0]))


def test_one_object_in_the_worker_too(pool: tr.Pool) -> None:
    big = np.zeros(1000)
    assert pool.starmap(first_is_second, [(big, big), (big, big.copy())]) == [True, False]


def test_what_cannot_be_made_again_is_an_error(pool: tr.Pool) -> None:
    with pytest.raises(LookupError, match="boom"):
        pool.map(same, [BadCopy()])
    with pytest.raises(LookupError, match="boom"):
        pool.map(give_bad, [1])
    assert pool.map(same, [1]) == [1]


def test_what_cannot_be_sent_is_an_error(pool: tr.Pool) -> None:
    with pytest.raises(TypeError):
        pool.map(same, [(i for i in range(3))])
    with pytest.raises(MaybeEncodingError, match="generator"):
        pool.apply(iter_of, (3,))
    with tr.Executor(1, slots=[(4096, 64)]) as executor:
        with pytest.raises(TypeError):
            executor.submit((i for i in range(3)).__next__).result(30)
        assert executor.submit(same, 1).result(30) == 1


def iter_of(n: int) -> Any:
    return (i for i in range(n))


def test_more_dimensions_than_a_tensor_has(trusting: tr.Arena) -> None:
    queue = trusting.queue("q")
    for obj in ([np.zeros((1,) * 17)], [np.zeros((1,) * 17)] * 5):
        got = there_and_back(queue, obj)
        assert [one.shape for one in got] == [one.shape for one in obj]
    assert there_and_back(queue, np.ones((2,) * 18, "i1")).sum() == 1 << 18
    assert len(there_and_back(queue, [np.zeros((1,) * 16)] * 5)) == 5


NUMBERS = [
    *(np.dtype(letter).type(n) for letter in "bhilBHILefdFD" for n in (0, 1, 77)),
    *(np.float64(text) for text in ("nan", "-0.0", "inf", "5e-324")),
    np.bool_(True),
    np.bool_(False),
    np.int64(-(2**63)),
    np.uint64(2**64 - 1),
    np.complex128(complex(-0.0, float("nan"))),
    np.frombuffer(b"\x01\x00\xa0\x7f", np.float32)[0],  # a NaN that says more
]


def carried_forms(objects: list[Any]) -> tuple[list[Any], set[int]]:
    """What arrives of them, and the contents of the messages."""
    got, contents = [], set()
    with tr.Arena([(4096, 8)], allow_pickle=True) as arena:
        queue = arena.queue("scalars")
        for obj in objects:
            _objects.send(queue, obj)
            message = queue.receive_message(0)
            contents.add(message.content[0])
            got.append(_objects.open(message))
    return got, contents


def test_scalars_go_as_pickle_would_make_them_without_one() -> None:
    got, contents = carried_forms(NUMBERS)
    assert_alike(got, pickle.loads(pickle.dumps(NUMBERS)))
    assert [one.tobytes() for one in got] == [one.tobytes() for one in NUMBERS]
    assert contents == {serializers.OTHER}


def test_scalars_inside_of_others_stay_one() -> None:
    one = np.float64(2.5)
    nested = {"x": [one, one, np.int8(3)], one: (one, 1.5), "y": [2.5, one]}
    got, _ = carried_forms([nested])
    assert_alike(got[0], pickle.loads(pickle.dumps(nested)))


def test_scalars_of_other_types_go_by_pickle() -> None:
    others = [np.longdouble(1) / 3, np.datetime64("2020-01-01"), np.str_("x")]
    others += [np.void(b"abc"), np.longlong(3), np.clongdouble(1j)]
    got, contents = carried_forms(others)
    assert_alike(got, pickle.loads(pickle.dumps(others)))
    assert contents == {serializers.NUMBERS["application/x-pickle"]}
