"""What a SQLite file needs from time to time: to be copied while it is in use, and to be made smaller."""

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
"""The part of a file that has to be free before all of it is written anew."""

_BEGINNING = 0.25
"""The part of the time for which SQLite can be stopped in it, at least; then it writes all pages in one go."""

_STEPS = 1000
"""How many steps of SQLite's machine lie between two looks at the clock."""

_BRIEFLY = "PRAGMA busy_timeout = 200"
"""Whoever waits for those that read an old state keeps all writers out meanwhile: rather often, than for long."""

_TO_CUT = 5.0
"""Seconds in which the file has to be left alone for a moment, to be cut."""

_OF_THE_SOURCE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def back_up(path: Path, target: Path) -> None:
    """Copy what is committed into a new file, while others read and write.

    Raises:
        InvalidInput: the new file exists, or cannot be made.
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
    """Give the space of what was deleted back to the disk; what came of it, in words. Whoever writes has to wait
    meanwhile: if that would take longer than `seconds`, everything stays as it is.

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
    """Only the beginning of it can be stopped."""
    if seconds is not None:
        connection.set_progress_handler(_over_after(seconds * _BEGINNING), _STEPS)
    try:
        connection.execute("VACUUM")
    finally:
        connection.set_progress_handler(None, 0)


def _over_after(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed since it was first asked, which is when SQLite has got the lock."""
    first: float | None = None

    def is_over() -> bool:
        nonlocal first
        first = first or time.monotonic()
        return time.monotonic() > first + seconds

    return is_over


def _cut(connection: sqlite3.Connection) -> bool:
    """Move what was written into the file itself, which shortens it, once nobody is in the middle of something."""
    connection.execute(_BRIEFLY)
    give_up = time.monotonic() + _TO_CUT
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def _why_not(exc: sqlite3.Error, path: Path) -> str:
    if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
        return "runs that are being carried out would wait too long. Prune again when there are none."
    return as_store_error(exc, path).message


def _free(connection: sqlite3.Connection) -> int:
    """Octets that nothing is kept in."""
    pages = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return pages * connection.execute("PRAGMA page_size").fetchone()[0]


def _size(path: Path) -> int:
    """Octets of the file, with those that are still on their way into it."""
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.1f} MB"


def _check(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise StoreError(
                "The copy is damaged, and was not kept.", hint="The disk may be failing: try another."
            )
