# SPDX-License-Identifier: MIT
"""gunicorn with the hooks of tensoring.gunicorn: reloads, deaths, recycling, upgrades."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import tensoring as tr
from serving import (
    LONGEST,
    PATIENCE,
    Server,
    ask,
    children,
    descriptors,
    group,
    left,
    living,
    load,
    model,
    parent,
    settled,
    suppressed,
    until,
)

pytest.importorskip("gunicorn")
CONF = """
from tensoring.gunicorn import *
arena(slots=[(4096, 64)], setup="tables:publish")
control_socket_disable = True
graceful_timeout = 20
"""
WORKERS = 2
CLASSES = {
    "sync": "wsgi:app",
    "gthread": "wsgi:app",
    "gevent": "wsgi:app",
    "asgi": "own_asgi:app",
    "uvicorn_worker.UvicornWorker": "own_asgi:app",
}


def gunicorn(
    directory: Path, *options: str, app: str = "wsgi:app", conf: str = ""
) -> Server:
    (directory / "gunicorn.conf.py").write_text(CONF + conf)
    return Server(
        *("gunicorn", "-b", "127.0.0.1:0", "-w", str(WORKERS), *options, app),
        directory=directory,
    )


def needs_module(kind: str) -> None:
    """Skip a worker class whose package is not there."""
    if kind == "gevent" or "." in kind:
        pytest.importorskip(kind.partition(".")[0])


def reload(server: Server, old: set[int]) -> None:
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: not old & set(group(server.pid)), "the old workers are gone")


@pytest.mark.parametrize("kind", CLASSES)
def test_reloads_under_load(kind: str, tmp_path: Path) -> None:
    needs_module(kind)
    options = ("-k", kind, *(("--threads", "3") if kind == "gthread" else ()))
    with gunicorn(tmp_path, *options, app=CLASSES[kind]) as server:
        with server.attach() as arena:
            old = settled(arena, 1 + WORKERS) - {server.pid}
            open_before = descriptors(server.pid)
            with load(server, arena, 8) as clients:
                for _ in range(3):
                    reload(server, old)
                    clients.more()
                    old = settled(arena, 1 + WORKERS) - {server.pid}
                assert len(clients.pids) >= 1 + 3
                # uvicorn closes connections whose request it has not read yet.
                assert clients.resets == 0 or kind.startswith("uvicorn")
            until(lambda: descriptors(server.pid) == open_before)
            assert arena.board("tables")["published"] == 1
            server.process.terminate()
            assert server.ends() == 0
            settled(arena, 0)
        assert "tensoring: " not in server.output


def test_a_killed_worker_is_reaped(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "-w", "1") as server, server.attach() as arena:
        (victim,) = settled(arena, 2) - {server.pid}
        free = arena.stats()["totals"]["slots_free"]
        lost = threading.Thread(target=suppressed, args=(ask, server.port, 1))
        lost.start()
        request = arena.queue("model").receive_message(LONGEST)
        os.kill(victim, signal.SIGKILL)
        lost.join()
        until(lambda: victim not in settled(arena, 2))
        assert arena.stats()["totals"]["deaths"] == 1
        request.reply(3)  # to nobody
        del request
        until(lambda: arena.stats()["totals"]["slots_free"] == free)
        with load(server, arena) as clients:
            clients.more()


def said_by(server: Server, text: str, count: int) -> None:
    until(lambda: server.output.count(text) == count, f"{text}, {count} times")


class Held:
    """Requests that the model has in hand, until it may answer."""

    def __init__(self, arena: tr.Arena, server: Server, numbers: range) -> None:
        self.answers: list[tuple[int, int]] = []
        self._may = threading.Event()
        here = threading.Barrier(len(numbers) + 1, timeout=LONGEST)
        service = arena.service("model")

        def slow(number: int) -> int:
            here.wait()
            self._may.wait(LONGEST)
            return model(number)

        def client(number: int) -> None:
            self.answers.append(ask(server.port, number)[:2])

        self._threads = [
            threading.Thread(target=suppressed, args=(function, *given))
            for number in numbers
            for function, given in (
                (service.serve_one, (slow, LONGEST)),
                (client, (number,)),
            )
        ]
        for thread in self._threads:
            thread.start()
        here.wait()

    def answer(self) -> None:
        self._may.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize(
    ("kind", "count"), [("sync", WORKERS), ("gthread", 8), ("gevent", 8)]
)
def test_a_stop_waits_for_answers(kind: str, count: int, tmp_path: Path) -> None:
    needs_module(kind)
    options = ("-k", kind, *(("--threads", "8") if kind == "gthread" else ()))
    with gunicorn(tmp_path, *options) as server, server.attach() as arena:
        settled(arena, 1 + WORKERS)
        held = Held(arena, server, range(count))
        server.process.terminate()
        until(lambda: "Handling signal: term" in server.output)
        held.answer()
        assert sorted(held.answers) == [(n, model(n)) for n in range(count)]
        assert server.ends() == 0
        settled(arena, 0)


def test_a_stop_does_not_wait_longer_for_a_model_that_hangs(tmp_path: Path) -> None:
    options = ("--graceful-timeout", "1")
    with gunicorn(tmp_path, *options) as server, server.attach() as arena:
        settled(arena, 1 + WORKERS)
        free = arena.stats()["totals"]["slots_free"]
        held = Held(arena, server, range(WORKERS))
        server.process.terminate()
        assert server.ends() == 0
        held.answer()  # to nobody
        assert held.answers == []
        # gunicorn kills such workers as its last act, and does not wait for them.
        until(lambda: not living(arena))
        arena.reap()
        settled(arena, 0)
        assert arena.stats()["totals"]["slots_free"] == free


def test_a_late_reply_goes_to_nobody(tmp_path: Path) -> None:
    # The time that a worker may be silent, also while it imports the application.
    options = ("-w", "1", "-t", str(5 * PATIENCE))
    with gunicorn(tmp_path, *options) as server, server.attach() as arena:
        (late,) = settled(arena, 2) - {server.pid}
        free = arena.stats()["totals"]["slots_free"]
        held = Held(arena, server, range(1))
        until(lambda: late not in group(server.pid))  # gunicorn has ended it
        held.answer()
        assert held.answers == []
        until(lambda: late not in settled(arena, 2))
        until(lambda: arena.stats()["totals"]["slots_free"] == free)
        with load(server, arena) as clients:
            clients.more()
        assert "tensoring: " not in server.output


def test_workers_and_their_threads_are_placed(tmp_path: Path) -> None:
    conf = """
