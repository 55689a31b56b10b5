# SPDX-License-Identifier: MIT
"""Ways to get an array to another process and back: ours and the peers, each in its own
best form. A transport is made before the fork; one side calls child(), which echoes until
it gets None, the other calls trip(array) and gets what came back."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import struct
import tempfile
from multiprocessing import shared_memory
from typing import Any

import numpy as np

import tensoring as tr

_SLOTS = [(4 << 10, 32), (64 << 10, 16), (2 << 20, 8), (16 << 20, 6)]


class Transport:
    """Name, and whether the receiver gets a copy of its own."""

    name = ""

    def __init__(self, array: np.ndarray) -> None:
        self.shape, self.dtype = array.shape, array.dtype

    def child(self) -> None:
        raise NotImplementedError

    def trip(self, array: np.ndarray) -> Any:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Ours(Transport):
    """One copy in, a view out; waits spin as long as it pays."""

    name = "tensoring"
    spin: float | None = None

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.arena = tr.Arena(_SLOTS, spin=self.spin, populate=True)
        self.there, self.back = self.arena.queue("there", 4), self.arena.queue("back", 4)

    def child(self) -> None:
        there, back = self.there, self.back
        while (x := there.receive()) is not None:
            back.send(x)
            del x

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
    spin = 0.0


class OursSpinning(Ours):
    """Spins for 50 us whatever else the machine does: what adaptive waits do when it is
    idle."""

    name = "tensoring spinning"
    spin = 50e-6


class OursLoaned(Ours):
    """No copy: a loan there, the same slot back."""

    name = "tensoring loans"

    def child(self) -> None:
        there, back = self.there, self.back
        while True:
            message = there.receive_message()
            if message.content[0]:  # None comes as JSON
                return
            back.send_message(message)

    def trip(self, array: np.ndarray) -> Any:
        with self.there.loan(self.shape, self.dtype):
            pass
        return self.back.receive()


class OursLoanedSpinning(OursLoaned):
    name = "tensoring loans spinning"
    spin = 50e-6


class OursLoanedAsleep(OursLoaned):
    name = "tensoring loans asleep"
    spin = 0.0


class OursQueue(Transport):
    """tensoring.Queue, the stand-in for multiprocessing.Queue."""

    name = "tensoring.Queue"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.there: Any = tr.Queue()
        self.back: Any = tr.Queue()

    def child(self) -> None:
        while (x := self.there.get()) is not None:
            self.back.put(x)
            del x

    def trip(self, array: np.ndarray) -> Any:
        self.there.put(array)
        return self.back.get()

    def stop(self) -> None:
        self.there.put(None)

    def close(self) -> None:
        for queue in (self.there, self.back):
            queue.close()


class MpQueue(OursQueue):
    name = "multiprocessing.Queue"

    def __init__(self, array: np.ndarray) -> None:
        Transport.__init__(self, array)
        self.there, self.back = multiprocessing.Queue(), multiprocessing.Queue()


class MpSimpleQueue(OursQueue):
    name = "multiprocessing.SimpleQueue"

    def __init__(self, array: np.ndarray) -> None:
        Transport.__init__(self, array)
        self.there, self.back = (
            multiprocessing.SimpleQueue(),
            multiprocessing.SimpleQueue(),
        )


class TorchQueue(OursQueue):
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


class FasterFifo(OursQueue):
    name = "faster-fifo"

    def __init__(self, array: np.ndarray) -> None:
        import faster_fifo

        Transport.__init__(self, array)
        room = 3 * array.nbytes + (1 << 16)
        self.there, self.back = faster_fifo.Queue(room), faster_fifo.Queue(room)

    def child(self) -> None:
        while (x := self.there.get(timeout=60)) is not None:
            self.back.put(x)

    def trip(self, array: np.ndarray) -> Any:
        self.there.put(array)
        return self.back.get(timeout=60)


class Pipe(Transport):
    """multiprocessing.Pipe, send and recv."""

    name = "multiprocessing.Pipe"

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.mine, self.theirs = multiprocessing.Pipe()

    def child(self) -> None:
        while (x := self.theirs.recv()) is not None:
            self.theirs.send(x)

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

    def child(self) -> None:
        while x := self.theirs.recv_bytes():
            self.theirs.send_bytes(np.frombuffer(x, self.dtype).reshape(self.shape))

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

    def child(self) -> None:
        while self.theirs.recv_bytes() != b"s":
            x = self.there.copy()
            self.back[...] = x
            self.theirs.send_bytes(b"x")

    def trip(self, array: np.ndarray) -> Any:
        self.there[...] = array
        self.mine.send_bytes(b"x")
        self.mine.recv_bytes()
        return self.back.copy()

    def stop(self) -> None:
        self.mine.send_bytes(b"s")

    def close(self) -> None:
        super().close()
        del self.there, self.back
        for one in self.segments:
            one.close()
            one.unlink()


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

    def child(self) -> None:
        socket = self.zmq.Context().socket(self.zmq.PAIR)
        socket.connect(self.address)
        while len(frame := socket.recv(copy=False)):
            x = np.frombuffer(frame, self.dtype).reshape(self.shape)
            socket.send(x, copy=False)

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

    def child(self) -> None:
        while (x := self.receive(self.theirs)) is not None:
            self.send(self.theirs, x)

    def trip(self, array: np.ndarray) -> Any:
        self.send(self.mine, array)
        return self.receive(self.mine)

    def stop(self) -> None:
        self.send(self.mine, None)

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


OURS: list[type[Transport]] = [
    Ours,
    OursSpinning,
    OursAsleep,
    OursLoaned,
    OursLoanedSpinning,
    OursLoanedAsleep,
    OursQueue,
]
PEERS: list[type[Transport]] = [
    MpQueue,
    MpSimpleQueue,
    Pipe,
    PipeBytes,
    SharedMemory,
    Zmq,
    Socket,
    FasterFifo,
    TorchQueue,
]
