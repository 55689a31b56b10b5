# SPDX-License-Identifier: MIT
"""Measure ProxyStore's FileConnector and serializers beside ours: JSON, tables, a plot.

python bench/proxystore/run.py [--out build/bench] [--seconds 0.05] [--all] [--quick]
    [--rounds 7] [--sizes 1000,100000] [--files /dev/shm]

An object of each kind (NumPy, pandas, polars, torch) is put, got and evicted by each way,
in one process; then a proxy of it is resolved in another process. The ways take turns; a
figure is the median of the rounds, with the smallest and the largest. Sizes go up to
16 MB, with --all to 800 MB: in at most three rounds, without compression, with 6 GB of
memory. Packages that are not installed are left out."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import pickle
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from proxystore.connectors.file import FileConnector
from proxystore.proxy import extract
from proxystore.store import Store

import report
import tensoring as tr
from tensoring.proxystore import Codec, TensoringConnector

SIZES = (1_000, 10_000, 100_000, 1_769_472, 16_000_000)
MORE = (100_000_000, 800_000_000)
COLUMNS = 10
ROUNDS = 7
NAME = f"bench-proxystore-{os.getpid()}"
_VERSIONS = ("tensoring", "proxystore", "numpy", "pandas", "polars", "torch", "zstandard")

Rounds = dict[str, dict[str, list[float]]]  # way, step, seconds of each round
Way = Callable[[], Store[Any]]


# ---- objects


def values(nbytes: int, compressible: bool) -> Any:
    """float64 as random as can be, or whole numbers below 100."""
    rng = np.random.default_rng(1)
    count = max(1, nbytes // 8)
    if compressible:
        return rng.integers(0, 100, count).astype("f8")
    return rng.random(count)


def columns(array: Any) -> dict[str, Any]:
    rows = max(1, len(array) // COLUMNS)
    return {f"c{i}": array[i * rows : (i + 1) * rows] for i in range(COLUMNS)}


KINDS: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda array: array,
    "pandas": lambda array: importlib.import_module("pandas").DataFrame(columns(array)),
    "polars": lambda array: importlib.import_module("polars").DataFrame(columns(array)),
    "torch": lambda array: importlib.import_module("torch").from_numpy(array),
}


def first_value(obj: Any) -> float:
    """Something of the object, so that it is really there."""
    if hasattr(obj, "iloc"):
        return float(obj.iloc[0, 0])
    if hasattr(obj, "columns"):
        return float(obj[0, 0])
    return float(obj[0])


# ---- ways


def ways(files: str, arena: str) -> dict[str, tuple[Way, bool]]:
    """Each way, and whether it compresses."""

    def by_file(**options: Any) -> Store[Any]:
        folder = tempfile.mkdtemp(dir=files, prefix=NAME)
        return Store(folder, FileConnector(folder), cache_size=0, **options)

    def by_arena(**options: Any) -> Store[Any]:
        name = f"{arena}-{time.monotonic_ns()}"
        return Store(name, TensoringConnector(arena), cache_size=0, **options)

    def ours(codec: Codec) -> dict[str, Any]:
        return {"serializer": codec.serialize, "deserializer": codec.deserialize}

    def store(codec: Codec) -> Store[Any]:
        name = f"{arena}-{time.monotonic_ns()}"
        return TensoringConnector(arena).store(name, codec, cache_size=0)

    zstd = Codec(compress="zstd")
    return {
        "FileConnector, their serializers": (by_file, False),
        "FileConnector, our serializers": (lambda: by_file(**ours(Codec())), False),
        "arena, their serializers": (by_arena, False),
        "arena, our serializers": (lambda: store(Codec()), False),
        "FileConnector, zstd": (lambda: by_file(**ours(zstd)), True),
        "arena, zstd": (lambda: store(zstd), True),
    }


@contextlib.contextmanager
def room(nbytes: int) -> Iterator[str]:
    """An arena with room for some objects of the size."""
    slot = int(nbytes * 1.1) + 65536
    with tr.Arena.create(NAME, [(4096, 16), (slot, 3)]) as arena:
        try:
            yield str(arena.name)
        finally:
            tr.Arena.unlink(NAME)


# ---- measurements


def one_turn(store: Store[Any], obj: Any, count: int) -> dict[str, float]:
    """Seconds of a put, a get and an eviction, each the mean of `count`."""
    took = {"put": 0.0, "get": 0.0, "evict": 0.0}
    for _ in range(count):
        began = time.perf_counter()
        key = store.put(obj)
        put = time.perf_counter()
        got = store.get(key)
        first_value(got)
        there = time.perf_counter()
        del got
        store.evict(key)
        gone = time.perf_counter()
        took["put"] += (put - began) / count
        took["get"] += (there - put) / count
        took["evict"] += (gone - there) / count
    return took | {"all": sum(took.values())}


def turns(
    stores: dict[str, Store[Any]],
    obj: Any,
    seconds: float,
    rounds: int,
    turn: Callable[[Store[Any], Any, int], dict[str, float]],
) -> Rounds:
    """The ways take turns; a different one begins each round."""
    counts = {}
    for name, store in stores.items():
        took = turn(store, obj, 1)["all"]
        if took < 1:  # the first one is slower
            took = turn(store, obj, 1)["all"]
        counts[name] = max(1, int(seconds / took))
    found: Rounds = {name: {} for name in stores}
    names = list(stores)
    for i in range(rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            for step, took in turn(stores[name], obj, counts[name]).items():
                found[name].setdefault(step, []).append(took)
    return found


def consumer(pipe: Any) -> None:
    """Resolves the proxies that it is sent."""
    while (sent := pipe.recv_bytes()) != b"":
        proxy = pickle.loads(sent)
        value = first_value(extract(proxy))
        del proxy
        pipe.send(value)


def resolver(pipe: Any) -> Callable[[Store[Any], Any, int], dict[str, float]]:
    """A turn in which the consumer resolves a proxy: from put() to its answer."""

    def turn(store: Store[Any], obj: Any, count: int) -> dict[str, float]:
        total = 0.0
        for _ in range(count):
            began = time.perf_counter()
            proxy: Any = store.proxy(obj, populate_target=False)
            pipe.send_bytes(pickle.dumps(proxy))
            pipe.recv()
            total += time.perf_counter() - began
            store.evict(proxy.__proxy_factory__.key)
        return {"all": total / count}

    return turn


def rounds_of(nbytes: int, options: argparse.Namespace) -> int:
    rounds: int = 2 if options.quick else options.rounds
    return rounds if nbytes < MORE[0] else min(rounds, 3)


def measure(options: argparse.Namespace, sizes: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"kinds": {}, "resolved": {}, "compressible": {}}
    for kind, make in KINDS.items():
        try:
            make(values(1000, False))
        except ImportError as error:
            print(f"left out: {kind}: {error}")
            continue
        for nbytes in sizes:
            rounds = rounds_of(nbytes, options)
            with room(nbytes) as arena, contextlib.ExitStack() as stack:
                stores = {
                    name: (stack.enter_context(way()), packs)
                    for name, (way, packs) in ways(options.files, arena).items()
                }
                plain = {name: one for name, (one, packs) in stores.items() if not packs}
                everything = {name: one for name, (one, _) in stores.items()}
                obj = make(values(nbytes, False))
                cell = turns(plain, obj, options.seconds, rounds, one_turn)
                report.table(f"{kind}, {nbytes} bytes: put, get, evict", cell)
                found["kinds"].setdefault(kind, {})[nbytes] = cell
                if kind == "numpy":
                    found["resolved"][nbytes] = resolved(plain, obj, options, rounds)
                if kind == "numpy" and options.zstd and nbytes < MORE[0]:
                    small = make(values(nbytes, True))
                    cell = turns(everything, small, options.seconds, rounds, one_turn)
                    report.table(f"whole numbers, {nbytes} bytes, zstd", cell)
                    found["compressible"][nbytes] = cell
    return found


def resolved(
    stores: dict[str, Store[Any]], obj: Any, options: argparse.Namespace, rounds: int
) -> Rounds:
    pipe, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=consumer, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # if the process ends, its answer is an EOFError here
    try:
        cell = turns(stores, obj, options.seconds, rounds, resolver(pipe))
        report.table(f"{obj.nbytes} bytes: a proxy resolved in another process", cell)
        return cell
    finally:
        with contextlib.suppress(OSError):
            pipe.send_bytes(b"")
        process.join()


def installed() -> dict[str, str]:
    found = {}
    for package in _VERSIONS:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=0.05, help="of a way's turn")
    parser.add_argument("--all", action="store_true", help="up to 800 MB")
    parser.add_argument("--quick", action="store_true", help="two rounds of little")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", help="bytes, with commas between")
    parser.add_argument("--files", default="/dev/shm", help="where FileConnector writes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = (*SIZES, *MORE) if options.all else SIZES[1:4:2] if options.quick else SIZES
    if options.sizes:
        sizes = tuple(int(one) for one in options.sizes.split(","))
    options.zstd = importlib.util.find_spec("zstandard") is not None
    load = os.getloadavg()[0]
    found = measure(options, sizes)
    ratios = report.ratios(found)
    result = {
        "versions": {**installed(), "python": platform.python_version()},
        "load": [load, os.getloadavg()[0]],
        "files": options.files,
        "ratios": ratios,
        "unit": "s",
        **found,
    }
    (options.out / "proxystore.json").write_text(json.dumps(result, indent=1))
    print(f"\nload average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    report.print_ratios(ratios)
    report.plot(found, options.out / "proxystore.svg")
    assert all(statistics.median(one["rounds"]) > 0 for one in ratios)


if __name__ == "__main__":
    main()
