# SPDX-License-Identifier: MIT
"""One arena for each node of a Ray cluster, and objects handed over inside a node.

    arena = tensoring.ray.arena(slots=[(64 << 10, 64), (4 << 20, 16)])
    arena.queue("jobs").send(batch)      # to another actor or task of this node

    return tensoring.ray.share(array)    # a view on this node, a copy on others

Ray places, restarts and scales the actors; the arena carries what those of one node
exchange."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

try:
    import ray
except ImportError as _error:
    raise ImportError(
        f"tensoring.ray needs the package ray: pip install 'tensoring[ray]' ({_error})"
    ) from _error

from tensoring._arena.arena import Arena
from tensoring._arena.cells import Cells
from tensoring._arena.loan import rows_of
from tensoring._errors import CODES, Error, Full, NotFoundError, TooLargeError
from tensoring._serial import packed
from tensoring._servers.current import started

__all__ = ["Shared", "arena", "share"]

_BOARD = "tensoring.ray"
_OBJECTS = 1024
_lock = threading.RLock()
_arenas: dict[str, Arena] = {}
_cells: dict[str, Cells] = {}


# ---- the arena of a node


def _node() -> str:
    if not ray.is_initialized():
        raise RuntimeError("this process is not connected to Ray: call ray.init() first")
    node: str = ray.get_runtime_context().get_node_id()
    return node


def _name_of(node: str) -> str:
    return f"ray.{os.geteuid()}.{node[:32]}"


def _raylet_of(node: str) -> int:
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
    error = NotFoundError(
        f"no raylet of the node {node} is a process that this one can see: use"
        " Arena.open(name) with a name of your own"
    )
    error.code = CODES["TR_ENOENT"]
    raise error


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


def arena(slots: Iterable[tuple[int, int]] | None = None, **options: Any) -> Arena:
    """The arena of the node that this process belongs to: the first process that asks
    creates it, the others attach. It goes when the node's raylet has ended, however that
    was; a process of its own waits for that.

    slots, options: as of Arena(), without a name. Those of later callers change nothing.
    RuntimeError: ray.init() was not called. NotFoundError: the raylet is in another pid
    namespace, so that nobody could tell when it ends."""
    node = _node()
    name = _name_of(node)
    with _lock:
        known = _arenas.get(name)
        if known is not None and not known.closed:
            return known
        raylet = _raylet_of(node)
        found = Arena.open(name, slots, **options)
        try:
            found.once("tensoring.ray.keeper", lambda: _start_keeper(name, raylet))
        except BaseException:
            found.close()
            raise
        _arenas[name] = found
        return found


# ---- objects that are handed over


def _cells_of(node: str) -> Cells | None:
    """The shared objects of a node, if it is the one of this process."""
    if node != _node():
        return None
    with _lock:
        found = _cells.get(node)
        if found is None or found.arena.closed:
            found = _cells[node] = Cells(arena(), _BOARD, _OBJECTS)
        return found


class _Fetcher:
    """An actor of a node, for readers on other nodes: what it returns travels through
    Ray's object store."""

    def fetch(self, node: str, identity: str, cell: int, version: int) -> Any:
        cells = _cells_of(node)
        block = None if cells is None else _block(cells, identity, cell, version)
        if block is None:
            _raise_gone()
        return np.array(block)


def _block(cells: Cells, identity: str, cell: int, version: int) -> Any:
    """The bytes of a shared object; None: another process has to send them."""
    if cells.identity != identity:
        return None
    try:
        return cells.get(cell, version)
    except Error as error:
        if error.code != CODES["TR_EPINS"]:
            raise
        return None  # this process looks into as many objects as it may


def _raise_gone() -> Any:
    error = NotFoundError(
        "the shared object is gone: the process that had shared it has ended, and its"
        " slot was needed; or its node has another arena by now"
    )
    error.code = CODES["TR_ENOENT"]
    raise error


