# SPDX-License-Identifier: MIT
"""Models that processes of their own serve to web workers, in batches."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from tensoring import _core
from tensoring._arena.arena import Arena
from tensoring._arena.batch import MAX_PADDED, Batch, Form
from tensoring._arena.batches import HasFileno
from tensoring._arena.board import Board
from tensoring._arena.service import Service
from tensoring._errors import Full
from tensoring._options import refuse, seconds
from tensoring._servers.functions import class_of

_log = logging.getLogger("tensoring")


class Model:
    """A model: load() once in each process that serves it, predict() for each batch.

    class Ranker(tr.Model):
        max_batch_size, max_wait = 64, 0.002

        def load(self):
            self.net = load_net()

        def predict(self, batch):
            return self.net(batch.x)

    `tensoring serve` and tensoring.gunicorn.model() run it in processes of their own, a
    tr.Supervisor does with Ranker().serve(service, stop=worker). Web workers call it by
    tr.server().service("ranker").call(x).

    name: of its service; "": the name of the class in lower case.
    max_batch_size, max_wait, ragged, row_ndim, max_padded_bytes: as of
    Service.serve_batches().
    follows: (board, key) of weights or tables that others put: see reload()."""

    name: str = ""
    max_batch_size: int = 32
    max_wait: float = 0.0
    ragged: str | None = None
    row_ndim: int = 1
    max_padded_bytes: int = MAX_PADDED
    follows: tuple[str, str] | None = None

    _arena: Arena | None = None

    @property
    def arena(self) -> Arena:
        """The arena that it is served in, from load() on."""
        if self._arena is None:
            raise ValueError("a model has an arena when it is served, from load() on")
        return self._arena

    def load(self) -> None:
        """Called once, before the first batch. Until it returns, this process does not
        count among service.servers. An exception ends serve()."""

    def predict(self, batch: Batch) -> Any:
        """An array or a list with a row for each row of batch.x; see
        Service.serve_batches()."""
        raise NotImplementedError(f"{type(self).__name__} has no predict()")

    def reload(self, value: Any, version: int) -> None:
        """A new value of what the model `follows`: called after load() if it is there by
        then, and before the next batch after each board.put(). The place for objects that
        are derived from it. `value` is a view of the board. An exception is logged, and
        the model goes on as it is."""

    def close(self) -> None:
        """Called when serve() ends, in good order or by an exception, also one of load():
        then only what load() has made by that time is there. What it raises after another
        exception is logged."""

    def _check(self) -> None:
        """What serve_batches() would refuse, before it loads, and is ready."""
        Form(self.max_batch_size, self.ragged, self.row_ndim, self.max_padded_bytes)
        seconds("max_wait", self.max_wait, "a number")

    def serve(
        self,
        service: Service,
        *,
        stop: int | HasFileno | _core.Worker | None = None,
        ready: Callable[[], object] | None = None,
    ) -> int:
        """Load, call ready(), and serve in this process and thread until the service is
        shut down, or `stop`, as of Service.serve_batches(). Returns how many requests
        were answered."""
        self._check()
        self._arena = service.arena
        try:
            self.load()
            followed = _Followed(self, service.arena)
            followed.look()
            with service.arena.wait_set() as waits:
                waits.add(service.queue)  # from here on it counts as a server
            if ready is not None:
                ready()

            def predict(batch: Batch) -> Any:
                followed.look()
                try:
                    return self.predict(batch)
                except KeyboardInterrupt:
                    raise
                except BaseException:  # SystemExit, too: its code alone tells little
                    _tell("predict() of %r failed", self)
                    raise

            answered = service.serve_batches(
                predict,
                max_batch_size=self.max_batch_size,
                max_wait=self.max_wait,
                ragged=self.ragged,
                row_ndim=self.row_ndim,
                max_padded_bytes=self.max_padded_bytes,
                stop=stop,
            )
        except BaseException:
            try:
                self.close()
            except Exception:  # the first one says why it ends
                _tell("close() of %r failed", self)
            raise
        self.close()
        return answered


def _tell(text: str, *given: Any) -> None:
    """Log the exception as text. Itself it would keep the batch whose turn it is."""
    _log.error(f"{text}:\n%s", *given, traceback.format_exc())


class _Followed:
    """What a model follows, and which version it has."""

    def __init__(self, model: Model, arena: Arena) -> None:
        self._model = model
        self._version = 0
        self._board: Board | None = None
        if model.follows is not None:
            if isinstance(model.follows, str) or len(model.follows) != 2:
                refuse(ValueError, "follows", model.follows, "give (board, key)")
            board, self._key = model.follows
            self._board = arena.board(board)

    def look(self) -> None:
        """Let it have the newest one, if it has not."""
        board = self._board
        newest = 0 if board is None else board.version(self._key)
        if board is None or newest == self._version:
            return
        try:
            value, newest = board.versioned(self._key)
        except KeyError:  # it was deleted
            self._version = newest
            return
        except Full:
            _tell("a version of %r cannot be read now", self._key)
            return
        except Exception:  # it cannot be decoded here
            _tell("version %d of %r cannot be read", newest, self._key)
            self._version = newest
            return
        self._version = newest
        try:
            self._model.reload(value, newest)
        except Exception:
            _tell("version %d of %r failed", newest, self._key)


# ---- for those that run models


def model_class(what: str | type[Model]) -> type[Model]:
    """A model's class, given itself or as "module:Class"."""
    found: type[Model] = class_of("model", what, Model, "tr.Model")
    return found


def service_name(model: type[Model]) -> str:
    """Under which name web workers call it."""
    return model.name or model.__name__.lower()


def serve_model(
    arena: Arena,
    model: str | type[Model],
    *,
    stop: int | HasFileno | _core.Worker | None = None,
    ready: Callable[[], object] | None = None,
) -> int:
    """Make the model, load it, and serve it under its name in `arena`, until `stop`."""
    kind = model_class(model)
    return kind().serve(arena.service(service_name(kind)), stop=stop, ready=ready)
