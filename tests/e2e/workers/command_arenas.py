# SPDX-License-Identifier: MIT
# ruff: noqa: PT009
"""command_arenas.py TENSORING LIBRARY: ls, stat, who, reap and gc, of living and dead arenas."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arena_options import arena_options
from command_line import LIBRARY, TENSORING, complaint, tensoring


class QueueOptions(ctypes.Structure):
    """tr_queue_options."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("capacity", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("max_deliveries", ctypes.c_uint32),
        ("stamp", ctypes.c_uint32),
        ("histograms", ctypes.c_uint32),
    )


class Arenas(unittest.TestCase):
    """One living and one dead participant, of a named arena."""

    def setUp(self) -> None:
        self.name = f"e2e-workers-{os.getpid()}"
        self.library: Any = ctypes.CDLL(LIBRARY)
        self.library.tr_arena_close.argtypes = [ctypes.c_void_p]
        self.children: list[int] = []
        self.create()

    def create(self, max_participants: int = 64) -> None:
        options = arena_options(max_participants=max_participants)
        self.arena = ctypes.c_void_p()
        err = self.library.tr_arena_create(self.name.encode(), ctypes.byref(options), ctypes.byref(self.arena))
        self.assertEqual(err, 0)
        self.closed = False

    def fork_and(self, work: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(1)
        self.children.append(pid)
        return pid

    def end(self, pid: int) -> None:
        self.children.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def queue(self) -> ctypes.c_void_p:
        queue = ctypes.c_void_p()
        err = self.library.tr_queue_open(self.arena, b"jobs", None, ctypes.byref(queue))
        self.assertEqual(err, 0)
        return queue

    def send(self) -> None:
        message = ctypes.c_void_p()
        err = self.library.tr_message_loan_bytes(
            self.arena, ctypes.c_uint64(100), ctypes.c_int64(0), ctypes.byref(message)
        )
        self.assertEqual(err, 0)
        err = self.library.tr_queue_send(self.queue(), message, ctypes.c_int64(0))
        self.assertEqual(err, 0)

    def receive(self, timeout_ns: int = 0) -> None:
        message = ctypes.c_void_p()
        err = self.library.tr_queue_receive(
            self.queue(), ctypes.c_int64(timeout_ns), ctypes.byref(message)
        )
        self.assertEqual(err, 0)

    def channel(self, name: str) -> dict[str, Any]:
        channels = json.loads(tensoring("stat", self.name, "--json"))["channel"]
        found: dict[str, Any] = next(c for c in channels if c["name"] == name)
        return found

    def tearDown(self) -> None:
        for pid in [*self.children]:
            self.end(pid)
        self.close()
        self.library.tr_arena_unlink(self.name.encode())

    def close(self) -> None:
        if not self.closed:
            self.library.tr_arena_close(self.arena)
        self.closed = True

    def die_with_a_loan(self) -> None:
        pid = os.fork()
        if pid == 0:
            message = ctypes.c_void_p()
            err = self.library.tr_message_loan_bytes(
                self.arena, ctypes.c_uint64(100), ctypes.c_int64(0), ctypes.byref(message)
            )
            if err:
                os._exit(1)
            os.kill(os.getpid(), signal.SIGKILL)
        self.assertEqual(os.waitpid(pid, 0)[1], signal.SIGKILL)

    def test_life_of_an_arena(self) -> None:
        rows = {row["name"]: row for row in json.loads(tensoring("ls", "--json"))}
        self.assertEqual(rows[self.name]["state"], "alive")
        self.assertIn(self.name, tensoring("ls"))
        self.die_with_a_loan()
        people = json.loads(tensoring("who", self.name, "--json"))
        self.assertEqual([p["pid"] for p in people if p["alive"]], [os.getpid()])
        self.assertIn(str(os.getpid()), tensoring("who", self.name))
        tensoring("reap", self.name)
        stats = json.loads(tensoring("stat", self.name, "--json"))
        self.assertEqual(stats["slots_loaned"], 0)
        self.assertEqual(stats["slots_free"], stats["slots"])
        self.assertIn("deaths", tensoring("stat", self.name))
        self.assertEqual(json.loads(tensoring("gc", self.name, "--json"))["removed"], 0)

    def test_leftovers_go(self) -> None:
        pid = os.fork()
        if pid == 0:
            other = ctypes.c_void_p()
            name = f"{self.name}-left".encode()
            err = self.library.tr_arena_create(name, None, ctypes.byref(other))
            os.kill(os.getpid(), signal.SIGKILL if err == 0 else signal.SIGTERM)
        self.assertEqual(os.waitpid(pid, 0)[1], signal.SIGKILL)
        dry = json.loads(tensoring("gc", "--dry-run", "--json", f"{self.name}-left"))
        self.assertEqual(dry["names"], [f"{self.name}-left"])
        self.assertIn("1 removed", tensoring("gc", self.name))
        self.assertEqual(
            json.loads(tensoring("gc", "--dry-run", "--json", self.name))["names"], []
        )

    def test_json_of_a_file(self) -> None:
        rows = {row["name"]: row for row in json.loads(tensoring("ls", "--json"))}
        self.assertEqual(rows[self.name]["mode"], "0600")
        self.assertEqual(rows[self.name]["participants"], 1)
        self.assertIs(rows[self.name]["anonymous"], False)

    def counters(self) -> dict[str, Any]:
        got: dict[str, Any] = json.loads(tensoring("stat", self.name, "--json"))
        return got

    def test_a_full_arena_can_be_looked_at(self) -> None:
        self.close()
        self.library.tr_arena_unlink(self.name.encode())
        self.create(max_participants=1)
        everything = {p["index"] for p in json.loads(tensoring("who", self.name, "--json"))}
        self.assertEqual(everything, {0})
        self.assertIn(f"process {os.getpid()}", tensoring("who", self.name))
        for args in (("ls",), ("gc", "--dry-run", self.name)):
            tensoring(*args)
        self.assertIn("0 dead", tensoring("reap", self.name))
        self.assertEqual(self.counters()["participants"], 1)

    def test_what_a_queue_counts(self) -> None:
        options = QueueOptions(
            struct_size=ctypes.sizeof(QueueOptions), max_deliveries=3, histograms=1
        )
        queue = ctypes.c_void_p()
        err = self.library.tr_queue_open(
            self.arena, b"jobs", ctypes.byref(options), ctypes.byref(queue)
        )
        self.assertEqual(err, 0)
        self.assertEqual(
            self.channel("jobs")["wait_ns"], {"count": 0, "p50": None, "p99": None}
        )
        self.assertNotIn("p99", tensoring("stat", self.name))
        for _ in range(3):
            self.send()
            self.receive()
        self.assertEqual(self.library.tr_queue_note_batch(queue, ctypes.c_uint64(6)), 0)
        one = self.channel("jobs")
        self.assertEqual(one["wait_ns"]["count"], 3)
        self.assertLessEqual(one["wait_ns"]["p50"], one["wait_ns"]["p99"])
        self.assertEqual(one["service_ns"]["count"], 0)
        self.assertEqual(one["batch_rows"], {"count": 1, "p50": 6, "p99": 6})
        text = tensoring("stat", self.name)
        self.assertRegex(
            text,
            r"\n  waits 3: p50 \S+ (us|ms|s), p99 \S+ (us|ms|s)  batches 1: p50 6 rows",
        )

    def test_looks_join_nothing_and_wake_nobody(self) -> None:
        self.queue()
        self.fork_and(lambda: self.receive(timeout_ns=-1))
        while not self.channel("jobs")["receivers_wait"]:
            pass
        before = self.counters()
        for command in ("who", "stat", "reap"):
            tensoring(command, self.name)
        tensoring("ls")
        tensoring("gc", "--dry-run", self.name)
        after = self.counters()
        for name in ("joins", "wakes", "participants"):
            self.assertEqual(after[name], before[name], name)

    def test_who_is_stopped_and_what_it_holds(self) -> None:
        self.send()
        reader, writer = os.pipe()

        def stop() -> None:
            self.receive()
            os.write(writer, b"x")
            os.kill(os.getpid(), signal.SIGSTOP)

        pid = self.fork_and(stop)
        os.read(reader, 1)
        os.waitpid(pid, os.WUNTRACED)
        people = {p["pid"]: p for p in json.loads(tensoring("who", self.name, "--json"))}
        one = people[pid]
        self.assertEqual((one["state"], one["process_state"]), ("stopped", "T"))
        self.assertEqual((one["received"], one["channel"]), (1, "jobs"))
        self.assertEqual(one["held_bytes"], 4096)
        self.assertEqual(one["command"], Path(f"/proc/{pid}/comm").read_text().strip())
        self.assertIs(one["foreign"], False)
        self.assertGreater(one["joined_ns"], 0)
        self.assertIsNone(one["oldest_ns"])  # this queue does not stamp
        line = next(x for x in tensoring("who", self.name).splitlines() if str(pid) in x)
        self.assertIn("stopped", line)
        self.assertIn("received 1 from jobs", line)
        self.assertIn("oldest n/a", line)
        self.end(pid)
        tensoring("reap", self.name)
        self.assertEqual(self.channel("jobs")["orphans"], 1)
        self.assertEqual(self.channel("jobs")["depth"], 1)
        self.assertIn("1 of dead receivers", tensoring("stat", self.name))
        os.close(reader)
        os.close(writer)

    def hold_and_stop(self, held: int) -> int:
        """A child that has received so many messages and is stopped."""
        reader, writer = os.pipe()

        def stop() -> None:
            for _ in range(held):
                self.receive()
            os.write(writer, b"x")
            os.kill(os.getpid(), signal.SIGSTOP)

        pid = self.fork_and(stop)
        os.read(reader, 1)
        os.waitpid(pid, os.WUNTRACED)
        os.close(reader)
        os.close(writer)
        return pid

    def test_what_blocks(self) -> None:
        queue = ctypes.c_void_p()
        options = QueueOptions(ctypes.sizeof(QueueOptions), 3, 0, 3, 0, 0)
        err = self.library.tr_queue_open(
            self.arena, b"jobs", ctypes.byref(options), ctypes.byref(queue)
        )
        self.assertEqual(err, 0)
        self.send()
        self.send()
        self.assertNotIn("blocked", tensoring("stat", self.name))
        pid = self.hold_and_stop(2)
        self.assertEqual(self.channel("jobs")["receivers"], 1)
        for _ in range(self.channel("jobs")["capacity"]):
            self.send()
        blocked = self.counters()["blocked"]
        self.assertEqual(
            [(b["queue"], [(x["pid"], x["state"], x["has"]) for x in b["by"]]) for b in blocked],
            [("jobs", [(pid, "stopped", 2)])],
        )
        text = next(x for x in tensoring("stat", self.name).splitlines() if "blocked" in x)
        self.assertIn("full queue jobs, which 1 process receives from", text)
        self.assertIn(f"process {pid} ", text)
        self.assertIn("(stopped) has 2 of its messages in hand", text)
        self.end(pid)
        text = tensoring("stat", self.name)
        self.assertIn("which 0 processes receive from", text)

    def loan(self, size: int, timeout_ns: int = 0) -> tuple[int, ctypes.c_void_p]:
        message = ctypes.c_void_p()
        err = self.library.tr_message_loan_bytes(
            self.arena,
            ctypes.c_uint64(size),
            ctypes.c_int64(timeout_ns),
            ctypes.byref(message),
        )
        return err, message

    def test_no_slot_of_one_size(self) -> None:
        errors = [self.loan(1 << 20, 1000)[0] for _ in range(65)]
        self.assertEqual(errors, 64 * [0] + [-errno.ETIMEDOUT])
        text = tensoring("stat", self.name)
        self.assertIn("blocked by no free slot of 1048576 bytes, 0 are queued:", text)
        self.assertIn(f"process {os.getpid()} ", text)
        self.assertIn("has 64 slots of any size", text)
        self.assertNotIn("of 4096 bytes", text)
        (reason,) = self.counters()["blocked"]
        self.assertEqual((reason["queue"], reason["slot_bytes"]), (None, 1 << 20))
        self.assertEqual([(x["pid"], x["has"]) for x in reason["by"]], [(os.getpid(), 64)])

    def test_who_holds_up_a_broadcast(self) -> None:
        news, place = ctypes.c_void_p(), ctypes.c_void_p()
        blocks = (ctypes.c_uint32 * 4)(16, 0, 0, 0)
        err = self.library.tr_broadcast_open(self.arena, b"news", None, ctypes.byref(news))
        err = err or self.library.tr_subscription_open(news, blocks, ctypes.byref(place))
        self.assertEqual(err, 0)
        for _ in range(64):
            self.assertNotIn("blocked", tensoring("stat", self.name))
            err, message = self.loan(8)
            err = err or self.library.tr_broadcast_publish(
                news, message, ctypes.c_int64(0)
            )
            self.assertEqual(err, 0)
        text = tensoring("stat", self.name)
        self.assertIn("blocked by broadcast news, whose publishers wait for process", text)
        self.assertIn("which is 64 messages behind", text)
        (reason,) = self.counters()["blocked"]
        self.assertEqual((reason["queue"], reason["broadcast"]), (None, "news"))
        self.assertEqual([(x["pid"], x["has"]) for x in reason["by"]], [(os.getpid(), 64)])

    def test_the_inbox_of_replies_has_a_name(self) -> None:
        queue, ticket = ctypes.c_void_p(), ctypes.c_uint64()
        message = ctypes.c_void_p()
        err = self.library.tr_queue_open(self.arena, b"ask", None, ctypes.byref(queue))
        err = err or self.library.tr_message_loan_bytes(
            self.arena, ctypes.c_uint64(8), ctypes.c_int64(0), ctypes.byref(message)
        )
        err = err or self.library.tr_request_send(queue, message, ctypes.c_int64(-1), ctypes.c_int64(-1), 0, ctypes.byref(ticket))
        self.assertEqual(err, 0)
        self.assertEqual(self.channel("inbox/0")["kind"], "queue")
        self.assertNotIn("?", tensoring("stat", self.name))

    def test_a_path_that_is_no_arena(self) -> None:
        for command in ("stat", "who"):
            text = complaint(command, "/dev/null")
            self.assertIn("/dev/null: it is not a regular file, so it is not an arena", text)
            text = complaint(command, "/nowhere/at/all")
            self.assertIn("/nowhere/at/all: No such file or directory", text)

    def as_user(self, work: Callable[[], object], user: int = 64001) -> int:
        """Runs in a child of another user, which then dies as if killed."""
        if os.geteuid() != 0:
            self.skipTest("only root can become another")
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                work()
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        return os.waitpid(pid, 0)[1]

    def test_root_acts_for_the_user_of_a_service(self) -> None:
        other = ctypes.c_void_p()
        name = f"{self.name}-service"

        def serve() -> None:
            err = self.library.tr_arena_create(name.encode(), None, ctypes.byref(other))
            message = ctypes.c_void_p()
            err = err or self.library.tr_message_loan_bytes(
                other, ctypes.c_uint64(100), ctypes.c_int64(0), ctypes.byref(message)
            )
            if err:
                os._exit(1)

        self.assertEqual(self.as_user(serve), signal.SIGKILL)
        path = Path(f"/dev/shm/tensoring.{name}")
        try:
            self.assertIn("1 loaned", tensoring("stat", name))
            done = json.loads(tensoring("reap", name, "--json"))
            self.assertEqual((done["dead"], done["freed"]), (1, 1))
            self.assertIn("0 loaned", tensoring("stat", name))
            path.unlink()
            self.assertEqual(self.as_user(serve), signal.SIGKILL)
            dry = json.loads(tensoring("gc", "--dry-run", "--json", name))
            self.assertEqual(dry["names"], [name])
            self.assertIn("1 removed", tensoring("gc", name))
            self.assertFalse(path.exists())
        finally:
            path.unlink(missing_ok=True)

    def test_looks_survive_an_arena_that_is_truncated(self) -> None:
        path = Path(f"/dev/shm/tensoring.{self.name}-trunc")
        other = ctypes.c_void_p()
        err = self.library.tr_arena_create(f"{self.name}-trunc".encode(), None, ctypes.byref(other))
        self.assertEqual(err, 0)
        self.library.tr_arena_close(other)
        bytes_ = path.stat().st_size
        head = path.read_bytes()[:8192]

        def flap() -> None:
            with path.open("r+b") as file:
                number = file.fileno()
                while True:
                    for size in (8192, bytes_):
                        os.ftruncate(number, size)
                        for _ in range(50):  # so that a look begins, and goes on
                            os.pwrite(number, head, 0)

        self.fork_and(flap)
        name = path.name.partition(".")[2]
        try:
            for args in ("stat", name), ("who", name), ("ls",), ("doctor",):
                for _ in range(3 if args == ("doctor",) else 40):
                    done = subprocess.run([TENSORING, *args], capture_output=True, timeout=100)
                    self.assertIn(done.returncode, (0, 1), args)
        finally:
            path.unlink()

    def test_what_is_no_file_is_not_even_opened(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        in_open, nonblock = 0x20, os.O_NONBLOCK | os.O_CLOEXEC
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/fifo"
            os.mkfifo(path)
            watch = libc.inotify_init1(nonblock)
            self.assertGreaterEqual(libc.inotify_add_watch(watch, path.encode(), in_open), 0)
            tensoring("stat", path, code=1)
            with self.assertRaises(BlockingIOError):
                os.read(watch, 4096)
            os.close(watch)

    def test_names_that_are_no_arenas_are_not_shown(self) -> None:
        path = Path(f"/dev/shm/tensoring.{self.name}\x1b[31m\nforged row")
        path.touch()
        try:
            self.assertNotIn("forged", tensoring("ls"))
            names = [row["name"] for row in json.loads(tensoring("ls", "--json"))]
            self.assertFalse([n for n in names if "forged" in n])
        finally:
            path.unlink()

    def test_texts_of_others_are_escaped(self) -> None:
        queue = ctypes.c_void_p()
        name = b"a\x1b[2J\xc2\x9b\xff\xe2\x82\xac"
        plain = b"a-queue-...".ljust(len(name), b".")
        err = self.library.tr_queue_open(self.arena, plain, None, ctypes.byref(queue))
        self.assertEqual(err, 0)
        # No call takes such a name, but another participant may write to the arena.
        with open(f"/dev/shm/tensoring.{self.name}", "r+b") as file:
            at = file.read().index(plain)
            file.seek(at)
            file.write(name)

        def rename() -> None:
            Path("/proc/self/comm").write_bytes(b"\x1b]0;x\xff")
            self.receive(timeout_ns=-1)

        pid = self.fork_and(rename)
        while pid not in {p["pid"] for p in json.loads(tensoring("who", self.name, "--json"))}:
            pass
        self.assertEqual(self.channel("a?[2J???€")["kind"], "queue")
        for command in ("stat", "who"):
            self.assertNotIn("\x1b", tensoring(command, self.name))
        people = {p["pid"]: p for p in json.loads(tensoring("who", self.name, "--json"))}
        self.assertEqual(people[pid]["command"], "?]0;x?")

    def test_parts_add_up(self) -> None:
        self.send()
        stats = self.counters()
        parts = "free loaned queued orphaned received kept board pinned retired".split()
        self.assertEqual(sum(stats[f"slots_{part}"] for part in parts), stats["slots"])
        self.assertEqual(stats["slots_queued"], 1)

    def test_arenas_without_a_name(self) -> None:
        other = ctypes.c_void_p()
        self.assertEqual(
            self.library.tr_arena_create(None, None, ctypes.byref(other)), 0
        )
        rows = [row for row in json.loads(tensoring("ls", "--json")) if row["anonymous"]]
        mine = [r for r in rows if r["name"].startswith(f"/proc/{os.getpid()}/fd/")]
        self.assertEqual(len(mine), 1)
        self.assertEqual((mine[0]["participants"], mine[0]["state"]), (1, "alive"))
        people = json.loads(tensoring("who", mine[0]["name"], "--json"))
        self.assertEqual([p["pid"] for p in people], [os.getpid()])
        both = json.loads(tensoring("who", "--pid", str(os.getpid()), "--json"))
        self.assertEqual(len(both), 2)  # and the one with a name
        self.assertEqual(len(json.loads(tensoring("stat", "-p", str(os.getpid()), "--json"))), 2)
        text = tensoring("stat", "-p", str(os.getpid()))
        self.assertIn("memfd:tensoring", text)
        tensoring("reap", mine[0]["name"], code=64)
        self.assertIn(f"({self.name})", text)
        self.library.tr_arena_close(other)
        tensoring("who", self.name, "--pid", "1", code=64)
        tensoring("who", "--pid", "0", code=64)
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        tensoring("who", "--pid", str(child), code=1)

    def test_unknown_is_not_nobody(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("needs another user")
        try:
            done = subprocess.run(
                [TENSORING, "ls", "--json"], user=65534, capture_output=True, text=True
            )
        except PermissionError:
            self.skipTest("another user may not run the command")
        row = next(r for r in json.loads(done.stdout) if r["name"] == self.name)
        self.assertEqual((row["state"], row["participants"]), ("TR_EACCES", None))

    def test_pids_of_another_namespace_are_marked(self) -> None:
        script = (
            "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); arena = ctypes.c_void_p();"
            "print(library.tr_arena_attach(sys.argv[2].encode(), None, ctypes.byref(arena)),"
            "flush=True); sys.stdin.read()"
        )
        inside = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child"]
            + [sys.executable, "-c", script, LIBRARY, self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert inside.stdin
        assert inside.stdout
        try:
            if inside.stdout.readline() != "0\n":
                self.skipTest("no pid namespace is available")
            people = json.loads(tensoring("who", self.name, "--json"))
            one = next(p for p in people if p["foreign"])
            self.assertEqual(one["pid"], 1)
            self.assertIs(one["alive"], True)
            self.assertIsNone(one["command"])
            self.assertIsNone(one["process_state"])
            self.assertNotEqual(one["pid_namespace"], people[0]["pid_namespace"])
            self.assertIn(
                f"process 1 of pid namespace {one['pid_namespace']}",
                " ".join(tensoring("who", self.name).split()),
            )
        finally:
            inside.stdin.close()
            inside.wait()
            inside.stdout.close()

    def test_no_such_arena(self) -> None:
        for command in ("stat", "who", "reap"):
            tensoring(command, "there-is-none", code=1)
            tensoring(command, code=64)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
