# SPDX-License-Identifier: MIT
"""The programs of the how-to pages about frameworks, where these are installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/docs"))
import blocks  # noqa: E402

PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))


@pytest.mark.parametrize("name", ["proxystore"])
def test_page(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    program = tmp_path / f"page_{name}.py"
    program.write_text(blocks.program(ROOT / f"docs/how-to/{name}.md", "python"))
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
