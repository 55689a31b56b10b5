# SPDX-License-Identifier: MIT
"""run_suite.py SUITE METHOD [PATTERN]: CPython's tests of a suite, in this process.

Exit code 0 if all pass, 1 if not, 77 if this interpreter has no `test` package. A test
that takes too long ends the process, with the stacks of its threads."""

from __future__ import annotations

import faulthandler
import fnmatch
import sys
import unittest

SECONDS = 120  # for one test


class Watched(unittest.TextTestResult):
    """Ends the process in a test that hangs."""

    def startTest(self, test: unittest.TestCase) -> None:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()


def _flat(tests: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for test in tests:
        found += _flat(test) if isinstance(test, unittest.TestSuite) else [test]
    return found


def main(name: str, method: str, pattern: str = "*") -> int:
    """Run them."""
    try:
        import test.support
    except ImportError:
        return 77
    from substitutes import SUITES, load

    test.support.verbose = 0
    chosen = [
        one
        for one in _flat(load(SUITES[name], method))
        if fnmatch.fnmatch(one.id(), f"*{pattern}*")
    ]
    if not chosen:
        return 77
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Watched)
    result = runner.run(unittest.TestSuite(chosen))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
