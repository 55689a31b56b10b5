# SPDX-License-Identifier: MIT
"""How long the tests of Ray wait."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "beyond"))
import hosts as networks

PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
LONGEST = 120 * PATIENCE


def until(condition: Callable[[], Any], what: str) -> None:
    """Other processes do not tell when they have dropped a reference, or ended."""
    networks.until(condition, what, LONGEST)


def skip_if_slow(said: str) -> None:
    """Ray gives a node 30 seconds to start, a number that cannot be set."""
    if "timed out during startup" in said:
        pytest.skip("the machine is too busy for Ray: a node did not start in 30 s")
