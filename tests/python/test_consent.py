# SPDX-License-Identifier: MIT
"""Which senders may run code in a receiver, and whose arenas are trusted."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import Any

import pytest

import tensoring as tr
from conftest import NAME
from hostile import send

FLAGS_AT = 96  # of the control block
PICKLE = 8


def test_a_flag_in_shared_memory_is_no_consent() -> None:
    """Any process with write access can set it; a reader that did not ask is safe."""
    with tr.Arena.create(f"{NAME}-flag", [(4096, 8)]) as arena:
        try:
            with open(f"/dev/shm/tensoring.{NAME}-flag", "r+b") as file:
                file.seek(FLAGS_AT)
                (flags,) = file.read(1)
                file.seek(FLAGS_AT)
                file.write(bytes([flags | PICKLE]))
            with tr.Arena.attach(f"{NAME}-flag") as victim:
                assert not victim.allow_pickle
                send(victim.queue("q"), "application/x-pickle", b"\x80\x05N.")
                with pytest.raises(tr.FormatError, match="allow_pickle=True"):
                    victim.queue("q").receive(1.0)
                with pytest.raises(TypeError, match="allow_pickle"):
                    victim.queue("q").send(object())
        finally:
            arena.unlink(f"{NAME}-flag")


def test_both_have_to_allow_pickle() -> None:
    with tr.Arena.create(f"{NAME}-both", [(4096, 8)], allow_pickle=True) as arena:
        try:
            assert arena.allow_pickle
            with tr.Arena.attach(f"{NAME}-both") as other:
                assert not other.allow_pickle
            with tr.Arena.attach(f"{NAME}-both", allow_pickle=True) as other:
                assert other.allow_pickle
        finally:
            arena.unlink(f"{NAME}-both")
    with tr.Arena.create(f"{NAME}-none", [(4096, 8)]) as arena:
        try:
            with tr.Arena.attach(f"{NAME}-none", allow_pickle=True) as other:
                assert not other.allow_pickle
        finally:
            arena.unlink(f"{NAME}-none")


def _tell_consent(arena: tr.Arena, answers: Any) -> None:
    answers.send((arena.allow_pickle, arena.max_expansion))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("consent", [False, True])
def test_handed_over_handles_carry_the_consent(named: bool, consent: bool) -> None:
    """A spawned worker gets the handle, with what its parent allowed."""
    name = f"{NAME}-carry{consent}" if named else None
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    options: Any = {"allow_pickle": True, "max_expansion": 99}
    with tr.Arena([(4096, 8)], name=name, **options) as arena:
        try:
            handle = arena
            if name and not consent:
                handle = tr.Arena.attach(name, max_expansion=99)
            child = context.Process(target=_tell_consent, args=(handle, theirs))
            child.start()
            assert mine.poll(60)
            assert mine.recv() == (consent or not name, 99)
            child.join()
            if handle is not arena:
                handle.close()
        finally:
            if name:
                tr.Arena.unlink(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_attach_trusts_others_on_request_and_hands_that_on() -> None:
    name = f"{NAME}-owner"
    with tr.Arena.create(name, [(4096, 8)]):
        try:
            os.chown(f"/dev/shm/tensoring.{name}", 64001, 64003)
            with pytest.raises(PermissionError, match="owner = 64001"):
                tr.Arena.attach(name)
            with pytest.raises(ValueError, match=r"owner is 4294967295; .* from 0"):
                tr.Arena.attach(name, owner=0xFFFFFFFF)
            with tr.Arena.attach(name, owner=64001) as handle:
                pickle.loads(pickle.dumps(handle)).close()
        finally:
            tr.Arena.unlink(name)
