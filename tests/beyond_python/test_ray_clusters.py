# SPDX-License-Identifier: MIT
"""Clusters of Ray that a test starts and ends itself. They run with TR_RAY=1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

if os.environ.get("TR_RAY") != "1":
    pytest.skip("Ray takes minutes: TR_RAY=1 runs its tests", allow_module_level=True)
pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
from ray_patience import LONGEST, skip_if_slow, until  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/beyond"))
import hosts as networks  # noqa: E402


def test_serve() -> None:
    """The example, in a process and a cluster of its own."""
    pytest.importorskip("ray.serve")
    folder = f"/tmp/ray.{os.getpid()}.{secrets.token_hex(2)}"
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/ray/serve.py")],
        capture_output=True,
        text=True,
        timeout=2 * LONGEST,
        env=os.environ | {"RAY_TMPDIR": folder},
    )
    shutil.rmtree(folder, ignore_errors=True)
    skip_if_slow(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "[11.0, 17.0]" in done.stdout


def test_the_keeper_sees_a_killed_raylet() -> None:
    """Another process starts a cluster, and kills its raylet."""
    folder = f"/tmp/ray.{os.getpid()}.{secrets.token_hex(2)}"
    code = (
        "import os, signal, ray, tensoring.ray as tray\n"
        "from tensoring._servers import ray_node\n"
        f"ray.init(num_cpus=1, include_dashboard=False, _temp_dir={folder!r},\n"
        "    object_store_memory=100 << 20)\n"
        "arena = tray.arena(slots=[(4096, 4)])\n"
        "raylet = ray_node.raylet_of(ray.get_runtime_context().get_node_id())\n"
        "print(arena.name, flush=True)\n"
        "os.kill(raylet, signal.SIGKILL)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONGEST
    )
    skip_if_slow(done.stderr)
    assert done.returncode == 0, done.stderr
    path = f"/dev/shm/tensoring.{done.stdout.split()[-1]}"
    until(lambda: not os.path.exists(path), "the keeper removes the arena")
    shutil.rmtree(folder, ignore_errors=True)


def test_two_nodes(tmp_path: Path) -> None:
    """Each in a network, a /dev/shm and a list of processes of its own."""
    if why := networks.lacking():
        pytest.skip(why)
    made = networks.Hosts()
    folder = f"/tmp/ray.{os.getpid()}.{secrets.token_hex(2)}"
    os.mkdir(folder)
    tool = str(Path(sys.executable).parent / "ray")
    apart = [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-ec", 'mount -t tmpfs none /dev/shm; mkdir -p "$0"; eval "$1"'),
    ]
    common = "--num-cpus=2 --object-store-memory=100000000 --disable-usage-stats"
    first, second = made.here, made.there
    driver = ROOT / "tests/beyond_python/ray_nodes.py"
    head = (
        f"{tool} start --head --node-ip-address={first.address} --port=6379"
        f" --include-dashboard=false --temp-dir={folder}/1 {common}"
        f" --resources='{{\"first\": 1}}'; {sys.executable} {driver}"
    )
    other = (
        f"until {tool} start --address={first.address}:6379"
        f" --node-ip-address={second.address} --temp-dir={folder}/2 {common} --block"
        " --resources='{\"second\": 1}'; do :; done"
    )
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = os.environ | token
    log = tmp_path / "second"
    try:
        with log.open("w") as file:
            worker = second.start(
                *apart, f"{folder}/2", other, stdout=file, stderr=file, env=environment
            )
        head_node = first.start(
            *apart,
            *(f"{folder}/1", head),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        try:
            said = head_node.communicate(timeout=2 * LONGEST)[0]
        finally:
            for process in (head_node, worker):
                process.send_signal(signal.SIGKILL)
                process.wait()
        skip_if_slow(said + log.read_text())
        assert head_node.returncode == 0, said + log.read_text()
        assert "done" in said
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
