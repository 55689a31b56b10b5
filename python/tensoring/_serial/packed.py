# SPDX-License-Identifier: MIT
"""Objects as one block of bytes, by the serializers of the registry: for stores and
transports that carry bytes.

    b"TRF1", the length of the head (4 bytes, little-endian), the head, the parts

The head is JSON: the number and the name of the content, and a row for each part. Each
part begins at a multiple of 64, counted from the start of the block. An object that is
unpacked looks into the block."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tensoring._errors import Error, FormatError
from tensoring._serial import registry
from tensoring._serial.allowance import (
    MAX_EXPANSION,
    OBJECT_BYTES,
    allow,
    allowance,
    end,
)
from tensoring._serial.dtypes import describe, dtype_for
from tensoring._serial.registry import (
    PICKLE,
    TENSORS,
    TYPES,
    Array,
    Encoded,
    UnsupportedError,
)

MAGIC = b"TRF1"
_PREFIX = struct.Struct("<4sI")
_ALIGNED = 64


class Laid(NamedTuple):
    """Where each part of an object goes."""

    head: bytes
    pieces: list[tuple[int, Array, str]]  # offset, array, order
    nbytes: int


def as_array(piece: Any) -> Array:
    """A part of an encoded object as an array."""
    if isinstance(piece, np.ndarray):
        return piece
    if type(piece) is list:  # like rows
        return np.stack(piece)
    try:
        if hasattr(piece, "__dlpack__"):
            return np.from_dlpack(piece)
        return np.frombuffer(piece, np.uint8)
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        raise UnsupportedError(
            f"a {type(piece).__name__} cannot be laid out as bytes: {error}"
        ) from None


def _aligned(offset: int) -> int:
    return (offset + _ALIGNED - 1) // _ALIGNED * _ALIGNED


def _encoded(obj: Any, pickle: bool) -> Encoded:
    found = registry.encode(obj, pickle)
    if isinstance(found, tuple):
        return found
    one = registry.by_content_type(TYPES[PICKLE])
    return (PICKLE, "", [registry.part(piece) for piece in one.serialize(obj)])


def lay_out(obj: Any, pickle: bool = False) -> Laid:
    """Cut an object into parts; UnsupportedError if no serializer takes it."""
    number, content_type, parts = _encoded(obj, pickle)
    rows, arrays = [], []
    for piece, name, _ in parts:
        array = as_array(piece)
        order = "F" if array.flags.fnc else "C"
        rows.append([name or "", *describe(array.dtype)[:4], list(array.shape), order])
        arrays.append((array, order))
    text = json.dumps([number, content_type, rows]).encode()
    head = _PREFIX.pack(MAGIC, len(text)) + text
    pieces, offset = [], len(head)
    for array, order in arrays:
        offset = _aligned(offset)
        pieces.append((offset, array, order))
        offset += array.nbytes
    return Laid(head, pieces, offset)


def write(laid: Laid, out: Any) -> None:
    """Fill a writable block of `laid.nbytes` bytes."""
    out[: len(laid.head)] = np.frombuffer(laid.head, np.uint8)
    for offset, array, order in laid.pieces:
        place: Any = order
        np.ndarray(array.shape, array.dtype, out, offset, order=place)[...] = array


def pack(obj: Any, pickle: bool = False) -> bytearray:
    """The block of an object."""
    laid = lay_out(obj, pickle)
    block = bytearray(laid.nbytes)
    write(laid, np.frombuffer(block, np.uint8))
    return block


def _rows_of(block: Array) -> tuple[list[Any], int]:
    """The head, and where it ends."""
    first = block[: _PREFIX.size].tobytes()
    if len(first) < _PREFIX.size or not first.startswith(MAGIC):
        raise FormatError(
            f"{block.nbytes} bytes that begin with {first[:8]!r}, not with {MAGIC!r}"
        )
    length = _PREFIX.unpack(first)[1]
    stop = _PREFIX.size + length
    if stop > block.nbytes:
        raise FormatError(f"a head of {length} bytes in {block.nbytes}")
    text = block[_PREFIX.size : stop].tobytes()
    allowance().read_json(text)
    head = json.loads(text)
    if type(head) is not list or len(head) != 3 or type(head[2]) is not list:
        raise FormatError("the head has another form")
    return head, stop


def _parts_of(block: Array) -> tuple[int, str, list[str], list[Array]]:
    (number, content_type, rows), offset = _rows_of(block)
    allowance().spend(OBJECT_BYTES * len(rows), f"a list of {len(rows)} arrays")
    names, arrays = [], []
    for name, code, bits, lanes, descr, shape, order in rows:
        offset = _aligned(offset)
        dtype = dtype_for(code, bits, lanes, descr)
        array = np.ndarray(tuple(shape), dtype, block, offset, order=order)
        offset += array.nbytes
        names.append(name)
        arrays.append(array)
    return number, content_type, names, arrays


def _load(block: Array, pickle: bool, meet: Callable[[str], object] | None) -> Any:
    number, content_type, names, arrays = _parts_of(block)
    if number == TENSORS and not content_type:
        if arrays and all(names):
            return dict(zip(names, arrays, strict=True))
        return arrays[0] if len(arrays) == 1 else arrays
    content_type = content_type or TYPES.get(number, "")
    if meet is not None:
        meet(content_type)
    one = registry.by_content_type(content_type)
    if one.pickle and not pickle:
        raise FormatError(f"it is a {one.name}, which this reader does not allow")
    return one.deserialize(arrays)


def unpack(
    data: Any, pickle: bool = False, meet: Callable[[str], object] | None = None
) -> Any:
    """The object in a block; arrays look into it. FormatError if it is none. With
    `pickle` a block may run code here. `meet` is told of a content type before its
    serializer is looked up, and may register one."""
    nbytes = memoryview(data).nbytes
    token = allow(nbytes, MAX_EXPANSION, pickle)
    try:
        return _load(np.frombuffer(data, np.uint8), pickle, meet)
    except Error:
        raise
    except ImportError as error:
        raise FormatError(f"the object needs a package: {error}") from None
    except Exception as error:
        if pickle:  # it may come from code of the object
            raise
        raise FormatError(f"not a block: {type(error).__name__}: {error}") from None
    finally:
        end(token)
