# SPDX-License-Identifier: MIT
"""Serializers of other packages' objects, each only if its package is there already.

An object of a package cannot exist before the package is imported, so `supported` looks
into sys.modules and imports nothing."""

from __future__ import annotations

import functools
import itertools
import sys
from typing import Any

import numpy as np

from tensoring._core import MAX_TENSORS, View
from tensoring._serial import torch_pickle
from tensoring._serial.allowance import OBJECT_BYTES, allowance
from tensoring._serial.formats import json_of
from tensoring._serial.packages import is_of
from tensoring._serial.registry import FOREIGN, Array, Serializer, UnsupportedError
from tensoring._serial.structure import broken, head_of, integers

# ---- torch


def _refuse_torch(torch: Any, tensor: Any) -> None:
    """UnsupportedError, if what DLPack makes of it would be another tensor."""
    if type(tensor) is not torch.Tensor:
        raise UnsupportedError(
            f"a {type(tensor).__qualname__} would come back as a Tensor: send its .data"
        )
    if tensor.layout is not torch.strided:
        raise UnsupportedError(f"a tensor of layout {tensor.layout}: send its parts")
    if not tensor.is_cpu:
        raise UnsupportedError(f"the tensor lies on {tensor.device}: send tensor.cpu()")
    if tensor.requires_grad:
        raise UnsupportedError("the tensor requires a gradient: send tensor.detach()")
    if tensor.is_quantized:
        raise UnsupportedError("the tensor is quantized: send tensor.int_repr()")
    if tensor.__dict__:
        raise UnsupportedError("the tensor has attributes of its own")


@functools.cache
def _no_dlpack() -> frozenset[Any]:
    torch: Any = sys.modules["torch"]
    names = ("complex32", "float4_e2m1fn_x2", "bits8", "bits16")
    return frozenset(getattr(torch, name) for name in names if hasattr(torch, name))


def _dump_torch(tensor: Any) -> list[Any]:
    _refuse_torch(sys.modules["torch"], tensor)
    if tensor.dtype in _no_dlpack():
        raise UnsupportedError(
            f"DLPack has no type for {tensor.dtype}: send tensor.view(...)"
        )
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    packed, order = torch_pickle.packed(tensor)
    return [packed] if order is None else [packed, np.array(order)]


def _load_torch(parts: list[Array]) -> Any:
    try:
        import torch
    except ImportError:
        return parts[0].transpose(parts[1]) if len(parts) == 2 else parts[0]
    if len(parts) not in (1, 2):
        broken(f"a tensor in {len(parts)} parts")
    tensor = _tensor_on(torch, parts[0])
    return tensor if len(parts) == 1 else tensor.permute(_order(parts[1], tensor.ndim))


class _Writable:
    """An array's memory without its read-only flag, which torch has no form for."""

    def __init__(self, array: Array) -> None:
        self.kept = array
        address = array.__array_interface__["data"][0]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def _tensor_on(torch: Any, array: Array) -> Any:
    """A tensor that looks into an array: a message's, or one of any other bytes."""
    base: Any = array.base
    if type(base) is View:
        return torch.utils.dlpack.from_dlpack(base)
    if not array.nbytes:
        array = np.empty_like(array)
    return torch.from_numpy(np.asarray(_Writable(array)))


def _order(part: Array, ndim: int) -> list[int]:
    if part.shape != (ndim,) or part.dtype != np.int64:
        broken(f"an order of dimensions of shape {part.shape} and type {part.dtype}")
    order: list[int] = part.tolist()
    return order


TORCH = Serializer(
    "TT",
    "torch",
    "tensor/pt",
    lambda obj: is_of(obj, "torch", "Tensor"),
    _dump_torch,
    _load_torch,
    kinds=FOREIGN,
)


# ---- pandas: columns raw, texts as offsets and bytes


