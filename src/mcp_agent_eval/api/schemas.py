"""The schemas of the published document for requests and responses, derived from the nouns themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from mcp_agent_eval.api import shapes
from mcp_agent_eval.api.bodies import RunOptions
from mcp_agent_eval.api.examples import EXAMPLES, OVERRIDES
from mcp_agent_eval.types import NEEDS, OVERRIDABLE, Json, Kind
from mcp_agent_eval.types.nouns import DRAFTS, FIXED, NOUNS

_PREFIX = "#/components/schemas/"
_BODIES: tuple[type[BaseModel], ...] = (*DRAFTS.values(), RunOptions, shapes.FlowTest)
_ANSWERS: tuple[type[BaseModel], ...] = (
    *NOUNS.values(),
    *shapes.LISTS.values(),
    shapes.RunList,
    shapes.TurnList,
    shapes.CallList,
    shapes.Verdict,
    shapes.FlowWalk,
    shapes.Aggregate,
    shapes.SummaryList,
    shapes.SuiteStart,
    shapes.Deleted,
    shapes.Welcome,
    shapes.Failure,
)


def reference(name: str) -> Json:
    """A reference to the document's schema with this name."""
    return {"$ref": _PREFIX + name}


def draft_name(kind: Kind) -> str:
    """The schema of a request that creates a noun."""
    return DRAFTS[kind].__name__


def changes_name(kind: Kind) -> str:
    """The schema of a request that changes a noun."""
    return f"{NOUNS[kind].__name__}Changes".replace("Record", "")


def components() -> dict[str, Json]:
    """Every schema by name."""
    schemas = _generated()
    for name, schema in schemas.items():
        schema.pop("title", None)
        _mark_uuids(name, schema)
    _finish_answers(schemas)
    _finish_bodies(schemas)
    return schemas


class _AsSent(GenerateJsonSchema):
    """Generate schemas without titles, with all fields of answers required, and with the assertion's own fields
    despite its serializer."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)

    def ser_schema(
        self, schema: core_schema.SerSchema | core_schema.IncExSeqSerSchema | core_schema.IncExDictSerSchema
    ) -> JsonSchemaValue | None:
        return None if schema["type"] == "function-plain" else super().ser_schema(schema)


_Input = tuple[type[BaseModel], JsonSchemaMode]


def _generated() -> dict[str, Json]:
    bodies: list[_Input] = [(model, "validation") for model in _BODIES]
    answers: list[_Input] = [(model, "serialization") for model in _ANSWERS]
    _, document = models_json_schema(
        [*bodies, *answers], ref_template=_PREFIX + "{model}", schema_generator=_AsSent
    )
    return cast(dict[str, Json], document["$defs"])


_UUIDS = {"id", "company_id", "agent_id", "persona_id", "suite_id", "case_id", "run_id", "suite_run_id"}
_UUID_LISTS = {"tool_ids", "run_ids"}
_FOREIGN = ("ToolUse", "Tool-")
"""Schemas whose ids are chosen by a model or the user."""


def _mark_uuids(name: str, schema: Json) -> None:
    if name.startswith(_FOREIGN):
        return
    properties = cast(dict[str, Json], schema.get("properties", {}))
    for field, value in properties.items():
        if field in _UUIDS:
            _text_of(value)["format"] = "uuid"
        elif field in _UUID_LISTS:
            value["items"]["format"] = "uuid"


def _text_of(schema: Json) -> Json:
    """The string schema within one that also allows null."""
    options = cast(list[Json], schema.get("anyOf", [schema]))
    return next(option for option in options if option.get("type") == "string")


def _finish_answers(schemas: dict[str, Json]) -> None:
    """Facts about answers that types alone do not express."""
    schemas["Assertion-Output"]["required"] = ["type", "weight"]
    summary = schemas["Summary"]
    summary["required"].remove("runs")
    del summary["properties"]["runs"]


def _finish_bodies(schemas: dict[str, Json]) -> None:
    """Facts about bodies that types alone do not express."""
    _require_by_type(schemas["Assertion-Input"])
    for kind in DRAFTS:
        _refuse_blank(schemas[draft_name(kind)]["properties"])
    _text_of(schemas["AgentDraft"]["properties"]["webhook_url"])["pattern"] = "^https://"
    schemas["AgentOverrides"] = _overrides(schemas["AgentDraft"])
    for name in ("CaseDraft", "RunOptions"):
        schemas[name]["properties"]["agent_overrides"] = {
            "anyOf": [reference("AgentOverrides"), {"type": "null"}]
        }
    for kind in DRAFTS:
        schemas[changes_name(kind)] = _changes(kind, schemas[draft_name(kind)])
    for kind in ("agent", "tool"):
        schemas[draft_name(kind)]["properties"]["idempotency_key"] = _KEY
    for kind, example in EXAMPLES.items():
        schemas[draft_name(kind)]["examples"] = [example]
    schemas["RunOptions"]["examples"] = [OVERRIDES]


_KEY: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "A request repeated with the same key returns what the first one created.",
}
_VISIBLE = {"name", "scenario", "identity_prompt", "system_prompt"}


def _refuse_blank(properties: dict[str, Json]) -> None:
    for field in _VISIBLE & properties.keys():
        properties[field].setdefault("pattern", r"\S")


def _require_by_type(assertion: Json) -> None:
    assertion["oneOf"] = [
        {
            "properties": {"type": {"const": type_}, needed: {"type": "string", "minLength": 1}},
            "required": ["type", needed],
        }
        for type_, needed in NEEDS.items()
    ]


def _overrides(agent: Json) -> Json:
    return {
        "type": "object",
        "description": "Fields of the agent and their replacements, each as a whole.",
        "properties": _without(agent["properties"], agent["properties"].keys() - OVERRIDABLE),
        "additionalProperties": False,
    }


def _changes(kind: Kind, draft: Json) -> Json:
    """A draft without required fields, with some fixed ones removed. Omitted fields stay unchanged."""
    properties = _without(draft["properties"], FIXED[kind])
    without_defaults = {
        field: _without(schema, ["default"]) for field, schema in cast(dict[str, Json], properties).items()
    }
    return {
        "type": "object",
        "description": "The fields to replace, each as a whole. Omitted fields stay unchanged.",
        "properties": without_defaults,
        "additionalProperties": False,
    }


def _without(values: Json, names: Iterable[str]) -> dict[str, Any]:
    left_out = set(names)
    return {name: value for name, value in values.items() if name not in left_out}
