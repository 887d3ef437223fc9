"""What is written reads back to the same values to the last character, by ours and by other people's readers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_agent_eval.lab.packs.entries import as_draft, as_entry
from mcp_agent_eval.lab.packs.export import as_text
from mcp_agent_eval.lab.packs.files import Source, read_pack
from mcp_agent_eval.lab.packs.flow_tools import with_flow_tools
from mcp_agent_eval.lab.packs.json_text import read_json, write_json
from mcp_agent_eval.lab.packs.planning import same
from mcp_agent_eval.lab.packs.yaml_reading import read_yaml
from mcp_agent_eval.lab.packs.yaml_writing import write_yaml
from mcp_agent_eval.types import Agent, AgentDraft, Assertion, CaseDraft, Json, Kind, PersonaDraft, Tool
from tests.support import shared_path

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ODD = " \t\n\r\0\x85\u2028\u2029\ufeff\x7f\x9f\ud800\udfff\U0001f600\U0010ffff\ufffe\uffff\xa0"
_SIGNS = "#:-?[]{},&*!|>'\"%@`<=~\\/ab0."
_LOOKALIKES = """
    yes No on off null ~ true 1e5 1.5e3 0x1F 0o17 017 0b1 1_000 12:30 1:2:3 2026-11-21 .5 5. +5 .inf .nan
    = << - -- --- ... ? : !x &a *a % @ ` 0 -0 1. 1e 9
"""
_PIECES = [*"\n\t ", "words and words, ", "\n\n", " \n", "# x", "- ", "' ", ": ", "{{Name}} "]

texts = (
    st.text(st.one_of(st.sampled_from([*_ODD, *_SIGNS]), st.characters()))
    | st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)
    | st.sampled_from(_LOOKALIKES.split())
).filter(lambda text: not _PAIR.search(text))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def values(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON values whose fields are called so."""
    return st.recursive(
        texts | numbers | st.booleans() | st.none(),
        lambda parts: st.lists(parts, max_size=4) | st.dictionaries(names, parts, max_size=4),
        max_leaves=12,
    )


mappings = st.dictionaries(texts, values(texts), max_size=3)
# No store takes half a character in the name of a field.
whole_texts = texts.map(lambda text: re.sub("[\ud800-\udfff]", "", text))
traits = st.dictionaries(whole_texts, values(whole_texts), max_size=3)


def exactly(value: object) -> str:
    """A value as text in which nothing is equal but what is the same."""
    return json.dumps(value)


@settings(max_examples=200, deadline=None)
@example({"a": ["0\n\n"], "b": "\x85", "\t0\n": None, "c": "  x\n y \n\tz"})
@given(mappings)
def test_whatever_is_written_is_read_back_exactly(value: Json) -> None:
    for text, read in ((write_yaml(value), read_yaml), (write_json(value), read_json)):
        located, faults = read(text)
        assert faults == []
        assert exactly(located.value) == exactly(value)
        assert text.encode().decode() == text


@settings(max_examples=100, deadline=None)
@given(mappings)
def test_other_readers_of_yaml_1_1_agree(value: Json) -> None:
    text = write_yaml(value)
    assert exactly(yaml.safe_load(text)) == exactly(value)


def test_every_naughty_string_survives_as_a_text_and_as_a_name() -> None:
    naughty: list[str] = json.loads(shared_path("real/blns.json").read_text(encoding="utf-8"))
    value = {"list": naughty, "names": {text: text * 3 for text in naughty}}
    for text, read in ((write_yaml(value), read_yaml), (write_json(value), read_json)):
        assert exactly(read(text)[0].value) == exactly(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Lines,\n\n  indented, \nwith a tab\there.\n", "a: |\n  Lines,\n\n    indented, \n  with a tab\there.\n"),
        ("No break\nat the end", "a: |-\n  No break\n  at the end\n"),
        ("Two breaks\n\n", 'a: "Two breaks\\n\\n"\n'),
        ("Long words in a row. " * 8 + "End.", None),
        ("short", "a: short\n"),
        ("caf\xe9 \u05e9\u05dc\u05d5\u05dd", "a: caf\xe9 \u05e9\u05dc\u05d5\u05dd\n"),
        ("next\x85line", 'a: "next\\Nline"\n'),
        ("\ufeffmark", 'a: "\\uFEFFmark"\n'),
        ("half \ud83d", 'a: "half \\uD83D"\n'),
        ("no", "a: 'no'\n"),
        ("12:30", "a: '12:30'\n"),
        ("1e5", "a: '1e5'\n"),
        ([], "a: []\n"),
        ({"b": [1, {"c": None}]}, "a:\n  b:\n    - 1\n    - c: null\n"),
    ],
)  # fmt: skip
def test_yaml_is_written_as_people_write_it(value: object, written: str | None) -> None:
    text = write_yaml({"a": value})
    if written is None:
        assert text.startswith("a: >-\n  Long words")
        assert max(map(len, text.splitlines())) <= 115
    else:
        assert text == written


def test_sections_are_set_apart_and_a_shared_value_is_written_twice() -> None:
    shared = {"x": [1]}
    assert write_yaml({"a": shared, "b": shared}) == "a:\n  x:\n    - 1\n\nb:\n  x:\n    - 1\n"
    assert as_text({}, "yaml") == "{}\n"
    assert read_pack([Source("x.yaml", b"{}\n")]).problems == ()


# --- Nouns as entries


def same_name(_: Kind, name: str) -> str:
    return name


def test_defaults_are_left_out_and_whole_numbers_are_written_without_a_point() -> None:
    draft = CaseDraft(
        name="C",
        agent_id="A",
        persona_id="P",
        scenario="S",
        pass_threshold=100.0,
        success_criteria=[
            Assertion.model_validate({"type": "must_say", "pattern": "x", "weight": 1, "rubric": None}),
            Assertion.model_validate({"type": "must_say", "pattern": "x", "weight": 2.0}),
        ],
        agent_overrides={"temperature": 1.0},
    )
    assert exactly(as_entry("case", draft, same_name)) == exactly(
        {
            "name": "C",
            "agent": "a",
            "persona": "p",
            "scenario": "S",
            "success_criteria": [
                {"type": "must_say", "pattern": "x"},
                {"type": "must_say", "weight": 2, "pattern": "x"},
            ],
            "pass_threshold": 100,
            "agent_overrides": {"temperature": 1.0},
        }
    )


IDS = {"t1": "Shared", "t2": "In the flow", "t3": "As the vendor attaches"}


def name_of(kind: Kind, id: str) -> str | None:
    return IDS.get(id) if kind == "tool" else None


def flow(*tools: str) -> Json:
    nodes: list[Any] = [{"id": f"n{n}", "type": "tool_call", "tool_id": tool} for n, tool in enumerate(tools)]
    return {"flow_config_version": "1", "nodes": [*nodes, {"id": "end", "type": "end", "tool_id": "t1"}, 5]}


def test_shared_tools_are_named_and_own_ones_written_without_ids() -> None:
    agent = Agent(
        id="a",
        name="A",
        type="flow",
        flow_config=flow("t2", "own", "gone"),
        system_prompt="S",
        tools=[
            Tool(name="own", description="D"),
            Tool(id="t1", name="shared"),
            Tool(id="t2", name="flow"),
            Tool(id="t3", name="x"),
        ],
        tool_ids=["t1", "gone"],
    )
    entry = as_entry("agent", agent, name_of)
    assert entry["tools"] == [{"name": "own", "description": "D"}]
    assert entry["shared_tools"] == ["Shared", "As the vendor attaches"]
    assert entry["flow_config"] == flow("In the flow", "own", "gone")


def test_tools_that_a_flow_calls_get_their_ids_back() -> None:
    ids = {name: id for id, name in IDS.items()}
    entry: Json = {"flow_config": flow("In the flow", "own"), "tools": [{"function": {"name": "own"}}]}
    draft = as_draft("agent", entry | {"shared_tools": ["Shared"]}, lambda _, name: ids.get(name))
    assert draft == entry | {"tool_ids": ["t1"]}
    assert with_flow_tools("agent", draft, ids.get)["flow_config"] == flow("t2", "own")
    overrides: Json = {"agent_overrides": {"flow_config": flow("In the flow")}}
    assert with_flow_tools("case", overrides, ids.get) == {"agent_overrides": {"flow_config": flow("t2")}}


def test_what_a_store_made_without_checks_is_written_like_what_was_checked() -> None:
    endpoint = {"protocol": "webhook", "url": "https://agent.example/turn", "timeout_seconds": 60.0}
    checked = AgentDraft.model_validate({"name": "A", "type": "endpoint", "endpoint": endpoint})
    built = AgentDraft.model_construct(**checked.model_dump())
    assert as_entry("agent", built, same_name) == as_entry("agent", checked, same_name)
    assert as_entry("agent", built, same_name)["endpoint"] == {k: endpoint[k] for k in ("protocol", "url")}


def test_equality_is_that_of_json() -> None:
    assert same({"a": [1, {"b": None}], "c": 2}, {"c": 2.0, "a": [1.0, {"b": None}]})
    for one, other in [
        (1, True),
        (0, False),
        ([], {}),
        ({"a": 1}, {}),
        ([1], [1, 1]),
        ("1", 1),
        (None, False),
    ]:
        assert not same({"x": one}, {"x": other})


@settings(max_examples=100, deadline=None)
@given(texts.filter(str.strip), traits)
def test_any_persona_is_written_and_read_back_as_it_was(name: str, traits: Json) -> None:
    draft = PersonaDraft(name=name, identity_prompt=f"{name} {name}", behavior_traits=traits)
    entry = as_entry("persona", draft, same_name)
    for format in ("yaml", "json"):
        text = as_text({"personas": [entry]}, format)
        read = read_pack([Source(f"x.{format}", text.encode())])
        assert read.problems == ()
        assert exactly(read.entries[0].body) == exactly(entry)
