# SPDX-License-Identifier: MIT
"""An event loop receives arrays from a forked process, without a helper thread."""

import asyncio
import os

import numpy as np

import tensoring as tr

queue = tr.Arena(slots=[(64 << 10, 8)]).queue("frames")

if os.fork() == 0:
    for i in range(20):
        queue.send(np.full((32, 32), i))
    queue.shutdown()
    os._exit(0)


async def main() -> int:
    ticks = asyncio.create_task(asyncio.sleep(0.001))  # the loop goes on meanwhile
    total = 0
    async for frame in queue:
        total += int(frame[0, 0])
    await ticks
    return total


assert asyncio.run(main()) == sum(range(20))
os.wait()
print("20 frames received")
