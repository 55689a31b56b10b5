# SPDX-License-Identifier: MIT
"""A driver on the first of two nodes, which are hosts of their own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

import tensoring as tr
import tensoring.ray
from tensoring._servers import ray_node

sys.path.insert(0, str(Path(__file__).parents[1] / "beyond"))
from hosts import until

X = np.random.default_rng(7).random((9, 128, 64, 3))
SLOTS = [(64 << 10, 16), (2 << 20, 4)]


@ray.remote
class Actor:
    def open(self) -> tuple[str, bool]:
        arena = tensoring.ray.arena(slots=SLOTS)
        return str(arena.name), arena.created

    def give(self) -> Any:
        return tensoring.ray.share(X)

    def view(self) -> Any:
        """What it has received from a queue."""
        queue = tensoring.ray.arena().queue("views")
        queue.send(X)
        return queue.receive()

    def back(self, array: Any) -> Any:
        return array

    def node(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def end_node(self) -> None:
        node = ray.get_runtime_context().get_node_id()
        os.kill(ray_node.raylet_of(node), signal.SIGKILL)

    def take(self, array: Any) -> tuple[bool, bool]:
        """Whether it is equal, and whether it looks into a slot of this node."""
        pins = sum(
            one["pinned"]
            for one in tensoring.ray.arena().stats()["participants"]
            if one["pid"] == os.getpid()
        )
        return bool(np.array_equal(array, X)), pins > 0

    def kept(self) -> int:
        """Objects that are shared: two more are what the arena keeps about itself."""
        return tensoring.ray.arena().stats()["totals"]["slots_board"] - 2


def alive() -> set[str]:
    return {one["NodeID"] for one in ray.nodes() if one["Alive"]}


def main() -> None:
    ray.init(address="auto", log_to_driver=False)
    until(lambda: len(ray.nodes()) == 2, "the second node")
    here = Actor.options(resources={"first": 0.1}).remote()
    also_here = Actor.options(resources={"first": 0.1}).remote()
    there = Actor.options(resources={"second": 0.1}).remote()
    opened = ray.get([one.open.remote() for one in (here, also_here, there)])
    assert opened[0][0] == opened[1][0] != opened[2][0], opened
    assert sum(created for _, created in opened) == 2, opened
    assert tensoring.ray.arena().name == opened[0][0]
    assert not tensoring.ray.arena().created

    ways = [(giver, way) for giver in (here, there) for way in ("give", "view")]
    for giver, way in ways:
        name = f"{'here' if giver is here else 'there'}, {way}"
        ref = getattr(giver, way).remote()
        for taker in (also_here, there):
            ours = (giver is here) == (taker is also_here)
            assert ray.get(taker.take.remote(ref)) == (True, ours), name
            back = ray.get(taker.back.remote(ref))
            assert np.array_equal(back, X), name
            assert np.array_equal(back[1:], X[1:]), name
            del back
        assert np.array_equal(ray.get(ref), X)
        assert ray.get(giver.kept.remote()) >= 1
        del ref
        until(lambda giver=giver: ray.get(giver.kept.remote()) == 0, f"free {name}")

    shared = tensoring.ray.share(X)
    assert shared.by_reference
    assert ray.get(here.take.remote(shared)) == (True, True)
    assert ray.get(there.take.remote(shared)) == (True, False)
    del shared
    until(lambda: ray.get(here.kept.remote()) == 0, "free after the driver's share")

    ref = there.view.remote()
    assert np.array_equal(ray.get(ref), X)
    node = ray.get(there.node.remote())
    there.end_node.remote()
    until(lambda: node not in alive(), "the node has ended")
    with pytest.raises(ray.exceptions.RaySystemError, match=r"NotFoundError.*has ended"):
        ray.get(ref)
    print("done", tr.__version__)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the test ends the cluster
