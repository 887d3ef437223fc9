"""Tools that a model may call, kept on one agent or as separate records that agents share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field, StringConstraints, model_validator

from mcp_agent_eval.types.base import Json, JsonSchema, Part, Stamped

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class ToolDraft(Part):
    """A tool as a user describes it. Calling a `system` tool ends the conversation; an inactive tool is not offered
    to the model.

    The contract's record is accepted as well (its extraction parameters become `parameters`), and so is the
    shape in which OpenAI-compatible servers take tools.
    """

    name: ToolName
    type: Literal["function", "webhook", "system"] = "function"
    description: str = ""
    parameters: JsonSchema = Field(default_factory=lambda: {"type": "object", "properties": {}})
    output_schema: JsonSchema | None = None
    config: Json = Field(default_factory=dict)
    is_active: bool = True

    @model_validator(mode="before")
    @classmethod
    def _accept_other_shapes(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        record = cast(Json, value)
        if isinstance(record.get("function"), dict):
            return record["function"]
        return _with_parameters(record)

    @classmethod
    def lacking(cls, given: Json) -> str:
        foreign = given.keys() & {"input_schema", "inputSchema"}
        return ": the schema of a tool's arguments is called 'parameters' here" if foreign else ""


class Tool(ToolDraft):
    """A tool on an agent. One with an `id` is a shared record, attached through `tool_ids`."""

    id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_bookkeeping_out(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in cast(Json, value).items() if key not in _BOOKKEEPING}


class ToolRecord(ToolDraft, Stamped):
    """A tool as it is stored, for any number of agents."""


def _with_parameters(record: Json) -> Json:
    """The contract's record, with its extraction parameters also as JSON Schema."""
    extracted = _extracted(record)
    if not extracted or "parameters" in record:
        return record
    return record | {
        "parameters": {
            "type": "object",
            "properties": {name: {"type": "string", "description": text} for name, text, _ in extracted},
            "required": [name for name, _, required in extracted if required],
        }
    }


def _extracted(record: Json) -> list[tuple[str, str, bool]]:
    """The name, description and required flag of each extraction parameter."""
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


_BOOKKEEPING = {"company_id", "execution_order", "idempotency_key", "created_at", "updated_at", "deleted_at"}
