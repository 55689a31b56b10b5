# SPDX-License-Identifier: MIT
"""For processes that are killed at any time. A request "?NUMBER" is answered by "NUMBER
REPLY", or by one of the errors that the pages name, "NUMBER ERROR"; /ping as SageMaker
wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import tensoring as tr
import tensoring.sagemaker

STATUS = {
    tr.PeerDiedError: "502 Bad Gateway",
    tr.BusyError: "503 Service Unavailable",
    tr.TimedOutError: "504 Gateway Timeout",
}


class Model(tr.Model):
    """Twice the number and one, after some work in which it may be killed."""

    max_batch_size = 8

    def predict(self, batch: tr.Batch) -> Any:
        sum(range(200_000))
        return 2 * batch.x + 1


class Eater(Model):
    """Takes all the memory of its cgroup for a negative number. Files in the server's
    folder say which group that is, and whether it may load."""

    name = "model"

    def load(self) -> None:
        if Path("wait").exists():  # a FIFO, which opens when the test opens it
            Path("wait").read_bytes()
        Path(Path("group").read_text(), "cgroup.procs").write_text(str(os.getpid()))

    def predict(self, batch: tr.Batch) -> Any:
        eaten = []
        while (batch.x < 0).any():
            if len(eaten) == 512:
                raise MemoryError("the cgroup has no limit")
            eaten.append(b"x" * (1 << 20))
        return super().predict(batch)


ping = tensoring.sagemaker.application(service="model")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/ping":
        return ping(environ, start_response)
    number, status = int(environ["QUERY_STRING"]), "200 OK"
    try:
        service = tr.server().service("model")
        (reply,) = service.call(np.array([number]), timeout=60, need_room=True)
        body = f"{number} {reply}".encode()
    except tuple(STATUS) as error:
        status = next(STATUS[kind] for kind in STATUS if isinstance(error, kind))
        body = f"{number} {type(error).__name__}".encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
