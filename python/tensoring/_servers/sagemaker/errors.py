# SPDX-License-Identifier: MIT
"""What a request is answered with instead of a prediction."""

from __future__ import annotations

from tensoring._options import whole


class RequestError(Exception):
    """The answer to a request that is refused: an HTTP status from 400 to 599 and a text,
    which the client gets as it is. `retry_after`: seconds after which it may work."""

    def __init__(
        self, text: str, status: int = 400, retry_after: int | None = None
    ) -> None:
        super().__init__(text)
        self.status = whole("status", status, 400, 599)
        self.retry_after = retry_after


def unsupported(text: str) -> RequestError:
    """The content type of a request."""
    return RequestError(text, 415)


def not_acceptable(text: str) -> RequestError:
    """What a request accepts."""
    return RequestError(text, 406)


def busy(text: str) -> RequestError:
    """It may work a second later."""
    return RequestError(text, 503, 1)
