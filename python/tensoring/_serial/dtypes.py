# SPDX-License-Identifier: MIT
"""NumPy's types as DLPack triples, and back.

What DLPack cannot say travels as a NumPy `descr` string beside the triple."""

from __future__ import annotations

import ast
import functools
from typing import Any, Final, TypeAlias

import numpy as np

from tensoring import _core
from tensoring._errors import FormatError, ObjectError
from tensoring._serial.literals import (
    MAX_DEPTH,
    MAX_INNER,
    identical,
    is_ml_dtype,
    ml_dtype,
    of_descr,
    to_descr,
)

# (code, bits, lanes, descr, flags), as the extension takes it
Described: TypeAlias = tuple[int, int, int, str, int]

INT, UINT, FLOAT, COMPLEX, BOOL, OPAQUE = (_core.DTYPES[kind] for kind in "iufcbV")
UINT8: Final[Described] = (UINT, 8, 1, "", 0)
_KINDS = {"i": INT, "u": UINT, "f": FLOAT, "c": COMPLEX, "b": BOOL}
_LETTERS = {code: letter for letter, code in _KINDS.items()}
_PLAIN_BITS = {
    INT: (8, 16, 32, 64),
    UINT: (8, 16, 32, 64),
    FLOAT: (16, 32, 64),
    COMPLEX: (64, 128),
    BOOL: (8,),
}
# Scalars of these types travel as their bytes. They are made again as pickle makes them.
_SCALARS = [np.dtype(letter) for letter in "?bhilBHILefdFD"]
SCALARS = {dtype.type: i for i, dtype in enumerate(_SCALARS)}
_SCALAR: Any = np.int8().__reduce__()[0]  # (dtype, bytes)
MAKERS = tuple(functools.partial(_SCALAR, one) for one in _SCALARS)
# Names of ml_dtypes with the codes and bits of DLPack 1.1.
_ML_DTYPES = {
    name: (code, 8 if name.startswith("float8") else 16)
    for name, code in _core.DTYPES.items()
    if len(name) > 1
}
_ML_NAMES = {triple: name for name, triple in _ML_DTYPES.items()}
_MAX_LANES = 65535
_MAX_LANE_BYTES = 31
_MAX_DESCR = 8191
_MOST_KNOWN = 256

_described: dict[np.dtype[Any], Described] = {}  # equal types are the same, of these
# Found by id, which is held here, as are the names of its fields: they can be set.
_known: dict[int, tuple[np.dtype[Any], Described, tuple[str, ...] | None]] = {}


def _depth(descr: Any) -> int:
    return 1 + max(map(_depth, descr), default=0) if type(descr) in (list, tuple) else 0


def _descr_of(dtype: np.dtype[Any]) -> tuple[Any, str]:
    """NumPy's descr, as it is and as text, if it says all that the type is."""
    descr = to_descr(dtype)
    text = descr if isinstance(descr, str) else repr(descr)
    size = len(text.encode(errors="replace"))
    if size > _MAX_DESCR or not text.isprintable() or _depth(descr) > MAX_DEPTH:
        raise TypeError(
            f"the descr of the type, {text:.40}..., has no room in a tensor: at most"
            f" {_MAX_DESCR} bytes of text, {MAX_DEPTH} deep; this has {size}"
        )
    again = of_descr(ast.literal_eval(text) if descr is not text else text)
    if not identical(again, dtype):
        raise TypeError(f"NumPy has no descr for {dtype}: it would come back as {again}")
    return descr, text


def _opaque(dtype: np.dtype[Any]) -> Described:
    if not 0 < dtype.itemsize <= _MAX_LANES:
        raise TypeError(
            f"elements of {dtype.itemsize} bytes are no tensor's: 1 to {_MAX_LANES} are"
        )
    descr, text = _descr_of(dtype)
    swapped = isinstance(descr, str) and descr.startswith(">")
    flags = _core.TENSOR_BYTESWAPPED if swapped else 0
    if dtype.itemsize <= _MAX_LANE_BYTES:
        return (OPAQUE, 8 * dtype.itemsize, 1, text, flags)
    return (OPAQUE, 8, dtype.itemsize, text, flags)


