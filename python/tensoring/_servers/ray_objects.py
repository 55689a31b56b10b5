# SPDX-License-Identifier: MIT
"""Objects in cells of a node's arena, which Ray hands over as a reference to the cell.

    Where, and a token: an object of Ray that has no value, and lives as long as there is
    a reference to the cell anywhere in the cluster
    Block: the bytes of a cell in a process of its node, and the token

An array that looks into a cell leads to its Block by its bases."""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import ActorUnschedulableError, RayActorError

from tensoring._arena.arena import Arena
from tensoring._arena.cells import Cells
from tensoring._arena.loan import rows_of
from tensoring._errors import Error, Full, NotFoundError
from tensoring._servers.current import started
from tensoring._servers.ray_node import lock, node_id, not_found, open_node

_BOARD = "tensoring.ray"
_OBJECTS = 1024
_TRIES = 3
_cells: dict[str, Cells] = {}


class Where(NamedTuple):
    """Which cell: of the node, and of its arena with that identity."""

    node: str
    identity: str
    cell: int
    version: int


class Block:
    """The bytes of a cell of this node, read-only. While it lives the cell is not used
    again, so arrays that look into it can be handed on by reference."""

    __slots__ = ("__weakref__", "array", "token", "where")

    def __init__(self, where: Where, array: Any, token: Any) -> None:
        self.where = where
        self.array = array
        self.token = token

    @property
    def __array_interface__(self) -> dict[str, Any]:
        interface: dict[str, Any] = self.array.__array_interface__
        return interface

    def is_shared(self) -> bool:
        """Whether its cell will be there for those that get a reference to it now."""
        if self.where.node != node_id():
            return False  # ray.init() has connected this process to another cluster
        cells = cells_of(self.where.node)
        return (
            cells is not None
            and cells.identity == self.where.identity
            and cells.board._version(str(self.where.cell)) == self.where.version
            and _lives(self.array)
        )


_blocks: weakref.WeakValueDictionary[Where, Block] = weakref.WeakValueDictionary()


def cells_of(node: str) -> Cells | None:
    """The shared objects of a node, if it is the one of this process."""
    if node != node_id():
        return None
    with lock:
        found = _cells.get(node)
        if found is None or found.arena.closed:
            found = _cells[node] = Cells(open_node(None), _BOARD, _OBJECTS, 0)
        return found


# ---- what a process gives


def _owner() -> bytes:
    """This process, as a message says it: pids come again, so with its start."""
    pid = os.getpid()
    return f"{pid} {started(pid)}".encode()


def _lives(array: Any) -> bool:
    """Whether the process lives that shared it: Ray has lost the references else."""
    user = array.base.message.header()["user"]
    pid, _, since = user.rstrip(b"\0").partition(b" ")
    return not pid.isdigit() or started(int(pid)) == since.decode()


def _sweep(cells: Cells) -> int:
    """Free what processes have shared that are dead."""
    swept = 0
    for cell, version in cells.live():
        try:
            array = cells.get(cell, version)
        except Error:  # this process looks into as many objects as it may
            continue
        if array is not None and not _lives(array):
            cells.delete(cell, version)
            swept += 1
    return swept


def loan(cells: Cells, nbytes: int, timeout: float | None) -> Any:
    """A free slot; what the dead have shared gives one if there is none."""
    rows = rows_of(nbytes, "u1", "C")
    try:
        return cells.arena._loan(rows, 0)
    except Full:
        if not _sweep(cells) and timeout == 0:
            raise
    return cells.arena._loan(rows, timeout)


def _free(cells: Cells, cell: int, version: int) -> None:
    """Free a cell, also if this process has closed the arena in the meantime."""
    if not cells.arena.closed:
        with contextlib.suppress(ValueError):  # unless another thread closes it now
            cells.delete(cell, version)
            return
    with (
        contextlib.suppress(NotFoundError, Full),
        Arena.attach(str(cells.arena.name)) as arena,
    ):
        again = Cells(arena, _BOARD, _OBJECTS, 0)
        if again.identity == cells.identity:
            again.delete(cell, version)


def _when_gone(token: Any, cells: Cells, cell: int, version: int) -> bool:
    """Free the cell when no reference to the token is left anywhere in the cluster."""
    try:
        worker = ray._private.worker.global_worker.core_worker
        add = worker.add_object_out_of_scope_callback
        return bool(add(token, lambda _: _free(cells, cell, version)))
    except AttributeError:  # an older Ray, or a later one that has renamed it
        return False


def give(cells: Cells, message: Any, timeout: float | None) -> tuple[Where, Any] | None:
    """Put a filled slot into a cell: where, and the token. None: Ray does not count."""
    message.set(user=_owner())
    try:
        cell, version = cells.put(message, 0)
    except Full:
        if not _sweep(cells) and timeout == 0:
            raise
        cell, version = cells.put(message, timeout)
    counted = False
    try:
        token = ray.put(None)
        counted = _when_gone(token, cells, cell, version)
    finally:
        if not counted:
            cells.delete(cell, version)
    return (Where(node_id(), cells.identity, cell, version), token) if counted else None


# ---- what a process gets


def _look(where: Where, token: Any) -> Block | None:
    """The bytes, in a process of their node; None: another process has to send them."""
    with lock:
        known = _blocks.get(where)
        if known is not None:
            return known
        try:
            cells = cells_of(where.node)
            if cells is None or cells.identity != where.identity:
                return None
            array = cells.get(where.cell, where.version)
        except (Error, ValueError):
            # This process looks into as many objects as it may, cannot attach, or another
            # thread has closed the arena.
            return None
        if array is None:
            return None
        found = _blocks[where] = Block(where, array, token)
        return found


class _Fetcher:
    """An actor of a node, for readers on other nodes: what it returns travels through
    Ray's object store."""

    def fetch(self, where: Where, start: int, stop: int | None) -> Any:
        block = _look(where, None)
        if block is None:
            raise not_found(
                "the shared object is gone: the process that had shared it has ended,"
                " and its slot was needed; or its node has another arena by now"
            )
        return block.array[start:stop].copy()


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


def _fetched(where: Where, start: int, stop: int | None) -> Any:
    why: Exception | None = None
    for _ in range(_TRIES):
        try:
            return ray.get(_fetcher_of(where.node).fetch.remote(where, start, stop))
        except RayActorError as error:  # somebody has killed it: there will be another
            why = error
        except ActorUnschedulableError as error:
            why = error
            break
    raise not_found(
        f"the shared object lies in the arena of the node {where.node}, which has ended,"
        f" or cannot keep the actor that would send it: {why}"
    )


def bytes_of(where: Where, token: Any, start: int = 0, stop: int | None = None) -> Any:
    """The bytes of a cell, or a part of them: a view on its node, a copy elsewhere."""
    block = _look(where, token)
    if block is None:
        return _fetched(where, start, stop)
    return np.asarray(block)[start:stop]
