# SPDX-License-Identifier: MIT
"""The hooks for gunicorn without it; tests/servers has the real one."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import tensoring as tr
import tensoring.gunicorn as hooks
from conftest import SLOTS
from tensoring._servers import current, dirty, handover
from tensoring._servers.parts import Parts


class Worker:
    """A key, as gunicorn's workers are."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(hooks, "_state", hooks._State())
    monkeypatch.delenv("TENSORING_ARENA", raising=False)
    cfg = SimpleNamespace(workers=2, env_orig={})
    log = logging.getLogger("gunicorn.error")
    yield SimpleNamespace(cfg=cfg, num_workers=2, WORKERS={}, log=log)
    current.leave()


def test_each_part_has_an_old_and_a_new_worker() -> None:
    parts = Parts()
    parts.plan = tr.Plan(3, cores_per_worker=1)
    workers = [Worker() for _ in range(7)]
    living: list[Worker] = []
    for worker in workers[:6]:
        parts.assign(worker, living)
        living.append(worker)
    assert [parts.part(worker) for worker in living] == [0, 1, 2, 0, 1, 2]
    living.remove(workers[4])
    parts.assign(workers[6], living)
    assert parts.part(workers[6]) == 1


def test_room_for_a_reload_and_an_upgrade(server: Any) -> None:
    hooks.on_starting(server)
    assert tr.server().info()["max_participants"] >= 4 * 2 + 16
    hooks.on_exit(server)
    assert current.current() is None


def test_setup_that_is_not_there_ends_the_start(server: Any) -> None:
    hooks.arena(SLOTS, setup="nowhere")
    with pytest.raises(ValueError, match="setup is 'nowhere'"):
        hooks.on_starting(server)
    with pytest.raises(ValueError, match="name is 'x'"):
        hooks.arena(SLOTS, name="x")


def test_many_workers_share_what_an_arena_has(server: Any) -> None:
    hooks.arena(SLOTS)
    server.cfg.workers = 100
    hooks.on_starting(server)
    assert tr.server().info()["max_participants"] == 256


def test_an_arena_is_handed_over(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks.arena(SLOTS)
    hooks.on_starting(server)
    old = tr.server()
    hooks.pre_exec(server)
    given = server.cfg.env_orig[handover.VARIABLE]
    number, _, made_of = given.partition(" ")
    copy = os.dup(int(number))  # what the next server inherits
    os.set_inheritable(int(number), False)
    monkeypatch.setenv(handover.VARIABLE, f"{copy} {made_of}")
    monkeypatch.setenv("GUNICORN_PID", "1")
    old.board("tables")["x"] = 7
    monkeypatch.setattr(hooks, "_state", hooks._State())
    hooks.arena(SLOTS)
    hooks.on_starting(server)
    assert tr.server() is not old
    assert tr.server().board("tables")["x"] == 7
    assert handover.VARIABLE not in os.environ
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)
    old.close()


def test_a_hook_that_fails_is_logged(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.WORKERS = None
    hooks.pre_fork(server, Worker())
    assert "pre_fork failed" in caplog.text


def test_models_are_given_to_dirty_workers(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.model("test_models:Told", workers=2)
    hooks.model("some.where:Else")
    monkeypatch.setattr(hooks, "_has_dirty_workers", lambda: False)
    with pytest.raises(RuntimeError, match="no dirty workers: install 25"):
        hooks.dirty()
    monkeypatch.setattr(hooks, "_has_dirty_workers", lambda: True)
    given = hooks.dirty()
    assert [one.rpartition(":")[2] for one in given] == ["2", "1"]
    assert hooks.dirty() == []  # the configuration runs again at each HUP
    module, name, _ = given[0].split(":")
    kind = getattr(importlib.import_module(module), name)
    assert kind.path == "test_models:Told"
    with pytest.raises(AttributeError, match="has no model 'Other'"):
        importlib.import_module(module).Other  # noqa: B018


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "ranker"}, "path is 'ranker'; give \"module:Class\""),
        ({"path": "ranker:Ranker", "workers": 0}, "workers is 0"),
    ],
)
def test_models_that_cannot_be(server: Any, given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        hooks.model(**given)


@pytest.mark.parametrize("fails", [False, True])
def test_a_dirty_worker_serves_a_model(server: Any, fails: bool) -> None:
    """Here in one process. One that cannot load tells gunicorn, which ends the worker."""
    hooks.on_starting(server)
    path = "test_models:Told" if not fails else "test_gunicorn:NoModel"
    app = getattr(dirty, dirty.name_of(path))()
    if fails:
        with pytest.raises(TypeError, match="derived from"):
            app.init()
        return
    app.init()
    service = tr.server().service("model")
    assert service.servers == 1
    assert service.call([1.0], timeout=60).tolist() == [1]
    with pytest.raises(ValueError, match="call the model's service"):
        app("predict")
    app.close()


class NoModel:
    """Has no predict()."""
