# SPDX-License-Identifier: MIT
"""Request and reply."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import free


def work(x: Any) -> Any:
    if isinstance(x, str) and x == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(x, str):
        raise ValueError(f"not {x}")
    return x * 2


def start(service: tr.Service) -> Any:
    child = multiprocessing.get_context("fork").Process(
        target=service.serve, args=(work,)
    )
    child.start()
    return child


def test_call(arena: tr.Arena) -> None:
    service = arena.service("model")
    children = [start(service) for _ in range(2)]
    for i in range(20):
        assert service.call(np.full(5, i), timeout=30).tolist() == [2 * i] * 5
    with pytest.raises(tr.RemoteError, match="ValueError: not now") as caught:
        service.call("now", timeout=30)
    assert caught.value.remote_code == 1
    service.shutdown()
    with pytest.raises(tr.ClosedError):
        service.call(1, timeout=30)
    for child in children:
        child.join(30)
        assert child.exitcode == 0


def test_nobody_serves(arena: tr.Arena) -> None:
    service = arena.service("model")
    before = free(arena)
    with pytest.raises(TimeoutError):
        service.call(np.zeros(3), timeout=0.05)
    assert free(arena) == before
    with pytest.raises(tr.ReceiveTimedOutError):
        service.serve_one(work, 0.01)


def test_timeouts_say_why(arena: tr.Arena) -> None:
    service = arena.service("model")
    with pytest.raises(
        tr.TimedOutError, match=r"nobody had received it.*nobody serves it"
    ):
        service.call(1, timeout=0.05)
    child = start(service)
    assert service.call(1, timeout=30) == 2
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(tr.TimedOutError, match=r"1 process serves it.*stopped\)"):
        service.call(1, timeout=0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    with pytest.raises(tr.TimedOutError, match="nobody serves it"):
        service.call(1, timeout=0.05)


def test_no_time(arena: tr.Arena) -> None:
    service = arena.service("model", capacity=1)
    before = free(arena)
    with pytest.raises(tr.TimedOutError, match="nobody serves it"):
        service.call(1, timeout=0)
    assert free(arena) == before
    service.queue.send(1)
    with pytest.raises(tr.Full):
        service.call(1, timeout=0)
    for call in (service.call, service.queue.send):
        with pytest.raises(ValueError, match="timeout is -1"):
            call(1, timeout=-1)
    with pytest.raises(ValueError, match=r"timeout is -0\.5"):
        service.queue.receive(-0.5)


def test_a_service_knows_its_servers(arena: tr.Arena) -> None:
    service = arena.service("model")
    assert service.servers == 0
    with pytest.raises(tr.NoServerError, match="nobody serves 'model'"):
        service.call(1, need_server=True)
    child = start(service)
    assert service.call(1, timeout=30) == 2
    assert service.servers == 1
    assert service.call(2, timeout=30, need_server=True) == 4
    child.kill()
    child.join(30)
    assert service.servers == 0
    with pytest.raises(ConnectionError):
        service.call(1, need_server=True)


def test_death_of_every_server(arena: tr.Arena) -> None:
    service = tr.Service(arena.queue("model", max_deliveries=1))
    child = start(service)
    with pytest.raises(tr.PeerDiedError):
        service.call("die", timeout=30)
    child.join(30)
    child = start(service)
    assert service.call(4, timeout=30) == 8
    service.shutdown()
    child.join(30)


def test_a_kept_view_is_an_error_that_says_so(arena: tr.Arena) -> None:
    service = arena.service("model")
    kept = []
    thread = threading.Thread(target=service.serve, args=(lambda x: kept.append(x), 1))
    thread.start()
    with pytest.raises(tr.RemoteError, match="look into"):
        service.call(np.zeros(3), timeout=30)
    thread.join(30)


def test_echo_of_the_argument_itself(arena: tr.Arena) -> None:
    service = arena.service("model")
    thread = threading.Thread(target=service.serve, args=(lambda x: x[::2], 1))
    thread.start()
    assert service.call(np.arange(6), timeout=30).tolist() == [0, 2, 4]
    thread.join(30)


def test_messages_by_hand(arena: tr.Arena) -> None:
    service = arena.service("model")
    seen = []

    def serve() -> None:
        request = service.queue.receive_message(30)
        seen.append((request.is_request, request.remaining))
        request.reply("answer")
        seen.append(request.released)

    thread = threading.Thread(target=serve)
    thread.start()
    assert service.call("question", timeout=30) == "answer"
    thread.join(30)
    assert seen[0][0]
    assert 0 < seen[0][1] <= 30
    assert seen[1]
    service.queue.send("no request")
    message = service.queue.receive_message(0)
    assert not message.is_request
    with pytest.raises(ValueError, match="nobody waits"):
        message.reply(1)
