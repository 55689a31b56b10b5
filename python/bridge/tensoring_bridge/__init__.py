# SPDX-License-Identifier: MIT
"""The program tensoring-bridge: `program()` is where it lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

__all__ = ["main", "program"]


def program() -> Path:
    """The program, in this package, with its library beside it."""
    return Path(__file__).with_name("tensoring-bridge")


def main() -> NoReturn:
    """Become the program, with the arguments of this process."""
    os.execv(program(), ["tensoring-bridge", *sys.argv[1:]])
