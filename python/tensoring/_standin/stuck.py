# SPDX-License-Identifier: MIT
"""Calls without a timeout that wait for memory say so, once for each queue."""

from __future__ import annotations

import gc
import os
import time
import traceback
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensoring._errors import Empty, Full
from tensoring._standin import objects
from tensoring.reports import Participant, Sizes

if TYPE_CHECKING:
    from tensoring._arena.queue import ArenaQueue

PATIENCE = 10.0  # seconds without a warning
_CYCLES = 1.0  # seconds until objects in cycles are looked for
_NOTHING = object()


class StuckWarning(RuntimeWarning):
    """A call without a timeout has waited for long, for memory that others keep."""


def _kept(person: Participant) -> str:
    who = ", this process" if person["pid"] == os.getpid() else ""
    held = person["received"] + person["loaned"]
    mebibytes = person["held_bytes"] / (1 << 20)
    name = f"pid {person['pid']} ({person['command']}{who})"
    return f"{name} holds {held}, {mebibytes:.1f} MiB"


def _used_up(size: Sizes) -> str:
    return (
        f"all {size['slots']} slots of {size['slot_bytes']} bytes are taken"
        f" ({size['received']} received, {size['queued']} queued,"
        f" {size['loaned']} loaned)"
    )


def _memory_used(queue: ArenaQueue) -> list[str]:
    info = queue.arena.info()
    limit, taken = info["memory_bytes"], info["slots_bytes"]
    if not limit:
        return []
    received, free = info["received_bytes"], info["warm_bytes"]
    whose = "memory_bytes=; it has half of it" if queue._half else "memory_bytes="
    return [
        f"of the limit of {limit} bytes ({whose}) {taken} are taken"
        f" ({max(0, taken - received - free)} queued or loaned, {received} received,"
        f" {free} free)"
    ]


def _held_by_nobody(queue: ArenaQueue) -> str:
    waiting = len(queue)
    return "no process holds any" + (f", {waiting} wait to be received" * bool(waiting))


def explain(queue: ArenaQueue, what: str, waited: float, reason: str = "") -> str:
    """What is full, which process holds it, and the way out."""
    stats = queue.arena.stats()
    full = [_used_up(size) for size in stats["sizes"] if not size["free"]]
    full += [reason] if reason else _memory_used(queue)
    people = [one for one in stats["participants"] if one["received"] + one["loaned"]]
    people.sort(key=lambda one: -int(one["held_bytes"]))
    held = [_kept(one) for one in people[:8]] or [_held_by_nobody(queue)]
    return (
        f"{what} has waited {waited:.0f} s for memory: "
        + "; ".join(full or ["no slot is free that is large enough"])
        + "; "
        + "; ".join(held)
        + ". Let go of what was received, copy what you keep, receive what is"
        " queued, or give more memory: memory_bytes=BYTES, slots=[(bytes, count), ...]"
    )


def tell(
    queue: ArenaQueue, what: str, waited: float, depth: int = 4, reason: str = ""
) -> None:
    """Warn, unless that was done for this queue. `depth` frames up is the caller."""
    if not queue._told:
        queue._told = True
        text = explain(queue, what, waited, reason)
        warnings.warn(text, StuckWarning, stacklevel=depth)


def tell_aside(
    queue: ArenaQueue, what: str, waited: float, depth: int = 4, reason: str = ""
) -> None:
    """The same where nobody would catch it if warnings are errors, and what waits would
    be lost: in a thread, and at the end of the process."""
    try:
        tell(queue, what, waited, depth + 1, reason)
    except StuckWarning:
        traceback.print_exc()


class Patience:
    """How long one call without a timeout has waited; it waits in steps, and has waited
    `since` seconds when this is made."""

    tell = staticmethod(tell)

    def __init__(self, queue: ArenaQueue, what: str, since: float = 0) -> None:
        self.queue = queue
        self.what = what
        self.since = time.monotonic() - since
        self.collected = False

    def step(self) -> float | None:
        """How long to wait now; None: forever."""
        if self.queue._told and self.collected:
            return None
        return PATIENCE if self.collected else min(_CYCLES, PATIENCE)

    def idle(self) -> float | None:
        """The same where there is nothing to say, but cycles to collect."""
        return None if self.collected else min(_CYCLES, PATIENCE)

    def over(self) -> bool:
        """After a step: whether it is time to warn. Arrays in cycles keep slots."""
        if not self.collected:
            self.collected = True
            if self.queue._keeps():
                gc.collect()
        return time.monotonic() - self.since >= PATIENCE

    def waited(self, depth: int = 5, reason: str = "") -> None:
        """The call has waited a step for memory; `reason`: why the machine has none."""
        if self.over():
            waited = time.monotonic() - self.since
            self.tell(self.queue, self.what, waited, depth, reason)


class PatienceAside(Patience):
    """For a wait that has no caller: a thread, the end of the process."""

    tell = staticmethod(tell_aside)


def send(queue: ArenaQueue, obj: Any, what: str) -> None:
    """Send without a timeout. A queue that is at its capacity is not reported."""
    patience = None
    was_full = False  # at the end of the step before; the first says nothing yet
    while True:
        try:
            step = patience.step() if patience else min(_CYCLES, PATIENCE)
            objects.send(queue, obj, step)
            return
        except Full:
            patience = patience or Patience(queue, what, min(_CYCLES, PATIENCE))
            # Twice: one may be received just after the step that found no room.
            is_full = len(queue) >= queue.capacity
            if not (was_full or is_full):
                patience.waited()
            was_full = is_full


def receive(queue: ArenaQueue, what: str) -> Any:
    """Receive without a timeout. Warn if nothing can be sent."""
    found = queue._take(_NOTHING)
    return _wait(queue, what, queue.receive) if found is _NOTHING else found


def receive_message(queue: ArenaQueue, what: str) -> Any:
    """The same, undecoded."""
    return _wait(queue, what, queue.receive_message)


def _wait(queue: ArenaQueue, what: str, receive: Callable[[float | None], Any]) -> Any:
    patience = Patience(queue, what)
    while True:
        try:
            return receive(patience.step())
        except Empty:
            if patience.over() and nothing_can_come(queue):
                tell(queue, what, time.monotonic() - patience.since, 5)


def nothing_can_come(queue: ArenaQueue) -> bool:
    """Whether nothing is there, and a sender may be waiting for memory."""
    if len(queue):
        return False
    waited_for = [one for one in queue.arena._sizes() if one["waiting"]]
    if not waited_for:
        return False
    return not all(one["free"] for one in waited_for) or _memory_is_short(queue)


def _memory_is_short(queue: ArenaQueue) -> bool:
    """Whether a sender that waits, though there are free slots, may wait for memory. That
    there is one may be old news, so a little that is taken says nothing."""
    info = queue.arena.info()
    taken = info["slots_bytes"] - info["warm_bytes"]
    return taken > info["memory_bytes"] // 4 > 0
