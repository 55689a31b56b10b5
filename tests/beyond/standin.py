# SPDX-License-Identifier: MIT
"""A bridge of queues in a hundred lines over plain sockets: it shows that the tests
measure what they should. It has the command line of `tensoring bridge`, and none of its
keys, refusals and states.

A message is held here until the other side has published it. What was published is noted
on a board of the arena there, under the identity of the queue here."""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import socket
import struct
import threading

import numpy as np

import tensoring as tr

HEAD = struct.Struct("!QQ")  # sequence, bytes
NOTED = 256
RETRY = threading.Event()  # never set


def receive(link: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = link.recv_into(view)
        if not got:
            raise ConnectionResetError
        view = view[got:]
    return data


def origin_of(arena: tr.Arena, name: str) -> str:
    board = arena.board("bridge.origins")
    with contextlib.suppress(Exception):
        board.put(name, random.randbytes(8).hex(), expected=0)
    return str(board[name])


class Out:
    """One queue: takes, sends, and releases when the receipt comes."""

    def __init__(self, arena: tr.Arena, name: str, options: argparse.Namespace) -> None:
        self.queue = arena.queue(name, max_deliveries=255)
        self.hello = json.dumps([name, origin_of(arena, name)]).encode()
        self.window = options.window
        self.peer = options.peer
        self.held: collections.OrderedDict[int, object] = collections.OrderedDict()

    def run(self) -> None:
        while True:
            with contextlib.suppress(OSError), self.connect() as link:
                self.serve(link)
            RETRY.wait(0.1)

    def connect(self) -> socket.socket:
        host, port = self.peer.rsplit(":", 1)
        link = socket.create_connection((host, int(port)), 2)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
        return link

    def serve(self, link: socket.socket) -> None:
        link.sendall(HEAD.pack(0, len(self.hello)) + self.hello)
        for sequence, message in list(self.held.items()):
            self.send(link, sequence, message)
        waiting = bytearray()
        while True:
            link.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                got = link.recv(4096)
                if not got:
                    return
                waiting += got
            link.settimeout(10)
            while len(waiting) >= 8:
                (sequence,) = struct.unpack("!Q", waiting[:8])
                del waiting[:8]
                self.held.pop(sequence).release()
            if len(self.held) < self.window:
                with contextlib.suppress(tr.ReceiveTimedOutError):
                    message = self.queue.receive_message(0.001)
                    sequence = message.header()["sequence"]
                    self.held[sequence] = message
                    self.send(link, sequence, message)
            else:
                RETRY.wait(0.0005)

    def send(self, link: socket.socket, sequence: int, message: tr.Message) -> None:
        array = message.array(0)
        link.sendall(HEAD.pack(sequence, array.nbytes))
        link.sendall(array)
        del array


def take_in(arena: tr.Arena, link: socket.socket) -> None:
    """One connection: publish, note, tell."""
    name, origin = json.loads(receive(link, HEAD.unpack(receive(link, HEAD.size))[1]))
    queue = arena.queue(name, max_deliveries=255)
    board = arena.board("bridge.notes")
    noted = collections.deque(board.get(origin, []), NOTED)
    while True:
        sequence, count = HEAD.unpack(receive(link, HEAD.size))
        data = receive(link, count)
        if sequence not in noted:
            queue.send(np.frombuffer(data, "u8"))
            noted.append(sequence)
            board.put(origin, np.array(noted, dtype="u8"))
        link.sendall(struct.pack("!Q", sequence))


def listen(arena: tr.Arena, options: argparse.Namespace) -> None:
    host, port = options.bind.rsplit(":", 1)
    with socket.create_server((host, int(port)), backlog=1024) as server:
        while True:
            link, _ = server.accept()
            threading.Thread(target=guarded, args=(arena, link), daemon=True).start()


def guarded(arena: tr.Arena, link: socket.socket) -> None:
    with link, contextlib.suppress(OSError, ValueError, MemoryError, struct.error):
        take_in(arena, link)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["listen", "connect"])
    for name in ("arena", "bind", "peer", "key", "peer-key", "allow"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--queue", action="append", default=[])
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--trust-network", action="store_true")
    options = parser.parse_args()
    arena = tr.Arena.attach(options.arena)
    if options.what == "listen":
        listen(arena, options)
    threads = [
        threading.Thread(target=Out(arena, name, options).run) for name in options.queue
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
