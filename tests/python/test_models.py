# SPDX-License-Identifier: MIT
"""Models in processes of their own: deaths in the middle of a batch, versions, stops."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from batching import LONGEST, Calls, stopped, until

FORK = multiprocessing.get_context("fork")
POISON = -1.0
SLOTS = [(4096, 64)]


@pytest.fixture
def arena() -> Iterator[tr.Arena]:
    with tr.Arena(SLOTS) as arena:
        yield arena


class Told(tr.Model):
    """Tells the queue "seen" how many rows each batch has, with the version."""

    name = "model"
    follows = ("weights", "model")

    def load(self) -> None:
        self.factor, self.version = 1.0, 0
        self.seen = self.arena.queue("seen")

    def reload(self, value: Any, version: int) -> None:
        if np.ndim(value):
            raise ValueError("weights of another model")
        self.factor, self.version = float(value), version

    def predict(self, batch: tr.Batch) -> Any:
        self.seen.send((len(batch), self.version))
        if (batch.x == POISON).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return batch.x * self.factor


class Pausing(Told):
    """Never ends its first batch."""

    def predict(self, batch: tr.Batch) -> Any:
        self.seen.send((len(batch), self.version))
        signal.pause()


def start(kind: type[tr.Model], service: tr.Service, **options: Any) -> Any:
    child = FORK.Process(target=kind().serve, args=(service,), kwargs=options)
    child.start()
    return child


class Keeper:
    """Starts a model again when it dies, until it ends in good order."""

    def __init__(self, service: tr.Service, processes: int = 1) -> None:
        self.deaths = 0
        self._service = service
        self._threads = [threading.Thread(target=self._run) for _ in range(processes)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while True:
            child = start(Told, self._service)
            child.join()
            self._service.arena.reap()
            if child.exitcode == 0:
                return
            self.deaths += 1

    def stop(self) -> None:
        self._service.shutdown()
        for thread in self._threads:
            thread.join()


def sizes(arena: tr.Arena) -> list[int]:
    seen = arena.queue("seen")
    return [seen.receive(0)[0] for _ in range(len(seen))]


def row(value: float) -> Any:
    return np.full(3, value)


def test_a_batch_of_a_dead_model_is_answered_by_the_next(arena: tr.Arena) -> None:
    service = arena.service("model")
    calls = Calls(service, [row(i) for i in range(8)])
    child = start(Pausing, service)
    assert arena.queue("seen").receive(LONGEST) == (8, 0)
    child.kill()
    child.join()
    arena.reap()
    child = start(Told, service)
    assert [y[0] for y in calls.join()] == list(range(8))
    service.shutdown()
    child.join()
    assert sizes(arena) == [1] * 8
    calls.ends.clear()  # they look into slots
    totals = arena.stats()["totals"]
    assert totals["redelivered"] == 8
    assert totals["slots_free"] == 64


def test_what_a_dead_model_had_comes_first(arena: tr.Arena) -> None:
    """Its requests wait for the next process to load, and for nothing else."""
    service = arena.service("model")
    calls = Calls(service, [row(i) for i in range(8)])
    child = start(Pausing, service)
    assert arena.queue("seen").receive(LONGEST) == (8, 0)
    later = Calls(service, [row(i) for i in range(3)])
    child.kill()
    child.join()
    arena.reap()
    child = start(Told, service)
    assert [y[0] for y in calls.join()] == list(range(8))
    assert [y[0] for y in later.join()] == list(range(3))
    service.shutdown()
    child.join()
    assert sizes(arena) == [1] * 8 + [3]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("most", [2, 3])
def test_a_deadly_request_fails_alone(arena: tr.Arena, most: int, processes: int) -> None:
    """Twice is enough for the others: they bear one death of another."""
    service = arena.service("model", max_deliveries=most)
    calls = Calls(service, [row(POISON if i == 3 else i) for i in range(8)])
    keeper = Keeper(service, processes)
    ends = calls.join()
    keeper.stop()
    error = ends.pop(3)
    assert isinstance(error, tr.PeerDiedError)
    assert f"{most} servers died with it" in str(error)
    assert [y[0] for y in ends] == [0, 1, 2, 4, 5, 6, 7]
    assert keeper.deaths == most


class Panic(BaseException):
    """As extensions raise it that are written in Rust."""


@pytest.mark.parametrize("end", [SystemExit(3), Panic("out of range")])
def test_an_exception_that_ends_a_server_is_of_its_request(
    arena: tr.Arena, end: BaseException
) -> None:
    service = arena.service("model")
    longer = [np.full(5, i) for i in range(2)]
    calls = Calls(service, [*(row(i) for i in range(4)), *longer])

    def predict(batch: tr.Batch) -> Any:
        if (batch.x == 2).any():
            raise end
        return batch.x[:, 0]

    with pytest.raises(type(end)) as raised, stopped() as stop:
        service.serve_batches(predict, stop=stop, max_batch_size=6)
    assert raised.value is end
    error = calls.join().pop(2)
    assert isinstance(error, tr.RemoteError)
    assert f"{type(end).__name__}: {end}" in str(error)
    assert calls.ends == [0, 1, 3, 0, 1]


def test_a_server_ends_by_a_request_that_came_back(arena: tr.Arena) -> None:
    """It is run before the server looks for others."""
    service = arena.service("model")
    calls = Calls(service, [row(1)])
    child = start(Pausing, service)
    assert arena.queue("seen").receive(LONGEST) == (1, 0)
    child.kill()
    child.join()
    arena.reap()
    with pytest.raises(SystemExit):
        service.serve_batches(lambda batch: sys.exit(3))
    assert "SystemExit: 3" in str(calls.join()[0])


def test_who_comes_later_bears_no_second_death(arena: tr.Arena) -> None:
    """Whatever is in hand of other shapes, and new, when a redelivered one kills."""
    service = arena.service("model", max_deliveries=2)
    early = [row(0), np.zeros(2), row(POISON), np.ones(2), row(POISON), row(1)]
    first = Calls(service, early)
    child = start(Told, service)
    child.join()
    arena.reap()
    later = Calls(service, [row(2), np.full(2, 2.0), row(3)])
    keeper = Keeper(service)
    ends = first.join()
    assert [type(end) for end in ends] == [
        np.ndarray,
        np.ndarray,
        tr.PeerDiedError,
        np.ndarray,
        tr.PeerDiedError,
        np.ndarray,
    ]
    assert [y[0] for y in later.join()] == [2, 2, 3]
    keeper.stop()
    assert keeper.deaths == 2


def test_each_batch_has_the_newest_version(arena: tr.Arena) -> None:
    service = arena.service("model")
    weights = arena.board("weights")
    child = start(Told, service)
    assert service.call(row(1), timeout=LONGEST)[0] == 1
    versions = [0]
    for factor in (2.0, 3.0):
        versions.append(weights.put("model", factor))
        assert service.call(row(1), timeout=LONGEST)[0] == factor
    weights.put("model", np.zeros(2))  # the model refuses it
    assert service.call(row(1), timeout=LONGEST)[0] == 3
    del weights["model"]
    assert service.call(row(1), timeout=LONGEST)[0] == 3
    service.shutdown()
    child.join()
    seen = arena.queue("seen")
    assert [seen.receive(0)[1] for _ in range(5)] == [*versions, versions[2], versions[2]]


class Foreign:
    """What a model's process cannot decode."""


