# SPDX-License-Identifier: MIT
"""NumPy's own tests, from its package, pass on arrays that came through a queue."""

from __future__ import annotations

import os
import pathlib
import sys

import alone
import pytest

SCRIPT = pathlib.Path(__file__).with_name("run_numpy.py")
SECONDS = 200 * int(os.environ.get("TR_PATIENCE", "1"))


@pytest.mark.skipif("TR_PEERS" not in os.environ, reason="on request: TR_PEERS=")
def test_arrays(tmp_path: pathlib.Path) -> None:
    done = alone.run([sys.executable, str(SCRIPT)], SECONDS, tmp_path / "log")
    print(done.output[-8000:])
    status = done.status
    assert status == 0
