# SPDX-License-Identifier: MIT
"""Tokens that may have readers of which Ray does not know.

Ray's count goes from process to process: one that has handed a reference on tells the
owner to whom, when it drops its own. If a process ends in that moment, the owner takes
its references for dropped, and those that it has handed on as well. So a token that goes
while the process that got it does not answer is looked for in all processes first."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import ray

_PAUSE = 1.0  # seconds between looks, twice as long each time that nothing has changed
_LONGEST = 10.0
_ANSWER = 5.0  # seconds for a connection inside the node
_AT_ONCE = struct.pack("ii", 1, 0)  # close without a port that stays taken for a minute


class Holder(NamedTuple):
    """Where the process listens that got a token first."""

    host: str
    port: int

    def answers(self) -> bool:
        """Whether it listens, so that what it says about its references is complete."""
        try:
            with socket.create_connection(self, _ANSWER) as made:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                return True
        except OSError:
            return False


def this_process() -> Holder:
    """How others reach it; ValueError: Ray does not say so."""
    from ray.core.generated.common_pb2 import Address

    try:
        address = Address.FromString(ray.put(None).owner_address())
    except AttributeError as error:
        raise ValueError("this Ray does not tell who owns an object") from error
    return Holder(address.ip_address, address.port)


def _in_use() -> set[bytes]:
    """The objects to which a process of the cluster has a reference."""
    from ray._private.internal_api import node_stats

    nodes = [node for node in ray.nodes() if node["Alive"]]
    return {
        ref.object_id
        for node in nodes
        for worker in node_stats(
            node["NodeManagerAddress"], node["NodeManagerPort"]
        ).core_workers_stats
        for ref in worker.object_refs
    }


class Orphans:
    """free: what to do with one to which nobody has a reference.

    Threads: all methods."""

    def __init__(self, free: Callable[[Any], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._left: dict[bytes, Any] = {}
        self._absent: set[bytes] = set()  # in the last look; a message may be under way
        self._looks = False
        self._pause = _PAUSE

    def add(self, number: bytes, token: Any) -> None:
        """A token whose object of Ray has that number."""
        with self._lock:
            self._left[number] = token
            self._pause = _PAUSE
            begins, self._looks = not self._looks, True
        if begins:
            threading.Thread(target=self._run, name="tensoring.ray", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self._pause)
            self._look()
            with self._lock:
                if not self._left:
                    self._looks = False
                    return

    def _look(self) -> None:
        with self._lock:
            asked = set(self._left)
            self._pause = min(2 * self._pause, _LONGEST)
        try:
            absent = asked - _in_use()
        except Exception:  # whatever the matter is: what may have readers is kept
            return
        gone = absent & self._absent
        with self._lock:
            self._absent = absent - gone
            if self._absent:
                self._pause = _PAUSE
            tokens = [self._left.pop(number) for number in gone]
        for token in tokens:
            self._free(token)