def put_foreign(arena: tr.Arena) -> None:
    one = tr.register(
        "FOREIGN",
        "foreign",
        "application/x-foreign",
        lambda obj: isinstance(obj, Foreign),
        lambda obj: [b"?"],
        lambda parts: Foreign(),
    )
    arena.board("weights").put("model", Foreign())
    tr.serializers.unregister(one.id)


@pytest.mark.parametrize("later", [False, True])
def test_weights_that_cannot_be_decoded_are_passed_over(
    arena: tr.Arena, later: bool
) -> None:
    service = arena.service("model")
    if not later:
        put_foreign(arena)
    thread = threading.Thread(target=Told().serve, args=(service,))
    thread.start()
    assert service.call(np.ones(3), timeout=LONGEST).tolist() == [1, 1, 1]
    if later:
        put_foreign(arena)
    assert service.call(np.ones(3), timeout=LONGEST).tolist() == [1, 1, 1]
    arena.board("weights").put("model", 5.0)
    assert service.call(np.ones(3), timeout=LONGEST).tolist() == [5, 5, 5]
    service.shutdown()
    thread.join()


@pytest.mark.parametrize(
    ("option", "value"),
    [("ragged", "stack"), ("max_wait", -1), ("max_batch_size", 0), ("row_ndim", -1)],
)
def test_options_are_checked_before_it_is_ready(
    arena: tr.Arena, option: str, value: Any
) -> None:
    wrong = type("Wrong", (tr.Model,), {option: value})()
    seen: list[int] = []
    with pytest.raises(ValueError, match=option):
        wrong.serve(arena.service("wrong"), ready=lambda: seen.append(1))
    assert not seen


