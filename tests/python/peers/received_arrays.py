# SPDX-License-Identifier: MIT
"""A plugin for pytest: NumPy's own tests of DLPack and of its file format, with arrays
that were received from an arena in place of those that they make."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tensoring as tr

SLOTS = [(4096, 512), (4 << 20, 32)]
MAKERS = ("arange", "zeros", "ones", "array", "asarray", "empty")
ARENA = tr.Arena(SLOTS, allow_pickle=True)
QUEUE = ARENA.queue("arrays")
SUBSCRIPTION = ARENA.broadcast("news").subscribe()


def by_queue(array: Any) -> Any:
    QUEUE.send(array)
    return QUEUE.receive(0)


def by_message(array: Any) -> Any:
    QUEUE.send({"x": array})
    return QUEUE.receive(0)["x"]


def by_tree(array: Any) -> Any:
    QUEUE.send([(array, 1)])
    return QUEUE.receive(0)[0][0]


WAYS = {"queue": by_queue, "message": by_message, "tree": by_tree}


class Numpy:
    """The package, but what it makes went a way."""

    def __init__(self, way: Any) -> None:
        self.way = way

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in MAKERS:
            return found

        @functools.wraps(found)
        def make(*args: Any, **kwargs: Any) -> Any:
            made = found(*args, **kwargs)
            return self.way(made) if type(made) is np.ndarray else made

        return make


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--way", default="queue")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    way = WAYS[config.getoption("--way")]
    for module in {item.module for item in items}:
        if hasattr(module, "roundtrip"):
            module.roundtrip = lambda array, write=module.roundtrip: write(way(array))
        else:
            module.np = Numpy(way)
