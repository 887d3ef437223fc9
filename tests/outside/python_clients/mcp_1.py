"""The Python SDK before version 2, which knows the protocol with a handshake only."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from journey import SERVER, travel
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def streams():
    """Where to read and to write."""
    if "url" in SERVER:
        async with streamablehttp_client(SERVER["url"]) as (read, write, _):
            yield read, write
    else:
        async with stdio_client(StdioServerParameters(**SERVER)) as (read, write):
            yield read, write


async def main() -> None:
    """The journey."""
    async with streams() as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        listed = await session.list_tools()
        await travel([tool.name for tool in listed.tools], session.call_tool)


asyncio.run(main())
