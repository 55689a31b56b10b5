# SPDX-License-Identifier: MIT
"""Ray Serve in front of a service: replicas answer HTTP, a model answers them.

    pip install 'tensoring[ray]' 'ray[serve]'
    python examples/ray/serve.py

The replicas of a node share one arena and one model. Ray starts and restarts both."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import numpy as np
import ray
from ray import serve

import tensoring as tr
import tensoring.ray

SLOTS = [(64 << 10, 64), (4 << 20, 16)]
PORT = 8123


@ray.remote(num_cpus=0, max_restarts=-1)
class Model:
    """One for each node: run() serves until the actor is killed."""

    def run(self) -> None:
        weights = np.array([1.0, 2.0])
        service = tensoring.ray.arena(slots=SLOTS).service("ranker")
        service.serve(lambda rows: rows @ weights)


@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0})
class Ranker:
    def __init__(self) -> None:
        self.service = tensoring.ray.arena(slots=SLOTS).service("ranker")

    async def __call__(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        rows = np.array(await request.json())
        try:
            scores = await self.service.call_async(rows, timeout=5)
        except (tr.BusyError, tr.NoServerError, tr.TimedOutError) as error:
            return JSONResponse({"error": str(error)}, 503, {"Retry-After": "1"})
        return {"scores": scores.tolist()}


def ask(rows: list[list[float]]) -> list[float]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/",
        json.dumps(rows).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: list[float] = json.load(answer)["scores"]
        return found


def main() -> None:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    model = Model.remote()
    model.run.remote()
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Ranker.bind())
    print(ask([[3, 4], [5, 6]]))  # [11.0, 17.0]
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
