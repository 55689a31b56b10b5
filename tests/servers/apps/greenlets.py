# SPDX-License-Identifier: MIT
"""Each call that waits, in a greenlet, while another one lets it go on: if the first
stopped the others, both would wait forever. Prints what was tried."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402

import tensoring as tr  # noqa: E402
from tensoring._arena import greenlets  # noqa: E402

SECONDS = int(sys.argv[1])
arena = tr.Arena([(4096, 40)])
queue = arena.queue("queue", 8)
board = arena.board("board")


def beside(what: str, wait: Callable[[], Any], let: Callable[[], object]) -> Any:
    """What it gives, when another greenlet has let it go on."""
    waiting = gevent.spawn(wait)
    for _ in range(3):
        gevent.sleep(0)  # it waits by now
    assert not waiting.ready(), what
    gevent.spawn(let).get()
    print(what, flush=True)
    return waiting.get(timeout=SECONDS)


def receiving() -> None:
    assert beside("receive", queue.receive, lambda: queue.send(1)) == 1
    watch = board.watch("key")
    assert beside("watch", watch.receive, lambda: board.put("key", 2))[0] == 2
    newer = beside("board", lambda: board.wait("key", 1), lambda: board.put("key", 3))
    assert newer == (3, 2)
    broadcast = arena.broadcast("broadcast")
    subscription = broadcast.subscribe()
    assert beside("subscription", subscription.receive, lambda: broadcast.publish(4)) == 4
    waits = arena.wait_set()
    waits.add(queue)
    assert beside("wait set", waits.wait, lambda: queue.send(5))
    assert queue.receive() == 5


def sending() -> None:
    for number in range(queue.capacity):
        queue.send(number)
    beside("room", lambda: queue.send(8), queue.receive)
    assert [queue.receive() for _ in range(queue.capacity)] == [1, 2, 3, 4, 5, 6, 7, 8]
    taken: list[Any] = []
    try:
        while True:
            taken.append(queue.loan((8,), timeout=0).__enter__())
    except tr.Full:
        pass

    def give_back() -> None:
        taken.clear()
        gc.collect()

    beside("slot", lambda: queue.send(6), give_back)
    assert queue.receive() == 6
    broadcast = arena.broadcast("small", capacity=2)
    subscription = broadcast.subscribe("block")
    sent = publish_all(broadcast)
    beside("room of a broadcast", lambda: broadcast.publish(sent), subscription.receive)
    assert [subscription.receive() for _ in range(sent)] == list(range(1, sent + 1))
    with tr.Arena([(4096, 16)], elastic=True, memory_bytes=4096) as small:
        one = small.queue("one")
        taken.append(one.loan((8,), timeout=0).__enter__())
        beside("memory", lambda: one.send(7), give_back)
        assert one.receive() == 7


def publish_all(broadcast: tr.Broadcast) -> int:
    sent = 0
    try:
        while True:
            broadcast.publish(sent, 0)
            sent += 1
    except tr.Full:
        return sent


def without_pauses(waits: Callable[[], None]) -> None:
    """An event tells when to go on, so nothing looks now and then."""
    pause = greenlets.pause
    greenlets.pause = None  # type: ignore[assignment]
    waits()
    greenlets.pause = pause


def finding() -> None:
    name = f"greenlets.{os.getpid()}"
    made: list[tr.Arena] = []
    beside(
        "attach",
        lambda: tr.Arena.attach(name, timeout=SECONDS).close(),
        lambda: made.append(tr.Arena.create(name, [(4096, 4)])),
    )
    tr.Arena.unlink(name)
    first = gevent.event.Event()
    gevent.spawn(arena.once, "key", first.wait)
    assert not beside("once", lambda: arena.once("key", first.wait), first.set)


def calling() -> None:
    service = arena.service("service")
    together = 30  # more than the threads that a hub's pool has

    def answer() -> None:
        requests = [service.queue.receive_message() for _ in range(together)]
        for request in requests:
            request.reply(-1)

    calls = [gevent.spawn(service.call, one, SECONDS) for one in range(together - 1)]
    assert beside("call", lambda: service.call(0, SECONDS), answer) == -1
    assert [call.get(timeout=SECONDS) for call in calls] == [-1] * len(calls)


def forking() -> None:
    """A child that is made while a greenlet waits has the parent's readers, too."""
    service = arena.service("forked")
    waiting = gevent.spawn(service.serve_one, lambda x: x + 1)
    for _ in range(3):
        gevent.sleep(0)
    child = os.fork()
    if child == 0:
        waiting.kill()
        os._exit(service.call(4, SECONDS))
    waiting.get(timeout=SECONDS)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    print("fork", flush=True)


def ending() -> None:
    """A message of a greenlet that is killed goes to another, and a close is seen."""
    killed = gevent.spawn(queue.receive)
    gevent.sleep(0)
    heir = gevent.spawn(queue.receive)
    gevent.sleep(0)
    queue.send(7)
    killed.kill()
    got = killed.value if killed.value == 7 else heir.get(timeout=SECONDS)
    assert got == 7
    heir.kill()

    def closed() -> bool:
        try:
            queue.receive()
        except tr.ClosedError:
            return True
        return False

    assert beside("close", closed, queue.close)


def supervising() -> None:
    """A worker has a hub of its own, though it was not forked by os.fork()."""
    gate = arena.queue("gate")

    def work(worker: tr.Worker) -> None:
        gate.receive()
        worker.stopping()  # it is ready
        with arena.wait_set() as waits:
            waits.add(worker)
            waits.wait()

    with tr.Supervisor(work, 1, arena=arena, no_plan=True, backoff=0) as supervisor:
        beside("ready", supervisor.wait_ready, lambda: gate.send(1))
        (before,) = supervisor.workers()
        gate.send(2)
        assert before.pid
        beside("step", supervisor.step, lambda: os.kill(before.pid, signal.SIGKILL))
        supervisor.wait_ready(SECONDS)
        assert supervisor.workers()[0].pid != before.pid
        beside("run", supervisor.run, lambda: os.kill(os.getpid(), signal.SIGTERM))


without_pauses(receiving)
without_pauses(sending)
for part in (finding, calling, forking, ending, supervising):
    part()
print("all")
