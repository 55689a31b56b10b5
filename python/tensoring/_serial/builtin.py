# SPDX-License-Identifier: MIT
"""The serializers that tensoring has, in the order in which they are asked."""

from __future__ import annotations

from tensoring._serial import (
    arrays,
    arrow,
    formats,
    frames,
    pickles,
    registry,
    sparse,
    trees,
)

BUILT_IN = (
    arrays.NDARRAY,
    arrow.POLARS,
    arrow.PYARROW,
    formats.BYTES,
    formats.BYTEARRAY,
    formats.STRING,
    formats.JSON,
    formats.JSON_LINES,
    formats.CSV,
    formats.LIBSVM,
    formats.NPY,
    formats.NPZ,
    frames.TORCH,
    frames.PANDAS,
    sparse.SPARSE,
    trees.TREE,
    pickles.PICKLE,  # it takes anything
    pickles.CLOUDPICKLE,
)


def register_all() -> None:
    """Called once, when the package is imported."""
    registry.pickled_by(pickles.dump_or_refuse, pickles.load)
    for one in BUILT_IN:
        registry.add(one)
