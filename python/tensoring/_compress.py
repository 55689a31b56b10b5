# SPDX-License-Identifier: MIT
"""Compression, as a serializer around the others: send(As(obj, compressed("zstd"))).

Between processes of one machine it does not pay: a copy runs at memory speed, a
compressor at a tenth of it. It is here so that one can see that."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from tensoring import serializers
from tensoring._dtypes import describe, dtype_for
from tensoring._errors import FormatError
from tensoring.serializers import TENSORS, Array, Unsupported, register

_CODECS = {"zstd": "zstandard", "lz4": "lz4.frame"}


def _packed(piece: Any) -> Array:
    if isinstance(piece, np.ndarray):
        return np.ascontiguousarray(piece).reshape(piece.shape)
    try:
        return np.frombuffer(piece, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise Unsupported(f"a {type(piece).__name__} cannot be compressed") from error


def _dump(obj: Any) -> bytes:
    number, content_type, parts = serializers.encode(obj, False)
    rows, pieces = [], []
    for piece, name, _ in parts:
        array = _packed(piece)
        rows.append([name or "", *describe(array.dtype)[:4], list(array.shape)])
        pieces.append(array.tobytes())
    head = json.dumps([number, content_type, rows]).encode()
    return b"".join((len(head).to_bytes(8, "little"), head, *pieces))


def _load(data: bytes) -> Any:
    begin = 8 + int.from_bytes(data[:8], "little")
    try:
        number, content_type, rows = json.loads(data[8:begin])
        arrays, names = [], []
        for name, code, bits, lanes, descr, shape in rows:
            dtype = dtype_for(code, bits, lanes, descr)
            array = np.ndarray(tuple(shape), dtype, data, begin)
            begin += array.nbytes
            arrays.append(array)
            names.append(name)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"not what compression packs: {error}") from error
    if number == TENSORS and not content_type:
        if all(names):
            return dict(zip(names, arrays, strict=True))
        return arrays[0] if len(arrays) == 1 else arrays
    one = serializers.by_content_type(content_type or serializers.TYPES.get(number, ""))
    if one.pickle:
        raise FormatError("a compressed message holds a pickle")
    return one.deserialize(arrays)


def compressed(codec: str = "zstd") -> str:
    """The content type for As() that compresses with `codec`, "zstd" or "lz4"; both sides
    call this. ImportError without the package zstandard or lz4."""
    if codec not in _CODECS:
        raise ValueError(f"codec is one of {', '.join(_CODECS)}, not {codec!r}")
    content_type = f"application/x-tensors+{codec}"
    if any(one.content_type == content_type for one in serializers.registered()):
        return content_type
    module: Any = importlib.import_module(_CODECS[codec])
    if codec == "zstd":
        compress = module.ZstdCompressor().compress
        decompress = module.ZstdDecompressor().decompress
        wrong: type[Exception] = module.ZstdError
    else:
        compress, decompress, wrong = module.compress, module.decompress, RuntimeError

    def load(parts: list[Array]) -> Any:
        try:
            data = decompress(serializers.bytes_of(parts))
        except wrong as error:
            raise FormatError(f"not {codec}: {error}") from error
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
