# SPDX-License-Identifier: MIT
"""Processes are killed at random while clients ask: each request that a server has
accepted is answered, or fails with an error that the pages name; none is answered twice,
and none with what belongs to another."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensoring as tr
from serving import LONGEST, accepts, children, free_port, until
from test_serve import Serve

pytest.importorskip("gunicorn")
SECONDS = 60 if os.environ.get("TR_SOAK") else 8
CLIENTS, RATE = 8, 200  # requests a second of all clients
ERRORS = {
    b"502": b"PeerDiedError",
    b"503": b"BusyError",
    b"504": b"TimedOutError",
}


class Client(threading.Thread):
    """Asks at its rate, and notes how each request ended."""

    def __init__(self, port: int, first: int, over: threading.Event) -> None:
        super().__init__()
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port, self._first, self._over = port, first, over

    def run(self) -> None:
        number, due = self._first, time.monotonic()
        while not self._over.is_set():
            number, due = number + 1, due + CLIENTS / RATE
            self._over.wait(max(0.0, due - time.monotonic()))
            self.ends[self.once(number)] += 1

    def once(self, number: int) -> str:
        """How one request ends."""
        try:
            return self._judge(number, self._ask(number))
        except TimeoutError:
            self.wrong.append(f"{number}: nothing in time")
            return "wrong"
        except OSError:
            return "broken"  # its web worker was killed

    def _ask(self, number: int) -> bytes:
        """All that comes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self._port), LONGEST) as connection:
            connection.sendall(b"GET /?%d HTTP/1.0\r\n\r\n" % number)
            said = b""
            while more := connection.recv(65536):
                said += more
            return said

    def _judge(self, number: int, said: bytes) -> str:
        head, _, body = said.partition(b"\r\n\r\n")
        status = head[9:12]
        if status == b"200" and body == b"%d %d" % (number, 2 * number + 1):
            return "answered"
        if status in ERRORS and body == b"%d %s" % (number, ERRORS[status]):
            return ERRORS[status].decode()
        whole = len(b"%d %d" % (number, number))  # or more
        if status in (b"", b"200", *ERRORS) and len(body) < whole:
            return "broken"  # its web worker was killed while it wrote
        self.wrong.append(f"{number}: {said!r}")
        return "wrong"


def storm(server: Storm, dice: random.Random, clients: list[Client]) -> Counter[str]:
    """Kill one process after another, some of each kind; how many. Between two of them
    some requests are answered: a process that is killed while it starts does nothing."""

    def answered() -> int:
        return sum(client.ends["answered"] for client in clients)

    killed: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(killed) < 2:
        wanted = answered() + dice.randrange(1, 16)
        until(lambda wanted=wanted: answered() >= wanted, "answers")
        kind = "web" if dice.random() < 0.3 else "model"
        parent = server.master if kind == "web" else server.pid
        victims = set(children(parent)) - server.keepers
        with contextlib.suppress(ProcessLookupError):
            for victim in dice.sample(sorted(victims), min(1, len(victims))):
                os.kill(victim, signal.SIGKILL)
                killed[kind] += 1
    return killed


class Storm(Serve):
    """Models and gunicorn, and what must live."""

    def __init__(self, directory: Path, model: str, *options: str) -> None:
        port = free_port()
        command = (
            *(sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--preload"),
            *("-w", "2", "--threads", str(CLIENTS), "--no-control-socket"),
            "storm:app",
        )
        options = (*options, "--slots", "4K:64", "--backoff", "0.02")
        super().__init__(directory, *options, model, "--", *command)
        self.port = port
        until(lambda: accepts(port) or self.process.poll() is not None, "gunicorn")
        self.master = self.command()
        self.keepers = {self.guard("command"), self.guard("models"), self.master}


def whole(arena: tr.Arena) -> bool:
    """Nobody dead is left in the arena, and each slot is free."""
    stats = arena.stats()
    alive = all(one["alive"] for one in stats["participants"])
    return alive and stats["totals"]["slots_free"] == 64


def test_a_storm_of_kills(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    with Storm(tmp_path, "storm:Model", "-n", "2") as server, server.attach() as arena:
        over = threading.Event()
        clients = [
            Client(server.port, 1_000_000 * (one + 1), over) for one in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        killed = storm(server, random.Random(seed), clients)
        over.set()
        for client in clients:
            client.join()
        ends = sum((client.ends for client in clients), Counter[str]())
        print(dict(killed), dict(ends))
        assert not [text for client in clients for text in client.wrong]
        assert killed["model"]
        assert killed["web"]
        assert ends["answered"]
        # No request waits for a process that is gone, or gets lost in the arena.
        assert not ends["TimedOutError"]
        # A worker that is killed has at most one request of each client.
        assert ends["broken"] <= CLIENTS * killed["web"]
        until(lambda: whole(arena), "what the dead had")
        calm = Client(server.port, 0, over)
        assert {calm.once(number) for number in range(20)} == {"answered"}
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


GROUPS = (  # of the kernel's two interfaces: the folder, and the files that limit memory
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
)


@pytest.fixture
def cage() -> Iterator[Path]:
    """A cgroup with little memory."""
    for top, limit, swap in GROUPS:
        group = Path(top, f"tensoring-servers-{os.getpid()}")
        if not Path(top, "cgroup.procs").exists():
            continue
        with contextlib.suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(128 << 20))
                with contextlib.suppress(OSError):  # the kernel may not count swap
                    (group / swap).write_text(
                        "0" if top == GROUPS[0][0] else str(128 << 20)
                    )
                yield group
                return
            finally:
                with contextlib.suppress(OSError):
                    until(lambda group=group: not (group / "cgroup.procs").read_text())
                    group.rmdir()
    pytest.skip("no memory cgroup can be made")


def pinged(port: int) -> bool:
    """Whether /ping is green."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        connection.request("GET", "/ping")
        return {200: True, 503: False}[connection.getresponse().status]
    finally:
        connection.close()


def test_a_model_is_killed_for_its_memory(cage: Path, tmp_path: Path) -> None:
    (tmp_path / "group").write_text(str(cage))
    with Storm(tmp_path, "storm:Eater") as server, server.attach() as arena:
        calm = Client(server.port, 0, threading.Event())
        assert calm.once(1) == "answered"
        assert pinged(server.port)
        os.mkfifo(tmp_path / "wait")
        ends: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: ends.append(calm.once(n)))
            for n in (-1, 2, 3, 4)
        ]
        threads[0].start()
        until(lambda: not pinged(server.port), "/ping is red")
        for thread in threads[1:]:
            thread.start()
        with (tmp_path / "wait").open("wb"):
            (tmp_path / "wait").unlink()
        for thread in threads:
            thread.join()
        if "the cgroup has no limit" in server.output:
            pytest.skip("the kernel does not limit the memory of cgroups")
        assert Counter(ends) == {"answered": 3, "PeerDiedError": 1}, calm.wrong
        until(lambda: pinged(server.port), "/ping is green")
        until(lambda: whole(arena), "what the dead had")
        assert server.output.count("was killed by signal 9 after") == 2
        server.signal(signal.SIGTERM)
        assert server.ends() == 0
