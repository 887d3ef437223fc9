"""What of a flow some runs went through, and the picture of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mcp_agent_eval.engine.flows.check import read_flow
from mcp_agent_eval.engine.flows.simulator import simulate
from mcp_agent_eval.lab.coverage import Coverage, coverage, mermaid
from mcp_agent_eval.types import Turn
from tests.flows import PUBLISHED, config, end, published, start, talk, tool, tools_of

SHOP = config(
    start(),
    talk("desk", ("pizza", "orders pizza", "oven"), ("leave", "is done", "bye"), name="The desk"),
    tool("oven", "desk", "desk"),
    {
        "id": "boss",
        "type": "transfer",
        "transfer_to": "x",
        "is_global": True,
        "global_jump_description": "human",
    },
    end(),
)


def turns(events: list[dict[str, Any]]) -> list[Turn]:
    spoken = Turn(id="s", run_id="r", turn_number=0, role="agent", text="Hi.")
    rows = [
        Turn(id=str(number), run_id="r", turn_number=number, role="flow_event", flow_event=event)
        for number, event in enumerate(events, start=1)
    ]
    return [spoken, *rows]


def run(*said: str, mocks: dict[str, Any] | None = None, of: dict[str, Any] = SHOP) -> list[Turn]:
    flow = read_flow(of, tools=tools_of(of))
    result = simulate(flow, [{"role": "user", "text": text} for text in said], mocks or {})
    return turns(result["trace"])


def taken(found: Coverage) -> dict[tuple[str, str], int]:
    return {(one.source, one.id): one.taken for one in found.transitions if one.taken}


def test_visits_and_transitions_are_counted_over_all_runs() -> None:
    found = coverage(SHOP, [run("pizza", "pizza", "done"), run("done"), run()])
    visits = {node.id: (node.visits, node.runs) for node in found.nodes}
    assert visits == {"start": (3, 3), "desk": (5, 3), "oven": (2, 1), "boss": (0, 0), "bye": (2, 2)}
    assert taken(found) == {
        ("start", "next_step_id"): 3,
        ("desk", "pizza"): 2,
        ("desk", "leave"): 2,
        ("oven", "success_next_step_id"): 2,
    }
    assert found.never_visited == ["boss"]
    assert [one.id for one in found.never_taken] == ["error_next_step_id"]


def test_edges_that_lead_to_the_same_node_are_told_apart() -> None:
    found = coverage(SHOP, [run("pizza", mocks={"oven": {"error": "cold"}})])
    assert taken(found)["oven", "error_next_step_id"] == 1
    assert ("oven", "success_next_step_id") not in taken(found)


def test_a_jump_is_listed_once_somebody_took_it() -> None:
    found = coverage(SHOP, [run("a human")])
    assert taken(found)["desk", "__global_boss"] == 1
    assert "==>" in mermaid(found)
    assert "==>" not in mermaid(coverage(SHOP, [run()]))


@pytest.mark.parametrize(
    ("reason", "via"),
    [
        ("eval: orders pizza", "pizza"),
        ("eval: pizza2", "pizza2"),
        ("who knows", "pizza"),
        ("global jump: Oven", "__global_oven"),
    ],
)
def test_an_event_without_a_transition_is_understood_by_its_reason(reason: str, via: str) -> None:
    desk = talk("desk", ("pizza", "orders pizza", "oven"), ("pizza2", "two of them", "oven"))
    flow = config(start(), desk, tool("oven", "bye"), end())
    steps = [("start", "start"), ("desk", "start"), ("oven", reason)]
    events = [{"type": "flow_node_entered", "step_id": id, "reason": why} for id, why in steps]
    assert ("desk", via) in taken(coverage(flow, [turns(events)]))


def test_the_same_id_of_a_transition_on_two_nodes_is_counted_apart() -> None:
    flow = published("pipecat_movie_explorer")
    found = coverage(flow, [run("Fetch movies currently playing in theaters", of=flow)])
    sources = [one.source for one in found.transitions if one.id == "get_current_movies" and one.taken]
    assert sources == ["greeting"]


def test_events_of_another_flow_are_left_out() -> None:
    events = [{"type": "flow_node_entered", "step_id": "elsewhere", "reason": "start"}, {"type": "odd"}, {}]
    assert all(not node.visits for node in coverage(SHOP, [turns(events)]).nodes)


def test_no_runs_cover_nothing() -> None:
    found = coverage(SHOP, [])
    assert found.never_visited == [node["id"] for node in SHOP["nodes"]]
    assert found.as_dict()["nodes"] == "0 of 5 visited"


@pytest.mark.parametrize(
    "flow", [{}, {"nodes": 5}, {"nodes": [5, {}, {"id": "a"}, {"id": "b", "transitions": 5}]}]
)
def test_a_flow_that_nobody_checked_is_read_as_far_as_it_goes(flow: dict[str, Any]) -> None:
    assert mermaid(coverage(flow, [run()])).startswith("flowchart TD")


def test_the_figures_are_plain() -> None:
    assert coverage(SHOP, [run("pizza")]).as_dict() == {
        "runs": 1,
        "nodes": "3 of 5 visited",
        "transitions": "3 of 5 taken",
        "visits": {"start": 1, "desk": 2, "oven": 1},
        "never_visited": ["boss", "bye"],
        "never_taken": ["desk -> bye (leave)", "oven -> desk (error_next_step_id)"],
    }


def test_the_picture_shows_counts_and_marks_what_was_never_visited() -> None:
    assert mermaid(coverage(SHOP, [run("pizza"), run()])).splitlines()[:11] == [
        "flowchart TD",
        '  n0(["start<br/>2x in 2 of 2 runs"]):::visited',
        '  n1["The desk<br/>3x in 2 of 2 runs"]:::visited',
        '  n2["oven<br/>1x in 1 of 2 runs"]:::visited',
        '  n3(["boss<br/>never"]):::never',
        '  n4(["bye<br/>never"]):::never',
        '  n0 -->|"2x"| n1',
        '  n1 -->|"orders pizza 1x"| n2',
        '  n1 -.->|"is done"| n4',
        '  n2 -->|"success 1x"| n1',
        '  n2 -.->|"error"| n1',
    ]


LINE = re.compile(
    r'flowchart TD|  n\d+(\["[^"]*"\]|\(\["[^"]*"\]\)):::(visited|never)'
    r'|  n\d+ (-->|-\.->|==>)(\|"[^"]*"\|)? n\d+|  classDef (visited|never) [\w#:, -]+'
)


@given(some.text(some.characters(exclude_categories=[]), min_size=1))
def test_no_name_or_label_can_break_out_of_the_picture(text: str) -> None:
    flow = config(start(), talk("desk", ("a", text, "bye"), name=text), end(text))
    picture = mermaid(coverage(flow, []))
    assert all(LINE.fullmatch(line) for line in picture.split("\n"))
    assert not set("`<>&|[]{}\\") & set(re.sub(r'<br/>|\|"|"\||\(?\["|"\]\)?|-->|-\.->', "", picture))
    picture.encode()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_flow_can_be_drawn(name: str) -> None:
    flow = published(name)
    picture = mermaid(coverage(flow, [run("yes", of=flow)]))
    assert all(LINE.fullmatch(line) for line in picture.split("\n"))
    assert picture.count(":::") == len(flow["nodes"])
