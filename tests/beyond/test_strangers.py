# SPDX-License-Identifier: MIT
"""A client of any kind does no harm to a bridge by connecting to its port."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import strangers
from bridges import PORT, Pair
from engines import both, both_in_soak
from hosts import Host, until
from traffic import Receiver, Sender, account

LISTENING = "0A"
LOOPBACK = "0100007F"


def ports(host: Host, outside: bool = False) -> set[int]:
    """That somebody listens on in the network of a host, which only its bridge uses; of
    these, if it is `outside`, the ones that other hosts reach."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{host.pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            if fields[3] == LISTENING and not (outside and address == LOOPBACK):
                found.add(int(port, 16))
    return found


def test_one_port_is_open(pair: Pair) -> None:
    pair.open()
    pair.listen()
    pair.connect()
    sender, receiver = Sender(pair.source, 10), Receiver(pair.target)
    receiver.total(10)
    assert ports(pair.hosts.there) == {PORT}
    assert ports(pair.hosts.here) == set()
    sender.stop()
    receiver.stop()


@both
def test_hundreds_of_strangers(pair: Pair) -> None:
    """Eight kinds come while messages pass, and while the half-open ones stay."""
    pair.open()
    bridge = pair.listen()
    pid = bridge.pid
    pair.connect()
    sender, receiver = Sender(pair.source), Receiver(pair.target)
    receiver.more(10)
    visitors = pair.hosts.here.start(
        *(sys.executable, strangers.__file__, pair.hosts.there.address, "40"),
        *map(str, ports(pair.hosts.there, outside=True)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert visitors.stdout
        until(lambda: visitors.stdout.readline() == "connected\n")
        receiver.more(100)
    finally:
        visitors.communicate("")
    receiver.more(100)
    assert bridge.alive
    assert bridge.pid == pid
    count = sender.stop()
    receiver.all_of(count)
    account(receiver.stop(), count)
    pair.ends()


@both_in_soak
def test_strangers_come_first(pair: Pair) -> None:
    pair.open()
    bridge = pair.listen()
    until(lambda: ports(pair.hosts.there))
    visitors = pair.hosts.here.start(
        *(sys.executable, strangers.__file__, pair.hosts.there.address, "40", str(PORT)),
        stdin=subprocess.DEVNULL,
    )
    assert visitors.wait() == 0
    pair.connect()
    sender, receiver = Sender(pair.source, 100), Receiver(pair.target)
    receiver.total(100)
    account(receiver.stop(), 100)
    sender.stop()
    assert bridge.alive
    pair.ends()
