"""The client of fastmcp."""

from __future__ import annotations

import asyncio

from fastmcp import Client
from journey import SERVER, travel


async def main() -> None:
    """The journey."""
    async with Client({"mcpServers": {"evals": SERVER}}) as client:
        await travel([tool.name for tool in await client.list_tools()], client.call_tool)


asyncio.run(main())
