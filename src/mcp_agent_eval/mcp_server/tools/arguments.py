"""Arguments that several tools share, described for a reader who has never seen this product."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import Json, Kind

T = TypeVar("T")
ROWS = 20
"""Rows of a list by default."""


def unless(value: T, default: T) -> T | None:
    """An argument for guidance: None if it is the default."""
    return None if value == default else value


def _no_run(kind: object) -> object:
    if kind in ("run", "suite_run"):
        raise InvalidInput(
            f"{kind!r} is not a kind of record here: runs have their own tools.",
            hint="Call list_runs, get_run, get_aggregate or cancel_run.",
        )
    return kind


NounKind = Annotated[Kind, BeforeValidator(_no_run)]
FromTurn = Annotated[int, Field(ge=0, le=1_000_000_000, description="First turn, or first model call")]

Ref = Annotated[str, Field(description="Id or name")]
RunRef = Annotated[str, Field(description="Id or id prefix")]
Overrides = Annotated[
    Json | None,
    Field(
        description="What if: agent fields replaced in this run only, e.g. "
        '{"system_prompt": "...", "model": "openai:NAME"}'
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Field(description="A retry with it returns the first run", max_length=200),
]
WaitSeconds = Annotated[
    float | None,
    Field(description="0 returns at once", ge=0),
]
Detail = Literal["concise", "full"]
Part = Annotated[str | None, Field(description="As named in rest")]
Draft = dict[str, Any]
AllowRealTools = Annotated[bool, Field(description="The user agreed that webhooks fire")]
