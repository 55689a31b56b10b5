# SPDX-License-Identifier: MIT
"""Under valgrind the extension and the library below touch no memory that is not theirs
and lose none. The rest of the process is not ours to judge, see valgrind.supp."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).parent
OURS = ("_core.abi3.so", "libtensoring.so")
WRONG = {"InvalidRead", "InvalidWrite", "InvalidFree", "InvalidJump", "MismatchedFree"}
WRONG |= {"Overlap"}


def is_ours(frame: ElementTree.Element) -> bool:
    return any(name in (frame.findtext("obj") or "") for name in OURS)


def to_blame(error: ElementTree.Element) -> bool:
    """Wrong wherever it is, or unset bytes used by ours, or lost by what ours called."""
    kind = error.findtext("kind") or ""
    frames = list(error.iterfind("stack/frame"))
    if kind in WRONG:
        return True
    if kind in ("UninitCondition", "UninitValue"):
        return is_ours(frames[0])
    if kind in ("SyscallParam", "Leak_DefinitelyLost"):
        return any(is_ours(frame) for frame in frames)
    return False


def describe(error: ElementTree.Element) -> str:
    what = error.findtext("what") or error.findtext("xwhat/text")
    lines = [f"{error.findtext('kind')}: {what}"]
    for frame in error.iterfind("stack/frame"):
        where = frame.findtext("obj") or "?"
        lines.append(f"    {frame.findtext('fn') or frame.findtext('ip')} in {where}")
    return "\n".join(lines)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_valgrind_finds_nothing(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    command = ["valgrind", "--xml=yes", f"--xml-file={report}", "--leak-check=full"]
    command += ["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]
    command += ["--num-callers=40", f"--suppressions={HERE / 'valgrind.supp'}"]
    command += [sys.executable, str(HERE / "scene.py"), "2"]
    environment = os.environ | {"PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stdout + done.stderr
    errors = ElementTree.parse(report).getroot().iter("error")
    found = [describe(error) for error in errors if to_blame(error)]
    assert not found, "\n".join(found)
