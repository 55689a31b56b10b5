# SPDX-License-Identifier: MIT
"""The peers: what else carries an array to another process, by queues, pipes and sockets.
What polls is in peers_polling.py, iceoryx2 in peers_iceoryx.py."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import struct
import tempfile
from collections.abc import Callable
from multiprocessing import shared_memory
from typing import Any

import numpy as np

from transports import OursQueue, Transport

Ends = tuple[Callable[[], Any], Callable[[Any], Any]]


class MpQueue(OursQueue):
    name = "multiprocessing.Queue"
    waits = "asleep"

    def __init__(self, array: np.ndarray) -> None:
        Transport.__init__(self, array)
        self.there, self.back = multiprocessing.Queue(), multiprocessing.Queue()


class MpSimpleQueue(MpQueue):
    name = "multiprocessing.SimpleQueue"

    def __init__(self, array: np.ndarray) -> None:
        Transport.__init__(self, array)
        self.there, self.back = (
            multiprocessing.SimpleQueue(),
            multiprocessing.SimpleQueue(),
        )


class TorchQueue(MpQueue):
    """torch.multiprocessing.Queue with its default way of sharing."""

    name = "torch.multiprocessing.Queue"

    def __init__(self, array: np.ndarray) -> None:
        import torch.multiprocessing

        Transport.__init__(self, array)
        torch.set_num_threads(1)
        self.torch = torch
        self.there, self.back = (
            torch.multiprocessing.Queue(),
            torch.multiprocessing.Queue(),
        )

    def trip(self, array: np.ndarray) -> Any:
        self.there.put(self.torch.from_numpy(array).clone())
        return self.back.get()


class FasterFifo(MpQueue):
    name = "faster-fifo"

    def __init__(self, array: np.ndarray) -> None:
        import faster_fifo

        Transport.__init__(self, array)
        room = 3 * array.nbytes + (1 << 16)
        self.there, self.back = faster_fifo.Queue(room), faster_fifo.Queue(room)

    def ends(self) -> Ends:
        there = self.there
        return lambda: there.get(timeout=60), self.back.put

    def trip(self, array: np.ndarray) -> Any:
        self.there.put(array)
        return self.back.get(timeout=60)


class Pipe(Transport):
    """multiprocessing.Pipe, send and recv."""

    name = "multiprocessing.Pipe"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.mine, self.theirs = multiprocessing.Pipe()

    def ends(self) -> Ends:
        return self.theirs.recv, self.theirs.send

    def trip(self, array: np.ndarray) -> Any:
        self.mine.send(array)
        return self.mine.recv()

    def stop(self) -> None:
        self.mine.send(None)

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


class PipeBytes(Pipe):
    """Pipe with send_bytes and np.frombuffer."""

    name = "Pipe send_bytes"

    def ends(self) -> Ends:
        theirs, shape, dtype = self.theirs, self.shape, self.dtype

        def take() -> Any:
            data = theirs.recv_bytes()
            return np.frombuffer(data, dtype).reshape(shape) if data else None

        return take, theirs.send_bytes

    def trip(self, array: np.ndarray) -> Any:
        self.mine.send_bytes(array)
        return np.frombuffer(self.mine.recv_bytes(), self.dtype).reshape(self.shape)

    def stop(self) -> None:
        self.mine.send_bytes(b"")


class SharedMemory(Pipe):
    """A segment each way, attached once; a byte through the pipe says that it is full.
    Copied in and copied out."""

    name = "shared_memory + Pipe, copies"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.segments = [
            shared_memory.SharedMemory(create=True, size=max(1, array.nbytes))
            for _ in range(2)
        ]
        self.there, self.back = (
            np.ndarray(self.shape, self.dtype, one.buf) for one in self.segments
        )

    @staticmethod
    def own(x: np.ndarray) -> np.ndarray:
        """What the receiver keeps."""
        return x.copy()

    def ends(self) -> Ends:
        theirs, there, back, own = self.theirs, self.there, self.back, self.own

        def take() -> Any:
            return None if theirs.recv_bytes() == b"s" else own(there)

        def answer(x: np.ndarray) -> None:
            back[...] = x
            theirs.send_bytes(b"x")

        return take, answer

    def trip(self, array: np.ndarray) -> Any:
        self.there[...] = array
        self.mine.send_bytes(b"x")
        self.mine.recv_bytes()
        return self.own(self.back)

    def stop(self) -> None:
        self.mine.send_bytes(b"s")

    def close(self) -> None:
        super().close()
        del self.there, self.back
        for one in self.segments:
            one.close()
            one.unlink()


class SharedMemoryViews(SharedMemory):
    """The same, looked at where it lies: nobody owns what is received, the next message
    overwrites it. No library does that, but a careful program may."""

    name = "shared_memory + Pipe, views"

    @staticmethod
    def own(x: np.ndarray) -> np.ndarray:
        return x


class Zmq(Transport):
    """pyzmq PAIR over ipc, without copies on either side."""

    name = "pyzmq, no copies"

    def __init__(self, array: np.ndarray) -> None:
        import zmq

        super().__init__(array)
        self.zmq = zmq
        self.folder = tempfile.mkdtemp()
        self.address = f"ipc://{self.folder}/socket"
        self.socket: Any = None

    def ends(self) -> Ends:
        socket = self.zmq.Context().socket(self.zmq.PAIR)
        socket.connect(self.address)
        shape, dtype = self.shape, self.dtype

        def take() -> Any:
            frame = self.receive(socket)
            return np.frombuffer(frame, dtype).reshape(shape) if len(frame) else None

        return take, lambda x: socket.send(x, copy=False)

    def receive(self, socket: Any) -> Any:
        return socket.recv(copy=False)

    def ready(self) -> Any:
        if self.socket is None:
            self.context = self.zmq.Context()
            self.socket = self.context.socket(self.zmq.PAIR)
            self.socket.bind(self.address)
        return self.socket

    def trip(self, array: np.ndarray) -> Any:
        socket = self.ready()
        socket.send(array, copy=False)
        frame = socket.recv(copy=False)
        return np.frombuffer(frame, self.dtype).reshape(self.shape)

    def stop(self) -> None:
        self.ready().send(b"")

    def close(self) -> None:
        self.context.destroy()
        if os.path.exists(f"{self.folder}/socket"):
            os.unlink(f"{self.folder}/socket")
        os.rmdir(self.folder)


class ZmqCopying(Zmq):
    """pyzmq as it comes: it copies, which is cheaper for small messages."""

    name = "pyzmq, copies"

    def ends(self) -> Ends:
        socket = self.zmq.Context().socket(self.zmq.PAIR)
        socket.connect(self.address)
        shape, dtype = self.shape, self.dtype

        def take() -> Any:
            data = socket.recv()
            return np.frombuffer(data, dtype).reshape(shape) if data else None

        return take, socket.send

    def trip(self, array: np.ndarray) -> Any:
        socket = self.ready()
        socket.send(array)
        return np.frombuffer(socket.recv(), self.dtype).reshape(self.shape)


class Socket(Transport):
    """Pickle 5 with buffers out of band over a UNIX stream socket."""

    name = "pickle 5 over a UNIX socket"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    @staticmethod
    def send(sock: socket.socket, obj: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(obj, 5, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        size = raw[0].nbytes if raw else 0
        sock.sendall(struct.pack("QQ", len(head), size) + head)
        for one in raw:
            sock.sendall(one)

    @staticmethod
    def fill(sock: socket.socket, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            view = view[sock.recv_into(view) :]
        return data

    @classmethod
    def receive(cls, sock: socket.socket) -> Any:
        head, size = struct.unpack("QQ", cls.fill(sock, 16))
        stream = cls.fill(sock, head)
        return pickle.loads(stream, buffers=[cls.fill(sock, size)] if size else [])

    def ends(self) -> Ends:
        return lambda: self.receive(self.theirs), lambda x: self.send(self.theirs, x)

    def trip(self, array: np.ndarray) -> Any:
        self.send(self.mine, array)
        return self.receive(self.mine)

    def stop(self) -> None:
        self.send(self.mine, None)

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


PEERS: list[type[Transport]] = [
    MpQueue,
    MpSimpleQueue,
    Pipe,
    PipeBytes,
    SharedMemory,
    SharedMemoryViews,
    Zmq,
    ZmqCopying,
    Socket,
    FasterFifo,
    TorchQueue,
]
