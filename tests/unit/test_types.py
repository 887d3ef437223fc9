"""The nouns: what they accept, what they refuse, and what they come back as."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.doubts import doubts
from mcp_agent_eval.types import Agent, AgentDraft, Assertion, Capabilities, Case, Persona, Tool
from mcp_agent_eval.types.variables import fill, unfilled
from mcp_agent_eval.validation import reject_unknown, validated

AT = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        ({"kind": "must_say", "phrase": "a.b"}, r"a\.b"),
        ({"kind": "must_say", "phrase": "a.b", "match_type": "regex"}, "a.b"),
        ({"kind": "must_say", "phrase": "Hi", "case_sensitive": True}, "(?-i:Hi)"),
    ],
)
def test_the_vendors_other_spelling_of_an_assertion_is_understood(
    given: dict[str, Any], pattern: str
) -> None:
    assert Assertion.model_validate(given).pattern == pattern


def test_an_assertion_comes_back_as_it_was_given() -> None:
    given = {"type": "must_call_tool", "weight": 2, "tool_name": "t", "args_match": {"a": None}}
    assert Assertion.model_validate(given).model_dump(exclude_none=True) == given


@pytest.mark.parametrize(
    "config",
    [{"payload_config": []}, {"payload_config": {"extraction_parameters": [1, {"no": "name"}]}}],
)
def test_a_tool_record_with_odd_settings_has_no_parameters(config: dict[str, Any]) -> None:
    assert validated(Tool, {"name": "t", "config": config}).parameters["properties"] == {}


def test_a_tool_record_whose_settings_are_no_object_is_refused() -> None:
    with pytest.raises(InvalidInput, match="config: "):
        validated(Tool, {"name": "t", "config": "none"})


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'t' is given twice"):
        validated(AgentDraft, {"name": "a", "system_prompt": "s", "tools": [{"name": "t"}, {"name": "t"}]})


def test_a_refusal_names_every_problem_and_never_the_value() -> None:
    with pytest.raises(InvalidInput) as caught:
        validated(AgentDraft, {"name": " ", "temperature": "SECRET-VALUE", "sytem_prompt": "x"})
    assert "name: " in caught.value.message
    assert "system_prompt: is required" in caught.value.message
    assert "sytem_prompt: there is no such field" in caught.value.message
    assert "SECRET-VALUE" not in caught.value.message


def test_a_long_list_of_problems_is_cut_with_their_number() -> None:
    with pytest.raises(InvalidInput, match="and 4 more"):
        validated(AgentDraft, {"name": "a", "system_prompt": "s"} | {f"x{n}": 1 for n in range(12)})


def test_unknown_keys_are_named_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match=r"thing has no field 'b', 'c'\. Its fields are: a\."):
        reject_unknown({"b": 1, "c": 2}, {"a"}, "thing")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{CurrentDate}} {{ CurrentTime }}", "2026-03-04 15:30"),
        ("{{CurrentDateTime.Asia/Jerusalem}}", "2026-03-04 17:30"),
        ("[{{CurrentDateTime.Nowhere/Else}}]", "[]"),
        ("{{Name}} {{name}}", "Ann "),
        ("{{Nothing}}{{Null}}", ""),
        ("{single} {{not a name}} {{}}", "{single} {{not a name}} {{}}"),
    ],
)
def test_variables_are_filled(text: str, filled: str) -> None:
    assert fill(text, {"Name": "Ann", "Null": None}, AT) == filled


def test_variables_without_a_value_are_named_once() -> None:
    text = "{{A}} {{B}} {{A}} {{CurrentDate}} {{CurrentDateTime.UTC}}"
    assert unfilled(text, {"B": "b"}) == ["A"]


def case_of(**fields: Any) -> Case:
    agent = Agent(id="a", name="A", system_prompt="s", language="he", is_active=False)
    persona = Persona(id="p", name="P", identity_prompt="i")
    draft = {"id": "c", "name": "C", "agent_id": "a", "persona_id": "p", "scenario": "s"} | fields
    return Case.model_validate(draft).model_copy(update={"agent": agent, "persona": persona})


HERE = Capabilities(backend="embedded", address="")


def test_doubts_name_what_was_probably_not_meant() -> None:
    told = " ".join(
        doubts(case_of(success_criteria=[{"type": "must_say", "pattern": "x", "weight": 0}]), HERE)
    )
    assert "All weights are 0" in told
    assert "'he' and the persona 'en'" in told
    assert "not active" in told
    assert doubts(Persona(id="p", name="P", identity_prompt="i"), HERE) == []
