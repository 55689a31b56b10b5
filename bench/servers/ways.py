# SPDX-License-Identifier: MIT
"""Ways from a web worker to the model. Each has two ends: caller(), in a thread of a web
worker, gives a function from the bytes of a request to those of its answer; serve(), in a
process of the model, answers until the process is killed."""

from __future__ import annotations

import http.client
import itertools
import os
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener, wait
from typing import Any

import numpy as np

import model
from model import Predict

Call = Callable[[bytes], bytes]
Ready = Callable[[], None]
DIRECTORY = os.environ.get("BENCH_DIRECTORY", ".")  # where sockets are
MODELS = int(os.environ.get("BENCH_MODELS", "2"))
_threads = itertools.count()


def path(name: str) -> str:
    return os.path.join(DIRECTORY, name)


class Way:
    """`models` is what runs the model: "none", "processes", "gunicorn" (a server of its
    own) or "dirty". `needs` are modules without which the way is left out."""

    name = ""
    models = "processes"
    needs: tuple[str, ...] = ()

    def caller(self) -> Call:
        raise NotImplementedError

    def serve(self, predict: Predict, ready: Ready) -> None:
        raise NotImplementedError


class InWorker(Way):
    name = "model in the web worker"
    models = "none"

    def caller(self) -> Call:
        predict = model.slowed(float(os.environ.get("BENCH_MODEL_SECONDS", "0")))
        return lambda body: model.answer(body, predict)


class Tensoring(Way):
    name = "tensoring"
    needs = ("tensoring",)

    def _service(self) -> Any:
        import tensoring as tr

        return tr.server().service("model")

    def caller(self) -> Call:
        call = self._service().call
        return lambda body: call(np.frombuffer(body, "uint8")).tobytes()

    def serve(self, predict: Predict, ready: Ready) -> None:
        service = self._service()
        ready()
        service.serve(lambda x: predict(x[None])[0])


class Batches(Tensoring):
    name = "tensoring, batches"

    def serve(self, predict: Predict, ready: Ready) -> None:
        service = self._service()
        ready()
        service.serve_batches(lambda batch: predict(batch.x), max_batch_size=32)


class Dirty(Way):
    name = "gunicorn dirty"
    models = "dirty"
    needs = ("gunicorn.dirty",)

    def caller(self) -> Call:
        from gunicorn.dirty import get_dirty_client

        execute = get_dirty_client().execute
        return lambda body: bytes(execute("dirty:Dirty", "answer", body))


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path("model.http"))


class Http(Way):
    """A connection is kept for each thread."""

    name = "HTTP over a UNIX socket"
    models = "gunicorn"

    def caller(self) -> Call:
        connection = _UnixConnection("model")

        def call(body: bytes) -> bytes:
            connection.request("POST", "/", body)
            return connection.getresponse().read()

        return call


class Pipe(Way):
    """A connection of multiprocessing for each thread, to one of the processes in turn;
    the bytes are not pickled."""

    name = "multiprocessing connection"

    def caller(self) -> Call:
        mine = int(os.environ.get("BENCH_WORKER", "0")) + next(_threads)
        connection: Connection = Client(path(f"model.{mine % MODELS}"))

        def call(body: bytes) -> bytes:
            connection.send_bytes(body)
            return connection.recv_bytes()

        return call

    def serve(self, predict: Predict, ready: Ready) -> None:
        listener = Listener(path(f"model.{os.environ['BENCH_MODEL']}"), backlog=64)
        sources: list[Any] = [listener._listener._socket]  # type: ignore[attr-defined]
        ready()
        while True:
            for one in wait(sources):
                if one is sources[0]:
                    sources.append(listener.accept())
                    continue
                try:
                    body = one.recv_bytes()
                except EOFError:
                    sources.remove(one)
                    continue
                one.send_bytes(model.answer(body, predict))


class Redis(Way):
    """Requests in one list, answers in a list of each thread. A request and the wait for
    its answer go in one pipeline, which saves a round trip."""

    name = "redis list"
    needs = ("redis",)

    def _client(self) -> Any:
        import redis

        return redis.Redis(unix_socket_path=path("redis"))

    def caller(self) -> Call:
        client = self._client()
        key = f"answer:{os.getpid()}:{threading.get_native_id()}".encode()
        head = len(key).to_bytes(1, "little") + key

        def call(body: bytes) -> bytes:
            pipeline = client.pipeline(transaction=False)
            pipeline.lpush("requests", head + body)
            pipeline.brpop(key)
            return bytes(pipeline.execute()[1][1])

        return call

    def serve(self, predict: Predict, ready: Ready) -> None:
        client = self._client()
        ready()
        while True:
            data = client.brpop("requests")[1]
            end = 1 + data[0]
            client.lpush(data[1:end], model.answer(data[end:], predict))


ALL = {
    kind.name: kind() for kind in (InWorker, Tensoring, Batches, Dirty, Http, Pipe, Redis)
}
