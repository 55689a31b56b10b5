# SPDX-License-Identifier: MIT
"""The two ends of each way from one host to another, each a process that obeys lines:

    python ends.py WAY send|receive SETTINGS    SETTINGS is JSON

An order is JSON, {"bytes": ..., "count": ..., "gap": seconds between messages}, and so is
the answer. The first 8 bytes of a message are the time at which its sending began: both
hosts are networks of one machine, whose clock both can read."""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
IN_FLIGHT = 8


class End(Protocol):
    def send(self, array: Array) -> None: ...
    def receive(self) -> Array: ...


class Tcp:
    """A stream socket: the length, and the bytes, received into memory that is there."""

    def __init__(self, role: str, address: str, port: int, **_: object) -> None:
        if role == "receive":
            with socket.create_server((address, port)) as server:
                told()
                self._link = server.accept()[0]
        else:
            self._link = socket.create_connection((address, port))
            told()
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = np.zeros(1, "u8")
        self._room = np.zeros(4 << 20, "u8")

    def send(self, array: Array) -> None:
        self._head[0] = array.nbytes
        if array.nbytes < 1 << 16:
            self._link.sendall(self._head.tobytes() + array.tobytes())
            return
        self._link.sendall(self._head)
        self._link.sendall(array)

    def _fill(self, array: Array) -> None:
        view = memoryview(array).cast("B")
        while view:
            got = self._link.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]

    def receive(self) -> Array:
        self._fill(self._head)
        array = self._room[: int(self._head[0]) // 8]
        self._fill(array)
        return array


class ZeroMq:
    """PUSH and PULL, without copies where pyzmq can."""

    def __init__(
        self,
        role: str,
        address: str,
        port: int,
        curve: list[str] | None = None,
        **_: object,
    ) -> None:
        import zmq

        context = zmq.Context()
        self._socket = context.socket(zmq.PULL if role == "receive" else zmq.PUSH)
        self._socket.set_hwm(IN_FLIGHT)
        self._socket.linger = 0
        if curve:
            public, secret = (one.encode() for one in curve)
            self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
            if role == "receive":
                self._socket.curve_server = True
            else:
                self._socket.curve_serverkey = public
        place = f"tcp://{address}:{port}"
        if role == "receive":
            self._socket.bind(place)
        else:
            self._socket.connect(place)
        told()

    def send(self, array: Array) -> None:
        # It may read a large one after the call, and has to have it for itself then.
        small = array.nbytes < 1 << 16
        self._socket.send(array if small else array.copy(), copy=small)

    def receive(self) -> Array:
        return np.frombuffer(self._socket.recv(copy=False), "u8")


class Queue:
    """A queue of an arena; bridges carry it."""

    def __init__(self, role: str, arena: str, **_: object) -> None:
        import tensoring as tr

        self._arena = tr.Arena.attach(arena)
        self._queue = self._arena.queue("jobs")
        told()

    def send(self, array: Array) -> None:
        self._queue.send(array)

    def receive(self) -> Array:
        found: Array = self._queue.receive()
        return found


WAYS: dict[str, Any] = {"tcp": Tcp, "zeromq": ZeroMq, "bridge": Queue}


def told() -> None:
    print("{}", flush=True)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def send(end: End, order: dict[str, Any]) -> dict[str, Any]:
    array = np.zeros(order["bytes"] // 8, "u8")
    cpu = cpu_seconds()
    for number in range(order["count"]):
        if order["gap"] and number:
            time.sleep(order["gap"])
        array[0] = time.monotonic_ns()
        end.send(array)
    return {"cpu": cpu_seconds() - cpu}


def receive(end: End, order: dict[str, Any]) -> dict[str, Any]:
    times = []
    cpu = cpu_seconds()
    began = 0
    for _ in range(order["count"]):
        array = end.receive()
        now = time.monotonic_ns()
        began = began or int(array[0])
        times.append((now - int(array[0])) / 1e9)
        del array
    seconds = (time.monotonic_ns() - began) / 1e9
    return {"cpu": cpu_seconds() - cpu, "times": times, "seconds": seconds}


def orders() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def main() -> None:
    way, role, settings = sys.argv[1:]
    end = WAYS[way](role, **json.loads(settings))
    for order in orders():
        done = send(end, order) if role == "send" else receive(end, order)
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
