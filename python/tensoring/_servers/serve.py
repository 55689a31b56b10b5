# SPDX-License-Identifier: MIT
"""One process that owns models and the command that calls them: `tensoring serve`.

start: the models load, then the command starts
HUP:   new models load beside the old ones; the command gets HUP, too
TERM:  the command ends, then the models finish what they have
death: models start again, guards are renewed; they end all if this process is killed"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tensoring._arena.arena import Arena
from tensoring._errors import ClosedError, Error
from tensoring._options import refused
from tensoring._servers.current import VARIABLE, attach_given, set_current
from tensoring._servers.functions import call_once
from tensoring._servers.guard import Guard
from tensoring._servers.model import model_class, serve_model
from tensoring._workers.plan import Plan
from tensoring._workers.supervised import Worker
from tensoring._workers.supervisor import Supervisor, WorkerDeath

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
_TAKEN = (*_STOP, *_PASSED_ON, signal.SIGHUP)
_WATCHED = 16  # processes that outlive the command
CANNOT_RUN, NOT_FOUND = 126, 127  # as the shell has it


@dataclass
class Options:
    """What to serve, and how."""

    models: list[str]  # "module:Class", once for each process
    command: list[str]
    slots: list[tuple[int, int]] | None = None
    arena: dict[str, Any] = field(default_factory=dict)  # options of Arena()
    setup: str | None = None
    wait: bool = True  # start the command when the models are loaded
    ready_timeout: float | None = None  # seconds that they may take for it
    drain: float = 30.0  # seconds from the request to stop to SIGKILL
    backoff: float = 0.1
    place: bool = True
    reserve_cores: int = 0


def say(text: str) -> None:
    """Print a line on stderr. Nobody need read it, and its disk may be full."""
    with contextlib.suppress(OSError):
        print(f"tensoring serve: {text}", file=sys.stderr, flush=True)


class _Signals:
    """Those that came, as a descriptor."""

    def __enter__(self) -> _Signals:
        self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._writer = writer
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _TAKEN:
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, _take)
        return self

    def __exit__(self, *args: object) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            return os.read(self._reader, 64)
        return b""


def _take(number: int, frame: FrameType | None) -> None:
    """The number comes through the wake-up descriptor."""


class _Process:
    """One to wait for, which need not be a child."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int:
        return self._fd

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, number)

    def close(self) -> None:
        os.close(self._fd)


class _Command:
    """The command's processes: a first one, and what it starts."""

    def __init__(self, options: Options, guard: Guard, environment: dict[str, str]):
        self._guard = guard
        self._child = subprocess.Popen(
            options.command, env=environment, process_group=guard.group
        )
        self._main: _Process | None = _Process(self._child.pid)
        self._replaced = False  # it was asked to start a successor: gunicorn at USR2
        self._left: list[_Process] = []
        self._kill_at = float("inf")
        self._grace = options.drain
        self.code = 0

    def signal(self, number: int) -> None:
        """To its first process."""
        self._replaced |= number == signal.SIGUSR2
        if self._main is not None:
            self._main.signal(number)

    def watched(self) -> Iterable[_Process]:
        """The processes whose ends are events."""
        return [self._main] if self._main is not None else self._left

    def patience(self) -> float | None:
        """Seconds until look() has something to do without an event; None: never."""
        if self._main is not None or not self._left or self._kill_at == float("inf"):
            return None
        return max(0.0, self._kill_at - time.monotonic())

    def look(self) -> bool:
        """After an end. Whether no process is left."""
        if self._main is not None:
            if not select.select([self._main], [], [], 0)[0]:
                return False
            self._take_code()
            self._main.close()
            self._main = self._successor()
            if self._main is not None:
                return False
            self._kill_at = time.monotonic() + self._grace
            self._guard.signal(signal.SIGTERM)  # to those that outlive it
        elif self._left and time.monotonic() >= self._kill_at:
            self._guard.signal(signal.SIGKILL)
            self._kill_at = float("inf")
        for one in self._left:
            one.close()
        # Each takes a descriptor. The end of one is an event, and looks for others.
        self._left = list(itertools.islice(_living(self._guard.others()), _WATCHED))
        return not self._left

    def _take_code(self) -> None:
        pid, self.code = self._child.pid, 0
        if self._main is not None and self._main.pid == pid:
            code = self._child.wait()
            self.code = 128 - code if code < 0 else code

    def _successor(self) -> _Process | None:
        """The process that goes on where the first one has been replaced."""
        others = self._guard.others() if self._replaced else {}
        heads = [pid for pid, parent in others.items() if parent not in others]
        return next(iter(_living(heads)), None)


def _living(pids: Iterable[int]) -> Iterable[_Process]:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            yield _Process(pid)


