# SPDX-License-Identifier: MIT
"""The bytes of a prediction, as a type that the client accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tensoring._serial import formats
from tensoring._serial.instead import a
from tensoring._serial.registry import UnsupportedError
from tensoring._servers.sagemaker.decode import own_serializer
from tensoring._servers.sagemaker.errors import not_acceptable
from tensoring._servers.sagemaker.headers import Accept
from tensoring._servers.sagemaker.received import shortened

_Encode: TypeAlias = Callable[[Any], bytes]


class Encoded(NamedTuple):
    """A body and its content type."""

    body: bytes
    content_type: str


def _one(parts: Sequence[Any]) -> bytes:
    if len(parts) != 1:
        raise UnsupportedError(f"it has {len(parts)} parts, a body has one")
    return bytes(parts[0])


def _named(obj: Any) -> str:
    return a(type(obj).__qualname__)


def _is_frame(obj: Any) -> bool:
    return hasattr(obj, "columns") and hasattr(obj, "to_numpy")


def _is_sparse(obj: Any) -> bool:
    return hasattr(obj, "tocoo")


def _array(obj: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """An array of what is meant as one: numbers or texts, no Python objects."""
    if isinstance(obj, (dict, str, bytes)) or _is_sparse(obj):
        raise UnsupportedError(f"{_named(obj)} is no array")
    if hasattr(obj, "detach"):  # a tensor of torch, which may need gradients
        obj = obj.detach().cpu()
    try:
        array = np.asarray(obj)
    except ValueError as error:
        raise UnsupportedError(f"{_named(obj)} makes no array: {error}") from None
    if array.dtype.hasobject:
        raise UnsupportedError(f"{_named(obj)} makes an array of Python objects")
    return array


# ---- JSON


def _plain(obj: Any) -> Any:
    if isinstance(obj, (np.ndarray, np.generic)):
        return obj.tolist()
    if _is_frame(obj):
        return {str(name): obj[name].to_numpy().tolist() for name in obj.columns}
    if hasattr(obj, "__array__") or hasattr(obj, "detach"):
        return _array(obj).tolist()
    raise UnsupportedError(f"{_named(obj)} has no form in JSON")


_ENCODER = json.JSONEncoder(default=_plain)


def _json(obj: Any) -> bytes:
    try:
        return formats.json_of(obj, _ENCODER)
    except UnsupportedError:
        raise
    except (TypeError, RecursionError) as error:
        raise UnsupportedError(f"{_named(obj)} has no form in JSON: {error}") from None


def _json_lines(obj: Any) -> bytes:
    if not isinstance(obj, (list, tuple, np.ndarray)) or getattr(obj, "ndim", 1) == 0:
        raise UnsupportedError(f"{_named(obj)} has no lines")
    return b"".join(_json(one) + b"\n" for one in obj)


# ---- tables


def _rows(obj: Any) -> list[list[Any]]:
    """One row for each item: a vector of n predictions is n rows, as n rows were sent."""
    if _is_frame(obj):
        return [list(row) for row in zip(*_plain(obj).values(), strict=True)]
    if isinstance(obj, (list, tuple)) and obj:
        rows = [isinstance(row, (list, tuple)) for row in obj]
        if all(rows):
            return [list(row) for row in obj]
        if not any(rows) and not any(hasattr(one, "__array__") for one in obj):
            return [[one] for one in obj]
    array = _array(obj)
    if array.ndim > 2:
        raise UnsupportedError(
            f"CSV has rows and columns, the array is of shape {array.shape}"
        )
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    return array.tolist()  # type: ignore[no-any-return]


def _csv(obj: Any) -> bytes:
    if isinstance(obj, str):
        return formats.utf8(obj)
    rows = _rows(obj)
    for cell in (cell for row in rows for cell in row):
        if isinstance(cell, (list, dict, tuple)):
            raise UnsupportedError(f"CSV has rows and columns, a cell is {_named(cell)}")
    return _one(formats.CSV.serialize(rows)) if rows else b""


# ---- NumPy's files


def _npy(obj: Any) -> bytes:
    return _one(formats.NPY.serialize(_array(obj)))


def _npz(obj: Any) -> bytes:
    if _is_sparse(obj):
        return _one(formats.NPZ.serialize(obj))
    if isinstance(obj, dict):
        if not all(isinstance(name, str) for name in obj):
            raise UnsupportedError("arrays in an .npz file have names of type str")
        return _one(formats.NPZ.serialize({k: _array(v) for k, v in obj.items()}))
    return _one(formats.NPZ.serialize(_array(obj)))


# ---- text and bytes


def _text(obj: Any) -> bytes:
    if isinstance(obj, (bytes, bytearray)):
        return bytes(obj)
    if isinstance(obj, str):
        return formats.utf8(obj)
    raise UnsupportedError(f"{_named(obj)} is no text")


def _bytes(obj: Any) -> bytes:
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return bytes(obj)
    raise UnsupportedError(f"{_named(obj)} is no bytes")


_ENCODERS: dict[str, _Encode] = {
    "application/json": _json,
    "application/jsonlines": _json_lines,
    "text/csv": _csv,
    "application/x-npy": _npy,
    "tensor/pt": _npy,
    "application/x-npz": _npz,
    "text/plain": _text,
    "text/libsvm": _text,
    "application/octet-stream": _bytes,
    "application/x-recordio-protobuf": _bytes,
}
_OPAQUE = ("image/", "audio/", "video/")


def _encoder(kind: str) -> _Encode | None:
    if kind in _ENCODERS:
        return _ENCODERS[kind]
    if kind.startswith(_OPAQUE):
        return _bytes
    own = own_serializer(kind)
    return None if own is None else lambda obj: _one(own.serialize(obj))


def _usual(obj: Any) -> list[str]:
    """All types, those first that fit what it is."""
    if isinstance(obj, (bytes, bytearray, memoryview)):
        first = ["application/octet-stream"]
    elif isinstance(obj, str):
        first = ["text/plain"]
    else:
        first = ["application/x-npz"] if _is_sparse(obj) else ["application/json"]
    return first + [kind for kind in _ENCODERS if kind not in first]


def encode_as(obj: Any, accept: Accept) -> Encoded:
    """The first form that the client accepts and the object has."""
    why = []
    for kind in accept.order(_usual(obj)):
        encoder = _encoder(kind)
        if encoder is None:
            why.append(f"{kind[:80]} is not known here")
            continue
        try:
            return Encoded(encoder(obj), kind)
        except UnsupportedError as error:
            why.append(f"{kind[:80]}: {shortened(str(error))}")
    known = ", ".join(_ENCODERS)
    raise not_acceptable(
        f"Accept is {accept.header[:200]!r}, and the prediction, {_named(obj)}, has no"
        f" such form ({'; '.join(why[:3]) or 'no type is accepted'}); answers here are"
        f" {known}; others need a function of your own (output_fn)"
    )


def encode(obj: Any, accept: str = "*/*") -> tuple[bytes, str]:
    """The bytes of an answer and their content type, as application() answers where there
    is no output_fn. `accept` is the header, which may have several types and q-values; by
    default text is text/plain, bytes are application/octet-stream, a sparse matrix is
    application/x-npz, and anything else is application/json.

    In text/csv a vector has one row for each item. RequestError, status 406, if the
    object has no form that is accepted."""
    return encode_as(obj, Accept(accept))
