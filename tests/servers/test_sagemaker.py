# SPDX-License-Identifier: MIT
"""tensoring.sagemaker behind gunicorn, asked by SageMaker's own SDK."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from serving import LONGEST, PATIENCE, Server, children, living, until

pytest.importorskip("gunicorn")
WORKERS = 2
JSON = "application/json"
CONF = f"""
from tensoring.gunicorn import *
arena(slots=[(64 << 10, 64)])
control_socket_disable = True
workers, bind = {WORKERS}, "127.0.0.1:0"
"""
PAGE = Path(__file__).parents[2] / "docs/how-to/sagemaker.md"
CLIENT = Path(__file__).with_name("sdk_client.py")
VARIABLE = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
RUNTIME = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    "NO_PROXY": "127.0.0.1",
}
INSTALL = 250 * PATIENCE  # seconds, that the SDK may take


def gunicorn(directory: Path, app: str, *options: str, conf: str = CONF) -> Server:
    directory.mkdir(exist_ok=True)
    (directory / "gunicorn.conf.py").write_text(conf)
    return Server("gunicorn", *options, app, directory=directory)


def ask(
    port: int, method: str, path: str, body: bytes = b"", kind: str = "text/plain"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST)
    try:
        connection.request(method, path, body or None, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def workers(server: Server) -> set[int]:
    return set(until(lambda: len(found := children(server.pid)) == WORKERS and found))


def test_models_are_loaded_in_each_worker(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "sagemaker_several:app") as server:
        wanted = workers(server)
        add = json.dumps({"model_name": "m", "url": "3"}).encode()
        assert ask(server.port, "POST", "/models", add)[0] == 200
        seen = set()

        def all_have_it() -> bool:
            status, body = ask(server.port, "POST", "/models/m/invoke", b"2")
            number, pid = json.loads(body)
            assert (status, number) == (200, 6.0)
            seen.add(pid)
            return seen == wanted

        until(all_have_it)
        statuses = {ask(server.port, "POST", "/models", add)[0] for _ in range(20)}
        assert statuses == {409}
        os.kill(min(wanted), signal.SIGKILL)
        until(lambda: min(wanted) not in children(server.pid))
        wanted = workers(server)
        seen.clear()
        until(all_have_it)  # also in the new one
        assert ask(server.port, "DELETE", "/models/m")[0] == 200
        for _ in range(20):
            assert ask(server.port, "POST", "/models/m/invoke", b"2")[0] == 404
        server.process.terminate()
        server.ends()


def test_workers_load_the_same_model_at_once(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "sagemaker_several:app") as server:
        workers(server)
        begin = threading.Barrier(8)
        statuses: list[int] = []

        def add(i: int) -> None:
            for name in ("same", f"own {i}"):
                said = json.dumps({"model_name": name, "url": "3"}).encode()
                begin.wait()
                statuses.append(ask(server.port, "POST", "/models", said)[0])

        threads = [threading.Thread(target=add, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 9 + [409] * 7
        listed = json.loads(ask(server.port, "GET", "/models")[1])["models"]
        wanted = sorted(["same", *(f"own {i}" for i in range(8))])
        assert [one["modelName"] for one in listed] == wanted


PRELOADED = """
import os
from tensoring import sagemaker
app = sagemaker.application(
    lambda where: os.getpid(), predict_fn=lambda data, model: [model, os.getpid()]
)
"""


def test_a_preloaded_model_is_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    with gunicorn(tmp_path, "preloaded:app", conf=CONF + "preload_app = True") as server:
        wanted, seen = workers(server), set()

        def all_have_it() -> bool:
            status, body = ask(server.port, "POST", "/invocations", b"2", JSON)
            loaded, pid = json.loads(body)
            assert (status, loaded) == (200, server.pid)
            seen.add(pid)
            return seen == wanted

        until(all_have_it)


def test_a_body_that_is_too_large_is_answered(tmp_path: Path) -> None:
    """The client, which is still sending, sees the answer, and no broken connection."""
    with gunicorn(tmp_path, "sagemaker_echo:app") as server:
        for _ in range(3):
            reply = ask(server.port, "POST", "/invocations", bytes(20 << 20), JSON)
            assert reply[0] == 413


def test_a_service_behind_gunicorn(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "sagemaker_service:app") as server:
        workers(server)
        assert ask(server.port, "GET", "/ping")[0] == 503
        assert ask(server.port, "POST", "/invocations", b"[1,2]", JSON)[0] == 503
        with server.attach() as arena:
            service = arena.service("ranker")
            thread = threading.Thread(target=service.serve, args=(lambda x: 2 * x,))
            thread.start()
            # Each of them: one that is still being started would miss SIGTERM.
            until(
                lambda: (
                    ask(server.port, "GET", "/ping")[0] == 200
                    and len(living(arena)) == 1 + WORKERS
                )
            )
            for i in range(20):
                reply = ask(server.port, "POST", "/invocations", b"[%d]" % i, JSON)
                assert reply == (200, b"[%d]" % (2 * i))
            service.shutdown()
            thread.join()
        assert ask(server.port, "POST", "/invocations", b"[1]", JSON)[0] == 503
        server.process.terminate()
        server.ends()


def pipes(directory: Path, *names: str) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        os.mkfifo(directory / name)


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_ping_while_a_model_loads_and_a_stop(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(kind) if kind == "gevent" else None
    pipes(tmp_path, "load", "answer")
    options = ("-k", kind, *(("--threads", "4") if kind == "gthread" else ()))
    with gunicorn(tmp_path, "sagemaker_gate:app", *options) as server:
        workers(server)
        for _ in range(10):
            assert ask(server.port, "GET", "/ping") == (503, b"the model is not loaded")
        release_all(
            tmp_path / "load", lambda: len([*tmp_path.glob("loaded.*")]) == WORKERS
        )
        until(lambda: ready(server))
        if kind == "gevent":  # the functions here block a greenlet's hub
            return
        answers: list[Any] = []
        threads = [
            threading.Thread(
                target=lambda i=i: answers.append(
                    ask(server.port, "POST", "/invocations", b"%d" % i)
                )
            )
            for i in range(WORKERS)
        ]
        for thread in threads:
            thread.start()
        until(lambda: len([*tmp_path.glob("asked.*")]) == len(threads))
        server.process.terminate()
        release_all(tmp_path / "answer", lambda: len(answers) == len(threads))
        for thread in threads:
            thread.join()
        assert [status for status, _ in answers] == [200] * len(threads)
        assert {json.loads(body)[0] for _, body in answers} == {"0", "1"}
        server.ends()


def ready(server: Server) -> bool:
    return all(ask(server.port, "GET", "/ping")[0] == 200 for _ in range(10))


def release_all(path: Path, done: Any) -> None:
    """Let readers of a pipe go on, until it is done."""

    def look() -> bool:
        with contextlib.suppress(OSError):  # nobody reads now
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return bool(done())

    until(look)


# ---- the SDK


@pytest.fixture(scope="module")
def sdk() -> Path:
    """An interpreter that has it. tests/run installs it while other tests run, and says
    in a file how that ended."""
    where = os.environ.get("TR_SAGEMAKER")
    if not where:
        pytest.skip("TR_SAGEMAKER names no environment with the SDK: see tests/run")
    ended = Path(where, "installed")
    end = threading.Event()
    for _ in range(INSTALL * 5):
        if ended.exists():
            break
        end.wait(0.2)
    said = ended.read_text().strip() if ended.exists() else "it takes too long"
    if said != "yes":
        pytest.skip(f"SageMaker's SDK cannot be installed: {said}")
    return Path(where, "bin/python")


def programs(directory: Path) -> None:
    """Those of the page, as files by the names that it gives them."""
    text = PAGE.read_text()
    found = re.findall(
        r"`([\w.]+\.py)`:\n\n(?:<!--.*?-->\n)?```python\n(.*?)```", text, re.S
    )
    assert [name for name, _ in found] == ["app.py", "gunicorn.conf.py", "client.py"]
    directory.mkdir()
    for name, code in found:
        (directory / name).write_text(code)


def weights(directory: Path) -> None:
    numpy = pytest.importorskip("numpy")
    numpy.save(directory / "weights.npy", numpy.array([1.0, 2.0]))


def no_docker(directory: Path) -> str:
    """A folder with the command that the SDK's local mode asks on which host containers
    are: on this one."""
    folder = directory / "bin"
    folder.mkdir()
    (folder / "docker").write_text("#!/bin/sh\necho no Docker here >&2\nexit 1\n")
    (folder / "docker").chmod(0o755)
    return str(folder)


def test_the_sdk(sdk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page"
    programs(page)
    weights(page)
    monkeypatch.setenv("LOCAL", "1")
    monkeypatch.setenv("SM_MODEL_DIR", str(page))
    options = ("--no-control-socket", "-b", "127.0.0.1:0")
    with (
        gunicorn(tmp_path / "echo", "sagemaker_echo:app") as echo,
        Server("gunicorn", *options, "app:app", directory=page) as served,
    ):
        until(lambda: ask(served.port, "GET", "/ping")[0] == 200)
        until(lambda: ask(echo.port, "GET", "/ping")[0] == 200)
        path = no_docker(tmp_path) + os.pathsep + os.environ["PATH"]
        at = f"http://127.0.0.1:{echo.port}"
        done = subprocess.run(
            [sdk, CLIENT, str(served.port), str(page / "client.py")],
            env={**os.environ, **RUNTIME, VARIABLE: at, "PATH": path},
            capture_output=True,
            text=True,
            timeout=4 * LONGEST,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        *printed, result = done.stdout.splitlines()
        assert "Traceback" not in served.output
    found = json.loads(result)
    assert not found["failures"], "\n".join(found["failures"][:5])
    assert found["count"] > 100
    # three ways to send times three ways to read, and the error
    text = "\n".join(printed)
    assert text.count("[11. 17.]") == text.count("[11.0, 17.0]") == 3
    assert text.count("[['11.0'], ['17.0']]") == 3
    assert "2 columns are needed, not (9,)" in text
