# SPDX-License-Identifier: MIT
"""What bodies and answers of tensoring.sagemaker become; hostile ones, too."""

from __future__ import annotations

import contextlib
import encodings
import io
import itertools
import json
import os
import pickle
import tracemalloc
import zipfile
from random import Random
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from endpoint import CSV, JSON, NPY, ask, doubles, echo, npy, read_npy
from tensoring import sagemaker

# ---- content types


def test_csv_in_and_out() -> None:
    reply = ask(doubles(), body=b"1,2\n3.5,4\n", content_type=CSV, accept=CSV)
    assert reply[0] == 200
    assert (reply.kind, reply.body) == (CSV, b"6.0\n15.0\n")


def test_json_in_and_out() -> None:
    reply = ask(doubles(), body=b"[[1,2],[3,4]]", content_type=JSON, accept=JSON)
    assert (reply.kind, reply.body) == (JSON, b"[6, 14]")


def test_npy_in_and_out() -> None:
    given = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    reply = ask(doubles(), body=npy(given), content_type=NPY, accept=NPY)
    assert reply.kind == NPY
    found = read_npy(reply.body)
    assert found.dtype == np.float32
    assert found.tolist() == (given.sum(axis=1) * 2).tolist()


N = np.nan
DECODED = [
    (CSV, b"1,2\r\n3,4", np.array([[1.0, 2], [3, 4]])),
    (CSV, b'"1",2\n', np.array([[1.0, 2]])),
    (CSV, b"1,,nan\n", np.array([[1.0, np.nan, np.nan]])),
    (CSV, b',\r\n1, \n "",2\r\n\n"",""', np.array([[N, N], [1, N], [N, 2], [N, N]])),
    (CSV, b"\xef\xbb\xbf1,2", np.array([[1.0, 2]])),
    ("text/csv; header=present", b"a,b\n1,2\n", np.array([[1.0, 2]])),
    ('Text/CSV ; charset="UTF-16"', "1,2".encode("utf-16"), np.array([[1.0, 2]])),
    (JSON, b"[1,2]", np.array([1, 2])),
    (JSON, b"[[1,2],[3]]", [[1, 2], [3]]),
    (JSON, b'["a",1]', ["a", 1]),
    (JSON, b'{"instances":[[1]]}', {"instances": [[1]]}),
    ("application/json;charset=latin-1", b'"\xe4"', "ä"),
    ("application/list-text", b'["a","b"]', ["a", "b"]),
    ("application/jsonlines", b"[1,2]\n[3,4]\n", np.array([[1, 2], [3, 4]])),
    ("application/jsonlines", b'{"a":1}\n\n{"a":2}', [{"a": 1}, {"a": 2}]),
    (NPY, npy(np.arange(3)), np.arange(3)),
    (NPY, npy(np.array(5.0)), np.array(5.0)),
    (NPY, npy(np.empty((0, 3))), np.empty((0, 3))),
    ("tensor/pt", npy(np.ones((2, 2), "f4")), np.ones((2, 2), "f4")),
    ("text/plain; charset=koi8-r", "да".encode("koi8-r"), "да"),
    ("text/plain", b"", ""),
    ("text/libsvm", b"1 1:0.5\n", "1 1:0.5\n"),
    ("application/octet-stream", b"\0\1", b"\0\1"),
    ("application/x-recordio-protobuf", b"\x0a\x23\xd7\xce", b"\x0a\x23\xd7\xce"),
    ("file-path/raw-bytes", b"x", b"x"),
    ("image/jpeg", b"\xff\xd8\xff", b"\xff\xd8\xff"),
]


def test_what_a_request_becomes() -> None:
    for kind, body, wanted in DECODED:
        found = sagemaker.decode(body, kind)
        assert type(found) is type(wanted)
        if isinstance(wanted, np.ndarray):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
        else:
            assert found == wanted


def test_texts_take_no_more_than_they_are() -> None:
    body = json.dumps(["a" * (1 << 16), *["b"] * 1000]).encode()  # a column of NumPy's
    tracemalloc.start()
    found = sagemaker.decode(body, JSON)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 1001
    assert peak < 100 * len(body)


