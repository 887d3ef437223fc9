"""Arguments that several tools share, described once for a reader who has never seen this product."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mcp_agent_eval.types import Json

AgentRef = Annotated[str, Field(description="Agent: id, name or id prefix")]
PersonaRef = Annotated[str, Field(description="Persona: id, name or id prefix")]
CaseRef = Annotated[str, Field(description="Case: id, name or id prefix")]
SuiteRef = Annotated[str, Field(description="Suite: id, name or id prefix")]
RunRef = Annotated[str, Field(description="Run: id or id prefix")]
AnyRef = Annotated[str, Field(description="Id, name or id prefix")]
Overrides = Annotated[
    Json | None,
    Field(
        description="What if: agent fields to replace for this run only, e.g. "
        '{"system_prompt": "..."}, {"model": "openai:NAME"}. The agent itself is not changed.'
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Field(description="Any unique text: a retry with it returns the first run", max_length=200),
]
WaitSeconds = Annotated[
    float | None,
    Field(description="How long to wait for the end; 0 returns an id at once", ge=0),
]
Draft = dict[str, Any]
AllowRealTools = Annotated[bool, Field(description="The user agreed that webhooks fire")]
