# SPDX-License-Identifier: MIT
"""What errors say: which thing, which value, which limit; options that are refused."""

from __future__ import annotations

import grp
import os
import pwd
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from conftest import NAME, free
from tensoring import serializers


def refusal(call: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(tr.Error) as caught:
        call(*args)
    return str(caught.value)


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_who_is_empty_and_who_is_full(arena: tr.Arena, timeout: float) -> None:
    one, other = arena.queue("one", 1), arena.queue("other", 1)
    assert refusal(one.receive, timeout) == 'receive: queue "one" is empty'
    assert refusal(other.receive_message, timeout) == 'receive: queue "other" is empty'
    one.send(1)
    text = refusal(one.send, 1, timeout)
    assert text.startswith('send: queue "one" is full, it holds 1 messages')
    news = arena.broadcast("news").subscribe()
    assert refusal(news.receive, timeout) == 'receive: nothing new in broadcast "news"'
    watch = arena.board("table").watch("row")
    nothing = 'wait: nothing newer in "row" of board "table"'
    assert refusal(watch.receive, timeout) == nothing
    assert refusal(arena.board("table").wait, "row", 0, timeout) == nothing
    del news, watch


def test_no_slot_names_its_holder(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    held = []
    for _ in range(8):
        queue.send(np.ones(10000))
        held.append(queue.receive())
    text = refusal(queue.send, np.ones(10000), 0)
    assert text.startswith(
        "loan: all 8 slots of 1048576 bytes are in use; release or copy what is held, or "
        "create the arena with more; 0 queued"
    )
    assert f"(pid {os.getpid()}) holds 8" in text


def test_a_handler_does_not_change_the_reason(arena: tr.Arena) -> None:
    """It runs in the wait, and fails with another queue."""
    waited, other = arena.queue("waited"), arena.queue("other")
    refused = []

    def fail(*_: Any) -> None:
        refused.append(refusal(other.receive, 0))

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for _ in range(200):
            assert refusal(waited.receive, 0.002).startswith('receive: queue "waited"')
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert refused


def test_ways_out_are_those_of_python(arena: tr.Arena) -> None:
    arena.queue("q", policy="redeliver")
    assert refusal(lambda: arena.queue("q", policy="drop")) == (
        'queue "q" is there with policy redeliver, not drop'
    )


def test_what_no_serializer_takes_is_an_error_of_ours(queue: tr.ArenaQueue) -> None:
    with pytest.raises(tr.Error) as caught:
        queue.send(object())
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, serializers.UnsupportedError)
    assert caught.value.name == "TR_EOBJECT"


TEXTS = ("text/plain", "text/csv", "text/libsvm", "application/jsonlines")


@pytest.mark.parametrize(
    ("obj", "content_type"),
    [
        *(("file\udcff", content_type) for content_type in TEXTS),
        ([["file\udcff", 1]], "text/csv"),
        ([1 << 20_000], "application/jsonlines"),
        ([{1}], "application/jsonlines"),
    ],
)
def test_what_a_text_cannot_hold_is_an_error_of_ours(
    queue: tr.ArenaQueue, obj: Any, content_type: str
) -> None:
    with pytest.raises(tr.UnsupportedError, match="has no form in"):
        queue.send(tr.As(obj, content_type), 0)


@pytest.mark.parametrize("number", [-1, (1 << 32) + 8])
def test_numbers_are_not_cut_off(arena: tr.Arena, number: int) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: tr.Arena(max_participants=number),
        lambda: tr.Arena(max_channels=number),
        lambda: tr.Arena(pins=number),
        lambda: tr.Arena(eventfds=number),
        lambda: arena.queue("n", number),
        lambda: arena.queue("n", max_deliveries=number),
        lambda: arena.board("n", number),
        lambda: arena.broadcast("n", number),
        lambda: arena.broadcast("n", keep=number),
        lambda: arena.broadcast("n", max_subscribers=number),
        lambda: arena.broadcast("b").subscribe(last=number),
        lambda: tr.Plan(number),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"is {number}; .* from 0 to 4294967295"):
            call()


@pytest.mark.parametrize("number", [-1, (1 << 64) + 8])
def test_large_numbers_are_not_cut_off(arena: tr.Arena, number: int) -> None:
    board = arena.board("table")
    board["row"] = 1
    calls: list[Callable[[], Any]] = [
        lambda: tr.Arena([(number, 1)]),
        lambda: tr.Arena([(4096, number)]),
        lambda: tr.Arena(ring_bytes=number),
        lambda: board.wait("row", number, 0),
        lambda: board.watch("row", number),
        lambda: board._delete("row", number),
        lambda: board.put("row", 2, number),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"is {number}; .*from 0 to"):
            call()
    assert board["row"] == 1


