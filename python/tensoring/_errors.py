# SPDX-License-Identifier: MIT
"""Exceptions, made from the library's one table of codes.

Each is also the standard exception that people already catch for the same thing."""

from __future__ import annotations

import errno
import queue
import re
from typing import Any

from tensoring import _core

CODES: dict[str, int] = {name: code for name, code, _ in _core.ERRORS}
NAMES: dict[int, str] = {code: name for name, code, _ in _core.ERRORS}
TEXTS: dict[int, str] = {code: text for _, code, text in _core.ERRORS}


class Error(Exception):
    """Something that the library refused. `code` is its TR_E... number."""

    code: int = 0

    @property
    def name(self) -> str:
        """The name of the code, as in the C header."""
        return NAMES.get(self.code, "unknown")


class Empty(Error, queue.Empty):
    """Nothing to receive."""


class Full(Error, queue.Full):
    """No room to send into, or no free slot."""


class BusyError(Full):
    """A service has as many requests as its queue, or the arena, has room for. A web
    server answers with 503 and a header Retry-After: `retry_after`, in seconds. It is how
    long the requests in the queue will take, as this process has seen them being taken in
    the last 10 s when the queue was full; 1 as long as it has not."""

    retry_after: float = 1.0


class TimedOutError(Error, TimeoutError):
    """The operation timed out."""

    errno = errno.ETIMEDOUT


class ReceiveTimedOutError(Empty, TimedOutError):
    """Nothing came in time."""


class SendTimedOutError(Full, TimedOutError):
    """No room, or no free slot, in time."""


class ClosedError(Error, BrokenPipeError):
    """The channel was shut down; a receiver has drained it."""

    errno = errno.EPIPE


class PeerDiedError(Error, ConnectionResetError):
    """The other process died."""

    errno = errno.ECONNRESET


class NoServerError(PeerDiedError):
    """No living process serves it."""


class OutOfMemoryError(Error, MemoryError):
    """Not enough memory; the text says which limit was met."""


class TooLargeError(Error, ValueError):
    """No slot class is large enough."""


class InvalidError(Error, ValueError):
    """An argument is out of range."""


class NotFoundError(Error, FileNotFoundError):
    """There is nothing by that name."""

    errno = errno.ENOENT


class ExistsError(Error, FileExistsError):
    """The name is taken."""

    errno = errno.EEXIST


class DeniedError(Error, PermissionError):
    """Not let in."""

    errno = errno.EACCES


class SystemFailureError(Error, OSError):
    """The system refused."""

    @property
    def errno(self) -> int:  # type: ignore[override]
        """The number of the system's error, or EIO."""
        return -self.code if 0 < -self.code < 4096 else errno.EIO


class CorruptError(Error, ValueError):
    """The arena is corrupted."""


class FormatError(Error, ValueError):
    """The bytes are not what their content type says."""


class ContentTypeError(FormatError, TypeError):
    """The message has another content type than the one asked for."""


class ObjectError(Error, TypeError):
    """Python objects cannot be shared as raw bytes."""


class ForkError(Error, RuntimeError):
    """The message belongs to the parent process."""


class LaggedError(Error):
    """Messages were dropped before they could be read."""


class EvictedError(Error):
    """The subscriber was too slow and has been evicted."""


class RemoteError(Error, RuntimeError):
    """The server answered with an error; its code is `remote_code`."""

    remote_code: int = 0

    @property
    def status(self) -> int:
        """As a status of HTTP: the server's code if it is from 400 to 599, as those of
        batch.fail() are, else 500."""
        return self.remote_code if 400 <= self.remote_code < 600 else 500


class StaleError(Error):
    """The version is not the one expected."""


