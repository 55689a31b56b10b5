# SPDX-License-Identifier: MIT
"""The body of a request, as much of it as is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensoring._servers.sagemaker.errors import RequestError

_STEP = 1 << 20
# So much more of a body that is too long is read: a client that is still sending would
# see a broken connection, and not the answer.
_DRAINED = 16 << 20


def _chunks(stream: Any, length: int) -> bytes:
    """At most so many bytes."""
    found = []
    while length > 0:
        try:
            chunk = stream.read(min(length, _STEP))
        except Exception as error:  # servers have many ways to say that it is broken
            raise RequestError(
                f"the body cannot be read: {type(error).__name__}"
            ) from error
        if not chunk:
            break
        found.append(chunk)
        length -= len(chunk)
    return found[0] if len(found) == 1 else b"".join(found)


def _length(environ: Mapping[str, Any]) -> int | None:
    """None: it says nothing of it."""
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise RequestError(f"Content-Length is {text[:40]!r}; it must be a whole number")
    return int(text)


def _too_long(length: str, most: int) -> RequestError:
    return RequestError(
        f"the body has {length} bytes, more than the {most} that this endpoint takes; set"
        " SAGEMAKER_MAX_PAYLOAD_IN_MB, or max_payload= of application(), to change that",
        413,
    )


def body_of(environ: Mapping[str, Any], most: int) -> bytes:
    """All of the body, at most `most` bytes."""
    stream, length = environ["wsgi.input"], _length(environ)
    if length is None:
        if not environ.get("wsgi.input_terminated"):
            if "HTTP_TRANSFER_ENCODING" in environ:
                raise RequestError("send the body with its Content-Length", 411)
            return b""
        body = _chunks(stream, most + 1)
        if len(body) > most:
            _chunks(stream, _DRAINED)
            raise _too_long(f"more than {most}", most)
        return body
    if length > most:
        _drain(stream, min(length, most + _DRAINED))
        raise _too_long(str(length), most)
    body = _chunks(stream, length)
    if len(body) < length:
        raise RequestError(
            f"the body ends after {len(body)} bytes; Content-Length is {length}"
        )
    return body


def _drain(stream: Any, length: int) -> None:
    while length > 0:
        chunk = _chunks(stream, min(length, _STEP))
        if not chunk:
            break
        length -= len(chunk)
