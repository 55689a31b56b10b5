# SPDX-License-Identifier: MIT
"""Models in processes of their own, called by web workers: the programs of the page
docs/how-to/models.md, with its model, and with one that the test holds."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from serving import (
    HEALTHCHECK,
    LONGEST,
    Server,
    accepts,
    free_port,
    group,
    parent,
    until,
)

PAGE = Path(__file__).parents[2] / "docs/how-to/models.md"
CONF = """
from tensoring.gunicorn import *
control_socket_disable = True
bind, workers, threads, worker_class = "127.0.0.1:0", 1, 12, "gthread"
"""
GREENLETS = 50
KINDS = ["uvicorn", "gunicorn"]
CAPACITY = 8
POISON = -1.0


def programs() -> dict[str, str]:
    """The page's files by name."""
    named = r"`(\w+\.py)`[^`]*?\n *```python\n(.*?)^ *```"
    found = re.findall(named, PAGE.read_text(), re.M | re.S)
    return {name: textwrap.dedent(text) for name, text in found}


class Shop:
    """An arena for model processes and a web server, each in a directory of its own."""

    def __init__(self, arena: tr.Arena, directory: Path, capacity: int = 0) -> None:
        self.arena = arena
        self.service = arena.service("ranker", capacity=capacity)
        self.seen, self.go = arena.queue("seen"), arena.queue("go")
        self.board = arena.board("test")
        self._directory = directory

    def _files(self, kind: str) -> Path:
        directory = self._directory / kind
        directory.mkdir()
        for file, text in programs().items():
            (directory / file).write_text(text)
        return directory

    def models(self, held: bool = True) -> Server:
        """The page's model, or one process with the model that the test holds."""
        directory = self._files("models")
        if held:
            (directory / "ranker.py").write_text("from held import Ranker\n")
            program = directory / "models.py"
            program.write_text(program.read_text().replace("(work, 2,", "(work, 1,"))
        server = Server("models", directory=directory, port=1)
        until(lambda: self.service.servers == (1 if held else 2), "models")
        return server

    def web(self, kind: str) -> Server:
        directory = self._files("web")
        pytest.importorskip(kind)
        if kind != "uvicorn":
            pytest.importorskip("flask")
            conf = CONF.replace("gthread", "gevent") if kind == "gevent" else CONF
            (directory / "gunicorn.conf.py").write_text(conf)
            return Server("gunicorn", "shop:app", directory=directory)
        pytest.importorskip("fastapi")
        port = free_port()
        command = ("uvicorn", "app:app", "--port", str(port), "--workers", "2")
        server = Server(*command, *HEALTHCHECK, directory=directory, port=port)
        until(lambda: accepts(port), "uvicorn")
        return server

    def hold(self, port: int, rows: list[Any]) -> tuple[int, Posts, Posts]:
        """The model's pid, a request that it has in hand, and some that wait."""
        self.board["held"] = True
        first = Posts(port, [row(0)])
        pid, numbers = self.seen.receive(LONGEST)
        assert numbers == [0]
        posts = Posts(port, rows)
        until(lambda: len(self.service.queue) == len(rows), "all wait")
        return pid, first, posts

    def let_go(self) -> None:
        """The batch that is held; none is after it."""
        del self.board["held"]
        self.go.send(None)


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    name = f"shop{os.getpid()}"
    monkeypatch.setenv("TENSORING_ARENA", name)
    with tr.Arena.create(name, [(4096, 128)]) as arena:
        try:
            yield Shop(arena, tmp_path, getattr(request, "param", CAPACITY))
        finally:
            tr.Arena.unlink(name)


def row(number: float) -> Any:
    return np.full(4, number, "f4")


