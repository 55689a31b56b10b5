# SPDX-License-Identifier: MIT
"""Arenas, which open the channels in them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from collections.abc import Callable, Iterable
from multiprocessing import reduction, resource_sharer
from typing import Any, TypeAlias, Unpack

from tensoring import _core
from tensoring._arena import aio
from tensoring._arena.board import Board
from tensoring._arena.broadcast import Broadcast, Subscription
from tensoring._arena.histogram import with_histograms
from tensoring._arena.once import once
from tensoring._arena.options import ArenaOptions
from tensoring._arena.queue import ArenaQueue
from tensoring._arena.service import Service
from tensoring._arena.waitset import WaitSet
from tensoring._errors import ExistsError, NotFoundError, TimedOutError, make_error
from tensoring._options import (
    MOST_FD,
    U32,
    U64,
    expansion,
    fit,
    flag,
    group_id,
    pairs,
    spin_ns,
    text,
    user_id,
    whole,
)
from tensoring._serial.allowance import MAX_EXPANSION
from tensoring.reports import Info, Stats

_TRIES = 64  # of open(), with a name that others create and remove all the time

# The trust of an attach by name: group, owner.
Trust: TypeAlias = tuple[bool, int | None]

# Keys: device, inode, and what the handle allows.
Key: TypeAlias = tuple[int, int, bool, int]
_known: weakref.WeakValueDictionary[Key, Arena] = weakref.WeakValueDictionary()
# What came with a pickled arena, and stays open: where this process may not open
# the arena's file again, that drops the lock that proves life.
_kept: dict[tuple[int, int], int] = {}


def _beyond_standard(fd: int) -> int:
    """The same file by a number that nobody prints to, see ipc/kernel/beyond.h."""
    if fd > 2:
        return fd
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return high


def _travels(held: Any) -> bool:
    """Whether each copy of a pickled arena brings a descriptor of its own. What a spawned
    process inherits is one number for all that come with it, and stays open."""
    return isinstance(held, resource_sharer.DupFd)


def _let_go(held: Any) -> None:
    """Close a descriptor that is not needed; its sender holds it until then."""
    if _travels(held):
        with contextlib.suppress(OSError, EOFError):
            os.close(held.detach())


def _rebuild(cls: type[Arena], key: Key, held: Any) -> Arena:
    known = _known.get(key)
    if known is not None and not known.closed:
        if known._info()["closing_is_safe"]:
            _let_go(held)
        return known
    fd = _kept.pop(key[:2], -1)
    kept = fd >= 0
    if not kept:
        fd = _beyond_standard(held.detach())
    arena = None
    try:
        arena = cls._attach_fd(fd, *key[2:])
    finally:
        if arena is not None and _travels(held) and arena._info()["closing_is_safe"]:
            os.close(fd)
            if kept:
                _let_go(held)
        else:
            _kept[key[:2]] = fd
    _known[key] = arena
    return arena


def _attach_again(
    cls: type[Arena], name: str, pickle: bool, expansion: int, trust: Trust
) -> Arena:
    group, owner = trust
    return cls.attach(
        name, group=group, owner=owner, allow_pickle=pickle, max_expansion=expansion
    )


class Arena(_core.Arena):
    """Shared memory that processes exchange messages in. An object that would not come
    back the same is refused (UnsupportedError); with `allow_pickle`, one that pickle
    cannot carry. Threads may share an arena and its channels; a Loan and a Message are
    for one thread at a time.

    Without a name forked workers inherit it, spawned ones get it as an argument;
    Arena.create(name, ...) gives it a name.

    slots: [(bytes, count), ...], the sizes of messages; None: 256 of 4 KiB and 64 of
    1 MiB.
    allow_pickle: arbitrary objects may be sent and received. Every process that can write
    to the arena can run code in this one then.
    max_expansion: how many times its own size a message may take when it is decoded.
    elastic: a slot has the pages that its messages need, and no more. memory_bytes: then
    the limit in bytes of all slots, 0 for none; warm_bytes: what free slots keep of it, 0
    for a quarter of the limit, or 16 MiB.
    max_participants, max_channels: how many processes, and how many queues, boards and
    so on.
    pins: messages of boards and broadcasts that one process may hold.
    ring_bytes: room for the rings and tables of all channels.
    populate, huge, lazy: touch every page now; ask for pages of 2 MiB; reserve memory of
    a slot when it is first loaned.
    overcommit: do not ask whether the machine has the memory.
    crc32c, scrub: a checksum of each message; zeros in new loans.
    dump: core dumps hold the arena.
    mode, uid, gid: permissions (0o600 if not given), owner and group of a named arena.
    spin: seconds that a wait may spin; None adapts, 0 never spins.
    eventfds: descriptors made now for event loops of workers."""

    def __new__(
        cls,
        slots: Iterable[tuple[int, int]] | None = None,
        *,
        name: str | None = None,
        populate: bool = False,
        huge: bool = False,
        lazy: bool = False,
        allow_pickle: bool = False,
        crc32c: bool = False,
        overcommit: bool = False,
        dump: bool = False,
        scrub: bool = False,
        elastic: bool = False,
        memory_bytes: int = 0,
        warm_bytes: int = 0,
        max_participants: int = 64,
        max_channels: int = 64,
        mode: int = 0o600,
        ring_bytes: int = 4 << 20,
        spin: float | None = None,
        eventfds: int = 0,
        pins: int = 64,
        uid: int | str | None = None,
        gid: int | str | None = None,
        max_expansion: int = MAX_EXPANSION,
    ) -> Arena:
        if name is not None:
            text("name", name, ", or None for an arena without one")
        if name is None and (uid is not None or gid is not None):
            raise ValueError("uid and gid are of named arenas: Arena.create(name, ...)")
        fit(U64, memory_bytes=memory_bytes, warm_bytes=warm_bytes, ring_bytes=ring_bytes)
        fit(U32, max_participants=max_participants, max_channels=max_channels)
        fit(U32, eventfds=eventfds, pins=pins)
        whole("mode", mode, 0, 0o777)
        flags = (
            flag("populate", populate) * _core.ARENA_POPULATE
            | flag("huge", huge) * _core.ARENA_HUGE
            | flag("lazy", lazy) * _core.ARENA_LAZY
            | flag("allow_pickle", allow_pickle) * _core.ARENA_ALLOW_PICKLE
            | flag("crc32c", crc32c) * _core.ARENA_CRC32C
            | flag("overcommit", overcommit) * _core.ARENA_OVERCOMMIT
            | flag("dump", dump) * _core.ARENA_DUMP
            | flag("scrub", scrub) * _core.ARENA_SCRUB
            | flag("elastic", elastic) * _core.ARENA_ELASTIC
        )
        arena = cls._create(
            name,
            [] if slots is None else pairs(slots),  # []: the default
            flags,
            max_participants,
            max_channels,
            mode,
            ring_bytes,
            spin_ns(spin, "spin"),
            eventfds,
            pins,
            U32 if uid is None else user_id(uid, "uid"),
            U32 if gid is None else group_id(gid),
            expansion(max_expansion),
            memory_bytes,
            warm_bytes,
        )
        arena._name = name
        arena._created = True
        _known[arena._key()] = arena
        return arena

    _name: str | None = None
    _created = False
    _trust: Trust = (False, None)
    _open_handles: weakref.WeakSet[Any] | None = None
    _hubs: aio.Hubs | None = None  # of event loops

    def _handles(self) -> weakref.WeakSet[Any]:
        if self._open_handles is None:
            self._open_handles = weakref.WeakSet()
        return self._open_handles

    def close(self) -> None:
        """Leave the arena, closing its channels. Views that live keep it mapped."""
        # Wait sets and subscriptions first: they use the others.
        first = (_core.WaitSet, Subscription)
        for handle in sorted(self._handles(), key=lambda one: not isinstance(one, first)):
            handle.close()
        super().close()

    @classmethod
    def create(
        cls,
        name: str,
        slots: Iterable[tuple[int, int]] | None = None,
        **options: Unpack[ArenaOptions],
    ) -> Arena:
        """A named arena, /dev/shm/tensoring.NAME, which stays until it is unlinked.
        The options are those of Arena()."""
        if not isinstance(name, str):
            raise TypeError(f"an arena's name is a str, not {name!r}; Arena() has none")
        return cls(slots, name=name, **options)

    @classmethod
    def open(
        cls,
        name: str,
        slots: Iterable[tuple[int, int]] | None = None,
        *,
        group: bool = False,
        owner: int | str | None = None,
        **options: Unpack[ArenaOptions],
    ) -> Arena:
        """The named arena, created by the first process that opens it: `created` says
        which one that is. Later ones attach, with `group` and `owner` as in attach();
        slots and other options of theirs change nothing. An arena whose users have all
        died is replaced. The options are those of Arena()."""
        for _ in range(_TRIES):
            try:
                return cls.create(name, slots, **options)
            except ExistsError:
                pass
            try:
                return cls.attach(
                    name,
                    group=group,
                    owner=owner,
                    allow_pickle=options.get("allow_pickle", False),
                    max_expansion=options.get("max_expansion", MAX_EXPANSION),
                )
            except NotFoundError:
                pass  # it was removed between the two
        return cls.create(name, slots, **options)

    @property
    def created(self) -> bool:
        """Whether this handle made the arena; False: it attached to one."""
        return self._created

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        group: bool = False,
        owner: int | str | None = None,
        allow_pickle: bool = False,
        max_expansion: int = MAX_EXPANSION,
        timeout: float | None = 0,
    ) -> Arena:
        """Attach to a named arena. With a timeout in seconds (None: no limit) it waits
        for one of that name, and raises TimedOutError; without, NotFoundError if there is
        none.

        Arenas of this process's own user and of root are trusted. Any user can be the
        first to take a name, and would get what is sent to it, so arenas of others are
        trusted on request alone: `owner` is another user, by number or name; `group`
        trusts an arena that one of our groups may write, and not everybody.

        With `allow_pickle` arbitrary objects may be sent and received by this handle, if
        the arena was made for them. A pickle runs code, so this lets everybody that can
        write to the arena run code in this process. What the arena itself says is never
        enough. A message may take `max_expansion` times its own size (at least 1 MiB)
        when it is decoded."""
        text("name", name)
        flag("group", group)
        flag("allow_pickle", allow_pickle)
        whose = None if owner is None else user_id(owner, "owner")
        most = expansion(max_expansion)
        try:
            arena = cls._attach(name, allow_pickle, most, group, whose, timeout)
        except TimedOutError as error:  # it knows the last slice of the time only
            detail = f'no arena "{name}" was created within {timeout} s'
            raise make_error(error.code, detail, "attach") from None
        arena._name = name
        arena._trust = (group, whose)
        return arena

    @classmethod
    def attach_fd(
        cls,
        fd: int,
        *,
        allow_pickle: bool = False,
        max_expansion: int = MAX_EXPANSION,
    ) -> Arena:
        """Attach by an inherited or received descriptor, which stays the caller's. It may
        be closed, unless this process may not open the arena's file itself (it has
        changed its user, or there is no /proc). Options as in attach(), but no owner is
        asked for: the process that gave the descriptor answers for it."""
        whole("fd", fd, 0, MOST_FD)
        flag("allow_pickle", allow_pickle)
        return cls._attach_fd(fd, allow_pickle, expansion(max_expansion))

    @staticmethod
    def unlink(name: str) -> None:
        """Remove the name of an arena; processes that are attached go on."""
        _core.unlink(text("name", name))

    @staticmethod
    def sweep(prefix: str = "") -> int:
        """Remove the named arenas whose participants are all dead; how many.

        FIFOs that killed processes of anonymous arenas left in /dev/shm go, too.
        """
        return _core.sweep(text("prefix", prefix))

    @staticmethod
    def look(arena: str | int) -> Stats:
        """stats() of a named arena, or of the one behind a descriptor, without joining
        it: that takes no entry, wakes nobody, and works on an arena that is full."""
        if isinstance(arena, str):
            found = _core.look(text("arena", arena), -1)
        else:
            fd = whole("arena", arena, 0, MOST_FD, ", a descriptor, or a name")
            found = _core.look(None, fd)
        return {
            "totals": found[0],
            "participants": found[1],
            "channels": with_histograms(found[2], found[4]),
            "sizes": found[3],
        }

    @property
    def name(self) -> str | None:
        """The name, None if it is anonymous or was attached by a descriptor."""
        return self._name

    @property
    def fd(self) -> int:
        """The descriptor of the shared memory. It stays the arena's: do not close it."""
        return self._info()["fd"]

    def info(self) -> Info:
        """Sizes, limits, what became of large pages, and where the arena is mapped; the
        keys are in tensoring.reports.Info."""
        return self._info()

    def stats(self) -> Stats:
        """Counters, which process holds what, how deep each channel is, and where the
        slots of each size are; the keys are in tensoring.reports."""
        channels = self._channels()
        counted = [
            self._histograms(one["name"]) if one["kind"] == "queue" else []
            for one in channels
        ]
        return {
            "totals": self._stats(),
            "participants": self._participants(),
            "channels": with_histograms(channels, counted),
            "sizes": self._sizes(),
        }

    def set_spin(self, seconds: float | None) -> None:
        """How long waits may spin before they sleep; None adapts, 0 never spins."""
        self._set_spin(spin_ns(seconds, "seconds"))

    def queue(
        self,
        name: str,
        capacity: int = 0,
        *,
        policy: str = "redeliver",
        max_deliveries: int = 3,
        stamp: bool = False,
        histograms: bool = False,
    ) -> ArenaQueue:
        """Open the queue `name`, making it if it is not there.

        capacity: how many messages it holds; 0: 256, or what it has.
        policy: what becomes of a message whose receiver died with it. "redeliver":
        another receiver gets it, at most `max_deliveries` times in all; "drop": it is
        given up.
        stamp: each message says when it was sent.
        histograms: a new queue counts how long its messages wait, see
        ArenaQueue.histogram(); it stamps them."""
        return ArenaQueue._of(
            self, name, capacity, policy, max_deliveries, stamp, histograms
        )

    def broadcast(
        self,
        name: str,
        capacity: int = 0,
        *,
        keep: int = 1,
        max_subscribers: int = 64,
        stamp: bool = False,
    ) -> Broadcast:
        """Open the broadcast `name`, making it if it is not there.

        capacity: how many messages a subscriber may be behind; 0: 63, or what it has.
        keep: how many messages stay for late subscribers.
        max_subscribers: how many there may be at a time.
        stamp: each message says when it was published."""
        return Broadcast._of(self, name, capacity, keep, max_subscribers, stamp)

    def board(self, name: str, capacity: int = 0) -> Board:
        """Open the board `name`, making it if it is not there, for `capacity` keys; 0:
        1024, or what it has."""
        return Board._of(self, name, capacity)

    def service(
        self,
        name: str,
        capacity: int = 0,
        *,
        policy: str = "redeliver",
        max_deliveries: int = 2,
        histograms: bool = True,
    ) -> Service:
        """Open the service `name`: a queue of requests that are answered. Options are
        those of queue(). A request that two servers have died with ends with
        PeerDiedError; serve_batches() runs one that comes again alone."""
        queue = self.queue(
            name,
            capacity,
            policy=policy,
            max_deliveries=max_deliveries,
            histograms=histograms,
        )
        return Service(queue)

    def once(self, key: str, function: Callable[[], object]) -> bool:
        """Call function() in one of all processes of the arena that ask for `key`; the
        others wait until it has returned. True: this process called it. An exception goes
        to this caller, and the next process that asks calls the function; so does one
        that waits if the process dies in it. Takes a channel, the board
        "tensoring.once", for the keys that are done."""
        text("key", key)
        return once(self, key, function)

    def wait_set(self) -> WaitSet:
        """An empty wait set, for queues of this arena and descriptors."""
        return WaitSet._of(self)

    def _key(self) -> Key:
        status = os.fstat(self.fd)
        return (status.st_dev, status.st_ino, self.allow_pickle, self.max_expansion)

    def __reduce__(self) -> Any:
        if self._name is not None:
            consent = (self.allow_pickle, self.max_expansion)
            return (_attach_again, (type(self), self._name, *consent, self._trust))
        return (_rebuild, (type(self), self._key(), reduction.DupFd(self.fd)))

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = "anonymous" if self._name is None else repr(self._name)
        if self.closed:
            return f"<tensoring.Arena {name}, closed>"
        totals = self._stats()
        return (
            f"<tensoring.Arena {name}, {self._info()['total_bytes']} bytes, "
            f"{totals['slots_free']} of {totals['slots']} slots free>"
        )
