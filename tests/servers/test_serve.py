# SPDX-License-Identifier: MIT
"""tensoring serve: models and the web server that calls them, as one."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
from serving import (
    APPS,
    HEALTHCHECK,
    LONGEST,
    Clients,
    Server,
    accepts,
    ask,
    free_port,
    group,
    parent,
    until,
)
from tensoring._servers.serve_args import parse

PAGE = Path(__file__).parents[2] / "docs/how-to/serve.md"
CLIENTS = 8
COMMANDS = {
    "gunicorn": "gunicorn -b 127.0.0.1:{port} -w 2 --threads 4 calls:app"
    " --no-control-socket --graceful-timeout 20",
    "uvicorn": "uvicorn --port {port} --workers 2 --lifespan off calls:asgi "
    + " ".join(HEALTHCHECK),
}


def session(sid: int) -> set[int]:
    """The living processes of a session."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if int(stat[3]) == sid and stat[0] != b"Z":
                found.add(int(pid))
    return found


class Serve(Server):
    """`tensoring serve`, the models and the command."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        super().__init__("tensoring", "serve", *arguments, directory=directory, port=1)

    def __exit__(self, kind: Any, *rest: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in session(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().__exit__(kind, *rest)

    def ends(self) -> int:
        """Its exit status, when all of its processes are gone."""
        status = self.process.wait(LONGEST)
        until(lambda: not session(self.pid), f"{session(self.pid)} live on")
        return status

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def models(self, count: int, but: set[int] | None = None) -> set[int]:
        """So many models are loaded, and none of these lives."""

        def look() -> set[int]:
            loaded = set(map(int, re.findall(r"^loaded (\d+)", self.output, re.M)))
            found = loaded & session(self.pid)
            return found if len(found) == count and not found & (but or set()) else set()

        return set(until(look, f"{count} models"))

    def guard(self, name: str) -> int:
        """The process that leads the group of the command, or of the models."""

        def look() -> int:
            for pid in session(self.pid):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text() == f"guard-{name}\n":
                        return pid
            return 0

        return int(until(look))

    def commands(self) -> set[int]:
        """The processes of the command."""
        guard = self.guard("command")
        return set(group(guard)) - {guard}

    def command(self) -> int:
        """The first one of them."""

        def look() -> int:
            found = self.commands()
            return next((pid for pid in found if parent(pid) not in found), 0)

        return int(until(look))


def serve(
    directory: Path, kind: str, *options: str, models: tuple[str, ...] = ("served:Model",)
) -> Serve:
    """Start it with a web server, and wait until that accepts connections."""
    pytest.importorskip(kind)
    port = free_port()
    command = COMMANDS[kind].format(port=port).split()
    started = Serve(
        directory,
        *("-n", "2", "--slots", "4K:64", *options, *models),
        *("--", sys.executable, "-m", *command),
    )
    started.port = port
    until(lambda: accepts(port) or started.process.poll() is not None)
    return started


@contextlib.contextmanager
def asked(server: Serve) -> Iterator[Clients]:
    """Clients that ask all the time; no answer is wrong or missing."""
    clients = Clients(server.port, CLIENTS)
    try:
        clients.more()
        yield clients
        clients.more()
    finally:
        clients.stop()
    assert not clients.wrong, clients.wrong[:5]


def sent_to_model(arena: tr.Arena) -> int:
    """How many requests the model has got."""
    found = arena.stats()["channels"]
    return sum(one["sent"] for one in found if one["name"] == "model")


@pytest.mark.parametrize("kind", COMMANDS)
def test_models_die_and_are_reloaded_under_load(kind: str, tmp_path: Path) -> None:
    with serve(tmp_path, kind) as server:
        old = server.models(2)
        with asked(server) as clients:
            for victim in old:
                os.kill(victim, signal.SIGKILL)
                clients.more()
            new = server.models(2, but=old)
            for _ in range(3):
                server.signal(signal.SIGHUP)
                new, older = server.models(2, but=new | old), new | old
                old = older
                clients.more()
        assert server.output.count("was killed by signal 9 after") == 2
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


@pytest.mark.parametrize("kind", COMMANDS)
def test_what_is_in_the_model_is_answered(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hold")
    with serve(tmp_path, kind) as server:
        answers: list[tuple[int, int, int]] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(ask(server.port, n)))
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        with server.attach() as arena:
            until(lambda: sent_to_model(arena) == 4)
        assert until(lambda: (tmp_path / "held").exists())
        server.signal(signal.SIGTERM)
        until(lambda: re.search("Handling signal: term|Shutting down", server.output))
        with (tmp_path / "hold").open("wb"):  # both models may be in it
            (tmp_path / "hold").unlink()
        for thread in threads:
            thread.join()
        assert sorted(one[:2] for one in answers) == [(n, 2 * n + 1) for n in range(4)]
        assert server.ends() == 0


def test_nothing_outlives_a_kill(tmp_path: Path) -> None:
    with serve(tmp_path, "uvicorn") as server:
        with asked(server):
            pass
        # Guards, models; uvicorn, its workers and Python's resource tracker.
        until(lambda: len(session(server.pid)) == 1 + 2 + 2 + 1 + 2 + 1)
        pids = set(map(str, session(server.pid)))
        server.signal(signal.SIGKILL)
        assert server.ends() == -signal.SIGKILL
        # The arena has no name, and none of these processes has made another one.
        assert not [one for one in os.listdir("/dev/shm") if pids & set(one.split("."))]


def test_what_a_model_has_started_ends(tmp_path: Path) -> None:
    """Even if the model has no end of its own."""
    (tmp_path / "stubborn.py").write_text(
        "import signal, subprocess, tensoring as tr\n"
        "class Stubborn(tr.Model):\n"
        "    def load(self):\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        subprocess.Popen(['sleep', '600'])\n"
        "        print('started', flush=True)\n"
        "        while True:\n"
        "            signal.pause()\n"
    )
    arguments = ("--drain", "0.2", "stubborn:Stubborn", "--", "true")
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 128 + 15)):
        with Serve(tmp_path, *arguments) as server:
            until(lambda server=server: "started" in server.output)
            server.signal(number)
            assert server.ends() == code


def test_a_command_that_ignores_its_end(tmp_path: Path) -> None:
    """The guard ends it, and what it has started."""
    program = "trap '' TERM INT; sleep 600 & echo ready; while :; do sleep 600; done"
    arguments = ("--drain", "0.2", "served:Second", "--", "sh", "-c", program)
    with Serve(tmp_path, *arguments) as server:
        until(lambda: "ready" in server.output)
        server.signal(signal.SIGKILL)
        server.ends()
    with Serve(tmp_path, *arguments) as server:
        until(lambda: "ready" in server.output)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)  # the second one kills
        assert server.ends() == 128 + signal.SIGKILL


def test_guards_that_are_killed(tmp_path: Path) -> None:
    """Others follow, and end what they guard."""
    with Serve(tmp_path, "served:Second", "--", "sh", "-c", "sleep 600") as server:
        for name in ("command", "models", "command"):
            guard = server.guard(name)
            os.kill(guard, signal.SIGKILL)
            until(lambda name=name, guard=guard: server.guard(name) != guard)
        server.signal(signal.SIGKILL)
        assert server.ends() == -signal.SIGKILL
    with Serve(tmp_path, "served:Second", "--", "sh", "-c", "sleep 600") as server:
        server.command()
        guard = server.guard("models")
        os.kill(guard, signal.SIGKILL)
        until(lambda: server.guard("models") != guard)
        server.signal(signal.SIGTERM)
        assert server.ends() == 128 + signal.SIGTERM


def test_the_code_is_that_of_the_command(tmp_path: Path) -> None:
    for program, code in (("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM)):
        with Serve(tmp_path, "served:Second", "--", "sh", "-c", program) as server:
            assert server.ends() == code
    # What a command leaves behind ends, too.
    with Serve(tmp_path, "served:Second", "--", "sh", "-c", "sleep 600 &") as server:
        assert server.ends() == 0
    with Serve(tmp_path, "served:Second", "--", "./nothing") as server:
        assert server.ends() == 127
        assert "./nothing cannot be run: No such file" in server.output


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        found = subprocess.run(
            [sys.executable, "-m", "tensoring", "serve", "served:Second", "--", "./no"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(APPS)},
            stderr=full,
            timeout=LONGEST,
            check=False,
        )
    assert found.returncode == 127


def test_many_that_outlive_the_command_and_ignore_its_end(tmp_path: Path) -> None:
    program = "trap '' TERM; for i in $(seq 70); do sleep 600 & done; exit 5"
    arguments = ("--drain", "0.2", "served:Second", "--", "sh", "-c", program)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        server = Serve(tmp_path, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with server:
        assert server.ends() == 5
        assert "Traceback" not in server.output


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with Serve(tmp_path, "served:Model", "--", "echo", "started") as server:
        assert server.ends() == 1
        assert "LookupError: no weights here" in server.output
        assert re.search(
            r"model served:Model \(process \d+\) ended with code 1 before it was loaded;"
            r" the command is not started",
            server.output,
        )
        assert "started\n" not in server.output.replace("not started", "")
    program = "while [ -e broken ]; do sleep 0.02; done; echo mended"
    arguments = ("--no-wait", "--backoff", "0.02", "served:Model", "--", "sh", "-c")
    with Serve(tmp_path, *arguments, program) as server:
        until(lambda: server.output.count("starts again in") >= 2)
        (tmp_path / "broken").unlink()
        assert server.ends() == 0
        assert "mended" in server.output


def test_a_reload_that_fails_leaves_the_old_models(tmp_path: Path) -> None:
    with serve(tmp_path, "gunicorn", "--backoff", "0.02") as server:
        old = server.models(2)
        with asked(server) as clients:
            (tmp_path / "broken").touch()
            server.signal(signal.SIGHUP)
            until(lambda: server.output.count("starts again in") >= 4)
            assert old <= session(server.pid)
            clients.more()
            (tmp_path / "broken").unlink()
            server.models(2, but=old)
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


def test_an_upgrade_of_gunicorn(tmp_path: Path) -> None:
    """USR2 starts a second gunicorn, which goes on when the first one ends."""
    with serve(tmp_path, "gunicorn") as server:
        first = server.command()
        until(lambda: len(server.commands()) == 3)
        before = server.commands()
        with asked(server) as clients:
            server.signal(signal.SIGUSR2)
            until(lambda: len(server.commands()) == 6)
            os.kill(first, signal.SIGTERM)
            until(lambda: first not in server.commands())
            clients.more()
        second = server.command()
        assert second not in before
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


def test_the_programs_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    text = PAGE.read_text()
    for name, program in re.findall(
        r"`(\w+\.py)`.*?```python\n(.*?)^```", text, re.M | re.S
    ):
        (tmp_path / name).write_text(program)
    (command,) = re.findall(r"^tensoring serve (.*)", text, re.M)
    port = free_port()
    here = f"{sys.executable} -m gunicorn -b 127.0.0.1:{port} --no-control-socket"
    with Serve(tmp_path, *command.replace("gunicorn", here).split()) as server:
        until(lambda: accepts(port) or server.process.poll() is not None)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?1,1,1,1") as answer:
            assert answer.read() == b"6\n"
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


def test_several_models_and_a_setup(tmp_path: Path) -> None:
    program = """
