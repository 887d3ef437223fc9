"""Flows walked without a model: keywords decide, and the published flows run to each of their ends."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.flows.graph import Choice
from mcp_agent_eval.engine.flows.keywords import keywords, nearest
from mcp_agent_eval.engine.flows.machine import FlowLoop
from mcp_agent_eval.engine.flows.simulator import simulate
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.types.flow import TERMINALS, FlowConfig, wires
from tests.flows import PUBLISHED, end, flow, published, start, talk, tool, tools_of

SHOP = flow(
    start(),
    talk("desk", ("pizza", "orders a pizza", "oven"), ("sushi", "orders some sushi", "bar")),
    tool("oven", "bye", "desk"),
    talk("bar", ("leave", "is done", "bye")),
    end(),
)


def lines(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "text": text} for text in texts]


def route(result: dict[str, Any]) -> list[str]:
    return [event["step_id"] for event in result["trace"] if event["type"] == "flow_node_entered"]


# --- Keywords


def choices(*labels: str) -> list[Choice]:
    return [Choice(label, "x", label, "") for label in labels]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("PIZZA please!", "User wants to order a pizza"),
        ("I'd like some sushi", "User wants to order sushi"),
        ("user wants", None),
        ("", None),
        ("What is the weather like in Ulm today, and will it rain on the way there?", None),
        ("prebuilt confirmation", "prebuilt_confirmation"),
    ],
)
def test_the_choice_that_shares_most_words_is_taken(line: str, wanted: str | None) -> None:
    offered = choices("User wants to order a pizza", "User wants to order sushi", "prebuilt_confirmation")
    found = nearest(line, offered)
    assert (found.label if found else None) == wanted


def test_of_equals_the_first_is_taken() -> None:
    offered = choices("red apple", "red pear")
    assert nearest("something red", offered) == offered[0]


def test_a_description_counts_as_well_as_a_label() -> None:
    assert nearest("refund", [Choice("x", "y", "", "asks for a refund")]) is not None


def test_what_decides_between_yes_and_no_is_no_stop_word() -> None:
    assert keywords("Yes. No, not now!") == {"yes", "no", "not", "now"}


def test_other_scripts_have_words_too() -> None:
    assert nearest("אני רוצה תור", choices("קביעת תור", "ביטול")) == choices("קביעת תור")[0]


# --- The walk


def test_a_line_moves_on_or_stays_and_lines_of_the_agent_change_nothing() -> None:
    said = [*lines("Hello"), {"role": "agent", "text": "Some sushi?"}, *lines("sushi")]
    result = simulate(SHOP, said, {})
    assert route(result) == ["start", "desk", "bar"]
    assert [event["decision"] for event in result["trace"] if event["type"] == "flow_eval_decision"] == [
        "stay",
        "sushi",
    ]
    assert result["ended_at_step_id"] == "bar"


def test_a_tool_succeeds_unless_it_is_mocked_otherwise() -> None:
    result = simulate(SHOP, lines("a pizza"), {})
    assert route(result) == ["start", "desk", "oven", "bye"]
    assert result["named_results"] == {"oven": {"success": True}}
    failed = simulate(SHOP, lines("a pizza"), {"oven": {"error": "cold"}})
    assert route(failed) == ["start", "desk", "oven", "desk"]
    assert failed["named_results"] == {"oven": {"error": "cold"}}


def test_a_mocked_result_decides_custom_edges() -> None:
    custom = [{"id": "out", "label": "sold out", "jsonpath": "$.left", "equals": 0, "next_step_id": "desk"}]
    shop = flow(start(), talk("desk", ("pizza", "pizza", "oven")), tool("oven", "bye", custom=custom), end())
    assert simulate(shop, lines("pizza"), {"oven": {"result": {"left": 0}}})["ended_at_step_id"] == "desk"
    assert simulate(shop, lines("pizza"), {"oven": {"result": {"left": 1}}})["ended_at_step_id"] == "bye"


def test_what_is_said_after_the_end_is_not_heard() -> None:
    assert simulate(SHOP, lines("pizza", "sushi", "sushi"), {})["ended_at_step_id"] == "bye"


def test_nothing_said_leaves_the_flow_where_it_begins() -> None:
    assert simulate(SHOP, [], {})["ended_at_step_id"] == "desk"


def test_a_global_node_can_be_jumped_to() -> None:
    boss = {"id": "boss", "type": "transfer", "transfer_to": "x", "is_global": True}
    shop = flow(
        start(),
        talk("desk", ("leave", "is done", "bye")),
        boss | {"global_jump_description": "a human"},
        end(),
    )
    result = simulate(shop, lines("Give me a human!"), {})
    assert result["trace"][-1]["reason"] == "global jump: boss"


def test_the_same_lines_give_the_same_result() -> None:
    assert simulate(SHOP, lines("hm", "pizza"), {}) == simulate(SHOP, lines("hm", "pizza"), {})


def test_a_loop_of_tools_is_told() -> None:
    loop = flow(start("a"), tool("a", "b", "bye"), tool("b", "a"), end())
    with pytest.raises(FlowLoop, match="more than 25 nodes"):
        simulate(loop, lines("go"), {})


def chain(length: int) -> FlowConfig:
    """A caller's word sets off that many nodes, the last of which is the end."""
    tools = [tool(f"t{number}", f"t{number + 1}") for number in range(1, length)]
    return flow(start(), talk("desk", ("go", "go", "t1")), *tools, end(f"t{length}"))


