"""Units of work in transactions, in whichever thread owns the connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.threads import Outcome
from mcp_agent_eval.errors import StoreError

Units = Sequence[Callable[..., Any]]


class InDoubt(StoreError):
    """The connection was lost in the middle of a commit: nobody knows whether it happened."""


class Transactional(Connection, Protocol):
    """A connection whose transactions somebody else begins and ends."""

    def begin(self) -> None:
        """Open a transaction."""
        ...

    def commit(self) -> None:
        """Make it last. Raises InDoubt when it may or may not have happened, and must not be tried again."""
        ...

    def roll_back(self) -> None:
        """Undo the open transaction, unless the database did so by itself."""
        ...

    def recovers(self, exc: BaseException, failures: int) -> bool:
        """Whether another try may go better; what has to be mended for that is mended. `failures` counts from 1."""
        ...

    def explained(self, exc: BaseException) -> BaseException:
        """The driver's own errors as ours; everything else as it is."""
        ...


def commit_together(connection: Transactional, units: Units) -> list[Outcome]:
    """All of the units in one transaction. When one of them fails, each is tried again in a transaction of its
    own, so that it is undone alone."""
    try:
        return [(value, None) for value in _committed(connection, units)]
    except InDoubt as exc:
        return [(None, exc)] * len(units)
    except BaseException as exc:
        if len(units) == 1:
            return [_again(connection, units, exc, 1)]
    return [outcome for unit in units for outcome in commit_together(connection, [unit])]


def read_each(connection: Transactional, units: Units) -> list[Outcome]:
    """Each unit on one state of the database: others may commit, it will not see them yet."""
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
    """The outcome of a unit that failed, tried as often as the connection recovers."""
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
