"""The queue, formed by the runs themselves: pending, claimed, done.

A worker claims runs under a lease that it has to renew; `claims` decides which ones. A run whose lease is not
renewed is reaped, and another worker continues it. Every claim has an epoch, and a worker with an older one can no
longer write.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import QUEUE, Connection, Row
from mcp_agent_eval.types import Evaluation, ModelRole, RunStatus, TerminationReason

LEASE = timedelta(seconds=30)
"""How long a worker keeps a run without renewing its lease."""

Cancelled = Literal["cancelled", "signalled", "finished"]


class Claim(NamedTuple):
    """A worker's hold on a run. `attempt` counts from 1."""

    run_id: str
    worker: str
    epoch: int
    attempt: int


class Held(NamedTuple):
    """A run that a worker still holds when it renews its leases, and whether a cancel was requested."""

    run_id: str
    epoch: int
    cancel_requested: bool


class Reaped(NamedTuple):
    """The runs whose leases had run out, by what happened to them."""

    returned: list[str]
    failed: list[str]
    cancelled: list[str]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one role has used so far. `unpriced`: the cost lacks at least one call, whose price is unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """A run's totals so far, not increments."""

    spoken_turns: int = 0
    agent: Spent = Spent()
    persona: Spent = Spent()
    judge: Spent = Spent()
    unpriced_models: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    status: RunStatus
    termination_reason: TerminationReason
    ended_at: datetime
    duration_ms: int | None = None
    end_detail: str | None = None
    error: str | None = None
    score: float | None = None
    pass_fail: bool | None = None
    evaluation: Evaluation | None = None


def renew(connection: Connection, worker: str, lease_until: datetime, run_ids: Collection[str]) -> list[Held]:
    """Renew the worker's leases on the runs that it still executes. Runs missing from the result were lost."""
    held = connection.all(
        "renew_leases", worker=worker, lease_until=rows.to_time(lease_until), run_ids=list(run_ids)
    )
    return [Held(row["id"], row["epoch"], bool(row["cancel_requested"])) for row in held]


def release(connection: Connection, worker: str, now: datetime) -> list[str]:
    """Give back everything that the worker claimed and did not finish; return the ids that are pending again.
    Requested cancels take effect. It does not count as an attempt."""
    cancelled = connection.all("cancel_leases", worker=worker, now=rows.to_time(now))
    returned = connection.all("return_leases", worker=worker, attempts_back=1)
    _tell(connection, returned, cancelled)
    return _ids(returned)


def give_back(connection: Connection, worker: str, run_ids: Collection[str]) -> None:
    """Return some of the worker's runs to the queue; it does not count as an attempt."""
    returned = connection.all("return_leases", worker=worker, run_ids=list(run_ids), attempts_back=1)
    _tell(connection, returned, [])


def reap(connection: Connection, now: datetime, most_attempts: int, lease: timedelta = LEASE) -> Reaped:
    """Take runs away from workers that stopped renewing. They become pending again, or cancelled if that was
    requested, or failed if they were claimed `most_attempts` times without progress. A lease that ends more than
    twice `lease` from now belongs to a worker that died after its clock was set back."""
    over = {"expired": rows.to_time(now), "too_late": rows.to_time(now + 2 * lease)}
    at = over["expired"]
    cancelled = connection.all("cancel_leases", now=at, **over)
    error = f"The run was given up: {most_attempts} workers in a row died while executing it."
    failed = connection.all("fail_leases", now=at, most_attempts=most_attempts, error=error, **over)
    returned = connection.all("return_leases", attempts_back=0, **over)
    _tell(connection, returned, [*cancelled, *failed])
    return Reaped(_ids(returned), _ids(failed), _ids(cancelled))


def is_anything_pending(connection: Connection) -> bool:
    """Whether any run waits to be claimed."""
    return connection.one("find_pending") is not None


def fail_overdue(connection: Connection, now: datetime, longest: timedelta, reason: str) -> None:
    """End the runs that wait for a model and were started that long ago; `reason` follows what they wait for."""
    before, at = rows.to_time(now - longest), rows.to_time(now)
    _tell(connection, [], connection.all("fail_overdue", now=at, started_before=before, reason=reason))


def request_cancel(connection: Connection, run_id: str, now: datetime) -> Cancelled | None:
    """Cancel a run: at once if it is pending, else its worker is asked to stop. None: no such run."""
    # In this order: its worker may return it to the queue in between, but it cannot be claimed.
    if connection.run("signal_cancel", run_id=run_id):
        return "signalled"
    if ended := connection.all("cancel_pending", run_id=run_id, now=rows.to_time(now)):
        _tell(connection, [], ended)
        return "cancelled"
    return "finished" if connection.one("get_queue_status", run_id=run_id) else None


