# SPDX-License-Identifier: MIT
"""Serializers of other packages' objects, each only if its package is there already.

An object of a package cannot exist before the package is imported, so `supported` looks
into sys.modules and imports nothing."""

from __future__ import annotations

import io
import itertools
import json
import sys
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring.serializers import Array, Unsupported, register


def _is(obj: Any, module: str, *names: str) -> bool:
    found = sys.modules.get(module)
    kinds = tuple(getattr(found, name) for name in names if hasattr(found, name))
    return bool(kinds) and isinstance(obj, kinds)


def _head(parts: list[Array]) -> Any:
    try:
        return json.loads(parts[0].tobytes())
    except (ValueError, IndexError) as error:
        raise FormatError(f"a broken head: {error}") from error


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


# ---- scipy sparse

_SPARSE = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


def _is_sparse(obj: Any) -> bool:
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(obj)) and obj.format in _SPARSE


def _dump_sparse(obj: Any) -> list[Any]:
    kind = type(obj).__name__
    head = json.dumps([obj.format, kind, list(obj.shape)]).encode()
    return [head, *(getattr(obj, name) for name in _SPARSE[obj.format])]


def _load_sparse(parts: list[Array]) -> Any:
    import scipy.sparse

    layout, kind, shape = _head(parts)
    if layout not in _SPARSE or kind not in (f"{layout}_matrix", f"{layout}_array"):
        raise FormatError(f"unknown sparse format {layout!r}")
    arrays = tuple(parts[1:])
    make = getattr(scipy.sparse, kind)
    if layout == "coo":
        return make((arrays[0], arrays[1:]), shape=tuple(shape))
    return make(arrays, shape=tuple(shape))


register(
    "SP", "scipy sparse", "application/x-sparse", _is_sparse, _dump_sparse, _load_sparse
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
    starts = [0, *ends.tolist()]
    return [raw[a:b].decode() for a, b in itertools.pairwise(starts)]


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


def _load_frame(parts: list[Array]) -> Any:
    import pandas

    head = _head(parts)
    rest = iter(parts[1:])

    def column(kind: str) -> Any:
        return next(rest) if kind == "raw" else _load_texts(next(rest), next(rest))

    rows = head["index"]
    if rows[0] == "range":
        index: Any = pandas.RangeIndex(*rows[1:], name=head["index_name"])
    else:
        index = pandas.Index(column(rows[0]), name=head["index_name"])
    columns = dict(enumerate(column(kind) for _, kind in head["columns"]))
    frame = pandas.DataFrame(columns, index=index, copy=False)
    frame.columns = [name for name, _ in head["columns"]]
    return frame


register(
    "PD",
    "pandas",
    "application/x-pandas",
    lambda obj: _is(obj, "pandas", "DataFrame"),
    _dump_frame,
    _load_frame,
)


# ---- polars and Arrow


def _dump_arrow(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    if hasattr(obj, "write_ipc_stream"):
        obj.write_ipc_stream(stream)
    else:
        import pyarrow

        with pyarrow.ipc.new_stream(stream, obj.schema) as writer:
            writer.write_table(obj)
    return [stream.getbuffer()]


def _load_arrow(parts: list[Any]) -> Any:
    try:
        import polars
    except ImportError:
        import pyarrow

        return pyarrow.ipc.open_stream(pyarrow.py_buffer(parts[0])).read_all()
    return polars.read_ipc_stream(io.BytesIO(parts[0]))


register(
    "PL",
    "polars",
    "application/vnd.apache.arrow.stream",
    lambda obj: _is(obj, "polars", "DataFrame") or _is(obj, "pyarrow", "Table"),
    _dump_arrow,
    _load_arrow,
)
