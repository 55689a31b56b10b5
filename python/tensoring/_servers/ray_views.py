# SPDX-License-Identifier: MIT
"""Arrays that look into slots, on their way through Ray: by reference, without share().

Ray pickles an object once, before it knows who will read it. So a reference is what it
pickles for such an array, and a reader on another node fetches the bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray
from ray import cloudpickle

from tensoring._core import View
from tensoring._errors import Error
from tensoring._servers.ray_hold import for_a_channel, keep
from tensoring._servers.ray_node import node_id
from tensoring._servers.ray_objects import Block, Where, bytes_of, cells_of, give, loan

LEAST = 1 << 20  # bytes; for less, Ray's count of the references costs more than a copy

_least: int | None = None
_chosen = False
_before: Any = None  # what pickles arrays for Ray in this process, if not NumPy


def hand_over(least: int | None) -> None:
    """Let arrays of at least so many bytes travel by reference, or none (None)."""
    global _least, _chosen, _before
    _least, _chosen = least, True
    reducers = cloudpickle.CloudPickler.dispatch
    if least is not None and reducers.get(np.ndarray) is not _reduce:
        _before = reducers.get(np.ndarray)
        reducers[np.ndarray] = _reduce


def begin() -> None:
    """Do that in a process that takes part in its node's arena, if it has not chosen."""
    if not _chosen:
        hand_over(LEAST)


def _reduce(array: Any) -> Any:
    """Pickle an array for Ray."""
    if _least is not None and array.base is not None and array.nbytes >= _least:
        try:
            found = _reference(array)
        except (Error, ValueError):
            # No slot, no cell, or a thread has closed the arena: Ray carries it, as ever.
            found = None
        if found is not None:
            return found
    return array.__reduce_ex__(5) if _before is None else _before(array)


def _origin(array: Any) -> Any:
    """What the memory of an array belongs to."""
    one = array
    while True:
        if isinstance(one, np.ndarray):
            one = one.base
        elif type(one) is memoryview:
            one = one.obj
        else:
            return one


def _reference(array: Any) -> Any:
    """What is pickled instead of the array; None: it looks into no slot."""
    origin = _origin(array)
    if type(origin) is not Block and type(origin) is not View:
        return None
    if not _is_counted():
        return None
    if type(origin) is Block and origin.is_shared():
        return _part_of(origin, array)
    return _copied(array)


def _is_counted() -> bool:
    """Whether Ray counts the references in what it pickles now. It does not where it
    pickles a function, and in compiled graphs."""
    try:
        context = ray._private.worker.global_worker.get_serialization_context()
        return bool(context.is_in_band_serialization()) and not for_a_channel()
    except AttributeError:  # a later Ray, which has renamed it
        return False


def _bounds(array: Any) -> tuple[int, int]:
    """The addresses of its first byte, and behind its last; it has some."""
    low = high = array.__array_interface__["data"][0]
    for extent, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (extent - 1) * stride
        else:
            high += (extent - 1) * stride
    return low, high + array.itemsize


def _geometry(array: Any, address: int) -> tuple[Any, ...]:
    """dtype, shape, strides, and where its first element is from an address on."""
    first = array.__array_interface__["data"][0]
    return (array.dtype, array.shape, array.strides, first - address)


def _part_of(block: Block, array: Any) -> Any:
    """A reference to the cell that the array looks into already: nothing is copied."""
    address = block.array.__array_interface__["data"][0]
    low, high = _bounds(array)
    start, stop = low - address, high - address
    if start < 0 or stop > block.array.nbytes:  # made by other means than slicing
        return None
    return (_arrive, (block.where, block.token, start, stop, *_geometry(array, low)))


def _copied(array: Any) -> Any:
    """A reference to a cell of its own: what the array looks into may change, or be
    given back, while the reference lives."""
    cells = cells_of(node_id())
    assert cells is not None
    message = loan(cells, array.nbytes, 0)
    order: Any = "F" if array.flags.fnc else "C"
    copy = np.ndarray(array.shape, array.dtype, message.array(0), order=order)
    copy[...] = array
    geometry = _geometry(copy, _bounds(copy)[0])
    given = give(cells, message, 0)
    if given is None:
        return None
    where, token = given
    keep(token)
    return (_arrive, (where, token, 0, array.nbytes, *geometry))


def _arrive(
    where: Where,
    token: Any,
    start: int,
    stop: int,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
) -> Any:
    """What the array becomes where it is unpickled."""
    begin()
    found = bytes_of(where, token, start, stop)
    return np.ndarray(shape, dtype, found, offset, strides)
