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

import collections
import dataclasses
import json
import sys
from abc import ABCMeta
from types import ModuleType
from typing import Any, cast

import numpy as np

from tensoring import _core, serializers
from tensoring._allowance import OBJECT_BYTES, allowance
from tensoring._dtypes import BOOL, COMPLEX, FLOAT, INT, UINT, describe
from tensoring._errors import FormatError
from tensoring._structure import broken
from tensoring.serializers import Array, Unsupported, register

CONTENT_TYPE = "application/x-tensor-tree"
_MAX_DEPTH = 100
_MOST_ALIKE = 64  # keys of a dict that have the same hash
_ROWS = (INT, UINT, FLOAT, COMPLEX, BOOL)
_SCALARS = (bool, int, float, str)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


_registered: dict[str, type] = {}


def register_class(kind: type) -> type:
    """Let messages hold objects of a dataclass or namedtuple wherever it is defined, also
    in a function or in a module that looks its names up by itself. Returns `kind`, so
    that it can stand above a class as a decorator."""
    if not _is_namedtuple(kind) and not dataclasses.is_dataclass(kind):
        raise TypeError(f"{kind.__qualname__} is neither a dataclass nor a namedtuple")
    _registered[_class_name(kind)] = kind
    return kind


def _find_class(name: Any) -> type:
    """The class, if it was registered, or if its module is loaded and has it. A message
    must not make anybody import things, so nothing that could run code is asked: no
    __getattr__ of a module, no descriptor of a class."""
    found: Any = _registered.get(name) if type(name) is str else None
    if found is not None:
        return cast(type, found)
    module_name, _, path = str(name).partition(":")
    found = sys.modules.get(module_name)
    for step in path.split("."):
        space = found.__dict__ if type(found) in (ModuleType, type, ABCMeta) else {}
        found = space.get(step)
    # isinstance() would ask the object. What a class does when an object of it goes is
    # code that works on values of the sender.
    if not issubclass(type(found), type) or _has(found, "__del__"):
        raise FormatError(
            f"the message holds a {module_name!a}.{path!a}, which is not loaded"
            " here, or has __del__(): import its module, or tell"
            " tensoring.register_class() of it"
        )
    return cast(type, found)


def _has(kind: type, name: str) -> bool:
    """Whether a class has an attribute, without asking its metaclass."""
    return any(name in base.__dict__ for base in type.mro(kind))


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and _has(kind, "_fields") and _has(kind, "_make")


def _is_dataclass(kind: type) -> bool:
    return _has(kind, "__dataclass_fields__")


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
        self.spend = allowance().spend

    def part(self, index: Any) -> Array:
        if not (type(index) is int and 0 <= index < len(self.parts)):
            broken(f"part {index!r} of {len(self.parts)}")
        found: Array = self.parts[index]
        return found

    def rows(self, index: Any) -> list[Array]:
        """One array for each row: many, if a row has no bytes."""
        part = self.part(index)
        if not (part.ndim > 0):
            broken("the rows of an array without dimensions")
        self.spend(OBJECT_BYTES * len(part), f"a list of {len(part)} rows")
        return list(part)

    def scalar(self, index: Any) -> Any:
        part = self.part(index)
        if part.ndim != 0:
            broken(f"a scalar of shape {part.shape}")
        self.spend(OBJECT_BYTES + part.nbytes, "a scalar")
        return part[()]

    def other(self, content_type: Any, first: Any, count: Any) -> Any:
        """An object of another serializer, made of some of the parts."""
        one = serializers.by_content_type(str(content_type))
        if one.pickle:
            raise FormatError("a tree holds a pickle")
        if not (type(count) is int and count >= 0):
            broken(f"{count!r} parts")
        if count:
            self.part(first)
            self.part(first + count - 1)
        parts = self.parts[first : first + count]
        # A tree may name the same parts again and again, and be one of them.
        size = OBJECT_BYTES + sum(part.nbytes for part in parts)
        self.spend(size, f"the {content_type!a} inside")
        return one.deserialize(parts)

    def table(self, pairs: Any) -> dict[Any, Any]:
        """A dict. Everybody can make up numbers of the same hash, and a dict that has
        many takes time by their square."""
        found = [(self.node(key), self.node(value)) for key, value in pairs]
        if not all(type(key) is str for key, _ in found):
            hashes = collections.Counter(hash(key) for key, _ in found)
            if hashes and max(hashes.values()) > _MOST_ALIKE:
                broken("too many keys of a dict have the same hash")
        return dict(found)

    def each(self, nodes: Any) -> list[Any]:
        return [self.node(node) for node in nodes]

    def node(self, node: Any) -> Any:
        tag, rest = node[0], node[1:]
        if tag == "v":
            return rest[0]
        if tag == "a":
            return self.part(rest[0])
        if tag == "r":
            return self.rows(rest[0])
        if tag == "s":
            return self.scalar(rest[0])
        if tag == "l":
            return self.each(rest[0])
        if tag == "u":
            return tuple(self.each(rest[0]))
        if tag == "d":
            return self.table(rest[0])
        if tag == "x":
            return self.other(*rest)
        return self.instance(tag, *rest)

    def instance(self, tag: Any, name: Any, values: Any) -> Any:
        kind = _find_class(name)
        if tag == "n" and _is_namedtuple(kind):
            fields = kind._fields  # type: ignore[attr-defined]
            if len(values) != len(fields):
                broken(f"{kind.__qualname__} of {len(values)}")
            return tuple.__new__(kind, self.each(values))
        if tag == "c" and _is_dataclass(kind):
            names = {field.name for field in dataclasses.fields(kind)}
            if {field for field, _ in values} != names:
                broken(f"{kind.__qualname__} with other fields than here")
            obj: Any = object.__new__(kind)
            for field, value in values:
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
    text = parts[-1].tobytes()
    allowance().read_json(text)
    try:
        return _Reader(parts[:-1]).node(json.loads(text))
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"a broken tree: {error}") from None


register("TR", "tree", CONTENT_TYPE, _supported, _dump, _load)
