# SPDX-License-Identifier: MIT
"""python -m tensoring serve: the same as tensoring-serve."""

from __future__ import annotations

import sys

from tensoring._servers.serve_args import main


def _run() -> int:
    if sys.argv[1:2] != ["serve"]:
        print(
            "Usage: python -m tensoring serve [OPTION...] MODEL... -- COMMAND...\n"
            "The other commands are in the program `tensoring`: see its --help.",
            file=sys.stderr,
        )
        return 64  # EX_USAGE
    return main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(_run())
