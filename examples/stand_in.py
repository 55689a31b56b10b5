# SPDX-License-Identifier: MIT
"""tensoring.Queue where multiprocessing.Queue was; nothing else changes."""

import multiprocessing

import numpy as np

import tensoring as tr


def work(inbox: tr.Queue, outbox: tr.Queue) -> None:
    while (x := inbox.get()) is not None:
        outbox.put({"mean": float(x.mean()), "centred": x - x.mean()})


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    inbox, outbox = tr.Queue(), tr.Queue()
    worker = context.Process(target=work, args=(inbox, outbox))
    worker.start()
    for i in range(5):
        inbox.put(np.arange(i + 1.0))
    for i in range(5):
        result = outbox.get()
        assert result["mean"] == i / 2
        assert abs(result["centred"].sum()) < 1e-9
    inbox.put(None)
    worker.join()
    print("5 results from a spawned worker")
