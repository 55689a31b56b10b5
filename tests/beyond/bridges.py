# SPDX-License-Identifier: MIT
"""Bridges as processes of their own, in the networks of two hosts."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensoring as tr
import traffic
from hosts import LONGEST, Host, Hosts, until

STANDIN = Path(__file__).with_name("standin.py")
PORT = 7411  # of a network of our own


def program() -> list[str]:
    """The bridge that is tested: TR_BRIDGE, which may be a command of several words."""
    given = os.environ.get("TR_BRIDGE", "")
    if given == "standin":
        return [sys.executable, str(STANDIN)]
    return shlex.split(given)


def is_standin() -> bool:
    return program()[-1:] == [str(STANDIN)]


def lacks(engine: str) -> str:
    """Why the bridge that is tested has not this engine, or ""."""
    if is_standin():
        return "" if engine == "zmq" else "the stand-in is no engine"
    done = subprocess.run(
        [*program(), "--version"], capture_output=True, text=True, timeout=LONGEST
    )
    has = engine in done.stdout.partition("engines:")[2].split()
    return "" if has else f"the bridge that is tested was built without {engine}://"


def make_key(folder: Path, name: str) -> Path:
    """A pair of keys, NAME.key and NAME.pub; the path of the first."""
    if not is_standin():
        done = subprocess.run(
            [*program(), "keygen", str(folder / name)],
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        assert done.returncode == 0, done.stderr
    return folder / f"{name}.key"


class Bridge:
    """One process; again() starts another one like it."""

    def __init__(
        self, host: Host, log: Path, *arguments: str, before: Sequence[str] = ()
    ) -> None:
        self._host, self._log, self._arguments = host, log, arguments
        self._before = before
        with log.open("ab") as output:
            self.process = host.start(
                *(*before, *program(), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.pid = self.process.pid

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST)

    def again(self) -> Bridge:
        """Kill it, and start the next."""
        self.kill()
        self.__init__(  # type: ignore[misc]
            self._host, self._log, *self._arguments, before=self._before
        )
        return self

    def says(self, text: str, longest: float = LONGEST) -> None:
        """Wait for a text in what it prints."""
        until(
            lambda: text in self.output or not self.alive,
            lambda: f"{text!r} is not in: {self.output}",
            longest,
        )
        assert text in self.output, self.output

    def resident(self) -> int:
        """Bytes of its own; not those of the arena, which it has mapped."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return int(fields["RssAnon"].split()[0]) * 1024

    def has_taken_signals(self) -> bool:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return "ShdPnd:\t0000000000000000" in status

    def cpu_seconds(self) -> float:
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


class Pair:
    """Arenas of two hosts, and bridges that carry `jobs` from `here` to `there`."""

    def __init__(
        self,
        hosts: Hosts,
        folder: Path,
        plain: bool = False,
        port: int = PORT,
        engine: str = "zmq",
    ) -> None:
        self.hosts, self.folder, self.port = hosts, folder, port
        self.plain = plain or engine != "zmq"
        scheme = "" if engine == "zmq" else f"{engine}://"
        self.address = f"{scheme}{hosts.there.address}:{port}"
        self.peers = folder / "peers"
        self.peers.mkdir()
        self.arenas: list[tr.Arena] = []
        self._cleanup = contextlib.ExitStack()
        self._keys_made = False

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *error: Any) -> None:
        self._cleanup.__exit__(*error)
        for arena in self.arenas:
            name = arena.name
            arena.close()
            with contextlib.suppress(tr.NotFoundError):
                tr.Arena.unlink(name)

    def open(
        self,
        here: list[tuple[int, int]] | None = None,
        there: list[tuple[int, int]] | None = None,
        names: tuple[str, ...] = ("jobs",),
        capacity: int = traffic.CAPACITY,
        **more: Any,
    ) -> Pair:
        """The arenas and their queues."""
        for slots in (here, there):
            self.arenas.append(traffic.open_arena(slots, **more))
        self.here, self.there = self.arenas
        self.names = names
        self.sources, self.targets = (
            [traffic.open_queue(arena, name, capacity) for name in names]
            for arena in self.arenas
        )
        self.source, self.target = self.sources[0], self.targets[0]
        return self

    def make_keys(self) -> None:
        if self._keys_made or self.plain:
            return
        self._keys_made = True
        make_key(self.folder, "here")
        make_key(self.folder, "there")
        self.allow("here")

    def allow(self, name: str) -> None:
        if not is_standin():
            (self.peers / f"{name}.pub").write_bytes(
                (self.folder / f"{name}.pub").read_bytes()
            )

    def _queues(self) -> list[str]:
        return [word for name in self.names for word in ("--queue", name)]

    def _trust(self, *keys: str) -> list[str]:
        return ["--plain", "--trust-network"] if self.plain else list(keys)

    def listen(
        self,
        *more: str,
        log: str = "listen",
        arena: tr.Arena | None = None,
        before: Sequence[str] = (),
    ) -> Bridge:
        self.make_keys()
        bridge = Bridge(
            self.hosts.there,
            self.folder / f"{log}.log",
            *("listen", "--arena", (arena or self.there).name),
            *("--bind", self.address, *self._queues()),
            *self._trust(
                *("--key", str(self.folder / "there.key"), "--allow", str(self.peers))
            ),
            *more,
            before=before,
        )
        return self._cleanup.enter_context(bridge)

    def connect(
        self,
        *more: str,
        log: str = "connect",
        key: str = "here",
        peer_key: str = "there",
        window: int = traffic.WINDOW,
        queues: list[str] | None = None,
        arena: tr.Arena | None = None,
        before: Sequence[str] = (),
    ) -> Bridge:
        self.make_keys()
        bridge = Bridge(
            self.hosts.here,
            self.folder / f"{log}.log",
            *("connect", "--arena", (arena or self.here).name),
            *("--peer", self.address, "--window", str(window)),
            *(self._queues() if queues is None else queues),
            *self._trust(
                *("--key", str(self.folder / f"{key}.key")),
                *("--peer-key", str(self.folder / f"{peer_key}.pub")),
            ),
            *more,
            before=before,
        )
        return self._cleanup.enter_context(bridge)

    def status(self, arena: tr.Arena | None = None) -> dict[str, Any]:
        """What `status` tells of the arena's bridge."""
        done = subprocess.run(
            [*program(), "status", "--arena", (arena or self.here).name, "--json"],
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def link_is(self, state: str, arena: tr.Arena | None = None) -> bool:
        return bool(self.status(arena)["link"] == state)

    def show(self) -> None:
        """Print what the bridges have said."""
        for log in self.folder.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}")

    def ends_here(self) -> None:
        """Stop the bridges."""
        self._cleanup.close()

    def ends(self) -> None:
        """Stop the bridges once all is confirmed, and look at what is left of it."""
        for arena in self.arenas:
            until(lambda arena=arena: traffic.at_rest(arena), arena.stats)
        self._cleanup.close()
        for arena in self.arenas:
            traffic.nothing_left(arena)
