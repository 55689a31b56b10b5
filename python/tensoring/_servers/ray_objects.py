# SPDX-License-Identifier: MIT
"""Objects in cells of a node's arena, which Ray hands over as a reference to the cell.

    Where, and a token: an object of Ray that has no value, and lives as long as there is
    a reference to the cell anywhere in the cluster
    Block: the bytes of a cell in a process of its node, and the token

An array that looks into a cell leads to its Block by its bases.

An object of Ray goes with the process that has made it. So the node's actor makes the
tokens, and frees the cell of each when the last reference has gone; the processes that
fill the cells may end. A message says which token stands for it, so a process may be
killed at any point: Ray drops its tokens, and the actor frees what they stand for."""

from __future__ import annotations

import contextlib
import itertools
import os
import weakref
from typing import Any, NamedTuple

import numpy as np
import ray
from ray.exceptions import ActorUnschedulableError, RayActorError

from tensoring._arena.cells import Cells
from tensoring._arena.loan import rows_of
from tensoring._errors import Error, Full
from tensoring._servers.current import started
from tensoring._servers.ray_node import lock, node_id, not_found, open_node
from tensoring._servers.ray_orphans import Holder, Orphans
from tensoring._servers.ray_tokens import Token, Tokens

_BOARD = "tensoring.ray"
_OBJECTS = 1024
_TRIES = 3
_cells: dict[str, Cells] = {}
_tokens: dict[str, Tokens] = {}


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


def _lives(array: Any) -> bool:
    """Whether the actor lives that has made the token: else nobody counts."""
    pid, since = (*array.base.message.header()["user"].split(b" "), b"")[:2]
    return not pid.isdigit() or started(int(pid)) == since.decode()


def _sweep(cells: Cells) -> int:
    """Free what nobody counts, since the actor is dead that did."""
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
    """A free slot; what a dead actor has counted gives one if there is none."""
    rows = rows_of(nbytes, "u1", "C")
    try:
        return cells.arena._loan(rows, 0)
    except Full:
        if not _sweep(cells) and timeout == 0:
            raise
    return cells.arena._loan(rows, timeout)


def _put(cells: Cells, message: Any, first: int, timeout: float | None) -> Any:
    """Put it into a cell; what a dead actor has counted gives one if there is none."""
    try:
        return cells.put(message, 0, first)
    except Full:
        if not _sweep(cells) and timeout == 0:
            raise
    return cells.put(message, timeout, first)


def give(cells: Cells, message: Any, timeout: float | None) -> tuple[Where, Any] | None:
    """Put a filled slot into a cell: where, and the token. None: nobody counts."""
    node = node_id()
    tokens = _tokens.setdefault(node, Tokens(lambda: _actor_of(node)))
    token = tokens.take()
    if token is None:
        return None
    message.set(user=token.label)
    try:
        cell, version = _put(cells, message, token.number % cells.count, timeout)
    except Exception:
        tokens.give_back(token)
        raise
    return Where(node, cells.identity, cell, version), token.ref


# ---- what the node's actor does


def _find(cells: Cells, token: Token) -> tuple[int, int] | None:
    """The cell for which a token stands, and its version."""
    likely = token.number % cells.count
    version = cells.board._version(str(likely))
    for cell, found in itertools.chain([(likely, version)], cells.live()):
        array = cells.get(cell, found) if found % 2 else None
        if array is not None:
            user = array.base.message.header()["user"]
            if user.rstrip(b"\0") == token.label:
                return cell, found
    return None


class _Node:
    """An actor of a node. It makes the tokens, and for readers on other nodes it returns
    what lies in cells, which travels through Ray's object store."""

    def __init__(self) -> None:
        pid = os.getpid()
        self._me = f"{pid} {started(pid)}"  # pids come again, so with its start
        self._numbers = itertools.count()
        self._gone: list[Token] = []  # whose cells are not free yet
        self._orphans = Orphans(self._free)

    def tokens(self, count: int, host: str, port: int) -> list[Token]:
        """New ones for the process that listens there; fewer where Ray does not tell when
        they have gone."""
        holder = Holder(host, port)
        made = [self._token(holder) for _ in range(count)]
        return [token for token in made if token is not None]

    def _token(self, holder: Holder) -> Token | None:
        number = next(self._numbers)
        label = f"{self._me} {number}".encode()
        ref = ray.put(None)
        try:
            worker = ray._private.worker.global_worker.core_worker
            add = worker.add_object_out_of_scope_callback
        except AttributeError:  # an older Ray, or a later one that has renamed it
            return None
        name, gone = ref.binary(), Token(number, label, None)
        if not add(ref, lambda _: self._when_gone(gone, name, holder)):
            return None
        return Token(number, label, ref)

    def _when_gone(self, token: Token, name: bytes, holder: Holder) -> None:
        if holder.answers():
            self._free(token)
        else:
            self._orphans.add(name, token)

    def _free(self, token: Token) -> None:
        """Free the cell of a token that has gone, if it has one."""
        self._gone.append(token)
        for _ in range(len(self._gone)):
            with contextlib.suppress(IndexError):  # another thread was faster
                self._free_one(self._gone.pop())

    def _free_one(self, token: Token) -> None:
        try:
            cells = cells_of(node_id())
            assert cells is not None
            found = _find(cells, token)
            if found is not None:
                cells.delete(*found)
        except (Error, ValueError):  # no pin is left, or the arena is closed: next time
            self._gone.append(token)

    def fetch(self, where: Where, start: int, stop: int | None) -> Any:
        block = _look(where, None)
        if block is None:
            raise not_found(
                "the shared object is gone: the actor tensoring.NODE was killed, which"
                " had counted its references, and its slot was needed; or a process was"
                " killed that had handed it on; or its node has another arena by now"
            )
        return block.array[start:stop].copy()


def _actor_of(node: str) -> Any:
    """The node's actor, which is started when it is first needed."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return (
        ray.remote(_Node)
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


def _fetched(where: Where, start: int, stop: int | None) -> Any:
    why: Exception | None = None
    for _ in range(_TRIES):
        try:
            return ray.get(_actor_of(where.node).fetch.remote(where, start, stop))
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
