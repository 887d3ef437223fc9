"""The agent under test."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast, get_args

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mcp_agent_eval.types.base import Id, Json, Language, Model, ModelName, Name, Part, Stamped
from mcp_agent_eval.types.endpoint import Endpoint
from mcp_agent_eval.types.tool import Tool

WebhookEvent = Literal[
    "call.started",
    "call.answered",
    "call.ended",
    "call.failed",
    "call.no_answer",
    "call.dnc_blocked",
    "transcript.ready",
    "call.analyzed",
]


def _https(address: str) -> str:
    if not address.startswith("https://"):
        raise ValueError("must begin with https://")
    return address


class ExtractionParameter(Part):
    """A value that the hosted platform extracts after a call. Kept, not used by text evals."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9]*$")]
    description: str = ""


AgentType = Literal["prompt", "flow", "endpoint"]
_TYPES: tuple[AgentType, ...] = get_args(AgentType)
_BELONGS: dict[str, AgentType] = {"flow_config": "flow", "endpoint": "endpoint"}
"""Fields that agents of one type need and all others must not have."""


class AgentDraft(Model):
    """An agent as a user describes it. The fields from `voice` on only matter for spoken calls: they are kept so
    that a record from the hosted API survives a round trip."""

    name: Name
    type: AgentType = "prompt"
    system_prompt: Annotated[str, Field(validate_default=True)] = ""
    """The agent's instructions. For a flow, they apply in all of its nodes; for an endpoint, they are not used."""
    flow_config: Json | None = None
    endpoint: Endpoint | None = None
    """Where an agent of type `endpoint` runs and which protocol it speaks. (Ours.)"""
    description: str | None = None
    model: ModelName | None = None
    """Which model plays the agent, as `provider:name`. None: the setting decides. (Ours, not part of the contract.)"""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.5
    """None: nothing is sent, and the model's own default applies."""
    language: Language = "en"
    greeting_message: str | None = None
    agent_speaks_first: bool = True
    tools: list[Tool] = Field(default_factory=list[Tool])
    """Its own tools. When the agent is read, the tools attached through `tool_ids` follow them."""
    tool_ids: list[Id] = Field(default_factory=list[Id])
    """Tool records shared with other agents. (Ours.)"""
    variables: dict[str, str | None] = Field(default_factory=dict)
    """Values for `{{Name}}` in the system prompt and the greeting. (Ours: the contract sets them per call.)"""
    max_call_duration_secs: int = Field(600, ge=0, le=3600)
    is_active: bool = True
    voice: str | None = "Rachel"
    background_sound: Literal["call_center", "open_office", "cafe", "outdoor"] | None = None
    background_sound_volume: float = Field(0.3, ge=0, le=0.6)
    vad_stop_secs: float = Field(0.5, ge=0.05, le=5)
    vad_start_secs: float = Field(0.2, ge=0.05, le=2)
    vad_confidence: float = Field(0.7, ge=0, le=1)
    silence_timeout_secs: int = Field(60, ge=10, le=900)
    max_continuous_speech_secs: int = Field(120, ge=0, le=300)
    lead_memory_enabled: bool = True
    webhook_url: Annotated[str, AfterValidator(_https)] | None = None
    webhook_events: list[WebhookEvent] = Field(default_factory=list[WebhookEvent])
    extraction_parameters: list[ExtractionParameter] = Field(default_factory=list[ExtractionParameter])

    @model_validator(mode="before")
    @classmethod
    def _has_the_type_of_its_fields(cls, value: Any) -> Any:
        """Check the fields against the type. This comes first, or a prompt would be asked for when only the type is
        missing."""
        given = cast(Json, value) if isinstance(value, dict) else {}
        type = given.get("type", "prompt")
        for field, its_type in _BELONGS.items():
            if given.get(field) is not None and type in _TYPES and type != its_type:
                raise ValueError(
                    f'{field}: belongs to agents of type "{its_type}", but this one is of type "{type}": set type '
                    f'to "{its_type}" when you create it'
                )
        return cast(object, value)

    @field_validator("system_prompt")
    @classmethod
    def _is_there(cls, text: str, info: ValidationInfo) -> str:
        if info.data.get("type") != "endpoint" and not text.strip():
            raise ValueError("is required, and must not be blank")
        return text

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> AgentDraft:
        for field, type in _BELONGS.items():
            if self.type == type and getattr(self, field) is None:
                raise ValueError(f"an agent of type {type!r} needs {field}")
        return self

    @model_validator(mode="after")
    def _tool_names_differ(self) -> AgentDraft:
        names = [tool.name for tool in self.tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tools: the name {twice[0]!r} is used twice; each tool needs its own")
        return self


class Agent(AgentDraft, Stamped):
    """An agent as it is stored."""


OVERRIDABLE = frozenset(AgentDraft.model_fields) - {"name", "type", "is_active", "tool_ids"}
"""The fields that `agent_overrides` may replace as a whole."""

USUAL_OVERRIDES = (
    "system_prompt",
    "greeting_message",
    "agent_speaks_first",
    "tools",
    "flow_config",
    "endpoint",
    "model",
    "temperature",
    "variables",
    "language",
)
"""Those that change how an agent talks and acts in text."""
