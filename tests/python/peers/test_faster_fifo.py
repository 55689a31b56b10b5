# SPDX-License-Identifier: MIT
"""tr.Queue passes faster-fifo's own tests, in the place of its queue.

Its source package has them; pip gets it, or they are skipped."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tarfile

import alone
import pytest

WHAT = "faster-fifo==1.4.7"  # 1.5.2 leaves its tests out
SCRIPT = pathlib.Path(__file__).with_name("run_faster_fifo.py")
SECONDS = 300 * int(os.environ.get("TR_PATIENCE", "1"))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    get = [*pip, "--no-binary", "faster-fifo", "--dest", str(tmp_path), WHAT]
    done = subprocess.run(get, capture_output=True, text=True, check=False)
    archives = list(tmp_path.glob("*.tar.gz"))
    if done.returncode or not archives:
        pytest.skip(f"pip cannot get {WHAT}: {done.stderr[-200:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    return next(tmp_path.glob("*/cpp_faster_fifo/tests"))


@pytest.mark.skipif("TR_PEERS" not in os.environ, reason="loads a package: TR_PEERS=")
def test_queue(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(SCRIPT), str(folder)]
    done = alone.run(command, SECONDS, tmp_path / "log")
    print(done.output[-8000:])
    assert done.status == 0
    assert not done.left, "processes are left"
