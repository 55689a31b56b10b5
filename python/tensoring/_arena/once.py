# SPDX-License-Identifier: MIT
"""What is done once in all processes of an arena, and by another one if the first dies.

The claim is a lock on a byte of the arena's file, beyond all that the library locks. It
is of a description of its own, so it goes when its process dies or gives it back, and
the kernel wakes the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tensoring._arena import greenlets

if TYPE_CHECKING:
    from tensoring._arena.arena import Arena

DONE = "tensoring.once"  # the board of what has been done
_FIRST = 1 << 48  # those of the library end at 2^41, see docs/explanation/layout.md
_FLOCK = "hhqqi4x"  # l_type, l_whence, l_start, l_len, l_pid
_threads = threading.RLock()


def lock(fd: int, kind: int, byte: int, wait: bool = True) -> None:
    """A byte of a file, for the description behind `fd`; BlockingIOError: not now."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(fd, command, struct.pack(_FLOCK, kind, 0, byte, 1, 0))


def _claim(fd: int, byte: int) -> None:
    """Wait for the lock; under gevent another greenlet may have it."""
    turn = 0
    while greenlets.here():
        try:
            lock(fd, fcntl.F_WRLCK, byte, wait=False)
            return
        except BlockingIOError:
            greenlets.pause(turn)
            turn += 1
    lock(fd, fcntl.F_WRLCK, byte)


# Keys whose functions run: (process, thread, the arena's inode, key).
_running: set[tuple[int, int, int, str]] = set()


@contextlib.contextmanager
def _alone(arena: Arena, key: str) -> Iterator[None]:
    """A function that asks for its own key would wait for itself."""
    me = (os.getpid(), threading.get_ident(), os.fstat(arena.fd).st_ino, key)
    if me in _running:
        raise RuntimeError(f"once({key!r}): the function asks for its own key")
    _running.add(me)
    try:
        yield
    finally:
        _running.discard(me)


def _described_again(fd: int) -> int:
    """Another description of the arena's file: a child that is forked meanwhile does not
    get its locks. -1: none may be had, without /proc, or where the process has changed
    its user."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return -1


@contextlib.contextmanager
def _claimed_by_process(fd: int, byte: int) -> Iterator[None]:
    """The lock of a process meets those of descriptions, but not its own threads'."""
    with _threads:
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.lockf(fd, fcntl.LOCK_UN, 1, byte)


@contextlib.contextmanager
def _claimed(arena: Arena, key: str) -> Iterator[None]:
    byte = _FIRST + zlib.crc32(key.encode("utf-8", "surrogatepass"))
    fd = _described_again(arena.fd)
    if fd < 0:
        with _claimed_by_process(arena.fd, byte):
            yield
        return
    try:
        _claim(fd, byte)
        yield
    finally:
        with contextlib.suppress(OSError):
            lock(fd, fcntl.F_UNLCK, byte)  # also of copies that forked children have
        os.close(fd)


def once(arena: Arena, key: str, function: Callable[[], object]) -> bool:
    """See Arena.once()."""
    done = arena.board(DONE)
    if key in done:
        return False
    with _alone(arena, key), _claimed(arena, key):
        if key in done:
            return False
        function()
        done[key] = os.getpid()
        return True
