"""Database maintenance: deletes old runs, shrinks files, makes a backup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_agent_eval.engine.store import postgres_upkeep, sqlite_upkeep, upkeep
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.migrate import is_current
from mcp_agent_eval.engine.store.postgres_server import SCHEMES
from mcp_agent_eval.engine.store.sqlite_file import PATIENCE, locate
from mcp_agent_eval.engine.store.upkeep import Finished
from mcp_agent_eval.types import RunStatus, now

_BATCH = 500
_PAUSE = 0.1
"""Seconds between two batches: a process waiting for a SQLite file looks again this often and must find it free."""

_BEARABLE = PATIENCE * 2 / 3
"""Seconds for which runs in progress may be held up: they give up after PATIENCE."""

_SPENDING_KEPT = timedelta(days=7)


class Upkeep:
    """Maintenance of one database, which others may use at the same time. `clock` returns the time in UTC."""

    def __init__(self, database: Database, url: str, *, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._url = url
        self._clock = clock

    async def finished(
        self, *, older_than: timedelta | None, keep: int | None, statuses: Sequence[RunStatus] = ()
    ) -> list[Finished]:
        """Runs that ended longer ago than this and are not among the newest `keep`, oldest first, with one of these
        statuses or any. A suite run's runs are either all included or none of them."""
        before = None if older_than is None else self._clock() - older_than
        return await self._database.read(
            partial(upkeep.finished, before=before, keep=keep, statuses=statuses)
        )

    async def delete(self, runs: Sequence[Finished]) -> None:
        """Permanently delete what `finished` returned, in batches between which others get their turn.

        Raises:
            StoreTooNew: a newer version has changed the database in the meantime.
        """
        for start in range(0, len(runs), _BATCH):
            batch = runs[start : start + _BATCH]
            await self._database.write(partial(_delete, batch=batch))
            await anyio.sleep(_PAUSE)
        oldest = (self._clock() - _SPENDING_KEPT).date()
        await self._database.write(partial(upkeep.forget_spending, oldest=oldest))

    async def compact(self) -> str:
        """Release the space of deleted data; return the outcome in words. Runs in progress are not held up for
        long."""
        if self._url.startswith(SCHEMES):
            return await anyio.to_thread.run_sync(postgres_upkeep.compact, self._url)
        seconds = _BEARABLE if await self._database.read(_is_anything_claimed) else None
        return await anyio.to_thread.run_sync(sqlite_upkeep.compact, locate(self._url), seconds)


def back_up(url: str, target: Path) -> str:
    """Copy a database into a new file while others use it; return how to use the copy, in words.

    Raises:
        InvalidInput: the file exists, or cannot be made.
        NotConfigured: a required program is not installed.
        StoreError: the database cannot be read, or the copy cannot be written.
    """
    file = target.expanduser().absolute()
    if url.startswith(SCHEMES):
        postgres_upkeep.back_up(url, file)
        return f"Restore it into an empty database: pg_restore --no-owner --dbname=DATABASE {file}"
    sqlite_upkeep.back_up(locate(url), file)
    return f"The copy is a complete database: AGENT_EVAL_DATABASE_URL=sqlite:///{file}"


def _delete(connection: Connection, batch: Sequence[Finished]) -> None:
    is_current(connection)
    upkeep.delete(connection, batch)


def _is_anything_claimed(connection: Connection) -> bool:
    return bool(connection.all("count_claimed"))
