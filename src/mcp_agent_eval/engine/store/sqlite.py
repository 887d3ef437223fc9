"""The database as one SQLite file, shared by any number of processes.

One thread writes, another reads, each with its own connection. Whatever queued up while the disk was busy is
committed together.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from mcp_agent_eval.engine.store.database import Row, Work
from mcp_agent_eval.engine.store.migrate import is_current, migrate
from mcp_agent_eval.engine.store.sqlite_file import as_store_error, connect, is_empty, locate, store_errors
from mcp_agent_eval.engine.store.statements import Dialect, Query, load_queries
from mcp_agent_eval.engine.store.texts import escape, unescape_all
from mcp_agent_eval.engine.store.threads import OwnerThread
from mcp_agent_eval.engine.store.units import commit_together, read_each
from mcp_agent_eval.errors import StoreError
from mcp_agent_eval.types import now

T = TypeVar("T")

_GROUP = 64

DIALECT = Dialect(
    words={
        "serial": "INTEGER PRIMARY KEY",
        "key": "TEXT",
        "json": "TEXT",
        "bigint": "INTEGER",
        "float": "REAL",
        "strict": "STRICT",
    },
    members="(SELECT value FROM json_each(:LIST))",
    mark="?",
)


async def open_sqlite(where: str | Path) -> SqliteDatabase:
    """Open the file at a path or a `sqlite:///path`, creating it, its folder and its schema if missing.

    Raises:
        StoreError: it cannot be used; the message says why, and StoreTooNew that we are too old for it.
    """
    database = SqliteDatabase(locate(where))
    await database.start()
    return database


class SqliteDatabase:
    """A `Database`. Created by `open_sqlite`, in the event loop in which it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False
        self._writer = OwnerThread(
            "evals-writer",
            open=partial(_open_writer, path),
            perform=commit_together,
            batch=_GROUP,
        )
        self._reader = OwnerThread("evals-reader", open=partial(_open_reader, path), perform=read_each)

    async def start(self) -> None:
        """Start both threads, the writer first: it brings the schema up to date."""
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:
            await self._writer.aclose()
            raise

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        self._check_open()
        return await self._reader.submit(work)

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        self._check_open()
        return await self._writer.submit(work)

    async def write_own(self, work: Work[T]) -> T:
        """See `Database.write_own`: all writers of a file wait for each other anyway."""
        return await self.write(work)

    async def changes(self) -> int:
        """See `Database.changes`."""
        self._check_open()
        return await self._reader.submit(SqliteConnection.data_version)

    async def aclose(self) -> None:
        """See `Database.aclose`."""
        if not self._closed:
            self._closed = True
            await self._reader.aclose()
            await self._writer.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The database {self.path} was closed.")


class SqliteConnection:
    """A `Transactional` connection, on whichever thread opened it; `opening` is how its transactions begin."""

    def __init__(self, path: Path, raw: sqlite3.Connection, opening: str) -> None:
        self.path = path
        self.raw = raw
        self._opening = opening
        self._queries = _queries()

    def all(self, query: str, /, **parameters: Any) -> list[Row]:
        """See `Connection.all`."""
        return self._rows(query, parameters)

    def one(self, query: str, /, **parameters: Any) -> Row | None:
        """See `Connection.one`."""
        rows = self._rows(query, parameters)
        return rows[0] if rows else None

    def run(self, query: str, /, **parameters: Any) -> int:
        """See `Connection.run`."""
        return self._execute(query, parameters).rowcount

    def many(self, query: str, /, rows: Iterable[Row]) -> None:
        """See `Connection.many`."""
        sql, names = self._queries[query].statement({})
        self.raw.executemany(sql, [_bound(row, names) for row in rows])

    def now(self) -> datetime:
        """See `Connection.now`: a file is shared on one machine."""
        return now()

    def tell(self, *names: str) -> None:
        """See `Connection.tell`. A file cannot notify anyone: others poll `data_version`."""

    def data_version(self) -> int:
        """A number that changes whenever another connection, in any process, has committed."""
        return self.raw.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self.raw.close()

    def begin(self) -> None:
        """See `Transactional.begin`."""
        self.raw.execute(self._opening)

    def commit(self) -> None:
        """See `Transactional.commit`."""
        self.raw.execute("COMMIT")

    def roll_back(self) -> None:
        """See `Transactional.roll_back`."""
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def recovers(self, exc: BaseException, failures: int) -> bool:
        """See `Transactional.recovers`: SQLite has already waited for a lock."""
        return False

    def explained(self, exc: BaseException) -> BaseException:
        """See `Transactional.explained`. The only place where SQLite's own errors become ours."""
        return as_store_error(exc, self.path) if isinstance(exc, sqlite3.Error) else exc

    def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        cursor = self._execute(query, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, unescape_all(row), strict=True)) for row in cursor]

    def _execute(self, query: str, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        sql, names = self._queries[query].statement(parameters)
        return self.raw.execute(sql, _bound(parameters, names))


@cache
def _queries() -> dict[str, Query]:
    return load_queries(DIALECT)


def _bound(parameters: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """The parameters in the order of the marks, as SQLite takes them."""
    values = [parameters[name] for name in names]
    return [_one_bound(value) if type(value) in _CONVERTED else value for value in values]


_CONVERTED = (str, list)


def _one_bound(value: str | list[str]) -> str:
    return escape(value) if isinstance(value, str) else json.dumps([escape(member) for member in value])


def _open_writer(path: Path) -> SqliteConnection:
    with store_errors(path):
        connection = SqliteConnection(path, connect(path, writes=True), "BEGIN IMMEDIATE")
        try:
            _bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _open_reader(path: Path) -> SqliteConnection:
    with store_errors(path):
        return SqliteConnection(path, connect(path, writes=False), "BEGIN")


def _bring_up_to_date(connection: SqliteConnection) -> None:
    if not is_empty(connection.raw) and is_current(connection):
        return
    connection.begin()
    try:
        migrate(connection, connection.raw.execute, DIALECT)
        connection.commit()
    finally:
        connection.roll_back()
