"""The server as an assistant meets it: a real MCP client in each protocol era, a real database, offline models.

What is promised over the embedded engine is promised over the hosted API, too, so the same tests run over both; and
once more over HTTP, where no session remembers anything between two messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.http_clients import connected
from tests.legs import EMBEDDED, HOSTED, PLENTY, SERVED, leg_connection, served
from tests.support import OFFLINE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)


@pytest.fixture(
    params=[("auto", EMBEDDED), ("legacy", EMBEDDED), ("auto", HOSTED), ("legacy", SERVED)],
    ids=["2026-07-28", "handshake", "hosted", "http"],
)
async def client(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    era, backend = request.param
    if backend == SERVED:
        unlimited = settings.model_copy(update={"rate_limit": PLENTY})
        async with served(unlimited) as address, connected(address, era=era) as client:
            yield client
        return
    server = build_server(lambda: leg_connection(backend, settings))
    async with Client(server, mode=era) as client:
        yield client
