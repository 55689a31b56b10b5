# SPDX-License-Identifier: MIT
"""SciPy's sparse matrices and arrays.

SciPy's compiled loops follow index arrays without a look at their bounds, so a sender
could make a receiver read and write anywhere. The index arrays are therefore copied to
private memory and checked there in full; the values stay in the slot."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring._serial.registry import FOREIGN, Array, Serializer, UnsupportedError
from tensoring._serial.structure import broken, head_of, integers, within

_COMPRESSED = ("data", "indices", "indptr")
_PARTS = {
    "csr": _COMPRESSED,
    "csc": _COMPRESSED,
    "bsr": _COMPRESSED,
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


def _is_sparse(obj: Any) -> bool:
    module = sys.modules.get("scipy.sparse")
    if module is None or not module.issparse(obj):
        return False
    return obj.format in _PARTS and len(obj.shape) == 2


# What SciPy finds out, and finds out again.
_HINTS = {"_has_canonical_format", "_has_sorted_indices", "has_canonical_format"}
_ATTRIBUTES = {"_shape", "maxprint", "data", "indices", "indptr", "coords", "offsets"}
_ATTRIBUTES |= _HINTS | {"row", "col"}


def _has_raw_form(dtype: np.dtype[Any]) -> bool:
    """Whether SciPy computes with it."""
    number = dtype.kind in "biu" or (dtype.kind in "fc" and dtype.itemsize > 2)
    return number and dtype.isnative


def _refuse(obj: Any, arrays: list[Any]) -> None:
    """UnsupportedError, if the parts cannot say all that it is."""
    kind = type(obj)
    if kind is not vars(sys.modules["scipy.sparse"]).get(kind.__name__):
        raise UnsupportedError(
            f"a {kind.__qualname__} would come back as a {obj.format}_array: send one"
        )
    more = sorted(set(vars(obj)) - _ATTRIBUTES)
    if more or obj.maxprint != kind((1, 1)).maxprint:
        raise UnsupportedError(f"a {kind.__name__} with attributes of its own: {more}")
    if not all(type(array) is np.ndarray for array in arrays):
        raise UnsupportedError(f"a {kind.__name__} with parts that are no plain arrays")
    if not _has_raw_form(obj.data.dtype):
        raise UnsupportedError(f"a sparse array of type {obj.data.dtype} has no raw form")


def _dump(obj: Any) -> list[Any]:
    import json

    arrays = [getattr(obj, name) for name in _PARTS[obj.format]]
    _refuse(obj, arrays)
    head = json.dumps([obj.format, type(obj).__name__, list(obj.shape)]).encode()
    return [head, *arrays]


def _compressed(data: Array, parts: list[Array], rows: int, columns: int) -> list[Array]:
    """csr, or csc with rows and columns exchanged, or bsr in blocks."""
    indices = within(parts[0], columns, "indices")
    indptr = integers(parts[1], "indptr", order=True)
    count, ends = len(indices), indptr.array
    if len(ends) != rows + 1 or ends[0] != 0 or not ends[-1] == count == len(data):
        broken(
            f"indptr has {len(ends)} entries for {rows} rows and ends at {ends[-1:]};"
            f" there are {count} indices, {len(data)} values"
        )
    if indptr.fall:
        broken("indptr goes down")
    return [indices, ends]


def _csr(data: Array, parts: list[Array], shape: tuple[int, int]) -> list[Array]:
    if data.ndim != 1:
        broken("the values are not a vector")
    return _compressed(data, parts, *shape)


def _csc(data: Array, parts: list[Array], shape: tuple[int, int]) -> list[Array]:
    return _csr(data, parts, (shape[1], shape[0]))


def _bsr(data: Array, parts: list[Array], shape: tuple[int, int]) -> list[Array]:
    if not (data.ndim == 3 and min(data.shape[1:]) > 0):
        broken("the values are not blocks")
    high, wide = data.shape[1:]
    if not (shape[0] % high == 0 and shape[1] % wide == 0):
        broken(
            f"blocks of {high} x {wide} do not fill a shape of {shape[0]} x {shape[1]}"
        )
    return _compressed(data, parts, shape[0] // high, shape[1] // wide)


def _coo(data: Array, parts: list[Array], shape: tuple[int, int]) -> list[Array]:
    if data.ndim != 1:
        broken("the values are not a vector")
    found = []
    for part, bound in zip(parts, shape, strict=True):
        found.append(within(part, bound, "coordinates"))
        if found[-1].size != data.size:
            broken("there are not as many coordinates as values")
    return found


def _dia(data: Array, parts: list[Array], shape: tuple[int, int]) -> list[Array]:
    offsets = integers(parts[0], "offsets").array
    if not (data.ndim == 2 and data.shape[0] == offsets.size):
        broken(f"{offsets.size} offsets for diagonals of shape {data.shape}")
    if np.unique(offsets).size != offsets.size:
        broken("an offset comes twice")
    if offsets.size:
        low, high = int(offsets.min()), int(offsets.max())
        if not (-shape[0] < low and high < shape[1]):
            broken(f"offsets from {low} to {high} do not lie in {shape[0]} x {shape[1]}")
    return [offsets]


_CHECKS = {"csr": _csr, "csc": _csc, "bsr": _bsr, "coo": _coo, "dia": _dia}


def _shape(given: Any) -> tuple[int, int]:
    if not (
        type(given) is list
        and len(given) == 2
        and all(type(n) is int and 0 <= n < 1 << 63 for n in given)
    ):
        broken(f"a shape of {given!r}")
    return (given[0], given[1])


def _load(parts: list[Array]) -> Any:
    import scipy.sparse

    head = head_of(parts)
    if not (type(head) is list and len(head) == 3):
        broken("a head of another form")
    layout, kind, given = head
    if layout not in _PARTS or kind not in (f"{layout}_matrix", f"{layout}_array"):
        raise FormatError(f"unknown sparse format {layout!r} of class {kind!r}")
    if len(parts) != 1 + len(_PARTS[layout]):
        broken(f"{len(parts) - 1} arrays, a {layout} has {len(_PARTS[layout])}")
    data = parts[1]
    if not _has_raw_form(data.dtype):
        broken(f"values of type {data.dtype}")
    shape = _shape(given)
    private = _CHECKS[layout](data, parts[2:], shape)
    make = vars(scipy.sparse)[kind]
    if layout == "coo":
        made = make((data, tuple(private)), shape=shape)
    else:
        made = make((data, *private), shape=shape)
    for name, array in zip(_PARTS[layout][1:], private, strict=True):
        setattr(made, name, array)  # SciPy takes smaller integers where these fit
    return made


SPARSE = Serializer(
    "SP",
    "scipy sparse",
    "application/x-sparse",
    _is_sparse,
    _dump,
    _load,
    typed=True,
    kinds=FOREIGN,
)
