# SPDX-License-Identifier: MIT
"""Tables of polars and pyarrow, as an Arrow stream.

Arrow's readers trust the offsets in a stream. It is copied to private memory and checked
in full by pyarrow before anybody looks into it. Where pyarrow is missing, only a reader
that lets the sender run code anyway (allow_pickle) gets an unchecked table."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring._serial.allowance import allowance
from tensoring._serial.packages import is_of
from tensoring._serial.registry import (
    FOREIGN,
    Array,
    Serializer,
    UnsupportedError,
    bytes_of,
)


def _type_that_changes(polars: Any, dtype: Any) -> Any:
    """A type in `dtype` that has no word in Arrow or comes back as another, or None."""
    if isinstance(dtype, tuple(getattr(polars, name, ()) for name in _NOT_ARROW)):
        return dtype
    inside = [field.dtype for field in getattr(dtype, "fields", ())]
    inside += [dtype.inner] if hasattr(dtype, "inner") else []
    found = (_type_that_changes(polars, one) for one in inside)
    return next((one for one in found if one is not None), None)


_NOT_ARROW = ("Object", "Int128", "UInt128")


def _check_schema(polars: Any, frame: Any) -> None:
    for name, dtype in frame.schema.items():
        wrong = _type_that_changes(polars, dtype)
        if wrong is not None:
            raise UnsupportedError(
                f"column {name!r} is of type {wrong}, which Arrow has not"
            )
    named = tuple(getattr(polars, name, ()) for name in _NAMED)
    if not any(one.is_nested() or isinstance(one, named) for one in frame.dtypes):
        return
    try:
        again = polars.from_arrow(frame.clear().to_arrow()).schema
    except ImportError:
        return
    if again != frame.schema:
        raise UnsupportedError(f"{frame.schema} would come back as {again}")


_NAMED = ("Categorical", "Enum")


def _dump_polars(obj: Any) -> list[Any]:
    polars = sys.modules["polars"]
    if type(obj) is not polars.DataFrame:
        raise UnsupportedError(
            f"a {type(obj).__qualname__} would come back as a DataFrame"
        )
    _check_schema(polars, obj)
    nbytes = obj.estimated_size()
    if nbytes >= _LARGE and all(isinstance(one, _plain(polars)) for one in obj.dtypes):
        try:
            return [_stream_of(obj.to_arrow())]
        except ImportError:
            pass
    stream = _Stream(int(nbytes) + _AROUND)
    obj.write_ipc_stream(stream)
    return [stream.written()]


# bytes; pyarrow is faster with more, since polars copies each batch once more.
_LARGE = 1 << 18
_AROUND = 1 << 13  # bytes of a stream beside the values, most often
_PLAIN = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Boolean", "Date", "Datetime", "Duration", "Time"),
)


def _plain(polars: Any) -> tuple[Any, ...]:
    """Types that Arrow has as they are."""
    return tuple(getattr(polars, name) for name in _PLAIN)


def _stream_of(table: Any) -> Any:
    """An Arrow stream, written once into memory of its size."""
    import pyarrow

    def write(sink: Any) -> None:
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)

    counted = pyarrow.MockOutputStream()
    write(counted)
    stream = np.empty(counted.size(), np.uint8)
    write(pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(stream)))
    return stream


class _Stream(io.RawIOBase):
    """A file in memory that has its room from the beginning: a BytesIO that grows by
    megabytes copies them again and again."""

    def __init__(self, nbytes: int) -> None:
        self._room = np.empty(nbytes, np.uint8)
        self._end = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = np.frombuffer(data, np.uint8)
        end = self._end + piece.nbytes
        if end > self._room.nbytes:
            self._room = np.resize(self._room, max(end, 2 * self._room.nbytes))
        self._room[self._end : end] = piece
        self._end = end
        return piece.nbytes

    def written(self) -> Array:
        return self._room[: self._end]


def _dump_pyarrow(obj: Any) -> list[Any]:
    pyarrow: Any = sys.modules["pyarrow"]
    if type(obj) is not pyarrow.Table:
        raise UnsupportedError(f"a {type(obj).__qualname__} would come back as a Table")
    return [_stream_of(obj)]


def _dump(obj: Any) -> list[Any]:
    """Either: As() may make a frame of a table."""
    return _dump_polars(obj) if is_of(obj, "polars", "DataFrame") else _dump_pyarrow(obj)


# Fields of the tables in an Arrow message's metadata, which are flatbuffers
# (format/Message.fbs and format/Schema.fbs of Apache Arrow).
_MESSAGE_HEADER, _DICTIONARY_DATA, _BATCH_COMPRESSION = 2, 1, 3
# The key of the metadata by which Arrow 0.17 said the same, which readers still know.
_COMPRESSED_BEFORE = b"ARROW:experimental_compression"

_VIEW = 16  # bytes of polars' place of a text, and of a decimal


def _field(buffer: memoryview, table: int, number: int) -> int:
    """Where field `number` of the flatbuffer table at `table` lies; 0: it is absent."""
    (back,) = struct.unpack_from("<i", buffer, table)
    slot = table - back + 4 + 2 * number
    (size,) = struct.unpack_from("<H", buffer, table - back)
    if slot + 2 > table - back + size:
        return 0
    (offset,) = struct.unpack_from("<H", buffer, slot)
    return table + offset if offset else 0


def _follow(buffer: memoryview, at: int) -> int:
    (offset,) = struct.unpack_from("<I", buffer, at)
    return at + int(offset)


def _compressed(message: Any) -> bool:
    """Whether the buffers of a record batch or dictionary are compressed."""
    buffer = memoryview(message.metadata)
    if _COMPRESSED_BEFORE in bytes(buffer):
        return True
    header = _field(buffer, _follow(buffer, 0), _MESSAGE_HEADER)
    table = _follow(buffer, header) if header else 0
    if table and message.type == "dictionary":
        data = _field(buffer, table, _DICTIONARY_DATA)
        table = _follow(buffer, data) if data else 0
    return bool(table) and _field(buffer, table, _BATCH_COMPRESSION) != 0


def _refuse_compressed(private: bytes) -> None:
    """A reader expands compressed buffers to whatever size they say. Nobody here sends
    such."""
    import pyarrow

    for message in pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(private)):
        if message.type != "schema" and _compressed(message):
            raise FormatError("an Arrow stream with compressed buffers: send it plain")


def _dictionary_expands(array: Any, types: Any) -> int:
    """polars makes categories of texts, and puts any other value into each row."""
    values, rows = array.dictionary, len(array)
    kind = values.type
    once: int = values.nbytes + _expands(values)
    if types.is_primitive(kind) or types.is_string(kind) or types.is_large_string(kind):
        return once + 8 * rows
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_decimal(kind):
        return once + _VIEW * rows
    return once + rows * once


def _expands(array: Any) -> int:
    """How much memory others may take for an array beside its buffers, about: columns may
    lie over each other, have rows without buffers, and name a value in many rows."""
    import pyarrow

    types, rows, kind = pyarrow.types, len(array), array.type
    if isinstance(array, pyarrow.ExtensionArray):
        return _expands(array.storage)
    if types.is_dictionary(kind):
        return _dictionary_expands(array, types)
    if types.is_struct(kind):
        inside = sum(_expands(array.field(i)) for i in range(kind.num_fields))
        return rows // 8 + inside
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        return 8 * rows + _expands(array.values)
    if types.is_fixed_size_list(kind):
        return rows // 8 + _expands(array.values)
    if types.is_boolean(kind) or types.is_null(kind):
        return rows // 8
    numbers = types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind)
    return (8 if numbers else _VIEW) * rows


def _spend(table: Any) -> None:
    """What the table, and one that polars makes of it, may take."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        size = sum(chunk.nbytes + _expands(chunk) for chunk in column.chunks)
        allowance().spend(size, f"column {name!a} of the Arrow table")
    allowance().spend(table.num_rows // 8, "the Arrow table")


def _checked(private: bytes) -> Any:
    import pyarrow

    try:
        if not allowance().trusted:
            _refuse_compressed(private)
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(private)) as reader:
            table = reader.read_all()
        table.validate()
        _spend(table)
        table.validate(full=True)
    except (pyarrow.ArrowException, struct.error, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"not an Arrow stream: {error}") from None
    return table


def _load(parts: list[Array]) -> Any:
    private = bytes_of(parts)
    try:
        import pyarrow as pyarrow
    except ImportError:
        if not allowance().trusted:
            raise FormatError(
                "an Arrow stream can only be checked with the package pyarrow, which is"
                " missing here; install it, or attach with allow_pickle=True if every"
                " sender is trusted"
            ) from None
        import polars

        return polars.read_ipc_stream(io.BytesIO(private))
    table = _checked(private)
    try:
        import polars
    except ImportError:
        return table
    try:
        return polars.from_arrow(table)
    except polars.exceptions.PanicException as error:  # no Exception
        raise FormatError(f"polars cannot read the Arrow stream: {error}") from None


POLARS = Serializer(
    "PL",
    "polars",
    "application/vnd.apache.arrow.stream",
    lambda obj: is_of(obj, "polars", "DataFrame"),
    _dump,
    _load,
    typed=True,
    kinds=FOREIGN,
)
PYARROW = Serializer(
    "PA",
    "pyarrow",
    "application/x-arrow-table",
    lambda obj: is_of(obj, "pyarrow", "Table"),
    _dump_pyarrow,
    lambda parts: _checked(bytes_of(parts)),
    typed=True,
    kinds=FOREIGN,
)
