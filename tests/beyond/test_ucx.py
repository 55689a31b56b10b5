# SPDX-License-Identifier: MIT
"""What only UCX has: versions that must be the same, no keys, more ports, and a library
that is loaded when it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import tensoring as tr
import traffic
from bridges import PORT, Pair, lacks, program
from hosts import LONGEST, until
from test_started import arenas, endpoint
from test_strangers import ports
from traffic import Receiver, Sender, account

ROOT = Path(__file__).parents[2]
SIDE = ("--plain", "--trust-network", "--arena", "none", "--queue", "jobs")


@pytest.fixture
def engine() -> str:
    return "ucx"


@pytest.fixture
def has_ucx() -> None:
    if why := lacks("ucx"):
        pytest.skip(why)


def fails(*arguments: str, **variables: str) -> str:
    """What the bridge says before it ends."""
    done = subprocess.run(
        [*program(), *arguments],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        env={**os.environ, **variables},
    )
    assert done.returncode != 0
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("engine", ["zmq", "ucx"])
def test_an_engine_that_there_is_not(engine: str) -> None:
    if why := lacks(engine):
        pytest.skip(why)
    said = fails("connect", "--peer", "nng://host:7411", *SIDE)
    assert "'nng://host:7411' names an engine" in said
    assert engine in said.partition("it has ")[2]


@pytest.mark.usefixtures("has_ucx")
def test_keys_are_refused() -> None:
    said = fails(
        *("connect", "--peer", "ucx://host:7411", "--arena", "none", "--queue", "jobs"),
        *("--key", "a.key", "--peer-key", "b.pub"),
    )
    assert "ucx:// has no keys and no encryption" in said
    assert "--plain --trust-network" in said


@pytest.fixture
def old(tmp_path: Path, has_ucx: None) -> Path:
    """A folder with a UCX that says it is that of Debian 12, and has nothing else."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    source = tmp_path / "old.c"
    source.write_text(
        "void ucp_get_version(unsigned *a, unsigned *b, unsigned *c);"
        "void ucp_get_version(unsigned *a, unsigned *b, unsigned *c)"
        "{ *a = 1; *b = 13; *c = 1; }"
    )
    library = tmp_path / "libucp.so.0"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return tmp_path


def test_an_older_library_is_refused_at_the_start(old: Path, pair: Pair) -> None:
    pair.open()
    said = fails(
        *("listen", "--bind", "ucx://127.0.0.1:0", "--arena", str(pair.there.name)),
        *("--queue", "jobs", "--plain", "--trust-network"),
        LD_LIBRARY_PATH=str(old),
    )
    assert "this host has UCX 1.13.1, and ucx:// needs 1.22" in said
    assert "LD_LIBRARY_PATH" in said


