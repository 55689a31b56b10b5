# SPDX-License-Identifier: MIT
"""The handler of a signal runs in the main thread, between two steps of the interpreter,
and may raise there. Whatever it interrupts, a stand-in goes on: no lock stays taken, no
result is lost, nothing is sent twice.

The interpreter runs handlers after calls, at the beginning of functions and at the end of
loops. Here an exception comes at such a step of ours: at each of many, one after the
other."""

from __future__ import annotations

import dis
import functools
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

import tensoring as tr

PACKAGE = os.path.dirname(tr.__file__)
STEPS = ("CALL", "RESUME", "JUMP_BACKWARD")
POINTS = 120  # of each call
N = 8


class Alarm(Exception):
    pass


def alarm(number: int, frame: FrameType | None) -> None:
    raise Alarm


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR2, alarm)
    yield
    signal.signal(signal.SIGUSR2, before)


def caught_at(code: CodeType, offset: int) -> int | None:
    """Where an exception of the instruction at an offset goes."""
    for one in dis._parse_exception_table(code):  # type: ignore[attr-defined]
        if one.start <= offset < one.end:
            found: int = one.target
            return found
    return None


@functools.cache
def steps_of(code: CodeType) -> set[int]:
    """The offsets that come after an instruction which runs handlers, where an exception
    goes where it would go from that instruction."""
    found = set()
    instructions = list(dis.get_instructions(code))
    for one, following in itertools.pairwise(instructions):
        if one.opname.startswith(STEPS):
            backward = one.opname.startswith("JUMP")
            after = one.argval if backward else following.offset
            if caught_at(code, one.offset) == caught_at(code, after):
                found.add(after)
    return found


