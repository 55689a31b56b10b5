# SPDX-License-Identifier: MIT
"""Answers "NUMBER REPLY PID", the reply of a model of `tensoring serve`: for gunicorn as
app, for uvicorn as asgi. A request needs two replies: so models must outlive it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tensoring as tr

service = tr.server().service("model")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    number = int(environ["QUERY_STRING"])
    service.call(np.array([0]), timeout=60)
    reply = service.call(np.array([number]), timeout=60)
    body = f"{number} {reply[0]} {os.getpid()}".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    number = int(scope["query_string"])
    await service.call_async(np.array([0]), timeout=60)
    reply = await service.call_async(np.array([number]), timeout=60)
    body = f"{number} {reply[0]} {os.getpid()}".encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})
