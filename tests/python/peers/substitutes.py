# SPDX-License-Identifier: MIT
"""CPython's own tests with tensoring's classes in the place of those that they test.

A suite is a module of the `test` package, which classes of it to run, and what to put in
place before it is imported. The package is the interpreter's own; where it is not
installed there is nothing to run."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import fnmatch
import importlib
import multiprocessing
import multiprocessing.pool
import multiprocessing.queues
import re
import unittest
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensoring as tr

METHODS = ("fork", "spawn", "forkserver")


@dataclass(frozen=True)
class Suite:
    """Some classes of a module of tests."""

    modules: tuple[str, ...]  # those of them that this interpreter has
    tests: (
        str  # of Class.test; {method} is the start method, {Method} the same as a title
    )
    substitute: Callable[[], None]
    excluded: dict[str, str]  # patterns of Class.test, with the reason


def _in_scripts(original: str, ours: str) -> None:
    """Scripts that tests run import ours, too."""
    from test.support import script_helper

    run = script_helper.assert_python_ok

    def assert_python_ok(*args: str, **variables: str) -> Any:
        return run(*(arg.replace(original, ours) for arg in args), **variables)

    script_helper.assert_python_ok = assert_python_ok


def _pools() -> None:
    _in_scripts("from multiprocessing import Pool", "from tensoring import Pool")
    multiprocessing.Pool = tr.Pool  # type: ignore[assignment,method-assign]
    multiprocessing.pool.Pool = tr.Pool  # type: ignore[assignment,misc]


class _Threadless:
    def join_thread(self) -> None:
        """Nothing to wait for."""


def _executors() -> None:
    _in_scripts(
        "from concurrent.futures import Executor", "from tensoring import Executor"
    )
    # Two tests wait for the thread of the queue of calls, which there is not.
    tr.Executor._call_queue = _Threadless()  # type: ignore[attr-defined]
    concurrent.futures.ProcessPoolExecutor = tr.Executor  # type: ignore[misc,assignment]
    concurrent.futures.process.ProcessPoolExecutor = tr.Executor  # type: ignore[misc,assignment]


def _queues() -> None:
    multiprocessing.Queue = tr.Queue  # type: ignore[assignment,method-assign]
    multiprocessing.SimpleQueue = tr.SimpleQueue  # type: ignore[assignment,method-assign]
    multiprocessing.JoinableQueue = tr.JoinableQueue  # type: ignore[assignment,method-assign]
    for name in ("Queue", "SimpleQueue", "JoinableQueue"):
        setattr(multiprocessing.queues, name, getattr(tr, name))


_FUTURES = "test.test_concurrent_futures"
SUITES = {
    "queue": Suite(
        ("cpython_{method}",),
        r"(WithProcessesTestQueue|TestSimpleQueue|TestStdinBadfiledescriptor)\..*"
        r"|WithProcessesTestProcess\.test_("
        r"args_argument|child_fd_inflation|close|lose_target_ref|process|process_mainthread_native_id)"
        r"|WithProcessesTestBarrier\.test_wait_return|TestStartMethod\.test_nested.*",
        _queues,
        {
            "*.test_queue_feeder_donot_stop_onexc": "put() raises what cannot be pickled",
            "*.test_queue_feeder_on_queue_feeder_error": "for the same reason",
            "TestSimpleQueue.test_closed": "asks for _reader and _writer",
        },
    ),
    "pool": Suite(
        ("cpython_{method}",),
        r"(WithProcessesTestPool.*|TestPoolNotLeakOnFailure|TestInitializers|"
        r"TestStdinBadfiledescriptor)\..*",
        _pools,
        {},
    ),
    "executor": Suite(
        (
            *(
                f"{_FUTURES}.test_{part}"
                for part in (
                    "as_completed",
                    "deadlock",
                    "init",
                    "process_pool",
                    "shutdown",
                    "wait",
                )
            ),
            _FUTURES,
        ),
        r"ProcessPool{Method}(?!server).*",
        _executors,
        {
            "*.test_killed_child": "others go on after a worker's death",
            "*.test_max_tasks_per_child": "max_tasks_per_child works with fork, too",
            "*.test_max_tasks_per_child_defaults_to_spawn_context": "for the same reason",
            "*.test_python_finalization_error": "mocks the start of a second thread",
            **{
                f"ProcessPool{method}*.{test}": "counts _processes for calls that fail"
                for method in ("Spawn", "Forkserver")
                for test in ("test_saturation", "test_processes_terminate")
            },
        },
    ),
}


def _found(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def load(suite: Suite, method: str) -> unittest.TestSuite:
    """The tests of a suite. Classes are substituted in this process from now on."""
    suite.substitute()
    loader = unittest.TestLoader()
    tests = unittest.TestSuite()
    for name in suite.modules:
        module = _found(name.format(method=method))
        if module is None or hasattr(module, "__path__"):
            continue
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, unittest.TestCase):
                cases = loader.loadTestsFromTestCase(found)
                tests.addTests(one for one in cases if _wanted(one, suite, method))
    return tests


def _wanted(test: Any, suite: Suite, method: str) -> bool:
    name = ".".join(test.id().split(".")[-2:])
    pattern = suite.tests.format(method=method, Method=method.title())
    return bool(re.fullmatch(pattern, name)) and not any(
        fnmatch.fnmatch(name, one) for one in suite.excluded
    )
