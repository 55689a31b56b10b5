# SPDX-License-Identifier: MIT
"""The serializers that tensoring has, in the order in which they are asked."""

from __future__ import annotations

from tensoring import (
    _arrays,
    _arrow,
    _formats,
    _frames,
    _pickle,
    _sparse,
    _trees,
    serializers,
)

BUILT_IN = (
    _arrays.NDARRAY,
    _arrow.POLARS,
    _arrow.PYARROW,
    _formats.BYTES,
    _formats.BYTEARRAY,
    _formats.STRING,
    _formats.JSON,
    _formats.JSON_LINES,
    _formats.CSV,
    _formats.LIBSVM,
    _formats.NPY,
    _formats.NPZ,
    _frames.TORCH,
    _frames.PANDAS,
    _sparse.SPARSE,
    _trees.TREE,
    _pickle.PICKLE,  # it takes anything
    _pickle.CLOUDPICKLE,
)


def register_all() -> None:
    """Called once, when the package is imported."""
    serializers.pickled_by(_pickle.dump_or_refuse, _pickle.load)
    for one in BUILT_IN:
        serializers.add(one)
