# SPDX-License-Identifier: MIT
"""Serializers of the usual content types; the names are those of web services."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring.serializers import Array, Unsupported, bytes_of, register, text_of


def _never(obj: Any) -> bool:
    return False  # only by As(obj, content_type)


def _flat_bytes(obj: Any) -> list[Any]:
    view = memoryview(obj)
    if not view.contiguous:
        return [view.tobytes()]
    return [view if view.ndim == 1 and view.format == "B" else view.cast("B")]


register(
    "BS",
    "bytes",
    "application/octet-stream",
    lambda obj: isinstance(obj, (bytes, bytearray, memoryview)),
    _flat_bytes,
    bytes_of,
)
register(
    "US",
    "string",
    "text/plain",
    lambda obj: type(obj) is str,
    lambda obj: [obj.encode()],
    text_of,
)


# ---- JSON


def _is_json(obj: Any) -> bool:
    kind = type(obj)
    if obj is None or kind in (bool, int, float, str):
        return True
    if kind is list:
        return all(_is_json(item) for item in obj)
    return kind is dict and all(type(k) is str and _is_json(v) for k, v in obj.items())


def _plain(obj: Any) -> Any:
    if isinstance(obj, (np.ndarray, np.generic)):
        return obj.tolist()
    raise Unsupported(f"{type(obj).__qualname__} has no form in JSON")


def _load_json(parts: list[Array]) -> Any:
    try:
        return json.loads(bytes_of(parts))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}") from error


register(
    "JS",
    "json",
    "application/json",
    _is_json,
    lambda obj: [json.dumps(obj, default=_plain).encode()],
    _load_json,
)


def _json_lines(obj: Any) -> list[Any]:
    if isinstance(obj, str):
        return [obj.encode()]
    return ["\n".join(json.dumps(item, default=_plain) for item in obj).encode()]


def _load_json_lines(parts: list[Array]) -> Any:
    try:
        return [json.loads(line) for line in text_of(parts).splitlines() if line]
    except ValueError as error:
        raise FormatError(f"not JSON lines: {error}") from error


register(
    "JL", "json lines", "application/jsonlines", _never, _json_lines, _load_json_lines
)


# ---- CSV and LIBSVM


def _rows(obj: Any) -> Iterable[Iterable[Any]]:
    if isinstance(obj, np.ndarray):
        return np.atleast_2d(obj).tolist()  # type: ignore[no-any-return]
    if hasattr(obj, "itertuples"):
        return obj.itertuples(index=False, name=None)  # type: ignore[no-any-return]
    rows = list(obj)
    return rows if rows and isinstance(rows[0], (list, tuple)) else [rows]


def _dump_csv(obj: Any) -> list[Any]:
    if isinstance(obj, str):
        return [obj.encode()]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(obj))
    return [text.getvalue().encode()]


register(
    "CS",
    "csv",
    "text/csv",
    _never,
    _dump_csv,
    lambda parts: list(csv.reader(io.StringIO(text_of(parts)))),
)
register("LS", "libsvm", "text/libsvm", _never, lambda obj: [obj.encode()], text_of)


# ---- .npy and .npz


def _dump_npy(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asanyarray(obj), allow_pickle=False)
    return [stream.getbuffer()]


def load_npy(data: Any) -> Array:
    """The array of an .npy file in memory, without a copy."""
    raw = memoryview(data).cast("B")
    stream = io.BytesIO(raw[: 1 << 16])
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            array: Array = np.load(io.BytesIO(raw), allow_pickle=False)
            return array
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise FormatError("the .npy file holds pickled objects")
        order = "F" if fortran else "C"
        return np.ndarray(shape, dtype, raw, stream.tell(), order=order)  # type: ignore[arg-type]
    except FormatError:
        raise
    except (ValueError, TypeError, EOFError) as error:
        raise FormatError(f"not an .npy file: {error}") from error


def _load_npy(parts: list[Array]) -> Array:
    if len(parts) != 1:
        raise FormatError(f"one part expected, the message has {len(parts)}")
    return load_npy(parts[0])


register("NY", "npy", "application/x-npy", _never, _dump_npy, _load_npy)


def _dump_npz(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    if hasattr(obj, "tocoo"):
        import scipy.sparse

        scipy.sparse.save_npz(stream, obj, compressed=False)
    else:
        arrays = obj if isinstance(obj, dict) else {"arr_0": np.asanyarray(obj)}
        np.savez(stream, allow_pickle=False, **arrays)
    return [stream.getbuffer()]


def _load_npz(parts: list[Array]) -> dict[str, Array]:
    try:
        with np.load(io.BytesIO(bytes_of(parts)), allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError) as error:
        raise FormatError(f"not an .npz file: {error}") from error


register("NZ", "npz", "application/x-npz", _never, _dump_npz, _load_npz)
