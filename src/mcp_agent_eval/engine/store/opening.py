"""Opens the database at an address."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread

from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.postgres_server import SCHEMES


def _deaf(_: str) -> None:
    """Ignore notifications from other processes."""


async def open_database(url: str, heard: Callable[[str], None] = _deaf) -> Database:
    """Open the database at `sqlite:///path`, at a plain path, or at `postgresql://...`. `heard` is called with
    every name that a process announces, if the database supports it.

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
    """Like `open_database`, but creates nothing: if there is no database of ours yet, that is a StoreError."""
    await anyio.to_thread.run_sync(_require, url)
    return await open_database(url)


def _require(url: str) -> None:
    if url.startswith(SCHEMES):
        from mcp_agent_eval.engine.store.postgres import require

        require(url)
        return
    from mcp_agent_eval.engine.store import sqlite_file

    sqlite_file.require(sqlite_file.locate(url))
