# SPDX-License-Identifier: MIT
"""PROGRAM TENSORING LIBRARY: the command that a test of it runs."""

from __future__ import annotations

import subprocess
import sys

TENSORING, LIBRARY = sys.argv[1:3]


def tensoring(*args: str, code: int = 0) -> str:
    done = subprocess.run([TENSORING, *args], capture_output=True, text=True, timeout=100)
    if done.returncode != code:
        raise AssertionError(f"{args}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def complaint(*args: str) -> str:
    done = subprocess.run([TENSORING, *args], capture_output=True, text=True, timeout=100)
    if done.returncode != 1:
        raise AssertionError(f"{args}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stderr
