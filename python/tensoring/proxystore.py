# SPDX-License-Identifier: MIT
"""A connector for ProxyStore: proxies that resolve to views of an arena's slots.

    connector = TensoringConnector("pool", also=RedisConnector("r", 6379))
    store = connector.store("features")
    proxy = store.proxy(np.ones((9, 128, 64, 3)))    # in another process: a view

Processes that have the arena get views. Processes of another host get a copy from the
connector `also`. The identity of an arena decides which is the case, and not its name."""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

try:
    from proxystore.store import Store
except ImportError as _error:
    raise ImportError(
        "tensoring.proxystore needs the package proxystore: pip install"
        f" 'tensoring[proxystore]' ({_error})"
    ) from _error

from tensoring._arena.arena import Arena
from tensoring._arena.cells import Cells
from tensoring._arena.loan import rows_of
from tensoring._errors import (
    CODES,
    Error,
    Full,
    InvalidError,
    NotFoundError,
    TooLargeError,
)
from tensoring._options import refuse, whole
from tensoring._serial import packed
from tensoring._serial.compress import CODECS, compressed
from tensoring._serial.registry import As

__all__ = ["Codec", "TensoringConnector", "TensoringKey", "deserialize", "serialize"]

_BOARD = "tensoring.proxystore"
_COMPRESSED = "application/x-tensors+"


class TensoringKey(NamedTuple):
    """Where an object is: in a cell of the arena of this identity, "" for none, and under
    `other` in the other connector. nbytes: its size."""

    arena: str
    cell: int
    version: int
    nbytes: int
    other: Any = None


@dataclass(frozen=True)
class Codec:
    """The serializer and the deserializer for a Store: Store(..., serializer=c.serialize,
    deserializer=c.deserialize). It can be pickled, as a Store wants.

    pickle: take any object, by pickle where no serializer fits, and read pickles. Without
    it an object that would come back changed is refused: UnsupportedError.
    compress: "zstd" or "lz4". Such objects are not views."""

    pickle: bool = False
    compress: str | None = None

    def serialize(self, obj: Any) -> bytearray:
        """An object as one block of bytes."""
        return packed.pack(self._as(obj), self.pickle)

    def deserialize(self, data: Any) -> Any:
        """The object in a block of bytes; its arrays look into the block. FormatError if
        it is none, or a pickle that this codec does not allow."""
        return packed.unpack(data, self.pickle, _know)

    def _as(self, obj: Any) -> Any:
        return obj if self.compress is None else As(obj, compressed(self.compress))


def _know(content_type: str) -> None:
    """Codecs are registered when they are first met."""
    codec = content_type.removeprefix(_COMPRESSED)
    if codec in CODECS and codec != content_type:
        compressed(codec)


_PLAIN = Codec()
serialize = _PLAIN.serialize
deserialize = _PLAIN.deserialize


# ---- the other connector, as its configuration carries it


def _config_of(connector: Any) -> dict[str, Any]:
    kind = type(connector)
    return {
        "module": kind.__module__,
        "class": kind.__qualname__,
        "options": connector.config(),
    }


def _made_of(also: Any) -> Any:
    """A connector, or one from its configuration."""
    if not isinstance(also, dict):
        return also
    if "<locals>" in also["class"]:
        refuse(
            ValueError,
            "also",
            f"{also['module']}.{also['class']}",
            "a function has this class, so no other process can import it: define it in"
            " a module",
        )
    kind = operator.attrgetter(also["class"])(importlib.import_module(also["module"]))
    return kind.from_config(also["options"])


def _told(error: Full, arena: Arena) -> Full:
    """The same, with the processes that look into objects of the store."""
    stats = arena.stats()
    shared = stats["totals"]["slots_shared"]
    holders = [
        f"process {one['pid']} ({one['command']}) looks into {one['pinned']}"
        for one in stats["participants"]
        if one["pinned"]
    ]
    text = ", ".join([f"{shared} slots hold objects", *holders])
    told = type(error)(f"{error}; {text}: evict objects that are not needed any more")
    told.code = error.code
    return told


def _is_another_file(name: str, arena: Arena) -> bool:
    """Whether the arena of that name is not the one that is attached."""
    try:
        there = os.stat(f"/dev/shm/tensoring.{name}")
    except OSError:
        return False  # no other one to attach to
    here = os.fstat(arena.fd)
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


