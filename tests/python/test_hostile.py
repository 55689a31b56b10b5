# SPDX-License-Identifier: MIT
"""Messages of a sender that means harm: a receiver gets an object or a FormatError."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
import subprocess
import sys
import threading
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hostile
import tensoring as tr
from hostile import send
from tensoring import serializers
from tensoring._serial import arrow as _arrow

SECONDS = os.environ.get("TR_FUZZ_SECONDS", "1")
NEEDS = {
    "sparse": "scipy.sparse",
    "pandas": "pandas",
    "arrow": "pyarrow",
    "pyarrow": "pyarrow",
    "zstd": "zstandard",
    "lz4": "lz4.frame",
}


def refused(queue: tr.ArenaQueue, content_type: str, *parts: Any, match: str) -> None:
    """The message is a FormatError, and its slot is free while the error lives."""
    before = hostile.free_slots(queue.arena)
    send(queue, content_type, *parts)
    with pytest.raises(tr.FormatError, match=match) as caught:
        queue.receive(1.0)
    assert hostile.free_slots(queue.arena) == before
    del caught


@pytest.mark.parametrize("name", [*hostile.DECODERS, "records"])
def test_broken_messages(name: str, tmp_path: Path) -> None:
    """Runs in a process of its own: a decoder that follows a bad offset crashes."""
    pytest.importorskip(NEEDS.get(name, "tensoring"))
    last = tmp_path / "last.pickle"
    found = subprocess.run(
        [sys.executable, hostile.__file__, name, SECONDS],
        env={**os.environ, "TR_HOSTILE_LAST": str(last)},
        capture_output=True,
        text=True,
        timeout=60 + 2 * float(SECONDS),
        check=False,
    )
    said = found.stdout + found.stderr[-3000:]
    message = last.read_bytes() if last.exists() else b""
    assert found.returncode == 0, f"{said}\nthe last message: {message!r}"
    assert "broken messages" in found.stdout


def test_a_scribbler_ends_nobody() -> None:
    """Two victims go on while another participant writes to every shared word."""
    program = Path(hostile.__file__).with_name("scribbler.py")
    seconds = os.environ.get("TR_SCRIBBLE_SECONDS", "5")
    found = subprocess.run(
        [sys.executable, str(program), seconds],
        capture_output=True,
        text=True,
        timeout=120 + 3 * float(seconds),
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_texts_of_others_need_not_be_utf8(arena: tr.Arena) -> None:
    """Names and content types come from shared memory: what is not UTF-8 is escaped.

    The name is long: the two bytes of a short one also occur in numbers (a process id, a
    clock).
    """
    queue = arena.queue("texts-of-others")
    message = queue.arena._encode(b"x")
    message.set(content=(200, "application/x-odd"))
    queue.send_message(message)
    memory = queue.arena.fd
    whole = os.pread(memory, queue.arena.info()["total_bytes"], 0)
    for text in (b"application/x-odd", b"texts-of-others"):
        at = whole.index(text + b"\0")
        os.pwrite(memory, b"\xff", at)
    names = [channel["name"] for channel in queue.arena.stats()["channels"]]
    assert "\\xffexts-of-others" in names
    found = queue.receive_message(1.0)
    assert found.content == (200, "\\xffpplication/x-odd")
    assert found.header()["content_type"] == "\\xffpplication/x-odd"


def head(*what: Any) -> bytes:
    return json.dumps(list(what)).encode()


SPARSE = [
    ("csr", ([1.0, 2.0], [0, 50_000_000], [0, 1, 2]), "indices from"),
    ("csr", ([1.0, 2.0], [0, -40_000_000], [0, 1, 2]), "indices from"),
    ("csr", ([1.0, 2.0], [0, 1], [0, 50_000_000, 2]), "indptr goes down"),
    ("csr", ([1.0], [0, 1], [0, 1, 2]), "indptr has"),
    ("csc", ([1.0, 2.0], [0, 2], [0, 1, 2]), "indices from"),
    ("coo", ([1.0, 2.0], [0, 2], [0, 1]), "coordinates from"),
    ("coo", ([1.0, 2.0], [0], [0, 1]), "as many coordinates"),
    ("dia", ([[1.0, 2.0]], [10**9]), "offsets from"),
    ("dia", ([[1.0, 2.0]], [0, 1]), "2 offsets"),
]


@pytest.mark.parametrize(("layout", "parts", "match"), SPARSE)
def test_sparse_indices(
    queue: tr.ArenaQueue, layout: str, parts: Any, match: str
) -> None:
    pytest.importorskip("scipy.sparse")
    arrays = [np.array(part) for part in parts]
    kind = "application/x-sparse"
    refused(queue, kind, head(layout, f"{layout}_matrix", [2, 2]), *arrays, match=match)
    refused(queue, kind, head(layout, f"{layout}_array", [2, 2]), *arrays, match=match)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_order_is_looked_at_across_blocks(queue: tr.ArenaQueue, dtype: str) -> None:
    """Indices are copied and looked at in blocks of 4096 bytes."""
    pytest.importorskip("scipy.sparse")
    kind, shape = "application/x-sparse", head("csr", "csr_matrix", [3000, 1])
    for at in (511, 512, 513, 1023, 1024, 1025):
        ends = np.zeros(3001, dtype)
        ends[at - 1] = ends[-1] = 1
        parts = np.ones(1), np.zeros(1, dtype), ends
        refused(queue, kind, shape, *parts, match="indptr goes down")


def test_bsr_blocks(queue: tr.ArenaQueue) -> None:
    pytest.importorskip("scipy.sparse")
    data = np.ones((1, 2, 2))
    kind, shape = "application/x-sparse", head("bsr", "bsr_matrix", [4, 4])
    refused(queue, kind, shape, data, np.array([2]), np.array([0, 1, 1]), match="indices")
    shape = head("bsr", "bsr_matrix", [3, 4])
    refused(queue, kind, shape, data, np.array([0]), np.array([0, 1]), match="blocks")


def test_sparse_indices_are_private(queue: tr.ArenaQueue) -> None:
    """What the sender writes after the receive changes values, never where they are."""
    sparse = pytest.importorskip("scipy.sparse")
    queue.send(sparse.csr_matrix(np.eye(3)))
    message = queue.receive_message(1.0)
    found = serializers.decode(message)
    for i in range(1, len(message)):
        message.array(i)[...] = 77
    assert found.indices.tolist() == [0, 1, 2]
    assert found.indptr.tolist() == [0, 1, 2, 3]
    assert found.data.tolist() == [77, 77, 77]


def test_arrow_offsets(queue: tr.ArenaQueue) -> None:
    arrow = pytest.importorskip("pyarrow")
    stream = io.BytesIO()
    table = arrow.table({"s": ["aaaa", "bbbb"]})
    with arrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    good = stream.getvalue()
    offsets = np.array([0, 4, 8], "<i4").tobytes()
    broken = good.replace(offsets, np.array([0, 4, 2_000_000_000], "<i4").tobytes())
    assert broken != good
    refused(queue, "application/vnd.apache.arrow.stream", broken, match="Arrow")


def test_compressed_arrow(queue: tr.ArenaQueue) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"x": np.zeros(1 << 20)})
    stream = io.BytesIO()
    options = arrow.ipc.IpcWriteOptions(compression="zstd")
    with arrow.ipc.new_stream(stream, table.schema, options=options) as writer:
        writer.write_table(table)
    kind = "application/vnd.apache.arrow.stream"
    refused(queue, kind, stream.getvalue(), match="compressed")


def test_frames(queue: tr.ArenaQueue) -> None:
    pytest.importorskip("pandas")
    kind = "application/x-pandas"
    text = {"columns": [["t", "text"]], "index": ["range", 0, 2, 1], "index_name": None}
    shape = json.dumps(text).encode()
    for ends in ([4, 0], [4, 5], [-1, 4], [2, 3]):
        refused(queue, kind, shape, np.array(ends), b"abcd", match="ends of its texts")
    raw = {**text, "columns": [["a", "raw"]]}
    refused(queue, kind, json.dumps(raw).encode(), np.zeros(3), match="rows")
    refused(queue, kind, json.dumps(raw).encode(), match="fewer parts")


def test_archive_bomb(queue: tr.ArenaQueue) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * (64 << 20))
    refused(queue, "application/x-npz", stream.getvalue(), match="max_expansion")


def test_archive_that_lies_about_its_size(queue: tr.ArenaQueue) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * (64 << 20))
    lie = stream.getvalue().replace((64 << 20).to_bytes(4, "little"), b"\x10\0\0\0")
    refused(queue, "application/x-npz", lie, match="npz")


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compression_bomb(queue: tr.ArenaQueue, codec: str) -> None:
    module = pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[codec])
    known = {one.id for one in serializers.registered()}
    kind = tr.compressed(codec)
    try:
        bomb = module.compress(b"\0" * (64 << 20))
        refused(queue, kind, bomb, match="max_expansion|zstd")
    finally:
        if codec.upper() not in known:
            serializers.unregister(codec.upper())


def test_a_larger_expansion_can_be_had() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.zeros(1 << 20))
    with tr.Arena([(1 << 20, 4)], max_expansion=10_000) as arena:
        queue = arena.queue("q")
        send(queue, "application/x-npz", stream.getvalue())
        assert queue.receive(1.0)["x"].size == 1 << 20


def test_rows_without_bytes(queue: tr.ArenaQueue) -> None:
    """An array of a thousand million rows of no bytes is a small message."""
    tree = head("r", 0)
    refused(
        queue,
        "application/x-tensor-tree",
        np.zeros((10**9, 0), "f4"),
        tree,
        match="max_expansion",
    )


def test_a_tree_that_names_parts_again(queue: tr.ArenaQueue) -> None:
    """Each name is a copy of the part, or another tree that does the same."""
    kind = "application/x-tensor-tree"
    copies = head("l", [["x", "application/octet-stream", 0, 1]] * 100)
    refused(queue, kind, b"a" * (1 << 19), copies, match="max_expansion")
    numbers = head("l", [["t", 0]] * 100)
    refused(queue, kind, np.zeros(1 << 15), numbers, match="max_expansion")
    scalars = head("l", [["s", 0]] * 100)
    refused(queue, kind, np.zeros((), "V65000"), scalars, match="max_expansion")
    parts = [head("v", "x" * 1000)]
    parts += [head("l", [["x", kind, 0, i]] * 2) for i in range(1, 12)]
    refused(queue, kind, *parts, match="max_expansion")


def test_texts_in_a_tree(queue: tr.ArenaQueue) -> None:
    """Objects take more than their text; a text that is read again, even more."""
    again = head("l", [["x", "text/csv", 0, 1]] * 15)
    kind = "application/x-tensor-tree"
    refused(queue, kind, b"\n" * (1 << 18), again, match="CSV would take")
    again = head("l", [["x", "application/json", 0, 1]] * 15)
    lists = b"[" + b"[]," * (1 << 17) + b"1]"
    refused(queue, kind, lists, again, match="JSON would take")
    send(queue, "text/csv", b"1\n" * (1 << 18))
    assert len(queue.receive(1.0)) == 1 << 18


def test_keys_of_the_same_hash(queue: tr.ArenaQueue) -> None:
    prime = sys.hash_info.modulus
    pairs = [[["v", i * prime], ["v", 0]] for i in range(200)]
    refused(queue, "application/x-tensor-tree", head("d", pairs), match="same hash")
    queue.send({i: i for i in range(-500, 500)})
    assert len(queue.receive(1.0)) == 1000


class _Trap:
    pass


@dataclasses.dataclass
class Burglar:
    x: Any

    def __del__(self) -> None:
        _Trap.sprung = self.x  # type: ignore[attr-defined]


def test_a_destructor_does_not_run(queue: tr.ArenaQueue) -> None:
    name = f"{__name__}:Burglar"
    tree = head("c", name, [["x", ["v", 1]]])
    refused(queue, "application/x-tensor-tree", tree, match="__del__")
    assert not hasattr(_Trap, "sprung")


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_inside_compressed(queue: tr.ArenaQueue, codec: str) -> None:
    """What each layer takes adds up, also if a frame does not say its size."""
    module = pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}[codec])
    known = {one.id for one in serializers.registered()}
    kind = tr.compressed(codec)
    zstd = codec == "zstd"
    made = module.ZstdCompressor(write_content_size=False) if zstd else module
    blob = made.compress(b"")
    for _ in range(20):
        table = json.dumps([255, kind, [["", 1, 8, 1, "", [len(blob)], "C"]]]).encode()
        layer = len(table).to_bytes(8, "little") + table + blob
        blob = made.compress(layer + bytes((1 << 19) - len(layer)))
    try:
        refused(queue, kind, blob, match="max_expansion|did not decompress")
    finally:
        if codec.upper() not in known:
            serializers.unregister(codec.upper())


def test_archive_methods(queue: tr.ArenaQueue) -> None:
    """LZMA takes the memory that a file says."""
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("x", b"\0" * 1000)
        refused(queue, "application/x-npz", stream.getvalue(), match="another way")


def arrow_stream(table: Any, **options: Any) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    stream = io.BytesIO()
    chosen = arrow.ipc.IpcWriteOptions(**options)
    with arrow.ipc.new_stream(stream, table.schema, options=chosen) as writer:
        batch = table.to_batches()[0]
        note = {"ARROW:experimental_compression": "zstd"} if options else None
        writer.write_batch(batch, custom_metadata=note)
    return stream.getvalue()


def test_arrow_values_in_many_rows(queue: tr.ArenaQueue) -> None:
    """A value of a dictionary, or columns that lie over each other, are expanded."""
    arrow = pytest.importorskip("pyarrow")
    kind = "application/vnd.apache.arrow.stream"
    index = arrow.array(np.zeros(1000, "i1"))
    values = arrow.array([list(range(1000))])
    many = arrow.table({"d": arrow.DictionaryArray.from_arrays(index, values)})
    refused(queue, kind, arrow_stream(many), match="max_expansion")
    nulls = arrow.nulls(2_000_000)
    fields = [str(i) for i in range(100)]
    inside = arrow.StructArray.from_arrays([nulls] * 100, fields)
    refused(queue, kind, arrow_stream(arrow.table({"s": inside})), match="max_expansion")


def test_arrow_compressed_as_of_old(queue: tr.ArenaQueue) -> None:
    """Metadata of a batch says so, its header does not."""
    arrow = pytest.importorskip("pyarrow")
    old = arrow.ipc.MetadataVersion.V4
    raw = bytearray(
        arrow_stream(
            arrow.table({"x": np.zeros(1 << 20)}),
            compression="zstd",
            metadata_version=old,
        )
    )
    at = 0
    while True:  # the second message has the batch
        (size,) = struct.unpack_from("<I", raw, at + 4)
        meta = memoryview(raw)[at + 8 : at + 8 + size]
        root = _arrow._follow(meta, 0)
        batch = _arrow._follow(meta, _arrow._field(meta, root, 2))
        if meta[_arrow._field(meta, root, 1)] == 3:
            break
        at += 8 + size
    (back,) = struct.unpack_from("<i", meta, batch)
    struct.pack_into("<H", meta, batch - back + 4 + 2 * 3, 0)
    kind = "application/vnd.apache.arrow.stream"
    refused(queue, kind, bytes(raw), match="compressed")


def test_polars_panics(queue: tr.ArenaQueue) -> None:
    """Which is not an Exception."""
    pytest.importorskip("polars")
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"x": arrow.array([1], arrow.decimal256(76, 3))})
    kind = "application/vnd.apache.arrow.stream"
    refused(queue, kind, arrow_stream(table), match="polars|primitive")


def test_frames_of_other_types(queue: tr.ArenaQueue) -> None:
    """pandas makes an object of each byte of these; the index is no view."""
    pandas = pytest.importorskip("pandas")
    kind = "application/x-pandas"
    text = {"columns": [["t", "raw"]], "index": ["range", 0, 3, 1], "index_name": None}
    for dtype in ("S1", "U1", "V3"):
        shape = json.dumps(text).encode()
        refused(queue, kind, shape, np.zeros(3, dtype), match="column of shape")
    send(queue, kind, json.dumps(text).encode(), np.arange(3, dtype=">i4"))
    assert queue.receive(1.0).sum().tolist() == [3]
    queue.send(pandas.DataFrame({"a": [1, 2]}, index=[5, 6]))
    message = queue.receive_message(1.0)
    found = serializers.decode(message)
    for i in range(1, len(message)):
        message.array(i)[...] = 77
    assert found.index.tolist() == [5, 6]
    assert found.a.tolist() == [77, 77]


def test_parts_that_lie_over_each_other(queue: tr.ArenaQueue) -> None:
    """The size of a message is that of its payload, not the sum of its parts."""
    queue._send_parts((0, "", [serializers.part(np.zeros(1000))] * 3), 1.0)
    message = queue.receive_message(1.0)
    assert 24_000 <= message.nbytes < 26_000
    whole = os.pread(queue.arena.fd, queue.arena.info()["total_bytes"], 0)
    for i in (1, 2):  # their offsets
        words = struct.pack("<2Q", 8000, 1000)
        at = 0
        for _ in range(i + 1):
            at = whole.index(words, at + 1)
        os.pwrite(queue.arena.fd, bytes(8), at + 8 + 16 * 8)
    queue.send_message(message)
    message = queue.receive_message(1.0)
    places = {message.array(i).ctypes.data for i in range(3)}
    assert len(places) == 1
    assert message.nbytes == 8000


def test_a_descr_that_is_no_text(queue: tr.ArenaQueue) -> None:
    queue.send(np.zeros(3, "M8[s]"))
    before = hostile.free_slots(queue.arena)
    whole = os.pread(queue.arena.fd, queue.arena.info()["total_bytes"], 0)
    os.pwrite(queue.arena.fd, b"\xff", whole.index(b"<M8[s]\0"))
    with pytest.raises(tr.FormatError, match="descr"):
        queue.receive(1.0)
    assert hostile.free_slots(queue.arena) == before + 1


def test_another_type_gives_the_slot_back(queue: tr.ArenaQueue) -> None:
    before = hostile.free_slots(queue.arena)
    queue.send(b"x")
    with pytest.raises(tr.ContentTypeError) as caught:
        queue.receive_as("text/plain", 1.0)
    assert hostile.free_slots(queue.arena) == before
    del caught


class _Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda: ValueError("\ud800 and \0"), r"ValueError: \\ud800 and \\0$"),
        (_Speechless, "_Speechless$"),
    ],
)
def test_a_server_can_say_any_error(
    queue: tr.ArenaQueue, error: Callable[[], Exception], said: str
) -> None:
    """A text that quotes the request need not be one that can be sent."""

    def fail(obj: Any) -> Any:
        raise error()

    service = queue.arena.service("quotes")
    served: list[int] = []
    server = threading.Thread(target=lambda: served.append(service.serve(fail)))
    server.start()
    for _ in range(2):
        with pytest.raises(tr.RemoteError, match=said):
            service.call(b"x", timeout=20)
    service.shutdown()
    server.join()
    assert served == [2]


class _Lazy(types.ModuleType):
    asked = 0

    def __getattr__(self, name: str) -> Any:
        _Lazy.asked += 1
        return hostile.Batch


def test_a_class_name_runs_nothing(
    queue: tr.ArenaQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy = _Lazy("lazy_module")
    plain = types.ModuleType("plain_module")
    plain.__dict__["__getattr__"] = lazy.__getattr__
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    monkeypatch.setitem(sys.modules, "plain_module", plain)
    kind = "application/x-tensor-tree"
    before = set(sys.modules)
    for name in (
        "lazy_module:Batch",
        "plain_module:Batch",
        "concurrent.futures:Executor",
    ):
        refused(queue, kind, head("c", name, []), match=r"not loaded here|unknown node")
    assert _Lazy.asked == 0
    assert set(sys.modules) == before


def test_classes_can_be_registered(queue: tr.ArenaQueue) -> None:
    @tr.register_class
    @dataclasses.dataclass
    class Local:
        x: Any

    queue.send(Local(np.arange(3)))
    found = queue.receive(1.0)
    assert type(found) is Local
    assert found.x.tolist() == [0, 1, 2]
    with pytest.raises(TypeError, match="neither"):
        tr.register_class(int)


def test_a_dataclass_has_all_its_fields(queue: tr.ArenaQueue) -> None:
    kind = "application/x-tensor-tree"
    name = f"{hostile.Batch.__module__}:Batch"
    refused(queue, kind, head("c", name, [["x", ["v", 1]]]), match="other fields")
    refused(queue, kind, head("n", "hostile:Point", [["v", 1]]), match="Point of 1")


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/jsonlines", "[" * 100_000),
        ("application/json", "[" * 100_000),
        ("text/csv", '"' + "a" * 200_000 + '"'),
    ],
)
def test_deep_and_long_texts(queue: tr.ArenaQueue, content_type: str, text: str) -> None:
    refused(queue, content_type, text.encode(), match="not ")


def test_any_failure_of_a_serializer_is_a_format_error(queue: tr.ArenaQueue) -> None:
    serializers.register(
        "ZZ",
        "breaks",
        "application/x-breaks",
        lambda obj: False,
        lambda obj: [],
        lambda parts: 1 // 0,
    )
    try:
        refused(queue, "application/x-breaks", b"", match="ZeroDivisionError")
    finally:
        serializers.unregister("ZZ")
