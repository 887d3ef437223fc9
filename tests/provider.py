"""A model provider on a real socket whose answers a test can hold back, count and choose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support import free_port

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
    running = Provider(answer)
    if open_gate:
        running.gate.set()
    port = free_port()
    running.url = f"http://127.0.0.1:{port}/v1"
    app = Starlette(routes=[Route("/v1/chat/completions", running.complete, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(10):
            while not server.started:
                await anyio.lowlevel.checkpoint()
        try:
            yield running
        finally:
            running.gate.set()
            server.should_exit = True
