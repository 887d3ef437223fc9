"""The three ways to reach one and the same engine: in this process, over its REST API, and over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2

from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.api.serve import serve
from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.backend.connect import Connection
from mcp_agent_eval.backend.embedded import open_embedded
from mcp_agent_eval.backend.hosted.backend import open_hosted
from mcp_agent_eval.mcp_server.http import open_http
from mcp_agent_eval.settings import Settings

EMBEDDED, HOSTED, SERVED = "embedded", "hosted", "served"
LEGS = (EMBEDDED, HOSTED, SERVED)
_TOKEN = "a key of the tests"
PLENTY = 1_000_000
_FIRST_LOOK = 0.02


@asynccontextmanager
async def leg(name: str, settings: Settings) -> AsyncIterator[Backend]:
    """A backend over the engine of these settings."""
    if name == SERVED:
        async with _over_a_socket(settings) as backend:
            yield backend
        return
    async with open_embedded(settings) as engine:
        if name == EMBEDDED:
            yield engine
            return
        transport = httpx2.ASGITransport(build_api(engine))
        hosted = settings.model_copy(update={"api_url": "http://localhost"})
        async with open_hosted(hosted, transport=transport, first_look=_FIRST_LOOK) as backend:
            yield backend


@asynccontextmanager
async def leg_connection(name: str, settings: Settings) -> AsyncIterator[Connection]:
    """The same, as the MCP server takes it."""
    async with leg(name, settings) as backend:
        yield Connection(backend, settings)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """`serve` on a free port of this machine; yields its address."""
    addresses: list[str] = []
    ready = anyio.Event()

    def announce(address: str, _: bool) -> None:
        addresses.append(address)
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, "127.0.0.1", 0, announce, open_http)
        await ready.wait()
        yield addresses[0]
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _over_a_socket(settings: Settings) -> AsyncIterator[Backend]:
    guarded = Settings.read(
        **settings.model_dump(exclude_unset=True) | {"token": _TOKEN, "rate_limit": PLENTY}
    )
    async with served(guarded) as address:
        client = guarded.model_copy(update={"api_url": address, "api_key": guarded.token})
        async with open_hosted(client, first_look=_FIRST_LOOK) as backend:
            yield backend