def _fetcher_of(node: str) -> Any:
    """The node's actor, which is started when it is first needed."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return (
        ray.remote(_Fetcher)
        .options(
            name=f"tensoring.{node}",
            namespace="tensoring",
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=4,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote()
    )


def _arrive(
    node: str, identity: str, cell: int, version: int, pickle: bool, token: Any
) -> Any:
    """What a Shared becomes where it is unpickled."""
    cells = _cells_of(node)
    block = None if cells is None else _block(cells, identity, cell, version)
    if block is None:
        fetched = _fetcher_of(node).fetch.remote(node, identity, cell, version)
        block = ray.get(fetched)
    return packed.unpack(block, pickle)


def _when_gone(token: Any, cells: Cells, cell: int, version: int) -> bool:
    """Free the cell when no reference to the token is left anywhere in the cluster."""
    try:
        worker = ray._private.worker.global_worker.core_worker
        add = worker.add_object_out_of_scope_callback
        return bool(add(token, lambda _: cells.delete(cell, version)))
    except AttributeError:  # an older Ray, or a later one that has renamed it
        return False


def _owner() -> bytes:
    """This process, as a message says it: pids come again, so with its start."""
    pid = os.getpid()
    return f"{pid} {started(pid)}".encode()


def _sweep(cells: Cells) -> int:
    """Free what processes have shared that are dead: Ray has lost their references."""
    swept = 0
    for cell, version in cells.live():
        block = cells.get(cell, version)
        if block is None:
            continue
        pid, _, since = block.base.message.header()["user"].rstrip(b"\0").partition(b" ")
        del block
        if pid.isdigit() and started(int(pid)) != since.decode():
            cells.delete(cell, version)
            swept += 1
    return swept


def _loan(cells: Cells, nbytes: int, timeout: float | None) -> Any:
    rows = rows_of(nbytes, "u1", "C")
    try:
        return cells.arena._loan(rows, 0)
    except Full:
        if not _sweep(cells) and timeout == 0:
            raise
    return cells.arena._loan(rows, timeout)


class Shared:
    """An object that travels by reference inside its node; made by share(). It holds its
    slot until Ray has no reference to it, or to an object that holds it, any more."""

    def __init__(self, obj: Any, pickle: bool, timeout: float | None) -> None:
        self._obj = obj
        self._pickle = pickle
        self._where = self._put(timeout)

    def _put(self, timeout: float | None) -> tuple[Any, ...] | None:
        """Where it is; None: Ray's object store has to carry it."""
        node = _node()
        cells = _cells_of(node)
        assert cells is not None
        laid = packed.lay_out(self._obj, self._pickle)
        try:
            message = _loan(cells, laid.nbytes, timeout)
            packed.write(laid, message.array(0))
            message.set(user=_owner())
            cell, version = cells.put(message, timeout)
        except (Full, TooLargeError):
            return None
        counted = False
        try:
            token = ray.put(None)
            counted = _when_gone(token, cells, cell, version)
        finally:
            if not counted:
                cells.delete(cell, version)
        if not counted:
            return None
        return (node, cells.identity, cell, version, self._pickle, token)

    @property
    def by_reference(self) -> bool:
        """Whether it lies in the arena; False: Ray's object store carries it."""
        return self._where is not None

    def __reduce__(self) -> Any:
        if self._where is None:
            return (_same, (self._obj,))
        return (_arrive, self._where)


def _same(obj: Any) -> Any:
    return obj


def share(obj: Any, *, pickle: bool = False, timeout: float | None = 0) -> Shared:
    """Wrap an object for the way through Ray: return share(x) from a method or a task,
    pass it to one, or ray.put() it. Where it arrives it is the object itself: on this
    node it looks into the slot, read-only; on another node it is a copy, which Ray's
    object store has carried. The arena holds one copy until Ray has dropped the last
    reference.

    Where the arena has no free slot within `timeout` seconds, or none that is large
    enough, Ray's object store carries the object as ever. If this process ends, readers
    still find the object until another process needs the slot; NotFoundError from then
    on. Views that exist stay.

    pickle: also take objects that no serializer knows. UnsupportedError without."""
    return Shared(obj, pickle, timeout)
