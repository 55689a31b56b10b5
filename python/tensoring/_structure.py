# SPDX-License-Identifier: MIT
"""What decoders share: structure is copied out of the slot, checked, and only then used.

A sender can write to a slot as long as it lives, also after the receive. So what decides
where memory is read or written (sizes, offsets, indices) is read once, into memory that
the sender cannot reach."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np

from tensoring._errors import FormatError
from tensoring.serializers import Array

_SIGNED = (np.dtype(np.int32), np.dtype(np.int64))


def broken(why: str) -> NoReturn:
    """FormatError: the message breaks a rule."""
    raise FormatError(f"the message is broken: {why}")


def head_of(parts: list[Array]) -> Any:
    """The JSON in the first part."""
    if not parts:
        broken("it has no parts")
    try:
        return json.loads(parts[0].tobytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"the message is broken: its head is no JSON: {error}"
        ) from None


def integers(part: Array, what: str) -> Array:
    """A private copy of a vector of integers, as int32 or int64."""
    if part.ndim == 1 and part.dtype in _SIGNED:
        return part.copy()
    broken(f"{what} of type {part.dtype} and shape {part.shape}")


def below(numbers: Array, bound: int) -> bool:
    """Whether all of some int32 or int64 are in range(bound). In one pass: what is
    negative is large without its sign."""
    if not numbers.size:
        return True
    unsigned = numbers.view(np.uint32 if numbers.itemsize == 4 else np.uint64)
    return int(np.maximum.reduce(unsigned)) < bound


def rising(numbers: Array) -> bool:
    """Whether none is smaller than the one before it."""
    return bool(np.logical_and.reduce(numbers[1:] >= numbers[:-1]))
