# SPDX-License-Identifier: MIT
"""How objects become messages: a registry that everybody may add to.

A serializer turns an object into parts and parts into an object. A part is an array, or
any object with the buffer protocol or DLPack; it is copied once, into the slot, and comes
back as an array that looks into the slot. Serializers are asked in the order of
registration whether they support an object; the content type of a message says who
decodes it.

No object is changed on its way: a serializer gives back the same, or raises
UnsupportedError. Where pickle is allowed, a serializer that cannot keep all that pickle
keeps (`typed`) is not asked.

    register("AB", "abacus", "application/x-abacus", lambda o: isinstance(o, Abacus),
             lambda o: [o.beads], lambda parts: Abacus(parts[0]))
    queue.send(As(array, "application/x-npy"))    # one in particular
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np

from tensoring import _core
from tensoring._errors import CODES, ContentTypeError, Error, FormatError
from tensoring._options import refuse, text
from tensoring._serial.allowance import allow, end
from tensoring._serial.dtypes import SCALARS, Described, describe
from tensoring._serial.instead import a, instead_of

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# (object, name, dtype), as the extension takes it
Part: TypeAlias = tuple[Any, str | None, Described | None]
# (number of the content, its type if it has no number, parts)
Encoded: TypeAlias = tuple[int, str, list[Part]]
# An object's pickle and its buffers, or UnsupportedError.
Dump: TypeAlias = Callable[[Any], list[Any]]

MAX_NDIM = _core.MAX_NDIM
TENSORS = _core.CONTENT_TENSORS
OTHER = _core.CONTENT_OTHER
NUMBERS = _core.CONTENTS  # of content types
PICKLE = NUMBERS["application/x-pickle"]
TYPES: dict[int, str] = {number: name for name, number in NUMBERS.items()}
TENSORS_TYPE = "application/x-tensors"
_OBJECTS = "application/x-tensoring-objects"  # made and read by the extension
_NO_CONSENT = (
    "a message is {}: to read it, this process has to open the arena with"
    " allow_pickle=True, which lets every sender run code here"
)


class UnsupportedError(Error, TypeError):
    """No serializer takes the object, or one gave it up for the next to try."""

    code = CODES["TR_EOBJECT"]


@dataclass(frozen=True)
class Serializer:
    """One entry of the registry: the arguments of register()."""

    id: str
    name: str
    content_type: str
    supported: Callable[[Any], bool]
    serialize: Callable[[Any], Sequence[Any]]
    deserialize: Callable[[list[Array]], Any]
    pickle: bool = False  # only where the arena allows pickle
    typed: bool = False  # only where it does not: pickle keeps more
    kinds: tuple[type, ...] | None = None  # ask about objects of these types alone


@dataclass(frozen=True)
class As:
    """`obj`, to be sent as one content type in particular."""

    obj: Any
    content_type: str


_order: list[Serializer] = []
# The serializers that may take a type, for the types that are sent most.
_asked: dict[type, list[Serializer]] = {}
_PLAIN: tuple[type, ...] = (
    *(dict, list, tuple, str, bytes, int, float, bool, type(None)),
    *(bytearray, memoryview, np.ndarray),
    *SCALARS,
)
FOREIGN: tuple[type, ...] = ()  # kinds of a serializer that takes none of these
_by_type: dict[str, Serializer] = {}


def register(
    id: str,
    name: str,
    content_type: str,
    supported: Callable[[Any], bool],
    serialize: Callable[[Any], Sequence[Any]],
    deserialize: Callable[[list[Array]], Any],
    *,
    pickle: bool = False,
    typed: bool = False,
    kinds: tuple[type, ...] | None = None,
    first: bool = False,
) -> Serializer:
    """Add a serializer in this process: behind all others, or before them if `first`.
    Senders and receivers need it; any thread may use it.

    id: a short name that no other has; ValueError if one does.
    name: for error messages.
    content_type: what messages are marked with, at most 63 bytes, of this one alone.
    supported: supported(obj) is true for the objects that it takes. It takes those that
    no earlier one takes.
    serialize: serialize(obj) returns the parts, a list of arrays and of objects with a
    buffer, which are copied into the slot. UnsupportedError for one that would come back
    changed.
    deserialize: deserialize(parts) returns the object. A part that was no array comes as
    an array of uint8; all are views of the slot, which they keep from being free. Raise
    FormatError for parts that serialize() does not make: anybody can write a message.
    pickle, typed: use it only in arenas that allow pickle, or only in those that do not;
    As() chooses it in either. Where pickle is allowed it takes anything, so that one
    behind it is never asked.
    kinds: supported() need not be asked about built-in types other than these."""
    text("id", id)
    text("content_type", content_type)
    for option, function in (
        ("supported", supported),
        ("serialize", serialize),
        ("deserialize", deserialize),
    ):
        if not callable(function):
            refuse(TypeError, option, function, "give a function of one argument")
    one = Serializer(
        id, name, content_type, supported, serialize, deserialize, pickle, typed, kinds
    )
    add(one, first)
    return one


def add(one: Serializer, first: bool = False) -> None:
    """The same, of one that is made already."""
    for other in _order:
        if other.id == one.id:
            raise ValueError(f"serializer id {one.id!r} is taken by {other.name}")
    taken = _by_type.get(one.content_type)
    if taken is not None:
        raise ValueError(f"content type {one.content_type!r} is taken by {taken.name}")
    most = _core.MAX_CONTENT_TYPE
    if len(one.content_type.encode()) > most:
        way = f"it has at most {most} bytes"
        refuse(ValueError, "content_type", one.content_type, way)
    _order.insert(0 if first else len(_order), one)
    _by_type[one.content_type] = one
    _asked.clear()


def unregister(id: str) -> None:
    """Take a serializer out again."""
    for one in _order:
        if one.id == id:
            _order.remove(one)
            del _by_type[one.content_type]
            _asked.clear()
            return
    raise ValueError(f"there is no serializer {id!r}")


def registered() -> tuple[Serializer, ...]:
    """All of them, in the order in which they are asked."""
    return tuple(_order)


def by_content_type(content_type: str) -> Serializer:
    """The serializer of a content type; ContentTypeError if there is none."""
    found = _by_type.get(content_type) if isinstance(content_type, str) else None
    if found is None:
        raise ContentTypeError(
            f"no serializer for content type {content_type!r}; there are "
            + ", ".join(sorted(_by_type))
        )
    return found


def part(obj: Any, name: str | None = None) -> Part:
    """One part: arrays get their type described, the rest speaks for itself."""
    if type(obj) is tuple:
        return obj  # it is one
    if isinstance(obj, np.ndarray):
        return (obj, name, describe(obj.dtype))
    return (obj, name, None)


def _with(one: Serializer, obj: Any) -> Encoded:
    parts = [part(piece) for piece in one.serialize(obj)]
    number = NUMBERS.get(one.content_type, OTHER)
    return (number, one.content_type if number == OTHER else "", parts)


def tensor_type(array: Array) -> Described | None:
    """The type of an exact ndarray, if a tensor keeps all that the array is."""
    if array.ndim > MAX_NDIM:
        return None
    try:
        return describe(array.dtype)
    except TypeError:
        return None


def _named(arrays: dict[Any, Any]) -> list[Part] | None:
    """A dict of arrays with names, each of them another one."""
    found: list[Part] = []
    for key, value in arrays.items():
        if type(key) is not str or type(value) is not np.ndarray:
            return None
        dtype = tensor_type(value)
        if dtype is None or not (0 < len(key) < 64 and key.isprintable()):
            return None
        if not key.isascii() and len(key.encode()) >= 64:
            return None
        found.append((value, key, dtype))
    return found if len(set(map(id, arrays.values()))) == len(found) else None


def _tensors(obj: Any) -> Encoded | None:
    """Arrays and dicts of named arrays need no serializer: tensors say what they are."""
    if type(obj) is np.ndarray:
        dtype = tensor_type(obj)
        return None if dtype is None else (TENSORS, "", [(obj, None, dtype)])
    if type(obj) is dict and 0 < len(obj) <= _core.MAX_TENSORS:
        parts = _named(obj)
        return None if parts is None else (TENSORS, "", parts)
    return None


# ---- which of them


def why_not(obj: Any) -> str:
    """Why no serializer that needs no pickle takes an object."""
    kind = f"{type(obj).__module__}.{type(obj).__qualname__}"
    if isinstance(obj, np.ndarray) and obj.dtype.hasobject:
        return f"the array holds Python objects ({obj.dtype}): no raw bytes"
    way = instead_of(obj)
    if way:
        return f"no serializer takes a {kind}: send {way}"
    for base in type(obj).__mro__[1:-1]:
        if base.__module__ in _KNOWN_MODULES:
            plain = f"{base.__module__}.{base.__qualname__}".removeprefix("builtins.")
            return f"a {kind} would come back as {a(plain)}: send one of these"
    return f"no serializer takes a {kind}: tr.register() adds one"


_KNOWN_MODULES = ("builtins", "numpy", "collections")
_WAY_OUT = "arenas with allow_pickle=True take what pickle takes"


def _refuse(why: Exception | str) -> NoReturn:
    text = str(why)
    if "allow_pickle" not in text:
        text = f"{text}; {_WAY_OUT}"
    raise UnsupportedError(text) from None


def _askable(kind: type) -> list[Serializer]:
    if kind not in _PLAIN:
        return _order
    found = _asked.get(kind)
    if found is None:
        found = [one for one in _order if one.kinds is None or kind in one.kinds]
        _asked[kind] = found
    return found


def _encode_typed(obj: Any) -> Encoded:
    """For all readers. What would come back changed is refused, with the reason."""
    reason: Exception | None = None
    for one in _askable(type(obj)):
        if one.pickle or not one.supported(obj):
            continue
        try:
            return _with(one, obj)
        except UnsupportedError as error:
            reason = reason or error
    if reason is None and isinstance(obj, np.ndarray) and obj.dtype.hasobject:
        describe(obj.dtype)  # says what is wrong with it
    _refuse(reason or why_not(obj))


_dump: Dump
_load: Callable[[list[Any]], Any]


def pickled_by(dump: Dump, load: Callable[[list[Any]], Any]) -> None:
    """How objects are pickled where that is allowed, and made again."""
    global _dump, _load
    _dump, _load = dump, load


def _encode_any(obj: Any) -> Encoded | Dump:
    """Where pickle is allowed: by another way only if it gives back what pickle would. A
    Dump: as stand-ins carry it."""
    for one in _askable(type(obj)):
        if one.typed or not one.supported(obj):
            continue
        if one.content_type == TYPES[PICKLE]:
            break
        try:
            return _with(one, obj)
        except UnsupportedError:
            continue
    return _dump


def encode(obj: Any, pickle: bool) -> Encoded | Dump:
    """`obj` cut into parts, or how to pickle it if it is no tree of plain values. The
    extension does plain arrays and bytes itself."""
    if type(obj) is As:
        one = by_content_type(obj.content_type)
        if one.pickle and not pickle:
            raise UnsupportedError(
                f"the arena does not allow {one.name}; see allow_pickle"
            )
        return _with(one, obj.obj)
    found = _tensors(obj)
    if found is not None:
        return found
    return _encode_any(obj) if pickle else _encode_typed(obj)


def encode_typed(obj: Any) -> Encoded:
    """`obj` cut into parts, without a pickle."""
    return _tensors(obj) or _encode_typed(obj)


def content_type(message: _core.Message) -> str:
    """The content type of a message, as text."""
    number, name = message.content
    if number == TENSORS:
        return name or TENSORS_TYPE
    return name if number == OTHER else TYPES.get(number, f"content {number}")


def _decode_tensors(message: _core.Message) -> Any:
    names = [message.name(i) for i in range(len(message))]
    arrays = [message.array(i) for i in range(len(message))]
    if all(names):
        return dict(zip(names, arrays, strict=True))
    return arrays[0] if len(arrays) == 1 else arrays


def _parts(message: _core.Message) -> list[Array]:
    return [message.array(i) for i in range(len(message))]


def _decode_checked(one: Serializer, message: _core.Message) -> Any:
    """Decode by a serializer that no sender may turn against its receiver. What is wrong
    with a message is a FormatError, which keeps no array of the message alive."""
    parts = _parts(message)
    failure: Error
    try:
        # Not the sum of the parts: they may lie over each other.
        token = allow(message.nbytes, message.max_expansion, message.pickle)
        try:
            return one.deserialize(parts)
        finally:
            end(token)
    except Error as error:
        failure = error
    except ImportError as error:
        failure = FormatError(f"{one.content_type} needs a package: {error}")
    except Exception as error:
        failure = FormatError(f"not {one.content_type}: {type(error).__name__}: {error}")
    del parts
    failure.__context__ = failure.__cause__ = None
    raise failure.with_traceback(None)


def decode(message: _core.Message) -> Any:
    """The object in a message. Called by the extension for all but a single array.

    What a message may make of itself is limited: sizes are checked before anything is
    expanded, up to `max_expansion` times the message (an option of the handle)."""
    if message.content == (TENSORS, ""):
        return _decode_tensors(message)
    wanted = content_type(message)
    if wanted == _OBJECTS:
        if message.pickle:
            return message._open(_load)
        raise FormatError(_NO_CONSENT.format("an object of a stand-in"))
    one = by_content_type(wanted)
    if not one.pickle:
        return _decode_checked(one, message)
    if not message.pickle:
        raise FormatError(_NO_CONSENT.format(one.name))
    return one.deserialize(_parts(message))


def decode_as(message: _core.Message, wanted: str) -> Any:
    """The same, but only if the message has the content type `wanted`."""
    got = content_type(message)
    if got != wanted:
        raise ContentTypeError(f"the message is {got!r}, not {wanted!r}")
    return decode(message)


def text_of(parts: list[Array]) -> str:
    """The only part as UTF-8."""
    try:
        return bytes_of(parts).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error}") from error


def bytes_of(parts: list[Array]) -> bytes:
    """The only part as bytes."""
    if len(parts) != 1:
        raise FormatError(f"one part expected, the message has {len(parts)}")
    return parts[0].tobytes()
