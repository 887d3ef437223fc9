"""What is refused when a flow is saved: every rule with its code, and all that is wrong at once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, get_args

import pytest

from mcp_agent_eval.engine.flows.check import FlowInvalid, read_flow
from mcp_agent_eval.types.flow import FlowConfig, IssueCode, StartNode, ToolCallNode
from tests.flows import PUBLISHED, all_published, config, end, published, start, talk, tool, tools_of

GOOD = config(
    start(),
    talk("desk", ("book", "wants an appointment", "booking"), ("leave", "is done", "bye")),
    tool("booking", "bye", "desk"),
    {"id": "boss", "type": "transfer", "transfer_to": "+1555", "is_global": True},
    end(),
)


def bent(path: str, value: Any) -> dict[str, Any]:
    """The good flow with one thing changed: `desk.transitions.0.label` and the like; `None` takes it away."""
    changed = deepcopy(GOOD)
    id, *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = next(node for node in changed["nodes"] if node["id"] == id)
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


def with_nodes(*extra: dict[str, Any]) -> dict[str, Any]:
    return GOOD | {"nodes": [*GOOD["nodes"], *extra]}


def without(*ids: str) -> dict[str, Any]:
    return GOOD | {"nodes": [node for node in GOOD["nodes"] if node["id"] not in ids]}


def issues(flow: dict[str, Any]) -> list[tuple[str | None, str]]:
    with pytest.raises(FlowInvalid) as refusal:
        read_flow(flow, tools=["book"])
    return [(issue["node_id"], issue["code"]) for issue in refusal.value.issues]


def messages(flow: dict[str, Any]) -> str:
    with pytest.raises(FlowInvalid) as refusal:
        read_flow(flow, tools=["book"])
    return " ".join(issue["message"] for issue in refusal.value.issues)


RETIRED = {"id": "cal", "type": "integration_call", "provider": "gmail", "action": "send"}
SLOT = {"payload_config": {"static_parameters": [{"name": "day", "value": "{{nobody.day}}"}]}}

TABLE: dict[str, list[tuple[dict[str, Any], list[tuple[str | None, str]]]]] = {
    "no_start": [(without("start"), [(None, "no_start")])],
    "multiple_starts": [
        (
            with_nodes(start(id="again")),
            [("again", "multiple_starts")],
        )
    ],
    "start_unwired": [
        (bent("start.next_step_id", None), [("start", "start_unwired")]),
        (bent("start.next_step_id", "  "), [("start", "start_unwired")]),
    ],
    "instructions_missing": [
        (bent("desk.instructions", None), [("desk", "instructions_missing")]),
        (bent("desk.instructions", " "), [("desk", "instructions_missing")]),
    ],
    "transition_description_missing": [
        (bent("desk.transitions.0.label", None), [("desk", "transition_description_missing")]),
        (bent("desk.transitions.0.label", " "), [("desk", "transition_description_missing")]),
    ],
    "tool_id_missing": [
        (bent("booking.tool_id", None), [("booking", "tool_id_missing")]),
        (bent("booking.tool_id", "fly"), [("booking", "tool_id_missing")]),
    ],
    "success_not_wired": [
        (bent("booking.transitions.success_next_step_id", ""), [("booking", "success_not_wired")]),
        (bent("booking.transitions", None), [("booking", "success_not_wired")]),
    ],
    "transfer_to_missing": [(bent("boss.transfer_to", None), [("boss", "transfer_to_missing")])],
    "terminal_not_allowed": [
        (with_nodes(talk("dead", is_global=True)), [("dead", "terminal_not_allowed")]),
        (
            with_nodes(talk("dead", is_global=True) | {"transitions": None}),
            [("dead", "terminal_not_allowed")],
        ),
    ],
    "no_terminal": [(config(start(), talk("desk", ("on", "goes on", "desk"))), [(None, "no_terminal")])],
    "unreachable_node": [
        (with_nodes(talk("island", ("out", "leaves", "bye"))), [("island", "unreachable_node")])
    ],
    "unknown_target_node": [
        (bent("desk.transitions.1.next_step_id", "mars"), [("desk", "unknown_target_node")]),
        (bent("desk.transitions.1.next_step_id", None), [("desk", "unknown_target_node")]),
        (bent("booking.transitions.error_next_step_id", "mars"), [("booking", "unknown_target_node")]),
    ],
    "schema_invalid": [
        (bent("desk.mood", "sunny"), [("desk", "schema_invalid")]),
        (bent("desk.instructions", 5), [("desk", "schema_invalid")]),
        (bent("booking.is_global", True), [("booking", "schema_invalid")]),
        (bent("booking.timeout_secs", 601), [("booking", "schema_invalid")]),
        (bent("booking.timeout_secs", 0), [("booking", "schema_invalid")]),
        (bent("desk.transitions.0.id", "__global_boss"), [("desk", "schema_invalid")]),
        (bent("desk.transitions.0.id", "leave"), [("desk", "schema_invalid")]),
        (bent("desk.transitions.1.next_step_id", "start"), [("desk", "schema_invalid")]),
        (GOOD | {"flow_config_version": "2"}, [(None, "schema_invalid")]),
        (GOOD | {"nodes": {}}, [(None, "schema_invalid")]),
        (with_nodes({"type": "end"}), [(None, "schema_invalid")]),
        (with_nodes(end()), [("bye", "schema_invalid")]),
        (with_nodes({"id": "x", "type": "teleport", "is_global": True}), [("x", "schema_invalid")]),
        (with_nodes(RETIRED | {"is_global": True}), [("cal", "schema_invalid")]),
    ],
    "args_template_dangling_reference": [
        (bent("booking.config_override", SLOT), [("booking", "args_template_dangling_reference")])
    ],
    "too_many_extraction_contracts": [
        (
            config(start("t0"), *(tool(f"t{n}", f"t{n + 1}") for n in range(128)), end("t128")),
            [(None, "too_many_extraction_contracts")],
        )
    ],
}
"""The contract's codes, with flows that break just that rule."""

