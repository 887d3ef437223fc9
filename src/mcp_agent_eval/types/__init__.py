"""The nouns of the contract: frozen values without I/O."""

from mcp_agent_eval.types.agent import OVERRIDABLE, USUAL_OVERRIDES, Agent, AgentDraft, AgentType
from mcp_agent_eval.types.base import LOCAL_COMPANY, Json, Kind, Limit, Offset, Page, now
from mcp_agent_eval.types.capabilities import Capabilities
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
    STUB,
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
from mcp_agent_eval.types.suite_run import StartedSuiteRun, SuiteRun
from mcp_agent_eval.types.tool import Tool, ToolDraft, ToolRecord

__all__ = [
    "LOCAL_COMPANY",
    "NEEDS",
    "OVERRIDABLE",
    "PRESENT",
    "STUB",
    "USUAL_OVERRIDES",
    "Agent",
    "AgentDraft",
    "AgentType",
    "Assertion",
    "AssertionResult",
    "AssertionType",
    "Capabilities",
    "Case",
    "CaseDraft",
    "Evaluation",
    "Evidence",
    "Json",
    "Kind",
    "Limit",
    "ModelCall",
    "ModelRole",
    "Offset",
    "Page",
    "Persona",
    "PersonaDraft",
    "Run",
    "RunFilter",
    "RunStatus",
    "StartedSuiteRun",
    "Suite",
    "SuiteDraft",
    "SuiteRun",
    "TerminationReason",
    "Tool",
    "ToolDraft",
    "ToolPolicy",
    "ToolRecord",
    "ToolUse",
    "Turn",
    "TurnRole",
    "now",
]
