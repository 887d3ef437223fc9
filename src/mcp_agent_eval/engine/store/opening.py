"""Opens the database that an address names."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread

from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.postgres_server import SCHEMES


def _deaf(_: str) -> None:
    """For those who do not care what others tell."""


async def open_database(url: str, heard: Callable[[str], None] = _deaf) -> Database:
    """The database at `sqlite:///path`, at a plain path, or at `postgresql://...`; `heard` is called with every
    name that some process tells, where the database has a way to.

    Raises:
        NotConfigured: the driver is not installed.
        StoreError: it cannot be used; the message says why.
    """
    if url.startswith(SCHEMES):
        from mcp_agent_eval.engine.store.postgres import open_postgres

        return await open_postgres(url, heard)
    from mcp_agent_eval.engine.store.sqlite import open_sqlite

    return await open_sqlite(url)


async def open_existing(url: str) -> Database:
    """As `open_database`, but nothing is made where there is no database of ours yet: that is a StoreError."""
    await anyio.to_thread.run_sync(_require, url)
    return await open_database(url)


def _require(url: str) -> None:
    if url.startswith(SCHEMES):
        from mcp_agent_eval.engine.store.postgres import require

        require(url)
        return
    from mcp_agent_eval.engine.store import sqlite_file

    sqlite_file.require(sqlite_file.locate(url))
