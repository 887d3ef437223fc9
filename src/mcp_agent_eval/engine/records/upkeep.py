"""The care that a database needs from time to time: old runs deleted, files made smaller, a backup made."""

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
"""Seconds between two batches: who waits for a SQLite file looks again this often, and has to find it free."""

_BEARABLE = PATIENCE * 2 / 3
"""Seconds for which runs that are being carried out may be held up: they give up after PATIENCE."""

_SPENDING_KEPT = timedelta(days=7)


class Upkeep:
    """The care of one database, which others may use at the same time. `clock` tells the time, in UTC."""

    def __init__(self, database: Database, url: str, *, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._url = url
        self._clock = clock

    async def finished(
        self, *, older_than: timedelta | None, keep: int | None, statuses: Sequence[RunStatus] = ()
    ) -> list[Finished]:
        """The runs that ended longer ago and are not among the newest `keep`, oldest first; of these statuses, or of
        any. The runs of a suite run are all among them, or none is."""
        before = None if older_than is None else self._clock() - older_than
        return await self._database.read(
            partial(upkeep.finished, before=before, keep=keep, statuses=statuses)
        )

    async def delete(self, runs: Sequence[Finished]) -> None:
        """Delete what `finished` gave, for good, in parts between which others get their turn.

        Raises:
            StoreTooNew: a newer version has changed the database meanwhile.
        """
        for start in range(0, len(runs), _BATCH):
            batch = runs[start : start + _BATCH]
            await self._database.write(partial(_delete, batch=batch))
            await anyio.sleep(_PAUSE)
        oldest = (self._clock() - _SPENDING_KEPT).date()
        await self._database.write(partial(upkeep.forget_spending, oldest=oldest))

    async def compact(self) -> str:
        """Give the space of what was deleted back; what came of it, in words. Runs that are being carried out are not
        held up for long by it."""
        if self._url.startswith(SCHEMES):
            return await anyio.to_thread.run_sync(postgres_upkeep.compact, self._url)
        seconds = _BEARABLE if await self._database.read(_is_anything_claimed) else None
        return await anyio.to_thread.run_sync(sqlite_upkeep.compact, locate(self._url), seconds)


def back_up(url: str, target: Path) -> str:
    """Copy a database into a new file while others use it; how to use the copy, in words.

    Raises:
        InvalidInput: the file exists, or cannot be made.
        NotConfigured: a program that it takes is not installed.
        StoreError: the database cannot be read, or the copy cannot be written.
    """
    file = target.expanduser().absolute()
    if url.startswith(SCHEMES):
        postgres_upkeep.back_up(url, file)
        return f"Restore it into an empty database: pg_restore --no-owner --dbname=DATABASE {file}"
    sqlite_upkeep.back_up(locate(url), file)
    return f"It is a database as it stands: AGENT_EVAL_DATABASE_URL=sqlite:///{file}"


def _delete(connection: Connection, batch: Sequence[Finished]) -> None:
    is_current(connection)
    upkeep.delete(connection, batch)


def _is_anything_claimed(connection: Connection) -> bool:
    return bool(connection.all("count_claimed"))
