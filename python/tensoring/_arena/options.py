# SPDX-License-Identifier: MIT
"""The options of an arena, for calls that pass them on: an editor can complete them."""

from __future__ import annotations

from typing import TypedDict


class ArenaOptions(TypedDict, total=False):
    """What Arena() takes besides slots and name; help(Arena) says what each is."""

    populate: bool
    huge: bool
    lazy: bool
    allow_pickle: bool
    crc32c: bool
    overcommit: bool
    dump: bool
    scrub: bool
    elastic: bool
    memory_bytes: int
    warm_bytes: int
    max_participants: int
    max_channels: int
    mode: int
    ring_bytes: int
    spin: float | None
    eventfds: int
    pins: int
    uid: int | str | None
    gid: int | str | None
    max_expansion: int
