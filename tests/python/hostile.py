# SPDX-License-Identifier: MIT
"""Broken messages, made from good ones, for each decoder; and what becomes of them.

    python hostile.py DECODER SECONDS [SEED]

Each message goes through a real queue. A receiver gets an object, which is then used, or
a FormatError, and the slot goes back in either case. Anything else is a finding: another
exception, a slot that stays, memory beyond the limit, a crash. The last message is in
the file named by TR_HOSTILE_LAST, for after a crash."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import json
import mmap
import os
import pickle
import random
import resource
import struct
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tensoring as tr
from tensoring import serializers
from tensoring._serial.arrays import dump

MEMORY = 3 << 30  # address space beyond what is mapped when the run begins
ODD = [0, 1, -1, 2, 7, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -(2**31)]
ODD += [2**32, 2**53, 2**62, 2**63 - 1, 2**63, -(2**63), 10**18, 10**30]
DTYPES = ["i1", "u1", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c16", "?"]
DTYPES += [">i4", ">f8", "M8[s]", "S5", "U3", "V7"]

Point = namedtuple("Point", "x y")


@dataclass
class Batch:
    x: Any
    label: Any


@dataclass
class Decoder:
    """Good messages of one content type, and how a receiver uses what it gets."""

    content_type: str
    good: Callable[[], list[list[Any]]]
    use: Callable[[Any], object]


def _encoded(*objects: Any) -> list[list[Any]]:
    made = [
        [piece for piece, _, _ in serializers.encode(obj, False)[2]] for obj in objects
    ]
    # A list of like arrays travels as one.
    return [[np.stack(p) if isinstance(p, list) else p for p in parts] for parts in made]


def _odd_arrays() -> list[list[Any]]:
    fields = {"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0]}
    many = np.arange(4.0).reshape((1,) * 17 + (4,))
    arrays = [np.ones(2, fields), np.zeros(3, "V0"), many]
    return [list(dump(array)) for array in arrays]


def _text(*texts: str) -> Callable[[], list[list[Any]]]:
    return lambda: [[text.encode()] for text in texts]


def _sparse() -> list[list[Any]]:
    import scipy.sparse as sp

    made = []
    for layout in ("csr", "csc", "bsr", "coo", "dia"):
        made.append(sp.random(6, 8, 0.3, layout, random_state=1))
        made.append(getattr(sp, f"{layout}_array")(np.eye(4)))
    made.append(sp.bsr_matrix(np.kron(np.eye(3), np.ones((2, 2))), blocksize=(2, 2)))
    return _encoded(*made)


def _use_sparse(found: Any) -> None:
    repr(found)
    if found.shape[0] * found.shape[1] > 1 << 16:
        return
    found.toarray()
    _ = found @ np.ones(found.shape[1])
    _ = np.ones(found.shape[0]) @ found
    # A copy: scipy's sum() merges duplicates in the index arrays that .T shares with
    # found, and leaves found itself with the old indices and the new indptr.
    found.T.tocsr(copy=True).sum()
    found.tocoo().tocsc()
    if found.format in ("csr", "csc"):
        found[: found.shape[0] // 2].toarray()
        found.copy().sort_indices()
        found.diagonal()


def _frames() -> list[list[Any]]:
    import pandas as pd

    plain = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "t": ["x", "yy", "ü"]})
    return _encoded(
        plain,
        plain.set_index("t"),
        plain.assign(when=pd.to_datetime(["2020-01-01"] * 3)),
        pd.DataFrame({"a": []}),
        pd.DataFrame(index=pd.RangeIndex(0, 10, 2)),
    )


def _use_frame(found: Any) -> None:
    repr(found.head())
    found.copy().sum(numeric_only=True)
    if len(found) < 1 << 12:
        found.to_dict()


def _arrow() -> list[list[Any]]:
    import pyarrow as pa

    tables = [
        pa.table({"a": [1, 2, None], "s": ["x", "yy", None], "l": [[1], [], [2, 3]]}),
        pa.table({"d": pa.array(["p", "q", "p"]).dictionary_encode()}),
        pa.table({"n": pa.nulls(5), "b": pa.array([True, False, None, True, True])}),
        pa.table({"st": [{"a": 1, "b": "z"}, None]}),
        pa.table({"f": pa.array([b"abcd", b"efgh"], pa.binary(4))}),
        pa.table({"v": pa.array(["x" * 20, None, "y"], pa.string_view())}),
        pa.table({"m": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64()))}),
        pa.table({"x": pa.array([[1, 2], None], pa.list_(pa.int8(), 2))}),
        pa.table({"i": pa.array([7, 7, 8]).dictionary_encode()}),
        pa.table({"c": pa.array([1, None], pa.decimal128(38, 2))}),
        pa.table({"w": pa.array(["2020-01-01"]).cast(pa.timestamp("ns"))}),
    ]
    if "polars" not in sys.modules and not importlib.util.find_spec("polars"):
        ends, values = pa.array([2, 5], pa.int32()), pa.array(["a", "b"])
        types, first = pa.array([0, 1], pa.int8()), pa.array([1, 2])
        tables += [
            pa.table({"r": pa.RunEndEncodedArray.from_arrays(ends, values)}),
            pa.table({"lv": pa.array([[1], [2, 3]], pa.list_view(pa.int8()))}),
            pa.table({"u": pa.UnionArray.from_sparse(types, [first, values])}),
        ]
    return _encoded(*tables)


def _use_table(found: Any) -> None:
    if not hasattr(found, "to_dicts"):
        repr(found)
        if found.num_rows < 1 << 12:
            found.to_pydict()
        return
    try:
        repr(found)
        if found.height < 1 << 12:
            found.to_dicts()
    except BaseException as error:  # polars panics at a year that no calendar has
        if "out-of-range" not in str(error):
            raise


def _npy() -> list[list[Any]]:
    made = []
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros(3, [("a", "i4"), ("b", "f8", (2,))]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros((0, 5)),
        np.array("text"),
    ):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, array, allow_pickle=False)
        made.append([stream.getvalue()])
    return made


def _npz() -> list[list[Any]]:
    made = []
    for save in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        save(stream, x=np.arange(5), y=np.zeros((100, 100)))
        made.append([stream.getvalue()])
    return made


def _trees() -> list[list[Any]]:
    return _encoded(
        {"a": [np.arange(6).reshape(2, 3), (np.arange(3), "text")], "c": np.float32(2)},
        [np.ones(4, "f4")] * 5,
        [np.full(4, i, "f4") for i in range(5)],
        Point(np.zeros(2), 1),
        Batch(np.ones(3), {"k": b"bytes", 3: None}),
        (),
        [1, (2, [3, [4]]), {"x": {"y": np.zeros((3, 1))}}],
    )


def _compressed(codec: str) -> Callable[[], list[list[Any]]]:
    def make() -> list[list[Any]]:
        kind = tr.compressed(codec)
        return [
            [serializers.encode(tr.As(obj, kind), False)[2][0][0]]
            for obj in (
                np.arange(1000.0),
                {"a": np.zeros(10), "b": np.ones(3, "i2")},
                {"a": [np.arange(3), "x"]},
                b"raw bytes",
            )
        ]

    return make


def _use_arrays(found: Any) -> None:
    """Whatever is inside: read every byte of it, if there are not too many."""
    if isinstance(found, np.ndarray):
        if 0 < found.nbytes < 1 << 24:
            found.tobytes()
            with contextlib.suppress(ValueError):  # NumPy cannot print times of no unit
                repr(found.ravel()[:10])
    elif isinstance(found, dict):
        for key, value in found.items():
            _use_arrays(key)
            _use_arrays(value)
    elif isinstance(found, (list, tuple)):
        for value in found[:1000]:
            _use_arrays(value)
    elif isinstance(found, Batch):
        _use_arrays(found.x)
    else:
        repr(found)[:100]


DECODERS = {
    "sparse": Decoder("application/x-sparse", _sparse, _use_sparse),
    "pandas": Decoder("application/x-pandas", _frames, _use_frame),
    "arrow": Decoder("application/vnd.apache.arrow.stream", _arrow, _use_table),
    "pyarrow": Decoder("application/x-arrow-table", _arrow, _use_arrays),
    "npy": Decoder("application/x-npy", _npy, _use_arrays),
    "npz": Decoder("application/x-npz", _npz, _use_arrays),
    "ndarray": Decoder("application/x-ndarray", _odd_arrays, _use_arrays),
    "tree": Decoder("application/x-tensor-tree", _trees, _use_arrays),
    "json": Decoder("application/json", _text('{"a": [1, 2.5, null, "x"]}'), _use_arrays),
    "jsonlines": Decoder(
        "application/jsonlines", _text('{"a": 1}\n[2]\n"x"'), _use_arrays
    ),
    "csv": Decoder("text/csv", _text('a,"b ""c""",d\n1,2,3\n'), _use_arrays),
    "libsvm": Decoder("text/libsvm", _text("1 1:2 3:4\n"), _use_arrays),
    "text": Decoder("text/plain", _text("plain text, ü"), _use_arrays),
    "zstd": Decoder("application/x-tensors+zstd", _compressed("zstd"), _use_arrays),
    "lz4": Decoder("application/x-tensors+lz4", _compressed("lz4"), _use_arrays),
}


