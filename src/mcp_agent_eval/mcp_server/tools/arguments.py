"""Arguments that several tools share, described once for a reader who has never seen this product."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mcp_agent_eval.types import Json

AgentRef = Annotated[str, Field(description="Agent: id, name or id prefix", min_length=1)]
PersonaRef = Annotated[str, Field(description="Persona: id, name or id prefix", min_length=1)]
CaseRef = Annotated[str, Field(description="Case: id, name or id prefix", min_length=1)]
SuiteRef = Annotated[str, Field(description="Suite: id, name or id prefix", min_length=1)]
RunRef = Annotated[str, Field(description="Run: id or id prefix", min_length=1)]
AnyRef = Annotated[str, Field(description="Id, name or id prefix", min_length=1)]
Overrides = Annotated[
    Json | None,
    Field(
        description="What if: agent fields to replace for this run only, e.g. "
        '{"system_prompt": "..."}, {"model": "openai:NAME"}. The agent itself is not changed.'
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Field(description="Any unique text: a retried call with it returns the first run", max_length=200),
]
WaitSeconds = Annotated[
    float | None,
    Field(description="How long to wait for the end. 0 returns at once with an id to poll", ge=0),
]
Draft = dict[str, Any]
