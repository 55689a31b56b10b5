# SPDX-License-Identifier: MIT
"""Several models behind one endpoint. Which ones are loaded is on a board, so that each
web worker sees it; each worker loads a model itself, at the first request for it."""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tensoring._arena.arena import Arena
from tensoring._arena.board import Board
from tensoring._errors import Full, StaleError, TooLargeError
from tensoring._servers.sagemaker.answers import log
from tensoring._servers.sagemaker.errors import RequestError
from tensoring._servers.sagemaker.functions import Failed

BOARD = "sagemaker"
_KEY = "models"
_PAGE = 100
_LONGEST = 1024
_PATIENCE = 5.0  # seconds, for a free slot


@dataclass
class _Model:
    """One that this process has loaded, or is about to."""

    value: Any = None
    there: bool = False
    lock: threading.Lock = field(
        default_factory=lambda: threading.Lock()
    )  # gevent replaces it


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST and name.isprintable()


def _is_entry(name: Any, one: Any) -> bool:
    """Whether it is as we put it: any process of the arena can put anything."""
    if not (_is_name(name) and isinstance(one, list | tuple) and len(one) == 2):
        return False
    return all(isinstance(part, str) for part in one)


def _missing(name: str) -> RequestError:
    return RequestError(f"model {name[:80]!r} is not loaded; POST /models loads it", 404)


class Models:
    """The models of this endpoint, as one of its processes has them."""

    def __init__(
        self,
        arena: Callable[[], Arena],
        load: Callable[[str], Any],
        most: int | None,
    ) -> None:
        self._arena, self._load, self._most = arena, load, most
        self._board: Board | None = None
        self._lock = threading.Lock()
        self._version = -1
        self._listed: dict[str, tuple[str, str]] = {}  # name: (url, stamp)
        self._loaded: dict[str, _Model] = {}  # by stamp
        self._adding: set[str] = set()

    def _open(self) -> Board:
        arena, board = self._arena(), self._board
        if board is None or board.arena is not arena:
            board = self._board = arena.board(BOARD)
            self._version = -1
        return board

    def _read(self) -> int:
        """See what other workers have done; the version of the list."""
        board = self._open()
        with self._lock:
            newest = board.version(_KEY)
            if newest != self._version:
                try:
                    self._listed, self._version = self._find(board)
                except Full:
                    raise  # it cannot be read now
                except Exception as error:  # it cannot be decoded here
                    self._version = newest
                    log.warning(
                        "version %d of %r on the board %r cannot be read, so the models"
                        " stay as they were: %s: %s",
                        *(newest, _KEY, BOARD, type(error).__name__, str(error)),
                    )
                self._forget()
            return self._version

    def _find(self, board: Board) -> tuple[dict[str, tuple[str, str]], int]:
        """What is on the board, and its version."""
        found = board.get_many([_KEY]).get(_KEY)
        if found is None:
            return {}, 0
        value: dict[Any, Any]
        value = found.value if isinstance(found.value, dict) else {None: found.value}
        listed = {
            name: (one[0], one[1]) for name, one in value.items() if _is_entry(name, one)
        }
        if len(listed) < len(value):
            log.warning(
                "version %d of %r on the board %r: %d of %d entries are no models of ours"
                " and are left out",
                *(found.version, _KEY, BOARD, len(value) - len(listed), len(value)),
            )
        return listed, found.version

    def _forget(self) -> None:
        """Let go of what is not listed any more."""
        stamps = {stamp for _, stamp in self._listed.values()} | self._adding
        for stamp in self._loaded.keys() - stamps:
            del self._loaded[stamp]

    def _put(self, change: Callable[[dict[str, tuple[str, str]]], None]) -> None:
        """Change the list, whatever others change at the same time."""
        while True:
            version = self._read()
            listed = dict(self._listed)
            change(listed)
            given = {name: list(one) for name, one in listed.items()}
            try:
                self._open().put(_KEY, given, expected=version, timeout=_PATIENCE)
            except StaleError:
                continue
            except TooLargeError as error:
                raise RequestError(f"no room for one more model: {error}", 507) from None
            self._read()
            return

    # ---- the calls

    def add(self, name: str, url: str) -> None:
        """Load a model, and tell all workers."""
        if not _is_name(name):
            raise RequestError(
                f"model_name is {name[:80]!a}; it must be 1 to 1024 letters"
            )
        self._read()
        self._check(name, self._listed)
        made, stamp = _Model(self._load_at(url), there=True), secrets.token_hex(8)

        def change(listed: dict[str, tuple[str, str]]) -> None:
            self._check(name, listed)
            listed[name] = (url, stamp)

        with self._lock:
            self._loaded[stamp] = made
            self._adding.add(stamp)
        try:
            self._put(change)
        finally:
            with self._lock:
                self._adding.discard(stamp)
                self._forget()

    def _check(self, name: str, listed: dict[str, tuple[str, str]]) -> None:
        if name in listed:
            raise RequestError(f"model {name[:80]!r} is loaded already", 409)
        if self._most is not None and len(listed) >= self._most:
            raise RequestError(
                f"{len(listed)} models are loaded, as many as max_models allows", 507
            )

    def _load_at(self, url: str) -> Any:
        try:
            return self._load(url)
        except Failed as error:
            if not isinstance(error.error, MemoryError):
                raise
            raise RequestError("not enough memory to load the model", 507) from error

    def remove(self, name: str) -> None:
        """Unload a model: here now, in other workers at their next request."""

        def change(listed: dict[str, tuple[str, str]]) -> None:
            if listed.pop(name, None) is None:
                raise _missing(name)

        self._put(change)

    def get(self, name: str) -> Any:
        """A model, which is loaded first if another worker was told to load it."""
        self._read()
        with self._lock:
            if name not in self._listed:
                raise _missing(name)
            url, stamp = self._listed[name]
            one = self._loaded.setdefault(stamp, _Model())
        with one.lock:
            if not one.there:
                one.value, one.there = self._load_at(url), True
        return one.value

    def about(self, name: str) -> dict[str, str]:
        """One of them, as SageMaker writes it."""
        self._read()
        if name not in self._listed:
            raise _missing(name)
        return {"modelName": name, "modelUrl": self._listed[name][0]}

    def page(self, token: str) -> dict[str, Any]:
        """Some of them, in order, and a token for the next ones."""
        self._read()
        after = _name_of(token) if token else ""
        listed = self._listed
        names = sorted(name for name in listed if name > after)
        shown = [
            {"modelName": name, "modelUrl": listed[name][0]} for name in names[:_PAGE]
        ]
        found: dict[str, Any] = {"models": shown}
        if len(names) > _PAGE:
            found["nextPageToken"] = base64.urlsafe_b64encode(
                names[_PAGE - 1].encode()
            ).decode()
        return found


def _name_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise RequestError(
            f"next_page_token is {token[:80]!a}, and none of ours"
        ) from None
