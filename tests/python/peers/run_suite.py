# SPDX-License-Identifier: MIT
"""run_suite.py SUITE METHOD [PATTERN]: CPython's tests of a suite, in this process.

Exit code 0 if all pass, 1 if not, 77 if this interpreter has no such tests. A test that
takes too long ends the process, with the stacks of its threads."""

from __future__ import annotations

import fnmatch
import sys

# Also where children import this file: the originals send no lambdas, and have to refuse.
sys.modules["cloudpickle"] = None  # type: ignore[assignment]


def main(name: str, method: str, pattern: str = "*") -> int:
    """Run them."""
    try:
        import test.support
    except ImportError:
        return 77
    import watched
    from substitutes import SUITES, load

    test.support.verbose = 0
    chosen = [
        one
        for one in watched.flat(load(SUITES[name], method))
        if fnmatch.fnmatch(one.id(), f"*{pattern}*")
    ]
    return watched.run(chosen)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
