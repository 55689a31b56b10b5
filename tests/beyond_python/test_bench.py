# SPDX-License-Identifier: MIT
"""bench/proxystore, with small counts: it measures each way, and writes what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("proxystore")
PROGRAM = Path(__file__).parents[2] / "bench/proxystore/run.py"
PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))


def test_proxystore(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--quick", "--seconds", "0.001"]
    done = subprocess.run(
        [*command, "--sizes", "1000", "--out", str(tmp_path), "--files", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "proxystore.json").read_text())
    kinds = {row["kind"] for row in found["ratios"]}
    assert {"numpy", "proxy in another process"} <= kinds
    for row in found["ratios"]:
        assert len(row["rounds"]) == 2
        assert min(row["rounds"]) > 0
    assert not [one for one in tmp_path.iterdir() if one.is_dir() and any(one.iterdir())]
