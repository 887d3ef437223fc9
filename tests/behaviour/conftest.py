"""The server as an assistant meets it: a real MCP client in each protocol era, a real database, offline models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.support import OFFLINE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE)


@pytest.fixture(params=["auto", "legacy"], ids=["2026-07-28", "handshake"])
async def client(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    server = build_server(lambda: connect(settings))
    async with Client(server, mode=request.param) as client:
        yield client
