# SPDX-License-Identifier: MIT
"""Executor: stands in for concurrent.futures.ProcessPoolExecutor."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor as _Executor
from concurrent.futures import Future
from typing import Any

from tensoring._calls import APPLY, call
from tensoring._pool import SLOTS, Pool


class _FutureResult:
    """Where the result of one call goes."""

    def __init__(self, executor: Executor, future: Future[Any]) -> None:
        self.executor = executor
        self.future = future

    def _set(self, index: int, values: list[Any], error: BaseException | None) -> None:
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(values[0])
        self.executor._done()


class Executor(_Executor):
    """Runs calls in worker processes. Calls that were not sent yet can be cancelled."""

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        slots: Iterable[tuple[int, int]] = SLOTS,
        threads: int | str | None = "auto",
    ) -> None:
        self._pool = Pool(
            max_workers,
            initializer,
            initargs,
            max_tasks_per_child,
            mp_context,
            slots=slots,
            threads=threads,
        )
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._pending: deque[tuple[Future[Any], Any, tuple[str, ...], list[Any]]] = (
            deque()
        )
        self._running = 0
        # One more than there are workers, so that none has to wait for its next call.
        self._limit = len(self._pool._workers.processes) * 2
        self._shut = False
        self._pool._on_look = self._feed

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Schedule fn(*args, **kwargs)."""
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future: Future[Any] = Future()
            values = [*args, *kwargs.values()]
            self._pool._serve()
            self._pending.append((future, fn, tuple(kwargs), values))
            self._feed()
        return future

    def _feed(self) -> None:
        # Never waits for the lock: who has it may be waiting for this thread to receive.
        # What is left undone then is done at the next look.
        if not self._lock.acquire(blocking=False):
            return
        try:
            while self._pending and self._running < self._limit:
                future, fn, names, values = self._pending.popleft()
                if not future.set_running_or_notify_cancel():
                    self._pool._served()
                    continue
                with self._counting:
                    self._running += 1
                try:
                    what = call(APPLY, fn, names)
                    self._pool._send(what, values, _FutureResult(self, future), 0)
                except Exception as error:
                    with self._counting:
                        self._running -= 1
                    self._pool._served()
                    future.set_exception(error)
        finally:
            self._lock.release()

    def _done(self) -> None:
        with self._counting:
            self._running -= 1
        self._pool._served()
        self._feed()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; with `wait`, return when all is done and the workers ended."""
        with self._lock:
            self._shut = True
            if cancel_futures:
                while self._pending:
                    future = self._pending.popleft()[0]
                    future.cancel()
                    future.set_running_or_notify_cancel()
                    self._pool._served()
        if wait:
            self._pool._wait_for(lambda: not self._pending and not self._running, None)
            self._pool.close()
            self._pool.join()

    def __repr__(self) -> str:
        return f"<tensoring.Executor on {self._pool!r}>"
