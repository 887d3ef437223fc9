"""The nouns that users create, change and delete: their classes by kind, and which of their fields are fixed."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types.agent import Agent, AgentDraft
from mcp_agent_eval.types.base import Kind
from mcp_agent_eval.types.case import Case, CaseDraft
from mcp_agent_eval.types.persona import Persona, PersonaDraft
from mcp_agent_eval.types.suite import Suite, SuiteDraft
from mcp_agent_eval.types.tool import ToolDraft, ToolRecord
from mcp_agent_eval.validation import reject_unknown

Noun = Agent | Persona | ToolRecord | Case | Suite
Draft = AgentDraft | PersonaDraft | ToolDraft | CaseDraft | SuiteDraft

NOUNS: Mapping[Kind, type[Noun]] = {
    "agent": Agent,
    "persona": Persona,
    "tool": ToolRecord,
    "case": Case,
    "suite": Suite,
}
DRAFTS: Mapping[Kind, type[Draft]] = {
    "agent": AgentDraft,
    "persona": PersonaDraft,
    "tool": ToolDraft,
    "case": CaseDraft,
    "suite": SuiteDraft,
}
CASE_FILTERS = ("agent_id", "persona_id", "suite_id")


def list_filters(kind: Kind, filters: Mapping[str, str | None]) -> dict[str, str]:
    """The filters that are set. Raises InvalidInput for one that lists of this kind do not have."""
    given = {name: value for name, value in filters.items() if value is not None}
    if kind != "case" and (name := next((name for name in CASE_FILTERS if name in given), None)):
        raise InvalidInput(
            f"{name} only filters cases, but this is a list of {kind}s.",
            hint=f'list(kind="case", {name}="{given[name]}")',
        )
    reject_unknown(given, CASE_FILTERS if kind == "case" else (), f"list of {kind}s")
    return given


FIXED: Mapping[Kind, Mapping[str, str]] = {
    "agent": {"type": "An agent keeps its type: create another agent."},
    "persona": {},
    "tool": {},
    "case": {"agent_id": "A case keeps its agent: create another case for another agent."},
    "suite": {},
}
"""The fields that cannot be updated, and what to do instead."""
