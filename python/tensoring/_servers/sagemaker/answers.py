# SPDX-License-Identifier: MIT
"""Answers, and those that errors become. No client sees a traceback."""

from __future__ import annotations

import http
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tensoring._errors import (
    CODES,
    TEXTS,
    BusyError,
    ClosedError,
    Full,
    NoServerError,
    PeerDiedError,
    RemoteError,
    TimedOutError,
    TooLargeError,
)
from tensoring._servers.sagemaker.errors import RequestError

log = logging.getLogger("tensoring.sagemaker")
_TEXT = "text/plain; charset=utf-8"


@dataclass
class Answer:
    """What goes to the client."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    content_type: str = "text/plain"  # WSGI wants one, also of nothing
    headers: list[tuple[str, str]] = field(default_factory=list)

    def start(self, start_response: Callable[..., Any], head: bool) -> Iterable[bytes]:
        """Answer a server, as WSGI says."""
        headers = [*self.headers, ("Content-Type", self.content_type)]
        if isinstance(self.body, bytes):
            headers.append(("Content-Length", str(len(self.body))))
        start_response(f"{self.status} {phrase(self.status)}", headers)
        if head:
            return []
        return [self.body] if isinstance(self.body, bytes) else self.body


def phrase(status: int) -> str:
    """The words of a status."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def of_text(status: int, text: str) -> Answer:
    """A sentence for people."""
    return Answer(status, text.encode("utf-8", "backslashreplace"), _TEXT)


def of_json(value: Any, status: int = 200) -> Answer:
    """A value for programs."""
    return Answer(status, json.dumps(value).encode(), "application/json")


def _of_remote(error: RemoteError) -> RequestError | None:
    """A status that the process of the model has chosen."""
    if not 400 <= error.remote_code < 600:
        return None
    ours = f"call: {TEXTS[CODES['TR_EREMOTE']]}: "
    return RequestError(str(error).removeprefix(ours), error.remote_code)


def _known(error: BaseException) -> RequestError | None:
    """What has an answer of its own."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, NoServerError):
        return RequestError("no process serves the model now", 503, 1)
    if isinstance(error, BusyError):
        text = "the queue of the model is full"
        return RequestError(text, 503, math.ceil(error.retry_after))
    if isinstance(error, (Full, ClosedError)):
        return RequestError(
            "the queue of the model is full, or it is being stopped", 503, 1
        )
    if isinstance(error, TimedOutError):
        return RequestError("the model did not answer in time", 504)
    if isinstance(error, PeerDiedError):
        return RequestError("each process of the model that tried this died", 500)
    if isinstance(error, TooLargeError):
        return RequestError(
            f"the request is too large for the model's arena: {error}", 413
        )
    return _of_remote(error) if isinstance(error, RemoteError) else None


def of_error(error: BaseException, where: str) -> Answer:
    """What the client gets, and what the log."""
    known = _known(error)
    if known is None:
        log.error("%s failed", where, exc_info=error)
        text = (
            f"{where} failed with {type(error).__name__}; the log of the server says more"
        )
        return of_text(500, text)
    if known.status >= 500 and known.retry_after is None:
        log.warning(
            "%s: %s", where, error, exc_info=error if known.status == 500 else None
        )
    answer = of_text(known.status, str(known))
    if known.retry_after is not None:
        answer.headers.append(("Retry-After", str(known.retry_after)))
    return answer
