"""Suite runs: created here, and aggregated from their runs on every read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.engine.store.lookup import lookup
from mcp_agent_eval.types import Json, Run, SuiteRun


@dataclass(frozen=True, slots=True)
class NewSuiteRun:
    """A suite run to be stored. At most `parallelism` of its runs are claimed at once."""

    id: str
    suite_id: str | None
    parallelism: int
    created_at: datetime
    agent_overrides: Json | None = None
    idempotency_key: str | None = None


def insert(connection: Connection, new: NewSuiteRun) -> None:
    """Store a suite run, before its runs."""
    connection.run(
        "insert_suite_run",
        id=new.id,
        suite_id=new.suite_id,
        parallelism=new.parallelism,
        agent_overrides=rows.to_json(new.agent_overrides or {}),
        idempotency_key=new.idempotency_key,
        created_at=rows.to_time(new.created_at),
    )


def get(connection: Connection, id: str) -> SuiteRun | None:
    """The aggregate of one suite run, without its runs."""
    row = connection.one("aggregate_suite_runs", suite_run_id=id)
    return rows.suite_run(row) if row else None


def by_idempotency_key(connection: Connection, key: str) -> SuiteRun | None:
    """The aggregate of the suite run that was started with this key."""
    row = connection.one("aggregate_suite_runs", idempotency_key=key)
    return rows.suite_run(row) if row else None


def of_suite(connection: Connection, suite_id: str) -> list[SuiteRun]:
    """The aggregates of a suite, newest first, without their runs."""
    return [rows.suite_run(row) for row in connection.all("aggregate_suite_runs", suite_id=suite_id)]


def runs_of(connection: Connection, id: str) -> list[Run]:
    """The runs of a suite run, in the order of its cases, without the cases."""
    return [rows.run(row) for row in connection.all("list_runs_of_suite_run", suite_run_id=id)]


def run_ids_of(connection: Connection, id: str) -> list[str]:
    """The ids of its runs, in the order of its cases."""
    return [row["id"] for row in connection.all("list_run_ids_of_suite_run", suite_run_id=id)]


def candidates(connection: Connection, reference: str, limit: int = 6) -> list[str]:
    """The ids that a reference may mean: exactly this one, else those that begin with it."""
    return [row["id"] for row in lookup(connection, "suite_runs", reference, limit=limit)]
