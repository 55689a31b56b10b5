# SPDX-License-Identifier: MIT
"""The stand-ins pass CPython's own tests of what they stand in for.

They take minutes, so they run on request: TR_PEERS names the interpreters whose tests are
run, separated by colons; each has tensoring installed. tests/run does so."""

from __future__ import annotations

import os
import pathlib
import sys

import alone
import pytest

SCRIPT = pathlib.Path(__file__).with_name("run_suite.py")
PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
SECONDS = 400 * PATIENCE  # for a suite; a test has 60
PYTHONS = [one for one in os.environ.get("TR_PEERS", "").split(":") if one]
SUITES = ("executor", "pool", "queue")  # the slowest first
METHODS = ("spawn", "forkserver", "fork")


def _name(python: str) -> str:
    return pathlib.Path(python).parent.parent.name


@pytest.mark.skipif(not PYTHONS, reason="takes minutes: TR_PEERS=PYTHON[:PYTHON...]")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("python", PYTHONS, ids=_name)
@pytest.mark.parametrize("suite", SUITES)
def test_suite(suite: str, python: str, method: str, tmp_path: pathlib.Path) -> None:
    command = [python, str(SCRIPT), suite, method]
    done = alone.run(command, SECONDS, tmp_path / "log", OPENBLAS_NUM_THREADS="1")
    if done.status == 77:
        pytest.skip(f"{python} has no tests of its own for {suite}")
    print(done.output[-12000:])
    status, left = done.status, done.left
    assert status is not None, f"no end in {SECONDS} s"
    assert status == 0, "not all pass"
    assert not left, "processes are left"


def test_what_is_left_is_found(tmp_path: pathlib.Path) -> None:
    code = "import os, signal; os.fork() or signal.pause()"
    command = [sys.executable, "-c", code]
    done = alone.run(command, 60, tmp_path / "log", grace=0)
    assert done.status == 0
    assert len(done.left) == 1
