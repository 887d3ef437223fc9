"""The nouns of the contract: frozen values without I/O."""

from mcp_agent_eval.types.agent import OVERRIDABLE, Agent, AgentDraft, Tool
from mcp_agent_eval.types.base import LOCAL_COMPANY, Json, Kind, Page, now
from mcp_agent_eval.types.case import (
    NEEDS,
    PRESENT,
    Assertion,
    AssertionType,
    Case,
    CaseDraft,
    ToolPolicy,
)
from mcp_agent_eval.types.persona import Persona, PersonaDraft
from mcp_agent_eval.types.run import (
    AssertionResult,
    Evaluation,
    Evidence,
    ModelCall,
    ModelRole,
    Run,
    RunFilter,
    RunStatus,
    TerminationReason,
    ToolUse,
    Turn,
    TurnRole,
)
from mcp_agent_eval.types.suite import Suite, SuiteDraft
from mcp_agent_eval.types.suite_run import SuiteRun

__all__ = [
    "LOCAL_COMPANY",
    "NEEDS",
    "OVERRIDABLE",
    "PRESENT",
    "Agent",
    "AgentDraft",
    "Assertion",
    "AssertionResult",
    "AssertionType",
    "Case",
    "CaseDraft",
    "Evaluation",
    "Evidence",
    "Json",
    "Kind",
    "ModelCall",
    "ModelRole",
    "Page",
    "Persona",
    "PersonaDraft",
    "Run",
    "RunFilter",
    "RunStatus",
    "Suite",
    "SuiteDraft",
    "SuiteRun",
    "TerminationReason",
    "Tool",
    "ToolPolicy",
    "ToolUse",
    "Turn",
    "TurnRole",
    "now",
]
