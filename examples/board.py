# SPDX-License-Identifier: MIT
"""A board keeps the newest value of each key; readers hold one version as long as they
look at it, and never keep the writer waiting."""

import os

import numpy as np

import tensoring as tr

arena = tr.Arena(slots=[(1 << 20, 16)])
features = arena.board("features")
features["users"] = {"ids": np.arange(1000), "vectors": np.zeros((1000, 32), "float32")}
held = features["users"]

writer = os.fork()
if writer == 0:
    features["users"] = {"ids": np.arange(10), "vectors": np.ones((10, 32), "float32")}
    os._exit(0)

users, version = features.wait("users", newer_than=1, timeout=30)
assert version == 2
assert len(users["ids"]) == 10
assert len(held["ids"]) == 1000  # still the version that was looked up
assert not users["vectors"].flags.writeable
assert os.waitpid(writer, 0)[1] == 0
print(f"version {version} has {len(users['ids'])} users, ours had {len(held['ids'])}")
