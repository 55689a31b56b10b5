# SPDX-License-Identifier: MIT
"""dicts, lists, tuples, namedtuples and dataclasses of arrays as one message.

The last part is JSON that says where each part belongs:

    ["v", 3]  a plain value            ["l", [...]]  list       ["u", [...]]  tuple
    ["a", 0]  part 0, an array         ["d", [[key, value], ...]]  dict
    ["r", 0]  a list: rows of part 0   (like arrays, copied into one tensor)
    ["t", 0]  a list: the numbers of part 0, all of them float, or all of them int
    ["s", 0]  part 0, a NumPy scalar   ["n", class, [...]]  namedtuple
    ["x", type, 0, 2]  parts 0 and 1,  ["c", class, [[name, value], ...]]  dataclass
              of another serializer    ["f", "..."]  a float that is no number
    ["k", 7, node]  what the node says, and it comes again: ["=", 7]; and ["e", 7, 2] is
              its item 2

An object whose class says itself how it is pickled, or that has more attributes than its
class has fields, is not a tree: it would come back as another."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import json
import reprlib
import struct
import sys
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias, cast
from weakref import WeakKeyDictionary

import numpy as np

from tensoring import _core
from tensoring._errors import FormatError
from tensoring._serial import registry
from tensoring._serial.allowance import OBJECT_BYTES, allowance
from tensoring._serial.dtypes import SCALARS
from tensoring._serial.formats import ACYCLIC, LONG, json_of
from tensoring._serial.registry import Array, Serializer, UnsupportedError, tensor_type
from tensoring._serial.structure import broken

CONTENT_TYPE = "application/x-tensor-tree"
_MAX_DEPTH = 100
_MOST_ALIKE = 64  # keys of a dict that have the same hash
_LEAST_ROWS = 4
_NUMBER_BYTES = 40  # that one takes, with its place in a list
_NUMBERS = {float: np.dtype("f8"), int: np.dtype("i8")}
_WORDS = frozenset((str, int, bool, type(None)))


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
    if kind in (dict, list, tuple, float) or kind in SCALARS:
        return True
    if isinstance(obj, np.generic):
        return not obj.dtype.hasobject
    return _class_of(kind) is not None


# ---- classes

_OWN_WAYS = (
    "__reduce__",
    "__reduce_ex__",
    "__getstate__",
    "__setstate__",
    "__getnewargs_ex__",
)
_STOCK = [getattr(dataclasses, f"_dataclass_{one}state", None) for one in ("get", "set")]


class _Class(NamedTuple):
    """How objects of a class are written."""

    tag: str
    name: str
    fields: tuple[str, ...]
    slots: tuple[str, ...]  # of these, the ones that are not in a __dict__
    why_not: str | None


_classes: WeakKeyDictionary[type, _Class | None] = WeakKeyDictionary()


def _own_way(kind: type) -> str | None:
    """The method by which a class says how its objects are pickled, if it does."""
    for name in _OWN_WAYS:
        found = getattr(kind, name, None)
        if found is not getattr(object, name, None) and found not in _STOCK:
            return f"{name}()"
    return None


def _why_not(kind: type, dataclass: bool) -> str | None:
    """Why objects of the class would come back as others, if they would."""
    own = _own_way(kind)
    if own is not None:
        return f"{kind.__qualname__} has {own}, which only pickle asks"
    maker = next(one for one in kind.__mro__ if "__new__" in one.__dict__)
    if maker is not object if dataclass else "_fields" not in maker.__dict__:
        return f"{kind.__qualname__} has the __new__() of {maker.__qualname__}"
    return None


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        found += (names,) if isinstance(names, str) else names
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _look_at(kind: type) -> _Class | None:
    if _is_namedtuple(kind):
        return _Class("n", _class_name(kind), (), (), _why_not(kind, dataclass=False))
    if not dataclasses.is_dataclass(kind):
        return None
    fields = tuple(field.name for field in dataclasses.fields(kind))
    slots = _slots(kind)
    why = _why_not(kind, dataclass=True)
    if set(slots) - set(fields):
        why = why or f"{kind.__qualname__} has slots that are no fields"
    return _Class("c", _class_name(kind), fields, tuple(slots), why)


def _class_of(kind: type) -> _Class | None:
    """None: it is neither a namedtuple nor a dataclass."""
    try:
        return _classes[kind]
    except KeyError:
        found = _classes[kind] = _look_at(kind)
        return found


def _check_attributes(obj: Any, known: _Class) -> None:
    """UnsupportedError if an object has more than its fields, or less."""
    has = getattr(obj, "__dict__", {})
    if len(has) + len(known.slots) == len(known.fields):
        return
    more = sorted(map(str, set(has) - set(known.fields)))
    if more:
        raise UnsupportedError(
            f"the {type(obj).__qualname__} has attributes that are no fields:"
            f" {', '.join(more):.200}"
        )
    raise UnsupportedError(f"fields of the {type(obj).__qualname__} are not set")


def _fields(obj: Any, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """What is there, and not what a descriptor makes for each that asks."""
    has = getattr(obj, "__dict__", {})
    return [(name, has[name] if name in has else getattr(obj, name)) for name in names]


# ---- writing

_UNDONE: list[Any] = []  # the node of what is being written
_Write: TypeAlias = Callable[["_Writer", Any, int], list[Any]]


class _Writer:
    def __init__(self, least: int = LONG) -> None:
        self.least = least  # numbers of a list that becomes an array
        self.parts: list[Any] = []
        self.nodes: dict[int, list[Any]] = {}  # by id of what they say
        self.rows: dict[int, list[Any]] = {}  # by id of their node
        self.places: dict[int, dict[int, int]] = {}  # of rows by id, by id of their node
        self.numbers = 0
        self.in_key = False

    def add(self, piece: Any) -> int:
        self.parts.append(piece)
        return len(self.parts) - 1

    def node(self, obj: Any, depth: int = 0) -> list[Any]:
        kind = type(obj)
        if kind in _WORDS or (kind is float and obj == obj):
            return ["v", obj]
        if kind is float:
            return ["f", struct.pack("<d", obj).hex()]
        nodes, key = self.nodes, id(obj)
        if key in nodes:
            return self.again(obj, nodes[key])
        if depth > _MAX_DEPTH:
            raise UnsupportedError(f"the object is nested more than {_MAX_DEPTH} deep")
        nodes[key] = _UNDONE
        node = nodes[key] = _WRITE.get(kind, _Writer.other)(self, obj, depth)
        return node

    def again(self, obj: Any, known: list[Any]) -> list[Any]:
        """What came before: its node gets a number. A row has the node of its list."""
        if type(obj) is tuple and not obj:
            return ["u", []]
        if known is _UNDONE:
            raise UnsupportedError(f"the {type(obj).__qualname__} holds itself")
        if known[0] != "k":
            known[:] = ["k", self.numbers, known[:]]
            self.numbers += 1
        if self.in_key and known[2][0] != "s":  # sharing makes hashes slow
            raise UnsupportedError(f"a {type(obj).__qualname__} in a key came before")
        rows = self.rows.get(id(known))
        if rows is None or rows is obj:
            return ["=", known[1]]
        places = self.places.get(id(known))
        if places is None:
            places = self.places[id(known)] = {id(row): i for i, row in enumerate(rows)}
        return ["e", known[1], places[id(obj)]]

    def each(self, items: Any, depth: int) -> list[Any]:
        node, depth = self.node, depth + 1
        return [
            ["v", item] if type(item) in _WORDS else node(item, depth) for item in items
        ]

    def write_array(self, obj: Any, depth: int) -> list[Any]:
        dtype = tensor_type(obj)
        if dtype is None:
            return self.other(obj, depth)
        return ["a", self.add((obj, None, dtype))]

    def like_rows(self, obj: list[Any]) -> bool:
        """Whether these are arrays that make one tensor, each of them met for the first
        time."""
        if len(obj) < _LEAST_ROWS or type(obj[0]) is not np.ndarray:
            return False
        met = self.nodes.keys()
        return _core.like_rows(obj) and met.isdisjoint(map(id, obj))

    def write_list(self, obj: list[Any], depth: int) -> list[Any]:
        if self.like_rows(obj):
            node = ["r", self.add(obj)]
            rows = dict.fromkeys(map(id, obj), node)
            if len(rows) == len(obj):
                self.nodes.update(rows)
                self.rows[id(node)] = obj
                return node
            self.parts.pop()
        numbers = _numbers(obj) if len(obj) >= self.least else None
        if numbers is not None:
            return ["t", self.add((numbers, None, tensor_type(numbers)))]
        return ["l", self.each(obj, depth)]

    def write_tuple(self, obj: tuple[Any, ...], depth: int) -> list[Any]:
        return ["u", self.each(obj, depth)]

    def key(self, obj: Any, depth: int) -> list[Any]:
        if type(obj) in _WORDS:
            return ["v", obj]
        before, self.in_key = self.in_key, True
        node = self.node(obj, depth + 1)
        self.in_key = before
        return node

    def write_dict(self, obj: dict[Any, Any], depth: int) -> list[Any]:
        pairs = obj.items()
        return ["d", [[self.key(k, depth), self.node(v, depth + 1)] for k, v in pairs]]

    def scalar(self, obj: Any) -> list[Any]:
        array = np.asarray(obj)
        dtype = tensor_type(array)
        again = array[()]
        if dtype is None or type(again) is not type(obj):
            raise UnsupportedError(f"no raw form for a scalar of {array.dtype!r:.80}")
        if isinstance(obj, np.flexible) and again.tobytes() != obj.tobytes():
            raise UnsupportedError(
                f"the {type(obj).__qualname__} would lose the zeros at its end"
            )
        return ["s", self.add((array, None, dtype))]

    def other(self, obj: Any, depth: int) -> list[Any]:
        if isinstance(obj, np.generic):
            return self.scalar(obj)
        known = _class_of(type(obj))
        if known is None:
            return self.foreign(obj)
        if known.why_not is not None:
            raise UnsupportedError(known.why_not)
        if type(obj) in copyreg.dispatch_table:  # perhaps only since the last one
            name = type(obj).__qualname__
            raise UnsupportedError(
                f"{name} has a reducer in copyreg, which only pickle asks"
            )
        _check_attributes(obj, known)
        if known.tag == "n":
            return ["n", known.name, self.each(obj, depth)]
        found = _fields(obj, known.fields)
        return ["c", known.name, [[k, self.node(v, depth + 1)] for k, v in found]]

    def foreign(self, obj: Any) -> list[Any]:
        for one in registry.registered():
            if one.pickle or one.content_type == CONTENT_TYPE or not one.supported(obj):
                continue
            pieces = [registry.part(piece) for piece in one.serialize(obj)]
            node = ["x", one.content_type, len(self.parts), len(pieces)]
            self.parts.extend(pieces)
            return node
        raise UnsupportedError(registry.why_not(obj))


def _numbers(obj: list[Any]) -> Array | None:
    """The array of a list of float, or of int in 64 bits, and of nothing else."""
    kinds = set(map(type, obj))
    dtype = _NUMBERS.get(kinds.pop()) if len(kinds) == 1 else None
    try:
        return None if dtype is None else np.array(obj, dtype)
    except OverflowError:
        return None


_WRITE: dict[type, _Write] = {
    np.ndarray: _Writer.write_array,
    list: _Writer.write_list,
    tuple: _Writer.write_tuple,
    dict: _Writer.write_dict,
}


# ---- reading


class _Reader:
    def __init__(self, parts: list[Array]) -> None:
        self.parts = parts
        self.spend = allowance().spend
        self.numbered: dict[int, Any] = {}
        self.in_key = False

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

    def numbers(self, index: Any) -> list[Any]:
        part = self.part(index)
        if part.ndim != 1 or part.dtype not in _NUMBERS.values():
            broken(f"a list of numbers of type {part.dtype} and shape {part.shape}")
        self.spend(_NUMBER_BYTES * len(part), f"a list of {len(part)} numbers")
        found: list[Any] = part.tolist()
        return found

    def scalar(self, index: Any) -> Any:
        part = self.part(index)
        if part.ndim != 0:
            broken(f"a scalar of shape {part.shape}")
        self.spend(OBJECT_BYTES + part.nbytes, "a scalar")
        return part[()]

    def other(self, content_type: Any, first: Any, count: Any) -> Any:
        """An object of another serializer, made of some of the parts."""
        one = registry.by_content_type(str(content_type))
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

    def number(self, number: Any, node: Any) -> Any:
        if type(number) is not int or number in self.numbered:
            broken(f"{number!r} is the number of two objects, or none")
        found = self.numbered[number] = self.node(node)
        return found

    def again(self, number: Any) -> Any:
        """What came before. A key that holds some other many times takes time to hash."""
        found = self.numbered[number]
        if self.in_key and not isinstance(found, np.generic):
            broken("a key that came before")
        return found

    def item(self, number: Any, index: Any) -> Any:
        rows = self.again(number)
        if not (type(rows) is list and type(index) is int and 0 <= index < len(rows)):
            broken(f"item {index!r} of {type(rows).__name__} {number!r}")
        return rows[index]

    def key(self, node: Any) -> Any:
        before, self.in_key = self.in_key, True
        found = self.node(node)
        self.in_key = before
        return found

    def table(self, pairs: Any) -> dict[Any, Any]:
        """A dict. Everybody can make up numbers of the same hash, and a dict that has
        many takes time by their square."""
        found = [(self.key(key), self.node(value)) for key, value in pairs]
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
        return self.rare(tag, rest)

    def rare(self, tag: Any, rest: Any) -> Any:
        if tag == "x":
            return self.other(*rest)
        if tag == "t":
            return self.numbers(*rest)
        if tag == "k":
            return self.number(*rest)
        if tag == "=":
            return self.again(*rest)
        if tag == "e":
            return self.item(*rest)
        if tag == "f":
            return struct.unpack("<d", bytes.fromhex(rest[0]))[0]
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


def _step_to(obj: Any, key: int) -> tuple[str, Any]:
    """How the child with that id is reached from an object, and the child."""
    if isinstance(obj, dict):
        for name, value in obj.items():
            if id(value) == key:
                return f"[{reprlib.repr(name)}]", value
            if id(name) == key:
                return f" the key {reprlib.repr(name)}", name
    elif isinstance(obj, (list, tuple)):
        for i, value in enumerate(obj):
            if id(value) == key:
                return f"[{i}]", value
    else:
        known = _class_of(type(obj))
        for name, value in _fields(obj, known.fields) if known else ():
            if id(value) == key:
                return f".{name}", value
    return "", None


def _place_of(writer: _Writer, obj: Any) -> str:
    """Where in the object the writer has stopped; "": at the object itself."""
    undone = [key for key, node in writer.nodes.items() if node is _UNDONE]
    place = ""
    for key in undone[1:]:
        step, obj = _step_to(obj, key)
        if not step:
            break
        place += step
    return place.lstrip()


_SCALAR_ALONE = json_of(["s", 0], ACYCLIC)


def _dump(obj: Any) -> list[Any]:
    if type(obj) in SCALARS:  # as the writer does it, in a tenth of the time
        return [np.asarray(obj), _SCALAR_ALONE]
    writer = _Writer()
    try:
        tree = writer.node(obj)
    except UnsupportedError as error:
        place = _place_of(writer, obj)
        if place and error.args:
            error.args = (f"at {place}: {error.args[0]}", *error.args[1:])
        raise
    if len(writer.parts) >= _core.MAX_TENSORS:
        writer = _Writer(sys.maxsize)  # lists of numbers need not be parts
        tree = writer.node(obj)
    if len(writer.parts) >= _core.MAX_TENSORS:
        raise UnsupportedError(
            f"the object has {len(writer.parts)} parts; a message has room for"
            f" {_core.MAX_TENSORS - 1} and their tree"
        )
    return [*writer.parts, json_of(tree, ACYCLIC)]


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
    except struct.error as error:
        raise FormatError(f"a broken tree: a float: {error}") from None


TREE = Serializer("TR", "tree", CONTENT_TYPE, _supported, _dump, _load, typed=True)
