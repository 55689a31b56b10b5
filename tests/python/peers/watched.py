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
    """The exit status: 0 if all pass, 1 if not, 77 if there are none."""
    suite = unittest.TestSuite(tests)
    if not suite.countTestCases():
        return 77
    result = unittest.TextTestRunner(verbosity=2, resultclass=Watched).run(suite)
    return 0 if result.wasSuccessful() else 1


def flat(tests: unittest.TestSuite) -> list[unittest.TestCase]:
    """The tests of a suite of suites."""
    found: list[unittest.TestCase] = []
    for test in tests:
        found += flat(test) if isinstance(test, unittest.TestSuite) else [test]
    return found
