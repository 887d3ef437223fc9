"""Arguments of tool calls against the tool's schema: the standard's verdicts, our words, and an end in any case."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mcp_agent_eval.engine.tools.arguments import problems
from tests.support import shared_path

BOOKING = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        "kind": {"enum": ["checkup", "cleaning", 3]},
        "guests": {"type": "integer", "minimum": 1, "maximum": 9},
        "notes": {"type": ["string", "null"], "maxLength": 20},
        "who": {"type": "object", "properties": {"name": {"minLength": 2}}, "required": ["name", "phone"]},
        "slots": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 1},
        "contact": {"anyOf": [{"required": ["mail"]}, {"required": ["phone"]}]},
    },
    "required": ["day", "kind"],
    "additionalProperties": False,
}
ENDLESS = "^(a|aa)+$"
LONG = "a" * 5_000 + "!"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
GOOD = {"day": "2026-03-01", "kind": "checkup"}


def test_arguments_that_fit_have_no_problems() -> None:
    assert problems(BOOKING, GOOD | {"guests": 2.0, "notes": None, "slots": ["a", "b"]}) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, ['The arguments: needs "day", "kind".']),
        ({"day": "tomorrow", "kind": "checkup"}, [r'day: must match the pattern "^\\d{4}-\\d{2}-\\d{2}$".']),
        (GOOD | {"kind": "brunch"}, ['kind: must be one of "checkup", "cleaning", 3.']),
        (GOOD | {"guests": "two"}, ["guests: must be integer."]),
        (GOOD | {"guests": True}, ["guests: must be integer."]),
        (GOOD | {"guests": 0}, ["guests: must be at least 1."]),
        (GOOD | {"guests": 10}, ["guests: must be at most 9."]),
        (GOOD | {"notes": 4}, ["notes: must be string or null."]),
        (GOOD | {"notes": "x" * 21}, ["notes: is too long: at most 20 characters."]),
        (
            GOOD | {"who": {"name": "x"}},
            ["who.name: is too short: at least 2 characters.", 'who: needs "phone".'],
        ),
        (GOOD | {"slots": ["a", 2, "a", 2]}, ["slots[1]: must be string.", "slots[3]: must be string."]),
        (GOOD | {"slots": ["a", "a"]}, ["slots: must not contain duplicates."]),
        (GOOD | {"slots": []}, ["slots: has too few items: at least 1."]),
        (GOOD | {"contact": {}}, ["contact: matches none of the allowed forms."]),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(arguments: dict[str, Any], told: list[str]) -> None:
    assert set(told) <= set(problems(BOOKING, arguments))


def test_an_argument_that_is_not_known_is_answered_with_those_that_are() -> None:
    (told,) = problems(BOOKING, GOOD | {"colour": "red"})
    assert told == (
        'The arguments: has only the fields "day", "kind", "guests", "notes", "who", "slots", "contact".'
    )


def test_no_value_is_ever_repeated() -> None:
    said = "the-callers-own-words"
    wrong = {key: [said, {said: said}] for key in BOOKING["properties"]} | {"extra": said}
    assert said not in " ".join(problems(BOOKING, wrong))


def test_only_so_many_problems_are_told() -> None:
    told = problems({"items": {"type": "string"}}, list(range(30)))
    assert len(told) == 9
    assert told[-1] == "And 22 more."


def test_a_search_that_would_not_end_is_cut_short() -> None:
    schema = {"additionalProperties": {"pattern": ENDLESS}}
    hostile = {str(number): LONG for number in range(50)}
    assert problems(schema, hostile) == [
        "The tool's parameters cannot be checked: its patterns take too long to search for."
    ]


@pytest.mark.parametrize("dialect", ["https://json-schema.org/draft/2020-12/schema", DRAFT_7])
@pytest.mark.parametrize(
    "rest",
    [
        {"properties": {"a": {"pattern": ENDLESS}}},
        {"patternProperties": {ENDLESS: True}},
        {"patternProperties": {ENDLESS: True}, "additionalProperties": False},
        {"allOf": [{"patternProperties": {ENDLESS: True}}], "unevaluatedProperties": False},
        {"propertyNames": {"pattern": ENDLESS}},
    ],
)
def test_no_keyword_and_no_dialect_leads_around_the_limit(
    dialect: str, rest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = re.search

    def guarded(pattern: Any, *arguments: Any) -> Any:
        assert ENDLESS not in pattern, "this search has no limit"
        return search(pattern, *arguments)

    monkeypatch.setattr(re, "search", guarded)
    schema = {
        "$schema": dialect,
        "$defs": {"inner": {"$schema": dialect, "$id": "urn:inner"} | rest},
        "allOf": [{"$ref": "urn:inner"}],
    }
    (told,) = problems(schema, {"a": LONG, LONG: 1})
    assert "take too long" in told


def test_a_pattern_heeds_case_unless_it_says_otherwise() -> None:
    assert problems({"pattern": "^abc$"}, "ABC")
    assert not problems({"pattern": "(?i)^abc$"}, "ABC")
    assert problems({"pattern": "(?s)^a.c$"}, "A\nC")
    assert not problems({"pattern": "(?s)^a.c$"}, "a\nc")


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.com/schema.json",
        "http://127.0.0.1:9/x",
        "#/$defs/none",
        "file:///etc/passwd",
        "other",
    ],
)
def test_a_reference_out_of_the_schema_is_followed_nowhere(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_: pytest.fail("something was fetched"))
    (told,) = problems({"properties": {"a": {"$ref": reference}}}, {"a": 1})
    assert told == "The tool's parameters cannot be checked: a reference leads nowhere within the schema."


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}])
def test_a_schema_that_is_itself_without_an_end_cannot_be_checked(schema: dict[str, Any]) -> None:
    (told,) = problems(schema, {})
    assert "endlessly" in told


@pytest.mark.parametrize(
    "schema", [{"type": "strin"}, {"minimum": "1"}, {"pattern": "("}, {"properties": []}, {"$ref": 5}]
)
def test_what_is_no_schema_cannot_be_checked(schema: dict[str, Any]) -> None:
    (told,) = problems(schema, {"a": 1})
    assert "cannot be checked" in told


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, {"a": -float("inf")}]])
def test_numbers_that_json_lacks_are_a_problem(value: object) -> None:
    assert problems({}, {"a": value}) == [
        "The arguments are nested too deeply, or contain a number that JSON cannot express."
    ]


def test_what_nests_without_an_end_is_a_problem() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert len(problems({}, deep)) == 1


def test_the_standards_own_suite_is_agreed_with() -> None:
    """All of its required part, but for \\p{...}, which Python's patterns lack."""
    checked = 0
    for line in shared_path("real/jsonschema_2020-12.jsonl").read_text().splitlines():
        group = json.loads(line)
        if group["file"].startswith("optional/") or "\\p{" in json.dumps(group["schema"]).replace(
            "\\\\", "\\"
        ):
            continue
        for test in group["tests"]:
            verdict = not problems(group["schema"], test["data"])
            assert verdict == test["valid"], (group["file"], group["description"], test["description"])
            checked += 1
    assert checked > 1_100
