# SPDX-License-Identifier: MIT
"""One event loop asks a model in another process, many calls at a time. The model follows
its weights on a board, in a loop of its own."""

import asyncio
import os

import numpy as np

import tensoring as tr

arena = tr.Arena(slots=[(64 << 10, 64)])
service, board = arena.service("model", capacity=16), arena.board("weights")
board["w"] = np.ones(8)


async def serve() -> None:
    weights, version = await board.wait_async("w")

    async def follow() -> None:
        nonlocal weights
        async for found in board.watch("w", newer_than=version):
            weights = found.value

    def model(x: np.ndarray) -> np.ndarray:
        if x.shape[-1] != len(weights):
            raise ValueError(f"{len(weights)} columns expected, not {x.shape[-1]}")
        return x @ weights

    following = asyncio.create_task(follow())
    await service.serve_async(model)
    following.cancel()


if os.fork() == 0:
    asyncio.run(serve())
    os._exit(0)


async def ask(i: int) -> float:
    answer = await service.call_async(np.full((4, 8), i), timeout=30)
    return float(answer[0])  # and its slot is free


async def main() -> int:
    answers = await asyncio.gather(*map(ask, range(200)))
    assert answers == [8 * i for i in range(200)]
    board["w"] = np.full(8, 2.0)
    while await ask(1) != 16:
        pass  # the new weights are not there yet
    try:
        async with asyncio.timeout(30):
            await service.call_async(np.ones((4, 3)))
    except tr.RemoteError as error:
        print(f"as expected: {error}")
    return len(answers)


print(f"{asyncio.run(main())} answers")
service.shutdown()
os.wait()
