# SPDX-License-Identifier: MIT
"""The container contract of SageMaker, in process; tests/servers has the real SDK."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from endpoint import (
    CSV,
    CUSTOM,
    JSON,
    NPY,
    PATIENCE,
    Double,
    Reply,
    ask,
    doubles,
    echo,
    npy,
    read_npy,
)
from tensoring import sagemaker
from tensoring._servers import current


@pytest.fixture
def arena() -> Iterator[tr.Arena]:
    """That of the server which this process belongs to."""
    with tr.Arena(slots=[(4096, 64), (1 << 20, 8)]) as made:
        current.set_current(made)
        yield made
        current.set_current(None)


# ---- what a container is asked


def test_ping_answers_while_a_model_loads() -> None:
    go = threading.Event()

    def load(where: str) -> Any:
        assert go.wait(PATIENCE)
        return Double()

    app = sagemaker.application(load, timeout=PATIENCE)
    assert ask(app, "/ping", method="GET")[::2] == (503, b"the model is not loaded")
    waiting: list[Reply] = []
    thread = threading.Thread(
        target=lambda: waiting.append(ask(app, body=b"1,2", content_type=CSV, accept=CSV))
    )
    thread.start()
    assert ask(app, "/ping", method="GET").status == 503
    go.set()
    thread.join()
    assert waiting[0][::2] == (200, b"6.0\n")
    assert ask(app, "/ping", method="GET")[::2] == (200, b"")
    assert ask(app, "/ping", method="HEAD").status == 200


def test_a_request_that_finds_no_model_in_time() -> None:
    go = threading.Event()
    app = sagemaker.application(lambda where: go.wait(PATIENCE) and Double(), timeout=0)
    reply = ask(app, body=b"1", content_type=CSV)
    go.set()
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert reply.text == "the model is still being loaded"


def test_a_model_that_cannot_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    def load(where: str) -> Any:
        raise LookupError(f"nothing in {where}")

    app = sagemaker.application(load, model_dir="/nowhere")
    reply = ask(app, body=b"1", content_type=CSV)
    assert reply.status == 503
    assert "nothing" not in reply.text
    assert ask(app, "/ping", method="GET").status == 503
    assert "nothing in /nowhere" in caplog.text


def test_a_model_without_predict(caplog: pytest.LogCaptureFixture) -> None:
    app = sagemaker.application(lambda where: 5)
    assert ask(app, body=b"1", content_type=CSV).status == 503
    assert "give a predict_fn" in caplog.text


def test_a_fork_waits_for_the_model() -> None:
    go = threading.Event()
    loads: list[str] = []

    def load(where: str) -> Any:
        assert go.wait(PATIENCE)
        loads.append(where)
        return Double()

    app = sagemaker.application(load)
    threading.Timer(0.05, go.set).start()
    pid = os.fork()
    if pid == 0:
        good = loads and ask(app, body=b"1,2", content_type=CSV, accept=CSV).body
        os._exit(0 if good == b"6.0\n" else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_compressed_body() -> None:
    def answer(coding: str, **functions: Any) -> Any:
        app = sagemaker.application(lambda where: bytes, **functions)
        headers = {"Content-Encoding": coding}
        kind = "application/octet-stream"
        return ask(app, body=b"x", content_type=kind, headers=headers)

    assert answer("identity").body == b"x"
    refused = answer("gzip")
    assert (refused.status, "send the body as it is" in refused.text) == (415, True)
    assert answer("gzip", input_fn=lambda body, kind: body).body == b"x"


def test_a_model_whose_other_threads_fork() -> None:
    """A pool does so for a worker that ends; the model waits for that."""

    def fork() -> None:
        if (pid := os.fork()) == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def load(where: str) -> Any:
        thread = threading.Thread(target=fork, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return str

    app = sagemaker.application(load)
    assert ask(app, body=b"x", content_type="text/plain").body == b"x"


def test_the_directory_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(data: Any) -> Any:
        return data

    seen: list[str] = []
    for given, variable in ((None, ""), (None, "/b"), ("/a", "/b")):
        monkeypatch.setenv("SM_MODEL_DIR", variable)
        app = sagemaker.application(
            lambda where: seen.append(where) or model, model_dir=given
        )
        assert ask(app, body=b"x", content_type="text/plain").body == b"x"
    assert seen == ["/opt/ml/model", "/b", "/a"]


OTHER_PATHS_AND_METHODS: list[Any] = [
    ("GET", "/", 404),
    ("POST", "/nowhere", 404),
    ("GET", "/models", 404),
    ("POST", "/models/x/invoke", 404),
    ("POST", "/endpoints/x/invocations", 404),
    ("POST", "/ping", 405),
    ("GET", "/invocations", 405),
    ("DELETE", "/invocations", 405),
    ("GET", "/ping/x", 404),
]


def test_other_paths_and_methods() -> None:
    app = doubles()
    for method, path, status in OTHER_PATHS_AND_METHODS:
        reply = ask(app, path, method=method)
        assert reply.status == status
        assert ("Allow" in reply.headers) == (status == 405)


# ---- functions of the user


def test_each_function_gets_what_it_should() -> None:
    seen: list[Any] = []

    def input_fn(body: Any, content_type: str) -> Any:
        seen.append((body, content_type))
        return "data"

    def predict_fn(data: Any, model: Any) -> Any:
        seen.append((data, model))
        return "made"

    def output_fn(prediction: Any, accept: str) -> Any:
        seen.append((prediction, accept))
        return "body"

    app = sagemaker.application(lambda where: "model", input_fn, predict_fn, output_fn)
    reply = ask(
        app,
        body="ä".encode("latin-1"),
        content_type="Text/CSV; charset=latin-1",
        accept="application/json;q=0.3, text/csv",
    )
    assert (reply.kind, reply.body) == (CSV, b"body")
    assert seen == [("ä", CSV), ("data", "model"), ("made", CSV)]
    reply = ask(app, body=b"\0", content_type="a/b")
    assert seen[3] == (b"\0", "a/b")
    assert reply.kind == "text/plain"
    ask(app, body=b"\0")
    assert seen[6] == (b"\0", "application/octet-stream")


def test_transform_fn() -> None:
    def transform_fn(model: Any, body: Any, content_type: str, accept: str) -> Any:
        return f"{model} {body} {content_type} {accept}".encode(), "a/b; c=d"

    app = sagemaker.application(lambda where: "m", transform_fn=transform_fn)
    reply = ask(app, body=b"1", content_type=JSON, accept=CSV)
    assert (reply.kind, reply.body) == ("a/b; c=d", b"m 1 application/json text/csv")


def test_the_context() -> None:
    seen: list[Any] = []

    def predict_fn(data: Any, model: Any, context: Any) -> Any:
        seen.append(context)
        context.reply_attributes = context.custom_attributes.upper()
        return 1

    app = sagemaker.application(lambda where, context: None, predict_fn=predict_fn)
    headers = {CUSTOM: "trace=a b", "X-Amzn-SageMaker-Inference-Id": "7"}
    reply = ask(
        app, body=b"1", content_type="text/csv; a=b", accept=JSON, headers=headers
    )
    assert reply.headers[CUSTOM] == "TRACE=A B"
    (context,) = seen
    assert (context.content_type, context.parameters) == (CSV, {"a": "b"})
    assert (context.accept, context.headers) == (JSON, {"inference-id": "7"})
    assert CUSTOM not in ask(app, body=b"1", content_type=CSV).headers


ATTRIBUTES_THAT_ARE_REFUSED: list[Any] = ["x" * 1025, "a\tb", "ä", "a\r\nb: c"]


def test_attributes_that_are_refused() -> None:
    for text in ATTRIBUTES_THAT_ARE_REFUSED:
        reply = ask(echo(), body=b"1", content_type=CSV, headers={CUSTOM: text})
        assert reply.status == 400

        def predict_fn(data: Any, model: Any, context: Any, text: str = text) -> Any:
            context.reply_attributes = text
            return 1

        app = sagemaker.application(lambda where: None, predict_fn=predict_fn)
        reply = ask(app, body=b"1", content_type=CSV)
        assert reply.status == 500
        assert CUSTOM not in reply.headers


def test_pieces_are_sent_as_they_come() -> None:
    def predict_fn(data: Any, model: Any) -> Iterator[Any]:
        yield from (b"a", b"", "b", memoryview(b"c"))

    app = sagemaker.application(lambda where: None, predict_fn=predict_fn)
    reply = ask(app, body=b"1", content_type=CSV, accept="text/plain")
    assert (reply.kind, reply.body) == ("text/plain", b"abc")
    assert "Content-Length" not in reply.headers


def fail(*given: Any) -> Any:
    raise ValueError("the secret")


def fail_late(*given: Any) -> Iterator[bytes]:
    fail()
    yield b""


def refuse(*given: Any) -> Any:
    raise sagemaker.RequestError("too many rows", 422)


@pytest.mark.parametrize(
    "name", ["input_fn", "predict_fn", "output_fn", "transform_fn", "model"]
)
def test_functions_that_fail(name: str, caplog: pytest.LogCaptureFixture) -> None:
    for function, status, said in (
        (fail, 500, f"{name} failed with ValueError"),
        (refuse, 422, "too many rows"),
    ):
        if name == "model":
            app = sagemaker.application(lambda where, f=function: lambda data: f(data))
        else:
            function = signature(name, function)
            app = sagemaker.application(lambda where: len, **{name: function})
        reply = ask(app, body=b"[1]", content_type=JSON)
        assert reply.status == status
        assert said in reply.text
        assert "secret" not in reply.text
    assert "the secret" in caplog.text


def signature(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if name == "transform_fn":
        return lambda a, b, c, d: function(a, b, c, d)
    return lambda a, b: function(a, b)


def test_a_first_piece_that_fails() -> None:
    app = sagemaker.application(lambda where: None, predict_fn=lambda a, b: fail_late())
    assert ask(app, body=b"1", content_type=CSV).status == 500
    # bytes(3) would be three bytes
    app = sagemaker.application(lambda where: None, predict_fn=lambda a, b: iter([3]))
    assert ask(app, body=b"1", content_type=CSV).status == 500


BODIES_THAT_ARE_NONE: list[Any] = [(b"", "a\r\nb"), (b"", 5), object(), None, 5]


def test_bodies_that_are_none() -> None:
    for made in BODIES_THAT_ARE_NONE:
        app = sagemaker.application(lambda where: len, output_fn=lambda a, b, c=made: c)
        reply = ask(app, body=b"[1]", content_type=JSON)
        assert reply.status == 500
        assert "output_fn failed with TypeError" in reply.text


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "give one of model_fn and service"),
    ({"model_fn": len, "service": "x"}, "give one of"),
    ({"model_fn": 5}, "model_fn is 5; give a function of (model_dir)"),
    ({"model_fn": lambda: 0}, "give a function of (model_dir)"),
    ({"model_fn": len, "predict_fn": lambda data: 0}, "of (data, model)"),
    ({"model_fn": len, "predict_fn": lambda a, b, c: 0}, "of (data, model)"),
    ({"model_fn": len, "predict_fn": fail, "transform_fn": fail}, "give one way"),
    ({"model_fn": len, "timeout": -1}, "timeout"),
    ({"model_fn": len, "max_payload": 0}, "max_payload"),
    ({"model_fn": len, "max_models": 0}, "max_models"),
    ({"model_fn": len, "local": "yes"}, "local"),
    ({"service": 5}, "service is 5"),
    ({"service": "x", "multi_model": True}, "multi_model needs a model_fn"),
]


def test_options_that_are_refused() -> None:
    for options, said in OPTIONS:
        with pytest.raises((TypeError, ValueError)) as caught:
            sagemaker.application(**options)
        assert said in str(caught.value)


# ---- a service in place of a model


def serve(
    service: tr.Service, function: Callable[[Any], Any], *, by: Any = None
) -> threading.Thread:
    thread = threading.Thread(target=by or service.serve, args=(function,))
    thread.start()
    while not service.servers:
        threading.Event().wait(0.01)
    return thread


def test_a_service(arena: tr.Arena) -> None:
    app = sagemaker.application(service="ranker")
    current.set_current(None)
    for path, method in (("/ping", "GET"), ("/invocations", "POST")):
        reply = ask(app, path, b"1,2", CSV, method=method)
        assert reply[::2] == (503, b"the arena of the model is not there")
    with tr.Arena(slots=[(4096, 4)]) as other:  # which another one replaces
        current.set_current(other)
        assert ask(app, "/ping", method="GET").status == 503
    current.set_current(arena)
    assert ask(app, "/ping", method="GET").status == 503
    reply = ask(app, body=b"1,2", content_type=CSV)
    assert reply.status == 503
    assert reply.headers["Retry-After"] == "1"
    assert "no process serves" in reply.text

    service = arena.service("ranker")

    def ranker(data: Any) -> Any:
        if data.shape == (1, 1):
            raise ValueError("one is not enough")
        return data.sum(axis=1)

    thread = serve(service, ranker)
    try:
        assert ask(app, "/ping", method="GET").status == 200
        reply = ask(app, body=b"1,2\n3,4", content_type=CSV, accept=CSV)
        assert reply.body == b"3.0\n7.0\n"
        reply = ask(app, body=npy(np.ones((500, 2))), content_type=NPY, accept=NPY)
        assert read_npy(reply.body).tolist() == [2.0] * 500
        reply = ask(app, body=b"1", content_type=CSV)
        assert reply.status == 500
        assert "the model failed with RemoteError" in reply.text
        reply = ask(app, body=npy(np.ones(1 << 18)), content_type=NPY)
        assert reply.status == 413
        own = sagemaker.application(
            service=service, predict_fn=lambda data, model: model.call(data, 60)[:1]
        )
        assert ask(own, body=b"1,2\n3,4", content_type=CSV, accept=CSV).body == b"3.0\n"
    finally:
        service.shutdown()
        thread.join()
    assert arena.stats()["totals"]["dropped"] == 0


def test_a_service_that_is_late_or_full() -> None:
    with tr.Arena(slots=[(4096, 2)]) as arena:
        service = arena.service("slow")
        go, got = threading.Event(), threading.Event()

        def slow(data: Any) -> Any:
            got.set()
            go.wait(PATIENCE)
            return 1

        thread = serve(service, slow)
        app = sagemaker.application(service=service, timeout=0.1)
        while not got.is_set():  # the service may begin too late for the first
            assert ask(app, body=b"1", content_type=CSV).status == 504
        other = arena.queue("other")
        with contextlib.suppress(tr.Full):
            while True:
                other.send(b"x", timeout=0)
        reply = ask(app, body=b"1", content_type=CSV)
        assert reply.status == 503
        assert reply.headers["Retry-After"] == "1"
        assert reply.text == "the queue of the model is full"
        other.receive()
        go.set()
        service.shutdown()
        thread.join()


def test_a_status_that_the_model_chose(arena: tr.Arena) -> None:
    def predict(batch: tr.Batch) -> Any:
        for i in np.flatnonzero(~np.isfinite(batch.x).all(axis=1)):
            batch.fail(i, f"row {i} is not finite", 422)
        return batch.x.sum(axis=1)

    service = arena.service("ranker")
    thread = serve(service, predict, by=service.serve_batches)
    try:
        app = sagemaker.application(service="ranker")
        reply = ask(app, body=b"1,2\n3,\n", content_type=CSV)
        assert reply[::2] == (422, b"row 1 is not finite")
        assert ask(app, body=b"1,2\n3,4\n", content_type=CSV).body == b"[3.0, 7.0]"
    finally:
        service.shutdown()
        thread.join()


# ---- as SageMaker's runtime


def test_errors_as_the_runtime_gives_them() -> None:
    app = echo(local=True)
    path = "/endpoints/mine/invocations"
    reply = ask(app, path, b"1,2", CSV, CSV)
    assert (reply.status, reply.kind, reply.body) == (200, CSV, b"1.0,2.0\n")
    reply = ask(app, path, b"[1", JSON)
    assert reply.status == 424
    assert reply.headers["x-amzn-ErrorType"] == "ModelError"
    said = json.loads(reply.body)
    assert said["OriginalStatusCode"] == 400
    assert "not JSON" in said["OriginalMessage"]
    assert said["OriginalMessage"] in said["Message"]
    reply = ask(app, path, bytes((6 << 20) + 1), CSV)
    assert json.loads(reply.body)["OriginalStatusCode"] == 413
    assert ask(app, path, method="GET").status == 405
    assert ask(app, "/endpoints/mine", b"").status == 404