def configure(folder: Path, version: str, engines: str) -> tuple[int, str]:
    """What CMake says if it is asked for engines, where UCX has this version."""
    headers = folder / "ucx" / "include" / "ucp" / "api"
    headers.mkdir(parents=True)
    major, minor, _ = version.split(".")
    (headers / "ucp_version.h").write_text(
        f"#define UCP_API_MAJOR    {major}\n#define UCP_API_MINOR    {minor}\n"
    )
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(it LANGUAGES NONE)\n"
        "find_package(PkgConfig REQUIRED)\n"
        f'set(TR_BRIDGE "{engines}")\nset(UCX_ROOT "{folder}/ucx")\n'
        f"include({ROOT}/bridge/engines.cmake)\n"
        'message(STATUS "engines: ${TR_BRIDGE_ENGINES}")\n'
    )
    done = subprocess.run(
        ["cmake", "-S", str(folder), "-B", str(folder / "build")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
    )
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture
def _cmake() -> None:
    if not shutil.which("cmake") or not shutil.which("pkg-config"):
        pytest.skip("there is no cmake or no pkg-config")


@pytest.mark.usefixtures("_cmake")
def test_older_headers_are_refused_when_it_is_configured(tmp_path: Path) -> None:
    status, said = configure(tmp_path, "1.13.1", "ucx")
    assert status != 0
    assert "needs UCX 1.22 or newer: this is UCX 1.13" in said
    assert "-DUCX_ROOT=" in said
    assert "-DTR_BRIDGE=zmq" in said


@pytest.mark.usefixtures("_cmake")
@pytest.mark.parametrize(
    ("version", "asked", "expected"),
    [("1.22.0", "ucx", "engines: ucx"), ("1.13.1", "auto", "built without ucx://")],
)
def test_headers_that_are_taken_or_left_out(
    tmp_path: Path, version: str, asked: str, expected: str
) -> None:
    status, said = configure(tmp_path, version, asked)
    assert status == 0, said
    assert expected in said


def test_another_version_on_the_other_side(pair: Pair) -> None:
    """Both say so, and the message stays where it is."""
    if not program()[-1].endswith("-testing"):
        pytest.skip("TR_BRIDGE names a bridge that cannot say other things")
    pair.open()
    bridges = [pair.listen(), pair.connect(before=["env", "TENSORING_BRIDGE_UCX=1.99.0"])]
    pair.source.send(traffic.content(0))
    for bridge in bridges:
        bridge.says("both need the same version of UCX")
        assert "1.99.0" in bridge.output
    assert len(pair.target) == 0
    bridges[1].kill()
    pair.connect(log="right")
    assert traffic.number_of(pair.target.receive(LONGEST)) == 0
    pair.ends()


def test_a_bridge_of_the_other_engine(pair: Pair) -> None:
    """Nothing comes of it, and the next one is served."""
    pair.open()
    listener = pair.listen()
    address, pair.address = pair.address, pair.address.removeprefix("ucx://")
    other = pair.connect(log="other")
    other.says("no link to")
    other.kill()
    pair.address = address
    pair.connect()
    pair.source.send(traffic.content(0))
    assert traffic.number_of(pair.target.receive(LONGEST)) == 0
    assert listener.alive
    pair.ends()


def test_its_ports_can_be_chosen(pair: Pair) -> None:
    """Beside the one where it listens, there is one for each device, at both sides."""
    chosen = ["env", "UCX_TCP_PORT_RANGE=7500-7600", "UCX_NET_DEVICES=bridged"]
    pair.open()
    pair.listen(before=chosen)
    pair.connect(before=chosen)
    sender, receiver = Sender(pair.source, 10), Receiver(pair.target)
    receiver.total(10)
    for host, own in ((pair.hosts.there, {PORT}), (pair.hosts.here, set())):
        others = ports(host) - own
        assert ports(host) >= own
        assert len(others) == 1
        assert 7500 <= min(others) <= 7600
    sender.stop()
    account(receiver.stop(), 10)


def test_what_the_library_says_is_not_on_standard_output(pair: Pair) -> None:
    pair.open()
    bridge = pair.hosts.there.start(
        *(*program(), "listen", "--bind", pair.address, "--arena", str(pair.there.name)),
        *("--queue", "jobs", "--plain", "--trust-network"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UCX_TLS": "tcp,nonsense"},
    )
    try:
        assert bridge.stderr
        said = []
        until(lambda: said.append(bridge.stderr.readline()) or "listens on" in said[-1])
        assert any(line.startswith("tensoring bridge: UCX: ") for line in said), said
    finally:
        bridge.kill()
        out, _ = bridge.communicate()
    assert out == ""


def test_large_messages_land_in_their_slots(pair: Pair) -> None:
    """Tensors that no piece fits, and cuts while pieces are on their way."""
    parts = {"a": 1_000_003, "b": 1, "c": 262_144, "d": 300_001}
    slots = [(4 << 10, 64), (4 << 20, 8)]
    pair.open(slots, slots)
    pair.listen()
    bridge = pair.connect()
    arrays = {
        name: traffic.content(number, size).view("u1")[:size]
        for number, (name, size) in enumerate(parts.items())
    }

    def send() -> None:
        for _ in range(30):
            pair.source.send(arrays, LONGEST)

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(30):
        found = pair.target.receive(LONGEST)
        assert list(found) == list(arrays)
        assert all((found[name] == arrays[name]).all() for name in arrays)
        del found
        if number in (5, 10, 15, 20):
            bridge.again()
    sender.join(LONGEST)
    pair.ends()


def test_kills_while_data_lands(pair: Pair) -> None:
    """UCX writes into slots of messages, which nobody must see before they are whole."""
    if not program()[-1].endswith("-testing"):
        pytest.skip("TR_BRIDGE names a bridge without points")
    pair.open()
    pair.connect()
    sender = Sender(pair.source, 60, traffic.SIZES[-1])
    receiver = Receiver(pair.target)
    for _ in range(3):
        bridge = pair.listen(before=["env", "TENSORING_BRIDGE_KILL=landed:40"])
        bridge.process.wait(LONGEST)
    pair.listen()
    sender.wait()
    receiver.all_of(60)
    account(receiver.stop(), 60)
    pair.ends()


@pytest.mark.usefixtures("has_ucx")
def test_a_program_starts_both_sides() -> None:
    (command,) = program()
    options: dict[str, Any] = {"trust_network": True, "program": command}
    with arenas(2) as (a, b):
        source, target = (traffic.open_queue(one, "jobs") for one in (a, b))
        with tr.Bridge(b, bind="ucx://127.0.0.1:0", **options) as there:
            there.queue("jobs", direction="in")
            place = endpoint(there)
            assert place.startswith("ucx://127.0.0.1:")
            with tr.Bridge(a, place, **options) as here:
                here.queue("jobs")
                here.wait_connected(LONGEST)
                sender, receiver = Sender(source, 50), Receiver(target)
                receiver.total(50)
                sender.stop()
                account(receiver.stop(), 50)
                until(lambda: here.status()["confirmed"] == 50, here.status)