# Offsets in the one record and table of an arena that has one slot, see ipc/layout.h.
REGIONS_AT = 40  # offsets of regions in the control block: the fifth is that of records
TENSORS_AT, FIRST_AT, TEXTS_AT, TEXTS_END = 24, 32, 232, 488
NBYTES, OFFSET = 8, 144  # in the words of a tensor


def _sent() -> list[Any]:
    """What is sent before somebody writes over what describes it."""
    made: list[Any] = [
        np.arange(24.0).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(3, [("a", "i4"), ("b", ">f8", (2,))]),
        {"x": np.zeros((0, 5)), "y": np.ones(3, ">i2"), "z": np.array("text")},
        b"bytes",
        {"a": [1, "x"]},
        {"a": [np.arange(3), (b"k", np.float32(2))]},
        [np.ones(4, "f4")] * 5,
        [np.full(4, i, "f4") for i in range(5)],
    ]
    if "scipy" in sys.modules:
        import scipy.sparse as sp

        made.append(sp.random(6, 8, 0.3, "csr", random_state=1))
    if "pandas" in sys.modules:
        import pandas as pd

        made.append(pd.DataFrame({"a": [1, 2, 3], "t": ["x", "yy", "z"]}))
    return made


def _use_any(found: Any) -> None:
    """Arrays inside, by DLPack and as bytes, too."""
    if hasattr(found, "tocsr"):
        _use_sparse(found)
    elif hasattr(found, "to_dict"):
        _use_frame(found)
    else:
        _use_arrays(found)
    if isinstance(found, np.ndarray) and found.base is not None:
        with contextlib.suppress(BufferError, TypeError, RuntimeError):
            np.from_dlpack(found.base)
        with contextlib.suppress(BufferError, NotImplementedError):
            memoryview(found.base).tobytes()


