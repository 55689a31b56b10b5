# SPDX-License-Identifier: MIT
"""The dicts in which an arena, a message or a worker says what it is: their keys.

Sizes are in bytes, times in nanoseconds; what a key means stands in the C header."""

from __future__ import annotations

from typing import Any, TypedDict


class Info(TypedDict):
    """Arena.info(): what an arena turned out to be (tr_arena_info)."""

    flags: int  # as asked for
    total_bytes: int
    huge_bytes: int  # mapped here by pages larger than the base page
    resident_bytes: int  # reserved by now: total_bytes unless lazy
    populate_ns: int  # what `populate` took in the creator
    class_count: int
    max_participants: int
    max_channels: int
    layout: int  # version of the shared layout
    self: int  # index of this process among the participants
    copy_routine: int  # for large copies: 0 memcpy, 1 rep movsb
    base: int  # address of the arena here
    fd: int  # its descriptor, which stays the arena's
    huge_error: int  # 0, or the code with which large pages were refused
    slots_bytes: int  # elastic: what slots have now
    warm_bytes: int  # and of that, what free ones keep
    memory_bytes: int  # the limit, 0 for none
    received_bytes: int  # of slots_bytes, what receivers have in hand
    closing_is_safe: bool  # whether the program may close descriptors of the file


class BridgeStatus(TypedDict):
    """Bridge.status(): what a bridge to another host does (tr_bridge_status)."""

    link: str  # "up" or "down"
    link_seconds: float  # how long it has been so
    pid: int | None  # the process that carries messages
    endpoint: str  # where it listens, or where the other side does
    why: str  # why the link is down
    in_flight: int  # out: sent, and not confirmed
    confirmed: int  # out: published there, and released here; by this process
    published: int  # in: published here
    repeated: int  # in: offered again, recognised and not published again
    doubled: int  # in: may have been published twice, since the bridge was killed
    channels: list[dict[str, Any]]  # the same for each queue


class Reaped(TypedDict):
    """Arena.reap(): what was found and done (tr_reap_report)."""

    dead: int  # participants found dead
    freed: int  # slots that are free again
    redelivered: int  # messages that go to another receiver
    dropped: int  # messages given up


class Totals(TypedDict):
    """stats()["totals"]: where every slot is, and counters (tr_stats)."""

    participants: int
    channels: int
    slots: int
    slots_free: int
    slots_loaned: int
    slots_queued: int
    slots_received: int
    slots_shared: int  # kept, board, pinned and retired
    slots_orphaned: int
    slots_kept: int
    slots_board: int
    slots_pinned: int
    slots_retired: int
    waits: int
    wakes: int
    timeouts: int
    loan_waits: int
    deaths: int
    freed: int
    redelivered: int
    dropped: int
    corrupt: int
    joins: int
    lagged: int
    evicted: int
    stale_replies: int


class Participant(TypedDict):
    """One of stats()["participants"] (tr_participant_stats)."""

    index: int
    incarnation: int
    pid: int
    uid: int
    alive: bool  # False: proven dead, not yet swept
    loaned: int
    received: int
    pinned: int
    held_bytes: int  # slot bytes of what it loaned and received
    start_time: int  # clock ticks since boot
    pinned_bytes: int  # slot bytes of what it reads of broadcasts and boards
    pid_ns: int  # inode of its pid namespace, 0: not known
    joined_ns: int  # how long ago it joined
    oldest_ns: int  # age of the oldest message that it received; 0: none has a time
    foreign: bool  # pid is a number of another pid namespace than ours
    state: str  # letter of proc(5), "": not known
    command: str
    channel: str  # that most of what it received came from, "": none


class Counted(TypedDict):
    """One of the histograms of a queue that counts (tr_histogram); times in ns, batches
    in rows."""

    count: int  # of values
    sum: int  # of the values
    buckets: list[tuple[int, int]]  # the largest value it counts, how many; no empty ones


class ChannelStats(TypedDict):
    """One of stats()["channels"] (tr_channel_stats)."""

    name: str
    kind: str  # "queue", "broadcast" or "board"
    capacity: int
    depth: int
    sent: int
    received: int
    orphans: int  # messages of dead receivers
    receivers: int
    sleeping_receivers: bool
    sleeping_senders: bool
    behind: int  # messages that the last blocking subscriber is behind
    laggard: int | None  # its index
    histograms: dict[str, Counted]  # by kind; {}: the channel counts nothing


class Sizes(TypedDict):
    """One of stats()["sizes"]: the slots of one size (tr_class_stats)."""

    slot_bytes: int
    slots: int
    waiting: bool  # somebody may be asleep for one
    free: int
    loaned: int
    queued: int
    received: int
    orphaned: int
    kept: int
    board: int
    pinned: int
    retired: int


class Stats(TypedDict):
    """Arena.stats(): totals of an arena, its participants, channels and slots."""

    totals: Totals
    participants: list[Participant]
    channels: list[ChannelStats]
    sizes: list[Sizes]


class Header(TypedDict):
    """Message.header() (tr_header)."""

    content: int  # number of the content type
    sequence: int  # place in the channel; a board's version
    correlation_id: int
    deadline_ns: int
    published_ns: int  # by CLOCK_MONOTONIC; 0: the channel does not stamp
    deliveries: int  # how often it was handed out before
    sender: int
    last_receiver: int  # of a redelivered message
    has_crc: bool
    user: bytes
    content_type: str


class Part(TypedDict):
    """What a plan gives one worker (tr_plan_worker)."""

    cpus: list[int]
    cores: int
    threads: int
    flags: int


class Library(TypedDict):
    """A library with a thread count (tr_thread_library)."""

    kind: str
    path: str
    before: int  # threads
    after: int
    scope: int


class Entered(TypedDict):
    """Plan.enter(): what was done (tr_worker_report)."""

    index: int
    threads: int
    tasks: int  # threads of the process that were bound
    bind_error: int  # 0, or the code with which it was refused
    before: list[int]  # cores
    after: list[int]
    libraries: list[Library]
