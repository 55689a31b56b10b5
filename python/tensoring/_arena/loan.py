# SPDX-License-Identifier: MIT
"""Loans: free slots that are filled in place, and sent."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from tensoring import _core
from tensoring._options import refuse
from tensoring._serial.dtypes import Described, as_dtype, describe
from tensoring._serial.registry import Array

if TYPE_CHECKING:
    from tensoring._arena.queue import ArenaQueue

Shape: TypeAlias = int | Sequence[int]
Row: TypeAlias = tuple[str | None, Described, tuple[int, ...]]


def _extents(shape: Any) -> tuple[int, ...]:
    way = "give a whole number or a sequence of them"
    if isinstance(shape, str):
        refuse(TypeError, "shape", shape, way)
    try:
        if hasattr(shape, "__index__"):
            return (operator.index(shape),)
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        refuse(TypeError, "shape", shape, way)


# A loop of loans asks for the same again and again. Not by equal types: they differ in
# what is aligned, and in metadata.
@functools.lru_cache(maxsize=256)
def _described_word(word: str | type) -> Described:
    return describe(as_dtype(word))


def _described(dtype: Any) -> Described:
    if type(dtype) is str or type(dtype) is type:
        return _described_word(dtype)
    return describe(as_dtype(dtype))


def _row(name: str | None, shape: Shape, dtype: Any, order: str) -> Row:
    code, bits, lanes, descr, flags = _described(dtype)
    if order not in ("C", "F"):
        raise ValueError(f"order is 'C' or 'F', not {order!r}")
    if order == "F":
        flags |= _core.TENSOR_F_ORDER
    extents = (shape,) if isinstance(shape, int) else _extents(shape)
    return (name, (code, bits, lanes, descr, flags), extents)


def rows_of(
    shape: Shape | Mapping[str, tuple[Shape, Any]], dtype: Any, order: str
) -> list[Row]:
    """What a loan asks the extension for: one array, or a dict of named ones."""
    if isinstance(shape, Mapping):
        return [_row(name, one[0], one[1], order) for name, one in shape.items()]
    return [_row(None, shape, dtype, order)]


class Loan:
    """A free slot to be filled in place: sent when the block ends, given back on error.

    The arrays must not be used after the block: the slot belongs to the receiver then."""

    __slots__ = ("_arrays", "_message", "_queue", "_rows", "_timeout")

    def __init__(self, queue: ArenaQueue, rows: list[Row], timeout: float | None) -> None:
        self._queue = queue
        self._rows = rows
        self._timeout = timeout
        self._message: _core.Message | None = None
        self._arrays: list[Array] = []

    def __enter__(self) -> Any:
        message = self._message = self._queue._loan(self._rows, self._timeout)
        if len(self._rows) == 1 and self._rows[0][0] is None:
            array = message.array(0)
            self._arrays = [array]
            return array
        self._arrays = [message.array(i) for i in range(len(message))]
        return dict(zip((row[0] for row in self._rows), self._arrays, strict=True))

    @contextlib.contextmanager
    def device(self) -> Iterator[None]:
        """Inside `with loan as x, loan.device():` a device may write into the slot, which
        waits for the device if this process dies. Open Arena.device_fd() first."""
        if self._message is None:
            raise ValueError("the loan is not open: with loan as x, loan.device(): ...")
        self._message.device_begin()
        try:
            yield
        finally:
            self._message.device_end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        message, arrays = self._message, self._arrays
        self._message, self._arrays = None, []
        if message is not None and kind is None:
            self._queue.send_message(message, self._timeout, even_if_viewed=True)
        for array in arrays:
            array.flags.writeable = False

    def __repr__(self) -> str:
        state = "open" if self._message is not None else "not open"
        return f"<tensoring.Loan of {len(self._rows)} arrays, {state}>"
