# SPDX-License-Identifier: MIT
"""Exceptions on their way from a worker to its master, whatever they are like.

An exception may refuse to be pickled, made again, printed, or changed. Its traceback and
its name travel as text beside it, so that the caller is always told what was raised."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from tensoring._errors import CODES, PeerDiedError
from tensoring._interrupts import of_handler
from tensoring._serial.pickles import dump_any, load_copies

# The pickle of an exception (nothing if it has none), its traceback, and its last line.
Packed = tuple[list[Any], str, str]
_LONGEST = 4096  # characters of a text that is sent alone


class WorkerDied(PeerDiedError, BrokenProcessPool):
    """The worker that had the job died before it was done, or no worker can start."""

    code = CODES["TR_EPEERDIED"]


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Its traceback."""
    try:
        return _plain("".join(traceback.format_exception(error)))
    except BaseException:
        return f"{type(error).__qualname__}\n"


def _last_line(error: BaseException) -> str:
    try:
        return _plain(f"{type(error).__qualname__}: {error}")
    except BaseException:
        return f"{type(error).__qualname__}, which cannot be printed"


def pack(error: BaseException) -> Packed:
    """What can be sent of `error`."""
    text, line = text_of(error), _last_line(error)
    try:
        stream, *buffers = dump_any(error)
        parts = [stream, *(np.frombuffer(buffer, np.uint8) for buffer in buffers)]
    except BaseException as reason:
        return [], text, f"{line} (it cannot be pickled: {_last_line(reason)})"
    return parts, text, line


def shortened(packed: Packed) -> Packed:
    """Only the texts of a failure that was too large to be sent."""
    _, text, line = packed
    return [], text[-_LONGEST:], f"{line[:_LONGEST]} (it is too large to be sent)"


def _made(parts: list[Any], line: str) -> BaseException:
    if not parts:
        return RuntimeError(line)
    try:
        error = load_copies(parts)
    except BaseException as reason:
        if of_handler(reason):
            raise
        return RuntimeError(f"{line} (it cannot be unpickled: {_last_line(reason)})")
    return error if isinstance(error, BaseException) else RuntimeError(line)


def with_cause(error: BaseException, cause: BaseException | None) -> BaseException:
    """`error` with a cause, even if it allows no attribute to be set."""
    BaseException.__dict__["__cause__"].__set__(error, cause)
    return error


def to_keep(error: BaseException, remote: type[Exception]) -> BaseException:
    """`error` as a result that may be taken later, or never: its traceback becomes a
    text, for the frames would keep what they hold, and what their callers' hold."""
    cause = remote(f'\n"""\n{text_of(error)}"""')
    for name in ("__traceback__", "__context__"):
        BaseException.__dict__[name].__set__(error, None)
    return with_cause(error, cause)


def again(error: BaseException) -> BaseException:
    """The same for one more caller. What is raised gets a traceback, longer each time,
    which keeps what the frames of its callers hold."""
    return with_cause(WorkerDied(*error.args), error.__cause__)


def unpack(packed: Packed, remote: type[Exception]) -> BaseException:
    """The exception as it was, with its traceback in the worker as the cause."""
    parts, text, line = packed
    return with_cause(_made(parts, line), remote(f'\n"""\n{text}"""'))


def report() -> None:
    """Tell of the exception that is being handled as of one that ended a thread."""
    kind, error, trace = sys.exc_info()
    about = (kind, error, trace, threading.current_thread())
    with contextlib.suppress(BaseException):  # a hook that raises hurts nobody either
        threading.excepthook(threading.ExceptHookArgs(about))
