# SPDX-License-Identifier: MIT
"""Tokens: objects of Ray without a value, which stand for what lies in a node's arena.

The node's actor makes them. A process gets some at a time: so it needs few calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayError

from tensoring._servers.current import started
from tensoring._servers.ray_orphans import Holder, this_process

_MOST = 32  # at a time
_PATIENCE = 20.0  # seconds for an answer: the actor may have to be started first
_SILENCE = 60.0  # seconds until it is asked again
_TRIES = 3


class Token(NamedTuple):
    """label: what a message says for which it stands: the pid of the actor, when that
    was started, and the number."""

    number: int
    label: bytes
    ref: Any

    def lives(self) -> bool:
        """Whether its actor does, so that somebody counts the references."""
        pid, since, _ = self.label.decode().split()
        return started(int(pid)) == since


class Tokens:
    """Those that this process has and has not used yet, of one node.

    Threads: all methods."""

    def __init__(self, actor: Callable[[], Any]) -> None:
        self._find_actor = actor
        self._actor: Any = None
        self._me: Holder | None = None
        self._lock = threading.RLock()  # a collection of garbage inside may pickle
        self._left: list[Token] = []
        self._count = 2
        self._silent_until = 0.0

    def take(self) -> Token | None:
        """One that nobody else has; None: the actor makes none, or does not answer."""
        with self._lock:
            while True:
                if not self._left:
                    self._left = self._ask()
                if not self._left:
                    return None
                token = self._left.pop()
                if token.lives():
                    return token
                self._left.clear()  # the actor was killed: there will be another

    def give_back(self, token: Token) -> None:
        """Use it for another object: nothing says that it stands for one."""
        with self._lock:
            self._left.append(token)

    def _ask(self) -> list[Token]:
        if time.monotonic() < self._silent_until:
            return []
        self._count = min(2 * self._count, _MOST)
        for _ in range(_TRIES):
            try:
                if self._actor is None:
                    self._actor = self._find_actor()
                if self._me is None:
                    self._me = this_process()
                asked = self._actor.tokens.remote(self._count, *self._me)
                found: list[Token] = ray.get(asked, timeout=_PATIENCE)
                return found
            except (GetTimeoutError, ValueError):
                break
            except RayError as error:  # somebody has killed it
                self._actor = None
                error.__traceback__ = None  # leads to the caller's object, in a circle
        self._silent_until = time.monotonic() + _SILENCE
        return []
