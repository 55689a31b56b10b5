# SPDX-License-Identifier: MIT
"""bench/beyond, with small counts: each way is measured or said to be left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bridges import lacks
from hosts import LONGEST

PROGRAM = Path(__file__).parents[2] / "bench" / "beyond" / "run.py"
WAYS = {"TCP socket", "ZeroMQ", "ZeroMQ, CURVE", "bridge", "bridge, CURVE"}
UCX = "bridge, UCX"


def test_it_needs_no_pytest(tmp_path: Path) -> None:
    """A machine that measures has none."""
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError('no pytest here')\n")
    command = [sys.executable, str(PROGRAM), "--help"]
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_each_way_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * LONGEST)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "beyond.json").read_text())
    measured = {one["way"] for one in found["cells"]}
    out = " ".join(found["left_out"])
    assert {"TCP socket", "bridge"} <= measured
    assert {way for way in WAYS if way.split(",")[0] not in out} == measured - {UCX}
    assert (UCX in measured) == (not lacks("ucx"))
    assert (UCX in out) == bool(lacks("ucx"))
    for one in found["cells"]:
        assert one["one_way"] > 0
        assert one["bytes_per_second"] > 0
        assert one["cpu_per_message"] > one["cpu_of_bridges"]
    for one in found["bars"]:
        assert one["min"] <= one["measured"] <= one["max"]
    assert {one["what"].split(",")[0] for one in found["bars"]} >= {"bridge", "1.77 MB"}
