# SPDX-License-Identifier: MIT
"""arena_options.py: tr_arena_options for scripts that call the C library."""

from __future__ import annotations

import ctypes


class Options(ctypes.Structure):
    """tr_arena_options."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("classes", ctypes.c_void_p),
        ("class_count", ctypes.c_uint32),
        ("max_participants", ctypes.c_uint32),
        ("max_channels", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("ring_bytes", ctypes.c_uint64),
        ("spin_ns", ctypes.c_int64),
        ("eventfds", ctypes.c_uint32),
        ("pins", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("memory_bytes", ctypes.c_uint64),
        ("warm_bytes", ctypes.c_uint64),
    )


def arena_options(flags: int = 0, max_participants: int = 64, memory_bytes: int = 0) -> Options:
    """TR_ARENA_OPTIONS_INIT, and what differs from it."""
    nobody = (1 << 32) - 1
    return Options(
        struct_size=ctypes.sizeof(Options),
        flags=flags,
        max_participants=max_participants,
        max_channels=64,
        mode=0o600,
        ring_bytes=4 << 20,
        spin_ns=-1,
        pins=64,
        uid=nobody,
        gid=nobody,
        memory_bytes=memory_bytes,
    )
