# SPDX-License-Identifier: MIT
"""cgroup.py TENSORING: real cgroups, a CPU quota above the process and a cpuset. 77: they
cannot be made here (it takes root, and controllers that are not taken)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

SKIP = 77
NAME = f"tensoring-e2e-{os.getpid()}"
CPUS = sorted(os.sched_getaffinity(0))


@contextmanager
def group(*path: str) -> Iterator[Path]:
    folder = Path("/sys/fs/cgroup", *path)
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


def plan_in(folder: Path) -> Any:
    """`tensoring plan -n 1` as a member of that group."""
    command = [sys.argv[1], "plan", "-n", "1", "--json"]
    enter = f'echo $$ > {folder}/cgroup.procs && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", enter, "sh", *command], capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def check_quota(stack: ExitStack) -> bool:
    """Set on the group above the process's own."""
    try:
        if Path("/sys/fs/cgroup/cpu").is_dir():
            outer = stack.enter_context(group("cpu", NAME))
            (outer / "cpu.cfs_quota_us").write_text("150000")
        else:
            outer = stack.enter_context(group(NAME))
            (outer / "cpu.max").write_text("150000 100000")
        inner = stack.enter_context(
            group(*outer.relative_to("/sys/fs/cgroup").parts, "in")
        )
        plan = plan_in(inner)
    except (OSError, subprocess.CalledProcessError) as error:
        print("no quota here:", error)
        return False
    assert plan["quota_cpus"] == 1.5, plan
    assert plan["quota_source"].startswith(str(outer)), plan
    assert plan["worker"][0]["threads"] == 1, plan
    assert plan["limit"] == ("quota" if plan["cores"] > 1 else plan["limit"]), plan
    return True


def check_cpuset(stack: ExitStack) -> bool:
    try:
        if Path("/sys/fs/cgroup/cpuset").is_dir():
            folder = stack.enter_context(group("cpuset", f"{NAME}-set"))
            (folder / "cpuset.mems").write_text("0")
        else:
            folder = stack.enter_context(group(f"{NAME}-set"))
        (folder / "cpuset.cpus").write_text(str(CPUS[-1]))
        plan = plan_in(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        print("no cpuset here:", error)
        return False
    assert plan["worker"][0]["cpus"] == [CPUS[-1]], plan
    assert plan["limit"] == ("cpuset" if plan["machine_cpus"] > 1 else "machine"), plan
    return True


def main() -> int:
    with ExitStack() as stack:
        done = [check_quota(stack), check_cpuset(stack)]
    print("quota and cpuset looked at:", done)
    return 0 if any(done) else SKIP


if __name__ == "__main__":
    sys.exit(main())