def test_an_archive() -> None:
    stream = io.BytesIO()
    np.savez(stream, a=np.arange(3), b=np.ones((2, 2)))
    found = sagemaker.decode(stream.getvalue(), "application/x-npz")
    assert sorted(found) == ["a", "b"]
    assert found["a"].tolist() == [0, 1, 2]


def test_a_sparse_matrix() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 1, 0, 0], [2, 0, 0, 3]], float)
    for layout, kind in itertools.product(
        ("csr", "csc", "bsr", "coo", "dia"), ("matrix", "array")
    ):
        given = getattr(sparse, f"{layout}_{kind}")(dense)
        body, npz = sagemaker.encode(given)
        reply = ask(echo(), body=body, content_type=npz, accept="*/*")
        assert reply.kind == npz == "application/x-npz"
        found = sparse.load_npz(io.BytesIO(reply.body))
        assert type(found) is type(given)
        np.testing.assert_array_equal(found.toarray(), dense)


def test_a_sparse_matrix_that_lies() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    given = sparse.csr_matrix(np.eye(3))
    given.indices[1] = 1 << 20
    stream = io.BytesIO()
    sparse.save_npz(stream, given)
    reply = ask(echo(), body=stream.getvalue(), content_type="application/x-npz")
    assert reply.status == 400
    assert "indices" in reply.text


def test_a_sparse_matrix_of_very_many_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for layout in ("coo", "csc", "dia"):
        given = sparse.eye(2, format=layout)
        given.resize((1 << 40, 2))
        stream = io.BytesIO()
        sparse.save_npz(stream, given)
        with pytest.raises(sagemaker.RequestError, match="1099511627776 rows"):
            sagemaker.decode(stream.getvalue(), "application/x-npz")


def test_a_serializer_of_ones_own() -> None:
    sagemaker_type = "application/x-own"
    tr.register(
        "OWN",
        "own",
        sagemaker_type,
        lambda obj: False,
        lambda obj: [bytes(obj)],
        lambda parts: parts[0].tobytes()[::-1],
    )
    try:
        reply = ask(
            echo(), body=b"abc", content_type=sagemaker_type, accept=sagemaker_type
        )
        assert (reply.kind, reply.body) == (sagemaker_type, b"cba")
    finally:
        tr.serializers.unregister("OWN")


# ---- what is refused


def test_charsets_leave_nothing_behind() -> None:
    def ask_for(names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(sagemaker.RequestError):
                sagemaker.decode(b"1", f'text/csv; charset="{name}"')

    ask_for(["utf-8", "latin-1"])
    before = len(encodings._cache)  # type: ignore[attr-defined]
    ask_for([f"unknown-{i}" for i in range(50)] + [f"utf{'-' * i}8" for i in range(50)])
    assert len(encodings._cache) <= before + 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("row", [b"1,%sx", b"%sx,1", b'1,""%sx', b'1,%s""x'])
def test_csv_is_read_once(row: bytes) -> None:
    with pytest.raises(sagemaker.RequestError, match="and no number"):
        sagemaker.decode(b"1,\n" + row % (b" " * 1_000_000), CSV)  # or it takes hours


def file_of(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    said = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, said)
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(1 << 40, 0), (0, 1 << 40), (3, 1 << 40, 0)])
def test_an_empty_array_of_very_many_rows(shape: tuple[int, ...]) -> None:
    for kind, body in ((NPY, file_of(shape)), ("application/x-npz", zipped(shape))):
        with pytest.raises(sagemaker.RequestError, match="empty"):
            sagemaker.decode(body, kind)
    assert sagemaker.decode(file_of((0, 3, 224, 224)), NPY).shape == (0, 3, 224, 224)
    assert sagemaker.decode(file_of((8, 0)), NPY).shape == (8, 0)


