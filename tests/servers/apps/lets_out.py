# SPDX-License-Identifier: MIT
"""Lets out the error that the query names, while it is called, or while its body is made
(the path is /body)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensoring as tr


def _fail(environ: dict[str, Any]) -> bytes:
    raise getattr(tr, environ["QUERY_STRING"])("let out on purpose")


def _body(environ: dict[str, Any]) -> Iterator[bytes]:
    yield _fail(environ)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/body":
        return _body(environ)
    return [_fail(environ)]
