# SPDX-License-Identifier: MIT
"""How objects become messages: a registry that everybody may add to.

A serializer turns an object into parts and parts into an object. A part is an array, or
any object with the buffer protocol or DLPack; it is copied once, into the slot, and comes
back as an array that looks into the slot. Serializers are asked in the order of
registration whether they support an object; the content type of a message says who
decodes it.

    register("AB", "abacus", "application/x-abacus", lambda o: isinstance(o, Abacus),
             lambda o: [o.beads], lambda parts: Abacus(parts[0]))
    queue.send(As(array, "application/x-npy"))    # one in particular
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tensoring import _core
from tensoring._allowance import allow, end
from tensoring._dtypes import Described, describe
from tensoring._errors import CODES, ContentTypeError, Error, FormatError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# (object, name, dtype), as the extension takes it
Part: TypeAlias = tuple[Any, str | None, Described | None]
# (number of the content, its type if it has no number, parts)
Encoded: TypeAlias = tuple[int, str, list[Part]]

TENSORS = 0
OTHER = 255
NUMBERS: dict[str, int] = {
    "application/octet-stream": 1,
    "text/plain": 2,
    "application/json": 3,
    "application/jsonlines": 4,
    "text/csv": 5,
    "application/x-npy": 6,
    "application/x-npz": 7,
    "application/x-pickle": 8,
    "application/vnd.apache.arrow.stream": 9,
    "text/libsvm": 10,
}
TYPES: dict[int, str] = {number: name for name, number in NUMBERS.items()}
TENSORS_TYPE = "application/x-tensors"
_OBJECTS = "application/x-tensoring-objects"  # made and read by the extension
_NO_CONSENT = (
    "a message is {}: to read it, this process has to open the arena with"
    " allow_pickle=True, which lets every sender run code here"
)


class Unsupported(Error, TypeError):
    """No serializer takes the object, or one gave it up for the next to try."""

    code = CODES["TR_EOBJECT"]


@dataclass(frozen=True)
class Serializer:
    """One entry of the registry."""

    id: str
    name: str
    content_type: str
    supported: Callable[[Any], bool]
    serialize: Callable[[Any], Sequence[Any]]
    deserialize: Callable[[list[Array]], Any]
    pickle: bool = False  # only where the arena allows pickle


@dataclass(frozen=True)
class As:
    """`obj`, to be sent as one content type in particular."""

    obj: Any
    content_type: str


_order: list[Serializer] = []
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
    first: bool = False,
) -> Serializer:
    """Add a serializer: behind all others, or before them if `first`.

    An id or a content type that is taken is a ValueError. With `pickle` it is used only
    in arenas that allow pickle."""
    for one in _order:
        if one.id == id:
            raise ValueError(f"serializer id {id!r} is taken by {one.name}")
    if content_type in _by_type:
        raise ValueError(
            f"content type {content_type!r} is taken by {_by_type[content_type].name}"
        )
    if len(content_type.encode()) > 63:
        raise ValueError("a content type has at most 63 bytes")
    one = Serializer(id, name, content_type, supported, serialize, deserialize, pickle)
    _order.insert(0 if first else len(_order), one)
    _by_type[content_type] = one
    return one


def unregister(id: str) -> None:
    """Take a serializer out again."""
    for one in _order:
        if one.id == id:
            _order.remove(one)
            del _by_type[one.content_type]
            return
    raise ValueError(f"there is no serializer {id!r}")


def registered() -> tuple[Serializer, ...]:
    """All of them, in the order in which they are asked."""
    return tuple(_order)


def by_content_type(content_type: str) -> Serializer:
    """The serializer of a content type; ContentTypeError if there is none."""
    found = _by_type.get(content_type)
    if found is None:
        raise ContentTypeError(
            f"no serializer for content type {content_type!r}; there are "
            + ", ".join(sorted(_by_type))
        )
    return found


def part(obj: Any, name: str | None = None) -> Part:
    """One part: arrays get their type described, the rest speaks for itself."""
    if isinstance(obj, np.ndarray):
        return (obj, name, describe(obj.dtype))
    return (obj, name, None)


def _with(one: Serializer, obj: Any) -> Encoded:
    parts = [part(piece) for piece in one.serialize(obj)]
    number = NUMBERS.get(one.content_type, OTHER)
    return (number, one.content_type if number == OTHER else "", parts)


def _tensors(obj: Any) -> Encoded | None:
    """Arrays and dicts of named arrays need no serializer: tensors say what they are."""
    if isinstance(obj, (np.ndarray, np.generic)) and not isinstance(
        obj, np.ma.MaskedArray
    ):
        array = np.asarray(obj)
        return None if array.dtype.hasobject else (TENSORS, "", [part(array)])
    if type(obj) is dict and 0 < len(obj) <= _core.MAX_TENSORS:
        for key, value in obj.items():
            if type(key) is not str or not 0 < len(key) < 64 or "\0" in key:
                return None
            if type(value) is not np.ndarray or value.dtype.hasobject:
                return None
        return (TENSORS, "", [part(value, key) for key, value in obj.items()])
    return None


def encode(obj: Any, pickle: bool) -> Encoded:
    """`obj` cut into parts. The extension does plain arrays and bytes itself."""
    if type(obj) is As:
        one = by_content_type(obj.content_type)
        if one.pickle and not pickle:
            raise Unsupported(f"the arena does not allow {one.name}; see allow_pickle")
        return _with(one, obj.obj)
    found = _tensors(obj)
    if found is not None:
        return found
    why: Exception | None = None
    for one in _order:
        if (one.pickle and not pickle) or not one.supported(obj):
            continue
        try:
            return _with(one, obj)
        except Unsupported as error:
            why = why or error
    if isinstance(why, Unsupported):
        raise why
    if isinstance(obj, np.ndarray):
        describe(obj.dtype)  # says what is wrong with it
    raise Unsupported(
        f"no serializer takes a {type(obj).__module__}.{type(obj).__qualname__}"
        + ("" if pickle else "; arenas with allow_pickle=True take any object")
    )


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
    """By a serializer that no sender may turn against its receiver. Whatever is wrong
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
    if wanted == _OBJECTS and not message.pickle:
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