def post(port: int, x: Any) -> tuple[int, str, str | None]:
    """Status, body, and Retry-After."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        connection.request("POST", "/score", x.tobytes())
        response = connection.getresponse()
        body = response.read().decode()
        return response.status, body, response.headers["Retry-After"]
    finally:
        connection.close()


class Posts:
    """Requests side by side."""

    def __init__(self, port: int, rows: list[Any]) -> None:
        self._ends: list[Any] = [None] * len(rows)
        self._threads = [
            threading.Thread(target=self._run, args=(port, i, x))
            for i, x in enumerate(rows)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int, i: int, x: Any) -> None:
        self._ends[i] = post(port, x)

    def join(self) -> list[tuple[int, str, str | None]]:
        for thread in self._threads:
            thread.join()
        return self._ends


def sums(numbers: list[int]) -> list[tuple[int, str, None]]:
    """The answers to such rows."""
    return [(200, str(4.0 * number), None) for number in numbers]


@pytest.mark.parametrize("kind", KINDS)
def test_the_programs_of_the_page(kind: str, shop: Shop) -> None:
    with shop.models(held=False) as models, shop.web(kind) as server:
        answers = Posts(server.port, [row(i) for i in range(CAPACITY)]).join()
        assert answers == sums(list(range(CAPACITY)))
        assert post(server.port, row(np.nan))[0] == 422
        shop.arena.board("weights").put("ranker", row(2))
        for _ in range(4):
            assert post(server.port, row(1)) == (200, "8.0", None)
        os.kill(models.pid, signal.SIGHUP)
        assert Posts(server.port, [row(1)] * 8).join() == [(200, "8.0", None)] * 8
        models.process.terminate()
        assert models.ends() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_killed_in_a_batch_of_eight(kind: str, shop: Shop) -> None:
    with shop.models(), shop.web(kind) as server:
        pid, first, posts = shop.hold(server.port, [row(i) for i in range(1, 9)])
        shop.go.send(None)
        same, numbers = shop.seen.receive(LONGEST)
        assert (same, sorted(numbers)) == (pid, list(range(1, 9)))
        del shop.board["held"]
        os.kill(pid, signal.SIGKILL)
        assert posts.join() == sums(list(range(1, 9)))
        assert first.join() == sums([0])
        batches = [shop.seen.receive(0) for _ in range(len(shop.seen))]
        assert sorted(numbers for _, numbers in batches) == [[i] for i in range(1, 9)]
        assert pid not in dict(batches)
        assert shop.arena.stats()["totals"]["redelivered"] == 8


def test_a_deadly_request_among_eight(shop: Shop) -> None:
    rows = [row(POISON if i == 3 else i) for i in range(8)]
    with shop.models(), shop.web("gunicorn") as server:
        _, first, posts = shop.hold(server.port, rows)
        shop.let_go()
        answers = posts.join()
        assert answers.pop(3)[0] == 500
        assert answers == sums([0, 1, 2, 4, 5, 6, 7])
        assert first.join() == sums([0])
        assert post(server.port, row(5)) == sums([5])[0]
        assert shop.arena.stats()["totals"]["deaths"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_request_and_a_full_queue(kind: str, shop: Shop) -> None:
    rows = [row(np.nan if i == 3 else i) for i in range(CAPACITY)]
    with shop.models(), shop.web(kind) as server:
        _, first, posts = shop.hold(server.port, rows)
        status, _, retry_after = post(server.port, row(9))
        assert (status, retry_after) == (503, "1")
        shop.let_go()
        answers = posts.join()
        status, body, _ = answers.pop(3)
        assert status == 422
        assert "not finite" in body
        assert answers == sums([0, 1, 2, 4, 5, 6, 7])
        assert first.join() == sums([0])
        assert len(shop.seen) == 1  # one batch


@pytest.mark.parametrize("shop", [GREENLETS], indirect=True)
def test_greenlets_share_a_batch(shop: Shop) -> None:
    numbers = list(range(1, GREENLETS))
    with shop.models(), shop.web("gevent") as server:
        _, first, posts = shop.hold(server.port, [row(i) for i in numbers])
        shop.let_go()
        assert posts.join() == sums(numbers)
        assert first.join() == sums([0])
        assert len(shop.seen.receive(0)[1]) == len(numbers)
        assert "TIMEOUT" not in server.output


def test_models_that_stop_answer_what_waits(shop: Shop) -> None:
    with shop.models() as models, shop.web("gunicorn") as server:
        _, first, posts = shop.hold(server.port, [row(i) for i in range(CAPACITY)])
        models.process.terminate()
        shop.let_go()
        assert posts.join() == sums(list(range(CAPACITY)))
        assert first.join() == sums([0])
        assert models.ends() == 0


DIRTY = """
from tensoring.gunicorn import *
control_socket_disable = True
bind, workers, threads, worker_class = "127.0.0.1:0", 1, 12, "gthread"
arena(slots=[(4096, 128)])
model("ranker:Ranker", workers=1)
dirty_apps, dirty_workers = dirty(), 1
"""


def sockets(pid: int) -> int:
    """How many sockets a process has; the first that a dirty worker closes is at TERM."""
    found = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it is closed by now
            found += os.readlink(one).startswith("socket:")
    return found


def dirty(directory: Path, app: str) -> Server:
    pytest.importorskip("flask")
    pytest.importorskip("gunicorn.dirty")
    for file, text in programs().items():
        (directory / file).write_text(text)
    (directory / "ranker.py").write_text("from held import Ranker\n")
    (directory / "gunicorn.conf.py").write_text(DIRTY)
    return Server("gunicorn", app, directory=directory)


def test_a_dirty_worker_is_killed_in_a_batch_of_eight(tmp_path: Path) -> None:
    with dirty(tmp_path, "shop:app") as server, server.attach() as arena:
        shop = Shop(arena, tmp_path)
        pid, first, posts = shop.hold(server.port, [row(i) for i in range(1, 9)])
        shop.go.send(None)
        assert len(shop.seen.receive(LONGEST)[1]) == 8
        del shop.board["held"]
        os.kill(pid, signal.SIGKILL)
        assert posts.join() == sums(list(range(1, 9)))
        assert first.join() == sums([0])


def test_dirty_workers_end_with_their_arbiter(tmp_path: Path) -> None:
    with dirty(tmp_path, "shop:app") as server, server.attach() as arena:
        shop = Shop(arena, tmp_path)
        pid, first, posts = shop.hold(server.port, [row(i) for i in range(1, 9)])
        arbiter = parent(pid)
        os.kill(arbiter, signal.SIGKILL)
        until(lambda: parent(pid) != arbiter, "its worker has lost it")
        shop.let_go()
        shop.go.send(None)  # the new worker may have a batch by now, too
        assert first.join() == sums([0])
        assert posts.join() == sums(list(range(1, 9)))
        until(lambda: pid not in group(server.pid), "the model's process has ended")
        assert post(server.port, row(5)) == sums([5])[0]


def test_dirty_workers_serve_until_web_workers_have_ended(tmp_path: Path) -> None:
    with dirty(tmp_path, "twice:app") as server, server.attach() as arena:
        shop = Shop(arena, tmp_path)
        pid, first, posts = shop.hold(server.port, [row(i) for i in range(1, 9)])
        before = sockets(pid)
        server.process.terminate()
        until(lambda: sockets(pid) < before, "the dirty worker has been told to end")
        shop.let_go()
        assert posts.join() == sums([4 * i for i in range(1, 9)])
        assert first.join() == sums([0])
        assert server.ends() == 0
