# SPDX-License-Identifier: MIT
"""One arena for each node of Ray, on a real cluster. Ray takes long to start: these tests
run with TR_RAY=1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr

if os.environ.get("TR_RAY") != "1":
    pytest.skip("Ray takes minutes: TR_RAY=1 runs its tests", allow_module_level=True)
ray = pytest.importorskip("ray")
import tensoring.ray  # noqa: E402

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/beyond"))
import hosts as networks  # noqa: E402

PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
LONGEST = 120 * PATIENCE
X = np.random.default_rng(7).random((9, 128, 64, 3))
SLOTS = [(64 << 10, 32), (2 << 20, 4)]


def until(condition: Callable[[], Any], what: str) -> None:
    """Other processes do not tell when they have dropped a reference, or ended."""
    networks.until(condition, what, LONGEST)


def skip_if_slow(said: str) -> None:
    """Ray gives a node 30 seconds to start, a number that cannot be set."""
    if "timed out during startup" in said:
        pytest.skip("the machine is too busy for Ray: a node did not start in 30 s")


def kept() -> int:
    """Objects that are shared: two more are what the arena keeps about itself."""
    return tensoring.ray.arena().stats()["totals"]["slots_board"] - 2


@pytest.fixture(scope="module")
def node() -> Iterator[tr.Arena]:
    folder = f"/tmp/ray.{os.getpid()}.{secrets.token_hex(2)}"  # sockets have short names
    try:
        ray.init(
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=200 << 20,
            log_to_driver=False,
            _temp_dir=folder,
        )
    except Exception as error:
        skip_if_slow(str(error))
        raise
    arena = tensoring.ray.arena(slots=SLOTS)
    yield arena
    path = f"/dev/shm/tensoring.{arena.name}"
    assert os.path.exists(path)
    ray.shutdown()
    until(lambda: not os.path.exists(path), "the keeper removes the arena")
    arena.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def actor(node: tr.Arena) -> Iterator[Any]:
    @ray.remote(num_cpus=0)
    class Actor:
        def open(self) -> tuple[str, bool, int]:
            arena = tensoring.ray.arena()
            return str(arena.name), arena.created, os.getpid()

        def give(self, obj: Any) -> Any:
            return tensoring.ray.share(obj)

        def hold(self, ref: list[Any]) -> float:
            self.held = ray.get(ref[0])
            return float(self.held.sum())

        def drop(self) -> None:
            del self.held

        def double(self, count: int) -> None:
            inbox = tensoring.ray.arena().queue("in")
            outbox = tensoring.ray.arena().queue("out")
            for _ in range(count):
                outbox.send(2 * inbox.receive(LONGEST))

    made = Actor.remote()
    yield made
    ray.kill(made)


def test_processes_of_a_node_have_one_arena(node: tr.Arena, actor: Any) -> None:
    name, created, pid = ray.get(actor.open.remote())
    assert (name, created) == (node.name, False)
    assert node.created
    assert pid in {one["pid"] for one in node.stats()["participants"]}

    @ray.remote(num_cpus=1)
    def task() -> str:
        return str(tensoring.ray.arena().name)

    assert set(ray.get([task.remote() for _ in range(4)])) == {name}


def test_actors_exchange_through_queues(node: tr.Arena, actor: Any) -> None:
    done = actor.double.remote(10)
    for i in range(10):
        node.queue("in").send(X + i, LONGEST)
        assert np.array_equal(node.queue("out").receive(LONGEST), 2 * (X + i))
    ray.get(done)


def test_a_shared_object_is_a_view_here(node: tr.Arena, actor: Any) -> None:
    for obj in (X, {"a": X, "b": [1, "x"]}, np.arange(3)):
        ref = actor.give.remote(obj)
        got = ray.get(ref)
        first = got["a"] if isinstance(got, dict) else got
        assert not first.flags.writeable
        assert np.array_equal(first, obj["a"] if isinstance(obj, dict) else obj)
        assert kept() == 1
        del ref
        until(lambda: kept() == 0, "the slot is given back")
        assert np.array_equal(first, obj["a"] if isinstance(obj, dict) else obj)
        del got, first


def test_a_reference_keeps_the_slot(node: tr.Arena, actor: Any) -> None:
    ref = ray.put(tensoring.ray.share(X))
    assert ray.get(actor.hold.remote([ref])) == X.sum()
    assert kept() == 1
    del ref
    until(lambda: kept() == 0, "the slot is given back")
    ray.get(actor.drop.remote())


def test_without_a_pin_it_is_a_copy(node: tr.Arena) -> None:
    ref = ray.put(tensoring.ray.share(X))
    many = [ray.get(ref) for _ in range(66)]
    assert all(np.array_equal(one, X) for one in many)
    del many, ref
    until(lambda: kept() == 0, "the slot is given back")


def test_a_full_arena_falls_back_to_ray(node: tr.Arena, actor: Any) -> None:
    held = [tensoring.ray.share(X) for _ in range(5)]
    assert [one.by_reference for one in held] == [True] * 4 + [False]
    assert ray.get(actor.hold.remote([ray.put(held[4])])) == X.sum()
    large = tensoring.ray.share(np.ones(1 << 20))
    assert not large.by_reference
    del held, large
    until(lambda: kept() == 0, "the slots are given back")


def test_what_a_dead_process_shared_is_swept(node: tr.Arena) -> None:
    @ray.remote(num_cpus=0)
    class Dies:
        def give(self) -> Any:
            self.kept = tensoring.ray.share(X)
            return os.getpid(), self.kept

    dies = Dies.remote()
    pid, got = ray.get(dies.give.remote())
    assert np.array_equal(got, X)
    del got
    os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "it has died")
    node.reap()
    assert kept() == 1
    held = [tensoring.ray.share(X) for _ in range(4)]
    assert all(one.by_reference for one in held)
    del held
    until(lambda: kept() == 0, "the slots are given back")


def test_objects_that_no_serializer_takes(node: tr.Arena, actor: Any) -> None:
    with pytest.raises(tr.UnsupportedError):
        tensoring.ray.share({1, object})
    got = ray.get(actor.give.remote({"x": X}))
    assert np.array_equal(got["x"], X)


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
        f"ray.init(num_cpus=1, include_dashboard=False, _temp_dir={folder!r},\n"
        "    object_store_memory=100 << 20)\n"
        "arena = tray.arena(slots=[(4096, 4)])\n"
        "raylet = tray._raylet_of(ray.get_runtime_context().get_node_id())\n"
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
