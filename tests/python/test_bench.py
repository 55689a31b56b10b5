# SPDX-License-Identifier: MIT
"""Tables of bench/python. The serving team's: each row carries the array, and one that
does not is refused. The tips: each way has its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "python"))
import serving


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SHAPE", (3, 4, 2, 1))


def test_each_row_has_a_figure_for_each_round() -> None:
    found = serving.tables(2)
    assert len(found) == 1 + len(serving.CARRIERS)
    for rounds in found.values():
        assert set(rounds) == {serving.OURS, serving.IN_PLACE, *serving.codecs()}
        assert all(len(times) == 2 and min(times) > 0 for times in rounds.values())


@pytest.mark.parametrize("damage", [np.negative, np.float32, np.ravel])
def test_a_row_that_changes_the_array_is_refused(
    damage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = serving.codecs()
    good = rows["pickle"]
    rows["pickle"] = good._replace(decode=lambda data: damage(good.decode(data)))  # type: ignore[operator]
    monkeypatch.setattr(serving, "codecs", lambda: rows)
    with pytest.raises(ValueError, match="pickle: another array"):
        serving.one_process(1)
    with pytest.raises(EOFError):
        serving.two_processes(1)


@pytest.mark.parametrize("tip", ["lists", "processes"])
def test_a_tip_is_measured(tip: str, tmp_path: Path) -> None:
    program = Path(serving.__file__).with_name("tips.py")
    command = [sys.executable, program, tip, "--out", tmp_path, "--seconds", "0.0001"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "tips.json").read_text())["tips"][tip]
    assert len(found) >= 4
    assert all(0 < one["min"] <= one["median"] <= one["max"] for one in found.values())
    for way in found:
        assert way in done.stdout
