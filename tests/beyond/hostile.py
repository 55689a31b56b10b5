# SPDX-License-Identifier: MIT
"""A peer that may connect and does not keep the rules, without an engine.

python hostile.py ADDRESS PORT KIND    speaks the protocol 3.0 of ZeroMQ, says hello,
                                       does it, and waits for its input to end
python hostile.py ADDRESS PORT answers listens, says welcome to each that connects, and
                                       breaks the rules at once; prints when each came"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
HELLO, WELCOME, MESSAGE, CHUNK, RECEIPT = 1, 2, 4, 5, 6
TITLE = "\x1b]0;owned\x07\x9b31m\udcff"  # sets a terminal's title; a control; no UTF-8
PIECES = 1 << 18


def part(body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BQ", flags | 2, len(body)) + body


def text(value: str) -> bytes:
    raw = value.encode(errors="surrogateescape")
    return struct.pack("<H", len(raw)) + raw + b"\0"


def head(kind: int) -> bytes:
    return b"TRBR" + struct.pack("<HBB", 3, kind, 0)


def channel(direction: int = 1, verdict: int = 0) -> bytes:
    numbers = struct.pack("<BBBIQ", 1, direction, verdict, 1024, 64 << 20)
    return numbers + os.urandom(16) + text("jobs") + text("")


def hello(times: int = 1) -> bytes:
    about = os.urandom(16) + struct.pack("<IIQ", 2, 0, 1 << 40)
    return (
        head(HELLO) + about + text(TITLE) + struct.pack("<I", times) + channel() * times
    )


def tensor(length: int, name: str = "") -> bytes:
    """An array of bytes."""
    return struct.pack("<BBHIQBQ", 1, 8, 1, 0, length, 1, length) + text(name) + text("")


def message(number: int, payload: int, tensors: list[bytes], left: int = 0) -> bytes:
    numbers = struct.pack(
        "<IIQQQQIQQII", 0, len(tensors), number, payload, 0, 0, 0, 0, left, 0, 0
    )
    return head(MESSAGE) + numbers + bytes(64) + text("") + b"".join(tensors)


def piece(number: int, offset: int, data: bytes) -> bytes:
    about = head(CHUNK) + struct.pack("<IQQ", 0, number, offset)
    return part(about, 1) + part(data)


def never_ends() -> bytes:
    """The first message of a lane, which has no piece: what comes later waits."""
    return part(message(0, 1 << 16, [tensor(1 << 16)]))


def says(kind: str) -> Iterator[bytes]:
    if kind == "twice":
        yield part(hello(100))
        return
    yield part(hello())
    if kind == "names":
        yield never_ends()
        for number in range(1, 40):
            yield part(message(number, 0, [tensor(0, "n" * 65000)] * 240))
    elif kind == "pieces":
        yield never_ends()
        yield part(message(1, PIECES, [tensor(PIECES)]))
        for offset in range(0, PIECES, 256):
            yield b"".join(piece(1, offset + i, b"x") for i in range(256))
    elif kind == "huge":
        yield never_ends()
        yield part(message(1, 1 << 63, [tensor(1 << 63)]))
        for offset in range(0, 64 << 20, 1 << 18):
            yield piece(1, offset, bytes(1 << 18))
    elif kind == "deadline":
        yield part(message(0, 8, [tensor(8)], (1 << 63) - 1) + b"deadline")


def welcome() -> bytes:
    about = os.urandom(16) + struct.pack("<IIQ", 2, 0, 1 << 40)
    return head(WELCOME) + about + text("") + struct.pack("<I", 1) + channel(2, verdict=1)


def answer(link: socket.socket) -> None:
    with contextlib.suppress(ConnectionError), link:
        link.sendall(GREETING)
        link.recv(len(GREETING), socket.MSG_WAITALL)
        ready = READY.replace(b"DEALER", b"ROUTER")
        link.sendall(struct.pack(">BB", 4, len(ready)) + ready)
        heard = b""
        while b"TRBR" not in heard:  # its hello
            more = link.recv(4096)
            if not more:
                return
            heard += more
        link.sendall(part(welcome()))
        link.sendall(part(head(RECEIPT) + struct.pack("<IQB", 0, 77, 0)))
        while link.recv(4096):
            pass


def answers(address: str, port: int) -> None:
    listener = socket.create_server((address, port))
    print("listens", flush=True)
    while True:
        link, _ = listener.accept()
        print(time.monotonic(), flush=True)
        threading.Thread(target=answer, args=(link,), daemon=True).start()


def main() -> None:
    if sys.argv[3] == "answers":
        answers(sys.argv[1], int(sys.argv[2]))
    link = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
    link.settimeout(None)
    link.sendall(GREETING)
    link.recv(len(GREETING), socket.MSG_WAITALL)
    link.sendall(struct.pack(">BB", 4, len(READY)) + READY)
    link.recv(2, socket.MSG_WAITALL)  # its READY begins
    with contextlib.suppress(ConnectionError):
        for one in says(sys.argv[3]):
            link.sendall(one)
    print("said", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
