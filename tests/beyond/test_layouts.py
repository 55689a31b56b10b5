# SPDX-License-Identifier: MIT
"""Hosts whose libraries have different layouts of the arena exchange messages: what goes
over the wire is no part of an arena."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tensoring as tr
import traffic
from bridges import program
from hosts import LONGEST, SOAK

pytestmark = [
    pytest.mark.usefixtures("real"),
    pytest.mark.skipif(not SOAK, reason="TR_SOAK=1 builds another library"),
]
ROOT = Path(__file__).parents[2]
LAYOUT = 99
COUNT = 200
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Debug",
    "CMAKE_C_FLAGS": f"-DARENA_LAYOUT={LAYOUT}",
    "TR_PYTHON": "ON",
    "TR_BRIDGE": "zmq",
    "TR_MAN": "OFF",
    **dict.fromkeys(("TR_TESTS", "TR_BENCH", "TR_EXAMPLES"), "OFF"),
}
# The other host: it sends back what it gets, and ends with its input.
OTHER = """
import os, sys
import numpy as np, tensoring as tr

name, program, count = sys.argv[1:]
way = {"bind": "127.0.0.1:0", "trust_network": True, "program": program}
with tr.Arena.create(name, slots=[(1 << 16, 64)]) as arena:
    try:
        there, back = (arena.queue(one, max_deliveries=255) for one in ("there", "back"))
        with tr.Bridge(arena, **way) as bridge:
            bridge.queue("there", direction="in")
            bridge.queue("back", direction="out")
            while not (address := bridge.status()["endpoint"]):
                os.sched_yield()
            print(arena.info()["layout"], address, flush=True)
            for _ in range(int(count)):
                back.send(np.asarray(there.receive(timeout=60)) + 1, timeout=60)
            sys.stdin.read()
    finally:
        tr.Arena.unlink(name)
"""


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * LONGEST)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def build(folder: Path) -> Path:
    """The library, its extension and a bridge, all of the other layout."""
    set_all = [f"-D{name}={value}" for name, value in OPTIONS.items()]
    python = f"-DPython3_EXECUTABLE={sys.executable}"
    run("cmake", "-S", ROOT, "-B", folder, python, *set_all)
    run("cmake", "--build", folder, "-j", "2")
    return folder


def exchange(arena: tr.Arena, address: str) -> None:
    there, back = (traffic.open_queue(arena, one, 2 * COUNT) for one in ("there", "back"))
    (command,) = program()
    with tr.Bridge(arena, address, trust_network=True, program=command) as bridge:
        bridge.queue("there")
        bridge.queue("back", direction="in")
        for number in range(COUNT):
            there.send(np.full(100, number), LONGEST)
        for number in range(COUNT):
            got = np.asarray(back.receive(LONGEST))
            assert got.shape == (100,)
            assert (got == number + 1).all()


def test_two_layouts(tmp_path: Path) -> None:
    other = build(tmp_path / "other")
    name = f"beyond.{os.getpid()}.layout"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OTHER,
            name,
            other / "bridge/tensoring-bridge",
            str(COUNT),
        ],
        env={**os.environ, "PYTHONPATH": str(other / "python")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    arena = traffic.open_arena()
    try:
        assert process.stdout is not None
        layout, address = process.stdout.readline().split()
        assert int(layout) == LAYOUT
        with pytest.raises(tr.CorruptError, match=f"{LAYOUT}"):
            tr.Arena.attach(name)
        exchange(arena, address)
        process.communicate(timeout=LONGEST)
        assert process.returncode == 0
        traffic.nothing_left(arena)
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(tr.NotFoundError):
            tr.Arena.unlink(name)
        own = str(arena.name)
        arena.close()
        tr.Arena.unlink(own)
