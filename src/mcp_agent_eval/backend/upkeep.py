"""The care of the embedded engine's database, for the layers that may not know the engine. No worker runs meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread

from mcp_agent_eval.engine.records import upkeep
from mcp_agent_eval.engine.records.upkeep import Upkeep
from mcp_agent_eval.engine.store.opening import open_existing
from mcp_agent_eval.engine.store.upkeep import Finished
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import Settings

__all__ = ["Finished", "Upkeep", "back_up", "open_upkeep", "refuse_hosted"]


@asynccontextmanager
async def open_upkeep(settings: Settings) -> AsyncGenerator[Upkeep]:
    """The care of the database of these settings, until the block is left.

    Raises:
        NotConfigured: the settings choose the hosted API.
        StoreError: there is no database yet, or it cannot be opened.
    """
    refuse_hosted(settings)
    database = await open_existing(settings.database_url)
    try:
        yield Upkeep(database, settings.database_url)
    finally:
        await database.aclose()


async def back_up(settings: Settings, target: Path) -> str:
    """Copy the database of these settings into a new file; how to use the copy, in words.

    Raises:
        NotConfigured: the settings choose the hosted API, or a program that it takes is not installed.
        InvalidInput: the file exists, or cannot be made.
        StoreError: the database cannot be read, or the copy cannot be written.
    """
    refuse_hosted(settings)
    return await anyio.to_thread.run_sync(upkeep.back_up, settings.database_url, target)


def refuse_hosted(settings: Settings) -> None:
    """Raises NotConfigured when there is no database of ours to take care of."""
    if settings.backend == "hosted":
        raise NotConfigured(
            "This takes a database of your own, and AGENT_EVAL_BACKEND is set to hosted.",
            hint="Set AGENT_EVAL_BACKEND=embedded to use the one that AGENT_EVAL_DATABASE_URL names.",
        )
