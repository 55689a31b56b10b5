# SPDX-License-Identifier: MIT
"""A process of the model, and the model as an application of a server of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import model
import ways

_predict = model.slowed(float(os.environ["BENCH_MODEL_SECONDS"]))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    said = model.answer(body, _predict)
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]


if __name__ == "__main__":
    ways.ALL[os.environ["BENCH_WAY"]].serve(_predict, lambda: print("ready", flush=True))
