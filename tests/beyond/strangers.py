# SPDX-License-Identifier: MIT
"""Visitors of a port that are no bridges.

python strangers.py ADDRESS COUNT PORT...    so many of each kind

It says "connected" when all are, and holds the half-open ones until its input ends."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import sys

TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(500)
HTTP = b"GET / HTTP/1.1\r\nHost: bridge\r\nConnection: keep-alive\r\n\r\n"
# A whole greeting of ZeroMQ's protocol, version 3.0, that asks for no security.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)
KINDS = ["zeros", "ones", "http", "tls", "reset", "half-open", "byte", "random"]


def says(kind: str) -> bytes:
    return {
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
        "http": HTTP,
        "tls": TLS_HELLO,
        "reset": GREETING,
        "half-open": GREETING[:10],
        "byte": b"\x01",
        "random": random.randbytes(4096),
    }[kind]


def visit(address: str, port: int, kind: str) -> socket.socket | None:
    link = socket.create_connection((address, port), 30)
    with contextlib.suppress(ConnectionError):  # it may close first
        link.sendall(says(kind))
    if kind == "half-open":
        return link
    if kind == "reset":
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()
    return None


def main() -> None:
    address, count, ports = sys.argv[1], int(sys.argv[2]), map(int, sys.argv[3:])
    kinds = [(port, kind) for port in ports for kind in KINDS * count]
    random.shuffle(kinds)
    held = [visit(address, port, kind) for port, kind in kinds]
    print("connected", flush=True)
    sys.stdin.read()
    del held


if __name__ == "__main__":
    main()
