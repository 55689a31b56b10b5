# SPDX-License-Identifier: MIT
"""What a worker of a pool calls with the values of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Each:
    """function(value) for each value."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, values: list[Any]) -> list[Any]:
        return [self.function(value) for value in values]


class Star(Each):
    """function(*value) for each value."""

    def __call__(self, values: list[Any]) -> list[Any]:
        return [self.function(*value) for value in values]


class Apply(Each):
    """function(*args, **named) once; the values are the args, then the named ones."""

    def __init__(self, function: Callable[..., Any], names: tuple[str, ...]) -> None:
        super().__init__(function)
        self.names = names

    def __call__(self, values: list[Any]) -> list[Any]:
        split = len(values) - len(self.names)
        named = dict(zip(self.names, values[split:], strict=True))
        return [self.function(*values[:split], **named)]
