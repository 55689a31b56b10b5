# SPDX-License-Identifier: MIT
"""Answers that are errors."""

from __future__ import annotations

import contextlib

from tensoring import _core
from tensoring._errors import Error

FAILED = 1  # the code of a server function that raised
DAMAGED = 64  # so many damaged requests in a row are more than a bad requester


def described(error: BaseException) -> str:
    """As its requester reads it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # it has no text
        return type(error).__name__


def refuse(request: _core.Message, text: str, code: int = FAILED) -> None:
    """Answer with an error. Its text may quote the request, and be none that can be sent;
    the request may say that it came from nowhere. Serving goes on."""
    said = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
    with contextlib.suppress(Error):
        request.reply_error(code, said)
