"""Maintenance of the embedded engine's database, for layers that may not import the engine. Starts no worker."""

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
    """Maintenance of the database of these settings, open until the block exits.

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
    """Copy the database of these settings into a new file; return how to use the copy, in words.

    Raises:
        NotConfigured: the settings choose the hosted API, or a required program is not installed.
        InvalidInput: the file exists or cannot be created.
        StoreError: the database cannot be read, or the copy cannot be written.
    """
    refuse_hosted(settings)
    return await anyio.to_thread.run_sync(upkeep.back_up, settings.database_url, target)


def refuse_hosted(settings: Settings) -> None:
    """Raises NotConfigured if the database is not ours to maintain."""
    if settings.backend == "hosted":
        raise NotConfigured(
            "This needs your own database, but AGENT_EVAL_BACKEND is set to hosted.",
            hint="Set AGENT_EVAL_BACKEND=embedded to use the one that AGENT_EVAL_DATABASE_URL names.",
        )
