# SPDX-License-Identifier: MIT
"""Requests to tensoring.sagemaker.application(), as a WSGI server makes them."""

from __future__ import annotations

import io
import os
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import numpy as np

from tensoring import sagemaker

NPY = "application/x-npy"
JSON = "application/json"
CSV = "text/csv"
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"
PATIENCE = 30 * int(os.environ.get("TR_PATIENCE", "1"))


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def kind(self) -> str | None:
        return self.headers.get("Content-Type")


def ask(
    app: Any,
    path: str = "/invocations",
    body: bytes = b"",
    content_type: str | None = None,
    accept: str | None = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Reply:
    """One request; the standard library checks both sides of WSGI."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
    }
    if method not in ("GET", "HEAD"):
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
    if content_type is not None:
        environ["CONTENT_TYPE"] = content_type
    if accept is not None:
        environ["HTTP_ACCEPT"] = accept
    for name, value in (headers or {}).items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    for name, value in more.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name.replace("wsgi_", "wsgi.")] = value
    setup_testing_defaults(environ)
    seen: list[Any] = []

    def start_response(
        status: str, given: list[tuple[str, str]], info: Any = None
    ) -> Any:
        seen[:] = [status, given]
        return lambda data: None

    checked = validator(app) if "CONTENT_LENGTH" in environ or method != "POST" else app
    found = checked(environ, start_response)
    data = b"".join(found)
    if hasattr(found, "close"):
        found.close()
    assert b"Traceback" not in data
    status, given = seen
    return Reply(int(status.split()[0]), dict(given), data)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def read_npy(body: bytes) -> Any:
    return np.load(io.BytesIO(body))


def echo(**more: Any) -> Any:
    """The model gives back what it got."""
    return sagemaker.application(lambda where: lambda data: data, **more)


class Double:
    def predict(self, data: Any) -> Any:
        return np.asarray(data).sum(axis=1) * 2


def doubles() -> Any:
    """Twice the sum of each row."""
    return sagemaker.application(lambda where: Double())
