# SPDX-License-Identifier: MIT
"""tr.Bridge runs a program: a script stands for it here, and writes down its arguments
and its input. tests/beyond has the program itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
from conftest import NAME

PATIENT = 60.0


class Scene:
    def __init__(self, folder: Path, arena: tr.Arena) -> None:
        self.arena = arena
        self.program = folder / "program"
        self.record = folder / "record"

    def start(self, script: str, **options: Any) -> tr.Bridge:
        self.program.write_text(f'#!/bin/sh\necho "pid $$" >>{self.record}\n{script}\n')
        self.program.chmod(0o700)
        options = {"peer": "host:7411", "trust_network": True, **options}
        return tr.Bridge(self.arena, program=self.program, **options)

    def lines(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def pids(self) -> list[int]:
        return [int(one[4:]) for one in self.lines() if one.startswith("pid ")]

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENT
        while not condition():
            assert time.monotonic() < end, self.lines()
            os.sched_yield()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    name = f"{NAME}-bridge"
    with tr.Arena.create(name, [(4096, 8)]) as arena:
        yield Scene(tmp_path, arena)
    tr.Arena.unlink(name)


def writes(scene: Scene) -> str:
    return f'printf "%s\\n" "$@" >>{scene.record}; exec cat >>{scene.record}'


def test_it_is_told_what_to_bridge(scene: Scene) -> None:
    keys = {"key": "a.key", "peer_key": Path("b.pub"), "trust_network": False}
    with scene.start(writes(scene), **keys, allow_pickle=True, window_bytes=99) as bridge:
        bridge.queue("jobs", window=8)
        bridge.queue("results", direction="in", window=4)
        bridge.board("features", direction="in")
        bridge.broadcast("news")
        bridge.service("model", on_cut="retry", window=9)
        bridge.service("own", direction="in")
        with pytest.raises(tr.ExistsError, match="news"):
            bridge.board("news")
        with pytest.raises(tr.ExistsError, match="jobs"):
            bridge.queue("jobs", direction="in")
        assert "jobs, results" in repr(bridge)
        bridge.stop(PATIENT)
    assert scene.lines()[1:] == [
        *("keep", "connect", f"--arena={scene.arena.name}", "--peer=host:7411"),
        *("--key=a.key", "--peer-key=b.pub", "--window-bytes=99", "--allow-pickle"),
        *("--window=8", "--queue=out:jobs", "--queue=in:results"),
        *("--board=in:features", "--broadcast=out:news", "--window=9"),
        *("--service=out:model", "--on-cut=retry:model"),
        *("--window=16", "--service=in:own", "stop 60000"),
    ]
    assert "stopped" in repr(bridge)
    with pytest.raises(tr.ClosedError):
        bridge.status()


def test_one_that_listens(scene: Scene) -> None:
    options = {"bind": "host:1", "peer": None, "key": "b.key", "allow": "peers"}
    scene.start(writes(scene), **options, trust_network=False).stop(PATIENT)
    assert scene.lines()[1:3] == ["keep", "listen"]
    assert scene.lines()[4:7] == ["--bind=host:1", "--key=b.key", "--allow=peers"]


def test_one_that_is_killed_is_started_again(scene: Scene) -> None:
    bridge = scene.start(writes(scene))
    bridge.queue("jobs")
    scene.until(lambda: "--queue=out:jobs" in scene.lines())
    os.kill(scene.pids()[0], signal.SIGKILL)
    scene.until(lambda: bridge.status() and len(scene.pids()) == 2)
    bridge.stop(PATIENT)
    assert scene.lines().count("--queue=out:jobs") == 2


def test_one_that_ends_is_not(scene: Scene) -> None:
    with scene.start("exit 64") as bridge:
        with pytest.raises(tr.PeerDiedError, match="code 64"):
            bridge.wait_connected(PATIENT)
        with pytest.raises(tr.PeerDiedError):
            bridge.queue("jobs")


def test_one_that_does_not_stop_is_killed(scene: Scene) -> None:
    bridge = scene.start("exec tail -f /dev/null")
    scene.until(scene.pids)
    with pytest.raises(tr.TimedOutError, match="stays in its queue"):
        bridge.stop(0)
    with pytest.raises(ProcessLookupError):
        os.kill(scene.pids()[0], 0)
    bridge.stop()  # once more does nothing


def test_waits_say_why(scene: Scene) -> None:
    with scene.start("exec cat >/dev/null") as bridge:
        with pytest.raises(tr.TimedOutError, match="not begun"):
            bridge.wait_connected(0)
        status = bridge.status()
        assert (status["link"], status["pid"], status["confirmed"]) == ("down", None, 0)


def test_a_child_leaves_it_alone(scene: Scene) -> None:
    with scene.start("exec cat >/dev/null") as bridge:
        pid = os.fork()
        if pid == 0:
            try:
                bridge.stop()
                bridge.queue("jobs")
            except tr.ForkError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert bridge.status()["link"] == "down"


def test_there_is_no_such_program(scene: Scene) -> None:
    with pytest.raises(tr.NotFoundError, match="/nowhere"):
        tr.Bridge(scene.arena, "host:1", trust_network=True, program="/nowhere")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"peer": None}, "peer or bind"),
        ({"bind": "host:1"}, "peer or bind"),
        ({"key": "a"}, "no keys"),
        ({"trust_network": False}, "key is missing"),
        ({"trust_network": False, "key": "a"}, "peer_key is missing"),
        ({"trust_network": False, "key": "a", "allow": "b"}, "does not go with peer"),
        ({"trust_network": 2}, "trust_network is 2"),
        ({"window_bytes": -1}, "window_bytes is -1"),
        ({"allow_pickle": 7}, "allow_pickle is 7"),
    ],
)
def test_options_must_go_together(
    scene: Scene, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        scene.start("exit", **options)


@pytest.mark.parametrize(
    "options", [{"peer": 5}, {"key": 5, "trust_network": False}, {"program": 5}]
)
def test_options_of_other_types(scene: Scene, options: dict[str, Any]) -> None:
    given = {"peer": "host:1", "trust_network": True, **options}
    with pytest.raises(TypeError):
        tr.Bridge(scene.arena, **given)
    with pytest.raises(TypeError, match="give an Arena"):
        tr.Bridge("pool", "host:1", trust_network=True)  # type: ignore[arg-type]


def test_an_arena_without_a_name() -> None:
    with (
        tr.Arena([(4096, 1)]) as arena,
        pytest.raises(ValueError, match="has no name"),
    ):
        tr.Bridge(arena, "host:1", trust_network=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"on_cut": "wait"}, "fail, retry"),
        ({"on_cut": "retry", "direction": "in"}, "callers decide"),
    ],
)
def test_options_of_a_service(scene: Scene, options: dict[str, Any], says: str) -> None:
    with (
        scene.start("exec cat >/dev/null") as bridge,
        pytest.raises(ValueError, match=says),
    ):
        bridge.service("model", **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"direction": "both"}, "out, in"),
        ({"window": 0}, "1 to 1024"),
        ({"window": 1025}, "1 to 1024"),
        ({"name": "a\0"}, "NUL"),
        ({"name": "a\nstop 0"}, "control characters"),
        ({"name": ""}, "control characters"),
    ],
)
def test_options_of_a_queue(scene: Scene, options: dict[str, Any], says: str) -> None:
    with scene.start("exec cat >/dev/null") as bridge:
        with pytest.raises(ValueError, match=says):
            bridge.queue(**{"name": "jobs", **options})
        with pytest.raises(ValueError, match=says):
            bridge.service(**{"name": "jobs", **options})
        with pytest.raises(ValueError, match=r"0 or more"):
            bridge.stop(-1)
        with pytest.raises(ValueError, match=r"0 or more"):
            bridge.wait_connected(-1)
