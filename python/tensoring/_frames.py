# SPDX-License-Identifier: MIT
"""Serializers of other packages' objects, each only if its package is there already.

An object of a package cannot exist before the package is imported, so `supported` looks
into sys.modules and imports nothing."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import numpy as np

from tensoring._allowance import OBJECT_BYTES, allowance
from tensoring._structure import broken, head_of, integers
from tensoring.serializers import Array, Unsupported, register


def _is(obj: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(obj, kind)


# ---- torch


def _dump_torch(tensor: Any) -> list[Any]:
    if tensor.layout is not sys.modules["torch"].strided:
        raise Unsupported("the torch tensor is not strided")
    return [tensor.detach().cpu().resolve_conj().resolve_neg()]


def _load_torch(parts: list[Array]) -> Any:
    try:
        import torch
    except ImportError:
        return parts[0]
    if len(parts) != 1:
        broken(f"a tensor in {len(parts)} parts")
    from_dlpack: Any = torch.utils.dlpack.from_dlpack
    return from_dlpack(parts[0].base)


register(
    "TT",
    "torch",
    "tensor/pt",
    lambda obj: _is(obj, "torch", "Tensor"),
    _dump_torch,
    _load_torch,
)


# ---- pandas: columns raw, texts as offsets and bytes


def _dump_texts(values: Any) -> list[Any]:
    if not all(type(value) is str for value in values):
        raise Unsupported("a column holds objects other than str")
    encoded = [value.encode() for value in values]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return [ends, b"".join(encoded)]


def _load_texts(ends: Array, data: Array) -> list[str]:
    raw = data.tobytes()
    private = integers(ends, "ends of texts", bound=len(raw) + 1, order=True)
    bounds = [0, *private.array.tolist()]
    if private.fall or private.outside or bounds[-1] != len(raw):
        broken(f"the ends of its texts go down, or do not end at {len(raw)}")
    allowance().spend(OBJECT_BYTES * len(bounds), f"a column of {len(bounds)} texts")
    return [raw[a:b].decode() for a, b in itertools.pairwise(bounds)]


def _dump_column(values: Any) -> tuple[str, list[Any]]:
    array = values.to_numpy() if isinstance(values.dtype, np.dtype) else None
    if array is not None and not array.dtype.hasobject:
        return "raw", [array]
    if array is None and str(values.dtype) not in ("string", "str"):
        raise Unsupported(f"a column of type {values.dtype} has no raw form")
    return "text", _dump_texts(values.to_numpy())


def _dump_frame(frame: Any) -> list[Any]:
    pandas = sys.modules["pandas"]
    names = list(frame.columns)
    if not all(type(name) in (str, int) for name in names):
        raise Unsupported("column names other than str and int have no raw form")
    parts: list[Any] = []
    columns = []
    index = frame.index
    if type(index) is pandas.RangeIndex:
        rows: list[Any] = ["range", index.start, index.stop, index.step]
    else:
        if isinstance(index, pandas.MultiIndex):
            raise Unsupported("a MultiIndex has no raw form")
        kind, pieces = _dump_column(index)
        rows = [kind]
        parts.extend(pieces)
    for i, name in enumerate(names):
        kind, pieces = _dump_column(frame.iloc[:, i])
        columns.append([name, kind])
        parts.extend(pieces)
    head = {"columns": columns, "index": rows, "index_name": index.name}
    try:
        return [json.dumps(head).encode(), *parts]
    except TypeError as error:
        raise Unsupported(f"the index name has no raw form: {error}") from error


class _Columns:
    """The parts of a frame, one column after the other."""

    def __init__(self, parts: list[Array]) -> None:
        self.rest = parts
        self.rows: int | None = None

    def part(self) -> Array:
        if not self.rest:
            broken("it has fewer parts than its head says")
        return self.rest.pop(0)

    def next(self, kind: Any) -> Any:
        if kind not in ("raw", "text"):
            broken(f"a column of kind {kind!r}")
        if kind == "raw":
            column: Any = self.part()
            # pandas makes objects of others, one for each row.
            if column.ndim != 1 or column.dtype.kind not in "biufcmM":
                broken(f"a column of shape {column.shape} and type {column.dtype}")
            if not column.dtype.isnative:  # pandas fails at some of them
                column = column.astype(column.dtype.newbyteorder("="))
        else:
            column = _load_texts(self.part(), self.part())
        self.count(len(column))
        return column

    def count(self, rows: int) -> None:
        self.rows = rows if self.rows is None else self.rows
        if rows != self.rows:
            broken(f"columns of {self.rows} and of {rows} rows")


def _read_head(parts: list[Array]) -> tuple[list[Any], list[Any], Any]:
    head = head_of(parts)
    if not (type(head) is dict and set(head) == {"columns", "index", "index_name"}):
        broken("a head of another form")
    columns, index, name = head["columns"], head["index"], head["index_name"]
    if not (
        type(columns) is list
        and all(
            type(one) is list and len(one) == 2 and type(one[0]) in (str, int)
            for one in columns
        )
    ):
        broken("columns without a name")
    if not (
        type(index) is list
        and (index in (["raw"], ["text"]) or (len(index) == 4 and index[0] == "range"))
        and all(type(n) is int and -(1 << 63) <= n < 1 << 63 for n in index[1:])
    ):
        broken(f"an index of kind {index!r}")
    if not (name is None or type(name) in (str, int, float, bool)):
        broken("an index name")
    return columns, index, name


def _load_frame(parts: list[Array]) -> Any:
    import pandas

    names, rows, index_name = _read_head(parts)
    columns = _Columns(parts[1:])
    if rows[0] == "range":
        if rows[3] == 0:
            broken("a range in steps of 0")
        index: Any = pandas.RangeIndex(*rows[1:], name=index_name)
        columns.count(len(index))
    else:
        # pandas counts matches in an index, makes room, and writes them without a look at
        # the bounds: nobody may change it meanwhile.
        private = columns.next(rows[0])
        private = private.copy() if rows[0] == "raw" else private
        index = pandas.Index(private, name=index_name)
    found = dict(enumerate(columns.next(kind) for _, kind in names))
    frame = pandas.DataFrame(found, index=index, copy=False)
    frame.columns = [name for name, _ in names]
    return frame


register(
    "PD",
    "pandas",
    "application/x-pandas",
    lambda obj: _is(obj, "pandas", "DataFrame"),
    _dump_frame,
    _load_frame,
)
