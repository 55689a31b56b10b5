# SPDX-License-Identifier: MIT
"""How a stand-in carries any object.

An exact ndarray of a plain type and bytes go raw. Nested lists, tuples and dicts of these
and of plain values go as a tree, made and read by the extension. An object with anything
else in it goes by one pickle, whole, so that what is one object stays one. Each of the
three gives back what pickle would. What cannot be carried fails where it is sent."""

from __future__ import annotations

import itertools
from typing import Any

from tensoring._arena.queue import ArenaQueue
from tensoring._core import Message
from tensoring._serial.pickles import dump_any, load, load_copies
from tensoring._serial.registry import NUMBERS, Encoded

_PICKLE = NUMBERS["application/x-pickle"]


class Frozen:
    """An object as it was, encoded, in memory of its own."""

    __slots__ = ("encoded",)

    def __init__(self, obj: Any) -> None:
        parts = [(bytes(part), None, None) for part in dump_any(obj)]
        self.encoded: Encoded = (_PICKLE, "", list(parts))


def freeze(obj: Any) -> Frozen:
    """Encode `obj` now, for a send() later."""
    return Frozen(obj)


def send(
    queue: ArenaQueue, obj: Any, timeout: float | None = None, number: int = 0
) -> None:
    """Encode `obj`, unless it is Frozen, and send it. `number` is the correlation id."""
    if type(obj) is Frozen:
        queue._send_parts(obj.encoded, timeout)
    else:
        queue._send_carried(obj, dump_any, number, timeout)


def send_noted(queue: ArenaQueue, obj: Any, number: int, sent: list[None]) -> None:
    """Send it without waiting. That it is sent, and something in `sent`, are one call of
    C: a signal's handler may raise between two."""
    sent.extend(itertools.starmap(queue._send_carried, ((obj, dump_any, number, 0),)))


def open(message: Message, copy: bool = False) -> Any:
    """The object in a message. Its arrays look into the message, unless `copy`."""
    return message._open(load_copies if copy else load, copy)
