"""The agent under test, and the tools it may call."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints, model_validator

from mcp_agent_eval.types.base import Json, JsonSchema, Language, Model, Stamped, Text

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Tool(Model):
    """A tool that stands on an agent. A `system` tool ends the conversation when it is called.

    The contract's tool record is accepted as well (its extraction parameters become `parameters`), and
    so is the shape in which OpenAI-compatible servers take tools.
    """

    name: ToolName
    type: Literal["function", "webhook", "system"] = "function"
    description: str = ""
    parameters: JsonSchema = Field(default_factory=lambda: {"type": "object", "properties": {}})
    output_schema: JsonSchema | None = None
    config: Json = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _accept_other_shapes(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        record = cast(Json, value)
        if isinstance(record.get("function"), dict):
            return record["function"]
        return _from_contract(record)


def _from_contract(record: Json) -> Json:
    """The contract's tool record with its bookkeeping left out and its parameters as JSON Schema."""
    kept = {key: value for key, value in record.items() if key not in _BOOKKEEPING}
    extracted = _extracted(record)
    if extracted and "parameters" not in record:
        kept["parameters"] = {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text, _ in extracted},
            "required": [name for name, _, required in extracted if required],
        }
    return kept


def _extracted(record: Json) -> list[tuple[str, str, bool]]:
    """Name, description and whether it is required, of each extraction parameter."""
    found: Any = record
    for key in ("config", "payload_config", "extraction_parameters"):
        found = cast(Json, found).get(key) if isinstance(found, dict) else None
    entries = cast(list[object], found) if isinstance(found, list) else []
    parameters = [cast(Json, entry) for entry in entries if isinstance(entry, dict)]
    return [
        (str(one["name"]), str(one.get("description", "")), bool(one.get("required", True)))
        for one in parameters
        if "name" in one
    ]


_BOOKKEEPING = {
    "id",
    "company_id",
    "execution_order",
    "is_active",
    "idempotency_key",
    "created_at",
    "updated_at",
}


class ExtractionParameter(Model):
    """A value that the hosted platform extracts after a call. Kept, not used by text evals."""

    name: str
    description: str = ""


class AgentDraft(Model):
    """What a user says of an agent. The fields from `voice` on only matter to spoken calls: they are kept
    so that a record from the hosted API survives a round trip."""

    name: Text
    type: Literal["prompt"] = "prompt"
    system_prompt: Text
    description: str | None = None
    model: str | None = None
    """Which model plays the agent, as `provider:name`. None: the setting decides. (Ours, not the contract's.)"""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    language: Language = "en"
    greeting_message: str | None = None
    agent_speaks_first: bool = True
    tools: list[Tool] = Field(default_factory=list[Tool])
    variables: dict[str, str | None] = Field(default_factory=dict)
    """Values for `{{Name}}` in the system prompt and the greeting. (Ours: the contract sets them per call.)"""
    max_call_duration_secs: int = Field(600, ge=0, le=3600)
    is_active: bool = True
    voice: str | None = None
    background_sound: Literal["call_center", "open_office", "cafe", "outdoor"] | None = None
    background_sound_volume: float = Field(0.3, ge=0, le=0.6)
    vad_stop_secs: float = Field(0.5, ge=0.05, le=5)
    vad_start_secs: float = Field(0.2, ge=0.05, le=2)
    vad_confidence: float = Field(0.7, ge=0, le=1)
    silence_timeout_secs: int = Field(60, ge=10, le=900)
    max_continuous_speech_secs: int = Field(120, ge=0, le=300)
    lead_memory_enabled: bool = True
    webhook_url: str | None = None
    webhook_events: list[str] = Field(default_factory=list)
    extraction_parameters: list[ExtractionParameter] = Field(default_factory=list[ExtractionParameter])

    @model_validator(mode="after")
    def _tool_names_differ(self) -> AgentDraft:
        names = [tool.name for tool in self.tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tools: the name {twice[0]!r} is given twice; each tool needs its own")
        return self


class Agent(AgentDraft, Stamped):
    """An agent as it is stored."""


OVERRIDABLE = frozenset(AgentDraft.model_fields) - {"name", "type", "is_active"}
"""The fields that `agent_overrides` may replace, whole."""
