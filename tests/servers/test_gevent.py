# SPDX-License-Identifier: MIT
"""gevent: a call that waits does not stop other greenlets, and any number may wait."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
from serving import APPS, LONGEST, PATIENCE, Server, ask, load, model, settled, until

pytest.importorskip("gunicorn")
pytest.importorskip("gevent")
CONF = f"""
from tensoring.gunicorn import *
arena(slots=[(4096, 256)], setup="tables:publish")
control_socket_disable = True
worker_class, workers, bind, timeout = "gevent", 1, "127.0.0.1:0", {10 * PATIENCE}
"""
TOGETHER = 50


def gevent_worker(directory: Path) -> Server:
    (directory / "gunicorn.conf.py").write_text(CONF)
    return Server("gunicorn", "wsgi:app", directory=directory)


def test_no_wait_stops_other_greenlets() -> None:
    command = [sys.executable, str(APPS / "greenlets.py"), str(LONGEST)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=2 * LONGEST)
    assert found.stdout.endswith("all\n"), found.stdout + found.stderr


def test_greenlets_call_side_by_side(tmp_path: Path) -> None:
    with gevent_worker(tmp_path) as server, server.attach() as arena:
        settled(arena, 2)
        with load(server, arena, 8) as clients:
            clients.more(100)
        server.process.terminate()
        assert server.ends() == 0


def serve_in_batches(arena: tr.Arena, sizes: list[int], ends: list[Any]) -> None:
    """The first batch is answered when all requests are there."""
    service = arena.service("model")

    def predict(batch: Any) -> list[int]:
        if not sizes:
            until(lambda: len(service.queue) + len(batch) == TOGETHER)
        sizes.append(len(batch))
        return [model(one) for one in batch.x]

    ends.append(service.serve_batches(predict, max_batch_size=64, ragged="list"))


def test_one_worker_has_all_requests_in_hand(tmp_path: Path) -> None:
    with gevent_worker(tmp_path) as server, server.attach() as arena:
        (worker,) = settled(arena, 2) - {server.pid}
        sizes: list[int] = []
        ends: list[int] = []
        answers: list[tuple[int, int, int]] = []
        serving = threading.Thread(target=serve_in_batches, args=(arena, sizes, ends))
        clients = [
            threading.Thread(target=lambda n=n: answers.append(ask(server.port, n)))
            for n in range(TOGETHER)
        ]
        for thread in [serving, *clients]:
            thread.start()
        for thread in clients:
            thread.join()
        arena.service("model").shutdown()
        serving.join()
        assert sorted(answers) == [(n, model(n), worker) for n in range(TOGETHER)]
        assert ends == [TOGETHER]
        assert len(sizes) <= 2  # a batch of what came first, and one of all others
        server.process.terminate()
        assert server.ends() == 0
        assert "WORKER TIMEOUT" not in server.output
