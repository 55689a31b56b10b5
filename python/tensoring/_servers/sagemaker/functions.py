# SPDX-License-Identifier: MIT
"""The functions of the user, and what is done where there is none."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from tensoring._arena.service import Service
from tensoring._options import refuse
from tensoring._servers.sagemaker.answers import Answer, of_error
from tensoring._servers.sagemaker.context import Context
from tensoring._servers.sagemaker.decode import decode_as, is_text, media_of, text_of
from tensoring._servers.sagemaker.encode import encode_as
from tensoring._servers.sagemaker.errors import RequestError, not_acceptable
from tensoring._servers.sagemaker.headers import Accept, Media

Function: TypeAlias = Callable[..., Any]

_TAKES = {
    "model_fn": ("model_dir",),
    "input_fn": ("body", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "body", "content_type", "accept"),
}


class Failed(Exception):
    """A function of the user raised something; `error` is what."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(where)
        self.where, self.error = where, error

    def answer(self) -> Answer:
        """What the client gets."""
        return of_error(self.error, self.where)


def checked(name: str, function: Function | None) -> Function | None:
    """A function that takes what it is called with, and perhaps `context`."""
    if function is None:
        return None
    wanted = _TAKES[name]
    way = f"give a function of ({', '.join(wanted)}), which may have `context` as well"
    if not callable(function):
        refuse(TypeError, name, function, way)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it is built in, and does not tell
        return function
    with_context = "context" in signature.parameters
    try:
        signature.bind(*wanted, **({"context": None} if with_context else {}))
    except TypeError as error:
        refuse(TypeError, name, function, f"{way}: {error}")
    if with_context:
        return function

    def without(*given: Any, context: Context) -> Any:
        return function(*given)

    return without


@dataclass
class Functions:
    """Those that application() was given."""

    input_fn: Function | None
    predict_fn: Function | None
    output_fn: Function | None
    transform_fn: Function | None
    default_accept: str
    timeout: float

    @property
    def reads(self) -> bool:
        """Whether a function of the user reads bodies."""
        return self.input_fn is not None or self.transform_fn is not None

    # ---- the model

    def check_model(self, model: Any) -> Any:
        """`model`, if requests can be answered with it."""
        if self.predict_fn or self.transform_fn or isinstance(model, Service):
            return model
        if callable(getattr(model, "predict", None)) or callable(model):
            return model
        raise TypeError(
            f"model_fn gave a {type(model).__qualname__}, which has no predict(): give a"
            " predict_fn"
        )

    def _predict(self, data: Any, model: Any) -> Any:
        if isinstance(model, Service):
            return model.call(
                data, timeout=self.timeout, need_server=True, need_room=True
            )
        predict = getattr(model, "predict", None)
        return predict(data) if callable(predict) else model(data)

    # ---- a request

    def answer(
        self, model: Any, body: bytes, content_type: str, context: Context
    ) -> Answer:
        """Run a request through them."""
        about = media_of(content_type)
        context.content_type, context.parameters = about.type, about.parameters
        accept = Accept(context.accept, self.default_accept)
        if accept.broken:
            raise not_acceptable(
                f"Accept is {context.accept[:80]!r}; it must be like text/csv, */*;q=0.1"
            )
        if self.transform_fn is not None:
            given = self._given(body, about)
            made = called(
                "transform_fn",
                self.transform_fn,
                model,
                *given,
                accept.best(),
                context=context,
            )
            found = _made("transform_fn", made, accept.best())
        else:
            found = self._by_steps(model, body, about, accept, context)
        found.headers += called("the reply's attributes", context.reply_headers)
        return found

    def _given(self, body: bytes, about: Media) -> tuple[bytes | str, str]:
        """What a function gets of a body: text as str, as from SageMaker's toolkit."""
        if not is_text(about.type):
            return body, about.type or "application/octet-stream"
        try:
            return text_of(body, about), about.type
        except ValueError as error:
            raise RequestError(f"the body is not {about.type}: {error}") from None

    def _by_steps(
        self, model: Any, body: bytes, about: Media, accept: Accept, context: Context
    ) -> Answer:
        if self.input_fn is None:
            data = decode_as(body, about)
        else:
            given = self._given(body, about)
            data = called("input_fn", self.input_fn, *given, context=context)
        if self.predict_fn is None:
            made = called("the model", self._predict, data, model)
        else:
            made = called("predict_fn", self.predict_fn, data, model, context=context)
        del data
        if self.output_fn is None:
            if isinstance(made, Iterator):
                return _made("predict_fn", made, accept.best())
            encoded = encode_as(made, accept)
            return Answer(200, encoded.body, encoded.content_type)
        best = accept.best()
        return _made(
            "output_fn",
            called("output_fn", self.output_fn, made, best, context=context),
            best,
        )


def called(where: str, function: Function, *given: Any, **more: Any) -> Any:
    """What a function of the user gives; Failed if it raises."""
    try:
        return function(*given, **more)
    except Exception as error:
        raise Failed(where, error) from error


def _made(where: str, made: Any, accept: str) -> Answer:
    """The answer that a function made: a body, or a body and its content type."""
    body, content_type = (
        made if isinstance(made, tuple) and len(made) == 2 else (made, "")
    )
    if not content_type:
        content_type = _usual(body) if accept.endswith("*") else accept
    wrong = None
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    elif isinstance(body, (bytearray, memoryview)):
        body = bytes(body)
    elif isinstance(body, Iterator):
        body = _begun(where, body)
    elif not isinstance(body, bytes):
        wrong = f"gave a {type(body).__qualname__}, and not bytes, str or an iterator"
    if not (isinstance(content_type, str) and _is_line(content_type)):
        wrong = f"gave {content_type!a:.80} as content type"
    if wrong:
        raise Failed(where, TypeError(f"{where} {wrong}"))
    return Answer(200, body, content_type)


def _is_line(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _usual(body: Any) -> str:
    return "text/plain" if isinstance(body, str) else "application/octet-stream"


def _begun(where: str, pieces: Iterator[Any]) -> Iterator[bytes]:
    """The same pieces, of which the first one is there: an error in it has its status."""

    def of_bytes() -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, str):
                yield piece.encode("utf-8", "surrogatepass")
            elif isinstance(piece, (bytes, bytearray, memoryview)):
                yield bytes(piece)
            else:
                kind = type(piece).__qualname__
                raise TypeError(f"{where} gave pieces of type {kind}: give bytes or str")

    found = of_bytes()
    return itertools.chain([called(where, next, found, b"")], found)