class _Run:
    """Models and command, from the start to the end."""

    def __init__(
        self,
        options: Options,
        guards: tuple[Guard, Guard],  # of the command, and of the models
        signals: _Signals,
        arena: Arena,
        where: str,
    ):
        self._options, self._guards, self._signals = options, guards, signals
        self._arena, self._where = arena, where
        self._command: _Command | None = None
        self._code: int | None = None  # how this process will end: the models stop
        self._asked = 0  # how often it was asked to stop
        self._start_by = float("inf")
        if options.ready_timeout is not None:
            self._start_by = time.monotonic() + options.ready_timeout
        count = len(options.models)
        placed: dict[str, Any] = {"no_plan": True}
        if options.place:
            placed = {"plan": Plan(count, reserve_cores=options.reserve_cores)}
        self._models = Supervisor(
            self._serve,
            count,
            arena=arena,
            died=self._died,
            child=self._begin,
            restart="always",
            backoff=options.backoff,
            drain=options.drain,
            die_with_master=True,
            **placed,
        )

    # A model's process.

    def _begin(self, index: int) -> None:
        for guard in self._guards:
            guard.forget()
        os.setpgid(0, self._guards[1].group)  # with what the model starts

    def _serve(self, worker: Worker) -> None:
        try:
            model = model_class(self._options.models[worker.index])
            if self._options.setup is not None:
                call_once(self._arena, "setup", self._options.setup)
        except Exception as error:
            if not refused(error):
                raise  # from a module that was imported, or from the setup
            say(str(error))
            sys.exit(1)
        serve_model(self._arena, model, stop=worker, ready=worker.ready)

    # This process.

    def _died(self, death: WorkerDeath) -> None:
        if death.expected:
            return
        model = self._options.models[death.worker]
        how = f"was killed by signal {death.signal}"
        if not death.signal:
            how = f"ended with code {death.exit_code}"
        text = f"model {model} (process {death.pid}) {how}"
        if self._options.wait and self._command is None and self._code is None:
            say(f"{text} before it was loaded; the command is not started")
            self._stop_models(1)
        elif death.restart is not None:
            say(
                f"{text} after {death.lived:.1f} s; starts again in {death.restart:.1f} s"
            )

    def _stop_models(self, code: int) -> None:
        self._code = code
        self._models.drain()

    def _start(self) -> None:
        """The command, when its time has come."""
        if self._command is not None or self._code is not None:
            return
        status = self._models.status()
        if self._options.wait and status.ready < status.workers:
            if time.monotonic() >= self._start_by:
                late = status.workers - status.ready
                say(f"{late} of {status.workers} models are not loaded in time")
                self._stop_models(1)
            return
        environment = {**os.environ, VARIABLE: self._where}
        try:
            self._command = _Command(self._options, self._guards[0], environment)
        except OSError as error:
            say(f"{self._options.command[0]} cannot be run: {error.strerror}")
            missing = isinstance(error, FileNotFoundError)
            self._stop_models(NOT_FOUND if missing else CANNOT_RUN)

    def _obey(self, number: int) -> None:
        if number in _STOP:
            self._stop(number)
            return
        if number == signal.SIGHUP and self._code is None:
            try:
                self._models.reload()
            except Error as error:
                say(f"the models are not reloaded: {error}")
        if self._command is not None:
            self._command.signal(number)

    def _stop(self, number: int) -> None:
        self._asked += 1
        if self._asked > 1:
            self._models.drain()
            self._models.signal(signal.SIGKILL)
            self._guards[0].signal(signal.SIGKILL)
        elif self._command is not None:
            self._command.signal(number)
        else:
            self._stop_models(128 + number)

    def _look(self) -> bool:
        """Do what has become due. True: nothing is left to do."""
        before = self._code
        over = self._step_models()
        self._start()
        if self._command is not None and self._code is None and self._command.look():
            self._stop_models(self._command.code)
        if self._code != before:  # models that wait to start again end without an event
            return self._look()
        return over and (self._command is None or self._code is not None)

    def _step_models(self) -> bool:
        """Whether none is left."""
        try:
            while self._models.step(0):
                pass
        except ClosedError:
            return True
        return False

    def _patience(self) -> float | None:
        if self._command is not None:
            return self._command.patience() if self._code is None else None
        if self._start_by == float("inf"):
            return None
        return max(0.0, self._start_by - time.monotonic())

    def run(self) -> int:
        """The exit code."""
        while not self._look():
            guards = [guard for guard in self._guards if guard.leads]
            watched: list[Any] = [self._signals, self._models, *guards]
            if self._command is not None and self._code is None:
                watched += self._command.watched()
            ready, _, _ = select.select(watched, [], [], self._patience())
            for guard in set(guards) & set(ready):
                guard.renew()
            for number in self._signals.read():
                self._obey(number)
        self._models.close()
        return self._code or 0


def _arena(options: Options) -> tuple[Arena, str]:
    """The one that TENSORING_ARENA names, or a new one; and its name."""
    where = os.environ.get(VARIABLE)
    if where:
        consent = {"allow_pickle": options.arena.get("allow_pickle", False)}
        return attach_given(where, **consent), where
    made = Arena(options.slots, **options.arena)
    return made, f"/proc/{os.getpid()}/fd/{made.fd}"


def _start(
    options: Options, guards: tuple[Guard, Guard], signals: _Signals
) -> _Run | None:
    """None: it cannot start, and has said why."""
    try:
        arena, where = _arena(options)
        set_current(arena)
        return _Run(options, guards, signals, arena, where)
    except (Error, ValueError) as error:
        say(str(error))
        return None


def serve(options: Options) -> int:
    """Serve until the command ends. Its exit code, 128 + n for signal n; 1: a model
    cannot be loaded, or the arena cannot be had; 126, 127: the command cannot be run, or
    there is none."""
    guards = Guard("command", options.drain), Guard("models", options.drain)
    try:
        with _Signals() as signals:
            run = _start(options, guards, signals)
            return 1 if run is None else run.run()
    finally:
        for guard in guards:
            guard.stop()


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before -- and after it."""
    given = list(arguments)
    if "--" not in given:
        return given, []
    at = given.index("--")
    return given[:at], given[at + 1 :]
