"""What an endpoint's answer contains besides words: tools that it ran itself, and whether it hung up.

It is carried in the `native` field of a message, which the journal keeps, so that a resumed run finds it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_agent_eval.engine.llm.messages import Message, ToolCall
from mcp_agent_eval.engine.llm.wire import as_list, as_object
from mcp_agent_eval.types import Json


@dataclass(frozen=True, slots=True)
class Report:
    """A tool that an endpoint says it has run. `raw` holds the arguments when they are not an object."""

    name: str
    args: Json
    raw: str | None = None
    result: object = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """The extras of a message. `own` is the endpoint's message as it came, if it has to be sent back unchanged."""

    reports: tuple[Report, ...] = ()
    ends: bool = False
    own: Json | None = None


def answer(text: str, calls: tuple[ToolCall, ...] = (), extras: Extras | None = None) -> Message:
    """An endpoint's message with its extras on it."""
    extras = extras or Extras()
    reports = [[each.name, each.args, each.raw, each.result, each.error] for each in extras.reports]
    native = {"reports": reports, "ends": extras.ends, "own": extras.own}
    return Message("assistant", text, calls, native=native)


def extras_of(message: Message) -> Extras:
    """The extras of a message; empty if it has none."""
    kept = as_object(message.native)
    reports = tuple(Report(*each) for each in as_list(kept.get("reports")))
    return Extras(reports, kept.get("ends") is True, kept.get("own"))


def as_reports(calls: Sequence[ToolCall]) -> tuple[Report, ...]:
    """Calls that have already been carried out."""
    return tuple(Report(call.name, call.args, call.raw) for call in calls)
