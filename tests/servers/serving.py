# SPDX-License-Identifier: MIT
"""Real servers on loopback, each in a process group of its own, and a client of ours."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensoring as tr

APPS = Path(__file__).parent / "apps"
PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
LONGEST = 60 * PATIENCE  # seconds, that anything here may take
# Uvicorn kills a worker that is silent for so long, and gives a reload up if a new one
# takes as long to start; nor does it see a death sooner, if that comes at a bad moment.
HEALTHCHECK = ("--timeout-worker-healthcheck", str(LONGEST // 4))


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Look until it is so; other processes do not tell us."""
    end = time.monotonic() + LONGEST
    while not (found := condition()):
        assert time.monotonic() < end, what or condition
        time.sleep(0.02)
    return found


def group(pgid: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == pgid and fields[0] != b"Z":
                found.append(int(pid))
    return found


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[1])
    return 0


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(one)
            for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def names(pid: int) -> list[str]:
    """The arenas in /dev/shm of the server that is, or was, this process."""
    mine = f"tensoring.server.{os.geteuid()}.{pid}."
    return [one for one in os.listdir("/dev/shm") if one.startswith(mine)]


def left(pid: int) -> list[str]:
    """Processes of a server's group, and its arenas."""
    return names(pid) + [str(one) for one in group(pid)]


def suppressed(function: Callable[..., Any], *given: Any) -> None:
    """Call what may fail."""
    with contextlib.suppress(Exception):
        function(*given)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def arena_path(pid: int) -> str | None:
    """The path of the arena's descriptor in a process."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            if target.startswith(("/memfd:tensoring", "/dev/shm/tensoring.")):
                return f"/proc/{pid}/fd/{fd}"
    return None


def free_port() -> int:
    """For servers that do not tell which one they got."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


class Server:
    """A server process, and what it has started."""

    pids: ClassVar[set[int]] = set()  # of all that were started

    def __init__(self, *command: str, directory: Path, port: int | None = None) -> None:
        self._output = directory / "output"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(APPS), str(directory)]),
            "PYTHONUNBUFFERED": "1",
        }
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.pids.add(self.pid)
        self.port = port or self._port()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if kind is not None:
            print(self.output[-6000:])

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def _port(self) -> int:
        def look() -> Any:
            found = re.search(r"Listening at: http://127.0.0.1:(\d+)", self.output)
            return found or self.process.poll() is not None

        found = until(look)
        return 0 if found is True else int(found[1])

    def ends(self) -> int:
        """Its exit status, when all of its processes are gone."""
        status = self.process.wait(LONGEST)
        until(lambda: not group(self.pid), f"{group(self.pid)} live on")
        return status

    def attach(self, pid: int | None = None) -> tr.Arena:
        """The arena, by the descriptor of the server, or of one of its workers."""
        path = until(lambda: arena_path(pid or self.pid))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return tr.Arena.attach_fd(fd)
        finally:
            os.close(fd)


def ask(port: int, number: int) -> tuple[int, int, int]:
    """Number, reply and pid of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        connection.request("GET", f"/?{number}")
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, (response.status, body)
    finally:
        connection.close()
    first, second, third = map(int, body.split())
    return first, second, third


def model(number: int) -> int:
    return 2 * number + 1


class Model:
    """Serves what the applications call, in this process."""

    def __init__(self, arena: tr.Arena) -> None:
        self.seen: Counter[int] = Counter()
        self._service = arena.service("model")
        self._thread = threading.Thread(target=self._service.serve, args=(self._answer,))
        self._thread.start()

    def _answer(self, number: int) -> int:
        self.seen[number] += 1
        return model(number)

    def stop(self) -> None:
        self._service.shutdown()
        self._thread.join()


class Clients:
    """Ask all the time; each answer is checked."""

    def __init__(self, port: int, count: int) -> None:
        self.pids: Counter[int] = Counter()
        self.asked: set[int] = set()
        self.wrong: list[str] = []
        self.resets = 0  # of connections that nobody had answered
        self._port = port
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(one,)) for one in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, mine: int) -> None:
        number = mine * 1_000_000
        while not self._stop.is_set():
            number += 1
            self.asked.add(number)
            try:
                answer = self._ask(number)
            except Exception as error:
                self.wrong.append(f"{number}: {error!r}")
                time.sleep(0.05)
                continue
            if answer[:2] != (number, model(number)):
                self.wrong.append(f"{number}: {answer}")
            self.pids[answer[2]] += 1

    def _ask(self, number: int) -> tuple[int, int, int]:
        """Once more if the server closes the connection: the model tells if it should
        not, since it has seen the request twice."""
        while True:
            try:
                return ask(self._port, number)
            except ConnectionResetError:  # also http.client.RemoteDisconnected
                self.resets += 1

    @property
    def answers(self) -> int:
        return self.pids.total()

    def more(self, count: int = 20) -> None:
        """Wait for so many answers from now on."""
        wanted = self.answers + count
        until(lambda: self.answers >= wanted or self.wrong, f"{count} answers")

    def heard_of(self, workers: set[int]) -> None:
        """Wait until each of these has answered."""
        until(lambda: workers <= set(self.pids) or self.wrong, f"{workers} answer")

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def load(server: Server, arena: tr.Arena, count: int = 4) -> Iterator[Clients]:
    """Clients and the model. At the end no answer was wrong, and the model has seen each
    request once."""
    answering = Model(arena)
    clients = Clients(server.port, count)
    try:
        clients.more()
        yield clients
        clients.stop()
        assert not clients.wrong, clients.wrong[:5]
        assert set(answering.seen) == clients.asked
        assert set(answering.seen.values()) == {1}
    finally:
        clients.stop()
        answering.stop()


def living(arena: tr.Arena) -> set[int]:
    """Pids of living participants but this process."""
    found = arena.stats()["participants"]
    return {one["pid"] for one in found if one["alive"]} - {os.getpid()}


def settled(arena: tr.Arena, count: int) -> set[int]:
    """So many participants live, and none is dead and not reaped."""

    def look() -> Any:
        found = arena.stats()["participants"]
        return len(found) == count + 1 and all(one["alive"] for one in found)

    until(look, f"{count} others in {arena.stats()['participants']}")
    return living(arena)
