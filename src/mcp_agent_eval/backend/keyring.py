"""The keys of the REST API, for layers that may not import the engine. No worker runs while they are open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp_agent_eval.engine.records.keyring import Keyring
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.settings import Settings

__all__ = ["Keyring", "open_keyring"]


@asynccontextmanager
async def open_keyring(settings: Settings) -> AsyncGenerator[Keyring]:
    """The keys in the database of these settings, open until the block exits.

    Raises:
        NotConfigured: the settings choose the hosted API, which has its own keys.
        StoreError: the database cannot be opened.
    """
    if settings.backend == "hosted":
        raise NotConfigured(
            "Keys are stored by the embedded engine, but AGENT_EVAL_BACKEND is set to hosted.",
            hint="Set AGENT_EVAL_BACKEND=embedded to manage the keys of your own server.",
        )
    database = await open_database(settings.database_url)
    try:
        yield Keyring(database)
    finally:
        await database.aclose()