OF_THE_RETIRED_NODE = {
    "integration_id_missing",
    "action_invalid",
    "integration_not_in_company",
    "args_template_missing_required",
    "args_template_missing_description",
}
"""Codes about `integration_call`, which is refused as a whole."""


def test_the_good_flow_is_good() -> None:
    assert isinstance(read_flow(GOOD, tools=["book"]), FlowConfig)


def test_the_table_has_every_code_that_is_not_about_the_retired_node() -> None:
    assert TABLE.keys() == set(get_args(IssueCode))
    assert len(TABLE) + len(OF_THE_RETIRED_NODE) == 20


@pytest.mark.parametrize(
    ("flow", "expected"),
    [case for cases in TABLE.values() for case in cases],
    ids=[f"{code}-{number}" for code, cases in TABLE.items() for number in range(len(cases))],
)
def test_a_broken_rule_is_told_by_its_code(
    flow: dict[str, Any], expected: list[tuple[str | None, str]]
) -> None:
    assert issues(flow) == expected


def test_everything_that_is_wrong_is_told_at_once_and_in_the_order_of_the_nodes() -> None:
    flow = config(
        start(),
        talk("desk", ("a", "", "mars"), ("b", "done", "bye")) | {"instructions": "", "x": 1},
        tool("booking", "", tool_id="fly"),
        {"id": "boss", "type": "transfer"},
        end(),
        y=1,
    )
    assert issues(flow) == [
        (None, "schema_invalid"),
        ("desk", "instructions_missing"),
        ("desk", "schema_invalid"),
        ("desk", "unknown_target_node"),
        ("desk", "transition_description_missing"),
        ("booking", "success_not_wired"),
        ("booking", "unreachable_node"),
        ("booking", "tool_id_missing"),
        ("boss", "transfer_to_missing"),
        ("boss", "unreachable_node"),
    ]


