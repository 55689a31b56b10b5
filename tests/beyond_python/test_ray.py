# SPDX-License-Identifier: MIT
"""One arena for each node of Ray, on a real cluster. Ray takes long to start: these tests
run with TR_RAY=1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr

if os.environ.get("TR_RAY") != "1":
    pytest.skip("Ray takes minutes: TR_RAY=1 runs its tests", allow_module_level=True)
ray = pytest.importorskip("ray")
import tensoring.ray  # noqa: E402
from tensoring._servers import (  # noqa: E402
    ray_hold,
    ray_node,
    ray_objects,
    ray_orphans,
    ray_views,
)

sys.path.insert(0, str(Path(__file__).parent))
from ray_patience import LONGEST, skip_if_slow, until  # noqa: E402

X = np.random.default_rng(7).random((9, 128, 64, 3))
SLOTS = [(64 << 10, 32), (2 << 20, 4)]
PINS = 16


def kept() -> int:
    """Objects that are shared: two more are what the arena keeps about itself."""
    return tensoring.ray.arena().stats()["totals"]["slots_board"] - 2


def looks_into_a_slot(array: Any) -> bool:
    return type(ray_views._origin(array)) is ray_objects.Block


class Late:
    """Its array is made while it is pickled, and is gone afterwards."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        return (list, ((self.array[:],),))


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
    arena = tensoring.ray.arena(slots=SLOTS, pins=PINS)
    ray_objects.cells_of(ray_node.node_id())
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

        def pass_on_and_close(self) -> Any:
            array = tensoring.ray.arena().queue("views").receive(LONGEST)
            share = ray.put(array)
            tensoring.ray.arena().close()
            return [share]

        def pass_on(self) -> Any:
            return tensoring.ray.arena().queue("views").receive(LONGEST)

        def back(self, obj: Any) -> Any:
            return obj

        def seen(self, array: Any) -> tuple[float, bool]:
            block = type(ray_views._origin(array)) is ray_objects.Block
            return float(array.sum()), block

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
        assert np.array_equal(first, obj["a"] if isinstance(obj, dict) else obj)
        assert kept() == 1  # the view may be handed on
        del got, first
        until(lambda: kept() == 0, "the slot is given back")


def test_a_reference_keeps_the_slot(node: tr.Arena, actor: Any) -> None:
    ref = ray.put(tensoring.ray.share(X))
    assert ray.get(actor.hold.remote([ref])) == X.sum()
    assert kept() == 1
    del ref
    ray.get(actor.drop.remote())
    until(lambda: kept() == 0, "the slot is given back")


def test_a_process_looks_into_an_object_once(node: tr.Arena) -> None:
    ref = ray.put(tensoring.ray.share(X))
    many = [ray.get(ref) for _ in range(PINS + 2)]
    assert all(looks_into_a_slot(one) for one in many)
    del many, ref
    until(lambda: kept() == 0, "the slot is given back")


def test_without_a_pin_it_is_a_copy(node: tr.Arena) -> None:
    refs = [ray.put(tensoring.ray.share(np.arange(i, i + 9))) for i in range(PINS + 2)]
    many = [ray.get(ref) for ref in refs]
    assert [one[0] for one in many] == list(range(PINS + 2))
    assert [looks_into_a_slot(one) for one in many] == [True] * PINS + [False] * 2
    del many, refs
    until(lambda: kept() == 0, "the slot is given back")


def test_a_full_arena_falls_back_to_ray(node: tr.Arena, actor: Any) -> None:
    held = [tensoring.ray.share(X) for _ in range(5)]
    assert [one.by_reference for one in held] == [True] * 4 + [False]
    assert ray.get(actor.hold.remote([ray.put(held[4])])) == X.sum()
    large = tensoring.ray.share(np.ones(1 << 20))
    assert not large.by_reference
    del held, large
    until(lambda: kept() == 0, "the slots are given back")


def kill_what_counts() -> None:
    """The node's actor, which has made the tokens; Ray then counts nothing."""
    made = ray_objects._actor_of(ray_node.node_id())
    token = ray.get(made.tokens.remote(1, *ray_orphans.this_process()))[0]
    pid = int(token.label.split()[0])
    ray.kill(made)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "it has died")


