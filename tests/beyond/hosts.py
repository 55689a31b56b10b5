# SPDX-License-Identifier: MIT
"""Two network namespaces that a veth pair joins, each as the network of a host.

A namespace has no name: it lives as long as the processes in it. The first one, `cat`,
ends when the pipe to the test closes, and the kernel kills bridges when the test ends: so
nothing is left, however the test ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = int(os.environ.get("TR_PATIENCE", "1"))
LONGEST = 60 * PATIENCE  # seconds, that anything here may take
SOAK = bool(os.environ.get("TR_SOAK"))
DEVICE = "bridged"


def pause(seconds: float) -> None:
    """The time that a cut lasts, or until a kill: a test that waits calls until()."""
    time.sleep(seconds)


def until(
    condition: Callable[[], Any], what: object = "", longest: float = LONGEST
) -> Any:
    """Look until it is so; other processes do not tell us."""
    end = time.monotonic() + longest
    while not (found := condition()):
        assert time.monotonic() < end, what() if callable(what) else what or condition
        time.sleep(0.02)
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


# UCX looks for devices in /sys, which shows those of the network that it was mounted in.
_HOLD = "mount -t sysfs sysfs /sys 2>/dev/null; exec cat"


class Host:
    """A network of its own."""

    def __init__(self, number: int) -> None:
        self.address = f"10.213.0.{number}"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", _HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.pid = self._holder.pid
        until(self._is_apart, "a network namespace")

    def _is_apart(self) -> bool:
        if self._holder.poll() is not None:
            assert self._holder.stderr
            raise OSError(self._holder.stderr.read().decode().strip())
        # unshare becomes sh, and that becomes cat.
        return Path(f"/proc/{self.pid}/comm").read_text() == "cat\n"

    def inside(self, *command: str) -> list[str]:
        """The command, run in this network, and killed when this process ends. It becomes
        the command, so that its pid and its exit status are the command's."""
        return [
            *("setpriv", "--pdeathsig", "KILL"),
            *("nsenter", f"--net=/proc/{self.pid}/ns/net"),
            *(f"--mount=/proc/{self.pid}/ns/mnt", f"--wd={os.getcwd()}", "--", *command),
        ]

    def start(self, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """For the main thread: the kernel takes the end of the thread for ours."""
        return subprocess.Popen(self.inside(*command), **options)

    def python(self, *command: str) -> str:
        """What a script of ours in this network prints."""
        done = subprocess.run(
            self.inside(sys.executable, *command),
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sees_its_devices(self) -> bool:
        """Whether /sys is that of this network."""
        command = self.inside("ls", "/sys/class/net")
        return DEVICE in subprocess.run(command, capture_output=True, text=True).stdout

    def set_up(self) -> None:
        run(*self.inside("ip", "address", "add", f"{self.address}/24", "dev", DEVICE))
        run(*self.inside("ip", "link", "set", DEVICE, "up"))
        run(*self.inside("ip", "link", "set", "lo", "up"))

    def link(self, state: str) -> None:
        """ "up" or "down"."""
        run(*self.inside("ip", "link", "set", DEVICE, state))

    def close(self) -> None:
        self._holder.send_signal(signal.SIGKILL)
        self._holder.communicate()


class Hosts:
    """Two of them: `here`, that connects, and `there`, that listens."""

    def __init__(self) -> None:
        self._made: list[Host] = []
        try:
            for number in (1, 2):
                self._made.append(Host(number))
            self.here, self.there = self._made
            here, there = (str(one.pid) for one in self._made)
            run(
                *("ip", "link", "add", "name", DEVICE, "netns", here, "type", "veth"),
                *("peer", "name", DEVICE, "netns", there),
            )
            for host in self._made:
                host.set_up()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for host in self._made:
            host.close()


def lacking() -> str:
    """Why there can be no such hosts here, or ""."""
    for program in ("unshare", "nsenter", "setpriv", "ip"):
        if not shutil.which(program):
            return f"there is no program called {program}"
    try:
        Hosts().close()
    except OSError as error:
        return f"no network namespaces here: {error}"
    return ""
