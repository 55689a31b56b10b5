# SPDX-License-Identifier: MIT
"""Compression, as a serializer around the others: send(As(obj, compressed("zstd"))).

Between processes of one machine it does not pay: a copy runs at memory speed, a
compressor at a tenth of it. It is here so that one can see that."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring._options import one_of
from tensoring._serial import registry
from tensoring._serial.allowance import OBJECT_BYTES, allowance
from tensoring._serial.dtypes import describe, dtype_for
from tensoring._serial.packed import as_array
from tensoring._serial.registry import TENSORS, Array, register

CODECS = {"zstd": "zstandard", "lz4": "lz4.frame"}


def _dump(obj: Any) -> bytes:
    number, content_type, parts = registry.encode_typed(obj)
    rows, pieces = [], []
    for piece, name, _ in parts:
        array = as_array(piece)
        order = "F" if array.flags.fnc else "C"
        rows.append([name or "", *describe(array.dtype)[:4], list(array.shape), order])
        pieces.append(array.tobytes("A"))  # as it lies
    head = json.dumps([number, content_type, rows]).encode()
    return b"".join((len(head).to_bytes(8, "little"), head, *pieces))


def _rows_of(data: bytes) -> tuple[list[Any], int]:
    """The table in front of the arrays, and where they begin."""
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin > len(data):
        raise FormatError(f"a table of {begin} bytes in {len(data)}")
    text = data[8:begin]
    allowance().read_json(text)
    head = json.loads(text)
    if type(head) is not list or len(head) != 3 or type(head[2]) is not list:
        raise FormatError("the table of the arrays has another form")
    return head, begin


def _load(data: bytes) -> Any:
    try:
        (number, content_type, rows), begin = _rows_of(data)
        allowance().spend(OBJECT_BYTES * len(rows), f"a list of {len(rows)} arrays")
        arrays, names = [], []
        for name, code, bits, lanes, descr, shape, order in rows:
            dtype = dtype_for(code, bits, lanes, descr)
            array = np.ndarray(tuple(shape), dtype, data, begin, order=order)
            begin += array.nbytes
            arrays.append(array)
            names.append(name)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FormatError(f"not what compression packs: {error}") from None
    if number == TENSORS and not content_type:
        if all(names):
            return dict(zip(names, arrays, strict=True))
        return arrays[0] if len(arrays) == 1 else arrays
    one = registry.by_content_type(content_type or registry.TYPES.get(number, ""))
    if one.pickle:
        raise FormatError("a compressed message holds a pickle")
    return one.deserialize(arrays)


def _expand_zstd(module: Any, data: bytes) -> bytes:
    """All frames would be more than send() writes: one, not larger than is allowed."""
    left = allowance().left()
    said = module.get_frame_parameters(data).content_size
    if said != module.CONTENTSIZE_UNKNOWN:
        allowance().spend(said, "the zstd frame")
    window = 1 << max(10, min(27, left.bit_length()))
    found: bytes = module.ZstdDecompressor(max_window_size=window).decompress(
        data, max_output_size=left
    )
    if said == module.CONTENTSIZE_UNKNOWN:
        allowance().spend(len(found), "the zstd frame")
    return found


def _expand_lz4(module: Any, data: bytes) -> bytes:
    left = allowance().left()
    decompressor = module.LZ4FrameDecompressor()
    found: bytes = decompressor.decompress(data, max_length=left)
    allowance().spend(len(found) if decompressor.eof else left + 1, "the lz4 frame")
    return found


def compressed(codec: str = "zstd") -> str:
    """The content type for As() that compresses with `codec`, "zstd" or "lz4"; both sides
    call this. ImportError without the package zstandard or lz4."""
    one_of("codec", codec, CODECS)
    content_type = f"application/x-tensors+{codec}"
    if any(one.content_type == content_type for one in registry.registered()):
        return content_type
    module: Any = importlib.import_module(CODECS[codec])
    if codec == "zstd":
        compress, expand = module.ZstdCompressor().compress, _expand_zstd
        wrong: type[Exception] = module.ZstdError
    else:
        compress, expand, wrong = module.compress, _expand_lz4, RuntimeError

    def load(parts: list[Array]) -> Any:
        try:
            data = expand(module, registry.bytes_of(parts))
        except (wrong, MemoryError) as error:
            raise FormatError(f"not {codec}: {error}") from None
        return _load(data)

    register(
        codec.upper(),
        codec,
        content_type,
        lambda obj: False,
        lambda obj: [compress(_dump(obj))],
        load,
    )
    return content_type
