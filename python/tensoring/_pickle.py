# SPDX-License-Identifier: MIT
"""Any object, by pickle 5, with the bytes of arrays out of band in the slot.

Used only in arenas that were created with allow_pickle: a process that can write to such
an arena can run code in its readers. These serializers are the last to be asked."""

from __future__ import annotations

import copyreg
import importlib.util
import io
import pickle
from collections import ChainMap
from typing import Any

import numpy as np

from tensoring import _arrow as _arrow  # registered before these
from tensoring import _core
from tensoring import _formats as _formats
from tensoring import _frames as _frames
from tensoring import _sparse as _sparse
from tensoring import _trees as _trees
from tensoring.serializers import Array, Unsupported, register

_MOST_BUFFERS = _core.MAX_TENSORS // 4
NOT_PICKLABLE = (pickle.PicklingError, AttributeError, TypeError)


def _reduce_array(array: Array) -> Any:
    # NumPy puts the bytes of a strided array into the stream; packed ones stay outside.
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = np.ascontiguousarray(array)
    return array.__reduce_ex__(5)


_table: Any = ChainMap({np.ndarray: _reduce_array}, copyreg.dispatch_table)


def _dump(obj: Any) -> list[Any]:
    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    # The callback keeps a buffer outside by returning something false.
    pickler = pickle.Pickler(stream, 5, buffer_callback=buffers.append)
    pickler.dispatch_table = _table
    pickler.dump(obj)
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


def _dump_or_give_up(obj: Any) -> list[Any]:
    try:
        return _dump(obj)
    except NOT_PICKLABLE as error:
        hint = "" if importlib.util.find_spec("cloudpickle") else "; cloudpickle may help"
        raise Unsupported(
            f"cannot pickle {type(obj).__qualname__}: {error}{hint}"
        ) from error


def load(parts: list[Any]) -> Any:
    """What dump_any() made of an object; arrays look into the parts."""
    return pickle.loads(parts[0], buffers=parts[1:])


def load_copies(parts: list[Any]) -> Any:
    """The same, but with memory of its own."""
    return pickle.loads(parts[0], buffers=[bytearray(part) for part in parts[1:]])


def _cloud_dump(obj: Any) -> list[Any]:
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    stream = cloudpickle.dumps(obj, 5, buffer_callback=buffers.append)
    return [stream, *(buffer.raw() for buffer in buffers)]


def dump_any(obj: Any) -> list[Any]:
    """By pickle, or by cloudpickle if that is all that helps. Strided arrays inside go
    into the stream: making a pickler that avoids it costs more than small jobs take."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        stream = pickle.dumps(obj, 5, buffer_callback=buffers.append)
    except NOT_PICKLABLE:
        if importlib.util.find_spec("cloudpickle") is None:
            raise
        return _cloud_dump(obj)
    if len(buffers) > _MOST_BUFFERS:
        return [pickle.dumps(obj, 5)]
    return [stream, *(buffer.raw() for buffer in buffers)]


register(
    "PK",
    "pickle",
    "application/x-pickle",
    lambda obj: True,
    _dump_or_give_up,
    load,
    pickle=True,
)
register(
    "CP",
    "cloudpickle",
    "application/x-cloudpickle",
    lambda obj: importlib.util.find_spec("cloudpickle") is not None,
    _cloud_dump,
    load,
    pickle=True,
)
