# SPDX-License-Identifier: MIT
"""NumPy's own tests of DLPack and of .npy files pass on received arrays."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SUITES = {"numpy._core.tests.test_dlpack": "", "numpy.lib.tests.test_format": "roundtrip"}
SUITES["numpy.lib.tests.test_format"] += " or descr_to_dtype or metadata or long_str"


def there(suite: str) -> bool:
    try:
        return importlib.util.find_spec(suite) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("way", ["queue", "message", "tree"])
@pytest.mark.parametrize("suite", SUITES)
def test_suite(suite: str, way: str, tmp_path: pathlib.Path) -> None:
    if not there(suite):
        pytest.skip(f"the NumPy that is installed comes without {suite}")
    options = ["-q", "-p", "received_arrays", "-p", "no:cacheprovider", "--way", way]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "-k",
            SUITES[suite],
            "--pyargs",
            suite,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(HERE), "PATH": ""},
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout
