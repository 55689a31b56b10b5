# SPDX-License-Identifier: MIT
"""A received array handed on by DLPack: asked and answered as NumPy's own are."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import free

REQUESTS: list[dict[str, Any]] = [
    {},
    {"stream": None},
    {"stream": 1},
    {"copy": None},
    {"copy": False},
    {"copy": True},
    {"copy": 1},
    {"copy": "yes"},
    {"copy": np.zeros(2)},
    {"max_version": (1, 0)},
    {"max_version": (0, 8)},
    {"max_version": 1},
    {"dl_device": (1, 0)},
    {"dl_device": (2, 0)},
    {"dl_device": 1},
]


def received(queue: tr.ArenaQueue, array: Any) -> Any:
    queue.send(array)
    return queue.receive(0)


def outcome(obj: Any, request: dict[str, Any]) -> str:
    try:
        return repr(obj.__dlpack__(**request)).split(" at ")[0]
    except (RuntimeError, ValueError):
        return "refused"  # by which of them depends on NumPy's version
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_requests_are_answered_as_numpy_does(
    queue: tr.ArenaQueue, request_: dict[str, Any]
) -> None:
    array = received(queue, np.arange(5.0))
    assert outcome(array.base, request_) == outcome(np.arange(5.0), request_)


@pytest.mark.parametrize("version", [None, (1, 0)])
@pytest.mark.parametrize("shape", [(3, 4), (0, 2), ()])
def test_a_copy_has_memory_of_its_own(
    arena: tr.Arena, queue: tr.ArenaQueue, shape: tuple[int, ...], version: Any
) -> None:
    before = free(arena)
    array = received(queue, np.ones(shape, order="F"))
    unused = array.base.__dlpack__(copy=True, max_version=version)
    copy = np.from_dlpack(array.base, copy=True)
    array[...] = 7
    assert (copy == 1).all()
    assert copy.shape == shape
    assert copy.flags.writeable
    del array, unused
    gc.collect()
    assert free(arena) == before
    copy[...] = 2
    assert copy.sum() == 2 * copy.size


def test_no_copy_looks_into_the_slot(queue: tr.ArenaQueue) -> None:
    array = received(queue, np.arange(5.0))
    for copy in (None, False):
        assert np.may_share_memory(array, np.from_dlpack(array.base, copy=copy))


def test_a_copy_of_what_is_read_only_may_be_written(arena: tr.Arena) -> None:
    board = arena.board("b")
    board["x"] = np.arange(5.0)
    array = board["x"]
    assert not np.from_dlpack(array.base).flags.writeable
    assert np.from_dlpack(array.base, copy=True).flags.writeable


class Releasing:
    """Truth that lets go of what it is asked for."""

    def __init__(self, message: Any) -> None:
        self.message = message

    def __bool__(self) -> bool:
        self.message.release()
        return True


def test_what_is_asked_for_may_release_the_message(queue: tr.ArenaQueue) -> None:
    queue.send(np.arange(5.0))
    message = queue.receive_message(0)
    view = message.view(0)
    with pytest.raises((ValueError, BufferError)):
        view.__dlpack__(copy=Releasing(message))
