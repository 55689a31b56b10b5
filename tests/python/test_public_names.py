# SPDX-License-Identifier: MIT
"""What help(), an editor and a traceback show of the public names."""

from __future__ import annotations

import importlib
import inspect
import pickle
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import tensoring as tr
from tensoring._arena.options import ArenaOptions

PUBLIC = {name: getattr(tr, name) for name in tr.__all__ if not name.startswith("_")}
CLASSES = {name: one for name, one in PUBLIC.items() if isinstance(one, type)}
EXCEPTIONS = {
    name: one for name, one in CLASSES.items() if issubclass(one, (Exception, Warning))
}
# They pass on what the caller's own function takes.
PASS_ON = ("Executor.submit", "Executor.map")


def calls() -> Iterator[tuple[str, Any]]:
    for name, one in PUBLIC.items():
        if inspect.ismodule(one) or one is tr.Stats or name in EXCEPTIONS:
            continue
        if callable(one):
            yield name, one
        for part in dir(one) if name in CLASSES else ():
            if not part.startswith("_") and inspect.isroutine(getattr(one, part)):
                yield f"{name}.{part}", getattr(one, part)


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, Any] = {}
    exec("from tensoring import *", names)
    assert PUBLIC.keys() <= names.keys()


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_has_a_docstring(name: str) -> None:
    if callable(PUBLIC[name]) or inspect.ismodule(PUBLIC[name]):
        assert inspect.getdoc(PUBLIC[name])


@pytest.mark.parametrize("module", [tr, tr.serializers], ids=lambda one: one.__name__)
def test_none_names_a_private_module(module: ModuleType) -> None:
    for name in module.__all__:
        one = getattr(module, name)
        assert "._" not in getattr(one, "__module__", ""), name
        if isinstance(one, type):
            assert getattr(importlib.import_module(one.__module__), name) is one
            assert pickle.loads(pickle.dumps(one)) is one


@pytest.mark.parametrize(("name", "call"), calls(), ids=lambda one: str(one)[:40])
def test_each_call_says_what_it_takes(name: str, call: Any) -> None:
    assert inspect.getdoc(call)
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert name in PASS_ON or "ArenaOptions" in parameter.annotation, parameter


def test_options_that_are_passed_on_are_those_of_an_arena() -> None:
    taken = set(inspect.signature(tr.Arena).parameters) - {"slots", "name"}
    assert set(ArenaOptions.__annotations__) == taken


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_an_exception_has_its_public_name(name: str) -> None:
    error = EXCEPTIONS[name]("why")
    shown = "".join(traceback.format_exception_only(error))
    assert shown == f"tensoring.{name}: why\n"
    assert b"tensoring._" not in pickle.dumps(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is EXCEPTIONS[name]
    assert str(again) == "why"
