"""Splits a transcript into pages for an assistant: as many whole turns as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.lab.digest import without_blanks
from mcp_agent_eval.lab.fitting import how_many
from mcp_agent_eval.lab.flow_line import flow_line
from mcp_agent_eval.types import Json, ModelCall, ToolUse, Turn

MOST_TURNS = 500
"""Turns to read for one page."""
MOST_CALLS = 20
"""Model calls to read for one page."""
_EVERY = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """A turn or a model call: its number and what is shown of it."""

    number: int
    line: Json


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, and the number from which to continue, if there may be more."""

    rows: Sequence[Row]
    following: int | None


def turn_rows(turns: Sequence[Turn]) -> list[Row]:
    """Turns as rows."""
    return [Row(turn.turn_number, turn_line(turn)) for turn in turns]


def call_rows(calls: Sequence[ModelCall]) -> list[Row]:
    """Model calls as rows."""
    return [Row(call.seq, call_line(call)) for call in calls]


def page(rows: Sequence[Row], looked_at: int, most_characters: int) -> Page:
    """As many whole rows as fit into that many characters, at least one. `looked_at` is the most rows that were
    read: after that many, others may follow."""
    kept = how_many([row.line for row in rows], most_characters)
    if kept < len(rows):
        return Page(rows[:kept], rows[kept].number)
    return Page(rows, rows[-1].number + 1 if len(rows) == looked_at else None)


async def last_turn(backend: Backend, run_id: str) -> int | None:
    """The number of a run's last turn so far; None if there is none."""
    turns = await backend.turns(run_id, limit=_EVERY)
    return turns[-1].turn_number if turns else None


def turn_line(turn: Turn) -> Json:
    """One turn: who, what was said, which tools were called or what they returned."""
    return without_blanks(
        {
            "turn": turn.turn_number,
            "role": turn.role,
            "text": None if turn.role == "tool_result" else turn.text,
            "tools": [_use(use) for use in turn.tool_calls or []],
            "flow": flow_line(turn.flow_event) if turn.flow_event else None,
        }
    )


def _use(use: ToolUse) -> Json:
    if use.args is not None:
        return without_blanks({"calls": use.name, "args": use.args, "not_json": use.raw_args})
    outcome: Json = {"error": use.error} if use.error else {"result": use.result}
    fired = {"request": use.request, "response": use.response, "ms": use.duration_ms} if use.request else {}
    return {"tool": use.name} | outcome | ({"mocked": True} if use.mocked else without_blanks(fired))


def call_line(call: ModelCall) -> Json:
    """One model call, with the bodies as sent over the wire."""
    return without_blanks(call.model_dump(mode="json", exclude={"run_id"}))
