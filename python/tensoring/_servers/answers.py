# SPDX-License-Identifier: MIT
"""What a WSGI application lets out of a call gets an answer.

Many of our errors are also an OSError: what redis or a socket would raise. gunicorn takes
each OSError for one of its own connection, closes that without an answer, and does not
even log one that says EPIPE or ECONNRESET."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from tensoring._errors import Error

Application: TypeAlias = Callable[..., Iterable[bytes]]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Error as error:
        if isinstance(error, OSError):
            raise RuntimeError(f"the application let out {error!r}") from error
        raise


class _Body:
    """The parts of an answer that may be made only when they are asked for."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        with _told():
            yield from self._parts

    def close(self) -> None:
        """gunicorn calls it in any case."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            with _told():
                close()


def answered(application: Application) -> Application:
    """The application, whose errors gunicorn logs and answers with 500."""

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with _told():
            parts = application(environ, start_response)
        # gunicorn knows its own objects again: a file to send, and one that says that
        # somebody else has answered.
        file = environ.get("wsgi.file_wrapper", ())
        if isinstance(parts, (list, tuple, file)):
            return parts
        return _Body(parts) if isinstance(parts, Iterable) else parts

    return call
