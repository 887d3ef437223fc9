"""A case: one persona, one agent, one scenario, and the assertions to check afterwards."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_serializer, model_validator

from mcp_agent_eval.types.agent import Agent
from mcp_agent_eval.types.base import Id, Json, Model, Name, Part, Stamped, Text, from_text
from mcp_agent_eval.types.persona import Persona

AssertionType = Literal["must_say", "must_not_say", "must_call_tool", "must_reach_node", "custom_llm_judge"]
ToolPolicy = Literal["mock", "real", "allowlist"]

PRESENT = "$present"
"""In `args_match`: the key is present with any value except null."""

NEEDS: dict[AssertionType, str] = {
    "must_say": "pattern",
    "must_not_say": "pattern",
    "must_call_tool": "tool_name",
    "must_reach_node": "node_id",
    "custom_llm_judge": "rubric",
}
"""The one field that each type of assertion requires."""


class Assertion(Part):
    """One entry of `success_criteria`. Its type decides which other fields matter."""

    type: AssertionType
    weight: Annotated[float, Field(ge=0, le=1_000_000)] = 1
    description: str | None = None
    pattern: str | None = None
    tool_name: str | None = None
    args_match: Annotated[Json | None, BeforeValidator(from_text)] = None
    node_id: str | None = None
    rubric: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_phrases(cls, value: Any) -> Any:
        given = from_text(value)
        if isinstance(given, dict) and given.keys() & {"kind", "phrase"}:
            return _from_phrase(cast(Json, given))
        return cast(object, given)

    @classmethod
    def lacking(cls, given: Json) -> str:
        needed = next((field for type, field in NEEDS.items() if type == given.get("type")), None)
        return f", and {given['type']} needs {needed!r}" if needed and not given.get(needed) else ""

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> Assertion:
        needed = NEEDS[self.type]
        if not getattr(self, needed):
            raise ValueError(f"{self.type} needs {needed!r}")
        return self

    @model_serializer
    def _as_it_was_given(self) -> Json:
        return {"type": self.type, "weight": self.weight} | {
            field: getattr(self, field) for field in type(self).model_fields if field in self.model_fields_set
        }


def _from_phrase(value: Json) -> Json:
    """Translate the vendor's other spelling (`kind`, `phrase`, `match_type`, `case_sensitive`) into ours."""
    rest = {k: v for k, v in value.items() if k not in {"kind", "phrase", "match_type", "case_sensitive"}}
    if "phrase" in value:
        if value.get("pattern"):
            raise ValueError("give phrase or pattern, not both: they mean the same")
        phrase = str(value["phrase"])
        pattern = phrase if value.get("match_type") == "regex" else re.escape(phrase)
        rest["pattern"] = f"(?-i:{pattern})" if value.get("case_sensitive") else pattern
    return rest | {"type": value["kind"]} if "kind" in value else rest


def _nothing_is_empty(value: Any) -> Any:
    return {} if value is None else value


Overrides = Annotated[Json, BeforeValidator(_nothing_is_empty)]
"""Fields of the agent and their replacements, each as a whole. Null means the same as an empty object."""


def _is_mock(mock: Json) -> Json:
    told = list(mock)
    if told == ["result"] or (told == ["error"] and isinstance(mock["error"], str) and mock["error"]):
        return mock
    if told == ["results"] and isinstance(mock["results"], list) and mock["results"]:
        return mock
    raise ValueError('must be {"result": value}, {"results": [value, ...]} or {"error": "text"}')


ToolMock = Annotated[Json, AfterValidator(_is_mock)]
"""What a tool returns when it does not act: the same result every time, a sequence of results whose last one
repeats, or an error."""


class CaseDraft(Model):
    """A case as a user describes it. `max_turns` counts spoken turns of both sides, including the greeting."""

    name: Name
    agent_id: Id
    persona_id: Id
    scenario: Text
    description: str | None = None
    suite_id: Id | None = None
    success_criteria: Annotated[list[Assertion], BeforeValidator(from_text)] = Field(
        default_factory=list[Assertion]
    )
    max_turns: int = Field(20, ge=1, le=100)
    pass_threshold: float = Field(80, ge=0, le=100)
    tool_policy: ToolPolicy = "mock"
    tool_allowlist: list[str] = Field(default_factory=list)
    tool_mocks: dict[str, ToolMock] = Field(default_factory=dict[str, ToolMock])
    """Mocks by tool name. (Ours: without one, results are generated from the tool's output_schema.)"""
    agent_overrides: Overrides = Field(default_factory=dict[str, Any])


class Case(CaseDraft, Stamped):
    """A case as it is stored, with its agent and persona expanded on request."""

    agent: Agent | None = None
    persona: Persona | None = None
