# SPDX-License-Identifier: MIT
"""The web application: it gives the body of a request to the model, and its answer back.
GET /direct?BYTES,COUNT times so many calls of the model without HTTP around them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import model
import ways

_way = ways.ALL[os.environ["BENCH_WAY"]]
_local = threading.local()


def _call() -> ways.Call:
    try:
        return _local.call
    except AttributeError:
        _local.call = _way.caller()
        return _local.call


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    call = _call()
    if environ["PATH_INFO"] == "/direct":
        said = json.dumps(direct(call, *map(int, environ["QUERY_STRING"].split(","))))
        body, kind = said.encode(), "application/json"
    else:
        length = int(environ["CONTENT_LENGTH"])
        body, kind = call(environ["wsgi.input"].read(length)), "application/octet-stream"
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def direct(call: ways.Call, nbytes: int, count: int) -> list[float]:
    """Seconds of each of so many calls that ask for no work."""
    tail = os.urandom(nbytes - 8)
    took = []
    for i in range(count):
        body = (model.ECHO + i).to_bytes(8, "little") + tail
        begin = time.perf_counter()
        said = call(body)
        took.append(time.perf_counter() - begin)
        if said != body[:8] + tail[-16:]:
            raise ValueError(f"another answer than that to call {i}")
    return took
