# SPDX-License-Identifier: MIT
# ruff: noqa: PT009
"""elastic.py TENSORING LIBRARY: what the command says of memory that is limited."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
import unittest
from typing import Any

from arena_options import arena_options

TENSORING, LIBRARY = sys.argv[1:3]
ELASTIC = 1 << 8
MIB = 1 << 20
SOME = 600 << 10


class Memory(unittest.TestCase):
    def setUp(self) -> None:
        self.name = f"e2e-elastic-{os.getpid()}".encode()
        self.library: Any = ctypes.CDLL(LIBRARY)
        self.arena = ctypes.c_void_p()

    def tearDown(self) -> None:
        self.library.tr_arena_close(self.arena)
        self.library.tr_arena_unlink(self.name)

    def create(self, flags: int, memory: int) -> None:
        options = arena_options(flags, memory_bytes=memory)
        err = self.library.tr_arena_create(
            self.name, ctypes.byref(options), ctypes.byref(self.arena)
        )
        self.assertEqual(err, 0)

    def loan(self, timeout_ns: int) -> int:
        message = ctypes.c_void_p()
        err: int = self.library.tr_message_loan_bytes(
            self.arena,
            ctypes.c_uint64(SOME),
            ctypes.c_int64(timeout_ns),
            ctypes.byref(message),
        )
        return err

    def stat(self, *more: str) -> str:
        command = [TENSORING, "stat", self.name.decode(), *more]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=100
        ).stdout

    def test_slots_that_have_all_their_memory(self) -> None:
        self.create(0, 0)
        self.assertNotIn("limit", self.stat())
        stats = json.loads(self.stat("--json"))
        self.assertIsNone(stats["slots_bytes"])
        self.assertIsNone(stats["memory_bytes"])

    def test_no_limit(self) -> None:
        self.create(ELASTIC, 0)
        self.assertEqual(self.loan(0), 0)
        self.assertIn(f"slots have {SOME} bytes: ", self.stat())
        self.assertIn("the limit is the machine's", self.stat())
        self.assertIsNone(json.loads(self.stat("--json"))["memory_bytes"])

    def test_the_limit_is_what_a_loan_waits_for(self) -> None:
        self.create(ELASTIC, MIB)
        self.assertEqual(self.loan(0), 0)
        self.assertNotIn("blocked", self.stat())
        self.assertEqual(self.loan(1000), -errno.ETIMEDOUT)
        text = self.stat()
        self.assertIn(
            f"{SOME} bytes: receivers 0, free slots 0; the limit is {MIB}\n", text
        )
        self.assertIn(f"blocked by the limit of memory, {MIB} bytes, 0 slots are", text)
        self.assertIn(f"process {os.getpid()} ", text)
        stats = json.loads(self.stat("--json"))
        self.assertEqual((stats["slots_bytes"], stats["memory_bytes"]), (SOME, MIB))
        (reason,) = stats["blocked"]
        self.assertEqual((reason["slot_bytes"], reason["memory_bytes"]), (None, MIB))
        self.assertEqual([one["has"] for one in reason["by"]], [1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
