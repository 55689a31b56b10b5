# SPDX-License-Identifier: MIT
"""SageMaker's contract with containers as a WSGI application.

    app = tensoring.sagemaker.application(model_fn=load)    # gunicorn app:app

Requests and answers are of the content types of SageMaker's SDK. Nothing is unpickled."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tensoring._arena.service import Service
from tensoring._options import U64, flag, refuse, seconds, whole
from tensoring._servers.current import server
from tensoring._servers.sagemaker.container import Container
from tensoring._servers.sagemaker.context import Context
from tensoring._servers.sagemaker.decode import decode
from tensoring._servers.sagemaker.encode import encode
from tensoring._servers.sagemaker.errors import RequestError
from tensoring._servers.sagemaker.functions import Function, Functions, called, checked
from tensoring._servers.sagemaker.headers import media
from tensoring._servers.sagemaker.loading import Loading
from tensoring._servers.sagemaker.models import Models

__all__ = ["Context", "RequestError", "application", "decode", "encode"]

_MIB = 1 << 20
_YES, _NO = ("true", "1"), ("false", "0", "")
_MAX_PAYLOAD = 6 * _MIB  # of InvokeEndpoint


def _max_payload(given: int | None) -> int:
    if given is not None:
        return whole("max_payload", given, 1, U64, ", or None")
    name = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
    text = os.environ.get(name)
    if not text:
        return _MAX_PAYLOAD
    if not text.isdecimal():
        refuse(ValueError, name, text, "give a whole number of MiB")
    return whole(name, int(text), 1, 1 << 20) * _MIB


def _several(given: bool | None) -> bool:
    if given is not None:
        return flag("multi_model", given)
    name = "SAGEMAKER_MULTI_MODEL"
    text = os.environ.get(name, "")
    if text.lower() not in _YES + _NO:
        refuse(ValueError, name, text, "give true or false")
    return text.lower() in _YES


def _default_accept() -> str:
    name = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
    text = os.environ.get(name, "")
    if text.strip() and media(text) is None:
        refuse(ValueError, name, text, "give a content type, as text/csv")
    return text


def application(
    model_fn: Function | None = None,
    input_fn: Function | None = None,
    predict_fn: Function | None = None,
    output_fn: Function | None = None,
    *,
    transform_fn: Function | None = None,
    service: str | Service | None = None,
    timeout: float = 60,
    model_dir: str | None = None,
    max_payload: int | None = None,
    multi_model: bool | None = None,
    max_models: int | None = None,
    local: bool = False,
) -> Callable[..., Any]:
    """A WSGI application that answers as SageMaker asks of a container.

    model_fn: model_fn(model_dir) gives the model. It runs once in each worker, in a
    thread, when application() is called; /ping is answered meanwhile, with 503, and other
    requests wait for it.
    service: in place of model_fn, a service, or the name of one in the arena of
    tensoring.server(). Requests call it; /ping is 200 while a process serves it. In
    functions, `model` is this service then.
    input_fn: input_fn(body, content_type) gives the data; without it decode() does. Text
    comes as str, other bodies as bytes; the content type has no parameters.
    predict_fn: predict_fn(data, model) gives the prediction; without it model.predict()
    does, or the model itself, or the service.
    output_fn: output_fn(prediction, accept) gives the body, or (body, content type); a
    body is bytes, str or an iterator of them, which is sent as it comes. Without it
    encode() does.
    transform_fn: in place of these three, transform_fn(model, body, content_type, accept)
    gives the body, or (body, content type).
    timeout: seconds that a request waits for the service, or for the model to be loaded.
    model_dir: what model_fn gets; by default SM_MODEL_DIR, or /opt/ml/model.
    max_payload: bytes of a body; by default SAGEMAKER_MAX_PAYLOAD_IN_MB, or 6 MiB.
    multi_model: /models loads and unloads models, model_fn(url) each of them; by default
    SAGEMAKER_MULTI_MODEL. The list is on a board in the arena of tensoring.server(), so
    that each worker sees it.
    max_models: how many at most; one more is refused with 507.
    local: POST /endpoints/NAME/invocations as SageMaker's runtime answers it, for tests
    with the SDK and AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME.

    A function with a parameter `context` gets the Context of the request. RequestError
    from a function goes to the client with its status and text; any other exception is
    500, and its traceback is in the log `tensoring.sagemaker` alone. All functions but
    model_fn are called by several threads at a time if the server has them."""
    if (model_fn is None) == (service is None):
        raise ValueError("give one of model_fn and service")
    if transform_fn is not None and (input_fn or predict_fn or output_fn):
        raise ValueError("transform_fn does what the other functions do; give one way")
    several = _several(multi_model)
    if several and service is not None:
        raise ValueError("a service is one model: multi_model needs a model_fn")
    if max_models is not None:
        whole("max_models", max_models, 1, U64, ", or None")
    if not isinstance(service, (str, Service, type(None))):
        refuse(TypeError, "service", service, "give a service or its name")
    functions = Functions(
        checked("input_fn", input_fn),
        checked("predict_fn", predict_fn),
        checked("output_fn", output_fn),
        checked("transform_fn", transform_fn),
        _default_accept(),
        seconds("timeout", timeout, "in which a request is answered"),
    )
    loads = checked("model_fn", model_fn)

    def load(where: str) -> Any:
        assert loads is not None
        made = called("model_fn", loads, where, context=Context())
        return functions.check_model(made)

    loading = None
    if loads is not None and not several:
        where = model_dir or os.environ.get("SM_MODEL_DIR") or "/opt/ml/model"
        loading = Loading(lambda: load(where))
    models = Models(server, load, max_models) if several else None
    limit = _max_payload(max_payload)
    return Container(functions, loading, service, models, limit, flag("local", local))
