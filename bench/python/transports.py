# SPDX-License-Identifier: MIT
"""Ways to get an array to another process and back: the base, and ours. A transport
is made before the fork; the child echoes until it gets None, the other side calls
trip(array) and gets what came back."""

from __future__ import annotations

import mmap
import os
import select
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tensoring as tr

_SLOTS = [(4 << 10, 32), (64 << 10, 16), (2 << 20, 8), (16 << 20, 6)]


class Transport:
    """What all of them share. `waits` and `copies` say which of them may be compared."""

    name = ""
    waits = "asleep"  # or "spinning", or "adaptive"
    copies = True  # False: the slot itself goes there and another or the same comes back

    def __init__(self, array: np.ndarray) -> None:
        self.shape, self.dtype = array.shape, array.dtype

    def ends(self) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        """Called in the child: how to take one, None at the end; how to send it back."""
        raise NotImplementedError

    def as_array(self, x: Any) -> None:
        """Called in the child: make an array of what was taken, if it is none yet."""

    def child(self) -> None:
        take, answer = self.ends()
        while (x := take()) is not None:
            answer(x)
            del x

    def stamping_child(self, stamp: Any) -> None:
        """The same, saying when each array was there."""
        take, answer = self.ends()
        while (x := take()) is not None:
            self.as_array(x)
            stamp[0] = time.perf_counter()
            answer(x)
            del x

    def trip(self, array: np.ndarray) -> Any:
        raise NotImplementedError

    def rest(self) -> None:
        """Until the child disturbs nobody."""

    def stop(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Gate:
    """Where a child that polls is parked, so that it does not burn its processor while
    others are measured."""

    def __init__(self, looks: int) -> None:
        """Parked after so many looks, which take some milliseconds."""
        self.looks = looks
        self.parked = memoryview(mmap.mmap(-1, 4096))
        self.out, self.into = os.pipe()

    def byte(self, offset: int) -> memoryview:
        """One that both sides see."""
        return self.parked[offset : offset + 1]

    def poll(self, look: Callable[[], Any]) -> Any:
        """Called in the child: look until there is something."""
        while True:
            for _ in range(self.looks):
                if (x := look()) is not None:
                    return x
            self.parked[0] = 1
            while (x := look()) is None:
                if select.select([self.out], [], [], 0.05)[0]:
                    os.read(self.out, 1)
                    break
            if x is not None:
                return x

    def knock(self) -> None:
        """After a message to the child."""
        if self.parked[0]:
            self.parked[0] = 0
            os.write(self.into, b"x")

    def rest(self) -> None:
        """Until the child is parked."""
        while not self.parked[0]:
            time.sleep(0.001)

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


class Ours(Transport):
    """One copy in, a view out; waits spin as long as it pays."""

    name = "tensoring"
    waits = "adaptive"
    spin: float | None = None

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.arena = tr.Arena(_SLOTS, spin=self.spin, populate=True)
        self.there, self.back = self.arena.queue("there", 4), self.arena.queue("back", 4)

    def ends(self) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return self.there.receive, self.back.send

    def trip(self, array: np.ndarray) -> Any:
        self.there.send(array)
        return self.back.receive()

    def stop(self) -> None:
        self.there.send(None)

    def close(self) -> None:
        self.arena.close()


class OursAsleep(Ours):
    """The same without spinning: both sides sleep in the kernel at each turn."""

    name = "tensoring asleep"
    waits = "asleep"
    spin = 0.0


class OursSpinning(Ours):
    """Spins for 50 us whatever else the machine does: what adaptive waits do when it is
    idle."""

    name = "tensoring spinning"
    waits = "spinning"
    spin = 50e-6


class OursLoaned(Ours):
    """No copy: a loan there, the same slot back."""

    name = "tensoring loans"
    copies = False

    def ends(self) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        there = self.there

        def take() -> Any:
            message = there.receive_message()
            return None if message.content[0] else message  # None comes as JSON

        return take, self.back.send_message

    def as_array(self, x: Any) -> None:
        x.array(0)

    def trip(self, array: np.ndarray) -> Any:
        with self.there.loan(self.shape, self.dtype):
            pass
        return self.back.receive()


class OursLoanedSpinning(OursLoaned):
    name = "tensoring loans spinning"
    waits = "spinning"
    spin = 50e-6


class OursLoanedAsleep(OursLoaned):
    name = "tensoring loans asleep"
    waits = "asleep"
    spin = 0.0


class OursQueue(Transport):
    """tensoring.Queue, the stand-in for multiprocessing.Queue."""

    name = "tensoring.Queue"
    waits = "adaptive"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.there: Any = tr.Queue()
        self.back: Any = tr.Queue()

    def ends(self) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
        return self.there.get, self.back.put

    def trip(self, array: np.ndarray) -> Any:
        self.there.put(array)
        return self.back.get()

    def stop(self) -> None:
        self.there.put(None)

    def close(self) -> None:
        for queue in (self.there, self.back):
            queue.close()


OURS: list[type[Transport]] = [
    Ours,
    OursSpinning,
    OursAsleep,
    OursLoaned,
    OursLoanedSpinning,
    OursLoanedAsleep,
    OursQueue,
]