class TensoringConnector:
    """A connector that keeps objects in an arena.

    arena: the name of an arena that exists, or a handle of a named one, which stays the
    caller's.
    also: another connector, which gets a copy of each object, for processes that do not
    have the arena. None: there they raise NotFoundError.
    timeout: how many seconds a put waits for a free slot, and for a place for the object;
    None: forever. SendTimedOutError then, which names the processes that have the slots.
    when_full: "fail"; or "other": after the timeout the object goes to `also` alone.
    objects: how many objects the arena keeps at a time, rounded up to a power of 2, less
    one. The first connector of an arena decides.
    copy_below: objects of fewer bytes are copied on a get, and do not take one of the
    arena's `pins` while they live.
    group, owner: as in Arena.attach().
    required: NotFoundError if the arena is not there; False: the process may be on
    another host.

    Threads may share it. In a forked child it goes on working."""

    def __init__(
        self,
        arena: Arena | str,
        also: Any = None,
        *,
        timeout: float | None = 10.0,
        when_full: str = "fail",
        objects: int = 1024,
        copy_below: int = 4096,
        group: bool = False,
        owner: int | str | None = None,
        required: bool = True,
    ) -> None:
        if when_full not in ("fail", "other"):
            refuse(ValueError, "when_full", when_full, 'it is "fail" or "other"')
        whole("objects", objects, 2, 1 << 20)
        whole("copy_below", copy_below, 0, 1 << 62)
        self._given = arena if isinstance(arena, Arena) else None
        name = arena.name if isinstance(arena, Arena) else arena
        if not isinstance(name, str):
            refuse(
                ValueError,
                "arena",
                arena,
                "proxies carry its name: Arena.create(name) makes one that has it",
            )
        if isinstance(arena, Arena):
            group, owner = arena._trust
        self._name = name
        self._also = _made_of(also)
        self._timeout = timeout
        self._when_full = when_full
        self._objects = objects
        self._copy_below = copy_below
        self._trust: dict[str, Any] = {"group": group, "owner": owner}
        self._cells: Cells | None = None
        self._closed = False
        # Objects of this process whose copy elsewhere another host may evict.
        self._mine: dict[tuple[int, int], Any] = {}
        # Slots that a _Writer has filled, by id(). Another array that looks into a slot
        # is the caller's, as a received message is: put() copies it.
        self._written: weakref.WeakValueDictionary[int, Any] = (
            weakref.WeakValueDictionary()
        )
        if self._open() is None and required:
            self._raise_absent(f'there is no arena "{name}" here')

    def __repr__(self) -> str:
        return f"TensoringConnector({self._name!r}, also={self._also!r})"

    def __enter__(self) -> TensoringConnector:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    # ---- the arena

    @property
    def arena(self) -> Arena | None:
        """The arena, None where there is none of that name."""
        return None if self._cells is None else self._cells.arena

    @property
    def identity(self) -> str:
        """What tells the arena from others of its name; "" where there is none."""
        return "" if self._cells is None else self._cells.identity

    def _open(self) -> Cells | None:
        """Attach, if the arena is there; again, if there is another one by now."""
        if self._closed:
            raise InvalidError("the connector is closed")
        found = self._cells
        if self._given is not None:
            if self._given.closed:
                raise InvalidError(
                    f'the arena "{self._name}" that the connector was given is closed:'
                    " give it the name, and it attaches by itself"
                )
            if found is None:
                self._cells = self._cells_in(self._given)
            return self._cells
        closed = found is not None and found.arena.closed
        if found and not closed and not _is_another_file(self._name, found.arena):
            return found
        try:
            arena = Arena.attach(self._name, **self._trust)
        except NotFoundError:
            self._cells = None if closed else found
            return self._cells
        try:
            self._cells = self._cells_in(arena)
        except BaseException:
            arena.close()
            raise
        if found is not None and found.identity != self._cells.identity:
            self._mine.clear()
        if found is not None:
            found.arena.close()
        return self._cells

    def _cells_in(self, arena: Arena) -> Cells:
        return Cells(arena, _BOARD, self._objects, self._timeout)

    def _here(self, key: TensoringKey) -> Cells | None:
        """The cells, if the object lies in the arena of this process."""
        found = self._cells
        if found is None or found.identity != key.arena or found.arena.closed:
            found = self._open()
        return found if found is not None and found.identity == key.arena else None

    def _raise_absent(self, why: str) -> Any:
        error = NotFoundError(
            f"{why}, and the connector has no other one to ask: give it"
            " also=RedisConnector(...), or another one that both hosts reach"
        )
        error.code = CODES["TR_ENOENT"]
        raise error

    # ---- what ProxyStore asks for

    def close(self, clear: bool = False) -> None:
        """Leave the arena, and close the other connector. With `clear` the objects of the
        arena are removed first; without, they stay for others."""
        if self._closed:
            return
        if clear and (self._given is None or not self._given.closed):
            cells = self._open()
            if cells is not None:
                cells.clear()
        self._closed = True
        if self._cells is not None and self._given is None:
            self._cells.arena.close()
        self._cells = None
        if self._also is not None:
            self._also.close()

    def config(self) -> dict[str, Any]:
        """What from_config() makes the same connector of, in any process."""
        return {
            "arena": self._name,
            "also": None if self._also is None else _config_of(self._also),
            "timeout": self._timeout,
            "when_full": self._when_full,
            "objects": self._objects,
            "copy_below": self._copy_below,
            **self._trust,
            "required": False,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TensoringConnector:
        """A connector from what config() gave."""
        return cls(**config)

    def store(self, name: str, codec: Codec = _PLAIN, **options: Any) -> Store[Any]:
        """A Store on this connector, with the codec's serializer and deserializer. This
        process writes an object straight into its slot. Options are those of Store."""
        writer = _Writer(self, codec)
        options = {"serializer": writer, "deserializer": codec.deserialize, **options}
        return Store(name, self, **options)

    def put(self, obj: Any) -> TensoringKey:
        """Keep a block of bytes: its key. SendTimedOutError: the arena is full, as the
        text says by whom. TooLargeError: no slot is large enough, and there is no other
        connector."""
        cells = self._open()
        where = self._put_here(cells, obj) if cells is not None else None
        if where is None and self._also is None:
            self._raise_absent(f'there is no arena "{self._name}" here')
        nbytes = memoryview(obj).nbytes
        try:
            other = None if self._also is None else self._also.put(obj)
        except BaseException:
            if cells is not None and where is not None:
                cells.delete(*where)
            raise
        if cells is None or where is None:
            return TensoringKey("", 0, 0, nbytes, other)
        if other is not None:
            self._remember(where, other)
        return TensoringKey(cells.identity, *where, nbytes, other)

    def put_batch(self, objs: Sequence[Any]) -> list[TensoringKey]:
        """Keep several; all or none of them. What the other connector does not evict
        after an error stays there."""
        keys: list[TensoringKey] = []
        try:
            for obj in objs:
                keys.append(self.put(obj))
        except BaseException:
            for key in keys:
                with contextlib.suppress(Exception):  # the first error is the cause
                    self.evict(key)
            raise
        return keys

    def get(self, key: TensoringKey) -> Any:
        """A read-only memoryview that looks into the slot, what the other connector has,
        or None if the object was evicted."""
        cells = self._here(key)
        if cells is None:
            return self._get_there(key)
        try:
            array = cells.get(key.cell, key.version)
        except Error as error:  # it has no pin left
            if error.code != CODES["TR_EPINS"] or key.other is None:
                raise
            array = None
        if array is None:
            return self._get_there(key)
        view = memoryview(array)
        return bytes(view) if view.nbytes < self._copy_below else view

    def get_batch(self, keys: Sequence[TensoringKey]) -> list[Any]:
        """get() of each."""
        return [self.get(key) for key in keys]

    def exists(self, key: TensoringKey) -> bool:
        """Whether get() would give it."""
        cells = self._here(key)
        if cells is not None and cells.board._version(str(key.cell)) == key.version:
            return True
        return key.other is not None and bool(self._other(key).exists(key.other))

    def evict(self, key: TensoringKey) -> None:
        """Remove an object. Its slot is free when nothing looks into it. On a host that
        does not have the arena only the copy is removed; see sweep()."""
        cells = self._here(key)
        if cells is not None:
            cells.delete(key.cell, key.version)
            self._mine.pop((key.cell, key.version), None)
        if key.other is not None:
            self._other(key).evict(key.other)

    def sweep(self) -> int:
        """Remove from the arena what this process has put and another host has evicted;
        how many. A put that finds the arena full does it, too."""
        swept = 0
        cells = self._open() if self._mine else None
        for where, other in list(self._mine.items()):
            if not self._also.exists(other):
                if self._mine.pop(where, None) is None:
                    continue  # another thread was faster
                if cells is not None:
                    cells.delete(*where)
                swept += 1
        return swept

    # ---- parts of these

    def _other(self, key: TensoringKey) -> Any:
        if self._also is None:
            self._raise_absent(f'the arena "{self._name}" of the object is not here')
        return self._also

    def _get_there(self, key: TensoringKey) -> Any:
        if key.other is not None:
            return self._other(key).get(key.other)
        if self._cells is None or self._cells.identity != key.arena:
            self._raise_absent(f'the object lies in an arena "{self._name}" elsewhere')
        return None

    def _remember(self, where: tuple[int, int], other: Any) -> None:
        if len(self._mine) >= 2 * self._objects:  # others have evicted most of them
            cells = self._cells
            for cell, version in list(self._mine):
                if cells is None or cells.board._version(str(cell)) != version:
                    self._mine.pop((cell, version), None)
        self._mine[where] = other

    def _put_here(self, cells: Cells, obj: Any) -> tuple[int, int] | None:
        """The cell and the version; None: it goes to the other connector alone."""
        try:
            message = self._loan_behind(obj) or self._copied(cells.arena, memoryview(obj))
            return cells.put(message, self._timeout)
        except TooLargeError:
            if self._also is None:
                raise
        except Full:
            if self._also is None or self._when_full == "fail":
                raise
        return None

    def _loan_early(self, nbytes: int) -> Any:
        """A free slot to write into before a put; None: put() says why not."""
        cells = self._open()
        if cells is None:
            return None
        if self._also is None:
            return self._loan(cells.arena, nbytes, self._timeout)
        try:
            waits = 0 if self._when_full == "other" else self._timeout
            return self._loan(cells.arena, nbytes, waits)
        except TooLargeError:
            return None
        except Full:
            if self._when_full == "fail":
                raise
        return None

    def _loan(self, arena: Arena, nbytes: int, timeout: float | None) -> Any:
        try:
            if self._mine:
                return arena._loan(_row(nbytes), 0)
        except Full:
            self.sweep()
        try:
            return arena._loan(_row(nbytes), timeout)
        except Full as error:
            raise _told(error, arena) from None

    def _loan_behind(self, obj: Any) -> Any:
        """The loaned message that a _Writer has filled, if the bytes are that."""
        if type(obj) is not memoryview:
            return None
        array: Any = self._written.get(id(obj.obj))
        if array is None or array.nbytes != obj.nbytes or not obj.c_contiguous:
            return None
        return array.base.message

    def _copied(self, arena: Arena, data: memoryview) -> Any:
        message = self._loan(arena, data.nbytes, self._timeout)
        message.array(0)[...] = np.frombuffer(data, np.uint8)
        return message


def _row(nbytes: int) -> list[Any]:
    return rows_of(nbytes, "u1", "C")


class _Writer:
    """Serializes into a slot, so that a put need not copy. Where there is no arena, or no
    room in it, it makes bytes; put() says what is wrong then. In another process, which
    gets it with a proxy, it is the codec's serialize()."""

    def __init__(self, connector: TensoringConnector, codec: Codec) -> None:
        self._connector = connector
        self._codec = codec

    def __reduce__(self) -> Any:
        return (getattr, (self._codec, "serialize"))

    def __call__(self, obj: Any) -> Any:
        codec = self._codec
        laid = packed.lay_out(codec._as(obj), codec.pickle)
        message = self._connector._loan_early(laid.nbytes)
        if message is None:
            block = bytearray(laid.nbytes)
            packed.write(laid, np.frombuffer(block, np.uint8))
            return block
        slot = message.array(0)
        packed.write(laid, slot)
        self._connector._written[id(slot)] = slot
        return memoryview(slot).toreadonly()
