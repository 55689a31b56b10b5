# SPDX-License-Identifier: MIT
"""NumPy's types in words, and whether two types are the same in all.

A descr is NumPy's own: '<f4', or a list of fields. Words are plain values that JSON has,
and say what a descr cannot: fields in any order or over each other, and the types of
ml_dtypes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensoring._errors import FormatError

MAX_DEPTH = 32  # of fields in fields
MAX_INNER = 16  # dimensions of an element: NumPy has 32 or 64, a tensor 16
# A padding of no bytes at the end of a descr: the type is one of align=True. NumPy's own
# readers pass over it.
_ALIGNED = ("", "|V0")
_ML_INTS = {"int1", "int2", "int4", "uint1", "uint2", "uint4"}
_ML_FLOATS = {"bfloat16", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"}
_ML_FLOATS8 = {"e3m4", "e4m3", "e4m3b11fnuz", "e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz"}
_ML_FLOATS |= {f"float8_{one}" for one in (*_ML_FLOATS8, "e8m0fnu")}
_ML_NAMES = _ML_INTS | _ML_FLOATS


def ml_dtype(name: str) -> Any:
    """A type of the package ml_dtypes, None without it."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    scalar = getattr(ml_dtypes, name, None)
    return None if scalar is None else np.dtype(scalar)


def is_ml_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether it is one of them, in either byte order."""
    return dtype.type.__module__.partition(".")[0] == "ml_dtypes"


def is_swapped_ml(dtype: np.dtype[Any]) -> bool:
    """Whether one of them in the other byte order is in it."""
    if dtype.isnative:
        return False
    if dtype.subdtype is not None:
        return is_swapped_ml(dtype.base)
    if dtype.names is not None:
        return any(is_swapped_ml(dtype[name]) for name in dtype.names)
    return is_ml_dtype(dtype)


def identical(a: np.dtype[Any], b: np.dtype[Any]) -> bool:
    """Whether two types are equal, also in what NumPy's comparison passes over: the class
    of their scalars, what is aligned, and metadata. NumPy has two types of the same
    integers, long and long long; pickle gives back the first of both."""
    if a is b:
        return True
    if a != b or a.metadata != b.metadata:
        return False
    if a.type is not b.type and a.kind not in "iu":
        return False
    if a.isalignedstruct != b.isalignedstruct:
        return False
    if a.subdtype is not None and b.subdtype is not None:
        return identical(a.base, b.base)
    return all(identical(a[name], b[name]) for name in a.names or ())


# ---- descr


def to_descr(dtype: np.dtype[Any]) -> Any:
    """NumPy's descr, with a mark where fields are aligned; TypeError if it has none."""
    if dtype.names is None:
        return dtype.str
    fields: Any = dtype.fields
    found: list[Any] = []
    end = 0
    for name in dtype.names:
        kind, offset, *title = fields[name]
        if offset < end:
            raise TypeError(f"{dtype} has fields that overlap, or in another order")
        if offset > end:
            found.append(("", f"|V{offset - end}"))
        full = (title[0], name) if title else name
        found.append((full, to_descr(kind.base), *([kind.shape] if kind.shape else [])))
        end = offset + kind.itemsize
    if dtype.itemsize > end:
        found.append(("", f"|V{dtype.itemsize - end}"))
    return [*found, _ALIGNED] if dtype.isalignedstruct else found


def of_descr(descr: Any) -> np.dtype[Any]:
    """The type that to_descr() describes."""
    if isinstance(descr, str):
        return np.dtype(descr)
    if isinstance(descr, tuple):
        return np.dtype((of_descr(descr[0]), descr[1]))
    made: Any = {"names": [], "titles": [], "formats": [], "offsets": []}
    end = 0
    for full, inner, *shape in descr:
        kind = np.dtype((of_descr(inner), shape[0])) if shape else of_descr(inner)
        if full != "":
            title, name = full if isinstance(full, tuple) else (None, full)
            made["names"].append(name)
            made["titles"].append(title)
            made["formats"].append(kind)
            made["offsets"].append(end)
        end += kind.itemsize
    made["itemsize"] = end
    dtype: np.dtype[Any] = np.dtype(made, align=descr[-1:] == [_ALIGNED])
    return dtype


# ---- words


def to_words(dtype: np.dtype[Any]) -> Any:
    """A str, [words, shape] of a type that is repeated, or a dict of fields."""
    if dtype.subdtype is not None:
        return [to_words(dtype.base), list(dtype.shape)]
    if dtype.names is None:
        if not is_ml_dtype(dtype):
            return dtype.str
        return dtype.name if dtype.isnative else f">{dtype.name}"
    known: Any = dtype.fields
    fields = [known[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "titles": [one[2] if len(one) > 2 else None for one in fields],
        "formats": [to_words(one[0]) for one in fields],
        "offsets": [one[1] for one in fields],
        "itemsize": dtype.itemsize,
        "align": dtype.isalignedstruct,
    }


def of_words(words: Any, depth: int = 0) -> np.dtype[Any]:
    """The type that to_words() describes; FormatError or one of NumPy's errors if it is
    none, or one of objects."""
    if depth > MAX_DEPTH:
        raise FormatError(f"a type that is nested more than {MAX_DEPTH} deep")
    if type(words) is str:
        return _of_word(words)
    if type(words) is list:
        shape = tuple(words[1])
        if len(shape) > MAX_INNER:
            raise FormatError(f"an element of {len(shape)} dimensions")
        return np.dtype((of_words(words[0], depth + 1), shape))
    fields: Any = dict(words)
    aligned = fields.pop("align") is True
    fields["formats"] = [of_words(one, depth + 1) for one in fields["formats"]]
    dtype: np.dtype[Any] = np.dtype(fields, align=aligned)
    return dtype


def _of_word(word: str) -> np.dtype[Any]:
    name = word.removeprefix(">")
    found: Any = np.dtype(word) if name not in _ML_NAMES else ml_dtype(name)
    if found is None:
        raise FormatError(f"the type {name} needs the package ml_dtypes")
    if found.hasobject:
        raise FormatError("a type of Python objects")
    swapped = word != name and name in _ML_NAMES
    dtype: np.dtype[Any] = found.newbyteorder(">") if swapped else found
    return dtype
