"""The file behind a SQLite database: where it is, how it is created and opened, and what its errors mean."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mcp_agent_eval.engine.store.addresses import shown
from mcp_agent_eval.engine.store.file_systems import network_of
from mcp_agent_eval.errors import StoreError

PATIENCE = 15.0
"""Seconds to wait for another process that is writing."""

_SCHEME = "sqlite:///"
_PAIRS = re.compile(r"(^|\s)(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=", re.IGNORECASE)
_OTHER_FORM = re.compile("(sqlite|file):", re.IGNORECASE)
_LONGEST_NAME = 255
_OLDEST = (3, 37)
_OUR_COLUMNS = "SELECT count(*) = 2 FROM pragma_table_info('schema_steps') WHERE name IN ('name', 'sha256')"
_WRITER = ("PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", "PRAGMA cache_size = -16000")
_READER = ("PRAGMA query_only = ON", "PRAGMA cache_size = -16000")


def locate(where: str | Path) -> Path:
    """The path in a `sqlite:///path` (four slashes for an absolute one) or in a plain path.

    Raises:
        StoreError: the address is not a SQLite file, or nothing would persist there.
    """
    text = str(where)
    name = text.removeprefix(_SCHEME)
    if _PAIRS.search(text):
        raise StoreError(
            "AGENT_EVAL_DATABASE_URL has libpq's key=value format, which this program does not read.",
            hint="Write postgresql://user:password@host:5432/database, with further options as ?sslmode=require.",
        )
    if "://" in name or _OTHER_FORM.match(name):
        raise StoreError(
            f"{shown(text)!r} is not the address of a SQLite file.",
            hint=f"Write {_SCHEME}evals.db, or {_SCHEME}/data/evals.db for an absolute path; a PostgreSQL server is "
            "written postgresql://user:password@host/database.",
        )
    if name in {"", ".", ":memory:"}:
        raise StoreError(
            f"{text!r} does not name a file. Several processes share the database, so it has to be a file on disk.",
            hint=f"For a short-lived database use a temporary file, such as {_SCHEME}/tmp/evals.db.",
        )
    return _path(name)


def _path(name: str) -> Path:
    try:
        path = Path(name).expanduser().absolute()
    except RuntimeError:
        raise StoreError(
            f"The home folder in {name!r} is unknown.", hint="Write the path of the folder in its place."
        ) from None
    if max(len(os.fsencode(part)) for part in path.parts) > _LONGEST_NAME:
        raise StoreError(
            f"AGENT_EVAL_DATABASE_URL has a name of more than {_LONGEST_NAME} bytes, which is too long for a file.",
            hint=f"Write {_SCHEME}/data/evals.db, or the address of a PostgreSQL server.",
        )
    return path


def connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; the file and its folder are created if missing, accessible only to their owner.

    Raises:
        StoreError: the folder or the file cannot be created, it is on a network, or SQLite is too old.
        sqlite3.Error: the file cannot be used.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed.")
    _refuse_networks(path)
    _make(path)
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, cached_statements=256)
    try:
        refuse_strangers(connection, path)
        _use_write_ahead_log(connection, path)
        for pragma in _WRITER if writes else _READER:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_existing(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode to an existing database of any version; nothing is changed.

    Raises:
        StoreError: there is none, it is on a network, or it is not ours.
        sqlite3.Error: the file cannot be used.
    """
    require(path)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None)
    try:
        refuse_strangers(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def require(path: Path) -> None:
    """Raises StoreError: there is no database yet, or it is on a network."""
    _refuse_networks(path)
    if not _exists(path):
        raise StoreError(f"There is no database {path} yet.", hint="It is created when it is first used.")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file is still empty."""
    return connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


@contextmanager
def store_errors(path: Path) -> Generator[None]:
    """Turn SQLite's errors in this block into StoreError."""
    try:
        yield
    except sqlite3.Error as exc:
        raise as_store_error(exc, path) from exc


def as_store_error(exc: sqlite3.Error, path: Path) -> StoreError:
    """SQLite's error as something that the user can act on."""
    code = getattr(exc, "sqlite_errorcode", None)
    unknown = (f"cannot be used: {exc}", None)
    problem, hint = _MEANING.get(code) or _MEANING.get(code & 0xFF if code else None) or unknown
    error = StoreError(f"The database {path} {problem}.", hint=hint)
    error.__cause__ = exc
    return error


_DAMAGED = ("is not a database, or is damaged", "Restore a backup, or choose another file.")
_NO_SPACE = ("cannot be written: the disk is full or failing", "Free some space, then try again.")
_BUSY = (
    f"was locked by another process for more than {PATIENCE:g} seconds",
    "Close whatever holds it, then try again.",
)

_LOCAL = "Choose a path on a local disk, or a PostgreSQL server: AGENT_EVAL_DATABASE_URL=postgresql://..."
_NO_SHARED_MEMORY = (
    "is on a file system without shared memory maps or locks, which processes need to share it",
    _LOCAL,
)

_MEANING: dict[int | None, tuple[str, str | None]] = {
    sqlite3.SQLITE_IOERR_SHMMAP: _NO_SHARED_MEMORY,
    sqlite3.SQLITE_IOERR_SHMOPEN: _NO_SHARED_MEMORY,
    sqlite3.SQLITE_IOERR_SHMLOCK: _NO_SHARED_MEMORY,
    sqlite3.SQLITE_PROTOCOL: (
        "could not be locked: too many processes are opening it at once, or its file system has no locks",
        f"Try again. If that does not help: {_LOCAL[0].lower()}{_LOCAL[1:]}",
    ),
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_IOERR: _NO_SPACE,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_READONLY: (
        "is read-only",
        "Make the file and its folder writable, or choose another file.",
    ),
    sqlite3.SQLITE_PERM: ("may not be opened by this user", "Choose another file."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "It has to be a file, in a folder that this user may write to.",
    ),
}


def _refuse_networks(path: Path) -> None:
    """Refuse a network before creating anything: on some it would seem to work until two machines write at once."""
    if kind := network_of(path):
        raise StoreError(
            f"The database {path} would be on a network ({kind}), where SQLite cannot keep it safe: processes share "
            "it through memory that all of them map, which does not reach other machines.",
            hint=_LOCAL,
        )


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(
            f"The folder {path.parent} for the database cannot be created: {exc.strerror}."
        ) from exc
    if _exists(path):
        # Not opened here: closing any descriptor of a file drops all locks that this process holds on it, including
        # SQLite's, and another process would then delete the log of a database in use.
        if not os.access(path, os.R_OK | os.W_OK):
            raise _unusable(path, os.strerror(errno.EACCES))
        return
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as exc:
        raise _unusable(path, exc.strerror) from exc


def _exists(path: Path) -> bool:
    """Raises StoreError if it is not a regular file: SQLite would wait for a pipe forever."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise _unusable(path, exc.strerror) from exc
    if not stat.S_ISREG(mode):
        raise _unusable(path, "it is not a file")
    return True


def _unusable(path: Path, why: str | None) -> StoreError:
    return StoreError(
        f"The database {path} cannot be opened for writing: {why}.",
        hint="It has to be a file, in a folder that this user may write to.",
    )


def refuse_strangers(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's file, given by mistake, before anything in it is changed."""
    ours = connection.execute(_OUR_COLUMNS).fetchone()[0]
    if not (ours or is_empty(connection)):
        raise StoreError(f"The database {path} belongs to another program.", hint="Choose another file.")


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Switch to WAL mode, so that readers never wait for a writer. SQLite does not queue for this as it does for
    writes."""
    give_up = time.monotonic() + PATIENCE
    while (mode := _switched(connection, give_up)) is None:
        time.sleep(0.01)
    if mode != "wal":
        problem, hint = _NO_SHARED_MEMORY
        raise StoreError(f"The database {path} {problem}.", hint=hint)


def _switched(connection: sqlite3.Connection, give_up: float) -> str | None:
    """The current journal mode; None while others are in the way."""
    try:
        return connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
            raise
        return None
