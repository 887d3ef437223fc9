"""Finds old runs and deletes them permanently. Pending and claimed runs are never touched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import Connection
from mcp_agent_eval.types import RunStatus

_OF_RUNS = ("model_calls", "turns", "run_documents")


class Finished(NamedTuple):
    """A run that is over, and when the last run of its suite run ended, in microseconds since 1970."""

    run_id: str
    suite_run_id: str | None
    ended_at: int


def finished(
    connection: Connection,
    *,
    before: datetime | None = None,
    keep: int | None = None,
    statuses: Sequence[RunStatus] = (),
) -> list[Finished]:
    """The runs that ended before a moment and are not among the newest `keep`, with one of these statuses or any.

    Oldest first, and the runs of a suite run one after the other: all of them, or none.
    """
    found = connection.all(
        "list_finished", before=rows.to_time(before), keep=keep, statuses=list(statuses) or None
    )
    return [Finished(row["id"], row["suite_run_id"], row["ended_at"]) for row in found]


def delete(connection: Connection, batch: Sequence[Finished]) -> None:
    """Delete runs with everything that belongs to them, and their suite runs. Runs that a batch leaves over stand
    alone until a later batch deletes them, so that no suite run is ever incomplete."""
    run_ids = [one.run_id for one in batch]
    suite_run_ids = sorted({one.suite_run_id for one in batch if one.suite_run_id})
    for table in _OF_RUNS:
        connection.run(f"delete_{table}", run_ids=run_ids)
    connection.run("delete_runs", run_ids=run_ids)
    if suite_run_ids:
        connection.run("detach_runs", suite_run_ids=suite_run_ids)
        connection.run("delete_suite_runs", suite_run_ids=suite_run_ids)


def forget_spending(connection: Connection, oldest: date) -> None:
    """Delete the spending records from before that day, and those of deleted suite runs."""
    for table in ("spending", "reservations"):
        connection.run(f"forget_{table}", oldest_day=f"day {oldest:%Y-%m-%d}")
