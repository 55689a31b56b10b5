# SPDX-License-Identifier: MIT
"""References of Ray that nobody has between the moment at which an argument is pickled
and the moment at which Ray counts what the pickle contains.

Ray counts the references in a small argument when it submits the task, and relies on the
caller for them until then. A token that is made while an argument is pickled has no other
holder. So it is kept here as long as the function of Ray runs that has the argument."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any, NamedTuple

_PAUSE = 0.05  # seconds between looks, while something is kept
_LOOKS = 1200  # no function of Ray submits for a minute: one that runs on does not submit


class _Kept(NamedTuple):
    thread: int
    frame: FrameType
    token: Any
    until: int  # the number of the last look


_lock = threading.RLock()  # a collection of garbage inside may pickle something
_kept: list[_Kept] = []
_looks = False  # whether a thread does
_look_number = 0  # and not a time: a stopped process does not look


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _pickles(frame: FrameType) -> bool:
    return _module(frame) == "ray._private.serialization"


def _caller() -> FrameType | None:
    """The function for which Ray pickles in this thread, if that is Python."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not _pickles(frame):
        frame = frame.f_back
    while frame is not None and _pickles(frame):
        frame = frame.f_back
    return frame


def for_a_channel() -> bool:
    """Whether Ray pickles for a compiled graph, whose channels count no references."""
    frame = _caller()
    return frame is not None and _module(frame).startswith("ray.experimental.")


def _submits() -> FrameType | None:
    """The function of Ray for which this thread pickles; None: there is none, or it never
    ends, since it runs the tasks of a worker. Ray counts at once what these return."""
    frame = _caller()
    if frame is None or frame.f_code.co_name == "main_loop":
        return None
    return frame if _module(frame).startswith("ray.") else None


def _runs(one: _Kept, now: dict[int, FrameType]) -> bool:
    if one.until < _look_number:
        return False
    frame = now.get(one.thread)
    while frame is not None and frame is not one.frame:
        frame = frame.f_back
    return frame is not None


def _let_go() -> bool:
    """Drop what is counted by now; whether something is left."""
    with _lock:
        now = sys._current_frames()
        done = [one for one in _kept if not _runs(one, now)]
        now.clear()  # it has the frame of this function, which has it
        for one in done:
            _kept.remove(one)
        left = bool(_kept)
    return left


def _look() -> None:
    global _looks, _look_number
    while True:
        time.sleep(_PAUSE)
        _look_number += 1
        if _let_go():
            continue
        with _lock:
            if not _kept:
                _looks = False
                return


def keep(token: Any) -> None:
    """Keep a reference until Ray has counted it."""
    global _looks
    frame = _submits()
    if frame is None:
        return
    _let_go()
    with _lock:
        until = _look_number + _LOOKS
        _kept.append(_Kept(threading.get_ident(), frame, token, until))
        begins, _looks = not _looks, True
    if begins:
        threading.Thread(target=_look, name="tensoring.ray", daemon=True).start()
