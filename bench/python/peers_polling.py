# SPDX-License-Identifier: MIT
"""Peers that poll, for the rows of those that spin."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers import Ends, SharedMemoryViews, Zmq
from transports import Gate, Transport


class SharedMemoryPolling(SharedMemoryViews):
    """A segment each way with a flag that both sides poll: the least that Python can do.
    Right on x86 only, which keeps the order of stores; nobody owns what is received."""

    name = "shared_memory + flag, views"
    waits = "spinning"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.gate = Gate(50000)
        self.full_there, self.full_back = self.gate.byte(64), self.gate.byte(128)

    def ends(self) -> Ends:
        gate, there, back = self.gate, self.there, self.back
        full_there, full_back = self.full_there, self.full_back

        def take() -> Any:
            full = full_there[0] or gate.poll(lambda: full_there[0] or None)
            full_there[0] = 0
            return there if full == 1 else None

        def answer(x: np.ndarray) -> None:
            back[...] = x
            full_back[0] = 1

        return take, answer

    def trip(self, array: np.ndarray) -> Any:
        self.there[...] = array
        self.full_there[0] = 1
        self.gate.knock()
        full = self.full_back
        while not full[0]:
            pass
        full[0] = 0
        return self.back

    def rest(self) -> None:
        self.gate.rest()

    def stop(self) -> None:
        self.full_there[0] = 2
        self.gate.knock()

    def close(self) -> None:
        super().close()
        self.gate.close()


class ZmqPolling(Zmq):
    name = "pyzmq polling"
    waits = "spinning"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.gate = Gate(2000)

    def look(self, socket: Any) -> Any:
        try:
            return socket.recv(self.zmq.NOBLOCK, copy=False)
        except self.zmq.Again:
            return None

    def receive(self, socket: Any) -> Any:
        return self.gate.poll(lambda: self.look(socket))

    def trip(self, array: np.ndarray) -> Any:
        socket = self.ready()
        socket.send(array, copy=False)
        self.gate.knock()
        while (frame := self.look(socket)) is None:
            pass
        return np.frombuffer(frame, self.dtype).reshape(self.shape)

    def rest(self) -> None:
        self.gate.rest()

    def stop(self) -> None:
        super().stop()
        self.gate.knock()

    def close(self) -> None:
        super().close()
        self.gate.close()


POLLING: list[type[Transport]] = [SharedMemoryPolling, ZmqPolling]