def post_worker_init(worker):
    import os
    part, first = os.environ["TENSORING_WORKER"], worker.tpool._initializer.__name__
    worker.log.info("part %s, threads begin with %s", part, first)
"""
    options = ("-k", "gthread", "--threads", "2")
    with gunicorn(tmp_path, *options, conf=conf) as server, server.attach() as arena:
        old = settled(arena, 1 + WORKERS) - {server.pid}
        for generation in (1, 2):
            for part in range(WORKERS):
                said = f"part {part}/{WORKERS}, threads begin with thread_enter"
                said_by(server, said, generation)
            reload(server, old)
            old = settled(arena, 1 + WORKERS) - {server.pid}


REQUESTS = int(os.environ.get("TR_SERVER_REQUESTS", "500"))


def anonymous_kib(pid: int) -> int:
    """Memory that a process has of its own; pages of files come and go."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])


def open_with_all_workers(server: Server) -> int:
    """The master's descriptors: it has some for each worker, and none while one is
    replaced."""

    def look() -> int:
        before = children(server.pid)
        found = descriptors(server.pid)
        same = children(server.pid) == before and len(before) == WORKERS
        return found if same else 0

    return int(until(look))


def test_recycled_workers_leave(tmp_path: Path) -> None:
    options = ("--max-requests", "50", "--max-requests-jitter", "25")
    with gunicorn(tmp_path, *options) as server, server.attach() as arena:
        settled(arena, 1 + WORKERS)
        with load(server, arena, 8) as clients:
            clients.more(200)
            open_before, kib = open_with_all_workers(server), anonymous_kib(server.pid)
            clients.more(REQUESTS)
        settled(arena, 1 + WORKERS)
        totals = arena.stats()["totals"]
        assert totals["deaths"] == 0
        # The last of them may have had no request yet.
        ours = 2  # the master, and this process
        assert 0 <= totals["joins"] - ours - len(clients.pids) <= WORKERS
        assert len(clients.pids) >= clients.answers // 75
        until(lambda: descriptors(server.pid) <= open_before)
        assert anonymous_kib(server.pid) < kib + 2048


