"""The server behind a PostgreSQL database: how to connect, and what its errors mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, LiteralString

from mcp_agent_eval.engine.store.addresses import shown, without_passwords
from mcp_agent_eval.errors import NotConfigured, StoreError

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")
SCHEMA = "agent_eval"
"""Our tables are in their own schema, since others also use names such as `runs` and `tools`."""

PATIENCE = 15.0
"""Seconds to wait for another process that holds a lock, or for a server that restarts."""

STALL = 5.0
"""Seconds for which a process may stall inside a transaction, since that holds up everyone."""


def require_driver() -> None:
    """Raises NotConfigured if the extra is not installed."""
    try:
        import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as exc:
        raise NotConfigured(
            f"A PostgreSQL database needs a driver: {exc}.",
            hint='Install the extra: pip install "mcp-agent-eval[postgres]".',
        ) from None


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode that uses our schema, whether or not it exists yet.

    Raises:
        psycopg.Error: the server cannot be used.
    """
    import psycopg

    connection = psycopg.connect(
        url, autocommit=True, connect_timeout=10, fallback_application_name="mcp-agent-eval"
    )
    for setting in (
        f"SET search_path TO {SCHEMA}",
        f"SET lock_timeout TO '{PATIENCE:g}s'",
        f"SET idle_in_transaction_session_timeout TO '{STALL:g}s'",
    ):
        connection.execute(_literal(setting))
    return connection


def is_away(exc: BaseException) -> bool:
    """Whether the server was lost or is absent, so that it may be back in a while. A mistake in the address would
    not go away."""
    import psycopg

    if not isinstance(exc, psycopg.Error):
        return False
    state = _state(exc)
    was_cut = state is None and isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError)
    return was_cut or state in _GONE


def is_undone(exc: BaseException) -> bool:
    """Whether the server had ended the transaction before the commit."""
    from psycopg import errors

    return isinstance(exc, errors.IdleInTransactionSessionTimeout)


def has_collided(exc: BaseException) -> bool:
    """Whether two transactions conflicted: a retry sees what the other has done."""
    from psycopg import errors

    return isinstance(exc, errors.SerializationFailure | errors.DeadlockDetected)


def explained(exc: BaseException, url: str) -> BaseException:
    """Translate the driver's errors into something that the user can act on; leave all others unchanged."""
    import psycopg

    return _as_store_error(exc, url) if isinstance(exc, psycopg.Error) else exc


def _as_store_error(exc: psycopg.Error, url: str) -> StoreError:
    """The server's error, without any of the data to be stored."""
    meaning = _MEANING.get(_state(exc) or "") or (_AWAY if is_away(exc) else None)
    problem, hint = meaning or ("cannot be used", None)
    # Before there is a connection, an error cannot quote data.
    reason = f": {without_passwords(_said(exc), url)}" if exc.sqlstate is None or not meaning else ""
    error = StoreError(f"The database {shown(url)} {problem}{reason}.", hint=hint)
    error.__cause__ = exc
    return error


def _state(exc: psycopg.Error) -> str | None:
    """The server's code. For a refused connection the driver passes on only the message."""
    words = str(exc)
    return exc.sqlstate or next((state for said, state in _SAID.items() if said in words), None)


def _said(exc: psycopg.Error) -> str:
    """The server's first line: later ones may quote values."""
    line = exc.diag.message_primary or str(exc).partition("\n")[0]
    return _BEFORE.sub("", line).rstrip(". ") or type(exc).__name__


def _literal(text: str) -> LiteralString:
    """Our own statements, composed of constants."""
    return text  # pyright: ignore[reportReturnType]


_BEFORE = re.compile("^(connection failed|connection is bad): ")
"""What the driver puts before the message of the server or of its library."""

_AWAY = (
    "does not answer, or was lost",
    "Check that the server is up and that host and port are right, then try again.",
)
_ADDRESS, _HOST, _TLS, _REFUSAL = "address", "host", "tls", "refusal"
"""Driver messages without a code, with the matching codes of PostgreSQL."""

_GONE = ("25P03", "57P01", "57P02", "57P03", _HOST)

_SAID = {
    "database system is": "57P03",
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    'role "': "28000",
    "permission denied for database": "42501",
    'database "': "3D000",
    "connection slots are reserved": "53300",
    "too many clients": "53300",
    "Servname not supported": _ADDRESS,
    "failed to resolve host": _HOST,
    "translate host name": _HOST,
    "SSL was required": _TLS,
    "certificate": _TLS,
    "invalid ": _ADDRESS,
    "definition of service": _ADDRESS,
    "GSSAPI": _ADDRESS,
    "channel binding": _ADDRESS,
    "authentication method": _ADDRESS,
    "FATAL:": _REFUSAL,
}
"""In this order: the first match counts."""

_REFUSED = ("refuses this user", "Check the user and the password in AGENT_EVAL_DATABASE_URL.")
_NO_ROOM = (
    "cannot be written: its disk is full or failing",
    "Free some space on the server, then try again.",
)

_MEANING: dict[str, tuple[str, str | None]] = {
    _ADDRESS: (
        "cannot be reached with this address",
        "Correct AGENT_EVAL_DATABASE_URL: postgresql://user:password@host:5432/database. In a user or a password, "
        "write / as %2F, @ as %40, : as %3A, ? as %3F, # as %23 and % as %25.",
    ),
    _HOST: (
        "does not answer, since its host is unknown here",
        "Check the host in AGENT_EVAL_DATABASE_URL, and this machine's network. In a user or a password, write @ as "
        "%40 and / as %2F.",
    ),
    _TLS: (
        "cannot be reached over TLS as the address requires",
        "Give the server a certificate that is trusted here, or change sslmode in AGENT_EVAL_DATABASE_URL.",
    ),
    _REFUSAL: ("refuses the connection", "Correct AGENT_EVAL_DATABASE_URL, or the server's settings."),
    "28000": _REFUSED,
    "28P01": _REFUSED,
    "3D000": (
        "does not exist on this server",
        "Create it with createdb, or name another in AGENT_EVAL_DATABASE_URL.",
    ),
    "42501": (
        "may not be used in this way by this user",
        f"Let its owner run: CREATE SCHEMA {SCHEMA} AUTHORIZATION the_user. Everything that uses the database has to "
        "connect as that user.",
    ),
    "25006": ("is read-only: it may be a standby", "Name the primary server in AGENT_EVAL_DATABASE_URL."),
    "53100": _NO_ROOM,
    "58030": _NO_ROOM,
    "53300": (
        "has no connection left: each of our processes takes four",
        "Raise max_connections, or close some.",
    ),
    "55P03": (
        f"was locked by another process for more than {PATIENCE:g} seconds",
        "Close whatever holds it, then try again.",
    ),
}
