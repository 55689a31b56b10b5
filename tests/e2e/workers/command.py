# SPDX-License-Identifier: MIT
# ruff: noqa: PT009
"""command.py TENSORING LIBRARY: the command as a person or a program uses it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from command_line import TENSORING, tensoring

CPUS = sorted(os.sched_getaffinity(0))


class Plan(unittest.TestCase):
    def test_json_names_every_cpu_once(self) -> None:
        plan = json.loads(tensoring("plan", "-n", "2", "--json"))
        cpus = [cpu for worker in plan["worker"] for cpu in worker["cpus"]]
        self.assertEqual(sorted(set(cpus)), CPUS)
        if plan["cores"] >= 2:
            self.assertEqual(len(cpus), len(set(cpus)))
        self.assertIn(plan["limit"], ("machine", "affinity", "cpuset", "quota"))

    def test_text_and_default(self) -> None:
        self.assertIn("3 workers on ", tensoring("plan", "-n3"))
        self.assertIn(", spread", tensoring("plan", "--policy=spread"))

    def test_drawing(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.svg"
            done = subprocess.run(
                [TENSORING, "plan", "-n2", f"--svg={path}"],
                timeout=100,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            if done.returncode:
                self.assertIn(b"lstopo", done.stderr)
            else:
                self.assertIn("worker 1", path.read_text())

    def test_misuse(self) -> None:
        tensoring("plan", "-n", "0", code=64)
        tensoring("plan", "-n", "two", code=64)
        tensoring("plan", "--policy", "best", code=64)
        tensoring("plan", "--reserve", "1000", code=1)
        tensoring("paint", code=64)
        tensoring(code=64)
        self.assertIn("doctor", tensoring("--help"))
        self.assertRegex(tensoring("--version"), r"^tensoring \d+\.\d+\.\d+\n$")


class Run(unittest.TestCase):
    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [TENSORING, "run", *args], stdout=subprocess.PIPE, text=True
        )

    def test_each_copy_has_its_place(self) -> None:
        script = "echo $TENSORING_WORKER $OMP_NUM_THREADS $(taskset -cp $$)"
        plan = json.loads(tensoring("plan", "-n", "2", "--json"))
        lines = sorted(tensoring("run", "-n", "2", "--", "sh", "-c", script).splitlines())
        for i, line in enumerate(lines):
            threads = plan["worker"][i]["threads"]
            self.assertTrue(line.startswith(f"{i}/2 {threads} "), line)
            if len(plan["worker"][i]["cpus"]) == 1:
                self.assertTrue(line.endswith(f": {plan['worker'][i]['cpus'][0]}"), line)

    def test_exit_codes(self) -> None:
        never = ("run", "-n", "2", "--restart=never", "--", "sh", "-c")
        tensoring(*never, "exit 0")
        tensoring(*never, "exit ${TENSORING_WORKER%/*}5", code=15)
        tensoring(*never, "kill -9 $$", code=128 + 9)
        tensoring("run", "-n", "1", "--", "/no/such/program", code=127)
        tensoring("run", "-n", "1", "--", "/dev/null", code=126)
        tensoring("run", "-n", "1", code=64)

    def test_a_command_that_is_not_there(self) -> None:
        for command, code, why in (
            ("/no/such/program", 127, "there is no such command"),
            ("/dev/null", 126, "Permission denied"),
        ):
            done = subprocess.run(
                [TENSORING, "run", "-n2", "--", command], capture_output=True, text=True
            )
            self.assertEqual(done.returncode, code)
            self.assertEqual(
                done.stderr,
                f"tensoring: run: {command}: {why}; no copy is started again\n",
            )

    def test_failures_start_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            script = f"echo x >> {folder}/tries; [ $(wc -l < {folder}/tries) -ge 3 ]"
            tensoring("run", "-n", "1", "--backoff=1", "--", "sh", "-c", script)
            self.assertEqual((Path(folder) / "tries").read_text(), "x\n" * 3)

    def test_signals_are_passed_on_and_termination_drains(self) -> None:
        script = (
            'trap "echo usr1" USR1; trap "echo bye; exit 0" TERM; echo up; '
            "while :; do read x; done"
        )
        reader, writer = os.pipe()  # nobody writes: only a signal ends a read
        run = subprocess.Popen(
            [TENSORING, "run", "-n", "2", "--", "sh", "-c", script],
            stdin=reader,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(reader)
        assert run.stdout
        self.assertEqual([run.stdout.readline() for _ in range(2)], ["up\n"] * 2)
        run.send_signal(signal.SIGUSR1)
        self.assertEqual([run.stdout.readline() for _ in range(2)], ["usr1\n"] * 2)
        run.send_signal(signal.SIGTERM)
        self.assertEqual([run.stdout.readline() for _ in range(2)], ["bye\n"] * 2)
        self.assertEqual(run.wait(timeout=60), 0)
        run.stdout.close()
        os.close(writer)

    def test_who_ignores_termination_is_killed(self) -> None:
        run = self.start(
            "-n",
            "1",
            "--drain=0",
            "--",
            "sh",
            "-c",
            'trap "" TERM; echo up; exec cat /dev/zero > /dev/null',
        )
        assert run.stdout
        self.assertEqual(run.stdout.readline(), "up\n")
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(timeout=60), 0)
        run.stdout.close()

    def test_copies_do_not_outlive_it(self) -> None:
        run = self.start(
            "-n", "2", "--", "sh", "-c", "echo up; exec cat /dev/zero > /dev/null 3>&1"
        )
        assert run.stdout
        self.assertEqual([run.stdout.readline() for _ in range(2)], ["up\n"] * 2)
        pids = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        watches = [os.pidfd_open(int(pid)) for pid in pids]
        run.kill()
        run.wait()
        for (
            watch
        ) in watches:  # readable when dead; the time limit of the test is the judge
            select.select([watch], [], [])
            os.close(watch)
        run.stdout.close()


class Words(unittest.TestCase):
    """What every command has: help, a version, and output that arrives or is missed."""

    COMMANDS = ("plan", "run", "doctor", "ls", "stat", "who", "reap", "gc")

    def test_help(self) -> None:
        for command in self.COMMANDS:
            text = tensoring(command, "--help")
            self.assertIn(f"tensoring {command}", text)
            self.assertEqual(tensoring(command, "-h"), text)
            self.assertEqual(tensoring("help", command), text)
            self.assertEqual(tensoring("--help", command), text)
        self.assertEqual(tensoring("-h"), tensoring("help"))
        tensoring("help", "paint", code=64)

    def test_version(self) -> None:
        version = tensoring("--version")
        self.assertEqual(tensoring("-V"), version)
        for command in self.COMMANDS:
            self.assertEqual(tensoring(command, "--version"), version)

    def lose(self, *args: str, to: str = "/dev/full") -> str:
        with Path(to).open("w") as full:
            done = subprocess.run(
                [TENSORING, *args], stdout=full, stderr=subprocess.PIPE, text=True
            )
        self.assertNotEqual(done.returncode, 0, args)
        return done.stderr

    def test_lost_output_is_a_failure(self) -> None:
        for args in (
            ("help",),
            ("--version",),
            ("ls", "--json"),
            ("gc", "--dry-run", "there-is-none"),
            ("plan", "-n2"),
            ("plan", "-n2", "--json"),
            ("plan", "-n64", "--json"),  # more than one buffer: a write before the end
            ("doctor",),
            ("doctor", "--json"),
            *((command, "--help") for command in self.COMMANDS),
        ):
            self.assertIn("the output is lost: No space left", self.lose(*args))

    def test_closed_output_is_a_failure(self) -> None:
        done = subprocess.run(
            ["sh", "-c", '"$0" plan -n2 >&-', TENSORING], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("the output is lost: Bad file descriptor", done.stderr)

    def test_a_reader_may_have_enough(self) -> None:
        for ignore in (False, True):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [TENSORING, "plan", "-n2"],
                stdout=writer,
                stderr=subprocess.PIPE,
                restore_signals=not ignore,
            )
            os.close(writer)
            self.assertEqual(done.returncode, 1 if ignore else -signal.SIGPIPE)
            self.assertEqual(done.stderr, b"")


class Doctor(unittest.TestCase):
    def test_finds_dangerous_settings(self) -> None:
        done = subprocess.run(
            [TENSORING, "doctor", "--json"],
            capture_output=True,
            timeout=60,
            env={**os.environ, "KMP_AFFINITY": "compact", "OMP_NUM_THREADS": "999"},
        )
        findings = json.loads(done.stdout)["findings"]
        warned = [f for f in findings if f["verdict"] == "warning"]
        self.assertTrue(any("KMP_AFFINITY=compact" in f["text"] for f in warned))
        self.assertTrue(any("OMP_NUM_THREADS=999" in f["text"] for f in warned))
        names = {f["name"] for f in findings}
        self.assertTrue(
            {"shm", "locked memory", "io_uring", "huge pages", "cpu quota"} <= names
        )

    def test_text(self) -> None:
        done = subprocess.run(
            [TENSORING, "doctor"], capture_output=True, text=True, timeout=60
        )
        self.assertIn(done.returncode, (0, 1))
        self.assertIn("kernel", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
