"""What a run ran with: the case, the persona and the effective agent, frozen when the run was made."""

from __future__ import annotations

from mcp_agent_eval.engine import judge
from mcp_agent_eval.engine.participants import persona_prompt
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import OVERRIDABLE, Agent, AgentDraft, Case, Json, Persona
from mcp_agent_eval.types.base import Model
from mcp_agent_eval.validation import reject_unknown, validated


class Snapshot(Model):
    """Stored on every run, so that its history stays reproducible when the nouns change.

    `agent` is the record as it was; `effective_agent` is what was run, overrides included.
    """

    case: Case
    persona: Persona
    agent: Agent
    effective_agent: AgentDraft
    persona_prompt_version: str = persona_prompt.VERSION
    judge_prompt_version: str = judge.VERSION


def layered(*layers: Json | None) -> Json:
    """Overrides, weakest first, as one: a field of a later layer replaces the same field whole."""
    merged: Json = {}
    for layer in layers:
        merged |= layer or {}
    return merged


def effective(agent: Agent, overrides: Json) -> AgentDraft:
    """The agent with overrides applied; the record itself is never touched.

    Raises:
        InvalidInput: an override names a field that an agent lacks or that cannot be overridden, or its
            value does not fit.
    """
    reject_unknown(overrides, OVERRIDABLE, "agent_overrides")
    record = agent.model_dump(mode="json", include=set(AgentDraft.model_fields))
    try:
        return validated(AgentDraft, record | overrides)
    except InvalidInput as exc:
        raise InvalidInput(f"agent_overrides: {exc.message}", hint=exc.hint) from None


def take(case: Case, agent: Agent, persona: Persona, overrides: Json) -> Snapshot:
    """The snapshot of a run that is about to be made."""
    return Snapshot(
        case=case.model_copy(update={"agent": None, "persona": None}),
        persona=persona,
        agent=agent,
        effective_agent=effective(agent, overrides),
    )