@pytest.mark.parametrize("follows", ["weights", ("weights",)])
def test_what_no_model_can_follow(arena: tr.Arena, follows: Any) -> None:
    class Wrong(Told):
        pass

    Wrong.follows = follows
    with pytest.raises(ValueError, match=r"follows is .*; give \(board, key\)"):
        Wrong().serve(arena.service("model"))


def test_an_exception_in_predict_is_logged(
    arena: tr.Arena, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Told):
        def predict(self, batch: tr.Batch) -> Any:
            raise ZeroDivisionError("no scale")

    service = arena.service("model")
    calls = Calls(service, [row(1)])
    with stopped() as stop:
        Failing().serve(service, stop=stop)
    assert "ZeroDivisionError: no scale" in str(calls.join()[0])
    assert "ZeroDivisionError: no scale" in caplog.text


def test_a_model_begins_with_the_version_that_is_there(arena: tr.Arena) -> None:
    service = arena.service("model")
    arena.board("weights").put("model", 4.0)
    calls = Calls(service, [row(1)])
    with stopped() as stop:
        assert Told().serve(service, stop=stop) == 1
    assert calls.join()[0][0] == 4


def test_a_model_has_its_version_before_it_is_ready(arena: tr.Arena) -> None:
    arena.board("weights").put("model", 4.0)
    order = []

    class Ordered(Told):
        def load(self) -> None:
            order.append("load")

        def reload(self, value: Any, version: int) -> None:
            order.append("reload")

    with stopped() as stop:
        Ordered().serve(
            arena.service("model"), stop=stop, ready=lambda: order.append("ready")
        )
    assert order == ["load", "reload", "ready"]


def test_a_model_counts_as_a_server_when_it_is_loaded(arena: tr.Arena) -> None:
    service = arena.service("model")
    reader, writer = os.pipe()
    told = []

    class Slow(Told):
        def load(self) -> None:
            os.read(reader, 1)
            super().load()

    child = start(Slow, service)
    with pytest.raises(tr.NoServerError):
        service.call(row(1), need_server=True)
    os.write(writer, b".")
    until(lambda: service.servers)
    assert service.call(row(1), timeout=LONGEST, need_server=True)[0] == 1
    service.shutdown()
    child.join()
    with stopped() as stop:
        other = arena.service("other")
        Told().serve(other, stop=stop, ready=lambda: told.append(other.servers))
    assert told == [1]
    os.close(reader)
    os.close(writer)


def test_it_is_closed_however_it_ends(arena: tr.Arena) -> None:
    closed = []

    class Closing(Told):
        def close(self) -> None:
            closed.append(self.arena is arena)

        def predict(self, batch: tr.Batch) -> Any:
            raise KeyboardInterrupt

    service = arena.service("model")
    calls = Calls(service, [row(1)])
    with pytest.raises(KeyboardInterrupt):
        Closing().serve(service)
    (end,) = calls.join()
    assert isinstance(end, tr.RemoteError)
    with stopped() as stop:
        assert Closing().serve(service, stop=stop) == 0
    assert closed == [True, True]


