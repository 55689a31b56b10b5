# SPDX-License-Identifier: MIT
"""The serving team's table: an array of features, encoded and decoded in one process as
they measured it, and encoded, carried and decoded between two processes.

python bench/python/serving.py [--repeats 8]"""

from __future__ import annotations

import argparse
import base64
import io
import json
import multiprocessing
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

import tensoring as tr

SHAPE, DTYPE = (9, 128, 64, 3), "float64"
THEIRS = "base64 of JSON of a list"
OURS = "tensoring"
IN_PLACE = "tensoring, made in place"
Rounds = dict[str, list[float]]


class Codec(NamedTuple):
    """Array to bytes, and back."""

    encode: Callable[[np.ndarray], Any]
    decode: Callable[[Any], np.ndarray]


# ---- the rows


def _list_to_base64(array: np.ndarray) -> bytes:
    return base64.encodebytes(json.dumps(array.tolist()).encode())


def _list_from_base64(data: bytes) -> np.ndarray:
    return np.asarray(json.loads(base64.decodebytes(data)))


def _bytes_to_base64(array: np.ndarray) -> bytes:
    data = base64.b64encode(array.tobytes()).decode()
    head = {"dtype": array.dtype.str, "shape": array.shape, "data": data}
    return json.dumps(head).encode()


def _bytes_from_base64(data: bytes) -> np.ndarray:
    head = json.loads(data)
    raw = base64.b64decode(head["data"])
    return np.frombuffer(raw, head["dtype"]).reshape(head["shape"])


def _to_npy(array: np.ndarray) -> memoryview:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getbuffer()


def _with_header(array: np.ndarray) -> bytes:
    shape = ",".join(map(str, array.shape))
    head = (
        f"Content-Type: application/x-npy\r\nX-Shape: {shape}\r\n"
        f"X-Dtype: {array.dtype.str}\r\n\r\n"
    )
    return head.encode() + array.tobytes()


def _by_header(data: bytes) -> np.ndarray:
    end = data.index(b"\r\n\r\n")
    lines = data[:end].decode().split("\r\n")
    fields = dict(line.split(": ") for line in lines)
    shape = tuple(map(int, fields["X-Shape"].split(",")))
    return np.frombuffer(data, fields["X-Dtype"], offset=end + 4).reshape(shape)


def _alone(data: bytes) -> np.ndarray:
    return np.frombuffer(data, DTYPE).reshape(SHAPE)


def codecs() -> dict[str, Codec]:
    """Theirs, and more; docs/benchmarks.md says what each row is."""
    found = {
        THEIRS: Codec(_list_to_base64, _list_from_base64),
        "JSON with base64 of the bytes": Codec(_bytes_to_base64, _bytes_from_base64),
        ".npy": Codec(_to_npy, lambda data: np.load(io.BytesIO(data))),
        ".npy's type, shape in a header": Codec(_with_header, _by_header),
        "bytes alone": Codec(lambda array: array.tobytes(), _alone),
        "pickle": Codec(pickle.dumps, pickle.loads),
    }
    try:
        import msgpack
    except ImportError:
        return found
    found["msgpack of a list"] = Codec(
        lambda array: msgpack.packb(array.tolist(), use_bin_type=True),
        lambda data: np.asarray(msgpack.unpackb(data)),
    )
    found["msgpack of tobytes"] = Codec(
        lambda array: msgpack.packb(array.tobytes(), use_bin_type=True),
        lambda data: _alone(msgpack.unpackb(data)),
    )
    return found


def features() -> np.ndarray:
    """Uniform random numbers, as theirs."""
    return np.random.default_rng(1).random(SHAPE).astype(DTYPE)


def _in_turn(names: list[str], repeats: int) -> Iterator[tuple[bool, str]]:
    """All names in each round, another one first each time; the first round warms up."""
    for i in range(repeats + 1):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            yield i > 0, name


def _check(name: str, array: np.ndarray, expected: np.ndarray) -> None:
    same = array.dtype == expected.dtype and np.array_equal(array, expected)
    if not same:
        raise ValueError(f"{name}: another array has arrived")


# ---- in one process


