# SPDX-License-Identifier: MIT
"""The stand-ins pass CPython's own tests of what they stand in for.

They take minutes, so they run on request: TR_PEERS=1."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("run_suite.py")
SUITES = ("pool", "executor", "queue")


@pytest.mark.skipif("TR_PEERS" not in os.environ, reason="takes minutes: TR_PEERS=1")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("suite", SUITES)
def test_suite(suite: str, method: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, suite, method],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(f"this interpreter has no tests of its own for {suite}")
    assert done.returncode == 0, done.stdout[-8000:]
