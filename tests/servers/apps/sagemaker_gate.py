# SPDX-License-Identifier: MIT
"""A model that is loaded, and a prediction that is made, when the test opens a pipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tensoring import sagemaker


def model_fn(where: str) -> Any:
    Path("load").read_bytes()
    Path(f"loaded.{os.getpid()}").touch()
    return os.getpid()


def predict_fn(data: str, model: int) -> Any:
    Path(f"asked.{data}").touch()
    Path("answer").read_bytes()
    return [data, model]


app = sagemaker.application(model_fn, predict_fn=predict_fn)
