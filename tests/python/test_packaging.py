# SPDX-License-Identifier: MIT
"""Stubs say what there is; the extension exports one symbol and no more."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import tensoring as tr

PACKAGE = Path(tr.__file__).parent
ROOT = Path(__file__).parents[2]


def run(*command: str) -> str:
    environment = dict(os.environ)
    if PACKAGE.parent.name != "site-packages":  # where mypy looks by itself
        environment["MYPYPATH"] = str(PACKAGE.parent)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd="/",
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The buffer protocol has no names at run time before 3.12.
ALLOWED = ["tensoring._core.View.__buffer__", "tensoring._core.View.__release_buffer__"]


def test_stubs_match_the_extension(tmp_path: Path) -> None:
    if not importlib.util.find_spec("mypy"):
        pytest.skip("mypy is not installed")
    allowed = tmp_path / "allowed"
    allowed.write_text("\n".join(ALLOWED))
    options = ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    run(sys.executable, "-m", "mypy.stubtest", "tensoring._core", *options)


def test_everything_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()
    if not importlib.util.find_spec("mypy"):
        pytest.skip("mypy is not installed")
    config = str(ROOT / "pyproject.toml")
    run(sys.executable, "-m", "mypy", "--config-file", config, "-p", "tensoring")


def test_reports_have_the_keys_that_are_written_down(arena: tr.Arena) -> None:
    queue = arena.queue("q", histograms=True)
    with queue.loan(4):
        pass
    message = queue.receive_message()
    stats = tr.Arena.look(arena.fd)
    worker = subprocess.run(
        [sys.executable, "-c", "import tensoring as tr; print(*tr.Plan(1).enter(0))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for found, kind in [
        (arena.info(), tr.reports.Info),
        (arena.reap(), tr.reports.Reaped),
        (stats, tr.reports.Stats),
        (stats["totals"], tr.reports.Totals),
        (stats["participants"][0], tr.reports.Participant),
        (stats["channels"][0], tr.reports.ChannelStats),
        (stats["sizes"][0], tr.reports.Sizes),
        (stats["channels"][0]["histograms"]["wait"], tr.reports.Counted),
        (message.header(), tr.reports.Header),
        (tr.Plan(1).workers[0], tr.reports.Part),
        (worker, tr.reports.Entered),
    ]:
        assert sorted(found) == sorted(kind.__annotations__), kind


def test_one_exported_symbol() -> None:
    if not shutil.which("nm"):
        pytest.skip("nm is not installed")
    lines = run("nm", "-D", "--defined-only", tr._core.__file__).splitlines()
    names = {line.split()[-1] for line in lines}
    assert {name for name in names if not name.startswith("_")} == {"PyInit__core"}
    assert tr._core.__file__.endswith(".abi3.so")


def test_no_sources_in_the_package() -> None:
    assert not list(PACKAGE.rglob("*.c"))
    assert not list(PACKAGE.rglob("*.h"))


def test_all_is_true() -> None:
    for name in tr.__all__:
        assert hasattr(tr, name), name


def test_version() -> None:
    text = (ROOT / "include/tensoring/version.h").read_text()
    numbers = [
        re.findall(rf"define TR_VERSION_{part} (\d+)", text)[0]
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert tr.__version__ == ".".join(numbers)
    assert sysconfig.get_python_version() >= "3.11"