def test_the_error_says_how_many_rules_are_broken_and_its_body_holds_each_once() -> None:
    with pytest.raises(FlowInvalid) as refusal:
        read_flow({"nodes": [end(), talk("a"), talk("b"), talk("c")]}, tools=[])
    error = refusal.value
    assert error.message == "flow_config breaks 4 rules."
    body = error.as_dict()
    assert (body["code"], error.status) == ("FLOW_INVALID", 400)
    assert [issue.get("node_id", "") for issue in body["issues"]] == ["", "a", "b", "c"]
    assert body["issues"][0] == {"code": "no_start", "message": "There is no start node."}


def test_the_retired_node_is_refused_with_the_reason() -> None:
    assert "integration_call was retired" in messages(with_nodes(RETIRED))


def test_an_unknown_tool_is_refused_with_those_that_there_are() -> None:
    assert "no tool 'fly', by id or by name. There are: book." in messages(bent("booking.tool_id", "fly"))


@pytest.mark.parametrize("path", ["a.b", "$..a", "$.a[*]", "$.a[?(@.b)]", "$.a[-1]", "$['a']", ""])
def test_a_path_beyond_the_subset_is_refused(path: str) -> None:
    custom = [{"id": "c", "label": "c", "jsonpath": path, "equals": "1", "next_step_id": "bye"}]
    assert issues(bent("booking.transitions.custom", custom)) == [("booking", "schema_invalid")]


@pytest.mark.parametrize("equals", [[], {}])
def test_only_single_values_can_be_compared(equals: Any) -> None:
    custom = [{"id": "c", "jsonpath": "$.a", "equals": equals, "next_step_id": "bye"}]
    assert issues(bent("booking.transitions.custom", custom)) == [("booking", "schema_invalid")]


def test_a_start_that_leads_nowhere_does_not_make_every_node_unreachable() -> None:
    assert issues(bent("start.next_step_id", "mars")) != []
    assert ("desk", "unreachable_node") not in issues(bent("start.next_step_id", ""))


@pytest.mark.parametrize(
    "node",
    [5, None, [], {}, {"id": 5, "type": "end"}, {"id": "x", "type": []}, {"id": "x", "transitions": [[]]}],
)
def test_whatever_stands_in_the_place_of_a_node_is_an_issue_and_no_crash(node: Any) -> None:
    assert (None, "schema_invalid") in issues(with_nodes(node)) or ("x", "schema_invalid") in issues(
        with_nodes(node)
    )


@pytest.mark.parametrize(
    "transitions", [5, [5], [{}], {"custom": [5]}, {"custom": {}}, {"custom": [{"id": []}]}]
)
def test_whatever_stands_in_the_place_of_transitions_is_an_issue_and_no_crash(transitions: Any) -> None:
    assert issues(bent("booking.transitions", transitions))
    assert issues(bent("desk.transitions", transitions))


def test_notes_of_other_programs_and_a_stripped_template_are_left_out() -> None:
    flow = bent("booking.args_template", {"day": "monday"}) | {"_source": "elsewhere"}
    flow["nodes"][1]["transitions"][0]["_colour"] = "red"
    node = next(node for node in read_flow(flow, tools=["book"]).nodes if node.id == "booking")
    assert isinstance(node, ToolCallNode)


def test_what_an_editor_leaves_empty_is_not_wired() -> None:
    flow = read_flow(bent("booking.transitions.error_next_step_id", ""), tools=["book"])
    node = next(node for node in flow.nodes if isinstance(node, ToolCallNode))
    assert node.transitions.error_next_step_id is None


def test_a_start_node_speaks_first_and_goes_on_unless_it_says_otherwise() -> None:
    node = StartNode.model_validate({"id": "s", "type": "start", "next_step_id": "x"})
    assert (node.agent_speaks_first, node.auto_advance, node.is_literal) == (True, True, False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_flow_can_be_saved(name: str) -> None:
    flow = published(name)
    assert len(read_flow(flow, tools=tools_of(flow)).nodes) == len(flow["nodes"])


def test_no_published_flow_is_left_out() -> None:
    published(PUBLISHED[0])
    assert all_published() == sorted(PUBLISHED)
