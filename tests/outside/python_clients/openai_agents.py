"""The MCP servers of openai-agents."""

from __future__ import annotations

import asyncio

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from journey import SERVER, travel

PATIENCE = 60
"""Seconds. It gives a call five unless it is told otherwise, and a run may take longer."""


async def main() -> None:
    """The journey."""
    kind = MCPServerStreamableHttp if "url" in SERVER else MCPServerStdio
    async with kind(params=SERVER, client_session_timeout_seconds=PATIENCE) as server:
        await travel([tool.name for tool in await server.list_tools()], server.call_tool)


asyncio.run(main())
