"""The nouns: what they accept, what they refuse, and what they come back as."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.doubts import doubts
from mcp_agent_eval.types import Agent, AgentDraft, Assertion, Capabilities, Case, CaseDraft, Persona, Tool
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


def test_a_phrase_is_understood_under_either_name_of_the_type_and_not_beside_a_pattern() -> None:
    assert Assertion.model_validate({"type": "must_say", "phrase": "a.b"}).pattern == r"a\.b"
    with pytest.raises(InvalidInput, match="Give phrase or pattern, not both"):
        validated(Assertion, {"kind": "must_say", "phrase": "a", "pattern": "b"})


def refusal(model: type[BaseModel], given: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        validated(model, given)
    return caught.value.message


CASE = {"name": "C", "agent_id": "a", "persona_id": "p", "scenario": "s"}
AGENT = {"name": "A", "system_prompt": "s"}
ASSERTED = "The fields are: type, weight, description, pattern, tool_name, args_match, node_id, rubric."


@pytest.mark.parametrize(
    ("assertion", "says"),
    [
        (
            {"type": "must_say", "text": "a"},
            f"there is no field 'text', and must_say needs 'pattern'. {ASSERTED}",
        ),
        (
            {"type": "must_call_tool", "tool_name": "t", "args": {}},
            f"there is no field 'args'. {ASSERTED}",
        ),
        ("must say hello", "must be an object, not text."),
        (["x"], "must be an object, not a list."),
        ({"type": [], "text": "a"}, f"there is no field 'text'. {ASSERTED}"),
        ({"type": "must_say"}, "must_say needs 'pattern'."),
    ],
)
def test_what_is_wrong_with_an_assertion_is_told_with_what_would_be_right(
    assertion: object, says: str
) -> None:
    assert refusal(CaseDraft, CASE | {"success_criteria": [assertion]}) == f"success_criteria[0]: {says}"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_turns": "4"}, "max_turns: must be a whole number, not text."),
        ({"max_turns": True}, "max_turns: must be a whole number, not a boolean."),
        ({"max_turns": 0}, "max_turns: must be at least 1."),
        ({"pass_threshold": 100.5}, "pass_threshold: must be at most 100."),
        ({"pass_threshold": None}, "pass_threshold: must be a number, not null."),
        ({"tool_allowlist": "t"}, "tool_allowlist: must be a list, not text."),
        ({"tool_mocks": '{"t": {}}'}, "tool_mocks: must be an object, not text containing JSON."),
        ({"name": 4}, "name: must be text, not a number."),
        ({"tool_policy": "none"}, "tool_policy: must be 'mock', 'real' or 'allowlist'."),
    ],
)
def test_a_wrong_value_is_told_what_it_must_be(fields: dict[str, Any], says: str) -> None:
    assert refusal(CaseDraft, CASE | fields) == says


def test_what_is_wrong_with_a_value_as_a_whole_is_a_sentence() -> None:
    assert refusal(AgentDraft, AGENT | {"type": "flow"}) == "An agent of type 'flow' needs flow_config."
    assert refusal(AgentDraft, []) == "The value must be an object, not a list."


def test_criteria_as_text_are_read_where_only_a_list_or_an_object_can_be_meant() -> None:
    one = {"type": "must_call_tool", "tool_name": "t", "args_match": {"day": 1}}
    as_text = json.dumps(one | {"args_match": json.dumps(one["args_match"])})
    for given in ([one], [as_text], json.dumps([one]), f"[{as_text}]"):
        read = validated(CaseDraft, CASE | {"success_criteria": given}).success_criteria
        assert [assertion.model_dump() for assertion in read] == [one | {"weight": 1}]
    told = refusal(CaseDraft, CASE | {"success_criteria": '[{"type"'})
    assert told == "success_criteria: must be a list, not text containing JSON."


def test_a_tool_in_the_shape_of_another_protocol_is_told_ours() -> None:
    told = refusal(AgentDraft, AGENT | {"tools": [{"name": "t", "input_schema": {}}]})
    assert told.startswith(
        "tools[0]: there is no field 'input_schema': the schema of a tool's arguments is called 'parameters' here. "
        "The fields are: name, type,"
    )


@pytest.mark.parametrize(("field", "type"), [("endpoint", "endpoint"), ("flow_config", "flow")])
def test_a_field_of_another_type_of_agent_names_the_type_that_is_missing(field: str, type: str) -> None:
    told = refusal(AgentDraft, {"name": "A", field: {}})
    assert told == (
        f'{field}: belongs to agents of type "{type}", but this one is of type "prompt": '
        f'set type to "{type}" when you create it.'
    )


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
    with pytest.raises(InvalidInput, match="'t' is used twice"):
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


SAYS = {"type": "must_say", "pattern": "hello"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"pass_threshold": 0.8},
            "pass_threshold is 0.8 of 100, so nearly every run passes. Did you mean 80?",
        ),
        ({"pass_threshold": 1}, "Did you mean 100?"),
        ({"tool_policy": "allowlist"}, "tool_allowlist is empty, so no tool acts"),
        ({"tool_allowlist": ["t"]}, 'tool_policy is "mock", so no tool acts'),
        ({"tool_allowlist": ["t"], "tool_policy": "real"}, 'tool_policy is "real", so every tool acts'),
        (
            {"success_criteria": [SAYS, SAYS | {"pattern": "/hello/i"}]},
            "success_criteria[1]: the pattern is written",
        ),
        (
            {"success_criteria": [SAYS | {"tool_name": "t"}]},
            "success_criteria[0]: must_say ignores tool_name.",
        ),
    ],
)
def test_each_thing_that_was_probably_not_meant_is_told_once(fields: dict[str, Any], says: str) -> None:
    usual = {"success_criteria": [SAYS], "pass_threshold": 0}
    expected = doubts(case_of(**usual), HERE)
    [told] = [doubt for doubt in doubts(case_of(**usual | fields), HERE) if doubt not in expected]
    assert says in told
