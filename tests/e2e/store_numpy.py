# SPDX-License-Identifier: MIT
"""store_numpy.py DRIVER: arrays that NumPy saved go through tr_npy_load() and tr_npy_store()
and are the same arrays to NumPy afterwards. 77: no NumPy."""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    sys.exit(77)

rng = np.random.default_rng(1)
arrays = [
    rng.random((3, 4, 5)),
    rng.random((7, 9)).astype("f4"),
    np.asfortranarray(rng.random((6, 5))),
    np.arange(100, dtype=">i4"),
    np.array(3.5),
    np.zeros((0, 3), "i2"),
    np.array([True, False, True]),
    np.array(["a", "bcd", "äöü"]),
    np.array(["2026-11-22", "1969-07-20"], "M8[D]"),
    np.array([(1, 2.5, b"xy"), (3, 4.5, b"z")], [("a", "<i4"), ("b", "<f8"), ("c", "S2")]),
    rng.random(1000) + 1j * rng.random(1000),
    rng.random((500, 300)).astype("f2"),
]
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for i, array in enumerate(arrays):
        np.save(root / f"in{i}.npy", array)
    names = [str(root / f"in{i}.npy") for i in range(len(arrays))]
    outs = [str(root / f"out{i}.npy") for i in range(len(arrays))]
    subprocess.run([sys.argv[1], *[n for pair in zip(names, outs) for n in pair]], check=True)
    for i, array in enumerate(arrays):
        back = np.load(outs[i])
        assert back.dtype == array.dtype, (i, back.dtype, array.dtype)
        assert back.shape == array.shape, (i, back.shape, array.shape)
        assert back.flags.f_contiguous == array.flags.f_contiguous, i
        np.testing.assert_array_equal(back, array)
    left = [p.name for p in root.iterdir() if p.suffix == ".tmp"]
    assert not left, left
