# SPDX-License-Identifier: MIT
"""Every option of the Python interface: what is wrong says which option, what it is, and
what it may be."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME

U32, U64, FD = (1 << 32) - 1, (1 << 64) - 1, (1 << 31) - 1


class Scene(NamedTuple):
    """What the options are of."""

    arena: tr.Arena
    queue: Any
    board: tr.Board
    broadcast: tr.Broadcast
    service: tr.Service
    waits: tr.WaitSet
    pool: tr.Pool
    executor: tr.Executor
    stand_in: tr.Queue


@pytest.fixture(scope="module")
def things() -> Iterator[Scene]:
    arena = tr.Arena([(4096, 8)])
    scene = Scene(
        arena,
        arena.queue("queue"),
        arena.board("board"),
        arena.broadcast("broadcast"),
        arena.service("service"),
        arena.wait_set(),
        tr.Pool(1),
        tr.Executor(1),
        tr.Queue(2),
    )
    scene.board["key"] = 1
    yield scene
    scene.stand_in.close()
    scene.executor.shutdown()
    scene.pool.terminate()
    arena.close()


class Kind(NamedTuple):
    """Values that are wrong, and what the error says besides these and the option."""

    wrong: list[Any]
    says: str


TYPES: list[Any] = ["x", 2.5, [], {}]


def whole(least: int, most: int) -> Kind:
    return Kind([*TYPES, None, least - 1, most + 1], rf"\b{least}\b.*\b{most}\b")


def whole_or_none(least: int, most: int) -> Kind:
    return Kind([*TYPES, least - 1, most + 1], rf"\b{least}\b.*\b{most}\b.*or None")


FLAG = Kind([*TYPES, None, -1, 2, 1 << 70], "True or False")
TEXT = Kind([5, 2.5, [], None, b"x", "a\0b"], "give a str")
KEY = Kind([5, 2.5, (), None, b"x", "a\0b"], "give a str")
TIMEOUT = Kind(["x", [], b"1"], "seconds.*or None")
LATE = Kind([-1, -0.5, float("-inf")], "0 or more.*or None")
SPIN = Kind(["x", [], -1, float("nan")], "0 or more seconds.*or None")
VERSION = Kind([*TYPES, -1, U64 + 1], f"from 0 to {U64}")
PAIRS = Kind(["x", 2.5, -1, True, [5], [(1, 2, 3)], []], r"\[\(bytes, count\)")
CALLABLE = Kind(["x", 5, []], "callable")
CONTEXT = Kind(["spawn", 5, True], "get_context")
NO_POOL = Kind(["x", 2.5, [], 0, -1, 225], "224.*or None")


def of(choices: str) -> Kind:
    return Kind(["x", 2.5, None, []], f"is one of {choices}")


def arena_with(option: str, **more: Any) -> Callable[[Scene, Any], Any]:
    return lambda scene, value: tr.Arena([(4096, 1)], **{option: value}, **more)


def pool_with(option: str) -> Callable[[Scene, Any], Any]:
    return lambda scene, value: tr.Pool(**{"processes": 1, option: value})


def executor_with(option: str) -> Callable[[Scene, Any], Any]:
    return lambda scene, value: tr.Executor(**{"max_workers": 1, option: value})


def of_arena(method: str, option: str) -> Callable[[Scene, Any], Any]:
    return lambda scene, value: getattr(scene.arena, method)("new", **{option: value})


Row = tuple[str, str, Kind, Callable[[Scene, Any], Any]]

ARENA: list[Row] = [
    ("Arena", name, whole(0, most), arena_with(name))
    for name, most in (
        ("max_participants", U32),
        ("max_channels", U32),
        ("ring_bytes", U64),
        ("eventfds", U32),
        ("pins", U32),
        ("mode", 0o777),
    )
]
ARENA += [
    ("Arena", name, FLAG, arena_with(name))
    for name in (
        "populate",
        "huge",
        "lazy",
        "elastic",
        "allow_pickle",
        "crc32c",
        "overcommit",
        "dump",
        "scrub",
    )
]
ARENA += [
    ("Arena", "slots", PAIRS, lambda scene, value: tr.Arena(value)),
    (
        "Arena",
        "bytes_of_a_slot",
        whole(0, U64),
        lambda scene, value: tr.Arena([(value, 1)]),
    ),
    (
        "Arena",
        "count_of_slots",
        whole(0, U64),
        lambda scene, value: tr.Arena([(4096, value)]),
    ),
    ("Arena", "name", Kind([5, b"x"], "give a str"), arena_with("name")),
    ("Arena", "memory_bytes", whole(0, U64), arena_with("memory_bytes", elastic=True)),
    ("Arena", "warm_bytes", whole(0, U64), arena_with("warm_bytes", elastic=True)),
    ("Arena", "spin", SPIN, arena_with("spin")),
    ("Arena", "max_expansion", whole(1, U32), arena_with("max_expansion")),
    (
        "Arena",
        "uid",
        Kind([2.5, [], -1, U32], f"0 to {U32 - 1}, or a name"),
        arena_with("uid", name=f"{NAME}-options"),
    ),
    (
        "Arena",
        "gid",
        Kind([2.5, [], -1, U32], f"0 to {U32 - 1}, or a name"),
        arena_with("gid", name=f"{NAME}-options"),
    ),
    ("attach", "name", TEXT, lambda scene, value: tr.Arena.attach(value)),
    ("attach", "group", FLAG, lambda scene, value: tr.Arena.attach("x", group=value)),
    (
        "attach",
        "owner",
        Kind([2.5, [], -1, U32], f"0 to {U32 - 1}, or a name"),
        lambda scene, value: tr.Arena.attach("x", owner=value),
    ),
    (
        "attach",
        "timeout",
        TIMEOUT,
        lambda scene, value: tr.Arena.attach("x", timeout=value),
    ),
    (
        "attach",
        "allow_pickle",
        FLAG,
        lambda scene, value: tr.Arena.attach("x", allow_pickle=value),
    ),
    (
        "attach",
        "max_expansion",
        whole(1, U32),
        lambda scene, value: tr.Arena.attach("x", max_expansion=value),
    ),
    ("attach_fd", "fd", whole(0, FD), lambda scene, value: tr.Arena.attach_fd(value)),
    (
        "attach_fd",
        "allow_pickle",
        FLAG,
        lambda scene, value: tr.Arena.attach_fd(scene.arena.fd, allow_pickle=value),
    ),
    (
        "attach_fd",
        "max_expansion",
        whole(1, U32),
        lambda scene, value: tr.Arena.attach_fd(scene.arena.fd, max_expansion=value),
    ),
    ("unlink", "name", TEXT, lambda scene, value: tr.Arena.unlink(value)),
    ("sweep", "prefix", TEXT, lambda scene, value: tr.Arena.sweep(value)),
    (
        "look",
        "arena",
        Kind([2.5, [], None, -1, FD + 1], f"0 to {FD}, a descriptor, or a name"),
        lambda scene, value: tr.Arena.look(value),
    ),
    ("set_spin", "seconds", SPIN, lambda scene, value: scene.arena.set_spin(value)),
]
CHANNELS: list[Row] = [
    (method, "name", TEXT, lambda scene, value, m=method: getattr(scene.arena, m)(value))
    for method in ("queue", "broadcast", "board", "service")
]
CHANNELS += [
    (method, option, whole(0, U32), of_arena(method, option))
    for method, option in (
        ("queue", "capacity"),
        ("queue", "max_deliveries"),
        ("service", "capacity"),
        ("service", "max_deliveries"),
        ("board", "capacity"),
        ("broadcast", "capacity"),
        ("broadcast", "keep"),
        ("broadcast", "max_subscribers"),
    )
]
CHANNELS += [
    ("queue", "policy", of("redeliver, drop"), of_arena("queue", "policy")),
    ("service", "policy", of("redeliver, drop"), of_arena("service", "policy")),
    ("queue", "stamp", FLAG, of_arena("queue", "stamp")),
    ("broadcast", "stamp", FLAG, of_arena("broadcast", "stamp")),
    ("queue", "histograms", FLAG, of_arena("queue", "histograms")),
    ("service", "histograms", FLAG, of_arena("service", "histograms")),
    (
        "subscribe",
        "lag",
        of("block"),
        lambda scene, value: scene.broadcast.subscribe(value),
    ),
    (
        "subscribe",
        "last",
        whole(0, U32),
        lambda scene, value: scene.broadcast.subscribe(last=value),
    ),
    (
        "loan",
        "shape",
        Kind(["x", 2.5, None, {1.5}, (2, 0.5)], "a whole number or a sequence"),
        lambda scene, value: scene.queue.loan(value).__enter__(),
    ),
    (
        "loan",
        "order",
        Kind(["x", 2.5, None, []], "'C' or 'F'"),
        lambda scene, value: scene.queue.loan(2, order=value).__enter__(),
    ),
    (
        "receive_as",
        "content_type",
        Kind([5, None, []], "give a str"),
        lambda scene, value: scene.queue.receive_as(value, 0),
    ),
    (
        "receive_many",
        "limit",
        Kind(TYPES, "whole number"),
        lambda scene, value: scene.queue.receive_many(value, 0),
    ),
    ("put", "expected", VERSION, lambda scene, v: scene.board.put("key", 2, expected=v)),
    ("put", "key", KEY, lambda scene, value: scene.board.put(value, 1)),
    ("setitem", "key", KEY, lambda scene, value: scene.board.__setitem__(value, 1)),
    ("getitem", "key", KEY, lambda scene, value: scene.board[value]),
    ("delitem", "key", KEY, lambda scene, value: scene.board.__delitem__(value)),
    ("version", "key", KEY, lambda scene, value: scene.board.version(value)),
    ("versioned", "key", KEY, lambda scene, value: scene.board.versioned(value)),
    ("wait", "key", KEY, lambda scene, value: scene.board.wait(value, timeout=0)),
    (
        "wait",
        "newer_than",
        VERSION,
        lambda scene, value: scene.board.wait("key", value, 0),
    ),
    ("watch", "key", KEY, lambda scene, value: scene.board.watch(value)),
    (
        "watch",
        "newer_than",
        Kind([*TYPES, None, -1, U64 + 1], f"from 0 to {U64}"),
        lambda scene, value: scene.board.watch("key", value),
    ),
    (
        "get_many",
        "keys",
        Kind([5, None, 2.5], "a list of keys"),
        lambda scene, value: scene.board.get_many(value),
    ),
    ("get_many", "key", KEY, lambda scene, value: scene.board.get_many([value])),
    ("add", "want", whole(0, U32), lambda scene, v: scene.waits.add(scene.queue, v)),
    (
        "add",
        "",
        Kind(["x", 2.5, None, []], "queues, subscriptions, watches and descriptors"),
        lambda scene, value: scene.waits.add(value),
    ),
    ("remove", "token", whole(0, U64), lambda scene, value: scene.waits.remove(value)),
    (
        "serve",
        "limit",
        whole_or_none(0, U64),
        lambda scene, value: scene.service.serve(len, value),
    ),
]
CHANNELS += [
    (method, "timeout", kind, call)
    for kind in (TIMEOUT, LATE)
    for method, call in (
        ("send", lambda scene, value: scene.queue.send(1, value)),
        ("receive", lambda scene, value: scene.queue.receive(value)),
        ("send_many", lambda scene, value: scene.queue.send_many([1], value)),
        ("loan", lambda scene, value: scene.queue.loan(2, timeout=value).__enter__()),
        ("publish", lambda scene, value: scene.broadcast.publish(1, value)),
        ("put", lambda scene, value: scene.board.put("key", 1, timeout=value)),
        ("wait", lambda scene, value: scene.board.wait("key", 0, value)),
        ("WaitSet.wait", lambda scene, value: scene.waits.wait(value)),
        ("call", lambda scene, value: scene.service.call(1, value)),
        ("serve_one", lambda scene, value: scene.service.serve_one(len, value)),
    )
]
PLANS: list[Row] = [
    ("Plan", "workers", whole(0, U32), lambda scene, value: tr.Plan(value)),
    (
        "Plan",
        "reserve_cores",
        whole(0, U32),
        lambda scene, value: tr.Plan(1, reserve_cores=value),
    ),
    (
        "Plan",
        "cores_per_worker",
        whole(0, U32),
        lambda scene, value: tr.Plan(1, cores_per_worker=value),
    ),
    ("Plan", "policy", of("compact"), lambda scene, value: tr.Plan(1, policy=value)),
    ("Plan", "fast_only", FLAG, lambda scene, value: tr.Plan(1, fast_only=value)),
    ("Plan", "no_quota", FLAG, lambda scene, value: tr.Plan(1, no_quota=value)),
    ("enter", "index", whole(0, U32), lambda scene, value: tr.Plan(1).enter(value)),
]
MEMORY = Kind(["x", 2.5, [], -1, 0, 100, U64 + 1], rf"whole number.* to {U64}.*or None")
STAND_INS: list[Row] = [
    (
        kind.__name__,
        "maxsize",
        Kind([*TYPES, None, 1 << 31], f"whole number.* to {FD}, 0 for no limit"),
        lambda scene, value, kind=kind: kind(value),
    )
    for kind in (tr.Queue, tr.JoinableQueue)
]
STAND_INS += [
    (kind.__name__, option, kinds, lambda scene, v, k=kind, o=option: k(**{o: v}))
    for kind in (tr.Queue, tr.SimpleQueue, tr.JoinableQueue)
    for option, kinds in (("memory_bytes", MEMORY), ("slots", PAIRS))
]
STAND_INS += [
    ("Queue.put", "timeout", TIMEOUT, lambda scene, v: scene.stand_in.put(1, True, v)),
    ("Queue.get", "timeout", TIMEOUT, lambda scene, v: scene.stand_in.get(True, v)),
    (
        "Queue.put_many",
        "timeout",
        TIMEOUT,
        lambda scene, v: scene.stand_in.put_many([1], True, v),
    ),
    (
        "Queue.get_many",
        "limit",
        Kind(TYPES, "whole number"),
        lambda scene, v: scene.stand_in.get_many(v),
    ),
    ("Pool", "processes", NO_POOL, pool_with("processes")),
    (
        "Pool",
        "maxtasksperchild",
        Kind([*TYPES, 0, -1], "positive int or None"),
        pool_with("maxtasksperchild"),
    ),
    ("Pool", "context", CONTEXT, pool_with("context")),
    ("Pool", "copy", FLAG, pool_with("copy")),
    ("Executor", "context", CONTEXT, executor_with("mp_context")),
    ("Executor", "max_workers", NO_POOL, executor_with("max_workers")),
    (
        "Executor",
        "max_tasks_per_child",
        Kind([*TYPES, 0, -1], "1, or None"),
        executor_with("max_tasks_per_child"),
    ),
    (
        "Pool.map",
        "chunksize",
        Kind([*TYPES, 0, -1], r"1\+|from 1"),
        lambda scene, value: scene.pool.map(abs, [1], value),
    ),
    (
        "Pool.imap",
        "chunksize",
        Kind([*TYPES, None, 0, -1], r"1\+|from 1"),
        lambda scene, value: scene.pool.imap(abs, [1], value),
    ),
    (
        "Executor.map",
        "chunksize",
        Kind([*TYPES, None, 0, -1], "from 1"),
        lambda scene, value: scene.executor.map(abs, [1], chunksize=value),
    ),
]
STAND_INS += [
    (name, option, kind, make(option))
    for name, make in (("Pool", pool_with), ("Executor", executor_with))
    for option, kind in (
        ("memory_bytes", MEMORY),
        ("slots", PAIRS),
        ("initializer", CALLABLE),
        ("initargs", Kind([5, 2.5, None], "a tuple of arguments")),
        ("threads", Kind(["x", 2.5, [], 0, -1, U32 + 1], f'"auto".*1 to {U32}, or None')),
    )
]
OTHERS: list[Row] = [
    (
        "register",
        "id",
        Kind([5, None, []], "give a str"),
        lambda scene, value: tr.register(value, "n", "x/x", bool, list, list),
    ),
    (
        "register",
        "content_type",
        Kind([5, None, [], "x" * 64], "give a str|at most 63 bytes"),
        lambda scene, value: tr.register("NN", "n", value, bool, list, list),
    ),
    ("compressed", "codec", of("zstd, lz4"), lambda scene, value: tr.compressed(value)),
    (
        "As",
        "",
        Kind(["x", 5, None, []], "no serializer.*application/x-npy"),
        lambda scene, value: scene.queue.send(tr.As(np.ones(1), value)),
    ),
]
ROWS = [*ARENA, *CHANNELS, *PLANS, *STAND_INS, *OTHERS]


def shown(value: Any) -> str:
    """As an error shows it: long ones are cut."""
    return re.escape(
        str(value)[:10] if isinstance(value, int | float) else repr(value)[:9]
    )


@pytest.mark.parametrize(
    ("option", "kind", "call"),
    [row[1:] for row in ROWS],
    ids=[f"{row[0]}-{row[1]}-{i}" for i, row in enumerate(ROWS)],
)
def test_wrong_values_are_named(
    things: Scene, option: str, kind: Kind, call: Callable[[Scene, Any], Any]
) -> None:
    for value in kind.wrong:
        with pytest.raises((TypeError, ValueError)) as caught:
            call(things, value)
        text = str(caught.value)
        assert option in text, value
        assert re.search(kind.says, text, re.DOTALL), (value, text)
        if value != []:
            assert re.search(shown(value), text), (value, text)


# Objects, that are taken as they are; names and what is only looked up.
FREE = {"self", "context", "mp_context", "initializer", "initargs", "ctx", "args"}


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Arena", tr.Arena.__new__),
        ("attach", tr.Arena.attach),
        ("attach_fd", tr.Arena.attach_fd),
        ("queue", tr.Arena.queue),
        ("broadcast", tr.Arena.broadcast),
        ("board", tr.Arena.board),
        ("service", tr.Arena.service),
        ("subscribe", tr.Broadcast.subscribe),
        ("Plan", tr.Plan.__init__),
        ("Queue", tr.Queue.__init__),
        ("SimpleQueue", tr.SimpleQueue.__init__),
        ("JoinableQueue", tr.JoinableQueue.__init__),
        ("Pool", tr.Pool.__init__),
        ("Executor", tr.Executor.__init__),
    ],
)
def test_no_option_is_left_out(name: str, made: Any) -> None:
    there = {row[1] for row in ROWS if row[0] == name}
    options = set(inspect.signature(made).parameters) - FREE - {"cls"}
    assert options - there == set()
