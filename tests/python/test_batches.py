# SPDX-License-Identifier: MIT
"""Requests that are answered in batches."""

from __future__ import annotations

import asyncio
import os
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from batching import LONGEST, Calls, answer, until
from conftest import free
from tensoring._arena import pace
from tensoring._arena.batch import MAX_PADDED, SMALL, Form


@pytest.fixture
def service(arena: tr.Arena) -> tr.Service:
    return arena.service("model")


def double(batch: tr.Batch) -> Any:
    return batch.x * 2


def rows(count: int, length: int = 3) -> list[Any]:
    return [np.full(length, float(i)) for i in range(count)]


def test_what_waits_is_one_batch(service: tr.Service) -> None:
    before = free(service.arena)
    calls = Calls(service, rows(8))
    shapes = []

    def predict(batch: tr.Batch) -> Any:
        shapes.append((batch.x.shape, batch.x.flags.c_contiguous, batch.lengths))
        return batch.x.sum(axis=1)

    assert answer(service, predict) == [8]
    assert shapes == [((8, 3), True, None)]
    assert calls.join() == [3.0 * i for i in range(8)]
    assert free(service.arena) == before


def test_each_gets_its_own_rows(service: tr.Service) -> None:
    given = [np.arange(2.0), np.ones((3, 2)), np.zeros((0, 2)), np.full((1, 2), 7.0)]
    calls = Calls(service, given)
    assert answer(service, double) == [5]
    for x, y in zip(given, calls.join(), strict=True):
        assert y.shape == x.shape
        assert np.array_equal(y, x * 2)


def test_the_size_counts_rows(service: tr.Service) -> None:
    given = [np.full((n, 2), float(n)) for n in (3, 3, 3, 2, 5, 8, 1)]
    calls = Calls(service, given)
    assert answer(service, double, max_batch_size=8) == [6, 5, 5, 8, 1]
    assert [len(y) for y in calls.join()] == [3, 3, 3, 2, 5, 8, 1]


def test_too_many_rows_are_refused(service: tr.Service) -> None:
    calls = Calls(service, [np.zeros((9, 2)), np.zeros(2)])
    assert answer(service, double, max_batch_size=8) == [1]
    error, fine = calls.join()
    assert fine.tolist() == [0, 0]
    assert isinstance(error, tr.RemoteError)
    assert error.remote_code == 413
    assert "9 rows, a batch at most 8" in str(error)


def test_shapes_and_types_are_kept_apart(service: tr.Service) -> None:
    a, b, c = np.zeros(2), np.ones(3), np.zeros(2, "f4")
    calls = Calls(service, [a, b, c, a, b, c, a])
    kinds = []

    def predict(batch: tr.Batch) -> Any:
        kinds.append((batch.x.shape, batch.x.dtype.char))
        return batch.x

    answer(service, predict)
    assert kinds == [((3, 2), "d"), ((2, 3), "d"), ((2, 2), "f")]
    assert [y.shape for y in calls.join()] == [(2,), (3,), (2,), (2,), (3,), (2,), (2,)]


def test_rows_of_more_dimensions(service: tr.Service) -> None:
    image = np.zeros((3, 4, 5), "f4")
    calls = Calls(service, [image, np.stack([image, image]), np.zeros((4, 5))])
    assert answer(service, lambda batch: batch.x[:, 0, 0, 0], row_ndim=3) == [3]
    one, two, wrong = calls.join()
    assert (one, two.tolist()) == (0, [0, 0])
    assert wrong.remote_code == 400
    assert "shape (4, 5); a row of this service has 3 dimensions" in str(wrong)


