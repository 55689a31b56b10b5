# SPDX-License-Identifier: MIT
"""Bridges that a program starts with tr.Bridge, over loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr
import traffic
from bridges import make_key, program
from hosts import LONGEST, until
from traffic import Receiver, Sender, account

pytestmark = pytest.mark.usefixtures("real")


@contextmanager
def arenas(count: int) -> Iterator[list[tr.Arena]]:
    made = [traffic.open_arena() for _ in range(count)]
    try:
        yield made
    finally:
        for arena in made:
            name = str(arena.name)
            arena.close()
            tr.Arena.unlink(name)


def endpoint(bridge: tr.Bridge) -> str:
    return str(until(lambda: bridge.status()["endpoint"]))


def test_both_sides_of_a_bridge(tmp_path: Path) -> None:
    (command,) = program()
    for name in ("here", "there"):
        make_key(tmp_path, name)
    with arenas(2) as (a, b):
        source, target = (traffic.open_queue(one, "jobs") for one in (a, b))
        with tr.Bridge(
            b,
            bind="127.0.0.1:0",
            key=tmp_path / "there.key",
            allow=tmp_path / "here.pub",
            program=command,
        ) as there:
            there.queue("jobs", direction="in")
            with tr.Bridge(
                a,
                endpoint(there),
                key=tmp_path / "here.key",
                peer_key=tmp_path / "there.pub",
                program=command,
            ) as here:
                here.queue("jobs", window=8)
                here.wait_connected(LONGEST)
                sender, receiver = Sender(source), Receiver(target)
                receiver.more(100)
                kill(here)
                receiver.more(100)
                count = sender.stop()
                receiver.all_of(count)
                account(receiver.stop(), count, late=traffic.WINDOW)
                until(lambda: here.status()["in_flight"] == 0, here.status)
                status = here.status()
                assert status["link"] == "up"
                assert status["channels"][0]["name"] == "jobs"
                here.stop(LONGEST)


@pytest.mark.parametrize("on_cut", ["fail", "retry"])
def test_a_service(on_cut: str) -> None:
    """Requests are made here, servers and the bridge that is killed are there."""
    (command,) = program()
    plain: dict[str, Any] = {"trust_network": True, "program": command}
    with arenas(2) as (a, b):
        model, requests = a.service("model"), b.queue("model", max_deliveries=255)
        answers: list[object] = []

        def call() -> None:
            try:
                answers.append(np.asarray(model.call(np.arange(3), LONGEST)).tolist())
            except tr.RemoteError as error:
                answers.append(str(error))

        with tr.Bridge(a, bind="127.0.0.1:0", **plain) as here:
            here.service("model", on_cut=on_cut)
            with tr.Bridge(b, endpoint(here), **plain) as there:
                there.service("model", direction="in")
                caller = threading.Thread(target=call)
                caller.start()
                first = requests.receive_message(LONGEST)
                kill(there)
                if on_cut == "retry":
                    again = requests.receive_message(LONGEST)
                    again.reply(np.arange(3) * 2)
                caller.join(LONGEST)
                first.release()
        if on_cut == "retry":
            assert answers == [[0, 2, 4]]
        else:
            assert len(answers) == 1
            assert "may have run" in str(answers[0])


def kill(bridge: tr.Bridge) -> None:
    before = own(bridge)
    os.kill(before, signal.SIGKILL)
    until(lambda: own(bridge) not in (0, before))


def own(bridge: tr.Bridge) -> int:
    return bridge.status()["pid"] or 0


def keeper_of(bridge: tr.Bridge) -> int:
    """The parent of the process that carries; asking for that may start it again."""
    stat = Path(f"/proc/{until(lambda: own(bridge))}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def kill_and_wait(pid: int) -> None:
    """It is no parent any more then. Its own parent, which we are, has not looked yet."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@contextmanager
def busy() -> Iterator[tuple[tr.Bridge, tr.Bridge, Sender, Receiver]]:
    """Bridges here and there that carry a queue, and messages on their way."""
    (command,) = program()
    with arenas(2) as (a, b):
        source, target = (traffic.open_queue(one, "jobs") for one in (a, b))
        more: dict[str, Any] = {"trust_network": True, "program": command}
        with tr.Bridge(b, bind="127.0.0.1:0", **more) as there:
            there.queue("jobs", direction="in")
            with tr.Bridge(a, endpoint(there), **more) as here:
                here.queue("jobs", window=8)
                here.wait_connected(LONGEST)
                sender, receiver = Sender(source), Receiver(target)
                receiver.more(50)
                yield here, there, sender, receiver


def all_came(sender: Sender, receiver: Receiver) -> None:
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count, late=traffic.WINDOW)


def test_a_keeper_that_is_killed_is_not_missed() -> None:
    """The bridge goes on without it. The next call starts another one, and a bridge."""
    with busy() as (here, there, sender, receiver):
        first = own(here)
        for side in (here, there):
            kill_and_wait(keeper_of(side))
        receiver.more(200)  # far more than was on its way
        assert not is_gone(first)

        until(lambda: own(here) not in (0, first), here.status)
        until(lambda: is_gone(first), first)
        receiver.more(50)
        all_came(sender, receiver)
        second = own(here)
        kill_and_wait(keeper_of(here))
        here.stop(LONGEST)  # of the bridge that is alone
        until(lambda: is_gone(second), second)


def test_a_keeper_and_its_bridge_are_killed() -> None:
    """Nothing is lost, and the next call starts both again."""
    with busy() as (here, _, sender, receiver):
        first = own(here)
        kill_and_wait(keeper_of(here))
        os.kill(first, signal.SIGKILL)
        until(lambda: own(here) not in (0, first), here.status)
        receiver.more(50)
        all_came(sender, receiver)
        here.stop(LONGEST)


STARTS = """
import sys, tensoring as tr
arena = tr.Arena.attach(sys.argv[1])
bridge = tr.Bridge(arena, bind="127.0.0.1:0", trust_network=True, program=sys.argv[2])
bridge.queue("jobs", direction="in")
while not (pid := bridge.status()["pid"]):
    pass
print(bridge._child.pid, pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["killed", "ends", "killed after its keeper"])
def test_bridges_end_with_their_program(how: str) -> None:
    with arenas(1) as (arena,):
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTS, str(arena.name), *program()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert starter.stdout
        pids = [int(word) for word in starter.stdout.readline().split()]
        assert len(pids) == 2
        if how == "killed after its keeper":
            os.kill(pids[0], signal.SIGKILL)
            until(lambda: state(pids[0]) == "Z")
            assert state(pids[1]) in "RSD"
        if how != "ends":
            starter.kill()
        starter.communicate(timeout=LONGEST)
        until(lambda: all(is_gone(pid) for pid in pids), pids)
        traffic.nothing_left(arena)
