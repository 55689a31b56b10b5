# SPDX-License-Identifier: MIT
"""A way's processes: the web server, the model, and what stands between them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ways import Way

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds for a start
_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Shape:
    """How many processes and threads."""

    workers: int = 4
    threads: int = 1
    models: int = 2
    model_seconds: float = 0.0


def left_out(way: Way) -> str:
    """Why a way cannot be measured here; empty if it can."""
    for needed in way.needs:
        top = needed.partition(".")[0]
        if not (find_spec(top) and find_spec(needed)):
            return f"Python has no module {needed}"
    if way.name == "redis list" and not shutil.which("redis-server"):
        return "redis-server is not installed"
    if way.name == "tensoring, batches":
        import tensoring as tr

        if not hasattr(tr.Service, "serve_batches"):
            return "this tensoring has no Service.serve_batches"
    return ""


class Host:
    """Started at once; stop() ends all of it."""

    def __init__(self, way: Way, directory: Path, shape: Shape) -> None:
        self.way, self.shape = way, shape
        self._directory = directory
        directory.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        self._arena = None
        self._environment = {
            **os.environ,
            "BENCH_WAY": way.name,
            "BENCH_DIRECTORY": str(directory),
            "BENCH_WORKERS": str(shape.workers),
            "BENCH_THREADS": str(shape.threads),
            "BENCH_MODELS": str(shape.models),
            "BENCH_MODEL_SECONDS": str(shape.model_seconds),
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
        }
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        if self.way.name.startswith("tensoring"):
            import tensoring as tr

            slots = [(4 << 10, 256), (64 << 10, 64), (2 << 20, 40)]
            self._arena = tr.Arena(slots)
            path = f"/proc/{os.getpid()}/fd/{self._arena.fd}"
            self._environment["TENSORING_ARENA"] = path
        if self.way.name == "redis list":
            options = ("--port", "0", "--save", "", "--appendonly", "no", "--dir")
            where = (str(self._directory), "--unixsocket", str(self._directory / "redis"))
            self._run("redis", "ready to accept", "redis-server", *options, *where)
        if self.way.models == "processes":
            for i in range(self.shape.models):
                command = (sys.executable, str(HERE / "serve.py"))
                self._run(f"model{i}", "ready", *command, BENCH_MODEL=str(i))
        if self.way.models == "gunicorn":
            self._gunicorn("model", "serve:app", BENCH_MODEL="0")
        said = self._gunicorn("web", "application:app")
        self.port = int(said.rpartition(":")[2])

    def _gunicorn(self, name: str, app: str, **more: str) -> str:
        command = (sys.executable, "-m", "gunicorn", "-c", str(HERE / "gunicorn_conf.py"))
        return self._run(name, r"Listening at: \S+", *command, app, **more)

    def _run(self, name: str, ready: str, *command: str, **more: str) -> str:
        """Start a process; what it says when it is ready."""
        log = self._directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._directory,
                env={**self._environment, **more},
                start_new_session=True,
            )
        self._started.append(process)
        end = time.monotonic() + PATIENCE
        while not (found := re.search(ready, said := log.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.way.name}: {name} does not start:\n{said}")
            time.sleep(0.01)
        return found[0]

    def log(self) -> str:
        """What its processes have written."""
        texts = [one.read_text(errors="replace") for one in self._directory.glob("*.log")]
        return "\n".join(texts)

    def processes(self) -> list[int]:
        """All that live."""
        groups = {process.pid for process in self._started}
        return [int(one) for one in os.listdir("/proc") if _group(one) in groups]

    def cpu_seconds(self) -> float:
        """User and system, of all that live; none ends during a measurement."""
        return sum(map(_cpu_seconds, self.processes()))

    def pss(self) -> int:
        """Bytes of memory; shared pages count as the part of them that is its own."""
        return sum(map(_pss, self.processes()))

    def end(self) -> None:
        """Ask all of it to end; stop() waits for that."""
        for process in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    def stop(self) -> None:
        self.end()
        for process in reversed(self._started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._arena is not None:
            self._arena.close()


@contextlib.contextmanager
def running(host: Host) -> Iterator[Host]:
    try:
        yield host
    finally:
        host.stop()


def _fields(pid: str | int) -> list[str]:
    """/proc/PID/stat, from the state on; nothing if the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _group(pid: str) -> int:
    fields = _fields(pid) if pid.isdigit() else []
    return int(fields[2]) if fields and fields[0] != "Z" else -1


def _cpu_seconds(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK if fields else 0.0


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0
