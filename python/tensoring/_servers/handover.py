# SPDX-License-Identifier: MIT
"""How an arena goes from a server to the one that replaces it by exec (gunicorn, USR2).

The descriptor stays open over the exec, and the environment names it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import MutableMapping
from typing import Any

from tensoring._arena.arena import Arena

VARIABLE = "TENSORING_HANDOVER"  # the descriptor's number, and what made the arena


def give(fd: int, made_of: str, environment: MutableMapping[str, str]) -> None:
    """Runs in the process that will execute the next server."""
    os.set_inheritable(fd, True)
    environment[VARIABLE] = f"{fd} {made_of}"


def take(environment: MutableMapping[str, str]) -> tuple[int, str] | None:
    """What this server was given: a descriptor, and what made the arena."""
    number, _, made_of = environment.pop(VARIABLE, "").partition(" ")
    return (int(number), made_of) if number.isdecimal() else None


def adopt(fd: int, **consent: Any) -> Arena:
    """The arena behind an inherited descriptor, which is closed where that is safe."""
    os.set_inheritable(fd, False)
    arena = None
    try:
        arena = Arena.attach_fd(fd, **consent)
    finally:
        if arena is None or arena.info()["closing_is_safe"]:
            with contextlib.suppress(OSError):
                os.close(fd)
    return arena