import os
import numpy as np, tensoring as tr
arena = tr.server()
one = arena.service("model").call(np.arange(3), timeout=60)
two = arena.service("second").call(np.arange(3), timeout=60)
print(one, two, arena.board("setup")["calls"])
print("servers", arena.service("model").servers, arena.service("second").servers)
"""
    (tmp_path / "program.py").write_text(program)
    with Serve(
        tmp_path,
        *("--setup", "served:publish", "served:Model:2", "served:Second"),
        *("--", sys.executable, "program.py"),
    ) as server:
        assert server.ends() == 0, server.output
        assert "[1 3 5] [3 4 5] 1" in server.output
        assert "servers 2 1" in server.output


WRONG = {
    "no command": (["served:Model"], "no command is given"),
    "no class": (["served", "--", "true"], "'served' is not MODULE:CLASS"),
    "no number": (["served:Model:x", "--", "true"], "'x' is not a number from 1 to 256"),
    "slots": (["--slots", "4K", "a:B", "--", "true"], "'4K' is not SIZE:COUNT"),
    "drain": (["--drain", "-1", "a:B", "--", "true"], "not a number of seconds"),
    "workers": (
        ["-n", "257", "a:B", "--", "true"],
        "'257' is not a number from 1 to 256",
    ),
    "too many": (["a:B:200", "c:D:57", "--", "true"], "257 processes of models are too"),
    "participants": (
        ["--participants", "257", "a:B", "--", "true"],
        "'257' is not a number from 1 to 256",
    ),
    "cores": (
        ["--reserve-cores", "-1", "a:B", "--", "true"],
        "'-1' is not a number from 0 to 65536",
    ),
    "setup": (["--setup", "a", "a:B", "--", "true"], "'a' is not MODULE:FUNCTION"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments(what: str) -> None:
    arguments, says = WRONG[what]
    done = subprocess.run(
        [sys.executable, "-m", "tensoring", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 2
    assert says in done.stderr


CANNOT_START = {
    "arena": (
        {"TENSORING_ARENA": "nowhere"},
        [],
        "TENSORING_ARENA is 'nowhere'; it must",
    ),
    "path": (
        {"TENSORING_ARENA": "/nowhere"},
        [],
        "TENSORING_ARENA is '/nowhere'; it must",
    ),
    "memory": ({}, ["--slots", "1024G:9"], "ask for fewer or smaller slots"),
    "size": ({}, ["--slots", "1000000G:9"], "a size in slots is 1073741824000000"),
    "cores": ({}, ["--reserve-cores", "65536"], "65536 cores reserved of"),
}


@pytest.mark.parametrize("what", CANNOT_START)
def test_one_line_says_why_it_cannot_start(what: str) -> None:
    more, options, says = CANNOT_START[what]
    done = subprocess.run(
        [sys.executable, "-m", "tensoring", "serve", *options, "a:B", "--", "true"],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tensoring serve: ")
    assert says in line


NOT_THERE = {
    "module": (
        ["nothing:Here"],
        "model is 'nothing:Here'; there is no module nothing on",
    ),
    "class": (["served:Here"], "model is 'served:Here'; served has no Here"),
    "model": (["served:Path"], "'served:Path'; it is no class derived from tr.Model"),
    "setup": (["--setup", "served:x", "served:Model"], "is 'served:x'; served has no x"),
}


@pytest.mark.parametrize("what", NOT_THERE)
def test_one_line_says_what_is_not_there(what: str, tmp_path: Path) -> None:
    arguments, says = NOT_THERE[what]
    with Serve(tmp_path, *arguments, "--", "true") as server:
        assert server.ends() == 1
        first, second = server.output.splitlines()
        assert says in first
        assert "before it was loaded; the command is not started" in second


def test_the_room_for_participants_has_its_limit() -> None:
    for count, room in ((2, 136), (32, 256), (33, 256)):
        options = parse(["-n", str(count), "a:B", "--", "true"])
        assert options.arena["max_participants"] == room


def test_ended_before_the_command_starts(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import signal, tensoring as tr\n"
        "class Slow(tr.Model):\n"
        "    def load(self):\n"
        "        print('begins', flush=True)\n"
        "        signal.pause()\n"
    )
    with Serve(tmp_path, "--drain", "0.2", "slow:Slow", "--", "echo", "up") as server:
        until(lambda: "begins" in server.output)
        server.signal(signal.SIGTERM)
        assert server.ends() == 128 + signal.SIGTERM
    late = ("--ready-timeout", "0.5", "--drain", "0.2", "slow:Slow", "--", "echo", "up")
    with Serve(tmp_path, *late) as server:
        assert server.ends() == 1
        assert "1 of 1 models are not loaded in time" in server.output