_CLASSES: dict[str, type[Error]] = {
    "TR_EINVAL": InvalidError,
    "TR_ENOMEM": OutOfMemoryError,
    "TR_ENOSPC": OutOfMemoryError,
    "TR_ETIMEDOUT": TimedOutError,
    "TR_EACCES": DeniedError,
    "TR_EPERM": DeniedError,
    "TR_EEXIST": ExistsError,
    "TR_ENOENT": NotFoundError,
    "TR_EMSGSIZE": TooLargeError,
    "TR_EOVERFLOW": InvalidError,
    "TR_ENAMETOOLONG": InvalidError,
    "TR_EIO": SystemFailureError,
    "TR_EUSERS": SystemFailureError,
    "TR_ENFILE": SystemFailureError,
    "TR_ECLOSED": ClosedError,
    "TR_EPEERDIED": PeerDiedError,
    "TR_ELAYOUT": CorruptError,
    "TR_ECORRUPT": CorruptError,
    "TR_ELAGGED": LaggedError,
    "TR_EFORK": ForkError,
    "TR_EABANDONED": CorruptError,
    "TR_EFORMAT": FormatError,
    "TR_EOBJECT": ObjectError,
    "TR_EEVICTED": EvictedError,
    "TR_EREMOTE": RemoteError,
    "TR_ESTALE": StaleError,
    "TR_ECHECKSUM": CorruptError,
}

_STEP = re.compile("[a-z ]+: ")
_REMOTE = CODES["TR_EREMOTE"]
_AGAIN = CODES["TR_EAGAIN"]
_TIMED_OUT = CODES["TR_ETIMEDOUT"]
# What a call was doing decides which of the standard exceptions fits.
_NEED_ROOM = ("send", "loan", "publish", "put", "reply")
_AGAIN_IN: dict[str, type[Error]] = {"receive": Empty} | dict.fromkeys(_NEED_ROOM, Full)
_TIMED_OUT_IN: dict[str, type[Error]] = {"receive": ReceiveTimedOutError} | dict.fromkeys(
    _NEED_ROOM, SendTimedOutError
)


# The library's sentences name what a C program would use.
_IN_PYTHON = {
    "tr_arena_unlink()": "Arena.unlink()",
    "tr_arena_trim()": "Arena.trim()",
    "TR_ARENA_LAZY": "lazy=True",
    "TR_ARENA_OVERCOMMIT": "overcommit=True",
    "TR_ARENA_ELASTIC": "elastic=True",
    "TR_ATTACH_GROUP (group=True)": "group=True",
    "tr_arena_device_fd()": "Arena.device_fd()",
    "tr_arena_info.fd": "Arena.fd",
    "tr_look_open_fd()": "Arena.look(descriptor)",
    "tr_worker_enter()": "Plan.enter()",
    "TR_QUEUE_REDELIVER": "redeliver",
    "TR_QUEUE_DROP": "drop",
    "slot_bytes": "a size in slots",
    "count of a class": "a count in slots",
    "create the arena with a larger class": "give slots= with a larger size",
}
_IN_C = re.compile("|".join(map(re.escape, _IN_PYTHON)))


def _sentence(code: int, detail: str, what: str) -> str:
    """The library's sentence, which mostly begins with its step, or the code's text. What
    a server says must not look like ours."""
    if not detail or code == _REMOTE:
        text = TEXTS.get(code, "unknown error")
        return f"{what}: {text}: {detail}" if detail else f"{what}: {text}"
    detail = _IN_C.sub(lambda found: _IN_PYTHON[found[0]], detail)
    named = _STEP.match(detail) or detail.startswith(f"{what} ")
    return detail if named else f"{what}: {detail}"


def hand_over(error: BaseException, taken: list[Any]) -> None:
    """Give what was taken before an error to its catcher, even if it allows no attribute
    to be set."""
    error.__dict__["taken"] = taken


def make_error(code: int, detail: str, what: str) -> Error:
    """The exception for `code`, met in the call `what`. Called by the extension."""
    if code == _AGAIN:
        kind = _AGAIN_IN.get(what, Error)
    elif code == _TIMED_OUT:
        kind = _TIMED_OUT_IN.get(what, TimedOutError)
    else:
        kind = _CLASSES.get(NAMES.get(code, ""), Error)
    error = kind(_sentence(code, detail, what))
    error.code = code
    if isinstance(error, RemoteError):
        error.remote_code = _core.remote_code()
    return error
