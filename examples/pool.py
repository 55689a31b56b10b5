# SPDX-License-Identifier: MIT
"""Pool stands in for multiprocessing.Pool; a worker that dies fails only its own job."""

import os

import numpy as np

import tensoring as tr


def add(vectors: list[np.ndarray]) -> np.ndarray:
    return np.sum(vectors, axis=0)


def crash(_: object) -> None:
    os.abort()


if __name__ == "__main__":
    vectors = [np.full(512, i, float) for i in range(100)]
    with tr.Pool(2) as pool:
        parts = pool.map(add, [vectors[i::4] for i in range(4)])
        assert (sum(parts) == sum(range(100))).all()
        try:
            pool.apply(crash, (1,))
        except tr.WorkerDied as error:
            print(f"as expected: {error}")
        assert pool.map(len, ["still", "here"]) == [5, 4]
    print("the pool went on")
