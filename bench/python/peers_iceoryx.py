# SPDX-License-Identifier: MIT
"""iceoryx2: a service each way, slots loaned from the publisher, views at the subscriber.
A subscriber cannot wait: one polls, or a second service wakes a listener."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from multiprocessing import sharedctypes
from typing import Any

import numpy as np

from peers import Ends
from transports import Gate, Transport

_DEPTH = 4


class Port:
    """One process' ends of both services."""

    def __init__(self, name: str, mine: str, other: str, nbytes: int) -> None:
        import iceoryx2 as iox

        builder = iox.NodeBuilder.new()
        builder = builder.signal_handling_mode(iox.SignalHandlingMode.Disabled)
        self.node = node = builder.create(iox.ServiceType.Ipc)

        def service(way: str) -> Any:
            return node.service_builder(iox.ServiceName.new(f"{name}/{way}"))

        def data(way: str) -> Any:
            kind = service(way).publish_subscribe(iox.Slice[ctypes.c_uint8])
            kind = kind.payload_alignment(iox.Alignment.new(64))
            kind = kind.max_publishers(1).max_subscribers(1).history_size(0)
            kind = kind.subscriber_max_buffer_size(_DEPTH)
            kind = kind.subscriber_max_borrowed_samples(_DEPTH)
            return kind.enable_safe_overflow(False).open_or_create()

        publisher = data(mine).publisher_builder().initial_max_slice_len(nbytes)
        self.publisher = publisher.max_loaned_samples(_DEPTH).create()
        self.subscriber = data(other).subscriber_builder().buffer_size(_DEPTH).create()
        event = service(f"{mine}.event").event().open_or_create()
        self.notifier = event.notifier_builder().create()
        event = service(f"{other}.event").event().open_or_create()
        self.listener = event.listener_builder().create()

    def wait(self) -> Any:
        """The next sample, asleep until it is there."""
        while (sample := self.subscriber.receive()) is None:
            self.listener.blocking_wait()
        return sample

    def poll(self) -> Any:
        while (sample := self.subscriber.receive()) is None:
            pass
        return sample


class Iceoryx(Transport):
    name = "iceoryx2 asleep"

    def __init__(self, array: np.ndarray) -> None:
        import iceoryx2 as iox

        super().__init__(array)
        iox.set_log_level(iox.LogLevel.Error)
        self.nbytes = array.nbytes
        self.bytes = ctypes.c_uint8 * array.nbytes
        self.service = f"tensoring-bench/{os.getpid()}/{id(self)}"
        self.over = sharedctypes.RawValue("b", 0)
        self.asleep = self.waits == "asleep"
        self.gate = Gate(10000)
        self.ready, self.made = multiprocessing.Pipe(False)
        self.port: Any = None

    def view(self, sample: Any) -> np.ndarray:
        data = self.bytes.from_address(sample.payload_ptr)
        data.owner = sample
        return np.frombuffer(data, self.dtype).reshape(self.shape)

    def as_array(self, x: Any) -> None:
        self.view(x)

    def ends(self) -> Ends:
        port = self.port = Port(self.service, "back", "there", self.nbytes)
        gate, over, nbytes, asleep = self.gate, self.over, self.nbytes, self.asleep
        copies = self.copies
        receive, loan = port.subscriber.receive, port.publisher.loan_slice_uninit
        self.made.send_bytes(b"")

        def take() -> Any:
            sample = port.wait() if asleep else gate.poll(receive)
            return None if over.value else sample

        def answer(sample: Any) -> None:
            loaned = loan(nbytes)
            if copies:
                ctypes.memmove(loaned.payload_ptr, sample.payload_ptr, nbytes)
            loaned.assume_init().send()
            if asleep:
                port.notifier.notify()

        return take, answer

    def child(self) -> None:
        super().child()
        self.port = None  # multiprocessing ends the process without it

    def stamping_child(self, stamp: Any) -> None:
        super().stamping_child(stamp)
        self.port = None

    def opened(self) -> Port:
        if self.port is None:
            self.ready.recv_bytes()
            self.port = Port(self.service, "there", "back", self.nbytes)
        return self.port

    def push(self, nbytes: int, address: int = 0) -> Port:
        port = self.opened()
        loaned = port.publisher.loan_slice_uninit(nbytes)
        if address and self.copies:
            ctypes.memmove(loaned.payload_ptr, address, nbytes)
        elif address:
            self.view(loaned)  # what would be filled in place
        loaned.assume_init().send()
        if self.asleep:
            port.notifier.notify()
        else:
            self.gate.knock()
        return port

    def trip(self, array: np.ndarray) -> Any:
        port = self.push(self.nbytes, array.ctypes.data)
        return self.view(port.wait() if self.asleep else port.poll())

    def rest(self) -> None:
        if not self.asleep:
            self.gate.rest()

    def stop(self) -> None:
        self.over.value = 1
        self.push(1)

    def close(self) -> None:
        self.port = None
        self.gate.close()


class IceoryxPolling(Iceoryx):
    name = "iceoryx2 polling"
    waits = "spinning"


class IceoryxLoans(Iceoryx):
    """Nothing is copied: a slot goes there, another one comes back."""

    name = "iceoryx2 loans asleep"
    copies = False


class IceoryxLoansPolling(IceoryxLoans):
    name = "iceoryx2 loans polling"
    waits = "spinning"


ICEORYX: list[type[Transport]] = [
    Iceoryx,
    IceoryxPolling,
    IceoryxLoans,
    IceoryxLoansPolling,
]
