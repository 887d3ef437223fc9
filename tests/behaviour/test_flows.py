"""Flow agents as an assistant meets them: refused with everything that is wrong, walked for free, run, covered."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from tests.behaviour.clinic import create_clinic
from tests.provider import provider
from tests.support import call, refused

FLOW: Json = {
    "flow_config_version": "1",
    "nodes": [
        {
            "id": "start",
            "type": "start",
            "agent_speaks_first": True,
            "greeting": "Harbour Dental, hello.",
            "is_literal": True,
            "next_step_id": "ask",
        },
        {
            "id": "ask",
            "type": "conversation",
            "instructions": "Find out what the caller wants.",
            "transitions": [
                {
                    "id": "wants_booking",
                    "label": "booking",
                    "description": "wants an appointment",
                    "next_step_id": "book",
                },
                {
                    "id": "wants_person",
                    "label": "person",
                    "description": "wants a human",
                    "next_step_id": "desk",
                },
            ],
        },
        {
            "id": "book",
            "type": "tool_call",
            "tool_id": "bookAppointment",
            "transitions": {"success_next_step_id": "done", "error_next_step_id": "desk"},
        },
        {
            "id": "desk",
            "type": "transfer",
            "transfer_to": "+15550100",
            "transfer_message": "One moment, please.",
        },
        {"id": "done", "type": "end", "farewell": "You are booked. Goodbye.", "is_literal": True},
    ],
}
BOOK = {
    "name": "bookAppointment",
    "description": "Books.",
    "parameters": {"type": "object", "properties": {}},
}


def with_start(**fields: Any) -> Json:
    """The flow with another start."""
    start, *others = FLOW["nodes"]
    return FLOW | {"nodes": [start | fields, *others]}


async def create_flow(client: Client, **fields: Any) -> str:
    created = await call(
        client,
        "create_agent",
        name="Front desk",
        type="flow",
        system_prompt="You answer the phone of a dental clinic.",
        flow_config=FLOW,
        tools=[BOOK],
        **fields,
    )
    return created["agent_id"]


async def create_case(client: Client, **fields: Any) -> str:
    await call(client, "create_persona", name="Maya", identity_prompt="You are Maya.")
    draft: Json = {
        "name": "Books",
        "agent_id": "Front desk",
        "persona_id": "Maya",
        "scenario": "You want an appointment.",
        "success_criteria": [
            {"type": "must_reach_node", "node_id": "done"},
            {"type": "must_call_tool", "tool_name": "bookAppointment"},
        ],
    }
    return (await call(client, "create_case", **draft | fields))["case_id"]


def picks(transition: str) -> Any:
    """A model that goes one way whenever it is asked, and speaks one line otherwise."""

    def answer(body: Json) -> str | Json:
        if any(tool["function"]["name"] == "pick_transition" for tool in body.get("tools", [])):
            function = {"name": "pick_transition", "arguments": f'{{"transition_id": "{transition}"}}'}
            return {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": function}],
            }
        return "I would like an appointment."

    return answer


async def test_a_flow_with_faults_is_refused_with_all_of_them(client: Client) -> None:
    broken = FLOW | {
        "nodes": [
            node | {"next_step_id": "nowhere"} if node["id"] == "start" else node for node in FLOW["nodes"]
        ]
    }
    del broken["nodes"][-1]
    draft = {"name": "B", "type": "flow", "system_prompt": "p", "flow_config": broken, "tools": [BOOK]}
    error = await refused(client, "create_agent", **draft)
    assert error["code"] == "FLOW_INVALID"
    assert {issue["code"] for issue in error["issues"]} >= {"unknown_target_node"}
    assert len(error["issues"]) > 1
    told = (await client.call_tool("create_agent", draft)).content[0]
    assert all(issue["message"] in told.text for issue in error["issues"])


async def test_a_flow_is_walked_without_a_model(client: Client) -> None:
    await create_flow(client)
    walked = await call(client, "simulate_flow", agent_id="Front desk", says=["I want an appointment"])
    assert walked["ended_at_step_id"] == "done"
    down = await call(
        client,
        "simulate_flow",
        agent_id="Front desk",
        says=["I want an appointment"],
        mock_tool_results={"book": {"error": "The calendar is down."}},
    )
    assert down["ended_at_step_id"] == "desk"
    assert "at book: bookAppointment error: The calendar is down." in down["trace"]
    stays = await call(client, "simulate_flow", agent_id="Front desk", says=["Good morning"])
    assert stays["ended_at_step_id"] == "ask"


async def test_a_prompt_has_no_flow_to_walk(client: Client) -> None:
    await call(client, "create_agent", name="P", system_prompt="p")
    assert "no flow" in (await refused(client, "simulate_flow", agent_id="P", says=["x"]))["error"]


async def test_a_node_that_the_flow_lacks_cannot_be_asserted(client: Client) -> None:
    await create_flow(client)
    await call(client, "create_persona", name="P2", identity_prompt="You are Maya.")
    error = await refused(
        client,
        "create_case",
        name="C",
        agent_id="Front desk",
        persona_id="P2",
        scenario="s",
        success_criteria=[{"type": "must_reach_node", "node_id": "nope"}],
    )
    assert error["code"] == "IMPOSSIBLE_ASSERTION"
    assert "start, ask, book, desk, done" in error["error"]


async def test_a_flow_runs_to_its_end_with_its_nodes_in_the_transcript(settings: Settings) -> None:
    async with provider(picks("wants_booking")) as model:
        changed = settings.model_copy(
            update={"agent_model": "openai:a", "persona_model": "openai:p", "model_base_url": model.url}
        )
        async with Client(build_server(lambda: connect(changed))) as client:
            await create_flow(client)
            case_id = await create_case(client)
            run = await call(client, "run_case", case_id=case_id)
            assert (run["pass_fail"], run["termination_reason"], run["end_detail"]) == (
                True,
                "agent_ended",
                "flow_end",
            )
            shown = await call(client, "read_transcript", run_id=run["run_id"])
            rows = shown["untrusted_turns"]
            assert [row["flow"] for row in rows if row["role"] == "flow_event"] == [
                "entered start (start)",
                "entered ask (start)",
                "at ask: wants_booking -> book",
                "entered book (eval: booking)",
                "at book: bookAppointment success",
                "entered done (tool success)",
            ]
            page = await client.read_resource(f"eval://runs/{run['run_id']}/transcript")
            assert "entered book (eval: booking)" in page.contents[0].text
            assert [row["text"] for row in rows if row["role"] == "agent" and row.get("text")] == [
                "Harbour Dental, hello.",
                "You are booked. Goodbye.",
            ]


async def test_another_flow_can_be_tried_for_one_run(settings: Settings) -> None:
    async with provider(picks("wants_person")) as model:
        changed = settings.model_copy(
            update={"agent_model": "openai:a", "persona_model": "openai:p", "model_base_url": model.url}
        )
        async with Client(build_server(lambda: connect(changed))) as client:
            await create_flow(client)
            case_id = await create_case(
                client, success_criteria=[{"type": "must_reach_node", "node_id": "desk"}]
            )
            other = FLOW | {
                "nodes": [
                    node | {"greeting": "Changed."} if node["id"] == "start" else node
                    for node in FLOW["nodes"]
                ]
            }
            run = await call(client, "run_case", case_id=case_id, agent_overrides={"flow_config": other})
            assert (run["pass_fail"], run["end_detail"]) == (True, "flow_transfer")
            shown = await call(client, "read_transcript", run_id=run["run_id"])
            assert "Changed." in str(shown)
            broken = FLOW | {"nodes": FLOW["nodes"][:2]}
            error = await refused(
                client, "run_case", case_id=case_id, agent_overrides={"flow_config": broken}
            )
            assert error["code"] == "FLOW_INVALID"


async def test_the_aggregate_shows_what_of_a_flow_was_never_visited(settings: Settings) -> None:
    async with provider(picks("wants_booking")) as model:
        changed = settings.model_copy(
            update={"agent_model": "openai:a", "persona_model": "openai:p", "model_base_url": model.url}
        )
        async with Client(build_server(lambda: connect(changed))) as client:
            await create_flow(client)
            await call(client, "create_suite", name="S")
            await create_case(client, suite_id="S")
            await call(client, "run_suite", suite_id="S")
            shown = await call(client, "get_aggregate", suite_id="S", flow_coverage=True)
            covered = shown["flow_coverage"][0]
            assert (covered["agent"], covered["never_visited"]) == ("Front desk", ["desk"])
            assert covered["visits"] == {"start": 1, "ask": 1, "book": 1, "done": 1}
            assert covered["mermaid"].startswith("flowchart")


async def test_a_suite_without_flows_has_no_coverage(client: Client) -> None:
    await call(client, "create_suite", name="S")
    await create_clinic(client, suite_id="S")
    await call(client, "run_suite", suite_id="S")
    error = await refused(client, "get_aggregate", suite_id="S", flow_coverage=True)
    assert "no agent of this suite run is a flow" in error["error"]


@pytest.mark.parametrize("changes", [{"flow_config": None}, {"type": "prompt"}])
async def test_a_flow_stays_a_flow(client: Client, changes: Json) -> None:
    await create_flow(client)
    await refused(client, "update", kind="agent", id="Front desk", changes=changes)
