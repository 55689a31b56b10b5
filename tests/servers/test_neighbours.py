# SPDX-License-Identifier: MIT
"""The programs of the page docs/how-to/nearest-neighbours.md."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
from serving import LONGEST, Server

pytest.importorskip("flask")
np = pytest.importorskip("numpy")
PAGE = Path(__file__).parents[2] / "docs/how-to/nearest-neighbours.md"
FILES = ["tables.py", "knn.py", "app.py", "gunicorn.conf.py"]
MOST_GLUE = 10
GLUE = re.compile(r"tensoring|\btr\.|\barena[.(]|^model|^dirty|\bfollows\b")


def programs() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Server]:
    """gunicorn with the page's programs."""
    pytest.importorskip("gunicorn.dirty")
    for name, text in zip(FILES, programs(), strict=False):
        (tmp_path / name).write_text(text)
    options = ("--no-control-socket", "-b", "127.0.0.1:0")
    with Server("gunicorn", *options, "app:app", directory=tmp_path) as server:
        yield server


def ask(port: int, method: str, path: str, data: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(data), headers)
        response = connection.getresponse()
        body = response.read().decode()
        return response.status, json.loads(body) if response.status == 200 else body
    finally:
        connection.close()


def labels(x: Any, seed: int, directory: Path) -> list[int]:
    """As the page's table has them, one row at a time."""
    names: dict[str, Any] = {}
    exec((directory / "tables.py").read_text(), names)
    table = names["points"](seed)
    found = []
    for row in x:
        distance = ((table["x"] - row) ** 2).sum(axis=1)
        nearest = np.argpartition(distance, 5)[:5]
        found.append(int(np.bincount(table["label"][nearest]).argmax()))
    return found


def test_the_programs_of_the_page(page: Server, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(8, 64)).astype("f4")
    wanted = labels(x, 0, tmp_path)
    assert ask(page.port, "POST", "/label", x.tolist()) == (200, {"label": wanted})
    one = ask(page.port, "POST", "/label", x[0].tolist())
    assert one == (200, {"label": wanted[0]})
    assert ask(page.port, "POST", "/label", [[x.tolist()]])[0] == 400
    assert ask(page.port, "PUT", "/table/1") == (200, {"version": 2})
    newer = labels(x, 1, tmp_path)
    assert newer != wanted
    for _ in range(4):  # whichever model it is
        answer = ask(page.port, "POST", "/label", x.tolist())
        assert answer == (200, {"label": newer})
    page.process.terminate()
    assert page.ends() == 0


def test_few_lines_are_glue() -> None:
    lines = "\n".join(programs()[: len(FILES)]).splitlines()
    glue = [line for line in lines if GLUE.search(line) and "numpy" not in line]
    assert len(glue) <= MOST_GLUE, glue


def test_lightgbm_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(500, 4))
    data = lightgbm.Dataset(x, x[:, 0] + x[:, 1])
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, data, 10)
    booster.save_model("model.txt")
    names: dict[str, Any] = {}
    exec(programs()[len(FILES)], names)
    with tr.Arena([(64 << 10, 16)]) as arena:
        service = arena.service("neighbours")
        serving = threading.Thread(target=names["Neighbours"]().serve, args=(service,))
        serving.start()
        found = service.call(x[:5], timeout=LONGEST)
        service.shutdown()
        serving.join()
        assert np.allclose(found, booster.predict(x[:5]))