def overwrite(memory: Any, dice: random.Random) -> None:
    """Change what describes the message that was sent: types, shapes, places, names."""
    record, payloads = struct.unpack_from("<2Q", memory, REGIONS_AT + 32)
    (tensors,) = struct.unpack_from("<Q", memory, record + TENSORS_AT)
    first = record + FIRST_AT
    (nbytes,) = struct.unpack_from("<Q", memory, first + NBYTES)
    (offset,) = struct.unpack_from("<Q", memory, first + OFFSET)
    places = [(record + TENSORS_AT, first + 160), (record + TEXTS_AT, record + TEXTS_END)]
    if tensors & 0xFFFF > 1 and offset + nbytes < len(memory) - payloads:
        places += 2 * [(payloads + offset, payloads + offset + nbytes - 8)]
    for _ in range(dice.randint(1, 3)):
        low, high = dice.choice(places)
        width = dice.choice([1, 2, 4, 8])
        at = dice.randrange(low, high, width)
        old = int.from_bytes(memory[at : at + width], "little")
        number = dice.choice([dice.choice(ODD), old ^ 1 << dice.randrange(64), old + 1])
        memory[at : at + width] = (number & (1 << 8 * width) - 1).to_bytes(
            width, "little"
        )


def run_records(seconds: float, seed: int) -> str:
    """Messages whose description is overwritten between the send and the receive."""
    dice = random.Random(seed)
    objects = _sent()
    count = received = 0
    with tr.Arena([(1 << 14, 1)]) as arena:
        queue = arena.queue("q")
        with mmap.mmap(arena.fd, arena.info()["total_bytes"]) as memory:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                count += 1
                queue.send(dice.choice(objects), 0.0)
                overwrite(memory, dice)
                with contextlib.suppress(tr.FormatError, tr.CorruptError):
                    found = queue.receive(0.0)
                    received += 1
                    # Odd values, such as a year that no calendar has.
                    with contextlib.suppress(ValueError, OverflowError, TypeError):
                        _use_any(found)
                    del found
                if free_slots(arena) != 1:
                    gc.collect()
                    if free_slots(arena) != 1:
                        raise Finding("a slot did not come back")
    return f"records: {count} broken messages, {received} of them decoded"


