"""Reads rows of the hosted API as our nouns: unknown fields are left out, variants become one shape.

Everything that varies between APIs is handled here, once: rows with or without their case expanded, with or without
`queue_status`, aggregates that settle before their runs are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from pydantic import ValidationError

from mcp_agent_eval.errors import ApiError
from mcp_agent_eval.types import (
    Agent,
    Case,
    Evaluation,
    Json,
    Kind,
    ModelCall,
    Page,
    Persona,
    Run,
    SuiteRun,
    Turn,
)
from mcp_agent_eval.types.base import TRUSTED, Model
from mcp_agent_eval.types.nouns import NOUNS, Noun
from mcp_agent_eval.validation import explain

M = TypeVar("M", bound=Model)

_OVER = ("completed", "failed", "cancelled")


def read(model: type[M], row: object) -> M:
    """A row as a model. Raises ApiError when it does not fit."""
    try:
        return model.model_validate(row, strict=False, extra="ignore", context=TRUSTED)
    except ValidationError as exc:
        raise ApiError(
            f"The hosted API answered with a {model.__name__} that does not fit the contract: {explain(exc)}",
            hint="Check AGENT_EVAL_API_URL, and whether a newer mcp-agent-eval knows this API.",
        ) from None


def noun(kind: Kind, row: Json) -> Noun:
    """An agent, a persona, a tool, a case or a suite."""
    return _case(row) if kind == "case" else read(NOUNS[kind], row)


def page(rows: list[M], answer: Json, *, limit: int, offset: int) -> Page[M]:
    """A page of a list; a list without a total is complete."""
    told = cast(Json, answer.get("pagination") or {})
    return Page(data=rows, total=told.get("total", offset + len(rows)), limit=limit, offset=offset)


def rows_of(answer: Json) -> list[Json]:
    """The rows of a list. Raises ApiError if it is not one."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise ApiError("The hosted API answered with a list that has no `data`.")
    return cast(list[Json], data)


def text(answer: Json, name: str) -> str:
    """A string that an answer requires. Raises ApiError if it is missing."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise ApiError(f"The hosted API answered without {name}.")
    return value


def texts(answer: Json, name: str) -> list[str]:
    """A list of strings, empty if there is none."""
    value = answer.get(name)
    return [str(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def run(row: Json) -> Run:
    """A run, with its case if the row has it."""
    told = {name: value for name, value in row.items() if value is not None}
    case = _case(row["case"]) if isinstance(row.get("case"), dict) else None
    facts: Json = {
        "case_id": row.get("case_id") or (case.id if case else None),
        "agent_id": row.get("agent_id") or (case.agent_id if case else None),
        "persona_id": row.get("persona_id") or (case.persona_id if case else None),
        "queue_status": row.get("queue_status") or _queue_status(row),
        "spoken_turns": row.get("spoken_turns"),
        "cost_usd": row.get("cost_usd", (row.get("total_cost_cents") or 0) / 100),
        "max_turns": row.get("max_turns") or (case.max_turns if case else 20),
    }
    unpriced = {name: None for name in _COSTS if name in row and row[name] is None}
    return read(Run, {**told, **facts, **unpriced, "case": None}).model_copy(update={"case": case})


_COSTS = ("agent_cost_cents", "persona_cost_cents", "judge_cost_cents", "total_cost_cents")


def _queue_status(row: Json) -> str:
    """The `queue_status` of a row without one: over and decided means done."""
    status = row.get("status")
    if status not in _OVER:
        return "pending" if status == "queued" else "claimed"
    return "done" if status != "completed" or row.get("pass_fail") is not None else "claimed"


def turn(row: Json) -> Turn:
    """A turn of a transcript."""
    uses = row.get("tool_calls")
    named = [use for use in cast(list[Json], uses or []) if "name" in use or "tool_name" in use]
    return read(Turn, {**row, "tool_calls": [_tool_use(n, use) for n, use in enumerate(named)] or None})


def _tool_use(position: int, use: Json) -> Json:
    """A tool call or its outcome; the shape of its row is not documented."""
    return {
        **use,
        "id": str(use.get("id") or use.get("tool_call_id") or position),
        "name": use.get("name") or use.get("tool_name"),
        "args": use.get("args") or use.get("arguments"),
    }


def call(row: Json) -> ModelCall:
    """A call to a model."""
    return read(ModelCall, row)


def evaluation(row: Json) -> Evaluation | None:
    """An evaluation; None while it has no results."""
    return read(Evaluation, row) if row.get("results") is not None else None


def suite_run(row: Json) -> SuiteRun:
    """An aggregate in which a run counts as in flight until it is scored, as the contract means it."""
    runs = [run(one) for one in cast(list[Json], row.get("runs") or [])]
    completed, unscored = _settled(row, runs)
    in_flight = int(row.get("in_flight") or 0) + unscored
    counted = completed - unscored + in_flight + int(row.get("cancelled") or 0)
    facts: Json = {
        "completed": completed - unscored,
        "in_flight": in_flight,
        "errored": row.get("errored", max(0, int(row.get("total_runs") or 0) - counted)),
        "ended_at": None if in_flight else row.get("ended_at"),
        "cost_usd": row.get("cost_usd", (row.get("total_cost_cents") or 0) / 100),
    }
    nulls = {name: row.get(name) for name in ("suite_id", "started_at", "score_avg", "pass_rate")}
    return read(SuiteRun, {**row, **nulls, **facts, "runs": []}).model_copy(update={"runs": runs})


def _settled(row: Json, runs: list[Run]) -> tuple[int, int]:
    """How many runs completed, and how many of those wait for their score."""
    completed = int(row.get("completed") or 0)
    if runs:
        return completed, sum(1 for one in runs if one.status == "completed" and not one.is_final)
    return completed, max(0, completed - int(row.get("passed") or 0) - int(row.get("failed") or 0))


def _case(row: Json) -> Case:
    """A case; an agent or persona that we cannot read is left out without invalidating the case."""
    parts = {
        "agent": _part(Agent, row.get("agent")),
        "persona": _part(Persona, row.get("persona")),
    }
    return read(Case, {**row, "agent": None, "persona": None}).model_copy(update=parts)


def _part(model: type[M], row: object) -> M | None:
    if not isinstance(row, Mapping):
        return None
    try:
        return read(model, cast(Json, row))
    except ApiError:
        return None
