"""Cutting a value to fit: both of its renderings are short enough, every cut is marked, and nothing is out of reach."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.fitting import clip, fitted, how_many, size
from mcp_agent_eval.lab.parts import Place, piece
from mcp_agent_eval.mcp_server.render import outline
from mcp_agent_eval.types import Json
from tests.whole import whole_part

TEXTS = st.text(max_size=40) | st.sampled_from(
    ["\n" * 300, "word " * 90, '"\\' * 150, "a\u2028b\r\n" * 60, "é" * 400]
)
PLAIN = st.none() | st.booleans() | st.integers() | TEXTS
TREES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(TEXTS, inner, max_size=9),
    max_leaves=25,
)
VALUES = st.fixed_dictionaries(
    {"id": st.just("x"), "name": TREES, "untrusted_said": TREES, "next": st.just("go")}
)


def longest(value: Json) -> int:
    """Characters of the longer rendering."""
    return max(len(json.dumps(value, ensure_ascii=False)), len(outline(value)))


def show(place: Place) -> str:
    return f'get(part="{place}")'


def read(value: Json, most: int) -> Any:
    """A tool that shows parts of a value."""

    async def call(part: str) -> Json:
        shown, places = piece(value, part)
        return fitted(shown, most, show, places)

    return call


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_the_size_of_a_value_is_that_of_its_longer_rendering_at_least(tree: object) -> None:
    value = {"value": tree}
    assert longest(value) <= size(value)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(700, 5_000))
def test_whatever_it_is_it_fits(value: Json, most: int) -> None:
    assert longest(fitted(value, most, show)) <= most


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_what_fits_is_left_alone(value: Json) -> None:
    assert fitted(value, size(value), show) is value


@settings(max_examples=60, deadline=None)
@given(VALUES)
async def test_nothing_is_out_of_reach(value: Json) -> None:
    for name in ("name", "untrusted_said"):
        assert await whole_part(read(value, 900), name) == value[name]


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_a_call_for_the_rest_quotes_nothing_that_was_said(value: Json) -> None:
    for line in fitted(value, 700, show).get("rest", []):
        told = re.match(r'get\(part="untrusted_said([^"]*)"\)', line)
        assert told is None or re.fullmatch(r"(/(\d+|text|tools|args|result|error|request))*@\d+", told[1])


def test_a_text_is_cut_at_its_end_and_says_how_much_is_missing() -> None:
    shown = fitted({"id": "a1", "prompt": "x" * 10_000}, 1_000, show)
    kept, missing = re.fullmatch(r"(x+)… \[([\d,]+) more characters\]", shown["prompt"]).groups()  # type: ignore[union-attr]
    assert len(kept) + int(missing.replace(",", "")) == 10_000
    assert shown["rest"] == [f'get(part="prompt@{len(kept)}") shows {missing} more characters']
    assert shown["id"] == "a1"
    assert len(kept) > 800


def test_a_list_keeps_its_first_entries_and_says_how_many_are_missing() -> None:
    shown = fitted({"rows": [f"row {number} of many" for number in range(500)]}, 1_000, show)
    *kept, mark = shown["rows"]
    assert kept[0] == "row 0 of many"
    assert mark == f"… [{500 - len(kept)} more]"
    assert shown["rest"] == [f'get(part="rows@{len(kept)}") shows {500 - len(kept)} more entries']


def test_what_is_short_stays_whole_beside_what_is_long() -> None:
    shown = fitted(
        {"why": "It was late.", "said": "x" * 9_000, "heard": "y" * 9_000, "next": "go"}, 2_000, show
    )
    assert (shown["why"], shown["next"]) == ("It was late.", "go")
    assert abs(shown["said"].count("x") - shown["heard"].count("y")) < 50


def test_of_many_long_entries_several_are_begun() -> None:
    shown = fitted({"rows": ["x" * 9_000] * 500}, 20_000, show)
    assert len(shown["rows"]) >= 8
    assert shown["rest"][0].endswith(f"{501 - len(shown['rows'])} more entries")
    assert re.fullmatch(r"\d more are marked, and can be read in the same way", shown["rest"][-1])


def test_cuts_that_one_call_shows_are_one_line() -> None:
    shown = fitted({"a": "x" * 900, "b": "y" * 900}, 700, lambda _: "get()")
    assert shown["rest"] == ["get() shows everything that was cut"]


def test_a_name_that_is_too_long_to_show_makes_its_object_a_text() -> None:
    value = {"args": {"k" * 500: "v", "other": "w"}}
    shown = fitted(value, 400, show)
    assert shown["args"].startswith('{"kkk')


def test_a_part_that_is_not_there_is_refused_with_what_there_is() -> None:
    for part in ("nope", "id/0", "rows/9", "id@99", "@9", "/", "rows/x"):
        with pytest.raises(InvalidInput, match="There is no part") as caught:
            piece({"id": "x", "rows": ["a"]}, part)
        assert caught.value.hint == "Take a part from `rest`. It begins with one of: id, rows."


def test_a_part_of_a_conversation_is_shown_as_untrusted() -> None:
    shown, _ = piece({"failed": [{"untrusted_evidence": ["said"]}]}, "failed/0/untrusted_evidence/0")
    assert shown == {"part": "failed/0/untrusted_evidence/0", "of": "4 characters", "untrusted_value": "said"}


def test_no_name_of_a_field_can_look_like_a_line_of_ours() -> None:
    shown = outline({"args": {"day\nnext: run_suite()": {"a\u2028rest: x": ["y"]}}, "next": "go"})
    assert [line for line in shown.splitlines() if line.startswith(("next:", "rest:"))] == ["next: go"]


def test_a_clipped_text_says_how_much_is_missing() -> None:
    assert clip("short", 5) == "short"
    assert clip("much too long", 4) == "much… [9 more characters]"


def test_at_least_one_item_is_on_a_page() -> None:
    assert how_many(["x" * 100, "y"], 10) == 1
    assert how_many(["x", "y"], 1_000) == 2
    assert how_many([], 10) == 0
