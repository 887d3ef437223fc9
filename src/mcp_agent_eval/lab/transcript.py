"""A transcript in pages that an assistant can take in: as many whole turns as fit, never a part of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_agent_eval.lab.digest import without_blanks
from mcp_agent_eval.lab.flow_line import flow_line
from mcp_agent_eval.types import Json, ModelCall, ToolUse, Turn

T = Turn | ModelCall


@dataclass(frozen=True, slots=True)
class Slice:
    """Items of a page as plain values, and the number of the first one that did not fit."""

    items: list[Json]
    following: int | None


def page(turns: Sequence[Turn], most_characters: int) -> Slice:
    """As many turns as fit into `most_characters` of JSON, at least one."""
    return _fill([(turn.turn_number, turn_line(turn)) for turn in turns], most_characters)


def call_page(calls: Sequence[ModelCall], most_characters: int) -> Slice:
    """As many model calls as fit, at least one."""
    return _fill([(call.seq, call_line(call)) for call in calls], most_characters)


def _fill(numbered: Sequence[tuple[int, Json]], most_characters: int) -> Slice:
    items: list[Json] = []
    used = 0
    for number, item in numbered:
        used += len(json.dumps(item, ensure_ascii=False))
        if items and used > most_characters:
            return Slice(items, number)
        items.append(item)
    return Slice(items, None)


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
    """One model call, with the bodies as they went over the wire."""
    return without_blanks(call.model_dump(mode="json", exclude={"run_id"}))
