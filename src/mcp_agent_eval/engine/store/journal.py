"""Stores what was said: a run's model calls, as sent over the wire, and its transcript.

A worker stores both in one transaction before acting on them. So another worker can continue the run where it
stopped, without paying for any answer twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from mcp_agent_eval.engine.store import rows
from mcp_agent_eval.engine.store.database import Connection, Row
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.queue import Claim, Totals, keep_totals
from mcp_agent_eval.types import Json, ModelCall, ModelRole, Turn, now


@dataclass(frozen=True, slots=True)
class NewCall:
    """One call to a model, numbered from 0 within its run.

    `request` and `response` are the bodies sent over the wire; `reply` is what the engine needs to continue after
    the worker has died, and is opaque here. No `cost_nano_usd`: the price is unknown.
    """

    seq: int
    role: ModelRole
    model: str
    request: Json
    response: Json
    reply: Json | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int | None = None
    latency_ms: int = 0
    attempts: int = 1
    dropped: Sequence[str] = ()
    error: str | None = None
    created_at: datetime = field(default_factory=now)


class Recorded(NamedTuple):
    """The result of `record`. If the run is no longer `owned`, nothing was written. Pass `requests` to the next
    `record`."""

    owned: bool
    cancel_requested: bool
    requests: Requests


class Reply(NamedTuple):
    """A recorded call with what its worker kept. `cost_nano_usd` is exact."""

    call: ModelCall
    reply: Json | None
    cost_nano_usd: int | None


class Replies(NamedTuple):
    """Where a run stopped: every call so far, in order, and the `requests` to continue recording with."""

    replies: list[Reply]
    requests: Requests


def record(
    connection: Connection,
    claim: Claim,
    *,
    calls: Sequence[NewCall] = (),
    turns: Sequence[Turn] = (),
    totals: Totals,
    requests: Requests,
) -> Recorded:
    """Store calls and turns with the run's totals so far. Existing rows stay as they are.

    `requests` holds the earlier requests: a new `Requests()` for a run that begins, then the one returned by the
    last `record`, or by `replies` for a resumed run.
    """
    owned = keep_totals(connection, claim, totals, len(calls))
    if owned is None:
        return Recorded(False, False, requests)
    for call in calls:
        delta, requests = requests.encode(call.role, call.request)
        connection.run("insert_call", **_call_row(owned["serial"], call, delta))
    connection.many("insert_turn", [rows.turn_row(turn, owned["serial"]) for turn in turns])
    return Recorded(True, bool(owned["cancel_requested"]), requests)


def turns(connection: Connection, run_id: str, from_turn: int = 0, limit: int = 1000) -> list[Turn]:
    """The transcript, starting at a turn number."""
    found = connection.all("list_turns", run_id=run_id, from_turn=from_turn, limit=limit)
    return [rows.turn(row) for row in found]


def calls(connection: Connection, run_id: str, from_seq: int = 0, limit: int = 20) -> list[ModelCall]:
    """The model calls, starting at a number, with complete bodies."""
    requests = Requests()
    for row in connection.all("list_requests", run_id=run_id, before_seq=from_seq):
        _, requests = requests.decode(row["role"], rows.from_json(row["request"]))
    found = connection.all("list_calls", run_id=run_id, from_seq=from_seq, limit=limit)
    return _decoded(found, requests)[0]


def replies(connection: Connection, run_id: str) -> Replies:
    """Every call so far, with the replies that a worker needs to continue the run."""
    found = connection.all("list_calls", run_id=run_id, from_seq=0)
    decoded, requests = _decoded(found, Requests())
    kept = [
        Reply(call, rows.from_json(row["reply"]), row["cost_nano_usd"])
        for call, row in zip(decoded, found, strict=True)
    ]
    return Replies(kept, requests)


def _decoded(found: Iterable[Row], requests: Requests) -> tuple[list[ModelCall], Requests]:
    decoded: list[ModelCall] = []
    for row in found:
        request, requests = requests.decode(row["role"], rows.from_json(row["request"]))
        decoded.append(rows.call(row, request))
    return decoded, requests


def _call_row(run: int, call: NewCall, delta: Json) -> Row:
    return {
        "run": run,
        "seq": call.seq,
        "role": call.role,
        "model": call.model,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost_nano_usd": call.cost_nano_usd,
        "latency_ms": call.latency_ms,
        "attempts": call.attempts,
        "dropped": rows.to_list(call.dropped),
        "error": call.error,
        "created_at": rows.to_time(call.created_at),
        "request": rows.to_json(delta),
        "response": rows.to_json(call.response),
        "reply": rows.to_json(call.reply),
    }
