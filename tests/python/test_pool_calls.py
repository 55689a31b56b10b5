# SPDX-License-Identifier: MIT
"""How a call of a Pool or an Executor gets to a worker, with what it holds."""

from __future__ import annotations

import functools
import threading
from typing import Any, ClassVar

import pytest

import tensoring as tr
from conftest import POOL_SLOTS as SLOTS


def same(x: Any) -> Any:
    return x


class Alike:
    """Knows itself."""

    def is_one(self, other: object) -> bool:
        return self is other


def are_one(first: object, second: object) -> bool:
    return first is second


def test_what_is_one_object_in_a_function_and_its_arguments_stays_one(
    pool: tr.Pool, executor: tr.Executor
) -> None:
    """The originals pickle a call as one."""
    alike, values = Alike(), [1]
    part = functools.partial(are_one, values)
    assert pool.apply(alike.is_one, (alike,))
    assert pool.apply(part, (values,))
    assert pool.map(alike.is_one, [alike, alike, 1], 3) == [True, True, False]
    assert executor.submit(alike.is_one, alike).result(30)
    assert executor.submit(part, values).result(30)
    assert list(executor.map(part, [values, [1]], chunksize=2)) == [True, False]


class Calls:
    """Calls the executor while it is pickled."""

    executor: ClassVar[tr.Executor]
    made: ClassVar[list[Any]] = []

    def __reduce__(self) -> Any:
        self.made.append(self.executor.submit(same, 5))
        return int, ("6",)


def test_pickling_may_call_the_executor(executor: tr.Executor) -> None:
    Calls.executor = executor
    Calls.made.clear()
    found: list[Any] = []
    caller = threading.Thread(
        target=lambda: found.append(executor.submit(same, Calls()).result(30)),
        daemon=True,
    )
    caller.start()
    caller.join(30)
    assert found == [6]
    assert Calls.made[0].result(30) == 5


class Interrupted:
    """What Ctrl-C does while it is pickled."""

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_of_submit_is_the_callers(executor: tr.Executor) -> None:
    with pytest.raises(KeyboardInterrupt):
        executor.submit(same, Interrupted())
    assert executor.submit(same, 1).result(30) == 1


def test_the_thread_of_a_master_that_cannot_be_started_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = tr.Executor(1, slots=SLOTS)

    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="start new thread"):
            executor.submit(same, 1)
    assert executor.submit(same, 2).result(30) == 2
    executor.shutdown()
