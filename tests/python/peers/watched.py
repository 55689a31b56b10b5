# SPDX-License-Identifier: MIT
"""Runs unittest's tests, each with a limit of time."""

from __future__ import annotations

import faulthandler
import os
import unittest
from collections.abc import Iterable

SECONDS = 60 * int(os.environ.get("TR_PATIENCE", "1"))  # for one test


class Watched(unittest.TextTestResult):
    """Ends the process in a test that hangs, with the stacks of its threads."""

    def startTest(self, test: unittest.TestCase) -> None:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()


def run(tests: Iterable[unittest.TestCase]) -> int:
    """The exit status: 0 if all pass, 1 if not, 77 if there are none.

    What fails is run once more, as CPython does: many of its tests count on a process
    being there within a second, which it is not on a machine that has much to do."""
    chosen = list(tests)
    if not chosen:
        return 77
    result = _run(chosen)
    failed = [one for one, _ in result.failures + result.errors]
    if not failed or not all(isinstance(one, unittest.TestCase) for one in failed):
        return 0 if result.wasSuccessful() else 1
    print("once more:", *(one.id() for one in failed), flush=True)
    again = [type(one)(one._testMethodName) for one in failed]
    return 0 if _run(again).wasSuccessful() else 1


def _run(tests: list[unittest.TestCase]) -> unittest.TestResult:
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Watched)
    return runner.run(unittest.TestSuite(tests))


def flat(tests: unittest.TestSuite) -> list[unittest.TestCase]:
    """The tests of a suite of suites."""
    found: list[unittest.TestCase] = []
    for test in tests:
        found += flat(test) if isinstance(test, unittest.TestSuite) else [test]
    return found
