"""Made-up values: valid, plausible, and the same for the same seed in every process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing.jsonschema import EMPTY_REGISTRY

from mcp_agent_eval.engine.tools.mocks import values
from mcp_agent_eval.engine.tools.mocks.strings import TextRules, strings
from mcp_agent_eval.engine.tools.mocks.values import CannotMock, mock_tool_result, mock_value
from tests.support import shared_path

BOOKING = {
    "type": "object",
    "properties": {
        "success": {"type": "boolean"},
        "status": {"enum": ["failed", "pending", "confirmed"]},
        "confirmationNumber": {"type": "string"},
        "email": {"type": "string", "format": "email"},
        "date": {"type": "string", "format": "date"},
        "price": {"type": "number", "minimum": 0},
        "passengers": {"type": "integer", "minimum": 1, "maximum": 9},
        "error": {"type": ["string", "null"]},
        "is_error": {"type": "boolean"},
        "seats": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,2}[A-F]$"}},
        "ticket": {"$ref": "#/$defs/ticket"},
    },
    "required": ["success", "status", "is_error"],
    "additionalProperties": False,
    "$defs": {
        "ticket": {"type": "object", "properties": {"id": {"type": "string"}, "total": {"type": "number"}}}
    },
}


def is_valid(schema: Any, value: object) -> bool:
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, registry=EMPTY_REGISTRY, format_checker=checker).is_valid(value)


def made(schema: Any, seed: str = "seed") -> Any:
    value = mock_value(schema, seed=seed)
    assert is_valid(schema, value), value
    return value


# --- What is made


def test_a_tool_without_an_output_schema_succeeds() -> None:
    assert mock_tool_result(None, seed="any") == {"success": True}


@pytest.mark.parametrize("schema", [{}, True, {"type": "object"}, {"description": "whatever"}])
def test_a_schema_that_asks_for_nothing_is_met_by_a_success(schema: Any) -> None:
    assert made(schema) == {"success": True}


def test_a_result_looks_like_that_of_a_tool_that_succeeded() -> None:
    booking = made(BOOKING)
    assert (booking["success"], booking["status"], booking["is_error"]) == (True, "confirmed", False)
    assert "error" not in booking
    assert re.fullmatch(r"[A-Z0-9]{5}[0-9]", booking["confirmationNumber"])
    assert 20 <= booking["price"] <= 400
    assert len(booking["seats"]) == 2
    assert set(booking["ticket"]) == {"id", "total"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": {"a": [1]}}, {"a": [1]}),
        ({"type": "string", "default": "given"}, "given"),
        ({"type": "integer", "default": "wrong", "examples": [7, 8]}, 7),
        ({"type": "string", "example": "shown"}, "shown"),
        ({"enum": ["only"]}, "only"),
        ({"type": ["null"]}, None),
        ({"type": "boolean"}, True),
        ({"type": "boolean", "const": False}, False),
        ({"anyOf": [{"type": "null"}, {"const": 3}]}, 3),
        ({"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 4]}]}, 3),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}], "enum": [5, 1]}, 1),
        ({"not": {"type": ["string", "object", "array", "number", "boolean"]}}, None),
        ({"if": {"type": "object"}, "then": False, "else": {"const": "else"}}, "else"),
        ({"items": False, "type": "array"}, []),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "items": False, "type": "array"}, [1, 2]),
        ({"type": "array", "contains": {"const": 9}, "maxItems": 1}, [9]),
        ({"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 2}, "maxContains": 1}, [1, 2]),
        ({"properties": {"a": False, "b": {"const": 1}}, "type": "object"}, {"b": 1}),
        (
            {"type": "object", "patternProperties": {"^ab$": {"const": 1}}, "additionalProperties": False},
            {"ab": 1},
        ),
        ({"type": "number", "minimum": 2.5, "maximum": 2.5}, 2.5),
    ],
)
def test_what_leaves_little_choice(schema: Any, value: object) -> None:
    assert json.dumps(made(schema)) == json.dumps(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "exclusiveMinimum": 4, "maximum": 5},
        {"type": "integer", "minimum": 1.5, "multipleOf": 1.5},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
        {"type": "number", "multipleOf": 0.01, "minimum": 12.345, "maximum": 12.356},
        {"type": "number", "multipleOf": 1000},
        {"type": "number", "maximum": -1000},
        {"allOf": [{"multipleOf": 6}, {"multipleOf": 4}], "type": "integer", "minimum": 13, "maximum": 30},
        {"type": "string", "minLength": 200},
        {"type": "string", "maxLength": 2},
        {"type": "integer", "examples": []},
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 60},
        {"type": "string", "pattern": "^(a+)+$", "minLength": 60},
        {"type": "string", "pattern": "^AB-", "minLength": 60, "maxLength": 70},
        {"type": "string", "pattern": r"^(?=.*\d)(?=.*[A-Z]).{8,}$"},
        {"type": "array", "uniqueItems": True, "minItems": 5, "items": {"enum": [1, 2, 3, 4, 5]}},
        {
            "type": "array",
            "uniqueItems": True,
            "items": {"type": "boolean"},
            "maxItems": 9,
        },
        {
            "type": "array",
            "contains": {"type": "integer", "minimum": 5},
            "minContains": 3,
            "items": {"maximum": 7},
        },
        {
            "type": "array",
            "prefixItems": [{"type": "string"}],
            "unevaluatedItems": {"type": "integer"},
            "minItems": 3,
        },
        {"type": "object", "minProperties": 4},
        {"type": "object", "required": ["a", "b"], "maxProperties": 2, "properties": {"c": {}}},
        {"type": "object", "propertyNames": {"pattern": "^x_[a-z]{3}$"}, "minProperties": 2},
        {"type": "object", "patternProperties": {"^n_": {"type": "number"}}, "required": ["n_1", "other"]},
        {"type": "object", "properties": {"a": {}}, "dependentRequired": {"a": ["b"], "b": ["c"]}},
        {"type": "object", "properties": {"a": {}}, "dependentSchemas": {"a": {"required": ["z"]}}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"a": {"minLength": 20}, "b": {"type": "integer"}}, "required": ["b"]},
            ],
            "unevaluatedProperties": False,
        },
        {
            "oneOf": [
                {"properties": {"ok": {"const": True}, "id": {"type": "string"}}, "required": ["ok", "id"]},
                {
                    "properties": {"ok": {"const": False}, "error": {"type": "string"}},
                    "required": ["ok", "error"],
                },
            ]
        },
        {
            "type": "object",
            "properties": {"kind": {"enum": ["a", "b"]}},
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "a"}}},
            "then": {"required": ["x"]},
            "else": {"required": ["y"]},
        },
    ],
)
@pytest.mark.parametrize("seed", ["one", "two", "three"])
def test_what_takes_some_finding(schema: Any, seed: str) -> None:
    made(schema, seed)


def test_recursion_ends_where_it_may() -> None:
    node = {
        "type": "object",
        "properties": {
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "children": {"items": {"$ref": "#"}},
        },
        "required": ["next"],
    }
    made(node)


def test_a_null_default_does_not_stand_for_a_success() -> None:
    optional = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    assert isinstance(made({"type": "object", "properties": {"city": optional}})["city"], str)


def test_a_value_that_is_changed_by_its_receiver_does_not_change_the_next_one() -> None:
    schema = {"type": "object", "default": {"items": []}}
    made(schema)["items"].append("spoilt")
    assert made(schema) == {"items": []}


FORMATS = [
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "uuid",
    "regex",
    "uri",
    "uri-reference",
    "uri-template",
    "iri",
    "iri-reference",
    "json-pointer",
    "relative-json-pointer",
]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_format_is_kept(format_: str) -> None:
    shapes = {
        "time": r"\d\d:\d\d:00Z",
        "date-time": r"2027-\d\d-\d\dT\d\d:\d\d:00Z",
        "duration": r"P.*\d[A-Z]",
        "uri": r"https://example\.com/\w+",
        "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
    }
    for seed in "abcdefgh":
        assert re.fullmatch(shapes.get(format_, ".+"), made({"type": "string", "format": format_}, seed))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{2}\d{4}$",
        r"^\d{3}-\d{2}-\d{4}$",
        r"^(foo|bar)+?$",
        r"^\S+@\S+$",
        r"^(a)(?:b)?\1(?(1)c|d)$",
        r"^(a)?(?(1)b|c)$",
        r"^(?>x+)y$",
        r"^[^\x00-\x7f]\W\D\s$",
        "^[א-ת]{3}[^a].$",
        r"^\w++!$",
        r"(?i)^abc$",
        r"^(?i:ab)+\.$",
        r"^[xy]-[._]",
    ],
)
def test_a_string_is_drawn_from_a_pattern(pattern: str) -> None:
    for seed in range(5):
        text = next(strings("", TextRules(patterns=(pattern,)), Random(seed)))
        assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", [r"(?!)", r"[^\s\S]", r"^(?!a)a$"])
def test_a_pattern_that_matches_nothing_gives_no_string(pattern: str) -> None:
    assert list(strings("", TextRules(patterns=(pattern,)), Random(1))) == []


def test_a_string_goes_by_the_words_of_its_name() -> None:
    names = ["customer_email", "firstName", "phone_number", "URL", "seatPreference", ""]
    made_up = [next(strings(name, TextRules(), Random(3))) for name in names]
    shapes = [
        r"\w+@example\.com",
        r"[A-Z][a-z]+",
        r"\+1-555-01\d\d",
        "https://.+",
        r"seat preference \d+",
        r"item \d+",
    ]
    assert all(re.fullmatch(shape, text) for shape, text in zip(shapes, made_up, strict=True)), made_up


# --- What cannot be made

NOTHING = {"type": "integer", "minimum": 5, "maximum": 3}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (False, "its top level"),
        ({"type": "string", "not": {}}, "its top level (not, type)"),
        ({"type": "object", "properties": {"a": NOTHING}, "required": ["a"]}, "a (maximum, minimum, type)"),
        ({"type": "array", "minItems": 6, "uniqueItems": True, "items": {"enum": [1, 2]}}, "2 (enum, not)"),
        ({"type": "string", "minLength": 100_000}, "minLength"),
        ({"type": "string", "pattern": "(a{1000}){1000}"}, "pattern"),
        ({"type": "array", "minItems": 1_000_000}, "asks for too much"),
        ({"type": "array", "contains": True, "minContains": 10**12}, "asks for too much"),
        ({"type": "object", "properties": {"t": {"$ref": "#"}}, "required": ["t"]}, "t/t"),
        ({"$ref": "#"}, "asks for too much"),
        ({"$ref": "#/$defs/none"}, "the reference '/$defs/none' leads nowhere"),
        ({"$ref": "https://example.com/remote.json"}, "leads nowhere"),
        ({"$ref": "#/required", "required": ["a"]}, "not a schema"),
        ({"$ref": "#/odd", "odd": {"type": "string", "pattern": "("}}, "'(' is not a regular expression"),
        ({"type": "object", "minProperties": 2, "additionalProperties": False}, "minProperties"),
        ({"type": "number", "minimum": 1e400}, "asks for too much"),
        ({"type": "strong"}, "not a valid JSON Schema"),
        ({"type": "string", "pattern": "^\\p{L}$"}, "not a valid JSON Schema"),
        ({"type": "object", "patternProperties": {"(": {}}}, "not a valid JSON Schema"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_with_the_spot(schema: Any, said: str) -> None:
    with pytest.raises(CannotMock) as caught:
        mock_value(schema, seed="seed")
    assert said in str(caught.value)


@pytest.mark.shared
def test_nine_in_ten_schemas_of_the_standard_suite_get_a_valid_value_and_the_others_are_refused() -> None:
    lines = shared_path("real/jsonschema_2020-12.jsonl").read_text("utf-8").splitlines()
    judged = [json.loads(line) for line in lines]
    satisfiable = [entry["schema"] for entry in judged if any(test["valid"] for test in entry["tests"])]
    met = sum(map(is_met, satisfiable))
    assert (len(judged), len(satisfiable)) == (427, 396)
    assert met >= 0.95 * len(satisfiable)
    for entry in judged:
        is_met(entry["schema"])


def is_met(schema: Any) -> bool:
    try:
        value = mock_value(schema, seed="suite")
    except CannotMock:
        return False
    assert Draft202012Validator(schema, registry=EMPTY_REGISTRY).is_valid(value), (schema, value)
    return True


# --- The same every time


property_schemas = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[A-Z]{3}[0-9]+$"},
        {"type": "integer", "minimum": 3},
        {"type": "number", "multipleOf": 0.5},
        {"type": "boolean"},
        {"enum": ["a", "b", "c"]},
        {"anyOf": [{"type": "string", "minLength": 30}, {"type": "null"}]},
    ]
)
schemas = st.recursive(
    property_schemas,
    lambda inner: (
        st.dictionaries(st.sampled_from(["id", "name", "total", "status", "note"]), inner).map(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": sorted(properties)[:1],
            }
        )
        | inner.map(lambda items: {"type": "array", "items": items, "minItems": 1})
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(schemas, st.text(max_size=8))
def test_the_same_seed_gives_the_same_valid_value(schema: Any, seed: str) -> None:
    first = made(schema, seed)
    assert made(json.loads(json.dumps(schema)), seed) == first


def test_the_order_of_the_keys_of_a_schema_does_not_matter() -> None:
    turned = {key: BOOKING[key] for key in reversed(BOOKING)}
    assert json.dumps(made(turned)) == json.dumps(made(BOOKING))


def test_another_seed_gives_another_value() -> None:
    assert len({json.dumps(made(BOOKING, str(seed))) for seed in range(20)}) == 20


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_fresh_process_gives_the_same_value(hash_seed: str) -> None:
    code = (
        "import json, sys; from mcp_agent_eval.engine.tools.mocks.values import mock_value\n"
        "print(json.dumps(mock_value(json.loads(sys.argv[1]), seed='seed')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(BOOKING)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    assert json.loads(done.stdout) == made(BOOKING)


def test_jsonschema_is_not_loaded_before_it_is_needed() -> None:
    code = "import sys, mcp_agent_eval.engine.tools.mocks.values; print('jsonschema' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a|a)*b$", "const": "a" * 64},
        {"type": "string", "pattern": "^(a+)+$", "const": "a" * 64 + "!"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "(x+x+)+y", "const": "x" * 64},
        {"not": {"patternProperties": {"^(a|aa|a)+$": False}}, "const": {"a" * 64 + "!": 1}},
    ],
)
def test_a_pattern_on_which_re_would_search_for_ever_ends(schema: Any) -> None:
    with pytest.raises(CannotMock):
        mock_value(schema, seed="seed")


def test_searches_that_take_too_long_together_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "TIME_FOR_PATTERNS", -1.0)
    with pytest.raises(CannotMock, match="take too long"):
        mock_value({"type": "string", "pattern": "^a$"}, seed="seed")