@pytest.mark.parametrize("number", [-1, 1 << 64])
@pytest.mark.parametrize(
    "option",
    [
        "memory_bytes",
        "warm_bytes",
        "ring_bytes",
        "max_participants",
        "max_channels",
        "eventfds",
        "pins",
    ],
)
def test_errors_name_the_option(option: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"^{option} is {number}; give a whole number"):
        tr.Arena(elastic=True, **{option: number})


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_errors_name_the_number(arena: tr.Arena, number: int) -> None:
    with pytest.raises(ValueError, match=r"^bytes_of_a_slot is "):
        tr.Arena([(number, 1)])
    with pytest.raises(ValueError, match=r"^count_of_slots is "):
        tr.Arena([(1, number)])
    for opened in (arena.queue, arena.broadcast, arena.board, arena.service):
        with pytest.raises(ValueError, match=r"^capacity is "):
            opened("n", number)


def test_options_that_mean_nothing() -> None:
    with pytest.raises(ValueError, match="slots is empty"):
        tr.Arena([])
    with pytest.raises(ValueError, match="spin is -1"):
        tr.Arena(spin=-1)
    with pytest.raises(ValueError, match="uid and gid are of named arenas"):
        tr.Arena(uid=0)
    with pytest.raises(ValueError, match="there is no user 'nobody at all'"):
        tr.Arena.create(f"{NAME}-whose", uid="nobody at all")
    with pytest.raises(ValueError, match=r"gid is 4294967295; .* from 0"):
        tr.Arena.create(f"{NAME}-whose", gid=(1 << 32) - 1)
    with pytest.raises(ValueError, match="there is no user 'nobody at all'"):
        tr.Arena.attach(f"{NAME}-whose", owner="nobody at all")
    with pytest.raises(TypeError, match="an arena's name is a str, not None"):
        tr.Arena.create(None)  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_whose_a_named_arena_is() -> None:
    name = f"{NAME}-whose"
    user, group = pwd.getpwuid(65534), grp.getgrgid(65534)
    for uid, gid in ((65534, 65534), (user.pw_name, group.gr_name)):
        with tr.Arena.create(name, [(4096, 4)], uid=uid, gid=gid):
            status = Path(f"/dev/shm/tensoring.{name}").stat()
            assert (status.st_uid, status.st_gid) == (65534, 65534)
            tr.Arena.attach(name, owner=uid).close()
            tr.Arena.unlink(name)


def test_iteration_goes_on_after_a_bad_message(queue: tr.ArenaQueue) -> None:
    for value in (1, None, 2):
        message = queue.arena._encode(value)
        if value is None:
            message.set(content=(255, "application/unheard-of"))
        queue.send_message(message)
    queue.shutdown()
    messages = iter(queue)
    assert next(messages) == 1
    with pytest.raises(tr.FormatError):
        next(messages)
    assert list(messages) == [2]


def test_what_came_before_a_bad_message_is_not_lost(queue: tr.ArenaQueue) -> None:
    queue.send("good")
    queue._send_parts((3, "", [(b"{", None, None)]), 0)
    queue.send("also good")
    with pytest.raises(tr.FormatError) as caught:
        queue.receive_many(9, 0)
    assert caught.value.taken == ["good"]  # type: ignore[attr-defined]
    assert queue.receive_many(9, 0) == ["also good"]


def test_marks_for_devices(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    """A process that dies with a mark keeps the slot until the descriptor is closed."""
    slots = free(arena)
    kept, given = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            arena.device_fd()
            if os.fork() == 0:  # a driver that lets go late has a copy
                os.close(given)
                os.read(kept, 1)
                os._exit(0)
            loan = queue.loan(4)
            with loan, loan.device():
                os._exit(0)
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    arena.reap()
    assert free(arena) == slots - 1
    os.close(given)
    os.close(kept)
    while free(arena) < slots:
        arena.reap()


def test_marks_end_with_their_block(arena: tr.Arena, queue: tr.ArenaQueue) -> None:
    fd = arena.device_fd()
    loan = queue.loan(4)
    with pytest.raises(ValueError, match="the loan is not open"), loan.device():
        pass
    with loan as filled, loan.device():
        filled[...] = 3
    message = queue.receive_message()
    message.device_begin()
    with pytest.raises(tr.InvalidError, match="device"):
        message.device_begin()
    message.device_end()
    with pytest.raises(tr.InvalidError, match="device"):
        message.device_end()
    message.release()
    os.close(fd)
