# SPDX-License-Identifier: MIT
"""The model as an application of gunicorn's dirty workers."""

from __future__ import annotations

import os

from gunicorn.dirty import DirtyApp

import model


class Dirty(DirtyApp):
    def init(self) -> None:
        self._predict = model.slowed(float(os.environ["BENCH_MODEL_SECONDS"]))

    def answer(self, body: bytes) -> bytes:
        return model.answer(body, self._predict)

    def close(self) -> None:
        pass
