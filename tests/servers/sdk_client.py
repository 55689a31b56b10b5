# SPDX-License-Identifier: MIT
"""SageMaker's own SDK against an application that gives back what it gets.

    sdk_client.py PORT_OF_PAGE client.py

Runs in an environment of its own, without tensoring; its variables have the endpoint. The
last line of its output is JSON: how many cases there were, and which of them failed. Then
client.py, a program of the documentation, runs in the same process, since the SDK takes
seconds to import."""

from __future__ import annotations

import io
import json
import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import numpy as np
import sagemaker
import scipy.sparse
from botocore.exceptions import ClientError
from sagemaker import deserializers as d
from sagemaker import serializers as s
from sagemaker.local.local_session import LocalSagemakerRuntimeClient
from sagemaker.predictor import Predictor

PAGE, PROGRAM = sys.argv[1:]
warnings.simplefilter("ignore")
SESSION = sagemaker.Session()
RUNTIME = SESSION.sagemaker_runtime_client
TABLE = np.array([[1.5, 2], [3, 4], [5, 6]])
failures: list[str] = []
count = 0


def case(name: str, function: Callable[[], Any]) -> None:
    global count
    count += 1
    try:
        function()
    except Exception:
        failures.append(f"{name}: {traceback.format_exc()[-1500:]}")


def predict(data: Any, serializer: Any, deserializer: Any, **more: Any) -> Any:
    predictor = Predictor(
        "mine", SESSION, serializer=serializer, deserializer=deserializer
    )
    return predictor.predict(data, **more)


def check(found: Any, wanted: Any) -> None:
    if isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(np.asarray(found, float), wanted)
    else:
        assert found == wanted, (found, wanted)


# ---- tables: what sends one, what reads one

SEND = {
    "csv": (s.CSVSerializer(), TABLE),
    "csv of a list": (s.CSVSerializer(), TABLE.tolist()),
    "csv of a text": (s.CSVSerializer(), "1.5,2\n3,4\n5,6"),
    "csv with a charset": (s.CSVSerializer("text/csv; charset=utf-8"), TABLE),
    "npy": (s.NumpySerializer(), TABLE),
    "npy of float32": (s.NumpySerializer("float32"), TABLE),
    "json": (s.JSONSerializer(), TABLE),
    "json lines": (s.JSONLinesSerializer(), TABLE.tolist()),
}


def whole(read: Callable[[io.BytesIO], Any]) -> Callable[[Any], Any]:
    return lambda found: read(io.BytesIO(found))


def of_stream(found: Any) -> Any:
    stream, kind = found
    with stream:
        assert kind == "application/x-npy", kind
        return np.load(io.BytesIO(stream.read()))


# The SDK's PandasDeserializer takes the first row of CSV for names.
READ: dict[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "csv": (d.CSVDeserializer(), lambda found: found, TABLE),
    "npy": (d.NumpyDeserializer(), lambda found: found, TABLE),
    "npy from csv": (d.NumpyDeserializer(accept="text/csv"), lambda found: found, TABLE),
    "npy from json": (
        d.NumpyDeserializer(accept="application/json"),
        lambda found: found,
        TABLE,
    ),
    "json": (d.JSONDeserializer(), lambda found: found, TABLE),
    "json lines": (d.JSONLinesDeserializer(), lambda found: found, TABLE),
    "pandas": (d.PandasDeserializer(), lambda found: found.to_numpy(), TABLE[1:]),
    "pandas from json": (
        d.PandasDeserializer(accept="application/json"),
        lambda found: found.to_numpy(),
        TABLE,
    ),
    "string": (d.StringDeserializer(), json.loads, TABLE),
    "bytes": (d.BytesDeserializer(), json.loads, TABLE),
    "stream": (d.StreamDeserializer(accept="application/x-npy"), of_stream, TABLE),
}

for sent, (serializer, data) in SEND.items():
    for read, (deserializer, open_it, wanted) in READ.items():
        case(
            f"{sent} to {read}",
            lambda a=(data, serializer, deserializer), o=open_it, w=wanted: check(
                o(predict(*a)), w
            ),
        )


# ---- the others

BYTES = d.BytesDeserializer


def sparse() -> None:
    given = scipy.sparse.csr_matrix(np.eye(4))
    found = predict(given, s.SparseMatrixSerializer(), BYTES())
    check(scipy.sparse.load_npz(io.BytesIO(found)).toarray(), np.eye(4))
    archive = predict(
        given, s.SparseMatrixSerializer(), d.NumpyDeserializer(accept="application/x-npz")
    )
    check(archive["data"], np.ones(4))


def records() -> None:
    given = s.RecordSerializer().serialize(TABLE)
    whole = given.read() if hasattr(given, "read") else given
    found = predict(TABLE, s.RecordSerializer(), BYTES())
    check(found, whole)
    again = predict(TABLE, s.RecordSerializer(), d.RecordDeserializer())
    rows = [list(one.features["values"].float64_tensor.values) for one in again]
    check(np.array(rows), TABLE)


