# SPDX-License-Identifier: MIT
"""Arrays that are no tensor: more dimensions than 16, types that have no descr or a long
one, elements of no bytes or of very many. Their bytes, behind a head of JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from tensoring._serial.literals import identical, of_words, to_words
from tensoring._serial.registry import Array, Serializer, UnsupportedError
from tensoring._serial.structure import broken, head_of


def _supported(obj: Any) -> bool:
    return type(obj) is np.ndarray and not obj.dtype.hasobject


def _words(dtype: np.dtype[Any]) -> Any:
    try:
        words = json.loads(json.dumps(to_words(dtype)))
        again = of_words(words)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedError(f"{dtype!s:.200} has no raw form: {error}") from None
    if not identical(again, dtype):
        raise UnsupportedError(
            f"an array of {dtype!r:.200} would come back as one of {again!r:.200}"
        )
    return words


def _bytes(array: Array) -> Any:
    """As they lie, packed."""
    if not array.nbytes:
        return b""
    if not array.flags.c_contiguous:
        array = array.T if array.flags.f_contiguous else np.ascontiguousarray(array)
    return array.reshape(-1).view(np.uint8)


def dump(array: Array) -> list[Any]:
    """A head and the bytes, or UnsupportedError."""
    f_order = array.flags.f_contiguous and not array.flags.c_contiguous
    head = {
        "dtype": _words(array.dtype),
        "shape": list(array.shape),
        "order": "F" if f_order else "C",
    }
    return [json.dumps(head).encode(), _bytes(array)]


def load(parts: list[Array]) -> Array:
    """What dump() made of an array; it looks into the second part."""
    head = head_of(parts)
    if type(head) is not dict or set(head) != {"dtype", "shape", "order"}:
        broken("a head of another form")
    if len(parts) != 2 or parts[1].dtype != np.uint8 or not parts[1].flags.c_contiguous:
        broken("an array without its bytes")
    shape = head["shape"]
    if not (type(shape) is list and all(type(n) is int and n >= 0 for n in shape)):
        broken(f"a shape of {shape!r:.80}")
    dtype = of_words(head["dtype"])
    if math.prod(shape) * dtype.itemsize != parts[1].nbytes:
        broken(f"{parts[1].nbytes} bytes for an array of {shape!r:.80}")
    if not parts[1].nbytes:
        return np.empty(tuple(shape), dtype, order=head["order"])
    return np.ndarray(tuple(shape), dtype, parts[1], order=head["order"])


def rebuild(head: bytes, data: Any) -> Array:
    """The same of parts that are any bytes. Pickles name it."""
    return load([np.frombuffer(one, np.uint8) for one in (head, data)])


NDARRAY = Serializer(
    "ND",
    "ndarray",
    "application/x-ndarray",
    _supported,
    dump,
    load,
    kinds=(np.ndarray,),
)
