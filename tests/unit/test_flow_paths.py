"""The part of JSONPath that flows use, and templates: what leads where, and what is written in its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mcp_agent_eval.engine.flows.paths import as_text, is_path, leads_to
from mcp_agent_eval.engine.flows.templates import fill_slots, references

RESULT = {
    "status": "ok",
    "count": 42,
    "ratio": 2.0,
    "open": True,
    "none": None,
    "a": {"b": {"c": "deep"}},
    "list": [{"c": 1}, {"c": "two"}],
    "matrix": [[1, 2], [3, 4]],
    "kebab-case": "yes",
}


@pytest.mark.parametrize(
    ("path", "equals"),
    [
        ("$.status", "ok"),
        ("$.count", "42"),
        ("$.count", 42),
        ("$.count", 42.0),
        ("$.ratio", "2"),
        ("$.open", "true"),
        ("$.open", True),
        ("$.none", "null"),
        ("$.none", None),
        ("$.a.b.c", "deep"),
        ("$.list[1].c", "two"),
        ("$.matrix[1][0]", "3"),
        ("$.kebab-case", "yes"),
        ("$.a.b", '{"c":"deep"}'),
    ],
)
def test_a_path_leads_to_what_it_names(path: str, equals: Any) -> None:
    assert leads_to(path, RESULT, equals)


@pytest.mark.parametrize(
    ("path", "equals"),
    [
        ("$.status", "OK"),
        ("$.open", "True"),
        ("$.open", 1),
        ("$.missing", None),
        ("$.missing", ""),
        ("$.list[2].c", "two"),
        ("$.list.c", "two"),
        ("$.status[0]", "o"),
        ("$.a[0]", "deep"),
        ("$.count.real", "42"),
        ("$..c", "deep"),
        ("$.list[*].c", "two"),
        ("status", "ok"),
    ],
)
def test_whatever_does_not_fit_silently_does_not_match(path: str, equals: Any) -> None:
    assert not leads_to(path, RESULT, equals)


@pytest.mark.parametrize("result", [None, "text", 5, [], {}])
def test_a_result_of_any_shape_can_be_asked(result: Any) -> None:
    assert not leads_to("$.a.b", result, "x")


def test_the_result_itself_can_be_compared() -> None:
    assert leads_to("$", "done", "done")


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.from_regex(r"[a-z]+", fullmatch=True), inner),
    max_leaves=20,
)


def paths_into(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(path, value)]
    for step, item in steps:
        found += paths_into(item, f"{path}.{step}" if isinstance(step, str) else f"{path}[{step}]")
    return found


@given(JSON)
def test_every_place_in_a_value_can_be_reached(value: Any) -> None:
    for path, item in paths_into(value):
        assert is_path(path)
        assert leads_to(path, value, as_text(item))


SCOPES = {
    "book": {"day": "Tuesday", "seats": 2, "vip": False},
    "order-1.b": {"x": "y"},
    "metadata": {"id": "7"},
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("See you {{book.day}}.", "See you Tuesday."),
        ("{{ book.seats }} seats, vip {{book.vip}}", "2 seats, vip false"),
        ("{{order-1.b.x}}", "y"),
        ("{{metadata.id}}", "7"),
        ("[{{book.nothing}}{{nowhere.at_all}}{{metadata.none}}]", "[]"),
        (
            "{{Name}} and {{CurrentDateTime.Europe/Berlin}}",
            "<{{Name}}> and <{{CurrentDateTime.Europe/Berlin}}>",
        ),
        ("{{secret.KEY}}", "<{{secret.KEY}}>"),
        ("{book.day} {{book.day}", "{book.day} {{book.day}"),
        ("{{a. b}}", "{{a. b}}"),
    ],
)
def test_slots_are_filled_and_others_are_handed_on(text: str, filled: str) -> None:
    assert fill_slots(text, SCOPES, lambda slot: f"<{slot}>") == filled


@given(some.text(alphabet="{} sercet.KEY", max_size=20))
def test_nothing_that_a_caller_says_becomes_a_slot(said: str) -> None:
    for template in ("{{a.b}}", "{{{a.b}}}", '{"k":"{{a.b}}"}', "{{a.b}}{{a.b}}"):
        assert "{{" not in fill_slots(template, {"a": {"b": said}})


def test_references_are_found_however_deep() -> None:
    value = {"a": ["{{x.y}}", {"b": "{{p.q.r}} {{Name}}"}], "c": 5}
    assert references(value) == ["x", "p.q"]
