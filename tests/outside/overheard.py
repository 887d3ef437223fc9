"""A line to a server that somebody listens in on: which methods a client really asks for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.running import running

_OF_THE_CONNECTION = {"host", "content-length", "transfer-encoding", "connection"}


def era(methods: list[str]) -> str:
    """Which protocol was spoken: the one with a handshake, or the one without."""
    return "older era" if "initialize" in methods else "era 2026-07-28"


@asynccontextmanager
async def overheard(address: str, methods: list[str]) -> AsyncIterator[str]:
    """An address that leads to another; every method of the protocol that is asked for is added to `methods`."""
    async with httpx2.AsyncClient(base_url=address, timeout=120, trust_env=False) as http:

        async def forward(request: Request) -> Response:
            body = await request.body()
            methods.extend([str(json.loads(body).get("method"))] if body else [])
            headers = [pair for pair in request.headers.items() if pair[0] not in _OF_THE_CONNECTION]
            sent = http.build_request(request.method, request.url.path, headers=headers, content=body)
            answer = await http.send(sent, stream=True)
            told = {name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION}
            done = BackgroundTask(answer.aclose)
            return StreamingResponse(answer.aiter_raw(), answer.status_code, told, background=done)

        routes = [Route("/{path:path}", forward, methods=["GET", "POST", "DELETE"])]
        async with running(Starlette(routes=routes)) as heard:
            yield heard
