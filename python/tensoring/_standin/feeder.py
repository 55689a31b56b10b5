# SPDX-License-Identifier: MIT
"""What put() of a queue could not send at once, and the thread that sends it, in order.

The thread does not ask for a wake-up at the first free slot: it would be woken for each
message, and so would each of its peers. It looks from time to time, and what it finds
then is room for many. Only when nothing moves for a while does it wait to be woken. The
caller sends some of it, too: its next put() is where the interpreter's lock is."""

from __future__ import annotations

import contextlib
import itertools
import operator
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import util
from typing import Any

import numpy as np

from tensoring import _core
from tensoring._arena.queue import ArenaQueue
from tensoring._core import Message
from tensoring._errors import ClosedError, Full, OutOfMemoryError
from tensoring._interrupts import Condition, in_main_thread
from tensoring._serial.pickles import dump_any
from tensoring._standin import objects, stuck

_LEAST, _MOST = 0.002, 0.016  # seconds between two looks
_HELP = 64  # put() sends, too, after so many
_AS_IT_IS = (np.ndarray, bytes)
_PLAIN = np.dtype("u1")


class _Tree:
    """An object that the extension has encoded."""

    __slots__ = ("tree",)

    def __init__(self, tree: object) -> None:
        self.tree = tree


class _Raw:
    """An array or bytes as they are. The same may be put twice: each time is another."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array


class Feeder:
    """The thread that sends for one queue in one process."""

    def __init__(self, queue: ArenaQueue, owner: bool) -> None:
        self.queue = queue
        # So many bytes may be too large. A closed queue sends none, also after a fork.
        self.doubtful = 0 if queue.closed else queue._doubtful()
        self.owner = owner  # a copy that came by pickle shares the arena with others
        self.condition = Condition(threading.Lock())
        self.sending = _core.Turn()  # of the thread that sends the first pending
        self.pending: deque[Any] = deque()
        self.sent: deque[Any] = deque(maxlen=1)  # the last of them; it may be there still
        self.thread: threading.Thread | None = None
        self.idle = True  # the thread waits, or there is none
        self.used = False  # put() was called
        self.closed = False
        self.cancelled = False
        self.shortage = ""  # the machine had no memory for the first pending
        self.finalizer: Any = None

    def put(self, obj: Any) -> None:
        """Send it, or keep it for the thread. What is kept is encoded: an object that
        cannot be carried is the caller's error, and may change afterwards."""
        if self.pending or not self.queue._put(obj, dump_any):
            self.append(self.keep(obj))

    def keep(self, obj: Any) -> Any:
        """What is sent of it later. Arrays are not copied: they may be large."""
        if type(obj) in _AS_IT_IS and not getattr(obj, "dtype", _PLAIN).hasobject:
            if (obj.nbytes if type(obj) is np.ndarray else len(obj)) >= self.doubtful:
                self.check(self.queue.arena._encode, obj)
            return _Raw(obj)
        tree = self.queue._keep(obj)
        if tree is not None:
            return _Tree(tree)
        frozen = objects.freeze(obj)
        if sum(len(part[0]) for part in frozen.encoded[2]) >= self.doubtful:
            self.check(self.queue.arena._encode_parts, frozen.encoded)
        return frozen

    def check(self, encode: Callable[[Any, float], Message], what: Any) -> None:
        """TooLargeError if it can never be sent: that is the caller's error, too."""
        with contextlib.suppress(Full, OutOfMemoryError):
            encode(what, 0).release()

    def append(self, kept: Any) -> None:
        if self.thread is None:
            with self.condition:
                if self.thread is None:
                    self.start()  # before: what put() refuses must not be sent later
        self.pending.append(kept)
        if self.idle:
            with self.condition:
                self.condition.notify()
        elif len(self.pending) % _HELP == 0:
            self.help()

    def help(self) -> None:
        """Send some, as long as it goes on or it pays to wait for room."""
        while self.pending and (self.send_some() or self.queue._rest()):
            pass

    def start(self) -> None:
        thread = threading.Thread(target=self.run, name="tensoring-feeder", daemon=True)
        if not self.cancelled and self.finalizer is None:
            ending = ("the end of this process",)
            self.finalizer = util.Finalize(None, self.finish, ending, exitpriority=-5)
        thread.start()
        self.thread = thread  # there is none if it cannot be started; then the next try

    def is_the_one(self) -> bool:
        """Whether this thread is that of this queue. An exception in start() may have let
        nobody know of it."""
        with self.condition:
            self.thread = self.thread or threading.current_thread()
            return self.thread is threading.current_thread()

    def run(self) -> None:
        if not self.is_the_one():
            return
        try:
            while self.wait_for_one():
                self.send_all()
        except ClosedError:
            pass
        finally:
            self.end()  # it would keep the arena
            if self.closed:
                self.leave()

    def wait_for_one(self) -> bool:
        with self.condition:
            self.idle = True  # before the look: put() looks the other way round
            while not self.pending:
                if self.closed:
                    return False
                self.condition.wait()
            self.idle = False
        return True

    def send_all(self) -> None:
        pause = _LEAST
        while self.pending:
            if self.send_some():
                pause = _LEAST
            elif pause < _MOST:
                pause *= 2
            else:
                self.wait_to_send()
                pause = _LEAST
            if self.pending:
                # No event: to be woken for each free slot is what this avoids, see above.
                time.sleep(pause)

    def send_some(self) -> int:
        """What can be sent without waiting; how many."""
        sent = 0
        with self.sending as mine:
            while mine and self.pending and self.send_first(0):
                sent += 1
        return sent

    def wait_to_send(self) -> None:
        with self.sending as mine:
            if not mine or not self.pending:
                return
            patience = stuck.PatienceAside(self.queue, "what was put")
            empty = len(self.queue) == 0
            while not self.send_first(patience.step()):
                # Twice: a full queue may be emptied just after the step.
                if empty and len(self.queue) == 0:
                    patience.waited(reason=self.shortage)
                empty = len(self.queue) == 0
                if self.shortage:
                    # No event tells that the machine has memory again.
                    time.sleep(_MOST)

    def send_first(self, timeout: float | None) -> bool:
        """Whether there was room for it."""
        self.shortage = ""
        try:
            sent = self.offer(self.pending[0], timeout)
        except ClosedError:
            raise
        except OutOfMemoryError as error:
            self.shortage = str(error)
            sent = False
        except Exception:
            if in_main_thread():
                raise  # it may be that of a signal's handler
            traceback.print_exc()  # as multiprocessing's feeder does
            sent = True
        if sent:
            self.pending.popleft()
            self.sent.clear()
        return sent

    def offer(self, kept: Any, timeout: float | None) -> bool:
        """The handler of a signal may raise between two steps of a main thread. That it
        is sent, and a note of that, are one call of C: so it is not sent again."""
        if kept not in self.sent:
            try:
                self.sent.extend(itertools.compress((kept,), self.way(kept, timeout)))
            except Full:
                return False
        return kept in self.sent

    def way(self, kept: Any, timeout: float | None) -> Iterator[bool]:
        if type(kept) is _Tree:
            return map(self.queue._send_kept, (kept.tree,), (timeout,))
        queue, how = self.queue, itertools.starmap
        if type(kept) is _Raw:
            arguments = [(kept.array, dump_any, 0, timeout)]
            return map(operator.not_, how(queue._send_carried, arguments))
        return map(operator.not_, how(queue._send_parts, [(kept.encoded, timeout)]))

    def close(self) -> None:
        with self.condition:
            self.closed = True
            self.condition.notify()
            if self.thread is None:
                self.leave()

    def leave(self) -> None:
        self.queue.close()
        if self.owner:
            self.queue.arena.close()

    def finish(self, what: str) -> None:
        """Wait until all is sent. There is a word if nothing moves: perhaps nobody
        receives any more."""
        self.close()
        if self.thread is None:
            return
        since, left = time.monotonic(), len(self.pending)
        while self.thread.is_alive():
            self.thread.join(None if self.queue._told else stuck.PATIENCE)
            before, left = left, len(self.pending)
            if self.thread.is_alive() and left == before > 0:
                self.tell_of_the_rest(what, left, time.monotonic() - since)

    def tell_of_the_rest(self, what: str, left: int, waited: float) -> None:
        way = "cancel_join_thread() gives them up"
        text = f"{what}, for which {left} objects are not sent yet ({way}),"
        stuck.tell_aside(self.queue, text, waited, 5, self.shortage)

    def cancel(self) -> None:
        """The end of the process does not wait for what is not sent."""
        self.cancelled = True
        self.end()

    def end(self) -> None:
        if self.finalizer is not None:
            self.finalizer.cancel()
