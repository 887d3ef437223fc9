"""pydantic-ai's toolset of an MCP server."""

from __future__ import annotations

import asyncio

from fastmcp.client.transports import StdioTransport
from journey import SERVER, travel
from pydantic_ai.mcp import MCPToolset


async def main() -> None:
    """The journey."""
    toolset = MCPToolset(SERVER["url"] if "url" in SERVER else StdioTransport(**SERVER))
    async with toolset:
        await travel([tool.name for tool in await toolset.list_tools()], toolset.direct_call_tool)


asyncio.run(main())
