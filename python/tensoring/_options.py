# SPDX-License-Identifier: MIT
"""Checks of options: an error names the option, what it is, and what it may be."""

from __future__ import annotations

import grp
import math
import operator
import pwd
import reprlib
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn

import numpy as np

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
MOST_FD = (1 << 31) - 1
_LONGEST_SPIN = 1 << 62  # nanoseconds
_BY_NAME = ", or a name"
SLOTS = "give slots as [(bytes, count), ...]"


def refuse(kind: type[Exception], name: str, value: Any, way: str) -> NoReturn:
    """Raise it."""
    raise kind(f"{name} is {reprlib.repr(value)}; {way}") from None


def refused(error: BaseException) -> bool:
    """Whether refuse() has raised it, so that its text alone says all."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code is refuse.__code__


def whole(name: str, value: Any, least: int, most: int, otherwise: str = "") -> int:
    """`value`, if it is a whole number in this range."""
    way = f"give a whole number from {least} to {most}{otherwise}"
    try:
        number = operator.index(value)
    except TypeError:
        refuse(TypeError, name, value, way)
    if not least <= number <= most:
        refuse(ValueError, name, number, way)
    return number


def flag(name: str, value: Any) -> bool:
    """`value`, if it is True or False; 1 and 0 are."""
    if not isinstance(value, int | np.bool_):
        refuse(TypeError, name, value, "give True or False")
    if value not in (0, 1):
        refuse(ValueError, name, value, "give True or False")
    return bool(value)


def text(name: str, value: Any, otherwise: str = "") -> str:
    """`value`, if it is a str."""
    if not isinstance(value, str):
        refuse(TypeError, name, value, f"give a str{otherwise}")
    if "\0" in value:
        refuse(ValueError, name, value, "give a str without NUL")
    return value


def one_of(name: str, value: Any, choices: Collection[str]) -> str:
    """`value`, if it is one of these."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name} is one of {', '.join(choices)}, not {reprlib.repr(value)}"
        )
    return value


def seconds(name: str, value: Any, otherwise: str) -> float:
    """`value`, if it is a number from 0 on."""
    way = f"it must be 0 or more seconds, {otherwise}"
    try:
        number = float(value) if not isinstance(value, str) else None
    except (TypeError, ValueError):
        number = None
    except OverflowError:
        number = math.inf
    if number is None:
        refuse(TypeError, name, value, way)
    if not number >= 0:
        refuse(ValueError, name, value, way)
    return number


def pairs(slots: Any) -> list[tuple[int, int]]:
    """Size classes: [(bytes, count), ...]."""
    if isinstance(slots, str) or not isinstance(slots, Iterable):
        refuse(TypeError, "slots", slots, f"{SLOTS}, or None")
    given, found = list(slots), []
    for pair in given:
        try:
            size, count = pair
        except (TypeError, ValueError):
            refuse(TypeError, "slots", given, SLOTS)
        size = whole("bytes_of_a_slot", size, 0, U64)
        found.append((size, whole("count_of_slots", count, 0, U64)))
    if not found:
        raise ValueError("slots is empty; give [(bytes, count), ...], or None")
    return found


def expansion(value: int) -> int:
    """How many times its size a message may take."""
    return whole("max_expansion", value, 1, U32)


def spin_ns(spin: float | None, what: str) -> int:
    """For the extension; -1 adapts."""
    if spin is None:
        return -1
    return int(min(seconds(what, spin, "or None to adapt") * 1e9, _LONGEST_SPIN))


def fit(most: int, **numbers: int) -> None:
    """Whole numbers from 0."""
    for name, number in numbers.items():
        whole(name, number, 0, most)


def _id_of(option: str, value: int | str, look_up: Callable[[str], int]) -> int:
    if isinstance(value, str):
        try:
            return look_up(value)
        except (KeyError, ValueError):
            whose = "group" if option == "gid" else "user"
            raise ValueError(f"{option}: there is no {whose} {value!r}") from None
    return whole(option, value, 0, U32 - 1, _BY_NAME)  # U32 is the caller's own


def user_id(user: int | str, option: str) -> int:
    """A user by number or name."""
    return _id_of(option, user, lambda name: pwd.getpwnam(name).pw_uid)


def group_id(group: int | str) -> int:
    """A group by number or name."""
    return _id_of("gid", group, lambda name: grp.getgrnam(name).gr_gid)
