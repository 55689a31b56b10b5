# SPDX-License-Identifier: MIT
"""What to send instead of objects that have no raw form."""

from __future__ import annotations

from typing import Any

# Names of classes, that no package is imported for them.
_WAYS = {
    "builtins.set": "a list of its elements",
    "builtins.frozenset": "a list of its elements",
    "builtins.complex": "a numpy.complex128",
    "builtins.range": "a list or an array",
    "builtins.slice": "a tuple of its start, stop and step",
    "builtins.BaseException": "its text",
    "array.array": "numpy.asarray() of it",
    "collections.deque": "a list of its elements",
    "datetime.datetime": "its isoformat() or a numpy.datetime64",
    "datetime.date": "its isoformat() or a numpy.datetime64",
    "datetime.time": "its isoformat()",
    "datetime.timedelta": "its total_seconds() or a numpy.timedelta64",
    "decimal.Decimal": "str() of it",
    "enum.Enum": "its name or value",
    "fractions.Fraction": "str() of it",
    "pathlib.PurePath": "str() of it",
    "uuid.UUID": "str() of it",
    "pandas.Series": "its to_frame() or to_numpy()",
    "pandas.Index": "its to_frame() or to_numpy()",
    "pandas.Categorical": "its codes and its categories",
}


def instead_of(obj: Any) -> str:
    """What to send in place of an object, or of one of its kind; "": it is not known."""
    for kind in type(obj).__mro__:
        module = "pathlib" if kind.__module__.startswith("pathlib.") else kind.__module__
        if module.startswith("pandas."):
            module = "pandas"
        way = _WAYS.get(f"{module}.{kind.__qualname__}")
        if way is not None:
            return way
    return ""


def a(kind: str) -> str:
    """The kind, with its article."""
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