def test_a_model_that_cannot_be_loaded_is_closed(
    arena: tr.Arena, caplog: pytest.LogCaptureFixture
) -> None:
    closed = []

    class Broken(Told):
        def load(self) -> None:
            raise LookupError("no weights")

        def close(self) -> None:
            closed.append(1)
            raise ValueError("nothing to close")

    with pytest.raises(LookupError, match="no weights"):
        Broken().serve(arena.service("model"))
    assert closed == [1]
    assert "close() of" in caplog.text
    assert "ValueError: nothing to close" in caplog.text


def test_a_supervisor_runs_models(arena: tr.Arena) -> None:
    service = arena.service("model")

    def work(worker: tr.Worker) -> None:
        Told().serve(service, stop=worker, ready=worker.ready)

    with tr.Supervisor(work, 2, arena=arena) as supervisor:
        supervisor.wait_ready(LONGEST)
        calls = Calls(service, [row(i) for i in range(4)], served=True)
        assert [y[0] for y in calls.join()] == [0, 1, 2, 3]
        assert supervisor.status().jobs == 4
        supervisor.reload()
        supervisor.wait_ready(LONGEST)
        assert service.call(row(5), timeout=LONGEST)[0] == 5


def test_deadly_requests_hold_up_nobody(arena: tr.Arena) -> None:
    """A service takes a request back from two dead servers, and a model that had loaded
    is there again at once."""
    service, deaths = arena.service("model"), list[tr.WorkerDeath]()

    def work(worker: tr.Worker) -> None:
        Told().serve(service, stop=worker)

    with tr.Supervisor(
        work, 1, arena=arena, died=deaths.append, backoff=0.01, no_plan=True
    ) as supervisor:
        given = [row(POISON if i % 2 else i) for i in range(12)]
        calls = Calls(service, given, served=True)
        while any(end is None for end in calls.ends):
            supervisor.step(0.05)
    ends = calls.join()
    assert [y[0] for y in ends[::2]] == list(range(0, 12, 2))
    assert {type(end) for end in ends[1::2]} == {tr.PeerDiedError}
    killed = [death for death in deaths if not death.expected]
    assert len(killed) > 6  # each of the six killed one, after another one at least
    assert {death.in_a_row for death in killed} == {1}
    assert {death.restart for death in killed} <= {0, 0.01}


def test_what_was_accepted_is_answered_at_a_stop(arena: tr.Arena) -> None:
    service = arena.service("model")
    calls = Calls(service, [row(i) for i in range(9)])

    class Small(Told):
        max_batch_size = 4

    with stopped() as stop:
        assert Small().serve(service, stop=stop) == 9
    assert [y[0] for y in calls.join()] == list(range(9))
    assert sizes(arena) == [4, 4, 1]


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda arena: tr.Model().arena, "has an arena when it is served"),
        (lambda arena: serve(arena, "nowhere"), 'give a class, or "module:Class"'),
        (lambda arena: serve(arena, "builtins:int"), "derived from tr.Model"),
        (lambda arena: serve(arena, int), "derived from tr.Model"),
    ],
)
def test_models_that_are_none(
    arena: tr.Arena, use: Callable[[tr.Arena], Any], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        use(arena)


def serve(arena: tr.Arena, what: Any) -> int:
    from tensoring._servers.model import serve_model

    return serve_model(arena, what)


def test_a_model_has_a_name() -> None:
    from tensoring._servers.model import model_class, service_name

    assert service_name(model_class("test_models:Told")) == "model"

    class Ranker(tr.Model):
        pass

    assert service_name(model_class(Ranker)) == "ranker"
    with pytest.raises(NotImplementedError, match="Ranker has no predict"):
        Ranker().predict(None)  # type: ignore[arg-type]
