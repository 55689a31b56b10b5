# SPDX-License-Identifier: MIT
"""The arena of the node of Ray that this process belongs to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

import ray

from tensoring._arena.arena import Arena
from tensoring._errors import CODES, NotFoundError
from tensoring._servers.current import started

lock = threading.RLock()
_arenas: dict[str, Arena] = {}


def not_found(text: str) -> NotFoundError:
    error = NotFoundError(text)
    error.code = CODES["TR_ENOENT"]
    return error


def node_id() -> str:
    """The node that this process belongs to."""
    if not ray.is_initialized():
        raise RuntimeError("this process is not connected to Ray: call ray.init() first")
    node: str = ray.get_runtime_context().get_node_id()
    return node


def _name_of(node: str) -> str:
    return f"ray.{os.geteuid()}.{node[:32]}"


def raylet_of(node: str) -> int:
    """The process that ends when the node of this machine does."""
    wanted = f"--node_id={node}".encode()
    for entry in ["self", *os.listdir("/proc")]:
        pid = os.getppid() if entry == "self" else int(entry) if entry.isdigit() else 0
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if wanted in words and words[0].endswith(b"raylet"):
            return pid
    raise not_found(
        f"no raylet of the node {node} is a process that this one can see: use"
        " Arena.open(name) with a name of your own"
    )


def _start_keeper(name: str, raylet: int) -> None:
    """Not as a child of this process: Ray kills those when a worker ends."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(
        [
            *(sys.executable, "-m", "tensoring._servers.keeper"),
            *(name, str(raylet), started(raylet)),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        check=True,
    )


def open_node(slots: Iterable[tuple[int, int]] | None, **options: Any) -> Arena:
    """The node's arena, which the first process creates."""
    node = node_id()
    name = _name_of(node)
    with lock:
        known = _arenas.get(name)
        if known is not None and not known.closed:
            return known
        raylet = raylet_of(node)
        found = Arena.open(name, slots, **options)
        try:
            found.once("tensoring.ray.keeper", lambda: _start_keeper(name, raylet))
        except BaseException:
            found.close()
            raise
        _arenas[name] = found
        return found
