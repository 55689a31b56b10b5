# SPDX-License-Identifier: MIT
"""Long lists of numbers in a tree: they go as arrays, and come back as the same lists."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from tensoring._serial import registry, trees
from tensoring._serial.formats import LONG

NAN = struct.unpack("<d", bytes.fromhex("010000000000f87f"))[0]  # not the usual one
FLOATS = [0.1, -0.0, math.inf, -math.inf, NAN, 5e-324, 1e308] * LONG
INTS = [0, -1, 1 << 62, -(1 << 63), (1 << 63) - 1] * LONG
MIXED = {
    "bool": [*INTS, True],
    "float among int": [*INTS, 1.0],
    "too large": [*INTS, 1 << 63],
    "text": [*FLOATS, "x"],
    "scalar of NumPy": [*FLOATS, np.float64(1)],
}


@pytest.fixture
def queue(arena: tr.Arena) -> tr.ArenaQueue:
    return arena.queue("q")


def travelled(queue: tr.ArenaQueue, numbers: Any) -> Any:
    """As they come back beside an array, so that all of it is a tree."""
    queue.send({"numbers": numbers, "array": np.ones(3)})
    return queue.receive()["numbers"]


def same(a: list[Any], b: list[Any]) -> bool:
    def exact(one: Any) -> Any:
        return type(one), struct.pack("<d", one) if type(one) is float else one

    return type(a) is type(b) and [exact(x) for x in a] == [exact(x) for x in b]


@pytest.mark.parametrize("numbers", [FLOATS, INTS, FLOATS[: LONG - 1], INTS[:LONG]])
def test_lists_come_back_exactly(queue: tr.ArenaQueue, numbers: list[Any]) -> None:
    assert same(travelled(queue, numbers), numbers)


@pytest.mark.parametrize("what", MIXED)
def test_lists_of_more_than_numbers(queue: tr.ArenaQueue, what: str) -> None:
    assert same(travelled(queue, MIXED[what]), MIXED[what])


def test_they_are_arrays_on_the_way() -> None:
    for numbers, dtype in ((FLOATS, "f8"), (INTS, "i8")):
        first, _ = trees._dump({"numbers": numbers})
        assert first[0].dtype == dtype
    assert len(trees._dump({"numbers": FLOATS[: LONG - 1]})) == 1


@pytest.mark.parametrize("within", [lambda x: x, lambda x: {"scores": x, "n": [1]}])
def test_json_leaves_long_lists_of_floats_to_a_tree(
    queue: tr.ArenaQueue, within: Any
) -> None:
    obj = within(FLOATS)
    _, content_type, parts = registry.encode(obj, pickle=False)
    assert content_type == trees.CONTENT_TYPE
    assert [type(one) for one, _, _ in parts] == [np.ndarray, bytes]
    queue.send(obj)
    found = queue.receive()
    assert same(found if within(1) == 1 else found["scores"], FLOATS)


def test_one_list_in_two_places(queue: tr.ArenaQueue) -> None:
    first, second = travelled(queue, [FLOATS, FLOATS])
    assert first is second


def test_more_lists_than_a_message_has_parts(queue: tr.ArenaQueue) -> None:
    many = [[float(i)] * LONG for i in range(300)]
    assert travelled(queue, many) == many


@pytest.mark.parametrize("dtype", ["f4", "i4", "u8", "V8"])
def test_what_is_no_list_of_numbers(dtype: str) -> None:
    node = b'["t", 0]'
    wrong = [np.zeros(3, dtype), np.frombuffer(node, "u1")]
    with pytest.raises(tr.FormatError, match="a list of numbers of type"):
        trees._load(wrong)
    with pytest.raises(tr.FormatError, match="a list of numbers of type"):
        trees._load([np.zeros((2, 2)), np.frombuffer(node, "u1")])
