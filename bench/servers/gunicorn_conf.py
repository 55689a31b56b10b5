# SPDX-License-Identifier: MIT
"""gunicorn's configuration, of the web server and of the model's own."""

import os

_way = os.environ["BENCH_WAY"]
_threads = int(os.environ["BENCH_THREADS"])
_of_model = "BENCH_MODEL" in os.environ
worker_class = "gthread" if _threads > 1 else "sync"
threads = _threads
workers = int(os.environ["BENCH_WORKERS"])
bind = "127.0.0.1:0"
control_socket_disable = True
# A server that starts ends the dirty arbiter of another one with the same name.
proc_name = f"bench-{os.getppid()}"
keepalive = 60
timeout = 60
if _of_model:  # as many threads as there may be connections, which are kept
    bind = "unix:" + os.path.join(os.environ["BENCH_DIRECTORY"], "model.http")
    workers, threads, worker_class = int(os.environ["BENCH_MODELS"]), 64, "gthread"
elif _way.startswith("tensoring"):
    from tensoring.gunicorn import *  # noqa: F403

    arena(place=False)  # noqa: F405
elif _way == "gunicorn dirty":
    dirty_apps = ["dirty:Dirty"]
    dirty_workers = int(os.environ["BENCH_MODELS"])


def post_fork(server, worker):
    os.environ["BENCH_WORKER"] = str(worker.age)
    if not _of_model and _way.startswith("tensoring"):
        import tensoring.gunicorn

        tensoring.gunicorn.post_fork(server, worker)
