# SPDX-License-Identifier: MIT
"""What goes wrong is told: to the client, in the log, and with the way out."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from serving import LONGEST, Server, until

pytest.importorskip("gunicorn")
CONF = """
from tensoring.gunicorn import *
arena(slots=[(4096, 64)])
control_socket_disable = True
workers, bind = 1, "127.0.0.1:0"
"""
ERRORS = ("PeerDiedError", "ClosedError", "ReceiveTimedOutError", "RemoteError")


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_an_error_that_is_let_out_is_answered(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(kind) if kind == "gevent" else None
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    asked = [f"{path}?{error}" for path in ("/", "/body") for error in ERRORS]
    with Server("gunicorn", "-k", kind, "lets_out:app", directory=tmp_path) as server:
        assert [status(server.port, path) for path in asked] == [500] * len(asked)
        said = "RuntimeError: the application let out "
        # RemoteError is no OSError, so gunicorn needs no help.
        until(lambda: server.output.count(said) == len(asked) - 2)
        for error in ERRORS:
            assert server.output.count(f"tensoring.{error}: let out on purpose") == 2


def test_a_preloaded_application_comes_too_early(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    with Server("gunicorn", "--preload", "wsgi:app", directory=tmp_path) as server:
        assert server.ends() == 1
        last = server.output.strip().splitlines()[-1]
        assert "with preload_app gunicorn imports the application before" in last


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        ("nowhere", "NotFoundError", "there is no /dev/shm/tensoring.nowhere"),
        ("/nowhere", "NotFoundError", "No such file"),
        ("a/b", "InvalidError", "must begin with"),
        ("/dev/zero", "DeniedError", "not a regular file"),
    ],
)
def test_a_variable_that_means_nothing_is_named(
    value: str,
    kind: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENSORING_ARENA", value)
    (tmp_path / "gunicorn.conf.py").write_text(CONF)
    with Server("gunicorn", "wsgi:app", directory=tmp_path) as server:
        assert server.ends() == 1
        last = server.output.strip().splitlines()[-1]
        assert last.startswith(f"tensoring.{kind}: TENSORING_ARENA is {value!r}; ")
        assert why in last
