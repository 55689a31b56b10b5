# SPDX-License-Identifier: MIT
"""Content-Type and Accept, as RFC 9110 writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*")
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*(?:({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*'
)
_COMMA = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_LONGEST = 1024  # SageMaker's own limit
ANY = "*/*"


class Media(NamedTuple):
    """`text/csv; charset=utf-8`: the type in small letters, and its parameters."""

    type: str
    parameters: dict[str, str]


def _value(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def media(text: str) -> Media | None:
    """None: it is no media type."""
    found = _TYPE.match(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    kind, parameters = found[1].lower(), {}
    while found.end() < len(text):
        found = _PARAMETER.match(text, found.end())
        if found is None:
            return None
        if found[1] is not None:
            parameters[found[1].lower()] = _value(found[2])
    return Media(kind, parameters)


class Range(NamedTuple):
    """Types that a client accepts, and how gladly: 0 is not at all."""

    type: str
    quality: float

    def has(self, kind: str) -> bool:
        """Whether a type is one of them."""
        if self.type.endswith("/*"):
            return self.type == ANY or kind.startswith(self.type[:-1])
        return kind == self.type


def _quality(parameters: dict[str, str]) -> float:
    try:
        number = float(parameters.get("q", "1"))
    except ValueError:
        return 1.0
    return min(1.0, max(0.0, number)) if math.isfinite(number) else 1.0


def _ranges(header: str) -> Iterator[Range]:
    for piece in _COMMA.findall(header[: _LONGEST + 1]):
        found = media(piece)
        if found is not None:
            yield Range(found.type, _quality(found.parameters))


class Accept:
    """The types that a client accepts, the best first."""

    def __init__(self, header: str, otherwise: str = "") -> None:
        """`otherwise` counts where the header says nothing, or only */*."""
        found = list(_ranges(header))
        if otherwise and all(one.type == ANY and one.quality for one in found):
            found = [Range(otherwise.strip().lower(), 1.0), Range(ANY, 0.001)]
        self._ranges = found or [Range(ANY, 1.0)]
        # What is no media type at all is not what anybody can be given.
        self.header = header
        self.broken = bool(header.strip()) and not found

    def quality(self, kind: str) -> float:
        """That of the most specific range that has the type."""
        having = [one for one in self._ranges if one.has(kind)]
        if not having:
            return 0.0
        return max(having, key=lambda one: (not one.type.endswith("*"), len(one.type)))[1]

    def order(self, usual: list[str]) -> list[str]:
        """Types to try: those that are named, and of `usual` those that are meant."""
        found: dict[str, None] = {}
        for one in sorted(self._ranges, key=lambda one: -one.quality):
            here = usual if one.type.endswith("/*") else [one.type]
            found |= {kind: None for kind in here if one.has(kind)}
        return [kind for kind in found if self.quality(kind) > 0]

    def best(self) -> str:
        """The one that a function of the user is told of."""
        named = [one for one in self._ranges if not one.type.endswith("/*")]
        named = [one for one in named if one.quality > 0]
        return max(named, key=lambda one: one.quality).type if named else ANY
