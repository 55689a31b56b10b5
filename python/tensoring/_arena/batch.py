# SPDX-License-Identifier: MIT
"""Batches: the rows of several requests, as a model takes them, and its answers.

Rows are gathered by one copy into memory that is kept from batch to batch. A batch of one
request is the request itself."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tensoring import _core
from tensoring._arena.refusal import FAILED, described
from tensoring._options import one_of, whole
from tensoring._serial import registry
from tensoring._serial.registry import Array

RAGGED = ("pad", "concat", "list")
BAD, TOO_LARGE, UNAVAILABLE = 400, 413, 503  # as in HTTP
MAX_PADDED = 64 << 20

# After so many batches in a row that needed a quarter of the kept memory, or less, it is
# given back, if it is worth it: so many bytes.
SMALL, _WORTH = 64, 1 << 20

Kind: TypeAlias = tuple[Any, ...] | None


class Refused(Exception):
    """A request that cannot be in a batch."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Form:
    """Which requests fit into one batch, and what it is made of."""

    def __init__(
        self,
        max_batch_size: int,
        ragged: str | None,
        row_ndim: int,
        max_padded_bytes: int,
    ) -> None:
        self.most = whole("max_batch_size", max_batch_size, 1, sys.maxsize)
        self._most_padded = whole("max_padded_bytes", max_padded_bytes, 1, sys.maxsize)
        if ragged is not None:
            one_of("ragged", ragged, RAGGED)
        self.ragged = ragged
        least = 1 if ragged in ("pad", "concat") else 0
        self.row_ndim = whole("row_ndim", row_ndim, least, _core.MAX_NDIM - 1)
        self._keep(0)

    def _keep(self, size: int) -> None:
        self._memory = np.empty(size, np.uint8)
        self._unused = sys.getrefcount(self._memory)
        self._small = self._most_small = 0

    def fits(self, rows: int, size: int) -> bool:
        """Whether a batch may have so many rows, with so many bytes in the longest."""
        padded = rows * size if self.ragged == "pad" else 0
        return rows <= self.most and padded <= self._most_padded

    def read(self, request: _core.Message) -> tuple[Any, int, bool, Kind]:
        """The request's rows, how many, whether it is a row itself, and its kind."""
        found = registry.decode(request)
        if self.ragged == "list":
            return found, 1, True, None
        array: Array = found if type(found) is np.ndarray else _array_of(found)
        alone = array.ndim == self.row_ndim
        if not alone and array.ndim != self.row_ndim + 1:
            raise Refused(
                BAD,
                f"the request has shape {array.shape}; a row of this service has"
                f" {self.row_ndim} dimensions, several rows one more (row_ndim)",
            )
        rows = array[np.newaxis] if alone else array
        if len(rows) > self.most:
            raise Refused(
                TOO_LARGE,
                f"the request has {len(rows)} rows, a batch at most {self.most}"
                " (max_batch_size): send it in parts",
            )
        row = rows.shape[1:] if self.ragged is None else rows.shape[2:]
        return rows, len(rows), alone, (array.dtype, *row)

    def batch(self, items: Sequence[Item]) -> Batch:
        """What predict() gets, of requests of one kind."""
        values = [item.value(self) for item in items]
        if self.ragged == "list":
            return Batch(values, None, items)
        lengths = None
        if self.ragged is not None:
            counts = [len(value) for value in values]
            lengths = np.repeat([value.shape[1] for value in values], counts)
        x = self.gather(values)
        x.flags.writeable = False
        return Batch(x, lengths, items)

    @property
    def kept(self) -> int:
        """Bytes of the memory that the next batch is gathered in."""
        return self._memory.nbytes

    def gather(self, values: list[Array]) -> Array:
        """One array of the rows of several; of one alone, what it is."""
        if len(values) == 1:
            self._shrink(0)
            x = np.ascontiguousarray(values[0])
            return x.reshape(-1, *x.shape[2:]) if self.ragged == "concat" else x.view()
        if self.ragged == "pad":
            return self._pad(values)
        if self.ragged == "concat":
            values = [value.reshape(-1, *value.shape[2:]) for value in values]
        shape = (sum(map(len, values)), *values[0].shape[1:])
        return np.concatenate(values, out=self._room(shape, values[0].dtype))

    def _pad(self, values: list[Array]) -> Array:
        filled = [value for value in values if len(value)]
        longest = max((value.shape[1] for value in filled), default=0)
        shape = (sum(map(len, values)), longest, *values[0].shape[2:])
        x = self._room(shape, values[0].dtype)
        at = 0
        for value in filled:
            rows = x[at : at + len(value)]
            rows[:, : value.shape[1]] = value
            rows[:, value.shape[1] :] = np.zeros((), x.dtype)
            at += len(value)
        return x

    def _room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array in the kept memory; in new memory if the last batch lives on."""
        size = math.prod(shape) * dtype.itemsize
        used = sys.getrefcount(self._memory) > self._unused
        if used or size > self._memory.nbytes:
            self._keep(max(size, self._memory.nbytes))
        self._shrink(size)
        return np.ndarray(shape, dtype, self._memory)

    def _shrink(self, size: int) -> None:
        """Give back what has not been needed for long; `size` is what is needed now."""
        if 4 * size > self._memory.nbytes or self._memory.nbytes < _WORTH:
            self._small = self._most_small = 0
            return
        self._small += 1
        self._most_small = max(self._most_small, size)
        if self._small >= SMALL:
            self._keep(self._most_small)


def _array_of(found: Any) -> Array:
    """What was sent as an array; numbers in lists are one."""
    if isinstance(found, Mapping):
        raise Refused(
            BAD, 'a dict cannot be in a batch of arrays: only ragged="list" takes it'
        )
    if isinstance(found, list | tuple) and not _is_numbers(found):
        # NumPy would make each text as long as the longest.
        raise Refused(
            BAD, "a list in a batch of arrays has numbers only: send np.array(...)"
        )
    try:
        array = np.asarray(found)
    except ValueError as error:
        raise Refused(BAD, f"the request is no array: {error}") from None
    if array.dtype.hasobject:
        kind = type(found).__name__
        raise Refused(BAD, f'a {kind} is no array: only ragged="list" takes it')
    return array


def _is_numbers(found: Sequence[Any]) -> bool:
    """Whether a list, and the lists in it, have no texts."""
    for kind in set(map(type, found)):
        if issubclass(kind, list | tuple):
            if not all(_is_numbers(one) for one in found if type(one) is kind):
                return False
        elif issubclass(kind, np.ndarray):
            if any(one.dtype.kind in "SUV" for one in found if type(one) is kind):
                return False
        elif issubclass(kind, str | bytes | np.void):
            return False
    return True


class Item:
    """A request that is in hand."""

    __slots__ = ("_value", "alone", "kind", "request", "rows", "since", "size", "until")

    def __init__(self, request: _core.Message, form: Form, wait: float = 0.0) -> None:
        """`wait`: seconds that it may wait for others; it keeps half its time."""
        self.request = request
        self.since = time.monotonic()
        left = request.remaining if wait else None
        self.until = self.since + (wait if left is None else min(wait, left / 2))
        self._value, self.rows, self.alone, self.kind = form.read(request)
        # bytes of a row
        self.size = self._value.nbytes // self.rows if self.kind and self.rows else 0

    def value(self, form: Form) -> Any:
        """Its rows, which look into it. They are given away: no view is left here."""
        value, self._value = self._value, None
        return form.read(self.request)[0] if value is None else value

    @property
    def over(self) -> bool:
        """Nobody waits for it, or no longer."""
        return self.request.remaining == 0


class Batch:
    """What predict() gets: the rows of one or several requests.

    x: an array of shape (rows, ...), in C order and read-only. With ragged="concat" the
    rows lie one after another, (sum of lengths, ...); with "list" it is a list with what
    each request sent. It belongs to the batch: copy what you keep, or the next batch is
    gathered in new memory.
    lengths: with ragged="pad" and "concat" the length of each row before padding, an
    array of shape (rows,); else None.
    len(batch): how many rows.

    For one call of predict(), in its thread."""

    __slots__ = ("_deadlines", "_failed", "_items", "lengths", "x")

    def __init__(self, x: Any, lengths: Array | None, items: Sequence[Item]) -> None:
        self.x = x
        self.lengths = lengths
        self._failed: dict[int, tuple[int, str]] = {}
        self._items = items
        self._deadlines: list[float] | None = None

    def __len__(self) -> int:
        return sum(item.rows for item in self._items)

    @property
    def deadlines(self) -> list[float]:
        """When the requester of each row stops waiting, as time.monotonic() counts;
        math.inf: never."""
        if self._deadlines is None:
            self._deadlines = []
            now = time.monotonic()
            for item in self._items:
                left = item.request.remaining
                end = math.inf if left is None else now + left
                self._deadlines += [end] * item.rows
        return self._deadlines

    def fail(self, i: int, message: str, status: int = 400) -> None:
        """Answer the request of row `i` with an error: its requester gets RemoteError
        with `status` (400 to 599, as in HTTP). predict() still returns a row for it, of
        any value. A request of several rows fails as a whole, with the first error."""
        row = whole("i", i, 0, len(self) - 1)
        code = whole("status", status, BAD, 599)
        self._failed.setdefault(row, (code, str(message)))

    def __repr__(self) -> str:
        return f"<tensoring.Batch of {len(self)} rows, {len(self._items)} requests>"


def check_rows(result: Any, batch: Batch) -> None:
    """That predict() has given a row for each."""
    if result is None and len(batch._failed) == len(batch):
        return
    parts = result.values() if isinstance(result, Mapping) else [result]
    for part in parts:
        try:
            count = len(part)
        except TypeError:
            kind = type(part).__name__
            raise TypeError(
                f"predict() returned a {kind}; return an array or a list of"
                f" {len(batch)} rows, or a dict of such"
            ) from None
        if count != len(batch):
            raise ValueError(
                f"predict() returned {count} rows for a batch of {len(batch)}"
            )


def rows_of(result: Any, first: int, item: Item) -> Any:
    """Those of one request."""
    if isinstance(result, Mapping):
        return {name: rows_of(part, first, item) for name, part in result.items()}
    return result[first] if item.alone else result[first : first + item.rows]


def failure_of(
    batch: Batch, result: Any, first: int, item: Item
) -> tuple[int, str] | None:
    """Why a request has no answer: a code, and a text."""
    for row in range(first, first + item.rows):
        if row in batch._failed:
            return batch._failed[row]
        if isinstance(result, list | tuple) and isinstance(result[row], Exception):
            return FAILED, described(result[row])
    return None
