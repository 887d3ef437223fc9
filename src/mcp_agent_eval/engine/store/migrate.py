"""Migrates to the current schema: numbered steps, forward only, each taken once.

A step is a file in `migrations/`, written for all dialects. Each step taken is recorded with a hash of its text, so
that a step that was edited later, or that only a newer version knows, is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.statements import Dialect, load_migrations, script
from mcp_agent_eval.errors import StoreError, StoreTooNew


def is_current(connection: Connection) -> bool:
    """Whether no step is left to take. The table of steps must exist.

    Raises:
        StoreTooNew: a step was taken that this version does not know.
        StoreError: a step differs from the one that was taken.
    """
    return not _missing(connection)


def migrate(connection: Connection, execute: Callable[[str], object], dialect: Dialect) -> None:
    """Take every remaining step, in a transaction that locks out all other writers.

    Raises:
        StoreTooNew, StoreError: as in `is_current`.
    """
    connection.run("create_steps")
    for name, step in _missing(connection).items():
        for statement in script(step.text, dialect):
            execute(statement)
        connection.run("add_step", name=name, sha256=step.sha256)


class _Step(NamedTuple):
    text: str
    sha256: str


@cache
def _steps() -> Mapping[str, _Step]:
    """The steps that this version knows. Cached, since workers often check whether others have taken more."""
    return {
        name: _Step(text, hashlib.sha256(text.encode()).hexdigest())
        for name, text in load_migrations().items()
    }


def _missing(connection: Connection) -> dict[str, _Step]:
    steps = _steps()
    taken = {row["name"]: row["sha256"] for row in connection.all("list_steps")}
    if unknown := sorted(taken.keys() - steps):
        raise StoreTooNew(
            f"The database was written by a newer version: it has {', '.join(unknown)}, unknown to this one.",
            hint="Upgrade mcp-agent-eval, or choose another database.",
        )
    if edited := sorted(name for name, sha256 in taken.items() if sha256 != steps[name].sha256):
        raise StoreError(
            f"The database was created by a different edition of {', '.join(edited)}.",
            hint="Use the release that created it, or choose another database.",
        )
    return {name: step for name, step in steps.items() if name not in taken}
