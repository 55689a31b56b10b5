# SPDX-License-Identifier: MIT
"""How much memory decoding one message may take.

A few bytes can stand for many: a compressed file, a list of rows that have no bytes, a
text that is cut out of the same place again and again. A decoder asks here *before* it
expands anything."""

from __future__ import annotations

from contextvars import ContextVar, Token

from tensoring._errors import FormatError

MAX_EXPANSION = 16  # of a handle that does not say otherwise
_SMALL = 1 << 20  # a small message may always take this much
OBJECT_BYTES = 112  # what a small array or container takes, about
_TEXTS = 8  # JSON and CSV may take this many times as much, all of a message together
# What objects take that begin with such a byte in a text, about; 28 for each quote.
_JSON = ((b"[", 96), (b"{", 72), (b":", 120), (b",", 40), (b'"', 28))
_MOST = 72  # the largest of a byte, if others are around it
_SHORT = 1 << 10  # not worth counting
_CSV = ((b"\n", 72), (b"\r", 72), (b",", 57))


class Allowance:
    """What is left of it for the message that is being decoded."""

    __slots__ = ("limit", "read", "spent", "trusted")

    def __init__(self, limit: int, trusted: bool = False) -> None:
        self.limit = limit
        self.spent = 0
        self.read = 0  # of the objects that texts were made into
        self.trusted = trusted  # the reader lets the sender run code anyway

    def spend(self, nbytes: int, what: str) -> None:
        """Count `nbytes` of memory; FormatError if the message may not take them."""
        self.spent += nbytes
        if self.spent > self.limit:
            raise FormatError(
                f"{what} would take {self.spent} bytes of memory, more than the"
                f" {self.limit} that this message may take; open the arena with a larger"
                " max_expansion if the sender is trusted"
            )

    def _read(self, text: bytes, costs: tuple[tuple[bytes, int], ...], kind: str) -> None:
        if len(text) < _SHORT:
            self.read += _MOST * len(text)
        else:
            self.read += len(text) + sum(text.count(byte) * cost for byte, cost in costs)
        if self.read > _TEXTS * self.limit:
            raise FormatError(
                f"the {kind} would take {self.read} bytes of memory, more than the"
                f" {_TEXTS * self.limit} that texts of this message may take; open the"
                " arena with a larger max_expansion if the sender is trusted"
            )

    def read_json(self, text: bytes) -> None:
        """Count the objects that this makes. A text may be in a message many times over:
        compressed, or as a part that a tree names again and again."""
        self._read(text, _JSON, "JSON")

    def read_csv(self, text: bytes) -> None:
        """The same for CSV."""
        self._read(text, _CSV, "CSV")

    def left(self) -> int:
        """How many bytes may still be taken."""
        return max(0, self.limit - self.spent)


_current: ContextVar[Allowance | None] = ContextVar("tensoring_allowance", default=None)


def allowance() -> Allowance:
    """That of the message that is being decoded; a small one if there is none."""
    return _current.get() or Allowance(_SMALL)


def allow(nbytes: int, max_expansion: int, trusted: bool) -> Token[Allowance | None]:
    """Begin to decode a message of `nbytes`; to be ended by end()."""
    return _current.set(Allowance(max(_SMALL, nbytes * max_expansion), trusted))


def end(token: Token[Allowance | None]) -> None:
    """What follows is not that message's any more."""
    _current.reset(token)
