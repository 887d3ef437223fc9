"""Converts between rows and nouns: the only place that knows how times, money and JSON values are stored.

A time is an integer, microseconds since 1970 in UTC. Money is an integer, nano-dollars. JSON is text without
spaces. A noun was checked when it was written and is not checked again, so that a rule tightened later does not
make old rows unreadable.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from mcp_agent_eval.engine.store.database import Row
from mcp_agent_eval.types import (
    Agent,
    Assertion,
    AssertionResult,
    Case,
    Evaluation,
    Evidence,
    Json,
    ModelCall,
    Run,
    SuiteRun,
    Tool,
    Turn,
)
from mcp_agent_eval.types.agent import ExtractionParameter
from mcp_agent_eval.types.base import Model, Stamped
from mcp_agent_eval.types.endpoint import Endpoint

M = TypeVar("M", bound=Model)
N = TypeVar("N", bound=Stamped)

NANO = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_NOT_IN_BODY = {*Stamped.model_fields, "agent", "persona"}
_PARTS: Mapping[type[Model], Mapping[str, type[Model]]] = {
    Agent: {"tools": Tool, "extraction_parameters": ExtractionParameter},
    Case: {"success_criteria": Assertion},
    Evaluation: {"results": AssertionResult},
    AssertionResult: {"evidence": Evidence},
}
_SINGLE_PARTS: Mapping[type[Model], Mapping[str, type[Model]]] = {
    Agent: {"endpoint": Endpoint},
    AssertionResult: {"assertion": Assertion},
}
# Columns that are stored unchanged.
_RUN_COLUMNS = {*Run.model_fields} - {
    "company_id",
    "mode",
    "case",
    "created_at",
    "started_at",
    "ended_at",
    "cost_usd",
    "unpriced_models",
    "agent_overrides",
    "evaluation",
    "local_evaluation",
}
_SUITE_RUN_COLUMNS = {*SuiteRun.model_fields} - {
    "cost_usd",
    "started_at",
    "ended_at",
    "pass_rate",
    "agent_overrides",
    "runs",
}
_CALL_COLUMNS = {*ModelCall.model_fields} - {"request", "response", "dropped", "cost_usd", "created_at"}
_TURN_DOCUMENTS = ("tool_calls", "flow_event")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(value: object) -> str | None:
    """A JSON value as text; None stays None."""
    return None if value is None else _encode(value)


def to_list(values: Collection[str]) -> str:
    """Strings as a JSON list; usually there are none."""
    return _encode(list(values)) if values else "[]"


def from_json(text: str | None) -> Any:
    """Undo `to_json`."""
    return None if text is None else json.loads(text)


def to_time(moment: datetime | None) -> int | None:
    """A moment as microseconds since 1970."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def from_time(microseconds: int | None) -> datetime | None:
    """Undo `to_time`, in UTC."""
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def from_nano(nano_usd: int | None) -> float | None:
    """Nano-dollars as dollars."""
    return None if nano_usd is None else nano_usd / NANO


def noun_body(noun: Stamped) -> str | None:
    """The user's part of a noun, without what the store adds."""
    return to_json(noun.model_dump(exclude=_NOT_IN_BODY))


def noun(cls: type[N], row: Row) -> N:
    """A row as a noun of that class."""
    stamps = {name: from_time(row[name]) for name in ("created_at", "updated_at", "deleted_at")}
    return _construct(cls, {**from_json(row["body"]), **stamps, "id": row["id"]})


def run(row: Row) -> Run:
    """A run, without its case."""
    columns: Json = {name: row[name] for name in _RUN_COLUMNS} | {
        "created_at": from_time(row["created_at"]),
        "started_at": from_time(row["started_at"]),
        "ended_at": from_time(row["ended_at"]),
        "cost_usd": from_nano(row["cost_nano_usd"]),
        "unpriced_models": from_json(row["unpriced_models"]),
        "agent_overrides": from_json(row["agent_overrides"]),
        "evaluation": _evaluation(from_json(row["evaluation"])),
        "pass_fail": None if row["pass_fail"] is None else bool(row["pass_fail"]),
    }
    return Run.model_validate(columns)


def suite_run(row: Row) -> SuiteRun:
    """An aggregate, without its runs."""
    completed = row["completed"]
    columns: Json = {name: row[name] for name in _SUITE_RUN_COLUMNS} | {
        "cost_usd": from_nano(row["cost_nano_usd"]),
        "started_at": from_time(row["started_at"]),
        "ended_at": from_time(None if row["in_flight"] else row["ended_at"]),
        "pass_rate": row["passed"] / completed if completed else None,
        "agent_overrides": from_json(row["agent_overrides"]),
    }
    return SuiteRun.model_validate(columns)


def turn(row: Row) -> Turn:
    """A row as a turn of a transcript."""
    columns = dict(row) | {name: from_json(row[name]) for name in _TURN_DOCUMENTS}
    return Turn.model_validate(columns | {"created_at": from_time(row["created_at"])})


def turn_row(turn: Turn, run: int) -> Row:
    """The columns of a turn of the run with that serial."""
    values = turn.model_dump()
    documents = {name: to_json(values[name]) for name in _TURN_DOCUMENTS}
    return values | documents | {"run": run, "created_at": to_time(turn.created_at)}


def call(row: Row, request: Json) -> ModelCall:
    """A model call, with the request that its delta stands for."""
    columns: Json = {name: row[name] for name in _CALL_COLUMNS} | {
        "request": request,
        "response": from_json(row["response"]),
        "dropped": from_json(row["dropped"]),
        "cost_usd": from_nano(row["cost_nano_usd"]),
        "created_at": from_time(row["created_at"]),
    }
    return ModelCall.model_validate(columns)


def _evaluation(body: Json | None) -> Evaluation | None:
    return None if body is None else _construct(Evaluation, body)


def _construct(cls: type[M], body: Json) -> M:
    """An unchecked model whose parts are also models."""
    parts: Json = {
        field: [_construct(part, member) for member in body[field]]
        for field, part in _PARTS.get(cls, {}).items()
        if body.get(field)
    }
    for field, part in _SINGLE_PARTS.get(cls, {}).items():
        if body.get(field):
            parts[field] = _construct(part, body[field])
    return cls.model_construct(None, **body | parts)
