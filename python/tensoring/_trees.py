# SPDX-License-Identifier: MIT
"""dicts, lists, tuples, namedtuples and dataclasses of arrays as one message.

The last part is JSON that says where each part belongs:

    ["v", 3]  a plain value            ["l", [...]]  list       ["u", [...]]  tuple
    ["a", 0]  part 0, an array         ["d", [[key, value], ...]]  dict
    ["r", 0]  a list: rows of part 0   (like arrays, copied into one tensor)
    ["s", 0]  part 0, a NumPy scalar   ["n", class, [...]]  namedtuple
    ["x", type, 0, 2]  parts 0 and 1,  ["c", class, [[name, value], ...]]  dataclass
              of another serializer
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np

from tensoring import _core, serializers
from tensoring._dtypes import BOOL, COMPLEX, FLOAT, INT, UINT, describe
from tensoring._errors import FormatError
from tensoring.serializers import Array, Unsupported, register

CONTENT_TYPE = "application/x-tensor-tree"
_MAX_DEPTH = 100
_ROWS = (INT, UINT, FLOAT, COMPLEX, BOOL)
_SCALARS = (bool, int, float, str)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _find_class(name: Any) -> type:
    """The class, if its module is loaded: a message cannot make anybody import things."""
    module_name, _, path = str(name).partition(":")
    found: Any = sys.modules.get(module_name)
    for step in path.split("."):
        found = getattr(found, step, None)
    if not isinstance(found, type):
        raise FormatError(
            f"the message holds a {module_name}.{path}; import it where it is received"
        )
    return found


def _is_namedtuple(kind: Any) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make")


def _supported(obj: Any) -> bool:
    kind = type(obj)
    if kind in (dict, list, tuple) or _is_namedtuple(kind):
        return True
    if isinstance(obj, np.generic):
        return not obj.dtype.hasobject
    return dataclasses.is_dataclass(kind)


def alike(items: list[Any], least: int = 4) -> bool:
    """Whether these are arrays that make one tensor: a plain type, one shape, packed."""
    first = items[0] if len(items) >= least else None
    if type(first) is not np.ndarray or not 0 < first.ndim < _core.MAX_NDIM:
        return False
    dtype, shape = first.dtype, first.shape
    if dtype.hasobject or describe(dtype)[0] not in _ROWS or describe(dtype)[3]:
        return False
    return all(
        type(item) is np.ndarray
        and item.dtype == dtype
        and item.shape == shape
        and item.flags.c_contiguous
        for item in items
    )


class _Writer:
    def __init__(self) -> None:
        self.parts: list[Any] = []

    def add(self, piece: Any) -> int:
        self.parts.append(piece)
        return len(self.parts) - 1

    def each(self, items: Any, depth: int) -> list[Any]:
        return [self.node(item, depth + 1) for item in items]

    def node(self, obj: Any, depth: int = 0) -> list[Any]:
        kind = type(obj)
        if depth > _MAX_DEPTH:
            raise Unsupported(f"the object is nested more than {_MAX_DEPTH} deep")
        if obj is None or kind in _SCALARS:
            return ["v", obj]
        if kind is np.ndarray and not obj.dtype.hasobject:
            return ["a", self.add(obj)]
        if isinstance(obj, np.generic) and not obj.dtype.hasobject:
            return ["s", self.add(np.asarray(obj))]
        if kind is list and alike(obj):
            return ["r", self.add(obj)]
        if kind in (list, tuple):
            return ["l" if kind is list else "u", self.each(obj, depth)]
        if kind is dict:
            return ["d", [self.each(pair, depth) for pair in obj.items()]]
        if _is_namedtuple(kind):
            return ["n", _class_name(kind), self.each(obj, depth)]
        if dataclasses.is_dataclass(kind):
            return ["c", _class_name(kind), self.fields(obj, depth)]
        return self.other(obj)

    def fields(self, obj: Any, depth: int) -> list[Any]:
        return [
            [field.name, self.node(getattr(obj, field.name), depth + 1)]
            for field in dataclasses.fields(obj)
        ]

    def other(self, obj: Any) -> list[Any]:
        for one in serializers.registered():
            if one.pickle or one.content_type == CONTENT_TYPE or not one.supported(obj):
                continue
            pieces = list(one.serialize(obj))
            node = ["x", one.content_type, len(self.parts), len(pieces)]
            self.parts.extend(pieces)
            return node
        raise Unsupported(f"no raw form for the {type(obj).__qualname__} inside")


class _Reader:
    def __init__(self, parts: list[Array]) -> None:
        self.parts = parts

    def each(self, nodes: Any) -> list[Any]:
        return [self.node(node) for node in nodes]

    def node(self, node: Any) -> Any:
        tag, rest = node[0], node[1:]
        if tag == "v":
            return rest[0]
        if tag == "a":
            return self.parts[rest[0]]
        if tag == "r":
            return list(self.parts[rest[0]])
        if tag == "s":
            return self.parts[rest[0]][()]
        if tag == "l":
            return self.each(rest[0])
        if tag == "u":
            return tuple(self.each(rest[0]))
        if tag == "d":
            return {self.node(key): self.node(value) for key, value in rest[0]}
        if tag == "x":
            one = serializers.by_content_type(rest[0])
            if one.pickle:
                raise FormatError("a tree holds a pickle")
            return one.deserialize(self.parts[rest[1] : rest[1] + rest[2]])
        return self.instance(tag, *rest)

    def instance(self, tag: Any, name: Any, values: Any) -> Any:
        kind = _find_class(name)
        if tag == "n" and _is_namedtuple(kind):
            return kind._make(self.each(values))  # type: ignore[attr-defined]
        if tag == "c" and dataclasses.is_dataclass(kind):
            known = {field.name for field in dataclasses.fields(kind)}
            obj = object.__new__(kind)
            for field, value in values:
                if field in known:
                    object.__setattr__(obj, field, self.node(value))
            return obj
        raise FormatError(f"unknown node {tag!r} in a tree")


def _dump(obj: Any) -> list[Any]:
    writer = _Writer()
    tree = writer.node(obj)
    return [*writer.parts, json.dumps(tree).encode()]


def _load(parts: list[Array]) -> Any:
    if not parts:
        raise FormatError("a tree without parts")
    try:
        return _Reader(parts[:-1]).node(json.loads(parts[-1].tobytes()))
    except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"a broken tree: {error}") from error


register("TR", "tree", CONTENT_TYPE, _supported, _dump, _load)