def test_what_an_actor_has_shared_outlives_it(node: tr.Arena) -> None:
    """Ray ends an actor when its last handle is gone."""

    @ray.remote(num_cpus=0)
    class Ends:
        @ray.method(num_returns=2)
        def give(self) -> Any:
            return os.getpid(), tensoring.ray.share(X)

    given = [Ends.remote().give.remote() for _ in range(2)]
    for pid in ray.get([pid for pid, _ in given]):
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "it has ended")
    held = [tensoring.ray.share(X) for _ in range(4)]
    assert [one.by_reference for one in held] == [True, True, False, False]
    for _, ref in given:
        assert np.array_equal(ray.get(ref), X)
    del held, given, ref
    until(lambda: kept() == 0, "the slots are given back")


def test_a_worker_with_max_calls_ends(node: tr.Arena) -> None:
    """Although there is a reference to what it has shared."""

    @ray.remote(num_cpus=1, num_returns=2, max_calls=1)
    def task() -> Any:
        return os.getpid(), tensoring.ray.share(X)

    pid, ref = task.remote()
    number = ray.get(pid)
    until(lambda: not os.path.exists(f"/proc/{number}"), "it has ended")
    assert kept() == 1
    assert np.array_equal(ray.get(ref), X)
    del ref
    until(lambda: kept() == 0, "the slot is given back")


def test_what_a_killed_process_shared_is_freed(node: tr.Arena) -> None:
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
    until(lambda: kept() == 0, "the slot is given back")


def test_what_nobody_counts_any_more_is_swept(node: tr.Arena) -> None:
    held = [tensoring.ray.share(X) for _ in range(4)]
    kill_what_counts()
    ref = ray.put(held[0])
    assert kept() == 4
    assert tensoring.ray.share(X).by_reference
    with pytest.raises(ray.exceptions.RaySystemError, match=r"NotFoundError.*is gone"):
        ray.get(ref)
    del held, ref
    until(lambda: kept() == 0, "the slots are given back")