class Interrupter:
    """Raises at the given step in the package's code; else it counts them."""

    def __init__(self, point: int | None) -> None:
        self.left = point
        self.count = 0
        self.pid = os.getpid()  # forked workers inherit the tracing

    def __enter__(self) -> Interrupter:
        sys._getframe().f_trace_opcodes = True  # 3.12 asks for it before the trace begins
        sys.settrace(self.enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        ours = frame.f_code.co_filename.startswith(PACKAGE)
        if not ours or os.getpid() != self.pid:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self.step

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode" and frame.f_lasti in steps_of(frame.f_code):
            self.count += 1
            if self.left is not None and self.count > self.left:
                self.left = None
                sys.settrace(None)
                signal.raise_signal(signal.SIGUSR2)
        return self.step


def add(x: int) -> int:
    return x + 1


def each_point(call: Callable[[], Any], points: int = POINTS) -> Iterator[bool]:
    """Do the call, with an exception at one point after the other; whether it came.

    How many steps a call has depends on the workers; the points lie within the shortest
    call that was seen."""
    with Interrupter(None) as counter:
        call()
    steps = counter.count
    for i in range(min(points, steps)):
        try:
            with Interrupter(steps * i // points) as interrupter:
                call()
        except Alarm:
            yield True
        else:
            steps = min(steps, interrupter.count)
            yield False


def polled(pool: tr.Pool) -> list[int]:
    result = pool.map_async(add, range(N), 1)
    while not result.ready():
        pass
    return list(result.get())


CALLS: dict[str, Callable[[tr.Pool], Any]] = {
    "map": lambda pool: pool.map(add, range(N), 1),
    "imap": lambda pool: list(pool.imap(add, range(N))),
    "imap_unordered": lambda pool: list(pool.imap_unordered(add, range(N))),
    "apply": lambda pool: [pool.apply(add, (i,)) for i in range(2)],
    "ready": polled,
    "callback": lambda pool: pool.map_async(add, range(N), 1, callback=str).get(60),
}


@pytest.mark.parametrize("kind", CALLS)
def test_a_pool_goes_on(kind: str) -> None:
    came = 0
    with tr.Pool(2) as pool:
        for interrupted in each_point(lambda: CALLS[kind](pool)):
            came += interrupted
            assert pool.map_async(add, range(N), 1).get(60) == list(range(1, N + 1))
            assert pool.apply_async(add, (1,)).get(60) == 2
        assert came > POINTS // 12
        pool.close()
        pool.join()


def test_a_pool_goes_on_whose_jobs_are_cut() -> None:
    """A job that is too large for a message goes in halves."""
    items, came = [b"x" * 1000] * 8, 0
    with tr.Pool(2, slots=[(4096, 16)]) as pool:
        for interrupted in each_point(lambda: pool.map(len, items, 8)):
            came += interrupted
            assert pool.map_async(len, items, 8).get(60) == [1000] * 8
        assert came > POINTS // 12
        pool.close()
        pool.join()


def test_an_executor_goes_on() -> None:
    came = 0
    with tr.Executor(2) as executor:
        executor.submit(add, 1).result(60)

        def call() -> None:
            for future in [executor.submit(add, i) for i in range(3)]:
                future.result(60)

        for interrupted in each_point(call):
            came += interrupted
            assert list(executor.map(add, range(N), timeout=60)) == list(range(1, N + 1))
    assert came > POINTS // 12


def test_the_first_call_of_an_executor_is_interrupted() -> None:
    for point in range(0, 60, 4):
        with tr.Executor(2) as executor:
            try:
                with Interrupter(point):
                    executor.submit(add, 1)
            except Alarm:
                pass
            assert executor.submit(add, 1).result(60) == 2


def test_nothing_is_lost_or_sent_twice() -> None:
    """A queue with little room, so that put() sends what waits: beside a receiver."""
    queue = tr.Queue(slots=[(4096, 4)])
    got: list[int] = []
    receiver = threading.Thread(target=lambda: got.extend(iter(queue.get, None)))
    receiver.start()
    number, sent = 0, set()

    def call() -> None:
        nonlocal number
        for _ in range(300):
            number += 1
            queue.put(number)
            sent.add(number)

    for _ in each_point(call, 600):
        pass
    queue.put(None)
    receiver.join(60)
    assert not receiver.is_alive()
    assert got == sorted(set(got))
    assert sent <= set(got)
    queue.close()


class Slow:
    """Is pickled and made again by several steps of Python."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return Slow, (add(self.number) - 1,)


def note(descriptor: int, slow: Slow) -> Slow:
    os.write(descriptor, b"%d " % slow.number)
    return Slow(slow.number)


class Everywhere(Interrupter):
    """Traces the pickling of objects of this module, too, and goes on after it raised."""

    def enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename == __file__ and os.getpid() == self.pid:
            frame.f_trace_opcodes = True
            return self.step if frame.f_code.co_name in PICKLING else None
        return super().enter(frame, event, arg)


PICKLING = ("__reduce__", "__init__", "add")


def test_no_call_gets_the_exception_of_a_handler() -> None:
    """It comes out of the call that it interrupts, and is the value of no other."""
    came = 0
    with tr.Pool(1) as pool:
        for point in [*range(0, 300, 3), *range(300, 1200, 12)]:  # the first of them give
            results: list[Any] = []
            try:
                with Everywhere(point):
                    for i in range(3):
                        results.append(pool.apply_async(Slow, (i,)))
                    while not all(one.ready() for one in results):
                        pass
            except Alarm:
                came += 1
            assert [one.get(60).number for one in results] == list(range(len(results)))
    assert came > 40


def test_each_call_of_an_executor_is_done_once() -> None:
    read, write = os.pipe()
    given = came = 0
    with tr.Executor(1) as executor:
        executor.submit(add, 1).result(60)
        for point in [*range(0, 300, 3), *range(300, 900, 12)]:
            futures = []
            try:
                with Everywhere(point):
                    for _ in range(4):
                        given += 1
                        futures.append(executor.submit(note, write, Slow(given)))
            except Alarm:
                came += 1
            for future in futures:
                assert future.result(60).number <= given
    os.close(write)
    with os.fdopen(read) as noted:
        numbers = noted.read().split()
    assert came > 40
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("end", ["terminate", "join"])
def test_the_end_of_a_pool_can_be_repeated(end: str) -> None:
    for point in range(0, 150, 5):
        pool = tr.Pool(1)
        assert pool.map_async(add, range(N), 1, callback=str).get(60)
        if end == "join":
            pool.close()
        try:
            with Interrupter(point):
                getattr(pool, end)()
        except Alarm:
            pool.terminate()
        pool.join()
        assert not multiprocessing.active_children()
        assert not pool._master.thread or not pool._master.thread.is_alive()


def test_a_handler_may_wait_for_the_pool_that_it_interrupts() -> None:
    """Interrupted at each step, also in the middle of a receipt."""
    found = []
    with tr.Pool(1) as pool:

        def ask(number: int, frame: FrameType | None) -> None:
            found.append(pool.apply_async(add, (1,)).get(60))

        signal.signal(signal.SIGUSR2, ask)
        for point in range(0, 240, 3):
            with Interrupter(point):
                given = pool.map(add, range(N), 1)
            assert given == list(range(1, N + 1))
    assert len(found) > 20
    assert set(found) == {2}
