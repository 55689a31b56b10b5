# SPDX-License-Identifier: MIT
"""What the bytes of a body seem to be, for the texts of errors."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_SHOWN = 40
_LONGEST = 300
_LOOKED_AT = 1 << 16
_NUMBERS = re.compile(r"[\s,;+\-.0-9eE]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{16,}={0,2}")
_SAVED = "numpy.save()'s output (NumpySerializer makes it)"
_NPY = ("application/x-npy", "tensor/pt")
_NPZ = ("application/x-npz",)
_JSONS = ("application/json", "application/jsonlines", "application/list-text")


class Seems(NamedTuple):
    """What it is in words, what to send instead, and as which types it may be right."""

    words: str
    advice: str
    types: tuple[str, ...] = ()


_MAGIC = {
    b"\x93NUMPY": Seems("an .npy file", "send it as application/x-npy", _NPY),
    b"PK\x03\x04": Seems("a zip archive", "send .npz as application/x-npz", _NPZ),
    b"\x1f\x8b": Seems("compressed by gzip", "send it uncompressed"),
    b"\x28\xb5\x2f\xfd": Seems("compressed by zstandard", "send it uncompressed"),
    b"PAR1": Seems("a Parquet file", "send the table as text/csv"),
    b"ARROW1": Seems("an Arrow file", "send the table as text/csv"),
    b"\x89PNG": Seems("a PNG image", "send it as image/png"),
    b"\xff\xd8\xff": Seems("a JPEG image", "send it as image/jpeg"),
}
_EMPTY = Seems("nothing at all", "send the data as the body of the request")
_PICKLE = Seems(
    "a pickle, which is never loaded here: it could run any code",
    f"send an array as {_SAVED}, with Content-Type application/x-npy, other data as JSON",
)
_JSON = Seems("JSON", "send it with Content-Type application/json", _JSONS)
_CSV = Seems("numbers as text", "send them with Content-Type text/csv", ("text/csv",))
_BASE = Seems("text, perhaps base64", "decode it first, and send the bytes themselves")
_TEXT = Seems(
    "text",
    "send it with Content-Type text/plain, or text/csv if it is a table",
    ("text/plain", "text/csv", *_JSONS),
)


def _text(body: bytes) -> str | None:
    """The beginning, if it is text."""
    head = body[:_LOOKED_AT]
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) == len(body) or error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    return text if all(one.isprintable() or one.isspace() for one in text) else None


def _is_json(text: str, whole: bool) -> bool:
    stripped = text.strip()
    if not stripped or stripped[0] not in '[{"tfn':
        return False
    if not whole:
        return stripped[0] in "[{"
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):
        return False
    return True


def _seems_text(text: str, whole: bool) -> Seems:
    if _is_json(text, whole):
        return _JSON
    if _NUMBERS.fullmatch(text) and any(map(str.isdigit, text)):
        return _CSV
    return _BASE if _BASE64.fullmatch(text.strip()) else _TEXT


def _raw(length: int) -> Seems:
    size = next((one for one in (8, 4, 2) if length % one == 0), 0)
    words = "binary data"
    if size:
        words += f", perhaps {length // size} numbers of {size} bytes, as tobytes() gives"
    return Seems(
        words,
        f"raw bytes tell neither type nor shape: send {_SAVED}, with Content-Type"
        " application/x-npy",
    )


def seems(body: bytes) -> Seems:
    """What a body seems to be."""
    if not body:
        return _EMPTY
    for magic, found in _MAGIC.items():
        if body.startswith(magic):
            return found
    if body[0] == 0x80 and len(body) > 2 and 2 <= body[1] <= 5 and body.endswith(b"."):
        return _PICKLE
    text = _text(body)
    if text is None:
        return _raw(len(body))
    return _seems_text(text, len(body) <= _LOOKED_AT)


def shortened(text: str) -> str:
    """The beginning of a reason: those of others may quote all that was received."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def shown(body: bytes) -> str:
    """The beginning of a body, on one line."""
    text = _text(body[:_SHOWN])
    dots = "..." if len(body) > _SHOWN else ""
    if text is not None:
        return f"{text!a}{dots}"
    return body[:16].hex(" ") + ("..." if len(body) > 16 else "")


def received(body: bytes) -> str:
    """So many bytes, how they begin, and what they seem to be."""
    if not body:
        return f"received 0 bytes: {_EMPTY.words}"
    return (
        f"received {len(body)} bytes that begin with {shown(body)}: {seems(body).words}"
    )
