# SPDX-License-Identifier: MIT
"""Tensors between processes on one machine, without pickle and without copies.

import numpy as np, tensoring as tr

arena = tr.Arena(slots=[(1 << 20, 64)])
queue = arena.queue("jobs")
if os.fork() == 0:
    array = queue.receive()      # a view of the slot, free when the last view is gone
queue.send(np.ones((64, 784)))   # one copy in
"""

from pickle import loads as _loads

from numpy import ndarray as _ndarray

from tensoring import _core, _errors, reports, serializers
from tensoring._arena.aio import HUNGUP, READABLE, WRITABLE
from tensoring._arena.arena import Arena
from tensoring._arena.batch import Batch
from tensoring._arena.board import Board, Versioned, Watch
from tensoring._arena.broadcast import Broadcast, Subscription
from tensoring._arena.histogram import Histogram
from tensoring._arena.loan import Loan
from tensoring._arena.queue import ArenaQueue
from tensoring._arena.service import Service
from tensoring._arena.waitset import WaitSet
from tensoring._core import Message, View
from tensoring._errors import (
    BusyError,
    ClosedError,
    ContentTypeError,
    CorruptError,
    DeniedError,
    Empty,
    Error,
    EvictedError,
    ExistsError,
    ForkError,
    FormatError,
    Full,
    InvalidError,
    LaggedError,
    NoServerError,
    NotFoundError,
    ObjectError,
    OutOfMemoryError,
    PeerDiedError,
    ReceiveTimedOutError,
    RemoteError,
    SendTimedOutError,
    StaleError,
    SystemFailureError,
    TimedOutError,
    TooLargeError,
)
from tensoring._pool.executor import Executor
from tensoring._pool.failures import WorkerDied
from tensoring._pool.pool import Pool
from tensoring._pool.results import AsyncResult
from tensoring._serial import builtin, dtypes
from tensoring._serial.compress import compressed
from tensoring._serial.trees import register_class
from tensoring._servers.current import server
from tensoring._servers.model import Model
from tensoring._standin.queues import JoinableQueue, Queue, SimpleQueue
from tensoring._standin.stuck import StuckWarning
from tensoring._workers.bridge import Bridge
from tensoring._workers.plan import Plan, prefork, thread_enter
from tensoring._workers.supervised import Worker
from tensoring._workers.supervisor import (
    Supervisor,
    SupervisorStatus,
    WorkerDeath,
    WorkerState,
)
from tensoring.reports import Stats
from tensoring.serializers import As, Serializer, UnsupportedError, register

_core._setup(
    _ndarray,
    serializers.encode,
    serializers.decode,
    dtypes.dtype_for,
    _errors.make_error,
    dtypes.SCALARS,
    dtypes.MAKERS,
    _loads,
)
builtin.register_all()

__version__ = _core.VERSION

__all__ = [
    "HUNGUP",
    "READABLE",
    "WRITABLE",
    "Arena",
    "ArenaQueue",
    "As",
    "AsyncResult",
    "Batch",
    "Board",
    "Bridge",
    "Broadcast",
    "BusyError",
    "ClosedError",
    "ContentTypeError",
    "CorruptError",
    "DeniedError",
    "Empty",
    "Error",
    "EvictedError",
    "Executor",
    "ExistsError",
    "ForkError",
    "FormatError",
    "Full",
    "Histogram",
    "InvalidError",
    "JoinableQueue",
    "LaggedError",
    "Loan",
    "Message",
    "Model",
    "NoServerError",
    "NotFoundError",
    "ObjectError",
    "OutOfMemoryError",
    "PeerDiedError",
    "Plan",
    "Pool",
    "Queue",
    "ReceiveTimedOutError",
    "RemoteError",
    "SendTimedOutError",
    "Serializer",
    "Service",
    "SimpleQueue",
    "StaleError",
    "Stats",
    "StuckWarning",
    "Subscription",
    "Supervisor",
    "SupervisorStatus",
    "SystemFailureError",
    "TimedOutError",
    "TooLargeError",
    "UnsupportedError",
    "Versioned",
    "View",
    "WaitSet",
    "Watch",
    "Worker",
    "WorkerDeath",
    "WorkerDied",
    "WorkerState",
    "__version__",
    "compressed",
    "prefork",
    "register",
    "register_class",
    "reports",
    "serializers",
    "server",
    "thread_enter",
]

# help(), a traceback and a pickle name each thing as users do, wherever it is defined.
for _public in (globals(), vars(serializers)):
    for _name in _public["__all__"]:
        if "._" in getattr(_public[_name], "__module__", ""):
            _public[_name].__module__ = _public["__name__"]
del _name, _public