def _dump_texts(values: Any) -> list[Any]:
    if not set(map(type, values)) <= {str}:
        found = next(type(value).__name__ for value in values if type(value) is not str)
        raise UnsupportedError(
            f"it holds objects other than str ({found}); fill or convert them"
        )
    try:
        encoded = [value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise UnsupportedError(f"a text has no form in UTF-8: {error}") from None
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return [ends, b"".join(encoded)]


@functools.cache
def _text_type() -> Any:
    """What pandas takes for texts: str, or objects before version 3."""
    import pandas

    return pandas.Index(["text"]).dtype


def _load_texts(ends: Array, data: Array) -> list[str]:
    raw = data.tobytes()
    private = integers(ends, "ends of texts", bound=len(raw) + 1, order=True)
    bounds = [0, *private.array.tolist()]
    if private.fall or private.outside or bounds[-1] != len(raw):
        broken(f"the ends of its texts go down, or do not end at {len(raw)}")
    allowance().spend(OBJECT_BYTES * len(bounds), f"a column of {len(bounds)} texts")
    return [raw[a:b].decode() for a, b in itertools.pairwise(bounds)]


def _texts(kind: str, ends: Array, data: Array) -> Any:
    import pandas

    texts = _load_texts(ends, data)
    dtype = _text_type()
    if kind == "text" and not isinstance(dtype, np.dtype):
        return pandas.array(texts, dtype=dtype)
    column = np.empty(len(texts), object)
    column[:] = texts
    return column


def _astype(dtype: Any) -> str:
    """What has one, where that is clear."""
    if getattr(dtype, "tz", None) is not None:
        return ": send it in UTC, tz_convert(None), and the time zone beside it"
    if getattr(dtype, "categories", None) is not None:
        return ": send astype(str), or its codes and categories"
    plain = getattr(dtype, "numpy_dtype", None)
    return f": send astype({plain.name!r})" if isinstance(plain, np.dtype) else ""


def _dump_named(what: str, values: Any) -> tuple[str, list[Any]]:
    try:
        return _dump_column(values)
    except UnsupportedError as error:
        raise UnsupportedError(f"{what}: {error}") from None


def _dump_column(values: Any) -> tuple[str, list[Any]]:
    dtype = values.dtype
    if not isinstance(dtype, np.dtype):
        text_type = _text_type()
        if type(dtype) is not type(text_type) or dtype != text_type:
            raise UnsupportedError(f"type {dtype} has no raw form{_astype(dtype)}")
        return "text", _dump_texts(values.to_numpy())
    if dtype.hasobject:
        return "object", _dump_texts(values.to_numpy())
    if not dtype.isnative:
        raise UnsupportedError(f"type {dtype} would come back in native order")
    return "raw", [values.to_numpy()]


def _range(index: Any) -> list[int]:
    return [index.start, index.stop, index.step]


def _names_of(pandas: Any, columns: Any) -> list[Any]:
    """Names that a list of them says all of."""
    names = list(columns)
    if columns.name is not None:
        raise UnsupportedError(
            f"a name of the columns, {columns.name!r}, has no raw form"
        )
    if type(columns) is pandas.RangeIndex:
        return names
    found = set(map(type, names))
    if found == {str} and type(columns) is pandas.Index and columns.dtype == _text_type():
        return names
    if not found <= {str, int}:
        raise UnsupportedError("column names other than str and int have no raw form")
    again = pandas.Index(names)
    if type(again) is not type(columns) or again.dtype != columns.dtype:
        raise UnsupportedError(f"column names of type {columns.dtype} have no raw form")
    return names


def _refuse_index(pandas: Any, index: Any) -> None:
    kinds = (pandas.RangeIndex, pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex)
    if type(index) not in kinds:
        raise UnsupportedError(
            f"a {type(index).__qualname__} has no raw form: reset_index()"
        )
    if getattr(index, "freq", None) is not None:
        way = "send it without (index.freq = None)"
        raise UnsupportedError(f"an index with a frequency has no raw form: {way}")
    if not (index.name is None or type(index.name) in (str, int, float, bool)):
        raise UnsupportedError(f"the index name {index.name!r} has no raw form")


def _refuse_frame(pandas: Any, frame: Any) -> None:
    """UnsupportedError, if the parts cannot say all that the frame is."""
    if type(frame) is not pandas.DataFrame:
        raise UnsupportedError(
            f"a {type(frame).__qualname__} would come back as a DataFrame"
        )
    if frame.attrs:
        raise UnsupportedError(
            "a DataFrame with attrs has no raw form: send them beside it"
        )
    if not frame.flags.allows_duplicate_labels:
        raise UnsupportedError(
            "a DataFrame that allows no duplicate labels has no raw form"
        )
    if 2 * len(frame.columns) + 3 > MAX_TENSORS:
        raise UnsupportedError(
            f"a DataFrame of {len(frame.columns)} columns has more parts than a message,"
            f" {MAX_TENSORS}: send frame.to_numpy(), or fewer columns"
        )
    _refuse_index(pandas, frame.index)


def _addresses(frame: Any) -> list[int]:
    """Where the first columns begin."""
    columns = itertools.islice(frame.items(), 3)
    return [one.to_numpy().__array_interface__["data"][0] for _, one in columns]


def _block_of(frame: Any) -> Array | None:
    """All columns as one array, if they have one plain type and lie side by side."""
    dtypes = set(frame.dtypes)
    if len(frame.columns) < 2 or len(dtypes) != 1:
        return None
    dtype = dtypes.pop()
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufc" or not dtype.isnative:
        return None
    if frame.size * dtype.itemsize > _COPIED and len(frame.columns) > 2:
        first, second, third = _addresses(frame)
        if third - second != second - first:
            return None  # to_numpy() would copy them all
    block: Array = frame.to_numpy()
    return block


_COPIED = 1 << 18  # bytes that are copied faster than they are looked at


def _dump_columns(frame: Any, names: list[Any]) -> tuple[list[list[Any]], list[Any]]:
    """The name and the kind of each column, and the parts of them all."""
    columns: list[list[Any]] = []
    parts: list[Any] = []
    for name, (_, column) in zip(names, frame.items(), strict=True):
        kind, pieces = _dump_named(f"column {name!r}", column)
        columns.append([name, kind])
        parts.extend(pieces)
    return columns, parts


def _dump_frame(frame: Any) -> list[Any]:
    pandas = sys.modules["pandas"]
    _refuse_frame(pandas, frame)
    names = _names_of(pandas, frame.columns)
    parts: list[Any] = []
    index = frame.index
    if type(index) is pandas.RangeIndex:
        rows: list[Any] = ["range", *_range(index)]
    else:
        kind, pieces = _dump_named("the index", index)
        rows = [kind]
        parts.extend(pieces)
    block = _block_of(frame)
    if block is not None:
        columns = [[name, "block"] for name in names]
        parts.append(block)
    else:
        columns, pieces = _dump_columns(frame, names)
        parts.extend(pieces)
    head = {"columns": columns, "index": rows, "index_name": index.name}
    if type(frame.columns) is pandas.RangeIndex:
        head["names"] = _range(frame.columns)
    return [json_of(head), *parts]


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
        if kind not in ("raw", "text", "object"):
            broken(f"a column of kind {kind!r}")
        if kind == "raw":
            column: Any = self.part()
            # pandas makes objects of others, one for each row.
            if column.ndim != 1 or column.dtype.kind not in "biufcmM":
                broken(f"a column of shape {column.shape} and type {column.dtype}")
            if not column.dtype.isnative:  # pandas fails at some of them
                column = column.astype(column.dtype.newbyteorder("="))
        else:
            column = _texts(kind, self.part(), self.part())
        self.count(len(column))
        return column

    def block(self, columns: int) -> Array:
        """All columns in one part, side by side."""
        block = self.part()
        if block.ndim != 2 or block.dtype.kind not in "biufc":
            broken(f"columns of shape {block.shape} and type {block.dtype}")
        if block.shape[1] != columns:
            broken(f"{columns} names of {block.shape[1]} columns")
        if not block.dtype.isnative:
            block = block.astype(block.dtype.newbyteorder("="))
        self.count(len(block))
        return block

    def count(self, rows: int) -> None:
        self.rows = rows if self.rows is None else self.rows
        if rows != self.rows:
            broken(f"columns of {self.rows} and of {rows} rows")


def _is_range(given: Any, length: int) -> bool:
    return (
        type(given) is list
        and len(given) == 3
        and all(type(n) is int and abs(n) < 1 << 62 for n in given)
        and given[2] != 0
        and len(range(*given)) == length
    )


def _read_head(parts: list[Array]) -> tuple[list[Any], list[Any], Any, Any]:
    head = head_of(parts)
    if not (
        type(head) is dict and set(head) - {"names"} == {"columns", "index", "index_name"}
    ):
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
        and (
            index in (["raw"], ["text"], ["object"])
            or (len(index) == 4 and index[0] == "range")
        )
        and all(type(n) is int and -(1 << 63) <= n < 1 << 63 for n in index[1:])
    ):
        broken(f"an index of kind {index!r}")
    if not (name is None or type(name) in (str, int, float, bool)):
        broken("an index name")
    numbers = head.get("names")
    if not (numbers is None or _is_range(numbers, len(columns))):
        broken("column names that are no range")
    return columns, index, name, numbers