def _describe(dtype: np.dtype[Any]) -> Described:
    if dtype.hasobject:
        raise ObjectError(
            f"{dtype} holds Python objects, which cannot be shared as raw bytes; arenas"
            " with allow_pickle=True take them"
        )
    if dtype.metadata is not None:
        raise TypeError(f"{dtype} has metadata, which a tensor has not: send plain types")
    if is_ml_dtype(dtype):
        if dtype.name not in _ML_DTYPES or not dtype.isnative:
            raise TypeError(f"DLPack has no type for {dtype.name}, {dtype.byteorder!r}")
        code, bits = _ML_DTYPES[dtype.name]
        return (code, bits, 1, "", 0)
    code_or_none = _KINDS.get(dtype.kind)
    bits = 8 * dtype.itemsize
    swapped = not dtype.isnative
    if code_or_none is not None and bits in _PLAIN_BITS[code_or_none]:
        if not swapped:
            return (code_or_none, bits, 1, "", 0)
        return (code_or_none, bits, 1, dtype.str, _core.TENSOR_BYTESWAPPED)
    if dtype.kind in "mM":
        return (INT, 64, 1, dtype.str, _core.TENSOR_BYTESWAPPED if swapped else 0)
    return _opaque(dtype)


def describe(dtype: np.dtype[Any]) -> Described:
    """The triple of `dtype`, its descr and its flags; TypeError if it has none."""
    known = _known.get(id(dtype))
    if known is not None and known[0].names is known[2]:
        return known[1]
    return _remember(dtype)


def _has_fields_in_fields(dtype: np.dtype[Any]) -> bool:
    return any(dtype[name].base.names is not None for name in dtype.names or ())


def _remember(dtype: np.dtype[Any]) -> Described:
    if dtype.names is not None or dtype.metadata is not None:
        found = _describe(dtype)
    elif (described := _described.get(dtype)) is not None:
        found = described
    else:
        found = _described[dtype] = _describe(dtype)
    if _has_fields_in_fields(dtype):
        return found  # the names in there can be set, too
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(dtype)] = (dtype, found, dtype.names)
    return found


def _parse(descr: str) -> np.dtype[Any]:
    try:
        literal: Any = ast.literal_eval(descr) if descr.startswith(("[", "(")) else descr
        dtype = of_descr(literal)
    except Exception as error:
        raise FormatError(f"not a NumPy descr: {descr[:80]!r}") from error
    # An array has the dimensions of its elements, too.
    if not isinstance(dtype, np.dtype) or len(dtype.shape) > MAX_INNER:
        raise FormatError(f"not a NumPy descr: {descr[:80]!r}")
    # Bytes from another process must never be taken for pointers.
    if dtype.hasobject:
        raise FormatError("a tensor says that its bytes are Python objects")
    return dtype


def dtype_for(code: int, bits: int, lanes: int, descr: str) -> np.dtype[Any]:
    """NumPy's type of a triple. Without ml_dtypes, bfloat16 and float8 come as unsigned
    integers of the same size."""
    if descr:
        dtype = _parse(descr)
        if dtype.itemsize != (bits * lanes + 7) // 8:
            raise FormatError(f"descr {descr[:80]!r} does not fit {bits} bits x {lanes}")
        return dtype
    if lanes != 1:
        return np.dtype((dtype_for(code, bits, 1, ""), (lanes,)))
    if bits in _PLAIN_BITS.get(code, ()):
        return np.dtype("?" if code == BOOL else f"{_LETTERS[code]}{bits // 8}")
    name = _ML_NAMES.get((code, bits))
    if name is not None:
        found: np.dtype[Any] = ml_dtype(name) or np.dtype(f"u{bits // 8}")
        return found
    if code == OPAQUE and bits % 8 == 0:
        return np.dtype((np.void, bits // 8))
    raise FormatError(f"NumPy has no type for DLPack code {code} with {bits} bits")


def as_dtype(name: Any) -> np.dtype[Any]:
    """What the user calls a type: NumPy's own words and the names of ml_dtypes."""
    wanted = ml_dtype(name) if isinstance(name, str) and name in _ML_DTYPES else name
    if wanted is None and name is not None:
        raise TypeError(f"{name} needs the package ml_dtypes")
    dtype: np.dtype[Any] = np.dtype(wanted)
    return dtype
