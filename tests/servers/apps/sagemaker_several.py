# SPDX-License-Identifier: MIT
"""Models that multiply, and say which worker did it."""

from __future__ import annotations

import os
from typing import Any

from tensoring import sagemaker


def model_fn(url: str) -> Any:
    return lambda data: [float(url) * float(data), os.getpid()]


app = sagemaker.application(model_fn, multi_model=True, local=True)