def test_cells_that_nobody_counts_are_swept(
    node: tr.Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of use to others where slots are left, but no cell."""
    found = ray_objects.cells_of(ray_node.node_id())
    assert found is not None
    taken: list[int] = []
    held = tensoring.ray.share(X)
    kill_what_counts()
    put = found.put

    def put_where_one_is_free(*args: Any) -> Any:
        taken.append(kept())
        if taken[-1]:
            raise tr.SendTimedOutError("no cell is free")
        return put(*args)

    monkeypatch.setattr(found, "put", put_where_one_is_free)
    assert tensoring.ray.share(X).by_reference
    assert taken == [1, 0]
    del held
    until(lambda: kept() == 0, "the slot is given back")


def test_objects_that_no_serializer_takes(node: tr.Arena, actor: Any) -> None:
    with pytest.raises(tr.UnsupportedError):
        tensoring.ray.share({1, object})
    got = ray.get(actor.give.remote({"x": X}))
    assert np.array_equal(got["x"], X)


# ---- arrays that look into slots, without share()


def handed(node: tr.Arena, actor: Any) -> Any:
    """A view that came from the actor, which has it from a queue."""
    node.queue("views").send(X, LONGEST)
    return ray.get(actor.pass_on.remote())


def test_a_view_goes_by_reference(node: tr.Arena, actor: Any) -> None:
    array = handed(node, actor)
    assert looks_into_a_slot(array)
    assert not array.flags.writeable
    assert np.array_equal(array, X)
    assert kept() == 1
    assert ray.get(actor.seen.remote(array)) == (X.sum(), True)
    del array
    until(lambda: kept() == 0, "the slot is given back")


def test_what_came_by_reference_is_handed_on_without_a_copy(
    node: tr.Arena, actor: Any
) -> None:
    array = handed(node, actor)
    part = array[1:, ::-1, :, 1:]
    back, same, again = ray.get(
        [actor.back.remote(one) for one in (part, part.T, [array, {"x": part}])]
    )
    assert np.array_equal(back, part)
    assert np.array_equal(same, part.T)
    assert np.array_equal(again[0], X)
    assert np.array_equal(again[1]["x"], part)
    assert kept() == 1
    block = ray_views._origin(array)
    assert all(ray_views._origin(one) is block for one in (back, same, *again[:1]))
    typed = ray.get(actor.back.remote(array.reshape(-1).view("M8[ns]")))
    assert typed.dtype == "M8[ns]"
    del array, part, back, same, again, block, typed
    until(lambda: kept() == 0, "the slot is given back")


def test_a_copy_is_taken_of_what_may_change(node: tr.Arena, actor: Any) -> None:
    node.queue("views").send(X, LONGEST)
    array = node.queue("views").receive(LONGEST)
    ref = ray.put(array)
    array[...] = 0
    assert ray.get(actor.seen.remote(ref)) == (X.sum(), True)
    del ref, array
    node.board("newest")["x"] = X
    for order in "CF":
        array = np.asarray(node.board("newest")["x"], order=order)
        assert np.array_equal(ray.get(actor.back.remote(array)), X)
    del node.board("newest")["x"], array
    until(lambda: node.stats()["totals"]["slots_board"] == 2, "the slots are given back")


def test_other_arrays_are_pickled_as_ever(node: tr.Arena, actor: Any) -> None:
    objects: list[Any] = [
        *(X, X[1:], X.T, np.zeros((0, 3)), np.array(3.5), np.arange(5, dtype=">i4")),
        *(np.array([{"a": X}, None]), np.ma.masked_array([1, 2], [True, False])),
        np.zeros(3, [("a", "i4"), ("b", "f8", (2,))]),
    ]
    itself = np.empty(1, object)
    itself[0] = itself
    for one in objects:
        got = ray.get(actor.back.remote(one))
        assert type(got) is type(one)
        assert repr(got) == repr(one)
    got = ray.get(actor.back.remote(itself))
    assert got[0] is got
    node.queue("views").send(np.arange(3), LONGEST)
    assert not looks_into_a_slot(ray.get(actor.pass_on.remote()))  # it is small
    assert kept() == 0


def test_an_argument_keeps_what_is_made_while_it_is_pickled(
    node: tr.Arena, actor: Any
) -> None:
    node.queue("views").send(X, LONGEST)
    array = node.queue("views").receive(LONGEST)
    for _ in range(3):
        got = ray.get(actor.back.remote(Late(array)))
        assert looks_into_a_slot(got[0])
        assert np.array_equal(got[0], X)
        del got
        until(lambda: kept() == 0, "the slot is given back")
    until(lambda: not ray_hold._looks, "nothing is kept")
    pandas = pytest.importorskip("pandas")
    frames = pandas.DataFrame(array.reshape(-1, 3), copy=False)
    got = ray.get(actor.back.remote(frames))
    assert got.equals(frames)
    assert looks_into_a_slot(got[0].to_numpy())
    del got
    until(lambda: kept() == 0, "the slot is given back")


def test_actors_with_threads_and_with_a_loop(node: tr.Arena, actor: Any) -> None:
    class Threads:
        def pass_on(self) -> Any:
            return tensoring.ray.arena().queue("views").receive(LONGEST)

        def through(self, other: Any) -> Any:
            return ray.get(other.back.remote(self.pass_on()))

    class Loop:
        async def pass_on(self) -> Any:
            return await tensoring.ray.arena().queue("views").receive_async()

        async def through(self, other: Any) -> Any:
            return await other.back.remote(await self.pass_on())

    for kind in (Threads, Loop):
        made = ray.remote(num_cpus=0, max_concurrency=3)(kind).remote()
        for call in (made.pass_on.remote, lambda made=made: made.through.remote(actor)):
            node.queue("views").send(X, LONGEST)
            got = ray.get(call())
            assert looks_into_a_slot(got)
            assert np.array_equal(got, X)
            del got
            until(lambda: kept() == 0, "the slot is given back")
        ray.kill(made)


def test_a_function_of_ray_that_never_ends_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_hold, "_submits", sys._getframe)  # this one
    monkeypatch.setattr(ray_hold, "_LOOKS", 3)
    ray_hold.keep("a token")
    assert [one.token for one in ray_hold._kept] == ["a token"]
    until(lambda: not ray_hold._looks, "it is dropped")
    assert not ray_hold._kept


def test_a_function_has_its_own_copy(node: tr.Arena, actor: Any) -> None:
    array: Any = handed(node, actor)

    @ray.remote(num_cpus=0)
    def total() -> tuple[float, bool]:
        block = type(ray_views._origin(array)) is ray_objects.Block
        return float(array.sum()), block

    assert ray.get(total.remote()) == (X.sum(), False)
    array = total = None
    until(lambda: kept() == 0, "the slot is given back")


def test_by_reference_chooses(node: tr.Arena, actor: Any) -> None:
    array = handed(node, actor)
    try:
        tensoring.ray.by_reference(None)
        assert ray.get(actor.seen.remote(array)) == (X.sum(), False)
        tensoring.ray.by_reference(X.nbytes + 1)
        assert ray.get(actor.seen.remote(array)) == (X.sum(), False)
        tensoring.ray.by_reference(X.nbytes)
        assert ray.get(actor.seen.remote(array)) == (X.sum(), True)
        with pytest.raises(ValueError, match="nbytes"):
            tensoring.ray.by_reference(0)
    finally:
        tensoring.ray.by_reference()
    del array
    until(lambda: kept() == 0, "the slot is given back")


def test_a_process_that_has_closed_the_arena_frees_what_it_gave(
    node: tr.Arena, actor: Any
) -> None:
    node.queue("views").send(X, LONGEST)
    refs = ray.get(actor.pass_on_and_close.remote())
    assert np.array_equal(ray.get(refs[0]), X)
    assert kept() == 1
    del refs
    until(lambda: kept() == 0, "the slot is given back")


def test_an_actor_of_the_node_that_is_killed_is_replaced(
    node: tr.Arena, actor: Any
) -> None:
    where = ray_views._origin(array := handed(node, actor)).where
    assert len(ray_objects._fetched(where, 8, 24)) == 16
    name = f"tensoring.{where.node}"
    for _ in range(2):
        ray.kill(ray.get_actor(name, namespace="tensoring"))
        assert np.array_equal(ray_objects._fetched(where, 0, None).view("f8"), X.ravel())
    cells = ray_objects.cells_of(where.node)
    assert cells is not None
    assert ray_objects._sweep(cells) == kept() + 1 == 1  # nobody counts it
    assert np.array_equal(array, X)


def test_views_in_a_full_arena(node: tr.Arena, actor: Any) -> None:
    node.queue("views").send(X, LONGEST)
    array = node.queue("views").receive(LONGEST)
    refs = [ray.put(array) for _ in range(5)]
    found = [looks_into_a_slot(ray.get(ref)) for ref in refs]
    assert found == [True] * 3 + [False] * 2
    del refs
    until(lambda: kept() == 0, "the slots are given back")


def test_a_view_that_nobody_counts_is_handed_on_as_a_copy(
    node: tr.Arena, actor: Any
) -> None:
    got = ray.get(actor.give.remote(X))
    kill_what_counts()
    ref = ray.put(got)
    assert kept() == 2
    shared = [tensoring.ray.share(X) for _ in range(3)]  # sweeps the first one
    assert [one.by_reference for one in shared] == [True, True, False]
    assert ray.get(actor.seen.remote(ref)) == (X.sum(), True)
    del ref, got, shared
    until(lambda: kept() == 0, "the slots are given back")


def test_a_compiled_graph_has_copies(node: tr.Arena, actor: Any) -> None:
    """Its channels do not count the references in what they carry."""
    dag = pytest.importorskip("ray.dag")
    with dag.InputNode() as given:
        output = actor.back.bind(given)
    compiled = output.experimental_compile()
    try:
        node.queue("views").send(X, LONGEST)
        array = node.queue("views").receive(LONGEST)
        got = ray.get(compiled.execute(array), timeout=LONGEST)
        assert np.array_equal(got, X)
        del got, array
    finally:
        compiled.teardown()
    until(lambda: kept() == 0, "the slot is given back")
