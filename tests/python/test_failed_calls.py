# SPDX-License-Identifier: MIT
"""What a failed call held is let go of at once, without the collector: an exception and
its traceback must not keep each other, nor a pool them."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import POOL_SLOTS as SLOTS


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def same(x: Any) -> Any:
    return x


def throw_at(value: Any) -> None:
    raise ZeroDivisionError


FAILING: dict[str, Callable[[tr.Pool, Any], object]] = {
    "apply": lambda pool, value: pool.apply(throw_at, (value,)),
    "map": lambda pool, value: pool.map(throw_at, [value]),
    "imap": lambda pool, value: next(pool.imap(throw_at, [value])),
    "unsent": lambda pool, value: pool.apply(same, ((value, threading.Lock()),)),
    "unsent map": lambda pool, value: pool.map(same, [(value, threading.Lock())]),
}


def attempt(pool: Any, call: Callable[[Any, Any], object], error: Any) -> Any:
    value = np.ones(9)
    try:
        call(pool, value)
    except error:
        return weakref.ref(value)
    pytest.fail("it must raise")


def test_a_failed_call_of_an_executor_keeps_nothing(executor: tr.Executor) -> None:
    def submit(_: Any, value: Any) -> object:
        return executor.submit(same, (value, threading.Lock())).result(60)

    executor.submit(same, 1).result(60)
    kept = attempt(None, submit, TypeError)
    assert kept() is None


@pytest.mark.parametrize("way", FAILING)
def test_a_failed_call_keeps_nothing(pool: tr.Pool, way: str) -> None:
    kept = attempt(pool, FAILING[way], (ZeroDivisionError, TypeError))
    assert kept() is None


def test_a_broken_pool_keeps_nothing() -> None:
    with tr.Pool(1, os._exit, (3,), slots=SLOTS) as pool:
        jobs = [pool.apply_async(same, (i,)) for i in range(3)]
        for job in jobs:
            with pytest.raises(tr.WorkerDied):
                job.get(60)
        for _ in range(3):
            kept = attempt(pool, FAILING["apply"], tr.WorkerDied)
            assert kept() is None
        told = [job._error for job in jobs]
        assert len({id(error) for error in told}) == len(told)


def test_no_server_keeps_nothing(arena: tr.Arena) -> None:
    service = arena.service("none")

    def ask(_: Any, value: Any) -> object:
        return service.call(value, 1, need_server=True)

    kept: Any = attempt(None, ask, tr.NoServerError)
    assert kept() is None
