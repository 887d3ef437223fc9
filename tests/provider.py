"""A model provider on a real socket whose answers a test can hold back, count and choose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.running import running

Said = str | dict[str, Any] | Response
Answer = Callable[[dict[str, Any]], Said | Awaitable[Said]]


class Provider:
    """Answers chat completions with `answer(body)`, once `gate` is open. `asked` holds every body."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[dict[str, Any]] = []
        self.arrived = anyio.Event()
        self.gate = anyio.Event()
        self.url = ""

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.arrived.set()
        await self.gate.wait()
        answer = self._answer(body)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, Response):
            return answer
        message = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 100}
        return JSONResponse({"model": body.get("model", "a model"), "choices": [choice], "usage": usage})


@asynccontextmanager
async def provider(answer: Answer, *, open_gate: bool = True) -> AsyncIterator[Provider]:
    """A running provider; it stops with the block."""
    asked = Provider(answer)
    if open_gate:
        asked.gate.set()
    app = Starlette(routes=[Route("/v1/chat/completions", asked.complete, methods=["POST"])])
    async with running(app) as address:
        asked.url = f"{address}/v1"
        try:
            yield asked
        finally:
            asked.gate.set()