def test_rows_are_padded(service: tr.Service) -> None:
    given = [np.arange(1.0, 3), np.arange(1.0, 5), np.ones((2, 3))]
    calls = Calls(service, given)
    seen = []

    def predict(batch: tr.Batch) -> Any:
        seen.append((batch.x.copy(), batch.lengths))
        return [x[:n] for x, n in zip(batch.x, batch.lengths, strict=True)]

    answer(service, predict, ragged="pad")
    ((x, lengths),) = seen
    assert x.tolist() == [[1, 2, 0, 0], [1, 2, 3, 4], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert lengths.tolist() == [2, 4, 3, 3]
    first, second, third = calls.join()
    assert (first.tolist(), second.tolist()) == ([1, 2], [1, 2, 3, 4])
    assert [one.tolist() for one in third] == [[1, 1, 1], [1, 1, 1]]


def test_padding_is_clean_in_kept_memory(service: tr.Service) -> None:
    seen = []

    def predict(batch: tr.Batch) -> Any:
        seen.append(batch.x.tolist())
        return batch.x

    calls = Calls(service, [np.full(4, 9.0), np.full(4, 9.0), np.ones(1), np.ones(2)])
    answer(service, predict, ragged="pad", max_batch_size=2)
    calls.join()
    assert seen[1] == [[1, 0], [1, 1]]


def test_a_padded_batch_has_a_limit(service: tr.Service) -> None:
    """A long row among short ones goes with few of them; one above the limit alone."""
    given = [np.ones(n, "u1") for n in (1, 1, 1, 400, 1, 1, 2000, 1, 1)]
    calls = Calls(service, given)
    shapes = []

    def predict(batch: tr.Batch) -> Any:
        shapes.append(batch.x.shape)
        return batch.lengths

    answer(service, predict, ragged="pad", max_padded_bytes=1000)
    assert shapes == [(3, 1), (2, 400), (1, 1), (1, 2000), (2, 1)]
    assert calls.join() == [len(x) for x in given]


def test_a_request_of_many_rows_has_the_limit_too(service: tr.Service) -> None:
    given = [np.ones((n, m), "u1") for n, m in ((5, 10), (0, 9999), (1, 11), (5, 10))]
    calls = Calls(service, given)
    shapes = []

    def predict(batch: tr.Batch) -> Any:
        shapes.append(batch.x.shape)
        return batch.lengths

    answer(service, predict, ragged="pad", max_padded_bytes=70)
    assert shapes == [(6, 11), (5, 10)]
    assert [len(y) for y in calls.join()] == [5, 0, 1, 5]


def test_rows_are_concatenated(service: tr.Service) -> None:
    calls = Calls(service, [np.arange(2), np.arange(3), np.ones((2, 1), int)])
    seen = []

    def predict(batch: tr.Batch) -> Any:
        seen.append((batch.x.tolist(), batch.lengths.tolist()))
        return np.add.reduceat(batch.x, np.cumsum([0, *batch.lengths[:-1]]))

    assert answer(service, predict, ragged="concat") == [4]
    assert seen == [([0, 1, 0, 1, 2, 1, 1], [2, 3, 1, 1])]
    first, second, third = calls.join()
    assert (first, second, third.tolist()) == (1, 3, [1, 1])


def test_a_list_takes_anything(service: tr.Service) -> None:
    given = [np.arange(3), {"a": np.ones(2), "b": [1]}, "text", np.ones((2, 2))]
    calls = Calls(service, given)
    assert answer(service, lambda batch: batch.x[::-1], ragged="list") == [4]
    ends = calls.join()
    assert np.array_equal(ends[0], given[3])
    assert ends[1] == "text"
    assert ends[2]["b"] == [1]
    assert np.array_equal(ends[3], given[0])


def test_numbers_in_lists_are_rows(service: tr.Service) -> None:
    calls = Calls(service, [[1.0, 2.0], ((3.0, 4.0), (5.0, 6.0)), {"a": np.ones(2)}, "x"])
    assert answer(service, double) == [3]
    one, two, mapping, text = calls.join()
    assert (one.tolist(), two.tolist()) == ([2, 4], [[6, 8], [10, 12]])
    assert mapping.remote_code == text.remote_code == 400
    assert "a dict cannot be in a batch of arrays" in str(mapping)


@pytest.mark.parametrize("count", [1, 3])
def test_answers_may_be_dicts(service: tr.Service, count: int) -> None:
    calls = Calls(service, rows(count))
    answer(service, lambda batch: {"sum": batch.x.sum(axis=1), "x": list(batch.x)})
    for i, end in enumerate(calls.join()):
        assert end["sum"] == 3 * i
        assert end["x"].tolist() == [i] * 3


def test_one_bad_of_eight(service: tr.Service) -> None:
    given = rows(8)
    given[3][1] = np.nan
    calls = Calls(service, given)

    def predict(batch: tr.Batch) -> Any:
        for i, row in enumerate(batch.x):
            if not np.isfinite(row).all():
                batch.fail(i, "not finite", status=422)
        return batch.x

    assert answer(service, predict) == [8]
    ends = calls.join()
    error = ends.pop(3)
    assert isinstance(error, tr.RemoteError)
    assert (error.remote_code, error.status) == (422, 422)
    assert "not finite" in str(error)
    assert [y[0] for y in ends] == [0, 1, 2, 4, 5, 6, 7]


def test_an_exception_in_a_list_is_of_its_row(service: tr.Service) -> None:
    calls = Calls(service, rows(3))
    answer(service, lambda batch: [1, LookupError("no such user"), 3])
    one, error, three = calls.join()
    assert (one, three) == (1, 3)
    assert "LookupError: no such user" in str(error)
    assert error.status == 500


def test_predict_that_raises_is_asked_one_by_one(service: tr.Service) -> None:
    calls = Calls(service, rows(4))

    def predict(batch: tr.Batch) -> Any:
        if (batch.x == 2).any():
            raise ZeroDivisionError("two")
        return batch.x[:, 0]

    assert answer(service, predict) == [4, 1, 1, 1, 1]
    ends = calls.join()
    assert isinstance(ends[2], tr.RemoteError)
    assert "ZeroDivisionError: two" in str(ends[2])
    assert [*ends[:2], ends[3]] == [0, 1, 3]


@pytest.mark.parametrize("result", [np.zeros(2), None, 7, [1, 2, 3, 4]])
def test_rows_that_are_missing(service: tr.Service, result: Any) -> None:
    calls = Calls(service, rows(3))
    answer(service, lambda batch: result)
    assert all("predict() returned" in str(end) for end in calls.join())


class Unsliceable(list[int]):
    """Has a length, and no rows that one can have."""

    def __getitem__(self, key: Any) -> Any:
        raise LookupError("no rows here")


def test_a_result_without_rows_does_not_end_the_server(service: tr.Service) -> None:
    calls = Calls(service, rows(2))
    assert answer(service, lambda batch: Unsliceable([1, 2])) == [2]
    assert all("LookupError: no rows here" in str(end) for end in calls.join())
    calls = Calls(service, rows(2))
    assert answer(service, lambda batch: [object(), 1]) == [2]
    unsent, fine = calls.join()
    assert "UnsupportedError" in str(unsent)
    assert fine == 1


@pytest.mark.parametrize("kind", ["M8[s]", "U5", "c8", "?", "f2", "i4,f8", ">f8"])
def test_rows_of_any_type(service: tr.Service, kind: str) -> None:
    x = np.ones(3, kind)
    calls = Calls(service, [x, x, np.ones((2, 3), kind)])
    assert answer(service, lambda batch: batch.x) == [4]
    for end in calls.join():
        assert end.dtype == x.dtype
        assert (end == x).all()


def test_all_may_fail(service: tr.Service) -> None:
    calls = Calls(service, rows(2))

    def predict(batch: tr.Batch) -> None:
        for i in range(len(batch)):
            batch.fail(i, "closed")

    assert answer(service, predict) == [2]
    assert [end.status for end in calls.join()] == [400, 400]


def test_one_request_is_not_copied(service: tr.Service) -> None:
    calls = Calls(service, [np.ones((4, 2))])
    owners = []

    def predict(batch: tr.Batch) -> Any:
        base = batch.x
        while isinstance(base, np.ndarray):
            base = base.base
        owners.append(type(base).__name__)
        return [1, 2, 3, 4]

    answer(service, predict)
    assert owners == ["View"]
    assert calls.join() == [[1, 2, 3, 4]]


def test_a_batch_that_is_kept_stays_as_it_is(service: tr.Service) -> None:
    calls = Calls(service, rows(6))
    kept = []

    def predict(batch: tr.Batch) -> Any:
        kept.append(batch.x)
        return batch.x

    answer(service, predict, max_batch_size=2)
    assert [x[:, 0].tolist() for x in kept] == [[0, 1], [2, 3], [4, 5]]
    assert [y[0] for y in calls.join()] == list(range(6))


def test_memory_is_kept_between_batches(service: tr.Service) -> None:
    calls = Calls(service, rows(6))
    places = []

    def predict(batch: tr.Batch) -> Any:
        places.append(batch.x.ctypes.data)
        return batch.x.copy()

    answer(service, predict, max_batch_size=2)
    calls.join()
    assert len(set(places)) == 1


@pytest.mark.parametrize("alone", [False, True])
def test_memory_is_given_back_when_batches_stay_small(alone: bool) -> None:
    form = Form(8, "pad", 1, MAX_PADDED)
    small = [np.ones((1, 1), "u1"), np.ones((1, 2), "u1")]
    x = form.gather([np.ones((1, 1), "u1"), np.ones((1, 1 << 22), "u1")])
    assert form.kept == 2 << 22
    del x
    for _ in range(SMALL - 1):
        form.gather(small[alone:])
    assert form.kept == 2 << 22
    assert form.gather(small).tolist() == [[1, 0], [1, 1]]
    assert form.kept == 4
    for _ in range(SMALL + 1):  # nothing to gain from so little
        form.gather(small[:1])
    assert form.kept == 4


def test_a_kept_view_of_one_request_is_told(service: tr.Service) -> None:
    calls = Calls(service, rows(1))
    kept = []

    def predict(batch: tr.Batch) -> Any:
        kept.append(batch.x)
        return [1]

    answer(service, predict)
    (end,) = calls.join()
    assert "look into" in str(end)


def test_batches_are_read_only(service: tr.Service) -> None:
    calls = Calls(service, rows(3))

    def predict(batch: tr.Batch) -> Any:
        batch.x *= 2
        return batch.x

    assert answer(service, predict) == [3, 1, 1, 1]
    assert all("read-only" in str(end) for end in calls.join())


def test_who_has_given_up_is_not_in_the_batch(service: tr.Service) -> None:
    gone = Calls(service, rows(2), timeout=0.05)
    assert [type(end) for end in gone.join()] == [tr.TimedOutError] * 2
    calls = Calls(service, rows(2))
    assert answer(service, double) == [2]
    assert [y[0] for y in calls.join()] == [0, 2]


def test_who_gives_up_in_hand_is_left_out(service: tr.Service) -> None:
    odd = Calls(service, [np.zeros(2)])
    late = Calls(service, [np.zeros(3)], timeout=0.2)

    def predict(batch: tr.Batch) -> Any:
        late.join()
        return batch.x

    assert answer(service, predict) == [1]
    assert isinstance(late.ends[0], tr.TimedOutError)
    assert odd.join()[0].tolist() == [0, 0]


def test_what_is_no_request_is_not_in_the_batch(service: tr.Service) -> None:
    service.queue.send(np.zeros(3))
    calls = Calls(service, rows(2))
    assert answer(service, double) == [2]
    calls.join()


def test_deadlines_are_told(service: tr.Service) -> None:
    calls = Calls(service, [np.zeros(2), np.zeros((2, 2))])
    seen = []

    def predict(batch: tr.Batch) -> Any:
        seen.append(batch.deadlines)
        return batch.x

    answer(service, predict)
    calls.join()
    (deadlines,) = seen
    assert len(deadlines) == 3
    assert all(0 < end < float("inf") for end in deadlines)


@pytest.mark.parametrize("wait", [LONGEST, float("inf")])
def test_max_wait_fills_the_batch(service: tr.Service, wait: float) -> None:
    sizes: list[int] = []

    def predict(batch: tr.Batch) -> Any:
        sizes.append(len(batch))
        return batch.x

    options: Any = {"max_batch_size": 4, "max_wait": wait}
    thread = threading.Thread(
        target=service.serve_batches, args=(predict,), kwargs=options
    )
    thread.start()
    ends = Calls(service, rows(4), served=True).join()
    assert sizes == [4]  # without an end of the wait
    assert [y[0] for y in ends] == [0, 1, 2, 3]
    service.shutdown()
    thread.join()


@pytest.mark.parametrize("first", [[np.zeros(3)], [np.zeros((2, 3)), np.zeros(4)]])
def test_max_wait_leaves_a_request_time_for_its_answer(
    service: tr.Service, first: list[Any]
) -> None:
    calls = Calls(service, first)
    options: Any = {"max_batch_size": 4, "max_wait": LONGEST}
    thread = threading.Thread(
        target=service.serve_batches, args=(double,), kwargs=options
    )
    thread.start()
    # It is of another kind than the second, which would wait longer. Half of its time is
    # for the answer.
    assert service.call(np.ones(3), timeout=10).tolist() == [2, 2, 2]
    service.shutdown()
    thread.join()
    assert [y.shape for y in calls.join()] == [x.shape for x in first]


TEXTS: list[Any] = [
    ["x" * 1000, *[""] * 1000],  # would be an array of 4 MB
    [b"x" * 1000, *[b""] * 1000],
    [[1.0, "x" * 1000], [2.0, 3.0]],
    ([1], ["x"]),
    [np.array(["x" * 1000]), *[np.array([""])] * 100],
]


@pytest.mark.parametrize("given", TEXTS)
def test_texts_in_lists_are_no_array(service: tr.Service, given: Any) -> None:
    calls = Calls(service, [given, [1, 2.5], [[1, 2], [3, 4]], [np.float32(1), True]])
    answer(service, double)
    refused, *others = calls.join()
    assert (refused.status, "numbers only" in str(refused)) == (400, True)
    assert [y.tolist() for y in others] == [[2, 5], [[2, 4], [6, 8]], [2, 2]]


def test_a_shutdown_ends_it_when_all_is_answered(service: tr.Service) -> None:
    calls = Calls(service, rows(5))
    service.shutdown()
    assert service.serve_batches(double, max_batch_size=2) == 5
    assert [y[0] for y in calls.join()] == [0, 2, 4, 6, 8]


def test_a_stop_wakes_it(service: tr.Service) -> None:
    stop = os.eventfd(0)
    done: list[int] = []
    thread = threading.Thread(
        target=lambda: done.append(service.serve_batches(double, stop=stop))
    )
    thread.start()
    until(lambda: service.servers)
    assert service.call(np.ones(2), timeout=LONGEST).tolist() == [2, 2]
    os.eventfd_write(stop, 1)
    thread.join(LONGEST)
    assert done == [1]
    os.close(stop)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_batch_size": 0}, "max_batch_size is 0"),
        ({"max_wait": -1}, "max_wait is -1"),
        ({"ragged": "stack"}, "ragged is one of pad, concat, list"),
        ({"row_ndim": -1}, "row_ndim is -1"),
        ({"ragged": "pad", "row_ndim": 0}, "row_ndim is 0"),
        ({"max_padded_bytes": 0}, "max_padded_bytes is 0"),
    ],
)
def test_options(service: tr.Service, options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        service.serve_batches(double, **options)


def test_a_full_queue_is_told_at_once(arena: tr.Arena) -> None:
    service = arena.service("small", capacity=2)
    calls = Calls(service, rows(2))
    with pytest.raises(tr.BusyError, match="'small' is busy") as caught:
        service.call(np.zeros(3), need_room=True)
    assert caught.value.retry_after == 1
    with pytest.raises(tr.BusyError, match="'small' is busy"):
        asyncio.run(service.call_async(np.zeros(3), need_room=True))
    assert answer(service, double) == [2]
    calls.join()
    for timeout in (0.01, 0):
        with pytest.raises(tr.TimedOutError):
            service.call(np.zeros(3), timeout=timeout, need_room=True)
        with pytest.raises(tr.TimedOutError):
            asyncio.run(service.call_async(np.zeros(3), timeout, need_room=True))


def test_busy_says_when_to_try_again(arena: tr.Arena, clock: list[float]) -> None:
    """As long as it takes to empty the queue, at the rate of the time that was seen."""
    service = arena.service("small", capacity=4)

    def busy() -> float:
        with pytest.raises(tr.BusyError) as caught:
            service.call(np.zeros(3), need_room=True)
        return caught.value.retry_after

    calls = Calls(service, rows(4))
    assert busy() == 1  # it does not know yet
    clock[0] += 0.1
    assert busy() == 1
    answer(service, double)
    calls.join()
    calls = Calls(service, rows(4))
    clock[0] += 1.9
    assert busy() == pytest.approx(2.0)  # four were taken in two seconds
    clock[0] += 5
    assert busy() == pytest.approx(7.0)
    clock[0] += 9
    assert busy() == pytest.approx(9.0)  # none for so long
    clock[0] += 1000
    assert busy() == 1
    answer(service, double)
    calls.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the estimate has for the time."""
    now = [100.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_an_arena_without_a_slot_is_busy(arena: tr.Arena) -> None:
    service = arena.service("model")
    held = [arena._encode(np.zeros(4000)) for _ in range(8)]
    with pytest.raises(tr.BusyError, match="'model' is busy"):
        service.call(np.zeros(4000), need_room=True)
    with pytest.raises(tr.BusyError, match="'model' is busy"):
        asyncio.run(service.call_async(np.zeros(4000), need_room=True))
    for message in held:
        message.release()


def test_answers_take_the_slots_of_their_requests(service: tr.Service) -> None:
    """All slots hold requests, or are held."""
    arena = service.arena
    calls = Calls(service, [np.zeros(4000) for _ in range(8)])
    held = [arena._encode(np.zeros(3), 0) for _ in range(free(arena))]
    assert answer(service, lambda batch: [np.ones(4000)] * 8) == [8]
    for y in calls.join():
        assert y.sum() == 4000
    for message in held:
        message.release()


def test_an_answer_that_does_not_fit_needs_a_slot(service: tr.Service) -> None:
    arena = service.arena
    calls = Calls(service, [np.zeros(3)])
    held = [arena._encode(np.zeros(4000), 0) for _ in range(8)]
    assert answer(service, lambda batch: [np.zeros(4000)]) == [1]
    (error,) = calls.join()
    assert error.status == 503
    assert "no free slot for the answer" in str(error)
    for message in held:
        message.release()
