"""Maintenance of a SQLite file: copies it while in use, and compacts it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mcp_agent_eval.engine.store.new_file import new_file
from mcp_agent_eval.engine.store.sqlite_file import as_store_error, connect, connect_existing, store_errors
from mcp_agent_eval.errors import StoreError

_WORTH_IT = 0.1
"""The fraction of a file that has to be free before it is rewritten."""

_BEGINNING = 0.25
"""At least this fraction of the time SQLite can be interrupted; after that it writes all pages in one go."""

_STEPS = 1000
"""Steps of SQLite's virtual machine between two looks at the clock."""

_BRIEFLY = "PRAGMA busy_timeout = 200"
"""Waiting for readers of an old state blocks all writers, so try often rather than wait long."""

_TO_CUT = 5.0
"""Seconds within which the file has to be idle for a moment, so that it can be truncated."""

_OF_THE_SOURCE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def back_up(path: Path, target: Path) -> None:
    """Copy the committed state into a new file while others read and write.

    Raises:
        InvalidInput: the new file exists or cannot be created.
        StoreError: there is no database, or it cannot be read, or the copy cannot be written.
    """
    with new_file(target) as partial, store_errors(path), closing(connect_existing(path)) as connection:
        try:
            connection.execute("VACUUM INTO ?", (str(partial),))
            _check(partial)
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _OF_THE_SOURCE:
                raise
            raise as_store_error(exc, target) from exc


def compact(path: Path, seconds: float | None) -> str:
    """Give the space of deleted rows back to the disk; return the outcome in words. Writers have to wait meanwhile:
    if that would take longer than `seconds`, everything stays as it is.

    Raises:
        StoreError: the file cannot be opened.
    """
    with store_errors(path), closing(connect(path, writes=True)) as connection:
        free, before = _free(connection), _size(path)
        if free < _WORTH_IT * before:
            return f"Not compacted: only {_megabytes(free)} of {_megabytes(before)} are free. New runs will fill them."
        try:
            _write_anew(connection, seconds)
            is_cut = _cut(connection)
        except sqlite3.Error as exc:
            return f"Not compacted: {_why_not(exc, path)} New runs will fill the {_megabytes(free)} that are free."
    if not is_cut:
        return f"Compacted: the file will shrink by {_megabytes(free)} when those that use it close it."
    return f"Compacted: the file shrank from {_megabytes(before)} to {_megabytes(_size(path))}."


def _write_anew(connection: sqlite3.Connection, seconds: float | None) -> None:
    """Rewrite the file. Only the first part of this can be interrupted."""
    if seconds is not None:
        connection.set_progress_handler(_over_after(seconds * _BEGINNING), _STEPS)
    try:
        connection.execute("VACUUM")
    finally:
        connection.set_progress_handler(None, 0)


def _over_after(seconds: float) -> Callable[[], bool]:
    """Whether that much time has passed since the first call, when SQLite got the lock."""
    first: float | None = None

    def is_over() -> bool:
        nonlocal first
        first = first or time.monotonic()
        return time.monotonic() > first + seconds

    return is_over


def _cut(connection: sqlite3.Connection) -> bool:
    """Move the log into the file itself, which truncates it, once no one is in a transaction."""
    connection.execute(_BRIEFLY)
    give_up = time.monotonic() + _TO_CUT
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def _why_not(exc: sqlite3.Error, path: Path) -> str:
    if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return "runs in progress would wait too long. Prune again when there are none."
    return as_store_error(exc, path).message


def _free(connection: sqlite3.Connection) -> int:
    """Unused bytes."""
    pages = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages * connection.execute("PRAGMA page_size").fetchone()[0]


def _size(path: Path) -> int:
    """Bytes of the file, including those still in its log."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.1f} MB"


def _check(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreError(
                "The copy was damaged and has been removed.", hint="The disk may be failing: try another."
            )