case("sparse", sparse)
case("records", records)
case(
    "libsvm", lambda: check(predict("1 1:2\n", s.LibSVMSerializer(), BYTES()), b"1 1:2\n")
)
case("data", lambda: check(predict(b"\0\1", s.DataSerializer(), BYTES()), b"\0\1"))
case("text", lambda: check(predict("ä", s.StringSerializer(), BYTES()), "ä".encode()))
case(
    "text as JSON",
    lambda: check(
        json.loads(predict("ä", s.StringSerializer(), d.StringDeserializer())), "ä"
    ),
)
case(
    "objects",
    lambda: check(
        predict({"a": [1, {"b": None}]}, s.JSONSerializer(), d.JSONDeserializer()),
        {"a": [1, {"b": None}]},
    ),
)


# ---- sizes

LARGEST = 6 << 20
for size in (1, 1000, 65536, 1 << 20, LARGEST - 1, LARGEST):
    body = os.urandom(size)
    case(
        f"{size} bytes",
        lambda body=body: check(
            predict(body, s.IdentitySerializer(), BYTES()) == body, True
        ),
    )
large = np.random.default_rng(1).random((LARGEST - 128) // 8)
case(
    "a large array",
    lambda: check(predict(large, s.NumpySerializer(), d.NumpyDeserializer()), large),
)


# ---- what goes beside the body, and errors


def attributes() -> None:
    answer = RUNTIME.invoke_endpoint(
        EndpointName="mine",
        Body=b"1",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=a b",
    )
    check(answer["CustomAttributes"], "TRACE=A B")
    check(answer["ContentType"], "application/json")
    check(answer["InvokedProductionVariant"], "AllTraffic")
    check(answer["Body"].read(), b"[[1.0]]")


def error(data: Any, kind: str, status: int, *said: str, **more: Any) -> None:
    caught = None
    try:
        predict(data, s.IdentitySerializer(kind), BYTES(), **more)
    except ClientError as found:
        caught = found
    assert caught is not None
    answer = caught.response
    check(answer["Error"]["Code"], "ModelError")
    check(answer["OriginalStatusCode"], status)
    for one in said:
        assert one in answer["OriginalMessage"], answer["OriginalMessage"]
        assert one in str(caught), str(caught)


NPY = "application/x-npy"
case("attributes", attributes)
for status in (400, 422, 500, 503):
    asked = {"CustomAttributes": f"status={status}"}
    case(f"status {status}", lambda i=asked, n=status: error(
        b"1", "text/csv", n, "as asked", initial_args=i))  # fmt: skip
case("raw bytes", lambda: error(TABLE.tobytes(), NPY, 400, "6 numbers of 8 bytes"))
case("JSON as npy", lambda: error(b"[1, 1, 1]", NPY, 400, "'[1, 1, 1]': JSON"))
case("text as npy", lambda: error(b" a", NPY, 400, "' a': text"))
case("a pickle", lambda: error(TABLE.dumps(), NPY, 400, "a pickle"))
case("too large", lambda: error(bytes(LARGEST + 1), NPY, 413, f"than the {LARGEST}"))
case("far too large", lambda: error(bytes(4 * LARGEST), NPY, 413, "than the"))
case("unknown", lambda: error(b"1", "a/b", 415, "'a/b'"))


def objects() -> None:
    given = s.NumpySerializer().serialize(np.array([{}, None]))
    error(given, NPY, 400, "holds Python objects")


case("objects in npy", objects)


# ---- the SDK's local mode: no runtime is between it and the container

at = urlparse(os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"])
container = LocalSagemakerRuntimeClient({"local": {"serving_port": at.port}})
LOCAL = sagemaker.Session(
    sagemaker_client=SESSION.sagemaker_client, sagemaker_runtime_client=container
)


def local(data: Any, serializer: Any, deserializer: Any) -> Any:
    predictor = Predictor("any", LOCAL, serializer=serializer, deserializer=deserializer)
    return predictor.predict(data)


for name, (serializer, data) in SEND.items():
    for read in (d.NumpyDeserializer(), d.JSONDeserializer(), d.CSVDeserializer()):
        case(
            f"local mode, {name} to {read.ACCEPT}",
            lambda a=data, b=serializer, c=read: check(
                np.asarray(local(a, b, c), float), TABLE
            ),
        )


def local_error() -> None:
    """Local mode does not look at the status: the body has to say it."""
    said = local(TABLE.dumps(), s.IdentitySerializer(NPY), d.BytesDeserializer())
    assert b"a pickle" in said, said


case("local mode, an error", local_error)

os.environ["PORT"] = PAGE
sys.argv[1:] = []
runpy.run_path(PROGRAM)
print(json.dumps({"count": count, "failures": failures}))
