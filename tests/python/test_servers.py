# SPDX-License-Identifier: MIT
"""The arena of a server: found by each of its processes, whichever comes first."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import SLOTS
from supervision import ended, forked
from tensoring import asgi
from tensoring._arena import once
from tensoring._servers import current

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TENSORING_ARENA", raising=False)
    yield
    current.leave()
    tr.Arena.sweep(current.prefix())


def names() -> list[str]:
    """The arenas of servers that this process or its children have."""
    return [one for one in os.listdir("/dev/shm") if f".{os.getpid()}." in one]


def publish(arena: tr.Arena) -> None:
    board = arena.board("tables")
    board["times"] = board["times"] + 1 if "times" in board else 1


def enter(function: Callable[[tr.Arena], Any], **options: Any) -> Any:
    """Run a lifespan around a call, as a server does."""

    async def run() -> Any:
        async with asgi.lifespan(SLOTS, **options)(None) as state:
            assert state["arena"] is tr.server()
            return function(state["arena"])

    return asyncio.run(run())


def serve(pipe: Connection, die: bool) -> None:
    left: list[Any] = []

    def tell(arena: tr.Arena) -> None:
        arena.board("tables")["array"] = np.zeros(99)
        left.append(arena.board("tables")["array"])  # keeps this process in the arena
        pipe.send((os.fstat(arena.fd).st_ino, arena.board("tables")["times"]))
        pipe.recv()
        if die:
            os.kill(os.getpid(), signal.SIGKILL)

    enter(tell, once=publish)
    pipe.send("left")
    pipe.recv()


def start(count: int, die: bool = False) -> list[tuple[Any, Connection]]:
    found = []
    for _ in range(count):
        ours, theirs = SPAWN.Pipe()
        worker = SPAWN.Process(target=serve, args=(theirs, die))
        worker.start()
        theirs.close()
        found.append((worker, ours))
    return found


def end(workers: list[tuple[Any, Connection]], dead: bool = False) -> None:
    """All leave at once; then they end, one by one."""
    for _, pipe in workers:
        pipe.send(None)
    for _, pipe in workers:
        if not dead:
            assert pipe.recv() == "left"
    for worker, pipe in workers:
        if not dead:
            pipe.send(None)
        worker.join(60)


def test_spawned_workers_share_one_arena() -> None:
    workers = start(3)
    told = [pipe.recv() for _, pipe in workers]
    assert len({inode for inode, _ in told}) == 1
    assert [times for _, times in told] == [1, 1, 1]
    assert len(names()) == 1
    end(workers)
    assert [worker.exitcode for worker, _ in workers] == [0, 0, 0]
    assert names() == []


def test_killed_workers_leave_an_arena_that_is_replaced() -> None:
    workers = start(2, die=True)
    before = {pipe.recv()[0] for _, pipe in workers}
    end(workers, dead=True)
    later = start(1)
    inode, times = later[0][1].recv()
    assert before == {inode} or times == 1
    end(later)
    assert names() == []


def test_a_view_that_is_left_does_not_keep_the_name() -> None:
    board = current.open_server(SLOTS).board("tables")
    board["x"] = np.arange(100.0)
    view = board["x"]
    current.leave()
    assert names() == []
    assert view[99] == 99.0


def test_an_arena_that_was_closed_is_left() -> None:
    current.open_server(SLOTS).close()
    current.leave()
    assert names() == []


def test_server_is_found_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with tr.Arena(SLOTS) as arena:
        inode = os.fstat(arena.fd).st_ino
        for where in (f"/proc/{os.getpid()}/fd/{arena.fd}", f"/proc/self/fd/{arena.fd}"):
            monkeypatch.setenv("TENSORING_ARENA", where)
            assert os.fstat(tr.server().fd).st_ino == inode
            assert tr.server() is tr.server()
            current.leave()


def test_no_server_is_an_error_that_teaches() -> None:
    with pytest.raises(tr.NotFoundError, match=r"asgi\.lifespan"):
        tr.server()
    with pytest.raises(tr.TimedOutError, match=r"within 0\.25 s"):
        tr.server(timeout=0.25)


def test_a_thread_that_waits_lets_another_make_the_arena(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = threading.Event()
    attach_own = current._attach_own

    def attach(*args: Any, **options: Any) -> tr.Arena:
        began.set()
        return attach_own(*args, **options)

    monkeypatch.setattr(current, "_attach_own", attach)
    found: list[tr.Arena] = []
    thread = threading.Thread(target=lambda: found.append(tr.server(timeout=60)))
    thread.start()
    assert began.wait(60)

    def same(arena: tr.Arena) -> bool:
        thread.join(60)
        return found == [arena]

    assert enter(same)


def test_a_lifespan_runs_inside() -> None:
    seen: list[Any] = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, int]]:
        seen.append(tr.server())
        yield {"model": 7}
        seen.append(tr.server().closed)

    async def run() -> dict[str, Any]:
        async with asgi.lifespan(SLOTS, inner=own)(None) as state:
            return dict(state)

    state = asyncio.run(run())
    assert state["model"] == 7
    assert seen == [state["arena"], False]
    assert state["arena"].closed


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="name is 'x'"):
        asgi.lifespan(SLOTS, name="x")
    with pytest.raises(ValueError, match="once is 'publish'"):
        enter(str, once="publish")
    with pytest.raises(TypeError, match="slots is 5; give slots as"):
        asgi.lifespan(5)  # type: ignore[arg-type]
    with pytest.raises(
        ImportError, match="once is 'nowhere:f'; there is no module nowhe"
    ):
        enter(str, once="nowhere:f")
    with pytest.raises(AttributeError, match=r"once is 'json:f\.g'; json has no f\.g"):
        enter(str, once="json:f.g")


# ---- once


def claim(arena: tr.Arena, pipe: Connection) -> None:
    def work() -> None:
        pipe.send("working")
        pipe.recv()  # never: it is killed here

    arena.once("table", work)


def test_another_process_does_what_a_dead_one_had_begun(arena: tr.Arena) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=claim, args=(arena, theirs))
    child.start()
    assert ours.recv() == "working"
    done: list[int] = []
    os.kill(child.pid or 0, signal.SIGKILL)
    assert arena.once("table", lambda: done.append(1))
    assert not arena.once("table", lambda: done.append(2))
    assert done == [1]
    child.join(60)


def test_what_fails_is_done_by_the_next(arena: tr.Arena) -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        arena.once("table", fail)
    assert arena.once("table", int)


def test_a_function_that_asks_for_its_own_key_is_told(arena: tr.Arena) -> None:
    with pytest.raises(RuntimeError, match="asks for its own key"):
        arena.once("key", lambda: arena.once("key", print))
    assert arena.once("key", lambda: None)


def characters_read() -> int:
    with open("/proc/self/io") as io:
        return int(io.readline().split()[1])


def test_a_descriptor_is_asked_for_without_the_maps_of_the_process(
    arena: tr.Arena,
) -> None:
    with open("/sys/kernel/mm/transparent_hugepage/shmem_enabled") as enabled:
        if not {"[never]", "[advise]", "[deny]"} & set(enabled.read().split()):
            pytest.skip("each mapping may have large pages")
    before = characters_read()
    nothing = characters_read() - before
    before = characters_read()
    assert arena.fd >= 0
    assert characters_read() - before - nothing < 1000  # the maps are 100,000


def test_once_needs_no_other_description(
    arena: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /proc, and in a process that has changed its user, none can be opened."""
    monkeypatch.setattr(once, "_described_again", lambda fd: -1)
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=claim, args=(arena, theirs))
    child.start()
    assert ours.recv() == "working"
    done: list[int] = []
    threads = [
        threading.Thread(target=arena.once, args=("table", lambda: done.append(1)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    os.kill(child.pid or 0, signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    assert done == [1]
    child.join(60)


def test_a_start_that_fails_removes_the_name() -> None:
    def fail(arena: tr.Arena) -> None:
        raise LookupError

    lifespan = asgi.lifespan([(4096, 4)], once=fail)

    async def start() -> None:
        async with lifespan(None):
            pass

    with pytest.raises(LookupError):
        asyncio.run(start())
    assert names() == []
    with pytest.raises(tr.NotFoundError):
        tr.server()


def test_a_worker_that_is_told_to_end_while_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends by the signal, and not before it has removed the name."""

    def told_to_end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        current.leave()

    def work() -> None:
        monkeypatch.setattr(asgi, "leave", told_to_end)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        enter(lambda arena: None)

    before = names()
    assert ended(forked(work)) == -signal.SIGTERM
    assert names() == before
