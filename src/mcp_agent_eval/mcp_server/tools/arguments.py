"""Arguments that several tools share, described once for a reader who has never seen this product."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mcp_agent_eval.types import Json

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
