# SPDX-License-Identifier: MIT
"""What does not fit together is refused with a sentence on both sides, messages stay
where they are, and the bridges live on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

import numpy as np
import pytest

import tensoring as tr
import traffic
from bridges import Bridge, Pair, make_key, program
from hosts import LONGEST, pause, until
from traffic import Receiver, Sender, account

pytestmark = pytest.mark.usefixtures("real")


def refused(pair: Pair, bridges: Sequence[Bridge], here: str, there: str) -> None:
    """Both say why, once and not all the time, and one message waits at the source."""
    pair.source.send(traffic.content(0))
    bridges[0].says(there)
    bridges[1].says(here)
    pause(1)
    assert len(pair.target) == 0
    assert all(bridge.alive for bridge in bridges)
    assert all(len(bridge.output.splitlines()) < 20 for bridge in bridges)
    until(lambda: why(pair), pair.status)


def why(pair: Pair) -> str:
    """What the status tells of the sending side."""
    texts = []
    for bridge in pair.status()["bridges"]:
        texts += [bridge["why"], *(one["why"] for one in bridge["channels"])]
    return " ".join(filter(None, texts))


def arrives_after_all(pair: Pair) -> None:
    receiver = Receiver(pair.target)
    receiver.total(1)
    account(receiver.stop(), 1)


def test_a_key_that_is_not_allowed(pair: Pair) -> None:
    pair.open()
    pair.make_keys()
    make_key(pair.folder, "stranger")
    bridges = [pair.listen(), pair.connect(key="stranger")]
    refused(pair, bridges, "does not allow our key", "not on the allow list")
    bridges[1].kill()
    pair.connect(log="right")
    arrives_after_all(pair)
    pair.ends()


def test_a_server_with_another_key(pair: Pair) -> None:
    """One that has taken the place of the right one gets nothing."""
    pair.open()
    pair.make_keys()
    make_key(pair.folder, "other")
    bridges = [pair.listen(), pair.connect(peer_key="other")]
    refused(pair, bridges, "no link to", "handshake")
    bridges[1].kill()
    pair.connect(log="right")
    arrives_after_all(pair)
    pair.ends()


def test_a_key_is_allowed_later(pair: Pair) -> None:
    """SIGHUP reads the list again, and the other side comes again by itself."""
    pair.open()
    pair.make_keys()
    (pair.peers / "here.pub").unlink()
    bridges = [pair.listen(), pair.connect()]
    refused(pair, bridges, "does not allow our key", "allow")
    pair.allow("here")
    bridges[0].process.send_signal(1)
    arrives_after_all(pair)
    pair.ends()


def test_a_key_is_taken_off_the_list(pair: Pair) -> None:
    """SIGHUP cuts the link that stands, also if the other side would keep it."""
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    until(lambda: pair.link_is("up"), pair.status)
    (pair.peers / "here.pub").unlink()
    bridges[0].process.send_signal(signal.SIGHUP)
    bridges[0].says("taken off the allow list")
    refused(pair, bridges, "does not allow our key", "not on the allow list")
    pair.allow("here")
    bridges[0].process.send_signal(signal.SIGHUP)
    arrives_after_all(pair)
    pair.ends()


def test_keys_on_one_side_alone(pair: Pair) -> None:
    pair.open()
    bridges = [pair.listen()]
    pair.plain = True
    bridges.append(pair.connect())
    refused(pair, bridges, "no link to", "handshake")
    pair.ends_here()


def test_without_keys_nothing_starts(pair: Pair) -> None:
    pair.open()
    place = f"{pair.hosts.there.address}:7411"
    for arguments, missing in (
        (["listen", "--bind", place], "--key"),
        (["connect", "--peer", place], "--key"),
        (["listen", "--bind", place, "--plain"], "--trust-network"),
        (["connect", "--peer", place, "--plain"], "--trust-network"),
    ):
        command = [*program(), *arguments, "--arena", str(pair.here.name)]
        done = subprocess.run(
            [*command, "--queue", "jobs"], capture_output=True, text=True, timeout=LONGEST
        )
        assert done.returncode != 0
        assert missing in done.stderr


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("WIRE=99", "it speaks wire version 99, this bridge speaks"),
        ("MAGIC=ABCD", "magic"),
    ],
)
def test_another_wire(plain: Pair, what: str, words: str) -> None:
    if not program()[-1].endswith("-testing"):
        pytest.skip("TR_BRIDGE names a bridge that cannot say other things")
    plain.open()
    says = ["env", f"TENSORING_BRIDGE_{what}"]
    bridges = [plain.listen(), plain.connect(before=says)]
    refused(plain, bridges, "", words)
    bridges[1].kill()
    plain.connect(log="right")
    arrives_after_all(plain)
    plain.ends()


def test_a_queue_that_the_other_side_does_not_bridge(pair: Pair) -> None:
    pair.open()
    pair.names = ("others",)
    bridges = [pair.listen()]
    pair.names = ("jobs",)
    bridges.append(pair.connect())
    refused(pair, bridges, "jobs", "jobs")
    bridges[0].kill()
    pair.listen(log="right")
    arrives_after_all(pair)
    pair.ends()


def test_a_message_that_no_slot_there_can_take(pair: Pair) -> None:
    """It stays, and the queue is named; what comes after it waits for nobody."""
    pair.open(there=[(16 << 10, 64)])
    bridges = [pair.listen(), pair.connect()]
    pair.source.send(traffic.content(0, traffic.SIZES[-1]))
    bridges[1].says("jobs")
    until(lambda: "jobs" in why(pair) or "slot" in why(pair), pair.status)
    pair.source.send(traffic.content(1, 8))
    assert traffic.number_of(pair.target.receive(LONGEST)) == 1
    until(lambda: pair.status()["confirmed"] == 1, pair.status)
    assert all(bridge.alive for bridge in bridges)
    pair.ends_here()
    message = pair.source.receive(LONGEST)  # it is here, as it was
    assert traffic.number_of(message) == 0


def test_pickles_are_refused(pair: Pair) -> None:
    """Unless both arenas and both bridges allow them."""
    pair.open(allow_pickle=True)
    bridges = [pair.listen(), pair.connect("--allow-pickle")]
    pair.source.send(Refused())
    bridges[1].says("pickle")
    pair.source.send(traffic.content(1, 8))
    assert traffic.number_of(pair.target.receive(LONGEST)) == 1
    until(lambda: pair.status()["confirmed"] == 1, pair.status)
    pair.ends_here()
    assert isinstance(pair.source.receive(LONGEST), Refused)


class Refused:
    """An object that only pickle carries."""


def test_pickles_that_all_allow(pair: Pair) -> None:
    pair.open(allow_pickle=True)
    pair.listen("--allow-pickle")
    pair.connect("--allow-pickle")
    pair.source.send(Refused())
    assert isinstance(pair.target.receive(LONGEST), Refused)
    pair.ends()


def test_the_arena_there_is_made_again(pair: Pair) -> None:
    """The other side is told so, and what had arrived is not sent again."""
    pair.open()
    bridges = [pair.listen(), pair.connect()]
    sender = Sender(pair.source, 10)
    until(lambda: pair.status()["confirmed"] == 10, pair.status)
    sender.stop()
    name = str(pair.there.name)
    bridges[0].kill()
    tr.Arena.unlink(name)
    again = tr.Arena.create(name, traffic.SLOTS)
    target = traffic.open_queue(again, "jobs")
    pair.listen(log="again")
    bridges[1].says("other arena")
    pair.source.send(traffic.content(10))
    assert traffic.number_of(target.receive(LONGEST)) == 10
    assert len(target) == 0
    assert pair.status()["bridges"][0]["other_arena"] == 1
    del target
    pair.ends_here()
    again.close()


def test_types_and_shapes_arrive_as_they_were(pair: Pair) -> None:
    pair.open(ring_bytes=8 << 20)
    pair.listen()
    pair.connect()
    sent = [
        np.arange(24, dtype="f4").reshape(2, 3, 4),
        np.asfortranarray(np.arange(12, dtype="i2").reshape(3, 4)),
        {"x": np.zeros((0, 3)), "y": np.ones(3, "c16"), "flag": True, "text": "päth"},
        np.array(["2024-01-01"], dtype="M8[D]"),
        np.zeros(3, dtype=[("a", "u1"), ("b", "f8", (2,))]),
        [1, 2.5, None, b"bytes", [np.arange(5)]],
    ]
    for one in sent:
        pair.source.send(one, LONGEST)
    for one in sent:
        same(pair.target.receive(LONGEST), one)
    pair.ends()


def same(found: object, sent: object) -> None:
    assert type(found) is type(sent)
    if isinstance(sent, dict):
        assert isinstance(found, dict)
        assert list(found) == list(sent)
        for key in sent:
            same(found[key], sent[key])
    elif isinstance(sent, list):
        assert isinstance(found, list)
        for one, other in zip(found, sent, strict=True):
            same(one, other)
    elif isinstance(sent, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == sent.dtype
        assert found.shape == sent.shape
        assert found.flags.f_contiguous == sent.flags.f_contiguous
        assert np.array_equal(found, sent)
    else:
        assert found == sent
