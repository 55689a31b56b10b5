# SPDX-License-Identifier: MIT
"""Any object, by pickle 5, with the bytes of arrays out of band in the slot.

Used only in arenas that were created with allow_pickle: a process that can write to such
an arena can run code in its readers."""

from __future__ import annotations

import copyreg
import importlib.util
import io
import pickle
import sys
from collections import ChainMap
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from tensoring import _core
from tensoring._serial import arrays, torch_pickle
from tensoring._serial.literals import is_swapped_ml
from tensoring._serial.registry import Array, Serializer, UnsupportedError

_MOST_BUFFERS = _core.MAX_TENSORS // 4
_LEAST_BUFFER = 256  # bytes; a tensor of its own takes as many
NOT_PICKLABLE = (pickle.PicklingError, AttributeError, TypeError)


def _reduce_array(array: Array) -> Any:
    # NumPy puts the bytes of a strided array into the stream; packed ones stay outside.
    if is_swapped_ml(array.dtype):  # NumPy's way changes the type for the whole process
        head, data = arrays.dump(array)
        return arrays.rebuild, (head, pickle.PickleBuffer(data))
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    if not array.flags.writeable:
        # Protocol 5 would give one that is not; multiprocessing gives one that is.
        array = array.copy("K")
    return array.__reduce_ex__(5)


class _Reducers:
    """How the pickler takes objects apart: multiprocessing's ways (sockets, connections),
    copyreg's, and ours. One that is added later counts from the next pickle on."""

    def __init__(self) -> None:
        self.made_of: tuple[Any, ...] = ()
        self.table: dict[type, Any] = {}

    def __call__(self) -> dict[type, Any]:
        theirs: Any = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
        tensor = getattr(sys.modules.get("torch"), "Tensor", None)  # if loaded in full
        parts = (copyreg.dispatch_table, theirs, tensor)
        if parts != self.made_of:
            self.table = {**copyreg.dispatch_table, **theirs, np.ndarray: _reduce_array}
            if tensor is not None:
                torch_pickle.add_reducers(self.table)
            self.made_of = (dict(parts[0]), dict(theirs), tensor)
        return self.table


_reducers = _Reducers()


class _Buffers(list[Any]):
    """The buffers of a pickle that stay outside of its stream."""

    def keep(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether the buffer goes into the stream."""
        raw = buffer.raw()
        if raw.nbytes < _LEAST_BUFFER or len(self) == _MOST_BUFFERS:
            return True
        self.append(raw)
        return False


def _dump(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    buffers = _Buffers()
    pickler = pickle.Pickler(stream, 5, buffer_callback=buffers.keep)
    pickler.dispatch_table = _reducers()
    pickler.dump(obj)
    return [stream.getvalue(), *buffers]


def _cloud_dump(obj: Any) -> list[Any]:
    import cloudpickle

    stream = io.BytesIO()
    buffers = _Buffers()
    pickler = cloudpickle.Pickler(stream, 5, buffer_callback=buffers.keep)
    pickler.dispatch_table = ChainMap(_reducers(), cloudpickle.Pickler.dispatch_table)
    pickler.dump(obj)
    return [stream.getvalue(), *buffers]


def dump_any(obj: Any) -> list[Any]:
    """A pickle of `obj`, then its buffers. By cloudpickle if that is all that helps."""
    try:
        return _dump(obj)
    except NOT_PICKLABLE:
        if importlib.util.find_spec("cloudpickle") is None:
            raise
        return _cloud_dump(obj)


def dump_or_refuse(obj: Any) -> list[Any]:
    """The same, for arenas: one kind of error says what cannot be carried."""
    try:
        return dump_any(obj)
    except NOT_PICKLABLE as error:
        hint = "" if importlib.util.find_spec("cloudpickle") else "; cloudpickle may help"
        raise UnsupportedError(
            f"cannot pickle {type(obj).__qualname__}: {error}{hint}"
        ) from error


def load(parts: list[Any]) -> Any:
    """What dump_any() made of an object; arrays look into the parts."""
    return pickle.loads(parts[0], buffers=parts[1:])


def load_copies(parts: list[Any]) -> Any:
    """The same, but with memory of its own."""
    return pickle.loads(parts[0], buffers=[bytearray(part) for part in parts[1:]])


PICKLE = Serializer(
    "PK",
    "pickle",
    "application/x-pickle",
    lambda obj: True,
    dump_or_refuse,
    load,
    pickle=True,
)
CLOUDPICKLE = Serializer(
    "CP",
    "cloudpickle",
    "application/x-cloudpickle",
    lambda obj: importlib.util.find_spec("cloudpickle") is not None,
    _cloud_dump,
    load,
    pickle=True,
)
