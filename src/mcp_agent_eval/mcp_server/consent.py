"""Tools that act for real: the user is asked where the host can ask, and elsewhere the caller has to vouch for it."""

from __future__ import annotations

from typing import Literal

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from mcp_agent_eval.errors import ConsentNeeded
from mcp_agent_eval.lab.acting import acting_in_case, acting_in_suite
from mcp_agent_eval.mcp_server.app import Ctx, connection
from mcp_agent_eval.types import Json


class Consent(BaseModel):
    """What the user answers."""

    start: bool = Field(description="Let these tools act for real?")


Answer = ElicitationResult[Consent]


async def case_consent(
    ctx: Ctx, case_id: str, agent_overrides: Json | None, allow_real_tools: bool
) -> Consent | Elicit[Consent]:
    """Whether a run of the case may start."""
    return await _consent(ctx, "case", case_id, agent_overrides, allow_real_tools)


async def suite_consent(
    ctx: Ctx, suite_id: str, agent_overrides: Json | None, allow_real_tools: bool
) -> Consent | Elicit[Consent]:
    """Whether a run of the suite may start."""
    return await _consent(ctx, "suite", suite_id, agent_overrides, allow_real_tools)


def require(answer: Answer) -> None:
    """Raises ConsentNeeded unless the user agreed, or there was nothing to ask."""
    if not (isinstance(answer, AcceptedElicitation) and answer.data.start):
        raise ConsentNeeded(
            "Not started: tools of this agent would act for real, and nobody has agreed to that.",
            hint="Ask the user, then call again with allow_real_tools=true. tool_policy 'mock' lets nothing act.",
        )


async def _consent(
    ctx: Ctx, kind: Literal["case", "suite"], reference: str, overrides: Json | None, vouched: bool
) -> Consent | Elicit[Consent]:
    """Nobody but the user is believed where the user can be asked."""
    can_ask = bool(ctx.client_capabilities and ctx.client_capabilities.elicitation)
    if vouched and not can_ask:
        return Consent(start=True)
    backend = (await connection(ctx)).backend
    acting_in = acting_in_case if kind == "case" else acting_in_suite
    acting = await acting_in(backend, await backend.find(kind, reference), overrides)
    if acting and can_ask:
        return Elicit(f"This run lets {', '.join(acting)} act for real. Start it?", Consent)
    return Consent(start=not acting)
