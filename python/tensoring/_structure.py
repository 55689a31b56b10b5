# SPDX-License-Identifier: MIT
"""What decoders share: structure is copied out of the slot, checked, and only then used.

A sender can write to a slot as long as it lives, also after the receive. So what decides
where memory is read or written (sizes, offsets, indices) is read once, into memory that
the sender cannot reach."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tensoring._errors import FormatError
from tensoring.serializers import Array


def require(condition: bool, otherwise: str) -> None:
    """FormatError that says `otherwise` unless the condition holds."""
    if not condition:
        raise FormatError(f"the message is broken: {otherwise}")


def head_of(parts: list[Array]) -> Any:
    """The JSON in the first part."""
    require(bool(parts), "it has no parts")
    try:
        return json.loads(parts[0].tobytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"the message is broken: its head is no JSON: {error}"
        ) from None


def integers(part: Array, what: str) -> Array:
    """A private copy of a vector of integers, as int32 or int64."""
    require(
        part.ndim == 1 and part.dtype.kind in "iu" and part.dtype.itemsize in (4, 8),
        f"{what} of type {part.dtype} and shape {part.shape}",
    )
    private: Array = np.array(part, dtype=part.dtype.newbyteorder("="), copy=True)
    if private.dtype.kind == "u":
        require(not private.size or int(private.max()) < 1 << 63, f"{what} too large")
        private = private.astype(np.int64)
    return private
