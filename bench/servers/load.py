# SPDX-License-Identifier: MIT
"""An open-loop client: request i is due at start + i / rate, whether or not those before
it are answered, and its time counts from then. Each answer is checked, so it can say that
none was lost, doubled, or mixed up with another's."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import deque
from dataclasses import asdict, dataclass, field

from model import ANSWER, Requests, number_of

PATIENCE = 30.0  # seconds, from the last due time, for answers that are late


@dataclass
class Result:
    asked: int = 0
    right: int = 0
    wrong: int = 0  # the answer of another body
    mixed_up: int = 0  # of another request
    doubled: int = 0  # more bytes than one answer
    lost: int = 0  # the connection ended, or the time
    errors: int = 0  # status other than 200
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)  # from when it was due
    late: list[float] = field(default_factory=list)  # in sending, by this client's fault

    def summary(self) -> dict[str, float]:
        said = asdict(self)
        del said["times"], said["late"]
        for name, times in (("", self.times), ("client_late_", self.late)):
            for share in (50, 99):
                said[f"{name}p{share}"] = percentile(times, share)
        return {**said, "max": max(self.times, default=0.0)}

    @property
    def all_right(self) -> bool:
        return self.right == self.asked


def percentile(times: list[float], share: float) -> float:
    """0 if there are none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if times else 0


class _Connection:
    """One request at a time; opened again if the server closes it."""

    def __init__(self, port: int, requests: Requests) -> None:
        self._port, self._requests = port, requests
        self._socket: socket.socket | None = None
        self.number = -1
        self.due = 0.0
        self._out: deque[memoryview] = deque()
        self._in = bytearray()

    def begin(self, number: int, due: float) -> socket.socket:
        head, tail = self._requests.parts(number)
        length = len(head) + len(tail)
        line = f"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n"
        self.number, self.due = number, due
        self._out.extend((memoryview(line.encode() + head), tail))
        self._in.clear()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setblocking(False)
        self.send()
        return self._socket

    def send(self) -> bool:
        """Whether all is sent."""
        assert self._socket is not None
        try:
            while self._out:
                sent = self._socket.sendmsg(self._out)
                while self._out and sent >= len(self._out[0]):
                    sent -= len(self._out.popleft())
                if self._out:
                    self._out[0] = self._out[0][sent:]
        except BlockingIOError:
            pass
        except OSError:  # what the server said before it closed can be read
            self._out.clear()
        return not self._out

    def receive(self) -> str | None:
        """What became of the request: the name of a field of the result."""
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return "lost"
        self._in += data
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            return None
        head, body = bytes(self._in[:end]).lower(), self._in[end + 4 :]
        if not head.startswith((b"http/1.1 200", b"http/1.0 200")):
            self.close()
            return "errors"
        if len(body) < ANSWER:
            return None
        verdict = self._verdict(bytes(body), head)
        if b"connection: close" in head or verdict != "right":
            self.close()
        return verdict

    def _verdict(self, body: bytes, head: bytes) -> str:
        if number_of(body) != self.number:
            return "mixed_up"
        if b"content-length: %d" % ANSWER not in head:
            return "wrong"
        if len(body) > ANSWER or self._more():
            return "doubled"
        return "right" if self._requests.right(self.number, body) else "wrong"

    def _more(self) -> bytes:
        """What has come behind an answer."""
        assert self._socket is not None
        with contextlib.suppress(OSError):
            return self._socket.recv(1)
        return b""

    def behind(self) -> bool:
        """Whether anything has come, at the end, that nobody asked for."""
        return self._socket is not None and bool(self._more())

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._out.clear()


def open_loop(
    port: int, nbytes: int, connections: int, rate: float, seconds: float
) -> Result:
    """Ask for so many seconds, and wait for the answers."""
    return _Loop(port, nbytes, connections, rate, max(1, int(rate * seconds))).run()


class _Loop:
    def __init__(
        self, port: int, nbytes: int, connections: int, rate: float, total: int
    ) -> None:
        requests = Requests(nbytes)
        self._all = [_Connection(port, requests) for _ in range(connections)]
        self._idle = list(self._all)
        self._rate, self._total = rate, total
        # Not epoll: it counts in milliseconds.
        self._selector = selectors.SelectSelector()
        self._result = Result(asked=total)
        self._begun = self._done = 0
        self._freed = 0.0  # when the first of the idle connections became idle

    def run(self) -> Result:
        result = self._result
        self._start = time.perf_counter()
        last = self._start + self._total / self._rate + PATIENCE
        try:
            while self._done < self._total and time.perf_counter() < last:
                self._begin()
                for key, events in self._selector.select(self._pause()):
                    self._serve(key.data, events)
            result.seconds = time.perf_counter() - self._start
            result.lost += self._total - self._done
            result.doubled += sum(one.behind() for one in self._all)
        finally:
            for one in self._all:
                one.close()
            self._selector.close()
        return result

    def _due(self, number: int) -> float:
        return self._start + number / self._rate

    def _pause(self) -> float:
        """Until a request can begin; an answer ends it, too."""
        if not self._idle or self._begun == self._total:
            return 1.0
        return max(0.0, self._due(self._begun) - time.perf_counter())

    def _begin(self) -> None:
        while self._idle and self._begun < self._total:
            due, now = self._due(self._begun), time.perf_counter()
            if now < due:
                return
            # It may have waited for a connection, too: that is not the client's fault.
            self._result.late.append(now - max(due, self._freed))
            one = self._idle.pop()
            opened = one.begin(self._begun, due)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.register(opened, both, one)
            self._begun += 1

    def _serve(self, one: _Connection, events: int) -> None:
        opened = one._socket
        assert opened is not None
        if events & selectors.EVENT_WRITE and one.send():
            self._selector.modify(opened, selectors.EVENT_READ, one)
        if not events & selectors.EVENT_READ:
            return
        verdict = one.receive()
        if verdict is None:
            return
        now = time.perf_counter()
        self._selector.unregister(opened)
        self._done += 1
        setattr(self._result, verdict, getattr(self._result, verdict) + 1)
        if verdict == "right":
            self._result.times.append(now - one.due)
        if not self._idle:
            self._freed = now
        self._idle.append(one)
