# SPDX-License-Identifier: MIT
"""What a pool's jobs and results look like as messages.

The first part is a pickle of (number, head, nodes); a node is (tag, value). Arrays are
parts of their own, lists of like arrays one part for all, and whatever else there is goes
into the pickle, with the buffers that it has as further parts."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tensoring import serializers
from tensoring._arena import ArenaQueue
from tensoring._core import Message
from tensoring._errors import Full
from tensoring._pickle import dump_any
from tensoring._trees import alike
from tensoring.serializers import Array, Encoded, part

_TYPE = "application/x-tensoring-job"
_PLAIN, _ARRAY, _ROWS, _TUPLE = range(4)


def _likely_alike(values: list[Any]) -> bool:
    # Two of them tell nearly always; sending looks at each.
    return len(values) > 3 and alike([values[0], values[-1]], 2)


def _node(value: Any, parts: list[Any], rows: bool) -> tuple[int, Any]:
    kind = type(value)
    if kind is np.ndarray and not value.dtype.hasobject:
        parts.append(part(value))
        return (_ARRAY, len(parts) - 1)
    if kind is list and rows and _likely_alike(value):
        parts.append((value, None, None))
        return (_ROWS, len(parts) - 1)
    if kind is tuple:
        return (_TUPLE, [_node(item, parts, rows) for item in value])
    return (_PLAIN, value)


def encode(number: int, head: Any, values: list[Any], rows: bool) -> Encoded:
    """One job, or one result, as the extension takes it."""
    arrays: list[Any] = []
    nodes = [_node(value, arrays, rows) for value in values]
    stream, *buffers = dump_any((number, head, nodes))
    # Buffers first: the pickle asks for them before it can say how many arrays there are.
    parts = [(buffer, None, None) for buffer in (stream, *buffers)]
    return (serializers.OTHER, _TYPE, parts + arrays)


def send(
    queue: ArenaQueue,
    number: int,
    head: Any,
    values: list[Any],
    when_full: Callable[[], None] | None = None,
) -> None:
    """Encode and send. With `when_full`, call that instead of waiting for room."""
    rows = True
    encoded = encode(number, head, values, rows)
    while True:
        try:
            queue._send_parts(encoded, 0 if when_full else None)
            return
        except Full:
            if when_full is None:
                raise
            when_full()
        except TypeError:
            if not rows:
                raise
            rows = False  # the arrays of some list were not alike after all
            encoded = encode(number, head, values, rows)


def _value(node: tuple[int, Any], arrays: list[Array], copy: bool) -> Any:
    tag, value = node
    if tag == _PLAIN:
        return value
    if tag == _ARRAY:
        return arrays[value].copy("K") if copy else arrays[value]
    if tag == _ROWS:
        return list(arrays[value].copy() if copy else arrays[value])
    return tuple(_value(item, arrays, copy) for item in value)


def decode(message: Message, copy: bool) -> tuple[int, Any, list[Any]]:
    """The number, head and values of a message; with `copy`, none looks into the slot."""
    taken = 1

    def buffers() -> Iterator[Any]:
        nonlocal taken
        while True:
            array = message.array(taken)
            taken += 1
            yield bytearray(array) if copy else array

    number, head, nodes = pickle.loads(message.view(0), buffers=buffers())
    arrays = [message.array(i) for i in range(taken, len(message))]
    return number, head, [_value(node, arrays, copy) for node in nodes]
