"""Executes units of work in transactions, in the thread that owns the connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.threads import Outcome
from mcp_agent_eval.errors import StoreError

Units = Sequence[Callable[..., Any]]


class InDoubt(StoreError):
    """The connection was lost during a commit: it is unknown whether the commit happened."""


class Transactional(Connection, Protocol):
    """A connection whose transactions are begun and ended from outside."""

    def begin(self) -> None:
        """Open a transaction."""
        ...

    def commit(self) -> None:
        """Commit the transaction. Raises InDoubt when it may or may not have happened and must not be retried."""
        ...

    def roll_back(self) -> None:
        """Undo the open transaction, unless the database already did."""
        ...

    def recovers(self, exc: BaseException, failures: int) -> bool:
        """Whether to retry, after fixing what a retry needs. `failures` counts from 1."""
        ...

    def explained(self, exc: BaseException) -> BaseException:
        """The driver's own errors as ours; everything else unchanged."""
        ...


def commit_together(connection: Transactional, units: Units) -> list[Outcome]:
    """Execute all units in one transaction. If one fails, retry each in its own transaction, so that only the
    failing one is undone."""
    try:
        return [(value, None) for value in _committed(connection, units)]
    except InDoubt as exc:
        return [(None, exc)] * len(units)
    except BaseException as exc:
        if len(units) == 1:
            return [_again(connection, units, exc, 1)]
    return [outcome for unit in units for outcome in commit_together(connection, [unit])]


def read_each(connection: Transactional, units: Units) -> list[Outcome]:
    """Execute each unit on a consistent state of the database, which does not change while others commit."""
    return [_read(connection, unit) for unit in units]


def _committed(connection: Transactional, units: Units) -> list[Any]:
    try:
        connection.begin()
        values = [unit(connection) for unit in units]
        connection.commit()
        return values
    except BaseException:
        connection.roll_back()
        raise


def _again(connection: Transactional, units: Units, exc: BaseException, failures: int) -> Outcome:
    """The outcome of a unit that failed, retried as long as the connection recovers."""
    while connection.recovers(exc, failures):
        try:
            return _committed(connection, units)[0], None
        except BaseException as newer:
            exc, failures = newer, failures + 1
    return None, connection.explained(exc)


def _read(connection: Transactional, unit: Callable[..., Any], failures: int = 0) -> Outcome:
    try:
        connection.begin()
        return unit(connection), None
    except BaseException as exc:
        connection.roll_back()
        if connection.recovers(exc, failures + 1):
            return _read(connection, unit, failures + 1)
        return None, connection.explained(exc)
    finally:
        connection.roll_back()
