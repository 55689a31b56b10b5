# SPDX-License-Identifier: MIT
"""The prediction is what came; CustomAttributes come back in capitals, "status=N" is an
error."""

from __future__ import annotations

from typing import Any

from tensoring import sagemaker


def predict_fn(data: Any, model: Any, context: sagemaker.Context) -> Any:
    asked = context.custom_attributes
    if asked.startswith("status="):
        raise sagemaker.RequestError("as asked", int(asked.partition("=")[2]))
    context.reply_attributes = asked.upper()
    return data


app = sagemaker.application(lambda where: None, predict_fn=predict_fn, local=True)
