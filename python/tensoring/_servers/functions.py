# SPDX-License-Identifier: MIT
"""Functions that a server calls once: given themselves, or by "module:function"."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

from tensoring._arena.arena import Arena
from tensoring._options import refuse

Function: TypeAlias = Callable[[Arena], object]


def _module(option: str, what: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # one that it imports itself
        refuse(ImportError, option, what, f"there is no module {error.name} on sys.path")


def _found(option: str, what: object, way: str) -> Any:
    """What "module:name" means."""
    module, colon, path = what.partition(":") if isinstance(what, str) else ("", "", "")
    if not (module and colon and path):
        refuse(ValueError, option, what, way)
    found: Any = _module(option, str(what), module)
    for name in path.split("."):
        if not hasattr(found, name):
            refuse(AttributeError, option, what, f"{module} has no {path}")
        found = getattr(found, name)
    return found


def function_of(option: str, what: str | Function) -> Function:
    """A function, given itself or as "module:name"."""
    if callable(what):
        return what
    found = _found(option, what, 'give a function, or "module:function"')
    if not callable(found):
        refuse(TypeError, option, what, "it is no function")
    checked: Function = found
    return checked


def class_of(option: str, what: str | type[Any], base: type[Any], known: str) -> Any:
    """A class derived from `base`, which is `known` by this name; given itself or as
    "module:Class"."""
    found = what
    if not isinstance(what, type):
        found = _found(option, what, 'give a class, or "module:Class"')
    if not (isinstance(found, type) and issubclass(found, base)):
        refuse(TypeError, option, what, f"it is no class derived from {known}")
    return found


def key_of(what: str | Function) -> str:
    """The name by which all workers know the same function."""
    if isinstance(what, str):
        return what
    return f"{what.__module__}:{what.__qualname__}"


def call_once(arena: Arena, option: str, what: str | Function) -> None:
    """Call it in one of all processes of the arena."""
    function = function_of(option, what)
    arena.once(key_of(what), lambda: function(arena))
