# SPDX-License-Identifier: MIT
"""The WSGI application: which request goes where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from tensoring._arena.service import Service
from tensoring._errors import NotFoundError
from tensoring._servers.current import server
from tensoring._servers.sagemaker.answers import Answer, log, of_error, of_json, of_text
from tensoring._servers.sagemaker.bodies import body_of
from tensoring._servers.sagemaker.context import context_of
from tensoring._servers.sagemaker.errors import RequestError, busy, unsupported
from tensoring._servers.sagemaker.functions import Failed, Functions
from tensoring._servers.sagemaker.loading import Loading
from tensoring._servers.sagemaker.local import as_runtime
from tensoring._servers.sagemaker.models import Models
from tensoring._servers.sagemaker.received import received

_TARGET = "target-model"


@dataclass(eq=False)
class Container:
    """Answers what SageMaker asks a container. One of `loading`, `service` and `models`
    gives the model."""

    functions: Functions
    loading: Loading | None
    service: Service | str | None
    models: Models | None
    most: int
    local: bool
    _opened: Service | None = None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request, as WSGI says."""
        method = str(environ.get("REQUEST_METHOD", "GET"))
        try:
            answer = self._answer(method, environ)
        except Exception as error:
            answer = _refused(error, "this request")
        return answer.start(start_response, method == "HEAD")

    def _answer(self, method: str, environ: dict[str, Any]) -> Answer:
        head, *rest = str(environ.get("PATH_INFO", "")).lstrip("/").split("/")
        if head == "ping" and not rest:
            return _allowed(method, "GET", "HEAD") or self._ping()
        if head == "endpoints" and self.local and rest[1:] == ["invocations"]:
            return _allowed(method, "POST") or self._as_runtime(environ)
        # All of it, whatever becomes of it: a client that still sends sees no answer.
        body = b"" if method in ("GET", "HEAD") else body_of(environ, self.most)
        if head == "invocations" and not rest:
            return _allowed(method, "POST") or self._invoke(environ, body, "")
        if head == "models" and self.models is not None:
            path = _utf8("/".join(rest))
            return self._several(self.models, method, path, environ, body)
        raise RequestError(
            f"there is nothing at {environ.get('PATH_INFO', '')!a:.80}", 404
        )

    # ---- one model

    def _service(self) -> Service:
        if not isinstance(self.service, str):
            assert self.service is not None
            return self.service
        try:
            arena = server()
        except NotFoundError as error:
            log.warning("%s", error)
            raise busy("the arena of the model is not there") from None
        found = self._opened
        if found is None or found.arena is not arena:
            found = self._opened = arena.service(self.service)
        return found

    def _ping(self) -> Answer:
        if self.service is not None:
            there = self._service().servers > 0
            return Answer() if there else of_text(503, "no process serves the model now")
        if self.loading is not None and not self.loading.ready:
            return of_text(503, "the model is not loaded")
        return Answer()

    def _model(self, name: str) -> Any:
        if self.models is not None:
            if not name:
                raise RequestError(
                    "this endpoint has several models; POST to /models/NAME/invoke, or"
                    " give TargetModel",
                    404,
                )
            return self.models.get(name)
        if self.service is not None:
            return self._service()
        assert self.loading is not None
        return self.loading.model(self.functions.timeout)

    def _invoke(self, environ: dict[str, Any], body: bytes, name: str) -> Answer:
        context = context_of(environ)
        context.model_name = name
        coding = str(environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower()
        if coding not in ("", "identity") and not self.functions.reads:
            raise unsupported(
                f"Content-Encoding is {coding[:40]!r}; send the body as it is"
            )
        content_type = str(environ.get("CONTENT_TYPE") or "")
        return self.functions.answer(self._model(name), body, content_type, context)

    # ---- several models

    def _several(
        self, models: Models, method: str, path: str, environ: dict[str, Any], body: bytes
    ) -> Answer:
        if not path:
            if method == "POST":
                return _add(models, body)
            return _allowed(method, "GET", "HEAD", "POST") or of_json(
                models.page(_query(environ, "next_page_token"))
            )
        name, slash, last = path.rpartition("/")
        if slash and name and last == "invoke":
            return _allowed(method, "POST") or self._invoke(environ, body, name)
        if method == "DELETE":
            models.remove(path)
            return of_json({"modelName": path})
        return _allowed(method, "GET", "HEAD", "DELETE") or of_json(models.about(path))

    # ---- as the runtime

    def _as_runtime(self, environ: dict[str, Any]) -> Answer:
        try:
            body = body_of(environ, self.most)
            name = context_of(environ).headers.get(_TARGET, "")
            answer = self._invoke(environ, body, name if self.models else "")
        except Exception as error:
            answer = _refused(error, "this request")
        return as_runtime(answer)


def _refused(error: Exception, where: str) -> Answer:
    return error.answer() if isinstance(error, Failed) else of_error(error, where)


def _utf8(path: str) -> str:
    """A path as the client wrote it: WSGI gives its bytes as Latin-1."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        raise RequestError("the path is not UTF-8") from None


def _allowed(method: str, *methods: str) -> Answer | None:
    """None: it is one of these."""
    if method in methods:
        return None
    answer = of_text(405, f"{method[:20]} is not allowed here: use {', '.join(methods)}")
    answer.headers.append(("Allow", ", ".join(methods)))
    return answer


def _query(environ: dict[str, Any], name: str) -> str:
    try:
        found = parse_qs(str(environ.get("QUERY_STRING", "")), max_num_fields=20)
    except ValueError:
        raise RequestError("the query cannot be read") from None
    return found.get(name, [""])[0]


def _add(models: Models, body: bytes) -> Answer:
    try:
        said = json.loads(body)
        name, url = said["model_name"], said["url"]
    except (ValueError, TypeError, LookupError, RecursionError):
        name = url = None
    if not (isinstance(name, str) and isinstance(url, str)):
        raise RequestError(
            f'expected JSON, {{"model_name": "...", "url": "..."}}; {received(body)}'
        )
    models.add(name, url)
    return of_json({"modelName": name, "modelUrl": url})
