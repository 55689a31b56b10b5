# SPDX-License-Identifier: MIT
"""What decoders share: structure is copied out of the slot, checked, and only then used.

A sender can write to a slot as long as it lives, also after the receive. So what decides
where memory is read or written (sizes, offsets, indices) is read once, into memory that
the sender cannot reach."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tensoring import _core
from tensoring._errors import FormatError
from tensoring._serial.allowance import allowance
from tensoring._serial.registry import Array

_ANY = (1 << 63) - 1
_SIGNED = (np.dtype(np.int32), np.dtype(np.int64))


def broken(why: str) -> NoReturn:
    """FormatError: the message is corrupted."""
    raise FormatError(f"the message is broken: {why}")


def head_of(parts: list[Array]) -> Any:
    """The JSON in the first part."""
    if not parts:
        broken("it has no parts")
    text = parts[0].tobytes()
    allowance().read_json(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"the message is broken: its head is no JSON: {error}"
        ) from None


class Indices(NamedTuple):
    """A private copy of integers, and what they are."""

    array: Array
    outside: bool  # one is not in range(bound)
    fall: bool  # one is smaller than the one before it, if order was asked for


def integers(
    part: Array, what: str, *, bound: int = _ANY, order: bool = False
) -> Indices:
    """A private copy of a vector of int32 or int64."""
    if part.ndim != 1 or part.dtype not in _SIGNED:
        broken(f"{what} of type {part.dtype} and shape {part.shape}")
    bound = min(bound, _ANY)
    copy, outside, fall = _core.private_indices(part, part.itemsize, bound, order)
    return Indices(np.frombuffer(copy, part.dtype), outside, fall)


def within(part: Array, bound: int, what: str) -> Array:
    """A private copy of indices, all of them in range(bound)."""
    array, outside, _ = integers(part, what, bound=bound)
    if outside:
        broken(
            f"{what} from {array.min()} to {array.max()}, allowed are 0 to {bound - 1}"
        )
    return array
