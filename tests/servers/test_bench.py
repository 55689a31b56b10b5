# SPDX-License-Identifier: MIT
"""bench/servers, with small counts: each way is measured or said to be left out, and each
answer is right; its client notices one that is not."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from serving import LONGEST

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "servers"))
import load
import model
import run
import ways

PROGRAM = Path(run.__file__)


def test_each_way_gives_right_answers(tmp_path: Path) -> None:
    command = [sys.executable, PROGRAM, "--quick", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * LONGEST)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "servers.json").read_text())
    assert {"model in the web worker", "tensoring"} <= set(found["ways"])
    assert set(found["ways"]) | set(found["left_out"]) >= set(ways.ALL)
    measured = {(row["way"], row["bytes"], row["connections"]) for row in found["cells"]}
    assert measured == {
        (way, nbytes, connections)
        for way in found["ways"]
        for nbytes in run.QUICK.sizes
        for connections in run.QUICK.connections
    }
    loops = [row["open_loop"] for row in found["cells"]]
    if "tensoring, batches" in found["ways"]:
        loops += found["batching"]["open_loop"]
    for loop in loops:
        assert loop["asked"] == loop["right"] > 0
        assert 0 < loop["p50"] <= loop["p99"] <= loop["max"]
    for name in ("memory", "idle", "direct"):
        rows = found[name]
        named = set(rows) if name == "memory" else {row["way"] for row in rows}
        assert named == set(found["ways"]), name
    assert all(byte > 0 for byte in found["memory"].values())
    assert {"what", "measured", "wanted", "met"} <= set(found["bars"][0])


Answer = Callable[[bytes, bytes], bytes]  # to a body, and the one before it


def _http(said: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said


def _right(body: bytes, before: bytes) -> bytes:
    return _http(model.answer(body))


def _wrong(body: bytes, before: bytes) -> bytes:
    said = model.answer(body)
    return _http(said[:-1] + bytes([said[-1] ^ 1]))


@contextlib.contextmanager
def _server(answer: Answer, nbytes: int) -> Iterator[int]:
    """Answers on one connection at a time, until the client is done."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, answer, nbytes))
        thread.start()
        yield server.getsockname()[1]
        socket.create_connection(server.getsockname()).close()  # nothing comes: the end
        thread.join()


def _head(stream: BinaryIO) -> list[bytes]:
    """The lines before a body; none at the end."""
    lines: list[bytes] = []
    while (line := stream.readline()) not in (b"", b"\r\n"):
        lines.append(line)
    return lines


def _serve(server: socket.socket, answer: Answer, nbytes: int) -> None:
    before, some = b"", True
    while some:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as stream:
            some = False
            while _head(stream):
                some = True
                body = stream.read(nbytes)
                said = answer(body, before)
                before = body
                if not said:
                    break
                with contextlib.suppress(OSError):  # the client does not like this one
                    connection.sendall(said)


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("right", _right),
        ("wrong", _wrong),
        ("mixed_up", lambda body, before: _http(model.answer(before or body))),
        ("doubled", lambda body, before: 2 * _right(body, before)),
        ("lost", lambda body, before: b""),
        ("errors", lambda body, before: _http(b"no", "500 No")),
    ],
)
@pytest.mark.parametrize("nbytes", [64, 1 << 20])
def test_the_client_says_what_became_of_each(
    what: str, answer: Answer, nbytes: int
) -> None:
    with _server(answer, nbytes) as port:
        found = load.open_loop(port, nbytes, 1, 1000, 0.006)
    right = {"right": 6, "mixed_up": 1}.get(what, 0)
    assert found.asked == 6
    assert found.right == right == len(found.times)
    assert what == "right" or getattr(found, what) == 6 - right
    assert found.all_right == (what == "right")