@functools.lru_cache(maxsize=64)
def _known_index(names: tuple[Any, ...]) -> Any:
    import pandas

    return pandas.Index(list(names))


def _index_of(names: list[Any]) -> Any:
    """The names of columns. pandas takes longer to look at them than at the values of a
    small frame, and most frames have the same."""
    few = len(names) <= 100
    return _known_index(tuple(names)).copy() if few else names


def _column(columns: _Columns, kind: Any, index: Any) -> Any:
    import pandas

    column = columns.next(kind)
    if kind != "object":
        return column
    # Else pandas looks at the objects, and finds texts.
    return pandas.Series(column, index, dtype=object, copy=False)


def _load_frame(parts: list[Array]) -> Any:
    import pandas

    names, rows, index_name, numbers = _read_head(parts)
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
        dtype = object if rows[0] == "object" else None
        index = pandas.Index(private, dtype=dtype, name=index_name)
    if names and all(kind == "block" for _, kind in names):
        found: Any = columns.block(len(names))
    else:
        found = {i: _column(columns, kind, index) for i, (_, kind) in enumerate(names)}
    frame = pandas.DataFrame(found, index=index, copy=False)
    if numbers is None:
        frame.columns = _index_of([name for name, _ in names])
    else:
        frame.columns = pandas.RangeIndex(*numbers)
    return frame


PANDAS = Serializer(
    "PD",
    "pandas",
    "application/x-pandas",
    lambda obj: is_of(obj, "pandas", "DataFrame"),
    _dump_frame,
    _load_frame,
    typed=True,
    kinds=FOREIGN,
)
