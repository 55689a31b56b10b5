# SPDX-License-Identifier: MIT
"""The process of a bridge: its name, its limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridges import Pair, program
from hosts import until

pytestmark = pytest.mark.usefixtures("real")


def test_status_knows_a_bridge_of_another_name(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "carrier"
    other.symlink_to(program()[-1])
    pair.open()
    pair.make_keys()
    monkeypatch.setenv("TR_BRIDGE", str(other))
    pair.listen()
    connector = pair.connect()
    until(lambda: pair.link_is("up"), pair.status)
    assert [one["pid"] for one in pair.status()["bridges"]] == [connector.pid]
    pair.ends()


def test_it_takes_all_descriptors_that_it_may_have(pair: Pair) -> None:
    pair.open()
    few = ["sh", "-c", 'ulimit -S -n 32; ulimit -H -n 256; exec "$@"', "sh"]
    bridge = pair.listen(before=few)
    bridge.says("listens on")
    limits = Path(f"/proc/{bridge.pid}/limits").read_text()
    found = re.search(r"Max open files +(\d+) +(\d+)", limits)
    assert found
    assert found.groups() == ("256", "256")
    pair.ends_here()
