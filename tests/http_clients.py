"""MCP clients over HTTP as hosts make them: with a key, in either era, behind a load balancer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

ERAS = ("auto", "legacy")
"""What `Client` calls the protocol of 2026-07-28, found by asking, and the one with a handshake."""


class RoundRobin(httpx2.AsyncBaseTransport):
    """A load balancer: every request goes to the next of several servers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._targets = cycle([httpx2.URL(address) for address in addresses])
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        target = next(self._targets)
        request.url = request.url.copy_with(host=target.host, port=target.port)
        request.headers["host"] = f"{target.host}:{target.port}"
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def connected(
    address: str,
    *,
    era: str = "auto",
    key: str | None = None,
    headers: dict[str, str] | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """A client of the MCP endpoint of the server at `address`."""
    sent = (headers or {}) | ({"Authorization": f"Bearer {key}"} if key else {})
    async with httpx2.AsyncClient(headers=sent, timeout=30, transport=transport) as http:
        server = streamable_http_client(f"{address}/mcp", http_client=http)
        async with Client(server, mode=era, **options) as client:
            yield client


async def turned_away(address: str, **options: Any) -> MCPError:
    """What a client is told that cannot connect."""
    try:
        async with connected(address, **options):
            raise AssertionError("the client could connect")
    except ExceptionGroup as failures:
        failure: BaseException = failures
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        assert isinstance(failure, MCPError)
        return failure