def stop_suite_run(connection: Connection, suite_run_id: str, reason: str, now: datetime) -> None:
    """End the runs of a suite run that are not claimed yet, and remember why; the first reason stays."""
    at = rows.to_time(now)
    ended = connection.all("stop_pending", suite_run_id=suite_run_id, reason=reason, now=at)
    connection.run("keep_stopped", suite_run_id=suite_run_id, reason=reason)
    _tell(connection, [], ended)


def is_owned(connection: Connection, claim: Claim) -> bool:
    """Whether a claim is still valid."""
    return (
        connection.one("find_owned", run_id=claim.run_id, epoch=claim.epoch, worker=claim.worker) is not None
    )


def keep_totals(connection: Connection, claim: Claim, totals: Totals, new_calls: int = 0) -> Row | None:
    """Store the run's totals so far. Returns None and stores nothing if the claim is no longer valid."""
    return connection.one(
        "keep_totals",
        new_calls=new_calls,
        run_id=claim.run_id,
        epoch=claim.epoch,
        worker=claim.worker,
        spoken_turns=totals.spoken_turns,
        unpriced_models=rows.to_list(sorted(totals.unpriced_models)),
        **_by_role("agent", totals.agent),
        **_by_role("persona", totals.persona),
        **_by_role("judge", totals.judge),
    )


def finish(connection: Connection, claim: Claim, outcome: Outcome, totals: Totals) -> bool:
    """End a run for good. Returns False and stores nothing if the claim is no longer valid."""
    owned = keep_totals(connection, claim, totals)
    if owned is None:
        return False
    columns = _outcome_columns(outcome)
    connection.run("finish_run", run_id=claim.run_id, **columns)
    connection.run("keep_evaluation", run=owned["serial"], evaluation=columns["evaluation"])
    _tell(connection, [], [owned])
    return True


def postpone(connection: Connection, claim: Claim, totals: Totals, waiting_for: str) -> bool:
    """Return a claimed run to the queue, since a model that it needs is away; it does not count as an attempt. A
    requested cancel takes effect. Returns False and stores nothing if the claim is no longer valid."""
    owned = keep_totals(connection, claim, totals)
    if owned is None:
        return False
    if owned["cancel_requested"]:
        at = rows.to_time(connection.now())
        _tell(connection, [], connection.all("cancel_leases", run_id=claim.run_id, now=at))
    else:
        connection.run("postpone_run", run_id=claim.run_id, waiting_for=waiting_for)
    return True


def keep_ending(
    connection: Connection,
    claim: Claim,
    reason: TerminationReason,
    detail: str | None,
    error: str | None,
    totals: Totals,
) -> bool:
    """Store how the conversation ended, for a worker that takes the run over before its verdicts are stored.
    Returns False and stores nothing if the claim is no longer valid."""
    if keep_totals(connection, claim, totals) is None:
        return False
    connection.run(
        "keep_ending", run_id=claim.run_id, termination_reason=reason, end_detail=detail, error=error
    )
    return True


def _tell(connection: Connection, pending: Sequence[Row], ended: Sequence[Row]) -> None:
    """Announce runs that wait for a worker again, and those that are over."""
    names = {name for row in ended for name in (row["id"], row["suite_run_id"]) if name}
    connection.tell(*([QUEUE] if pending else []), *names)


def _ids(found: list[Row]) -> list[str]:
    return [row["id"] for row in found]


def _by_role(role: ModelRole, spent: Spent) -> Row:
    return {
        f"{role}_input_tokens": spent.input_tokens,
        f"{role}_output_tokens": spent.output_tokens,
        f"{role}_cost_nano_usd": spent.cost_nano_usd,
        f"{role}_unpriced": int(spent.unpriced),
    }


def _outcome_columns(outcome: Outcome) -> Row:
    evaluation = outcome.evaluation
    return {
        "status": outcome.status,
        "termination_reason": outcome.termination_reason,
        "end_detail": outcome.end_detail,
        "error": outcome.error,
        "score": outcome.score,
        "pass_fail": None if outcome.pass_fail is None else int(outcome.pass_fail),
        "ended_at": rows.to_time(outcome.ended_at),
        "duration_ms": outcome.duration_ms,
        "evaluation": rows.to_json(evaluation.model_dump() if evaluation else None),
    }
