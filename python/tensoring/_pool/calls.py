# SPDX-License-Identifier: MIT
"""What a worker of a pool must call, and how it gets to know the function."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeAlias

import numpy as np

from tensoring._serial.pickles import NOT_PICKLABLE, dump_any, load

EACH, STAR, APPLY = range(3)
_KEEP = 64  # functions that a process remembers


# One function, for any number of jobs: the kind of call; the function, as the parts of a
# pickle, or itself; whether it went by its name, so that a worker may keep it; names of
# arguments.
Call: TypeAlias = tuple[int, Any, bool, tuple[str, ...]]


@functools.lru_cache(_KEEP)
def _by_name(function: Callable[..., Any]) -> list[bytes]:
    return [pickle.dumps(function, 5)]


def _has_name(function: Callable[..., Any]) -> bool:
    kind = type(function)
    if kind is BuiltinFunctionType:
        return type(function.__self__) is ModuleType  # type: ignore[attr-defined]
    return kind is FunctionType or kind is type


def _is_bare(function: Any) -> bool:
    """Whether it holds no object that an argument may be, too."""
    if type(function) is not functools.partial:
        return _has_name(function)
    return not function.keywords and all(map(_has_name, (function.func, *function.args)))


def call(kind: int, function: Callable[..., Any], names: tuple[str, ...] = ()) -> Call:
    """Pickle `function`, once for all jobs; by name if it has one. One that holds objects
    goes with the arguments of each job: what is one object stays one."""
    if not _is_bare(function):
        return (kind, function, False, names)
    if _has_name(function):
        try:
            return (kind, _by_name(function), True, names)
        except NOT_PICKLABLE:
            pass
    stream, *buffers = dump_any(function)
    arrays = [np.frombuffer(buffer, np.uint8) for buffer in buffers]
    return (kind, [stream, *arrays], False, names)


class Known:
    """The functions that a worker was told before."""

    def __init__(self) -> None:
        self._known: dict[bytes, Callable[..., Any]] = {}

    def function(self, parts: Any, by_name: bool) -> Callable[..., Any]:
        """The function in a pickle, unless it is there."""
        if type(parts) is not list:
            return parts  # type: ignore[no-any-return]
        if not by_name:
            return load(parts)  # type: ignore[no-any-return]
        found = self._known.get(parts[0])
        if found is None:
            if len(self._known) == _KEEP:
                self._known.clear()
            found = self._known[parts[0]] = load(parts)
        return found


def run(
    kind: int, function: Callable[..., Any], names: tuple[str, ...], values: list[Any]
) -> list[Any]:
    """What the values of a job give."""
    if kind == EACH:
        return [function(value) for value in values]
    if kind == STAR:
        return [function(*value) for value in values]
    split = len(values) - len(names)
    named = dict(zip(names, values[split:], strict=True))
    return [function(*values[:split], **named)]