def zipped(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", file_of(shape))
    return stream.getvalue()


def no_bytes() -> bytes:
    """An array of as many elements as one likes, of no bytes."""
    return npy(np.zeros((), "V8")).replace(b"|V8", b"|V0").replace(b"()", b"(99,)")


def archive_of(file: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", file)
    return stream.getvalue()


def swollen() -> bytes:
    """A small archive of a large file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(8 << 20)))
    return stream.getvalue()


def misnamed() -> bytes:
    """An archive of which zipfile quotes a long name."""
    stream = io.BytesIO()
    np.savez(stream, **{"a" * 5000: np.ones(1)})
    return stream.getvalue().replace(b"a" * 5000, b"b" * 5000, 1)


RAW = np.linspace(0, 1, 10).tobytes()
OBJECTS = npy(np.array([{"a": 1}, None], object))
REFUSED = [
    # the notebook's three, each of which NumPy calls a pickle
    (
        NPY,
        RAW,
        ["received 80 bytes", "10 numbers of 8 bytes", "tobytes()", "numpy.save()"],
    ),
    (NPY, b"[[1, 2]]", ["begin with '[[1, 2]]': JSON", "Content-Type application/json"]),
    (NPY, b" a", ["begin with ' a': text", "Content-Type text/plain"]),
    (NPY, b"1,2,3", ["numbers as text", "Content-Type text/csv"]),
    (NPY, npy(np.array("1,2")), ["NumpySerializer was given a str"]),
    (NPY, OBJECTS, ["holds Python objects", "a pickle, which is never loaded"]),
    (NPY, pickle.dumps(np.ones(3)), ["a pickle, which is never loaded here"]),
    (NPY, b"", ["received 0 bytes", "send the data as the body"]),
    (NPY, npy(np.ones(9))[:-1], ["not an .npy file"]),
    (NPY, b"\x93NUMPY\x01\x00\xff\xff", ["not an .npy file"]),
    (NPY, b"eJwrKMpMTgUABQkCMA==", ["perhaps base64"]),
    (NPY, b"\x1f\x8b\x08\x00\xff", ["gzip", "uncompressed"]),
    ("tensor/pt", RAW, ["tobytes()"]),
    (NPY, no_bytes(), ["its elements have no bytes"]),
    ("application/x-npz", archive_of(no_bytes()), ["its elements have no bytes"]),
    (NPY, npy(np.array(["abc"])).replace(b"b\0\0\0", b"b\0\xff\0"), ["it has letter"]),
    ("application/x-npz", swollen(), ["more than the", "bytes of memory"]),
    ("application/x-npz", misnamed(), ["not an .npz file", "..."]),
    ("application/x-npz", npy(np.ones(2)), ["an .npy file", "application/x-npy"]),
    ("application/x-npz", b"PK\x03\x04junk", ["not an .npz file"]),
    (JSON, b'{"a": ', ["not JSON", "expected JSON"]),
    (JSON, b"", ["it is empty"]),
    (JSON, b"\xff\xfe\xfa", ["not utf-8"]),
    (JSON, b"[" * 100_000, ["not JSON"]),
    (JSON, b"9" * 10_000, ["not JSON"]),
    (JSON, npy(np.ones(2)), ["an .npy file", "application/x-npy"]),
    ("application/jsonlines", b"{}\n{", ["not JSON lines"]),
    (CSV, b"a,b\n1,2", ["row 1, column 1 is 'a'", "header=present"]),
    (CSV, b"1,2\n3", ["row 2 has 1 columns, those before it have 2"]),
    (CSV, b"\n \n", ["it has no rows"]),
    (CSV, b"1,\n\n2,'x", ['row 2, column 2 is "\'x", and no number']),
    (CSV, b"1," + b"x" * 5000, ["xxx..., and no number"]),
    ("text/csv; header=present", b"a,b\n", ["it has no rows"]),
    (CSV, b"1,2\n\0,3", ["row 2, column 1"]),
    ("text/plain; charset=ascii", b"\xe4", ["not ascii"]),
    ("text/plain; charset=utf-16", b"abc", ["not utf-16"]),
]


def test_what_cannot_be_decoded() -> None:
    for kind, body, said in REFUSED:
        reply = ask(echo(), body=body, content_type=kind)
        assert reply.status == 400, reply.text
        for words in said:
            assert words in reply.text
        assert "allow_pickle" not in reply.text
        assert len(reply.text) < 1000


def test_a_pickle_is_not_loaded() -> None:
    loaded: list[int] = []

    class Trap:
        def __reduce__(self) -> Any:
            return (loaded.append, (1,))

    for body in (pickle.dumps(Trap()), OBJECTS):
        for kind in (NPY, JSON, "application/x-npz", "application/x-pickle"):
            assert ask(echo(), body=body, content_type=kind).status in (400, 415)
    assert not loaded


BAD_TYPES = [
    (None, "no Content-Type was sent"),
    ("", "no Content-Type was sent"),
    ("csv", "must be like text/csv"),
    ("text/csv; charset", "must be like text/csv"),
    ("text/csv; charset=", "must be like text/csv"),
    ('text/csv; charset="utf-8', "must be like text/csv"),
    ("text/" + "c" * 5000, "must be like text/csv"),
    ("text/csv, text/plain", "must be like text/csv"),
    ("application/x-pickle", "this endpoint reads"),
    ("application/x-tensors", "this endpoint reads"),
    ("text/csv; charset=no-such", "charset 'no-such'"),
    ("text/csv; charset=hex", "charset 'hex'"),
    ("text/csv; charset=idna", "charset 'idna'"),
    ('text/csv; charset="a\\"b"', "charset 'a\"b'"),
    ("text/csv; charset=" + "\u00e9", "must be like text/csv"),
]


def test_content_types_that_are_refused() -> None:
    for kind, said in BAD_TYPES:
        reply = ask(echo(), body=b"1", content_type=kind)
        assert reply.status == 415, kind
        assert said in reply.text
        assert len(reply.text) < 1000


# ---- what an answer is

VECTOR = np.array([1.5, 2.0])
ACCEPTED: list[tuple[Any, str | None, str, bytes]] = [
    (VECTOR, None, JSON, b"[1.5, 2.0]"),
    (VECTOR, "*/*", JSON, b"[1.5, 2.0]"),
    (VECTOR, "text/*", CSV, b"1.5\n2.0\n"),
    (VECTOR, "text/csv", CSV, b"1.5\n2.0\n"),
    (VECTOR, "text/csv; charset=utf-8", CSV, b"1.5\n2.0\n"),
    (VECTOR, "text/csv, application/json", CSV, b"1.5\n2.0\n"),
    (VECTOR, "text/csv;q=0.5, application/json", JSON, b"[1.5, 2.0]"),
    (VECTOR, "text/csv;q=0.1, */*;q=0.2", JSON, b"[1.5, 2.0]"),
    (VECTOR, "application/json;q=0, */*", "application/jsonlines", b"1.5\n2.0\n"),
    (VECTOR, "x/y, application/jsonlines", "application/jsonlines", b"1.5\n2.0\n"),
    (VECTOR, NPY, NPY, npy(VECTOR)),
    (VECTOR, "tensor/pt", "tensor/pt", npy(VECTOR)),
    (VECTOR, "text/csv;q=x", CSV, b"1.5\n2.0\n"),
    (VECTOR, 'text/csv;a="x,y"', CSV, b"1.5\n2.0\n"),
    (VECTOR, "junk, text/csv", CSV, b"1.5\n2.0\n"),
    (np.ones((1, 2)), CSV, CSV, b"1.0,1.0\n"),
    (np.float32(2), CSV, CSV, b"2.0\n"),
    (np.float32(2), JSON, JSON, b"2.0"),
    ([["a", 1], ["b", 2]], CSV, CSV, b"a,1\nb,2\n"),
    (["a", "b"], CSV, CSV, b"a\nb\n"),
    ([np.float64(1), np.float64(2)], CSV, CSV, b"1.0\n2.0\n"),
    ([], CSV, CSV, b""),
    ("1,2\n", CSV, CSV, b"1,2\n"),
    ({"a": np.arange(2), "b": [np.int64(1)]}, None, JSON, b'{"a": [0, 1], "b": [1]}'),
    (None, None, JSON, b"null"),
    ("text", None, "text/plain", b"text"),
    ("text", "application/json", JSON, b'"text"'),
    (b"\0", None, "application/octet-stream", b"\0"),
    (b"\0", "image/png", "image/png", b"\0"),
    (b"1 1:2", "text/libsvm", "text/libsvm", b"1 1:2"),
    ([[1, 2], {"a": 1}], "application/jsonlines", "application/jsonlines",
     b'[1, 2]\n{"a": 1}\n'),
]  # fmt: skip


def test_what_an_answer_becomes() -> None:
    for made, accept, kind, body in ACCEPTED:
        app = sagemaker.application(lambda where, made=made: lambda data: made)
        reply = ask(app, body=b"x", content_type="text/plain", accept=accept)
        assert reply.status == 200, reply.text
        assert (reply.kind, reply.body) == (kind, body)
        assert sagemaker.encode(made, accept or "*/*") == (body, kind)


UNACCEPTABLE: list[tuple[Any, str | None, str]] = [
    (VECTOR, "application/xml", "application/xml is not known here"),
    (VECTOR, "application/x-pickle", "is not known here"),
    (VECTOR, "*/*;q=0", "no type is accepted"),
    ({"a": 1}, CSV, "a dict is no array"),
    (np.ones((2, 2, 2)), CSV, "of shape (2, 2, 2)"),
    ([[1, [2]]], CSV, "a cell is a list"),
    ([1, None], NPY, "Python objects"),
    ([[1], [2, 3]], NPY, "makes no array"),
    ({"a": 1}, NPY, "a dict is no array"),
    ({1: 2}, "application/x-npz", "names of type str"),
    ({1, 2}, None, "a set has no form in JSON"),
    (object(), "*/*", "an object has no form in JSON"),
    (VECTOR, "text/plain", "no text"),
    (VECTOR, "application/octet-stream", "no bytes"),
    (VECTOR, "?", "must be like text/csv"),
    (VECTOR, "x" * 5000, "must be like text/csv"),
    (VECTOR, '"' * 1000, "must be like text/csv"),
    (VECTOR, "\u00e9", "must be like text/csv"),
]


def test_what_is_not_acceptable() -> None:
    for made, accept, said in UNACCEPTABLE:
        app = sagemaker.application(lambda where, made=made: lambda data: made)
        reply = ask(app, body=b"x", content_type="text/plain", accept=accept)
        assert reply.status == 406, (made, accept)
        assert said in reply.text
        assert len(reply.text) < 1500


def test_what_is_answered_if_nothing_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", CSV)
    app = sagemaker.application(lambda where: lambda data: VECTOR)
    kinds = [
        ask(app, body=b"x", content_type="text/plain", accept=accept).kind
        for accept in (None, "", "*/*", NPY)
    ]
    assert kinds == [CSV, CSV, CSV, NPY]


def test_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert sagemaker.encode(frame, CSV)[0] == b"1,x\n2,y\n"
    assert sagemaker.encode(frame, JSON)[0] == b'{"a": [1, 2], "b": ["x", "y"]}'


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, requires_grad=True)
    assert sagemaker.encode(tensor, JSON)[0] == b"[1.0, 1.0]"
    assert read_npy(sagemaker.encode(tensor, "tensor/pt")[0]).tolist() == [1, 1]


# ---- sizes and broken bodies


def test_how_long_a_body_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "application/octet-stream"
    assert ask(echo(max_payload=10), body=bytes(10), content_type=kind).status == 200
    reply = ask(echo(max_payload=10), body=bytes(11), content_type=kind)
    assert reply.status == 413
    assert "11 bytes, more than the 10" in reply.text
    assert ask(echo(), body=bytes(6 << 20), content_type=kind).status == 200
    assert ask(echo(), body=bytes((6 << 20) + 1), content_type=kind).status == 413
    monkeypatch.setenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", "7")
    assert ask(echo(), body=bytes(7 << 20), content_type=kind).status == 200
    for text in ("x", "-1", "0", "1.5"):
        monkeypatch.setenv("SAGEMAKER_MAX_PAYLOAD_IN_MB", text)
        with pytest.raises(ValueError, match="SAGEMAKER_MAX_PAYLOAD_IN_MB"):
            echo()


@pytest.mark.parametrize(
    ("name", "value", "way"),
    [
        ("SAGEMAKER_MULTI_MODEL", "on", "give true or false"),
        ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "csv", "give a content type"),
    ],
)
def test_variables_that_mean_nothing_are_refused(
    name: str, value: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} is '{value}'; {way}"):
        echo()


class Endless(io.RawIOBase):
    """A client that never stops sending."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert 0 <= size <= 1 << 20
        self.taken += size
        return bytes(size)


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the secret")


@pytest.mark.parametrize("length", [str(1 << 62), None])
def test_a_body_without_an_end(length: str | None) -> None:
    stream = Endless()
    reply = ask(
        echo(),
        content_type=CSV,
        CONTENT_LENGTH=length,
        wsgi_input=stream,
        wsgi_input_terminated=True,
    )
    assert reply.status == 413
    assert stream.taken < 32 << 20


@pytest.mark.parametrize("length", ["5", None])
def test_a_body_that_breaks(length: str | None) -> None:
    reply = ask(
        echo(),
        content_type=CSV,
        CONTENT_LENGTH=length,
        wsgi_input=Broken(),
        wsgi_input_terminated=True,
    )
    assert reply.status == 400
    assert reply.text == "the body cannot be read: OSError"


def test_a_truncated_body() -> None:
    reply = ask(echo(), body=b"1,2", content_type=CSV, CONTENT_LENGTH="8")
    assert reply.status == 400
    assert reply.text == "the body ends after 3 bytes; Content-Length is 8"


LENGTHS_THAT_ARE_NONE: list[Any] = ["-1", "1e3", "x", "9" * 100, "\u0665", "0x10", "+1"]


def test_lengths_that_are_none() -> None:
    for length in LENGTHS_THAT_ARE_NONE:
        app = echo()
        seen: list[str] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/invocations",
            "CONTENT_LENGTH": length,
            "wsgi.input": io.BytesIO(b"1"),
        }
        text = b"".join(app(environ, lambda *given, seen=seen: seen.append(given[0])))
        assert seen == ["400 Bad Request"]
        assert b"Content-Length" in text


def test_a_body_in_chunks() -> None:
    more: dict[str, Any] = {"CONTENT_LENGTH": None, "wsgi_input_terminated": True}
    stream = io.BytesIO(b"1,2")
    reply = ask(echo(), content_type=CSV, accept=CSV, wsgi_input=stream, **more)
    assert reply.body == b"1.0,2.0\n"
    more = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert ask(echo(), content_type=CSV, wsgi_input=stream, **more).status == 411


BODIES_OF_MANY_SIZES: list[Any] = [1, 1000, 1 << 20, 6 << 20]


def test_bodies_of_many_sizes() -> None:
    for size in BODIES_OF_MANY_SIZES:
        kind = "application/octet-stream"
        body = os.urandom(size)
        assert ask(echo(), body=body, content_type=kind, accept="*/*").body == body


def test_bodies_at_random() -> None:
    """Whatever comes, the answer is a sentence, or a prediction."""
    random = Random(1)
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(3), b=np.eye(2))
    good = [npy(np.ones((3, 4))), stream.getvalue(), b"1,2\n3,4\n", b'[[1, {"a": 2}]]']
    pieces = [b"[", b'"', b"\n", b",", b"1e999", b"|O", b"V0", b"99999999999", bytes(8)]
    kinds = [NPY, "application/x-npz", CSV, JSON, "application/jsonlines"]
    app = echo()
    for _ in range(500):
        body = bytearray(random.choice(good))
        for _ in range(random.randrange(4)):
            at = random.randrange(len(body))
            body[at : at + random.randrange(3)] = random.choice(pieces)
        kind = random.choice(kinds)
        reply = ask(app, body=bytes(body), content_type=kind, accept=random.choice(kinds))
        assert reply.status in (200, 400, 406), (kind, bytes(body))
        assert reply.status == 200 or len(reply.body) < 2000
