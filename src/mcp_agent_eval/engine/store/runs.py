"""Creates and reads runs. How they progress is in `queue`, and what was said in them is in `journal`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import QUEUE, Connection, Row
from mcp_agent_eval.engine.store.lookup import lookup
from mcp_agent_eval.types import Json, Page, Run, RunFilter

_PLAIN = (
    "id",
    "status",
    "queue_status",
    "case_id",
    "suite_id",
    "suite_run_id",
    "agent_id",
    "persona_id",
    "agent_model",
    "persona_model",
    "judge_model",
    "duration_ms",
    "termination_reason",
    "end_detail",
    "error",
    "max_turns",
)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be stored, either queued or already over.

    `snapshot` is the case, the persona and the effective agent that it runs with. `needs` is what a worker must
    offer to execute it, `position` its place in a suite run. An `idempotency_key` can be used only once.
    """

    run: Run
    snapshot: Json
    needs: Collection[str] = ()
    position: int = 0
    idempotency_key: str | None = None


def insert(connection: Connection, new: Iterable[NewRun]) -> None:
    """Store runs, all or none. Billing is not stored, since they have not begun."""
    columns = [_columns(one) for one in new]
    connection.many("insert_run", columns)
    connection.many("insert_run_documents", columns)
    connection.tell(QUEUE)


def get(connection: Connection, id: str) -> Run | None:
    """One run, without its case."""
    row = connection.one("get_run", id=id)
    return rows.run(row) if row else None


def by_idempotency_key(connection: Connection, key: str) -> Run | None:
    """The run that was started with this key."""
    row = connection.one("get_run", idempotency_key=key)
    return rows.run(row) if row else None


def snapshot(connection: Connection, id: str) -> Json | None:
    """A run's snapshot, as it was given."""
    row = connection.one("get_snapshot", run_id=id)
    return rows.from_json(row["snapshot"]) if row else None


def page(connection: Connection, wanted: RunFilter) -> Page[Run]:
    """A page of runs, newest first, without their cases."""
    asked = wanted.model_dump()
    found = connection.all("list_runs", **asked)
    total = connection.all("count_runs", **asked)[0]["total"]
    return Page(data=[rows.run(row) for row in found], total=total, limit=wanted.limit, offset=wanted.offset)


def candidates(connection: Connection, reference: str, limit: int = 6) -> list[str]:
    """The ids that a reference may mean: exactly this one, else those that begin with it."""
    return [row["id"] for row in lookup(connection, "runs", reference, limit=limit)]


def _columns(new: NewRun) -> Row:
    run = new.run
    return {name: getattr(run, name) for name in _PLAIN} | {
        "created_at": rows.to_time(run.created_at),
        "started_at": rows.to_time(run.started_at),
        "ended_at": rows.to_time(run.ended_at),
        "needs": rows.to_list(sorted(set(new.needs))),
        "position": new.position,
        "idempotency_key": new.idempotency_key,
        "agent_overrides": rows.to_json(run.agent_overrides),
        "snapshot": rows.to_json(new.snapshot),
    }
