# SPDX-License-Identifier: MIT
"""Several models behind one endpoint: each web worker sees which ones are loaded."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import tensoring as tr
from endpoint import CSV, JSON, Reply, ask
from tensoring import sagemaker
from tensoring._servers import current


@pytest.fixture
def arena() -> Iterator[tr.Arena]:
    """That of the server which this process belongs to."""
    with tr.Arena(slots=[(4096, 64), (1 << 20, 8)]) as made:
        current.set_current(made)
        yield made
        current.set_current(None)


def load_number(url: str) -> Any:
    if url == "big":
        raise MemoryError
    if url == "broken":
        raise OSError("the secret")
    return lambda data: float(url) * data


def several(**more: Any) -> Any:
    return sagemaker.application(load_number, multi_model=True, **more)


def add(app: Any, name: str, url: str) -> Reply:
    body = json.dumps({"model_name": name, "url": url}).encode()
    return ask(app, "/models", body, JSON)


def test_models_are_seen_by_all_workers(arena: tr.Arena) -> None:
    first, second = several(), several()
    assert ask(first, "/ping", method="GET").status == 200
    assert json.loads(ask(first, "/models", method="GET").body) == {"models": []}
    assert add(first, "three", "3").status == 200
    said = {"modelName": "three", "modelUrl": "3"}
    assert json.loads(ask(second, "/models", method="GET").body) == {"models": [said]}
    assert json.loads(ask(second, "/models/three", method="GET").body) == said
    for app in (first, second):
        reply = ask(app, "/models/three/invoke", b"1,2", CSV, CSV)
        assert reply.body == b"3.0,6.0\n"
    assert add(second, "three", "3").status == 409
    assert ask(second, "/models/three", method="DELETE").status == 200
    for app in (first, second):
        assert ask(app, "/models/three/invoke", b"1,2", CSV, CSV).status == 404
        assert ask(app, "/models/three", method="DELETE").status == 404
        assert ask(app, "/models/three", method="GET").status == 404
    assert add(first, "three", "4").status == 200  # the same name, another model
    assert ask(second, "/models/three/invoke", b"1,2", CSV, CSV).body == b"4.0,8.0\n"
    assert ask(second, body=b"1", content_type=CSV).status == 404


def test_unloaded_models_are_let_go(arena: tr.Arena) -> None:
    made: list[weakref.ref[Any]] = []

    class Heavy:
        def __call__(self, data: Any) -> Any:
            return data

    def load(url: str) -> Any:
        model = Heavy()
        made.append(weakref.ref(model))
        return model

    first, second = (sagemaker.application(load, multi_model=True) for _ in range(2))
    assert add(first, "a", "1").status == 200
    assert ask(second, "/models/a/invoke", b"1", CSV).status == 200
    assert [one() is not None for one in made] == [True, True]
    assert ask(second, "/models/a", method="DELETE").status == 200
    assert ask(first, "/models", method="GET").status == 200  # its next request
    gc.collect()
    assert [one() for one in made] == [None, None]


class Foreign:
    """What another package has a serializer for."""


FOREIGN = {
    "number": 5,
    "list": [["a", "1"]],
    "one part": {"a": ["1"]},
    "text": {"a": "12"},
    "no text": {"a": ["1", 2]},
    "name": {7: ["1", "stamp"]},
    "long name": {"a" * 1025: ["1", "stamp"]},
    "line": {"a\nb": ["1", "stamp"]},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_list_of_models_is_left_out(
    arena: tr.Arena, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    app, foreign, board = several(), FOREIGN[what], arena.board("sagemaker")
    assert add(app, "three", "3").status == 200
    mine = board["models"]
    board["models"] = {**mine, **foreign} if isinstance(foreign, dict) else foreign
    names = ["three"] if isinstance(foreign, dict) else []
    for _ in range(3):
        listed = json.loads(ask(app, "/models", method="GET").body)["models"]
        assert [one["modelName"] for one in listed] == names
    assert len(caplog.records) == 1
    assert "1 of" in caplog.records[0].getMessage()
    assert add(app, "four", "4").status == 200
    assert ask(app, "/models/four/invoke", b"1", CSV, CSV).body == b"4.0\n"
    assert sorted(board["models"]) == sorted([*names, "four"])


def test_a_list_that_cannot_be_decoded_is_passed_over(
    arena: tr.Arena, caplog: pytest.LogCaptureFixture
) -> None:
    app = several()
    assert add(app, "three", "3").status == 200
    one = tr.register(
        "FOREIGN",
        "foreign",
        "application/x-foreign",
        lambda obj: isinstance(obj, Foreign),
        lambda obj: [b"?"],
        lambda parts: Foreign(),
    )
    arena.board("sagemaker")["models"] = Foreign()
    tr.serializers.unregister(one.id)
    for _ in range(3):
        assert ask(app, "/models/three/invoke", b"1", CSV, CSV).body == b"3.0\n"
    (record,) = caplog.records
    assert "cannot be read, so the models stay as they were" in record.getMessage()
    assert add(app, "four", "4").status == 200
    assert sorted(arena.board("sagemaker")["models"]) == ["four", "three"]


def test_models_that_cannot_be_loaded(
    arena: tr.Arena, caplog: pytest.LogCaptureFixture
) -> None:
    app = several(max_models=1)
    assert add(app, "a", "big").status == 507
    reply = add(app, "a", "broken")
    assert reply.status == 500
    assert "model_fn failed with OSError" in reply.text
    assert "the secret" in caplog.text
    assert add(app, "a", "1").status == 200
    assert add(app, "b", "1").status == 507
    assert ask(app, "/models", b'{"model_name": "b"}', JSON).status == 400
    assert ask(app, "/models", b"[" * 100_000, JSON).status == 400
    assert add(app, "", "1").status == 400
    assert add(app, "a\nb", "1").status == 400
    assert ask(app, "/models", method="PUT").status == 405
    assert ask(app, "/models/a", method="PUT").status == 405
    assert ask(app, "/models/a/invoke", method="GET").status == 405


def test_more_models_than_the_arena_has_room_for() -> None:
    with tr.Arena(slots=[(4096, 8)]) as arena:
        current.set_current(arena)
        try:
            app = several()
            assert add(app, "a", "1").status == 200
            assert add(app, "b", "1" * 5000).status == 507
            assert ask(app, "/models/a/invoke", b"2", CSV, CSV).body == b"2.0\n"
        finally:
            current.set_current(None)


def test_pages_of_models(arena: tr.Arena) -> None:
    app = several()
    names = sorted([f"model {i}" for i in range(250)] + ["ä/b"])
    for name in names:
        assert add(app, name, "1").status == 200
    found: list[str] = []
    path = "/models"
    while path:
        said = json.loads(ask(app, path, method="GET").body)
        assert len(said["models"]) <= 100
        found += [one["modelName"] for one in said["models"]]
        token = said.get("nextPageToken")
        path = f"/models?next_page_token={token}" if token else ""
    assert found == names
    path = "/models/ä/b/invoke".encode().decode("latin-1")
    assert ask(app, path, b"1", CSV, CSV).body == b"1.0\n"
    for token in ("x", "%ff", "////", "="):
        reply = ask(app, f"/models?next_page_token={token}", method="GET")
        assert reply.status == 400
    assert ask(app, "/models?" + "a=b&" * 100, method="GET").status == 400
    assert ask(app, "/models/\xff/invoke", b"1", CSV).status == 400


def test_two_workers_load_at_the_same_time(arena: tr.Arena) -> None:
    apps = [several() for _ in range(4)]
    begin = threading.Barrier(len(apps))
    statuses: list[int] = []

    def run(app: Any, i: int) -> None:
        begin.wait()
        statuses.append(add(app, "same", "1").status)
        assert add(app, f"own {i}", "1").status == 200

    threads = [threading.Thread(target=run, args=(app, i)) for i, app in enumerate(apps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409]
    said = json.loads(ask(apps[0], "/models", method="GET").body)["models"]
    assert [one["modelName"] for one in said] == [f"own {i}" for i in range(4)] + ["same"]


def test_several_models_without_an_arena(caplog: pytest.LogCaptureFixture) -> None:
    app = several()
    assert add(app, "a", "1").status == 500
    assert "tensoring.gunicorn" in caplog.text


def test_a_list_that_changes_meanwhile(
    arena: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = several(), several()
    real, others = tr.Board.put, ["b"]

    def put(self: tr.Board, *given: Any, **more: Any) -> int:
        while others:  # another worker is faster
            assert add(second, others.pop(), "1").status == 200
        return real(self, *given, **more)

    monkeypatch.setattr(tr.Board, "put", put)
    assert add(first, "a", "1").status == 200
    said = json.loads(ask(second, "/models", method="GET").body)["models"]
    assert [one["modelName"] for one in said] == ["a", "b"]


def test_a_target_model(arena: tr.Arena) -> None:
    app = several(local=True)
    assert add(app, "a.tar.gz", "2").status == 200
    path, headers = (
        "/endpoints/mine/invocations",
        {"X-Amzn-SageMaker-Target-Model": "a.tar.gz"},
    )
    assert ask(app, path, b"1", CSV, CSV, headers=headers).body == b"2.0\n"
    assert json.loads(ask(app, path, b"1", CSV).body)["OriginalStatusCode"] == 404
