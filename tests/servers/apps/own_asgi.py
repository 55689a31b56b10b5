# SPDX-License-Identifier: MIT
"""Answers "NUMBER REPLY PID", the reply of the service that the test serves."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import tensoring.asgi


async def answer(request: Request) -> PlainTextResponse:
    number = int(request.url.query)
    service = request.state.arena.service("model")
    reply = await service.call_async(number, timeout=60)
    return PlainTextResponse(f"{number} {reply} {os.getpid()}")


app = Starlette(
    routes=[Route("/", answer)],
    lifespan=tensoring.asgi.lifespan([(4096, 64)], once="tables:publish"),
)
