"""A reverse proxy as operators put in front of a server: another host name, TLS told by a header, a path prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.running import running

PREFIX = "/eval"
HOST = "evals.example.com"
_OF_THE_CONNECTION = {"host", "content-length", "transfer-encoding", "connection"}


@asynccontextmanager
async def proxy(address: str, *, strips: bool) -> AsyncIterator[str]:
    """The address under which the server at `address` is reached; `strips` is whether it sees the prefix."""
    async with httpx2.AsyncClient(base_url=address, timeout=30) as http:

        async def forward(request: Request) -> Response:
            path = request.url.path.removeprefix(PREFIX) if strips else request.url.path
            kept = [
                (name, value) for name, value in request.headers.items() if name not in _OF_THE_CONNECTION
            ]
            sent = http.build_request(
                request.method,
                path,
                headers=[*kept, ("host", HOST), ("x-forwarded-proto", "https")],
                content=await request.body(),
            )
            answer = await http.send(sent, stream=True)
            headers = {
                name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION
            }
            done = BackgroundTask(answer.aclose)
            return StreamingResponse(answer.aiter_raw(), answer.status_code, headers, background=done)

        methods = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"]
        async with running(Starlette(routes=[Route("/{path:path}", forward, methods=methods)])) as origin:
            yield origin + PREFIX