class Mutator:
    """Breaks a message in one to four places."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def message(self, parts: list[Any]) -> list[Any]:
        parts = [part if isinstance(part, np.ndarray) else bytes(part) for part in parts]
        for _ in range(self.dice.randint(1, 4)):
            self.one(parts)
        return parts

    def one(self, parts: list[Any]) -> None:
        dice = self.dice
        if dice.random() < 0.05:
            parts.pop(dice.randrange(len(parts))) if len(parts) > 1 else None
        elif dice.random() < 0.05:
            parts.insert(dice.randint(0, len(parts)), dice.choice(parts))
        at = dice.randrange(len(parts))
        part = parts[at]
        if isinstance(part, bytes) and dice.random() < 0.6:
            changed = self.json(part)
            parts[at] = self.bytes(part) if changed is None else changed
        elif isinstance(part, bytes):
            parts[at] = self.bytes(part)
        else:
            parts[at] = self.array(part)

    def bytes(self, data: bytes) -> bytes:
        dice, raw = self.dice, bytearray(data)
        for _ in range(dice.randint(1, 3)):
            at = dice.randint(0, len(raw))
            kind = dice.randrange(5)
            if kind == 0 and raw:
                raw[at % len(raw)] ^= 1 << dice.randrange(8)
            elif kind == 1:
                width = dice.choice([1, 2, 4, 8])
                number = dice.choice(ODD) & ((1 << 8 * width) - 1)
                raw[at : at + width] = number.to_bytes(width, "little")
            elif kind == 2:
                del raw[at : at + dice.randint(1, 16)]
            elif kind == 3:
                piece = raw[at : at + dice.randint(1, 64)]
                raw[at:at] = piece * dice.randint(1, 8)
            else:
                raw[at : at + 1] = dice.randbytes(dice.randint(1, 8))
        return bytes(raw[: 1 << 16])

    def json(self, data: bytes) -> bytes | None:
        """The same with another number, name or branch; None: it is no JSON."""
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return json.dumps(self.value(tree)).encode()[: 1 << 16]

    def value(self, node: Any) -> Any:
        dice = self.dice
        if isinstance(node, list) and node and dice.random() < 0.85:
            at = dice.randrange(len(node))
            kind = dice.randrange(8)
            node = list(node)
            if kind == 0:
                del node[at]
            elif kind == 1:
                node.insert(at, dice.choice(node))
            elif kind == 2:
                node = node * dice.randint(2, 50)
            else:
                node[at] = self.value(node[at])
            return node[:2000]
        if isinstance(node, dict) and node and dice.random() < 0.85:
            key = dice.choice(list(node))
            return {**node, key: self.value(node[key])}
        return dice.choice(
            [
                *ODD,
                None,
                True,
                1.5,
                1e308,
                "",
                "raw",
                "text",
                "object",
                "=",
                "k",
                "e",
                "csr",
                "coo_matrix",
                "a",
                "r",
                "x",
                "application/x-sparse",
                "application/x-npz",
                "application/x-tensor-tree",
                "application/x-pickle",
                "hostile:Batch",
                "__main__:Batch",
                "os:system",
                [],
                {},
                [[]],
                [[["v", 1], ["v", 2]]],
            ]
        )

    def array(self, part: np.ndarray) -> Any:
        dice = self.dice
        kind = dice.randrange(6)
        with np.errstate(all="ignore"):
            if kind == 0 and part.size and part.dtype.kind in "iu":
                changed = part.copy()
                flat = changed.reshape(-1)
                limits = np.iinfo(part.dtype)
                number = min(max(dice.choice(ODD), limits.min), limits.max)
                flat[dice.randrange(flat.size)] = number
                return changed
            if kind == 1 and part.ndim:
                return np.ascontiguousarray(part[: dice.randint(0, len(part))])
            if kind == 2:
                return np.zeros(dice.randint(0, 20), dice.choice(DTYPES))
            if kind == 3:
                return np.zeros((dice.choice([0, 1, 5, 10**9, 10**15]), 0), "f4")
            if kind == 4:
                return np.ascontiguousarray(part.reshape(1, *part.shape))
            raw = np.ascontiguousarray(part).tobytes()
            return np.frombuffer(self.bytes(raw), "u1")


class Finding(Exception):
    """A receiver did something else than it promises."""


def check(queue: tr.ArenaQueue, decoder: Decoder, parts: list[Any]) -> bool:
    """Send, receive and use one message. Whether it was decoded."""
    number = serializers.NUMBERS.get(decoder.content_type, serializers.OTHER)
    kind = decoder.content_type if number == serializers.OTHER else ""
    try:
        queue._send_parts((number, kind, [serializers.part(p) for p in parts]), 0.0)
    except (TypeError, ValueError, OverflowError):
        return False  # it can't be sent
    try:
        found = queue.receive(0.0)
    except tr.FormatError:
        return False
    except Exception as error:
        raise Finding(f"receive raised {type(error).__name__}: {error}") from error
    try:
        decoder.use(found)
    except Exception as error:
        raise Finding(f"use raised {type(error).__name__}: {error}") from error
    return True


def free_slots(arena: tr.Arena) -> int:
    """Slots that nobody has."""
    return arena.stats()["totals"]["slots_free"]


def run(name: str, seconds: float, seed: int) -> str:
    """Check broken messages of decoder `name` for so long."""
    decoder = DECODERS[name]
    good = decoder.good()
    mutator = Mutator(seed)
    last = os.environ.get("TR_HOSTILE_LAST")
    count = decoded = 0
    with tr.Arena([(1 << 17, 4)]) as arena:
        queue = arena.queue("q")
        for parts in good:
            if not check(queue, decoder, parts):
                raise Finding("a good message is refused")
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, resource.RLIM_INFINITY))
        gc.collect()
        before = free_slots(arena)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            parts = mutator.message(mutator.dice.choice(good))
            if last:
                with open(last, "wb") as file:
                    pickle.dump((name, parts), file)
            decoded += check(queue, decoder, parts)
            count += 1
            if free_slots(arena) != before:
                gc.collect()  # what a library keeps in circles
                if free_slots(arena) != before:
                    raise Finding("a slot did not come back")
    return f"{name}: {count} broken messages, {decoded} of them decoded"


if __name__ == "__main__":
    chosen, wanted = sys.argv[1], float(sys.argv[2])
    first_seed = int((sys.argv[3:] or ["0"])[0])
    if chosen == "records":
        print(run_records(wanted, first_seed))
    else:
        print(run(chosen, wanted, first_seed))


def send(queue: tr.ArenaQueue, content_type: str, *parts: Any) -> None:
    number = serializers.NUMBERS.get(content_type, serializers.OTHER)
    kind = content_type if number == serializers.OTHER else ""
    queue._send_parts((number, kind, [serializers.part(part) for part in parts]), 1.0)