def one_process(repeats: int) -> Rounds:
    """Encode and decode; ours sends to a queue and receives from it."""
    array, rows = features(), codecs()
    found: Rounds = {name: [] for name in (OURS, IN_PLACE, *rows)}
    with tr.Arena([(4096, 8), (2 << 20, 4)], populate=True) as arena:
        queue = arena.queue("q")
        for counts, name in _in_turn(list(found), repeats):
            begin = time.perf_counter()
            if name == OURS:
                queue.send(array)
                back = queue.receive()
            elif name == IN_PLACE:
                with queue.loan(SHAPE, DTYPE) as slot:
                    slot[...] = array
                    begin = time.perf_counter()  # the producer has made it there
                del slot
                back = queue.receive()
            else:
                back = rows[name].decode(rows[name].encode(array))
            took = time.perf_counter() - begin
            _check(name, back, array)
            del back
            if counts:
                found[name].append(took)
    return found


# ---- between two processes


def _tcp() -> tuple[Connection, Connection]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    for end in (one, other):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(other.detach()), Connection(one.detach())


CARRIERS: dict[str, Callable[[], tuple[Any, Any]]] = {  # what receives, what sends
    "a pipe": lambda: multiprocessing.Pipe(False),
    "a UNIX socket": multiprocessing.Pipe,
    "TCP": _tcp,
}


class _Receiver:
    """The process that decodes: it says when it had the array, and checks it then."""

    def __init__(
        self, carrier: str, rows: dict[str, Codec], queue: tr.ArenaQueue
    ) -> None:
        taken, self.carry = CARRIERS[carrier]()
        names, self.names = multiprocessing.Pipe(False)
        self.stamps, stamps = multiprocessing.Pipe(False)
        context = multiprocessing.get_context("fork")
        args = (names, taken, rows, queue, stamps)
        self.process = context.Process(target=self._run, args=args, daemon=True)
        self.process.start()
        for end in (taken, names, stamps):
            end.close()

    @staticmethod
    def _run(
        names: Any, taken: Any, rows: Any, queue: tr.ArenaQueue, stamps: Any
    ) -> None:
        expected = features()
        while name := names.recv_bytes().decode():
            stamps.send(0.0)  # from here on it waits
            ours = name in (OURS, IN_PLACE)
            array = queue.receive() if ours else rows[name].decode(taken.recv_bytes())
            array[0, 0, 0, 0]
            now = time.perf_counter()
            _check(name, array, expected)
            del array
            stamps.send(now)

    def waits_for(self, name: str) -> None:
        self.names.send_bytes(name.encode())
        self.stamps.recv()

    def __enter__(self) -> _Receiver:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(BrokenPipeError):  # it has refused an array
            self.names.send_bytes(b"")
        self.process.join(10)
        if self.process.is_alive():
            self.process.terminate()
        for end in (self.carry, self.names, self.stamps):
            end.close()


@contextmanager
def _filled(queue: tr.ArenaQueue, array: np.ndarray) -> Iterator[ExitStack]:
    """A loan that has the array; closing what comes back sends it."""
    with ExitStack() as stack:
        stack.enter_context(queue.loan(SHAPE, DTYPE))[...] = array
        yield stack


def two_processes(repeats: int, carrier: str = "a UNIX socket") -> Rounds:
    """One way, until the receiver has an array."""
    array, rows = features(), codecs()
    found: Rounds = {name: [] for name in (OURS, IN_PLACE, *rows)}
    with tr.Arena([(4096, 8), (2 << 20, 4)], populate=True) as arena:
        queue = arena.queue("q")
        with _Receiver(carrier, rows, queue) as receiver:
            for counts, name in _in_turn(list(found), repeats):
                begin = _send(name, array, queue, receiver, rows)
                took = receiver.stamps.recv() - begin
                if counts:
                    found[name].append(took)
    return found


def _send(
    name: str,
    array: np.ndarray,
    queue: tr.ArenaQueue,
    receiver: _Receiver,
    rows: dict[str, Codec],
) -> float:
    """When it began."""
    if name == IN_PLACE:
        with _filled(queue, array) as loan:
            receiver.waits_for(name)
            begin = time.perf_counter()
            loan.close()
        return begin
    receiver.waits_for(name)
    begin = time.perf_counter()
    if name == OURS:
        queue.send(array)
    else:
        receiver.carry.send_bytes(rows[name].encode(array))
    return begin


def tables(repeats: int) -> dict[str, Rounds]:
    """All of them, by what the report calls them."""
    return {
        "serving, one process": one_process(repeats),
        **{
            f"serving, over {carrier}": two_processes(repeats, carrier)
            for carrier in CARRIERS
        },
    }


def main() -> None:
    import report  # it needs the peers

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=8)
    for name, figures in tables(parser.parse_args().repeats).items():
        report.table(name, figures)


if __name__ == "__main__":
    main()
