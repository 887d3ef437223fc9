"""What the checks with other people's software stand on, as far as it needs none of that software."""

from __future__ import annotations

import json

from mcp import Client

from mcp_agent_eval.mcp_server.app import connect_by_environment
from mcp_agent_eval.mcp_server.tools.catalogue import all_tools
from tests.outside import fixtures
from tests.outside.fixture_server import talk, with_fixtures
from tests.outside.stand_in import STEPS, Said, next_call


async def test_the_conformance_suites_tools_stand_beside_ours() -> None:
    server, _ = with_fixtures(connect_by_environment)
    async with Client(server) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    added = [tool.__name__ for tool in (*fixtures.PLAIN, *fixtures.ASKING)]
    assert listed == [tool.name for tool in all_tools()] + added
    assert prompts[-len(fixtures.PROMPTS) :] == [prompt.__name__ for prompt in fixtures.PROMPTS]


async def test_a_run_of_no_seconds_ends_with_the_first_answer() -> None:
    said = await talk({"messages": [{"role": "system", "content": "You talk for 0.0 seconds."}]})
    assert said == "Goodbye. [END OF CALL]"


def test_the_stand_in_makes_each_step_once_with_the_ids_that_it_was_given() -> None:
    kinds = ("agent", "persona", "case", "run", "transcript")
    results = [json.dumps(json.dumps({f"{kind}_id": f"{number:08}"})) for number, kind in enumerate(kinds)]
    calls: list[str] = []
    arguments = {}
    while call := next_call(Said(calls, results[: len(calls)])):
        calls.append(call.tool)
        arguments[call.tool] = call.arguments
    assert calls == [tool for tool, _ in STEPS]
    assert arguments["create_case"]["agent_id"] == "00000000"
    assert arguments["create_case"]["persona_id"] == "00000001"
    assert arguments["run_case"] == {"case_id": "00000002"}
    assert arguments["read_transcript"] == {"run_id": "00000003"}
