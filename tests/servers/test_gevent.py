# SPDX-License-Identifier: MIT
"""gunicorn's gevent worker: a call that waits does not stop the other greenlets."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from serving import LONGEST, Server, ask, load, model, settled

pytest.importorskip("gunicorn")
pytest.importorskip("gevent")
CONF = """
from tensoring.gunicorn import *
arena(slots=[(4096, 64)], setup="tables:publish")
control_socket_disable = True
worker_class, workers, bind = "gevent", 1, "127.0.0.1:0"
"""
TOGETHER = 8


def test_greenlets_call_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    with (
        Server("gunicorn", "wsgi:app", directory=tmp_path) as server,
        server.attach() as arena,
    ):
        settled(arena, 2)
        together = threading.Barrier(TOGETHER, timeout=LONGEST)

        def slow(number: int) -> int:
            together.wait()  # none is answered before the last has come
            return model(number)

        service = arena.service("model")
        answers: list[tuple[int, int, int]] = []
        threads = [
            threading.Thread(target=function, args=given)
            for number in range(TOGETHER)
            for function, given in (
                (service.serve_one, (slow, LONGEST)),
                (lambda number: answers.append(ask(server.port, number)), (number,)),
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one[:2] for one in answers) == [
            (n, model(n)) for n in range(TOGETHER)
        ]
        with load(server, arena, TOGETHER) as clients:
            clients.more(100)
        server.process.terminate()
        assert server.ends() == 0
