"""Errors an assistant can act on: what was wrong, what would be right, and the next call to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.support import call, refused


async def test_an_unknown_id_says_how_to_list(client: Client) -> None:
    error = await refused(client, "run_case", case_id="nope")
    assert error == {
        "error": "There is no case 'nope'.",
        "code": "NOT_FOUND",
        "hint": 'Call list(kind="case") to see what there is.',
    }


async def test_an_unknown_argument_is_an_error_that_names_the_arguments(client: Client) -> None:
    error = await refused(client, "run_case", case_id="x", overrides={})
    assert "overrides: there is no such field" in error["error"]
    assert "agent_overrides" in error["error"]


async def test_a_missing_argument_and_a_wrong_type_are_named(client: Client) -> None:
    error = await refused(client, "create_case", name="x", max_turns="many")
    assert "agent_id: is required" in error["error"]
    assert "max_turns" in error["error"]
    assert "pydantic" not in error["error"]


async def test_an_ambiguous_name_lists_what_it_may_mean(client: Client) -> None:
    for _ in range(2):
        await call(client, "create_suite", name="Same")
    error = await refused(client, "run_suite", suite_id="same")
    assert error["code"] == "AMBIGUOUS_REFERENCE"
    assert error["error"].count("(Same)") == 2


async def test_an_invalid_pattern_says_where_it_breaks(client: Client) -> None:
    broken = {"type": "must_say", "pattern": "(unclosed"}
    await create_clinic(client)
    error = await refused(
        client,
        "create_case",
        name="x",
        agent_id="Clinic",
        persona_id="Maya",
        scenario="s",
        success_criteria=[{"type": "must_say", "pattern": "fine"}, broken],
    )
    assert error["code"] == "INVALID_PATTERN"
    assert error["error"].startswith("success_criteria[1].pattern:")
    assert "position 0" in error["error"]


async def test_an_assertion_that_cannot_hold_is_refused_with_what_would_fit(client: Client) -> None:
    await create_clinic(client)
    case = {"name": "x", "agent_id": "Clinic", "persona_id": "Maya", "scenario": "s"}
    tool = {"type": "must_call_tool", "tool_name": "bookTable"}
    error = await refused(client, "create_case", **case, success_criteria=[tool])
    assert error["code"] == "IMPOSSIBLE_ASSERTION"
    assert "Its tools are: bookAppointment." in error["error"]
    node = {"type": "must_reach_node", "node_id": "n1"}
    error = await refused(client, "create_case", **case, success_criteria=[node])
    assert error["code"] == "IMPOSSIBLE_ASSERTION"


async def test_an_override_that_the_agent_does_not_have_is_refused(client: Client) -> None:
    case_id = await create_clinic(client)
    error = await refused(client, "run_case", case_id=case_id, agent_overrides={"sytem_prompt": "typo"})
    assert "agent_overrides has no field 'sytem_prompt'" in error["error"]
    assert "system_prompt" in error["error"]
    error = await refused(client, "run_case", case_id=case_id, agent_overrides={"temperature": 9})
    assert error["error"].startswith("agent_overrides: temperature:")


async def test_an_assertion_without_its_field_says_which_one_it_needs(client: Client) -> None:
    error = await refused(
        client,
        "create_case",
        name="x",
        agent_id="a",
        persona_id="p",
        scenario="s",
        success_criteria=[{"type": "must_say"}],
    )
    assert "success_criteria[0]: must_say needs 'pattern'" in error["error"]


async def test_a_suite_without_cases_cannot_be_run(client: Client) -> None:
    await call(client, "create_suite", name="Empty")
    error = await refused(client, "run_suite", suite_id="Empty")
    assert error["error"] == "The suite has no cases."
    assert "create_case(suite_id=" in error["hint"]


async def test_without_a_model_the_refusal_names_what_to_set(tmp_path: Path) -> None:
    settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}")
    async with Client(build_server(lambda: connect(settings))) as client:
        error = await refused(client, "run_case", case_id=await create_clinic(client))
        assert error["code"] == "NOT_CONFIGURED"
        assert "AGENT_EVAL_AGENT_MODEL" in error["error"]
        assert "OPENAI_API_KEY" in error["error"]
        assert "offline" in error["hint"]


async def test_a_model_without_its_key_names_the_variable(tmp_path: Path) -> None:
    settings = Settings.read(
        database_url=f"sqlite:///{tmp_path / 'evals.db'}", agent_model="anthropic:claude-haiku-4-5"
    )
    async with Client(build_server(lambda: connect(settings))) as client:
        error = await refused(client, "run_case", case_id=await create_clinic(client))
        assert "ANTHROPIC_API_KEY" in error["error"]


async def test_no_provider_reachable_fails_the_run_with_a_reason(tmp_path: Path) -> None:
    settings = Settings.read(
        database_url=f"sqlite:///{tmp_path / 'evals.db'}",
        agent_model="openai:any",
        persona_model="offline",
        model_base_url="http://127.0.0.1:9/v1",
        model_attempts=1,
    )
    async with Client(build_server(lambda: connect(settings))) as client:
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert result["status"] == "failed"
        assert result["termination_reason"] == "error"
        assert "could not be reached" in result["error"]
        assert result["failed_assertions"]


async def test_a_database_that_cannot_be_opened_is_an_error_of_the_call(tmp_path: Path) -> None:
    broken = tmp_path / "evals.db"
    broken.write_text("this is not a database, but a text that is long enough to look like one" * 20)
    settings = Settings.read(database_url=f"sqlite:///{broken}")
    async with Client(build_server(lambda: connect(settings))) as client:
        error = await refused(client, "list", kind="agent")
        assert error["code"] == "STORE_UNAVAILABLE"
        assert (await client.list_tools()).tools


@pytest.mark.parametrize("tool", ["get_run", "read_transcript", "cancel_run"])
async def test_an_unknown_run_says_how_to_find_the_newest(client: Client, tool: str) -> None:
    error = await refused(client, tool, run_id="00000000")
    assert error["code"] == "NOT_FOUND"
    assert "list_runs" in error["hint"]


async def test_a_fault_of_ours_is_a_result_that_points_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise RuntimeError("it burns inside")

    async with Client(build_server(broken)) as client:
        error = await refused(client, "list_runs")
    assert error["code"] == "INTERNAL_ERROR"
    assert "log of the server" in error["hint"]
    assert "burns" not in str(error)
    assert "it burns inside" in caplog.text


@pytest.mark.parametrize("argument", ["from_turn", "max_characters"])
async def test_numbers_without_end_are_refused(client: Client, argument: str) -> None:
    error = await refused(client, "read_transcript", run_id="x", **{argument: 2**63})
    assert (error["code"], argument in error["error"]) == ("BAD_REQUEST", True)


@pytest.mark.parametrize("tool", ["list", "get", "delete"])
async def test_runs_asked_for_as_records_lead_to_their_tools(client: Client, tool: str) -> None:
    arguments = {"kind": "run"} | ({} if tool == "list" else {"id": "x"})
    error = await refused(client, tool, **arguments)
    assert "list_runs, get_run" in error["hint"]


async def test_what_is_a_run_and_what_a_suite_run_is_said_with_the_right_tool(client: Client) -> None:
    await call(client, "create_suite", name="S")
    await create_clinic(client, suite_id="S")
    suite_run_id = (await call(client, "run_suite", suite_id="S"))["suite_run_id"]
    run_id = (await call(client, "list_runs"))["runs"][0]["run_id"]
    for tool in ("get_run", "read_transcript"):
        error = await refused(client, tool, run_id=suite_run_id)
        assert error["hint"] == f'Call get_aggregate(suite_run_id="{suite_run_id}").'
    error = await refused(client, "get_aggregate", suite_run_id=run_id)
    assert error["hint"] == f'Call get_run(run_id="{run_id}").'
    assert (await refused(client, "cancel_run", run_id="zzz"))[
        "error"
    ] == "There is no run or suite run 'zzz'."
    over = await refused(client, "cancel_run", run_id=suite_run_id)
    assert f'get_aggregate(suite_run_id="{suite_run_id}")' in over["hint"]
    both = await refused(client, "get_aggregate", suite_run_id=suite_run_id, suite_id="S")
    assert "not both" in both["error"]
