# SPDX-License-Identifier: MIT
"""Whether two objects are the same by type, value and identity: what is one object in one
of them is one object in the other. Says where they differ."""

from __future__ import annotations

import collections
import enum
import math
from typing import Any

import numpy as np

ATOMS = (str, bytes, int, float, complex, type(None), bool, type, range, enum.Enum)


class Difference(AssertionError):
    """Where and how two objects differ."""


def _check(good: bool, path: str, a: Any, b: Any) -> None:
    if not good:
        raise Difference(f"{path}: {a!r:.200} is not {b!r:.200}")


def _module(obj: Any) -> str:
    return type(obj).__module__.partition(".")[0]


# What SciPy finds out about a matrix when it is asked, and keeps.
HINTS = ("_has_canonical_format", "_has_sorted_indices", "has_canonical_format")


def _without_hints(obj: Any) -> dict[str, Any]:
    return {name: vars(obj)[name] for name in sorted(vars(obj)) if name not in HINTS}


class _Compare:
    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.keep: list[Any] = []

    def seen(self, a: Any, b: Any, path: str) -> bool:
        """Whether the pair was met before; the one without the other is a difference."""
        if type(a) in ATOMS or (type(a) is tuple and not a):
            return False
        met = id(a) in self.known or id(b) in self.back
        if met:
            good = self.known.get(id(a)) == id(b) and self.back.get(id(b)) == id(a)
            _check(good, f"identity of {path}", a, b)
        self.known[id(a)], self.back[id(b)] = id(b), id(a)
        self.keep += (a, b)
        return met

    def each(self, a: Any, b: Any, path: str) -> None:
        _check(len(a) == len(b), f"length of {path}", a, b)
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            self.same(x, y, f"{path}[{i}]")

    def array(self, a: Any, b: Any, path: str) -> None:
        x, y = np.asarray(a), np.asarray(b)
        if x.dtype != y.dtype and x.dtype == y.dtype.newbyteorder("S"):
            y = y.astype(x.dtype)  # NumPy's pickle turns strided arrays to native order
        _check(x.dtype == y.dtype, f"dtype of {path}", x.dtype, y.dtype)
        aligned = x.dtype.isalignedstruct == y.dtype.isalignedstruct
        _check(aligned, f"alignment of {path}", x.dtype, y.dtype)
        _check(x.dtype.type is y.dtype.type, f"scalars of {path}", x.dtype, y.dtype)
        metadata = x.dtype.metadata == y.dtype.metadata
        _check(metadata, f"metadata of {path}", x.dtype.metadata, y.dtype.metadata)
        _check(x.shape == y.shape, f"shape of {path}", x.shape, y.shape)
        self.values(x, y, path)
        if x.ndim > 1 and x.size > 1:
            order = x.flags.f_contiguous or not x.flags.c_contiguous
            order = order or y.flags.c_contiguous
            _check(order, f"order of {path}", x.strides, y.strides)

    def values(self, x: Any, y: Any, path: str) -> None:
        """Compare by fields: tobytes() of a strided array leaves the bytes between them
        as they were in new memory."""
        if x.dtype.hasobject:
            self.each(x.ravel().tolist(), y.ravel().tolist(), path)
        elif x.dtype.names is not None:
            for name in x.dtype.names:
                self.values(x[name], y[name], f"{path}[{name!r}]")
        elif x.dtype.char in "gG":  # with bytes between that say nothing
            _check(bool(((x == y) | ((x != x) & (y != y))).all()), path, x, y)
        else:
            _check(x.tobytes() == y.tobytes(), path, x, y)

    def other(self, a: Any, b: Any, path: str) -> None:
        """Compare by the package that the class is of."""
        if isinstance(a, np.ma.MaskedArray):
            self.array(a.data, b.data, f"{path}.data")
            self.array(np.ma.getmaskarray(a), np.ma.getmaskarray(b), f"{path}.mask")
        elif isinstance(a, (np.ndarray, np.generic)):
            self.array(a, b, path)
        elif _module(a) == "torch":
            _check(a.dtype == b.dtype and a.shape == b.shape, path, a, b)
            _check(a.requires_grad == b.requires_grad, f"gradient of {path}", a, b)
            x, y = (t.detach().to_dense() for t in (a, b))
            _check(bool(((x == y) | (x != x)).all()), path, a, b)
        elif _module(a) in ("pandas", "polars", "pyarrow"):
            self.table(a, b, path)
        elif _module(a) == "scipy":
            self.same(_without_hints(a), _without_hints(b), path)
        else:
            self.parts(a, b, path)

    def table(self, a: Any, b: Any, path: str) -> None:
        if _module(a) == "polars":
            _check(
                a.equals(b) and getattr(a, "schema", 0) == getattr(b, "schema", 0),
                path,
                a,
                b,
            )
            return
        if _module(a) == "pyarrow":
            _check(a.equals(b, check_metadata=True), path, a, b)
            return
        import pandas

        if isinstance(a, pandas.DataFrame):
            pandas.testing.assert_frame_equal(a, b, check_freq=True)
            _check(type(a.columns) is type(b.columns), f"{path}.columns", a, b)
        elif isinstance(a, pandas.Series):
            pandas.testing.assert_series_equal(a, b, check_freq=True)
        elif isinstance(a, pandas.Index):
            pandas.testing.assert_index_equal(a, b, exact=True)
            _check(getattr(a, "freq", 0) == getattr(b, "freq", 0), path, a, b)
        else:
            _check(a == b or a is b, path, a, b)
        for one in ("index", "columns"):
            if hasattr(a, one):
                _check(type(getattr(a, one)) is type(getattr(b, one)), path, a, b)
        self.same(getattr(a, "attrs", None), getattr(b, "attrs", None), f"{path}.attrs")

    def parts(self, a: Any, b: Any, path: str) -> None:
        """Contents and attributes of an object of a class of Python."""
        if isinstance(a, dict):
            self.each(list(a.items()), list(b.items()), path)
        elif isinstance(a, (list, tuple, collections.deque)):
            self.each(list(a), list(b), path)
        elif isinstance(a, (set, frozenset)):
            _check(a == b, path, a, b)
        slots = [
            name
            for base in type(a).__mro__
            for name in getattr(base, "__slots__", ())
            if name not in ("__dict__", "__weakref__")
        ]
        holds = isinstance(a, (dict, list, tuple, collections.deque))
        if not (slots or holds or hasattr(a, "__dict__")):
            _check(bool(a == b) or bool(a != a), path, a, b)
        for name in slots:
            _check(hasattr(a, name) == hasattr(b, name), f"{path}.{name}", a, b)
            self.same(getattr(a, name, None), getattr(b, name, None), f"{path}.{name}")
        if hasattr(a, "__dict__"):
            self.same(vars(a), vars(b), f"{path}.__dict__")

    def same(self, a: Any, b: Any, path: str) -> None:
        _check(type(a) is type(b), f"type of {path}", type(a), type(b))
        if self.seen(a, b, path):
            return
        if type(a) is float:
            good = a == b or (math.isnan(a) and math.isnan(b))
            _check(good and math.copysign(1, a) == math.copysign(1, b), path, a, b)
        elif type(a) in ATOMS or isinstance(a, (enum.Enum, type)):
            _check(a == b or repr(a) == repr(b), path, a, b)
        else:
            self.other(a, b, path)


def assert_alike(got: Any, want: Any) -> None:
    """Raises Difference if the two are not the same."""
    _Compare().same(got, want, "it")
