# SPDX-License-Identifier: MIT
"""Every code block of the pages that blocks.py names runs.

TR_PREFIX is where the library is installed, bin/tensoring too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import blocks
import pytest

PREFIX = Path(os.environ.get("TR_PREFIX", blocks.ROOT / "build/docs/prefix"))
PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
PAGES = blocks.pages()
C_PROGRAMS = [pair for page in PAGES for pair in blocks.c_programs(page)]


def named(page: Path) -> str:
    return str(page.relative_to(blocks.ROOT))


def having(language: str) -> list[Path]:
    return [page for page in PAGES if blocks.of(page, language)]


def done(command: list[str], where: Path) -> None:
    """Runs in a session of its own: workers that a block has left behind end with it."""
    env = os.environ | {
        "PATH": f"{PREFIX}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{PREFIX}/lib",
    }
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=where,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        ) as process,
    ):
        try:
            code: int | str = process.wait(60 * PATIENCE)
        except subprocess.TimeoutExpired:
            code = "it ran too long"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said.seek(0)
        assert code == 0, f"{code}\n{said.read()}"


@pytest.mark.parametrize("page", having("python"), ids=named)
def test_python(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"page_{page.stem}.py"  # no module of Python's has that name
    program.write_text(blocks.program(page, "python"))
    done([sys.executable, str(program)], tmp_path)


@pytest.mark.parametrize(
    ("block", "code"), C_PROGRAMS, ids=[str(b) for b, _ in C_PROGRAMS]
)
def test_c(block: blocks.Block, code: str, tmp_path: Path) -> None:
    source, program = tmp_path / "block.c", tmp_path / "block"
    source.write_text(code)
    flags = [
        "-std=gnu17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-result",
        "-D_GNU_SOURCE",
    ]
    where = [f"-I{PREFIX}/include", f"-L{PREFIX}/lib", "-ltensoring", "-lpthread"]
    done(
        [os.environ.get("CC", "cc"), *flags, str(source), "-o", str(program), *where],
        tmp_path,
    )
    done([str(program)], tmp_path)


@pytest.mark.parametrize("page", having("sh"), ids=named)
def test_sh(page: Path, tmp_path: Path) -> None:
    done(["sh", "-euc", blocks.program(page, "sh")], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    known = {*blocks.RUN, "text", "{toctree}", "{image}"}
    for block in blocks.blocks(page):
        assert block.skipped or block.language in known, (
            f"{block}: a block of {block.language or 'no language'}"
        )