def upgrade(server: Server, old: int) -> int:
    """By USR2; the new master's pid."""
    before = set(group(server.pid))
    os.kill(old, signal.SIGUSR2)

    def masters() -> list[int]:
        found = set(group(server.pid)) - before
        return [pid for pid in found if parent(pid) == old and children(pid)]

    return until(masters)[0]


def end_old(server: Server, old: int, generation: int) -> None:
    os.kill(old, signal.SIGTERM)
    until(lambda: old not in group(server.pid))
    until(lambda: server.output.count("has been promoted") == generation)


def test_an_upgrade_takes_the_arena(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, server.attach() as arena:
        settled(arena, 1 + WORKERS)
        masters, counts = [server.pid], [descriptors(server.pid)]
        with load(server, arena) as clients:
            for generation in (1, 2, 3):
                masters.append(upgrade(server, masters[-1]))
                workers = settled(arena, 2 * (1 + WORKERS)) - set(masters)
                clients.heard_of(workers)
                end_old(server, masters[-2], generation)
                settled(arena, 1 + WORKERS)
                counts.append(descriptors(masters[-1]))
                if generation > 1:
                    until(lambda: descriptors(masters[-1]) == counts[1])
                clients.more()
        assert clients.resets == 0
        assert arena.board("tables").versioned("published").version == 1
        assert arena.board("tables")["published"] == 1
        os.kill(masters[-1], signal.SIGTERM)
        server.ends()
        settled(arena, 0)


def test_an_arena_of_another_layout_is_not_taken(tmp_path: Path) -> None:
    conf = """
def pre_exec(server):
    import os, tensoring.gunicorn
    tensoring.gunicorn.pre_exec(server)
    number, _, made_of = server.cfg.env_orig["TENSORING_HANDOVER"].partition(" ")
    os.set_inheritable(int(number), False)
    file = os.memfd_create("tensoring.other")
    os.truncate(file, 1 << 20)
    os.set_inheritable(file, True)
    server.cfg.env_orig["TENSORING_HANDOVER"] = f"{file} {made_of}"
"""
    with gunicorn(tmp_path, conf=conf) as server, server.attach() as arena:
        settled(arena, 1 + WORKERS)
        new = upgrade(server, server.pid)
        until(lambda: "so there is a new one" in server.output)
        with server.attach(new) as other:
            settled(other, 1 + WORKERS)
            assert other.board("tables")["published"] == 1
        settled(arena, 1 + WORKERS)


def test_an_arena_with_a_name_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"servers{os.getpid()}"
    monkeypatch.setenv("TENSORING_ARENA", name)
    with tr.Arena.create(name, [(4096, 64)]) as arena:
        try:
            with gunicorn(tmp_path) as server:
                settled(arena, 1 + WORKERS)
                with load(server, arena) as clients:
                    clients.more()
                server.process.terminate()
                assert server.ends() == 0
            settled(arena, 0)
        finally:
            tr.Arena.unlink(name)


def test_options_that_come_too_late_are_told(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server, server.attach() as arena:
        old = settled(arena, 1 + WORKERS) - {server.pid}
        conf = tmp_path / "gunicorn.conf.py"
        conf.write_text(CONF.replace("64", "128"))
        for _ in range(2):
            reload(server, old)
            old = settled(arena, 1 + WORKERS) - {server.pid}
        assert server.output.count("keeps its slots") == 1


@pytest.mark.parametrize("app", ["fails:app", "wsgi:app"])
def test_a_start_that_fails_leaves_nothing(app: str, tmp_path: Path) -> None:
    conf = "" if app == "fails:app" else 'arena(setup="tables:fail")'
    with gunicorn(tmp_path, app=app, conf=conf) as server:
        assert server.ends() != 0
        said = "no model here" if app == "fails:app" else "no tables here"
        assert said in server.output
    assert left(server.pid) == []


def test_hooks_do_not_raise(tmp_path: Path) -> None:
    conf = """
def when_ready(server):
    import tensoring
    tensoring.server().reap = None
    tensoring.server().close = None
"""
    with gunicorn(tmp_path, conf=conf) as server, server.attach() as arena:
        workers = settled(arena, 1 + WORKERS) - {server.pid}
        os.kill(min(workers), signal.SIGKILL)
        until(lambda: "child_exit failed" in server.output)
        with load(server, arena) as clients:
            reload(server, workers)
            clients.more()
        server.process.terminate()
        assert server.ends() == 0
        for hook in ("on_reload", "worker_exit", "on_exit"):
            assert f"{hook} failed" in server.output
