# SPDX-License-Identifier: MIT
"""run_faster_fifo.py FOLDER: faster-fifo's own tests, which are in FOLDER, with tr.Queue.

Those with many senders send fewer messages, unless TR_SOAK: 20 times 100,001 of them take
minutes, as do 20 GB of large ones. Large ones are of numbers that can be divided by
50,000, which NumPy 2 asks for."""

from __future__ import annotations

import os
import pathlib
import sys
import unittest
from typing import Any

import numpy as np

MOST = {"make_msg": 2_000, "make_big_msg": 100}  # messages of a sender

# Also where children import this file.
sys.path.insert(0, str(pathlib.Path(__file__).with_name("in_place")))


def make_big_msg(number: int) -> Any:
    """As theirs, of more bits."""
    most = min((number + 1) * 1000, int(1e7))
    return np.empty(np.random.randint(4, most) // 4, np.int32)


def main(folder: str) -> int:
    """Run them."""
    sys.path.insert(0, folder)
    import test_faster_fifo as tests  # type: ignore[import-not-found]
    import watched

    if "TR_SOAK" not in os.environ:
        _send_fewer(tests.TestFastQueue)
    tests.make_big_msg = make_big_msg
    tests.log.setLevel("WARNING")
    return watched.run(watched.flat(unittest.TestLoader().loadTestsFromModule(tests)))


def _send_fewer(case: Any) -> None:
    whole = case.run_producer_consumer

    def fewer(self: Any, senders: int, receivers: int, count: int, **how: Any) -> None:
        most = MOST[how["make_msg_fn"].__name__]
        whole(self, senders, receivers, min(count, most), **how)

    case.run_producer_consumer = fewer


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