def test_twenty_five_nodes_in_a_row_are_no_loop_and_one_more_is() -> None:
    assert simulate(chain(25), lines("go"), {})["ended_at_step_id"] == "t25"
    with pytest.raises(FlowLoop):
        simulate(chain(26), lines("go"), {})


@pytest.mark.parametrize(
    ("transcript", "mocks", "told"),
    [
        ([{"role": "dog", "text": "woof"}], {}, r"transcript\[0\].role"),
        ([{"text": "x"}], {}, r"transcript\[0\].role: is required"),
        (["x"], {}, r"transcript\[0\]"),
        ([], {"oven": {}}, "either `result` or `error`"),
        ([], {"oven": {"result": 1, "error": "x"}}, "either `result` or `error`"),
        ([], {"desk": {"result": 1}}, "'desk' is not a tool_call node of the flow. They are: oven."),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    transcript: list[Any], mocks: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        simulate(SHOP, transcript, mocks)


# --- The published flows


def loaded(name: str) -> tuple[dict[str, Any], FlowConfig]:
    config = published(name)
    return config, read_flow(config, tools=tools_of(config))


def ways_to_the_ends(config: dict[str, Any], flow: FlowConfig) -> dict[str, list[str]]:
    """For each terminal node the lines that lead there: the graph is searched with what its labels say.

    A caller says a transition's label. Where another transition fits that as well, the simulator may go another
    way, so every step of the search is walked.
    """
    nodes = {node["id"]: node for node in config["nodes"]}
    found: dict[str, list[str]] = {}
    waiting, seen = deque([list[str]()]), set[str]()
    while waiting:
        said = waiting.popleft()
        here = simulate(flow, lines(*said), {})["ended_at_step_id"]
        if here in seen:
            continue
        seen.add(here)
        if nodes[here]["type"] in TERMINALS:
            found[here] = said
        waiting += [[*said, wire.label] for wire in wires(nodes[here])]
    return found


def terminals(config: dict[str, Any]) -> list[str]:
    return sorted(node["id"] for node in config["nodes"] if node["type"] in TERMINALS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_end_of_a_published_flow_is_reached_by_some_transcript(name: str) -> None:
    config, flow = loaded(name)
    ways = ways_to_the_ends(config, flow)
    assert sorted(ways) == terminals(config)
    for terminal, said in ways.items():
        result = simulate(flow, lines(*said), {})
        assert result["ended_at_step_id"] == terminal
        assert result["trace"][-1]["step_id"] == terminal


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_error_of_a_tool_in_a_published_flow_leads_along_its_error_edge(name: str) -> None:
    config, flow = loaded(name)
    nodes = {node["id"]: node for node in config["nodes"]}
    said = max(ways_to_the_ends(config, flow).values(), key=len)
    walked = [nodes[id] for id in route(simulate(flow, lines(*said), {}))]
    for node in (node for node in walked if node["type"] == "tool_call"):
        result = simulate(flow, lines(*said), {node["id"]: {"error": "down"}})
        steps = route(result)
        after = steps[steps.index(node["id"]) + 1]
        assert after == node["transitions"]["error_next_step_id"]
