"""The server as an assistant meets it: a real MCP client in each protocol era, a real database, offline models.

What is promised over the embedded engine is promised over the hosted API, too, so the same tests run over both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.legs import EMBEDDED, HOSTED, leg_connection
from tests.support import OFFLINE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)


@pytest.fixture(
    params=[("auto", EMBEDDED), ("legacy", EMBEDDED), ("auto", HOSTED)],
    ids=["2026-07-28", "handshake", "hosted"],
)
async def client(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    era, backend = request.param
    server = build_server(lambda: leg_connection(backend, settings))
    async with Client(server, mode=era) as client:
        yield client
