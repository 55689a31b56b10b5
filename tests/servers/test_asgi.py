# SPDX-License-Identifier: MIT
"""uvicorn, granian and Hypercorn with tensoring.asgi.lifespan(): one arena for a server,
whichever of its processes dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import tensoring as tr
from serving import (
    HEALTHCHECK,
    LONGEST,
    Server,
    accepts,
    free_port,
    group,
    left,
    load,
    names,
    settled,
    until,
)

APP = "own_asgi:app"
WORKERS = 2
COMMANDS = {
    "uvicorn": ("--port", "{port}", *HEALTHCHECK, APP),
    "granian": ("--port", "{port}", "--interface", "asgi", APP),
    "granian_spawned": ("--port", "{port}", "--interface", "asgi", APP),
    "hypercorn": ("--bind", "127.0.0.1:{port}", APP),
}


def start(kind: str, directory: Path, *more: str) -> Server:
    pytest.importorskip(kind.partition("_")[0])
    port = free_port()
    count = () if "--workers" in more else ("--workers", str(WORKERS))
    options = [*more, *count, *(one.format(port=port) for one in COMMANDS[kind])]
    server = Server(kind, *options, directory=directory, port=port)
    until(lambda: accepts(port) or server.process.poll() is not None)
    return server


def attach(server: Server) -> tr.Arena:
    name = until(lambda: names(server.pid))[0]
    return tr.Arena.attach(name.removeprefix("tensoring."), timeout=LONGEST)


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_server_has_one_arena(kind: str, tmp_path: Path) -> None:
    with start(kind, tmp_path) as server:
        with attach(server) as arena:
            workers = settled(arena, WORKERS)
            with load(server, arena) as clients:
                clients.heard_of(workers)
            assert arena.board("tables")["published"] == 1
            assert server.pid not in workers
        server.process.terminate()
        server.ends()
        assert left(server.pid) == []


def test_uvicorn_replaces_workers(tmp_path: Path) -> None:
    with start("uvicorn", tmp_path) as server:
        with attach(server) as arena:
            workers = settled(arena, WORKERS)
            os.kill(min(workers), signal.SIGKILL)
            until(lambda: min(workers) not in settled(arena, WORKERS))
            workers = settled(arena, WORKERS)
            with load(server, arena) as clients:
                clients.heard_of(workers)
                os.kill(server.pid, signal.SIGHUP)
                until(lambda: not workers & set(group(server.pid)))
                clients.heard_of(settled(arena, WORKERS))
            assert arena.board("tables")["published"] == 1
        server.process.terminate()
        server.ends()
        assert left(server.pid) == []


@pytest.mark.parametrize("kind", ["granian", "granian_spawned", "hypercorn"])
def test_a_killed_worker_ends_the_server(kind: str, tmp_path: Path) -> None:
    with start(kind, tmp_path) as server:
        with attach(server) as arena:
            victim, *_ = settled(arena, WORKERS)
            name = arena.name
        os.kill(victim, signal.SIGKILL)
        server.ends()
        # Hypercorn ends its other workers without their lifespan's end, so a name stays,
        # until the next server starts.
        assert kind == "hypercorn" or left(server.pid) == []
        tr.Arena.sweep(name or "")
        assert left(server.pid) == []


@pytest.mark.parametrize("kind", ["granian", "granian_spawned"])
def test_granian_replaces_workers(kind: str, tmp_path: Path) -> None:
    with start(kind, tmp_path, "--respawn-failed-workers") as server:
        with attach(server) as arena:
            victim, *_ = settled(arena, WORKERS)
            os.kill(victim, signal.SIGKILL)
            until(lambda: victim not in settled(arena, WORKERS))
            with load(server, arena) as clients:
                clients.heard_of(settled(arena, WORKERS))
            assert arena.board("tables")["published"] == 1
        server.process.terminate()
        server.ends()
        assert left(server.pid) == []


def creator(arena: tr.Arena) -> int:
    """The first that joined."""
    found = arena.stats()["participants"]
    return min(found, key=lambda one: one["index"])["pid"]


def test_each_process_of_uvicorn_may_die(tmp_path: Path) -> None:
    workers = 4
    with start("uvicorn", tmp_path, "--workers", str(workers)) as server:
        with attach(server) as arena:
            old = settled(arena, workers)
            first = creator(arena)
            os.kill(first, signal.SIGKILL)
            until(lambda: first not in settled(arena, workers))
            old = settled(arena, workers)
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: not old & set(group(server.pid)))
            new = settled(arena, workers)
            server.process.kill()
            server.process.wait()
            with load(server, arena) as clients:  # they serve on
                clients.heard_of(new)
            assert arena.board("tables")["published"] == 1
        for pid in group(server.pid):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not group(server.pid))
        assert left(server.pid) == []


def test_workers_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with start("uvicorn", tmp_path) as server, attach(server) as arena:
        workers = settled(arena, WORKERS)
        server.process.kill()
        server.process.wait()
        with load(server, arena) as clients:
            clients.heard_of(workers)
        assert settled(arena, WORKERS) == workers
    until(lambda: not group(server.pid))
    assert left(server.pid) != []  # a name, which the next server removes
    with start("uvicorn", tmp_path) as successor:
        with attach(successor) as arena:
            settled(arena, WORKERS)
            assert arena.board("tables")["published"] == 1
        assert left(server.pid) == []
        successor.process.terminate()
        successor.ends()
    assert left(successor.pid) == []
