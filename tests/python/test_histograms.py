# SPDX-License-Identifier: MIT
"""What queues and services count: waits, service times, batches."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

import tensoring as tr


def test_a_queue_counts_what_its_messages_wait(arena: tr.Arena) -> None:
    queue = arena.queue("q", 8, histograms=True)
    assert queue.histogram().count == 0
    assert math.isnan(queue.histogram().mean)
    assert math.isnan(queue.histogram().quantile(0.5))
    begin = time.monotonic()
    queue.send(np.zeros(4))
    sent = time.monotonic()
    assert arena.stats()["totals"]["slots_queued"] == 1
    asked = time.monotonic()
    queue.receive()
    received = time.monotonic()
    found = queue.histogram("wait")
    assert found.count == 1
    assert asked - sent <= found.sum <= received - begin
    assert found.mean == found.sum
    [(bound, count)] = found.buckets
    assert (count, found.quantile(0.99)) == (1, bound)
    assert found.sum <= bound <= max(1e-9, 1.26 * found.sum)
    assert "wait of 1" in repr(found)


def test_a_service_counts_without_being_asked(arena: tr.Arena) -> None:
    service = arena.service("s")
    server = threading.Thread(target=service.serve, args=(lambda x: x + 1,))
    server.start()
    for i in range(10):
        assert service.call(i, timeout=30) == i + 1
    service.shutdown()
    server.join(30)
    assert service.histogram().count == 10
    assert service.histogram("wait").count == 10
    assert service.histogram("batch_size").count == 0
    [one] = [one for one in arena.stats()["channels"] if one["name"] == "s"]
    assert one["histograms"].keys() == {"wait", "service_time", "batch_size"}
    counted = one["histograms"]["service_time"]
    assert counted["count"] == 10 == sum(count for _, count in counted["buckets"])
    assert service.histogram().sum == pytest.approx(counted["sum"] / 1e9)
    json.dumps(arena.stats())


def test_a_channel_counts_only_if_asked(arena: tr.Arena) -> None:
    plain = arena.queue("plain")
    service = arena.service("s", histograms=False)
    arena.board("b")
    arena.broadcast("n")
    for one in (plain, service):
        with pytest.raises(tr.NotFoundError, match="histograms=True"):
            one.histogram()
    assert all(one["histograms"] == {} for one in arena.stats()["channels"])
    with pytest.raises(ValueError, match="kind"):
        arena.queue("q", histograms=True).histogram("size")
    again = pickle.loads(pickle.dumps(arena.queue("q", histograms=True)))
    assert again.histogram().count == 0


def test_batches_are_counted_by_their_rows(arena: tr.Arena) -> None:
    service = arena.service("s", 16)
    sizes: list[int] = []

    def predict(batch: tr.Batch) -> Any:
        sizes.append(len(batch))
        return batch.x

    server = threading.Thread(target=service.serve_batches, args=(predict,))
    server.start()
    for rows in (1, 2, 32):
        assert len(service.call(np.ones((rows, 3)), timeout=30)) == rows
    service.shutdown()
    server.join(30)
    found = service.histogram("batch_size")
    assert sizes == [1, 2, 32]
    assert (found.count, found.sum) == (3, 35.0)
    assert found.buckets == [(1.0, 1), (2.0, 1), (32.0, 1)]


def take(queue: tr.ArenaQueue) -> None:
    for _ in range(5):
        queue.receive()
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_the_dead_have_counted_stays(arena: tr.Arena) -> None:
    queue = arena.queue("q", 32, histograms=True)
    for i in range(8):
        queue.send(i)
    child = multiprocessing.Process(target=take, args=(queue,))
    child.start()
    child.join(60)
    arena.reap()
    assert queue.histogram().count == 5
    [one] = [one for one in tr.Arena.look(arena.fd)["channels"] if one["name"] == "q"]
    assert one["histograms"]["wait"]["count"] == 5
