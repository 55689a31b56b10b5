# SPDX-License-Identifier: MIT
"""Answers "NUMBER REPLY PID", the reply of the service that the test serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import tensoring as tr

service = tr.server().service("model")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    number = int(environ["QUERY_STRING"])
    body = f"{number} {service.call(number, timeout=60)} {os.getpid()}".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
