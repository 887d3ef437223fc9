"""What a run ran with: the case, the persona and the effective agent, frozen when the run was created."""

from __future__ import annotations

from mcp_agent_eval.engine.conversation import flow_prompt, persona_prompt
from mcp_agent_eval.engine.scoring import judge
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types import OVERRIDABLE, USUAL_OVERRIDES, Agent, AgentDraft, Case, Json, Persona
from mcp_agent_eval.types.base import TRUSTED, Model
from mcp_agent_eval.validation import reject_unknown, validated


class Snapshot(Model):
    """Stored with every run, so that its history stays reproducible when the nouns change."""

    case: Case
    persona: Persona
    agent: Agent
    overrides: Json
    persona_prompt_version: str = persona_prompt.VERSION
    judge_prompt_version: str = judge.VERSION
    flow_prompt_version: str = flow_prompt.VERSION

    @classmethod
    def read(cls, stored: Json) -> Snapshot:
        """Read a stored snapshot, which was checked when it was stored."""
        return cls.model_validate(stored, context=TRUSTED)

    def effective_agent(self) -> AgentDraft:
        """The agent with the overrides applied. Raises InvalidInput when they do not fit."""
        return effective(self.agent, self.overrides)


class CaseReader:
    """Reads the expanded cases of many snapshots; an agent or persona shared by several is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Agent | Persona] = {}

    def read(self, stored: Json) -> Case:
        """The case of a snapshot, with its agent and persona."""
        case = Case.model_validate(stored["case"], context=TRUSTED)
        parts = {
            "agent": self._part(Agent, stored["agent"]),
            "persona": self._part(Persona, stored["persona"]),
        }
        return case.model_copy(update=parts)

    def _part(self, cls: type[Agent] | type[Persona], stored: Json) -> Agent | Persona:
        # Shared tools (only these have an id) change without their agent, and a flow that replaces the agent's own
        # brings in others: such agents are never treated as the same.
        if any(tool.get("id") for tool in stored.get("tools", ())):
            return cls.model_validate(stored, context=TRUSTED)
        key = (cls.__name__, stored["id"], stored["updated_at"])
        if key not in self._known:
            self._known[key] = cls.model_validate(stored, context=TRUSTED)
        return self._known[key]


def layered(*layers: Json | None) -> Json:
    """Merge overrides, weakest first: a field in a later layer replaces the same field as a whole."""
    merged: Json = {}
    for layer in layers:
        merged |= layer or {}
    return merged


def effective(agent: Agent, overrides: Json) -> AgentDraft:
    """The agent with overrides applied; the record itself does not change.

    Raises:
        InvalidInput: an override names a field that does not exist or cannot be overridden, or its value does not
        fit.
    """
    return _offered(_overridden(agent, overrides))


def _offered(agent: AgentDraft) -> AgentDraft:
    """The agent without its inactive tools."""
    return agent.model_copy(update={"tools": [tool for tool in agent.tools if tool.is_active]})


def _overridden(agent: Agent, overrides: Json) -> AgentDraft:
    if not overrides:
        return AgentDraft.model_construct(**{name: getattr(agent, name) for name in AgentDraft.model_fields})
    reject_unknown(overrides, OVERRIDABLE, "agent_overrides", shown=USUAL_OVERRIDES)
    record = agent.model_dump(mode="json", include=set(AgentDraft.model_fields))
    try:
        return validated(AgentDraft, record | overrides)
    except InvalidInput as exc:
        raise InvalidInput(f"agent_overrides: {exc.message}", hint=exc.hint) from None
