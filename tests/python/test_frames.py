# SPDX-License-Identifier: MIT
"""Frames of pandas and polars whose columns travel together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from alike import assert_alike
from tensoring import serializers
from tensoring._serial.arrow import _LARGE, _PLAIN
from test_hostile import refused, send


@pytest.fixture(scope="module")
def queue() -> Iterator[tr.ArenaQueue]:
    with tr.Arena(slots=[(64 << 10, 8), (16 << 20, 4)]) as arena:
        yield arena.queue("frames")


def through(queue: tr.ArenaQueue, obj: Any) -> Any:
    queue.send(obj, 0)
    return queue.receive(0)


@pytest.mark.parametrize("rows", [0, 1, 3, 20_000])
@pytest.mark.parametrize(
    "kind", ["?", "i1", "u2", "i8", "f2", "f4", "f8", "c16", "M8[s]"]
)
def test_frames_of_one_type(queue: tr.ArenaQueue, kind: str, rows: int) -> None:
    pandas = pytest.importorskip("pandas")
    values = np.arange(rows * 3).reshape(rows, 3).astype(kind)
    times = pandas.DatetimeIndex(np.arange(rows).astype("M8[s]"), name="when")
    one = pandas.DataFrame(values, columns=list("abc"))
    for frame in (
        *(one, one.set_index(times), pandas.DataFrame(values), one[["c", "a"]]),
        *(one[["b"]], one.iloc[::2], one.iloc[::-1].reset_index(drop=True)),
        pandas.DataFrame(np.asfortranarray(values), columns=[7, 5, 6]),
        pandas.DataFrame(
            {n: values[:, i].copy() for i, n in enumerate("xyz")}, copy=False
        ),
        *(
            one.assign(d=one.a, t=["text"] * rows),
            one.assign(d=np.arange(rows, dtype="i4")),
        ),
        one.set_axis(["same", "same", "other"], axis=1),
    ):
        assert_alike(through(queue, frame), frame)


def test_frames_of_one_type_are_looked_into(queue: tr.ArenaQueue) -> None:
    pandas = pytest.importorskip("pandas")
    for columns in (2, 3, 40):
        frame = pandas.DataFrame(np.random.default_rng(1).random((1000, columns)))
        queue.send(frame)
        message = queue.receive_message(1.0)
        assert len(message) == 2  # the head, and all columns
        found = serializers.decode(message)
        message.array(1)[...] = 7
        assert (found.to_numpy() == 7).all()
        del found


def test_frames_with_the_same_names_are_apart(queue: tr.ArenaQueue) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.zeros((2, 3)), columns=["a", 1, "c"])
    first, second = through(queue, frame), through(queue, frame)
    first.columns.name = "letters"
    first.columns = ["x", "y", "z"]
    assert_alike(second, frame)
    assert_alike(through(queue, frame), frame)


def test_large_frames_of_polars(queue: tr.ArenaQueue) -> None:
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    n = 40_000
    numbers = polars.Series("n", np.arange(n))
    types = [getattr(polars, name) for name in _PLAIN[:11]]
    columns = {str(one): numbers.cast(one, strict=False) for one in types}
    columns |= {
        "date": numbers.cast(polars.Int32).cast(polars.Date),
        "time": (numbers * 1000).cast(polars.Time),
        "utc": numbers.cast(polars.Datetime("ms", "UTC")),
        "ns": numbers.cast(polars.Datetime("ns")),
        "long": numbers.cast(polars.Duration("us")),
    }
    plain = polars.DataFrame(columns).with_columns(
        nulls=polars.when(numbers % 3 == 0).then(numbers)
    )
    assert plain.estimated_size() > _LARGE
    texts = plain.with_columns(t=polars.Series(["text"] * n), c=polars.Series(["a"] * n))
    category = texts.with_columns(polars.col("c").cast(polars.Categorical))
    for frame in (
        *(
            plain,
            plain[7:30_000],
            plain[::-3],
            polars.concat([plain, plain], rechunk=False),
        ),
        *(texts, category, polars.concat([texts[:9], texts], rechunk=False)),
    ):
        got = through(queue, frame)
        assert got.schema == frame.schema
        assert got.equals(frame)


def test_blocks_that_are_broken(queue: tr.ArenaQueue) -> None:
    pytest.importorskip("pandas")
    kind = "application/x-pandas"
    head = {
        "columns": [["a", "block"], ["b", "block"]],
        "index": ["range", 0, 3, 1],
        "index_name": None,
    }
    text = json.dumps(head).encode()
    for block, why in (
        (np.zeros((3, 3)), "2 names of 3 columns"),
        (np.zeros(3), "columns of shape"),
        (np.zeros((3, 2, 1)), "columns of shape"),
        (np.zeros((3, 2), "S1"), "columns of shape"),
        (np.zeros((4, 2)), "rows"),
    ):
        refused(queue, kind, text, block, match=why)
    refused(queue, kind, text, match="fewer parts")
    mixed = {**head, "columns": [["a", "block"], ["b", "raw"]]}
    refused(queue, kind, json.dumps(mixed).encode(), np.zeros((3, 2)), match="kind")
    send(queue, kind, text, np.arange(6, dtype=">i4").reshape(3, 2))
    assert queue.receive(0).sum().tolist() == [6, 9]
