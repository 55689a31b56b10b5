# SPDX-License-Identifier: MIT
"""Bridges to other hosts: the program `tensoring bridge keep` as a child."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tensoring._arena.arena import Arena
from tensoring._errors import CODES, Error, make_error
from tensoring._options import U64, flag, one_of, seconds, text, whole
from tensoring.reports import BridgeStatus

_BOARD = "tensoring.bridge"
_PREFIX = "status."
_LOOK = 0.01  # seconds
_SOON = 2.0  # between the end of the time to stop, and a kill
_LONGEST = 86400.0
_HANDOVER = 5000  # milliseconds that a bridge without a keeper waits for receipts
_MOST_WINDOW = 1024


def _error(name: str, detail: str) -> Error:
    return make_error(CODES[f"TR_E{name}"], detail, "bridge")


def _of_package() -> str | None:
    """The program in the package `tensoring_bridge`, if that is installed."""
    spec = importlib.util.find_spec("tensoring_bridge")
    if spec is None or spec.origin is None:
        return None
    return shutil.which(Path(spec.origin).with_name("tensoring-bridge"))


def _find(program: str | os.PathLike[str] | None) -> str:
    """The program: a path, or what this interpreter's packages, PATH, or the folder of
    this interpreter have."""
    name = os.fspath(program or "tensoring-bridge")
    found = _of_package() if program is None else None
    found = found or shutil.which(name)
    if found is None and os.sep not in name:
        found = shutil.which(Path(sys.executable).with_name(name))
    if found is None:
        raise _error(
            "NOENT",
            f"there is no program {name}; install tensoring[bridge], or Debian's package "
            "tensoring-bridge, or give `program`",
        )
    return found


def _file(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is {value!r}; give a path")
    return text(name, os.fspath(value))


def _check_keys(peer: bool, plain: bool, keys: dict[str, str | None]) -> None:
    given = {name for name, value in keys.items() if value is not None}
    wanted = {"key", "peer_key" if peer else "allow"}
    if plain and given:
        raise ValueError(f"trust_network means no keys; leave {min(given)} out")
    if plain or given == wanted:
        return
    if given - wanted:
        which = "peer" if peer else "bind"
        raise ValueError(f"{min(given - wanted)} does not go with {which}")
    raise ValueError(
        f"{min(wanted - given)} is missing; `tensoring bridge keygen` makes keys, and "
        "trust_network=True does without"
    )


class Bridge:
    """A bridge from a named arena to one on another host: what is sent to a queue here is
    received from the queue of that name there.

    with tr.Bridge(arena, "host-b:7411", key="a.key", peer_key="b.pub") as bridge:
        bridge.queue("jobs", window=16)
        bridge.wait_connected(5)

    It runs the program tensoring-bridge as a child, under a keeper that starts it again
    when it dies, and ends it at the end of the block, or when this process ends. If the
    keeper is killed, the bridge goes on, and the next call starts new ones. Threads may
    share it.

    peer: "HOST:PORT" of the bridge that listens; or bind: where this one listens. Port 0
    is any that is free, another one each time that the bridge starts. "ucx://HOST:PORT"
    at both sides is through UCX, which has no keys.
    key: the file of this side's secret key.
    peer_key: with `peer`, the file of the other side's public key.
    allow: with `bind`, the public keys that may connect: a file or a folder.
    trust_network: no keys and no encryption: only in a network that others cannot reach.
    allow_pickle: pickled objects may cross, if the other side allows them, too.
    window_bytes: how many bytes of a queue may be unconfirmed; 0: 64 MiB.
    program: the program; None: tensoring-bridge, as the package tensoring-bridge has it,
    or PATH, or the folder of this interpreter.

    The child inherits standard error, and tells there why it does not connect."""

    def __init__(
        self,
        arena: Arena,
        peer: str | None = None,
        *,
        bind: str | None = None,
        key: str | os.PathLike[str] | None = None,
        peer_key: str | os.PathLike[str] | None = None,
        allow: str | os.PathLike[str] | None = None,
        trust_network: bool = False,
        allow_pickle: bool = False,
        window_bytes: int = 0,
        program: str | os.PathLike[str] | None = None,
    ) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False
        if not isinstance(arena, Arena):
            raise TypeError(f"arena is {arena!r}; give an Arena")
        if arena.name is None:
            raise ValueError("the arena has no name: Arena.create(name, ...)")
        if (peer is None) == (bind is None):
            raise ValueError("give peer or bind, one of them")
        place = text("bind", bind) if peer is None else text("peer", peer)
        plain = flag("trust_network", trust_network)
        files = {
            "key": _file("key", key),
            "peer_key": _file("peer_key", peer_key),
            "allow": _file("allow", allow),
        }
        _check_keys(peer is not None, plain, files)
        self._arena = arena
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._channels: dict[str, str] = {}  # arguments of the program
        self._window = 0
        what, option = ("listen", "bind") if peer is None else ("connect", "peer")
        self._command = [
            *(_find(program), "keep", what),
            *(f"--arena={arena.name}", f"--{option}={place}"),
        ]
        for name, value in files.items():
            if value is not None:
                self._command.append(f"--{name.replace('_', '-')}={value}")
        if whole("window_bytes", window_bytes, 0, U64 // 2):
            self._command.append(f"--window-bytes={window_bytes}")
        if plain:
            self._command += ["--plain", "--trust-network"]
        if flag("allow_pickle", allow_pickle):
            self._command.append("--allow-pickle")
        self._start()

    def _start(self) -> None:
        # A group of its own: Ctrl-C is for this process, which then stops it in order.
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, bufsize=0, process_group=0
        )
        if self._window:
            self._tell(f"--window={self._window}")
        for line in self._channels.values():
            self._tell(line)

    def _tell(self, line: str) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        # The next look finds that it is dead.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._child.stdin.write(f"{line}\n".encode())

    def _look_after(self) -> subprocess.Popen[bytes]:
        """Start it again if it was killed."""
        if os.getpid() != self._owner:
            raise _error("FORK", f"the bridge is of process {self._owner}")
        if self._stopped or self._child is None:
            raise _error("CLOSED", "the bridge was stopped")
        code = self._child.poll()
        if code is not None:
            assert self._child.stdin is not None
            self._tell(f"stop {_HANDOVER}")  # the bridge goes on without its keeper
            self._child.stdin.close()
            if code >= 0:
                raise _error(
                    "PEERDIED",
                    f"{self._command[0]} ended with code {code}; its standard error says "
                    "why",
                )
            self._start()
        return self._child

    def queue(self, name: str, *, direction: str = "out", window: int = 16) -> None:
        """Bridge the queue `name`. It is made if it is not there; one that is there must
        have max_deliveries=255, since each death of the bridge counts as a delivery.

        direction: "out": what is sent here is received there; "in": the other way.
        window: how many messages may be unconfirmed. The largest that was given holds for
        all queues of the bridge. A bridge that runs already is replaced by one that has
        this queue, too."""
        whole("window", window, 1, _MOST_WINDOW)
        with self._lock:
            self._check(name, direction)
            self._arena.queue(name, max_deliveries=255).close()
            self._widen(window)
            self._add("queue", name, direction)

    def broadcast(self, name: str, *, direction: str = "out") -> None:
        """Bridge the broadcast `name`, as queue() does. What comes faster than the link
        takes it is dropped, and the status counts it."""
        with self._lock:
            self._check(name, direction)
            self._add("broadcast", name, direction)

    def board(self, name: str, *, direction: str = "out") -> None:
        """Bridge the board `name`, as queue() does: the newest value of each key is the
        newest there, too. Put to it on the side from which it comes alone."""
        with self._lock:
            self._check(name, direction)
            self._add("board", name, direction)

    def service(
        self,
        name: str,
        *,
        direction: str = "out",
        on_cut: str = "fail",
        window: int = 16,
    ) -> None:
        """Bridge the service `name`, as queue() does: calls made here are served there,
        with direction="in" the other way. Errors of the server and timeouts mean what
        they mean in one arena.

        on_cut: of requests that had been sent when the link was cut. "fail": call()
        raises RemoteError, and the request may have run; "retry": they are sent again
        when the link is back, and may run twice. The side that calls decides.
        window: how many requests may be without an answer."""
        whole("window", window, 1, _MOST_WINDOW)
        one_of("on_cut", on_cut, ("fail", "retry"))
        if on_cut != "fail" and direction == "in":
            raise ValueError("on_cut='retry' goes with direction='out': callers decide")
        with self._lock:
            self._check(name, direction)
            self._widen(window)
            more = f"\n--on-cut=retry:{name}" if on_cut == "retry" else ""
            self._add("service", name, direction, more)

    def _check(self, name: str, direction: str) -> None:
        if not text("name", name) or min(name) < " ":
            raise ValueError(f"name is {name!r}; give one without control characters")
        one_of("direction", direction, ("out", "in"))
        self._look_after()
        if name in self._channels:
            raise _error("EXIST", f"{name!r} is bridged already")

    def _widen(self, window: int) -> None:
        if window > self._window:
            self._window = window
            self._tell(f"--window={window}")

    def _add(self, kind: str, name: str, direction: str, more: str = "") -> None:
        self._channels[name] = f"--{kind}={direction}:{name}{more}"
        self._tell(self._channels[name])

    def _texts(self) -> Iterator[dict[str, Any]]:
        """What all bridges of the arena say of themselves."""
        channels = self._arena.stats()["channels"]
        if not any(one["name"] == _BOARD for one in channels):
            return
        board = self._arena.board(_BOARD)
        for key in [one for one in board if one.startswith(_PREFIX)]:
            with contextlib.suppress(KeyError, ValueError):
                yield json.loads(bytes(board[key]))

    def status(self) -> BridgeStatus:
        """What the bridge does, at most a second ago while it has something to do. All is
        0 until it has begun."""
        with self._lock:
            keeper = self._look_after().pid
            for found in self._texts():
                if found.get("keeper") == keeper and _lives(found["pid"]):
                    return _status(found)
        return _status({})

    def wait_connected(self, timeout: float | None = None) -> None:
        """Wait until the link to the other bridge is up; `timeout` seconds, None waits
        forever. TimedOutError says why it is not; PeerDiedError: the program has ended,
        and its standard error says why."""
        end = math.inf
        if timeout is not None:
            wait = seconds("timeout", timeout, "or None to wait forever")
            end = time.monotonic() + wait
        while (found := self.status())["link"] != "up":
            if time.monotonic() >= end:
                raise _error("TIMEDOUT", f"not connected: {found['why'] or 'not begun'}")
            time.sleep(_LOOK)

    def stop(self, timeout: float = 5.0) -> None:
        """Take no more messages, wait up to `timeout` seconds for the receipts of those
        that are on their way, and end the program. TimedOutError: what was not confirmed
        then stays in the queue here, and may have arrived."""
        wait = min(seconds("timeout", timeout, "a number"), _LONGEST)
        with self._lock:
            child = self._child
            if self._stopped or child is None or os.getpid() != self._owner:
                return
            self._stopped = True
            self._tell(f"stop {int(wait * 1000)}")
            assert child.stdin is not None
            child.stdin.close()
            in_time = _ends(child, wait)
            if child.returncode is not None and child.returncode < 0:
                in_time = self._ends_alone(child.pid, wait)
            if not in_time and not _ends(child, _SOON):
                child.kill()
                child.wait()
            if not self._arena.closed:
                self._arena.reap()  # what a killed one held is delivered here
        if not in_time:
            raise _error(
                "TIMEDOUT",
                "receipts were missing; what they are for stays in its queue here",
            )

    def _ends_alone(self, keeper: int, wait: float) -> bool:
        """Whether a bridge whose keeper was killed has ended in time."""
        end = time.monotonic() + wait
        while not self._arena.closed:
            if all(
                one.get("keeper") != keeper or not _lives(one["pid"])
                for one in self._texts()
            ):
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(_LOOK)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        what = "stopped" if self._stopped else ", ".join(self._channels) or "nothing"
        return f"<tensoring.Bridge of {self._arena.name!r}, {what}>"


def _ends(child: subprocess.Popen[bytes], wait: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(wait)
        return True
    return False


def _lives(pid: int) -> bool:
    """Nobody may wait for a bridge whose keeper was killed: it is a zombie then."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat.rpartition(b")")[2].split()[0] != b"Z"
    return False


def _status(found: dict[str, Any]) -> BridgeStatus:
    return {
        "link": found.get("link", "down"),
        "link_seconds": float(found.get("link_seconds", 0)),
        "pid": found.get("pid"),
        "endpoint": found.get("endpoint", ""),
        "why": found.get("why", ""),
        "in_flight": int(found.get("in_flight", 0)),
        "confirmed": int(found.get("confirmed", 0)),
        "published": int(found.get("published", 0)),
        "repeated": int(found.get("repeated", 0)),
        "doubled": int(found.get("doubled", 0)),
        "channels": found.get("channels", []),
    }
