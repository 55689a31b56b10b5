# SPDX-License-Identifier: MIT
"""Queues, pools and executors for a minute, or ten with TR_SOAK=1: nothing grows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("soak.py")
LIMIT = 3 << 30
GROUPS = (
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/unified", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
)


@contextmanager
def cage() -> Iterator[Path | None]:
    """A memory cgroup, where one can be made."""
    for top, limit in GROUPS:
        group = Path(top, f"tensoring-soak-{os.getpid()}")
        if not Path(top, "cgroup.procs").exists():
            continue  # no such hierarchy
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(LIMIT))
            yield group
            return
        except OSError:
            continue
        finally:
            with suppress(OSError):
                group.rmdir()
    yield None


def members(session: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(entry.name)
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(pid)
    return found


def run(seconds: float, seed: int, group: Path | None) -> subprocess.Popen[str]:
    enter = "" if group is None else f"echo $$ > {group}/cgroup.procs; "
    line = f'{enter}exec "$0" "$@"'
    # malloc() has a heap for each thread, up to 8 for a core. malloc_trim() gives back
    # what is free at the end of the first heap only; that of the others keeps what was
    # freed there, up to twice the largest block (glibc raises M_TRIM_THRESHOLD so far).
    # Which thread gets which heap is chance, so with several a process seems to grow by
    # one array now and then, though nothing holds it. With one heap, all that is free is
    # given back, and what is measured is what is in use.
    heap = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    return subprocess.Popen(
        ["sh", "-c", line, sys.executable, str(SCRIPT), str(seconds), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=heap,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], limit: float) -> tuple[str, str]:
    try:
        return process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGABRT)  # it says where each thread stands
        return process.communicate(timeout=60)


def test_nothing_grows() -> None:
    seconds = 600 if os.environ.get("TR_SOAK") else 60
    seed = int(os.environ.get("TR_SEED", time.time_ns() % 100_000))
    with cage() as group:
        process = run(seconds, seed, group)
        try:
            out, err = finish(process, seconds + 240)
            deadline = time.monotonic() + 30
            while members(process.pid) and time.monotonic() < deadline:
                os.sched_yield()
            left = members(process.pid)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, f"seed {seed}: {err[-3000:]}"
    assert not left, f"seed {seed}: processes are left"
    said = json.loads(out)
    print(f"seed {seed}: {said}")
    before, after = said["before"], said["after"]
    assert after["descriptors"] <= before["descriptors"], f"seed {seed}: {said}"
    assert after["threads"] <= before["threads"], f"seed {seed}: {said}"
    assert after["children"] == 0
    assert after["pss_kib"] < before["pss_kib"] * 1.1 + 4096, f"seed {seed}: {said}"
