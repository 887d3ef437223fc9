"""Agents, personas, cases and suites: listed, shown, changed and taken out of use."""

from __future__ import annotations

import json
from functools import partial

from mcp import Client

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import BOOK, PROMPT, SAYS_BACK, create_clinic
from tests.support import call, refused, shared_path
from tests.whole import whole_part


async def test_nouns_are_listed_with_ids_and_names(client: Client) -> None:
    case_id = await create_clinic(client)
    listed = await call(client, "list", kind="case")
    assert listed == {"cases": [{"id": case_id, "name": "Books a visit"}], "total": 1}


async def test_an_empty_list_says_so(client: Client) -> None:
    assert await call(client, "list", kind="suite") == {"suites": "none", "total": 0}


async def test_a_long_list_names_the_call_for_its_next_page(client: Client) -> None:
    for number in range(3):
        await call(client, "create_suite", name=f"Suite {number}")
    page = await call(client, "list", kind="suite", limit=2)
    assert [suite["name"] for suite in page["suites"]] == ["Suite 2", "Suite 1"]
    assert page["next"] == 'list(kind="suite", limit=2, offset=2)'


async def test_cases_are_filtered_by_suite_and_agent(client: Client) -> None:
    await call(client, "create_suite", name="S")
    await create_clinic(client)
    assert (await call(client, "list", kind="case", suite_id="S"))["total"] == 0
    assert (await call(client, "list", kind="case", agent_id="Clinic"))["total"] == 1


async def test_an_update_replaces_fields_and_shows_them(client: Client) -> None:
    case_id = await create_clinic(client)
    changed = await call(client, "update", kind="case", id=case_id, changes={"pass_threshold": 90})
    assert changed["changed"] == {"pass_threshold": 90}
    assert (await call(client, "get", kind="case", id=case_id))["pass_threshold"] == 90


async def test_an_update_with_an_unknown_or_fixed_field_is_refused(client: Client) -> None:
    case_id = await create_clinic(client)
    error = await refused(client, "update", kind="case", id=case_id, changes={"treshold": 1})
    assert "case has no field 'treshold'" in error["error"]
    error = await refused(client, "update", kind="case", id=case_id, changes={"agent_id": "x"})
    assert "keeps its agent" in error["error"]


async def test_an_update_that_makes_a_case_impossible_is_refused(client: Client) -> None:
    case_id = await create_clinic(client)
    criteria = [{"type": "must_call_tool", "tool_name": "nope"}]
    error = await refused(client, "update", kind="case", id=case_id, changes={"success_criteria": criteria})
    assert error["code"] == "IMPOSSIBLE_ASSERTION"


async def test_a_deleted_case_is_gone_and_its_history_stays(client: Client) -> None:
    case_id = await create_clinic(client)
    run = await call(client, "run_case", case_id=case_id)
    assert await call(client, "delete", kind="case", id=case_id) == {"deleted": "case", "id": case_id}
    assert (await refused(client, "delete", kind="case", id=case_id))["code"] == "NOT_FOUND"
    assert (await refused(client, "run_case", case_id=case_id))["code"] == "NOT_FOUND"
    assert (await call(client, "get_run", run_id=run["run_id"]))["case"] == "Books a visit"
    assert (await call(client, "read_transcript", run_id=run["run_id"]))["untrusted_turns"]


async def test_a_past_run_keeps_what_it_ran_with(client: Client) -> None:
    case_id = await create_clinic(client, success_criteria=[SAYS_BACK])
    run = await call(client, "run_case", case_id=case_id)
    await call(client, "update", kind="case", id=case_id, changes={"name": "Renamed", "pass_threshold": 1})
    past = await call(client, "get_run", run_id=run["run_id"])
    assert (past["case"], past["pass_threshold"]) == ("Books a visit", 80)


async def test_a_case_goes_on_with_a_deleted_persona_and_fails_with_a_deleted_agent(client: Client) -> None:
    await call(client, "create_suite", name="S")
    case_id = await create_clinic(client, suite_id="S")
    await call(client, "delete", kind="persona", id="Maya")
    assert (await call(client, "run_case", case_id=case_id))["pass_fail"] is True
    await call(client, "delete", kind="agent", id="Clinic")
    gone = await refused(client, "run_case", case_id=case_id)
    assert (gone["code"], gone["error"]) == (
        "NOT_FOUND",
        "The agent of the case 'Books a visit' was deleted, so the case cannot be run.",
    )
    assert "create another case" in gone["hint"]
    aggregate = await call(client, "run_suite", suite_id="S")
    assert (aggregate["errored"], aggregate["completed"]) == (1, 0)
    assert "The agent of the case" in aggregate["failures"][0]["error"]


async def test_doubts_are_told_and_not_refused(client: Client) -> None:
    agent = await call(
        client, "create_agent", name="A", system_prompt="Hello {{Nobody}}", tools=[{"name": "t"}]
    )
    assert "Nobody has no value" in agent["warnings"][0]
    assert "output_schema" in agent["warnings"][1]
    await call(client, "create_persona", name="P", identity_prompt="You.")
    case = await call(client, "create_case", name="C", agent_id="A", persona_id="P", scenario="s")
    assert "every run passes" in case["warnings"][0]


async def test_tools_are_accepted_in_the_contracts_and_in_the_providers_shape(client: Client) -> None:
    contract = {
        "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "name": "bookAppointment",
        "type": "webhook",
        "config": {"payload_config": {"extraction_parameters": [{"name": "day", "description": "The day"}]}},
    }
    provider = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
    await call(client, "create_agent", name="A", system_prompt="x", tools=[contract, provider])
    first, second = (await call(client, "get", kind="agent", id="A"))["tools"]
    assert first["parameters"]["properties"] == {"day": {"type": "string", "description": "The day"}}
    assert first["parameters"]["required"] == ["day"]
    assert second["name"] == "other"


async def test_a_tool_with_a_broken_schema_is_refused_with_its_place(client: Client) -> None:
    broken = BOOK | {"parameters": {"type": "objekt"}}
    error = await refused(client, "create_agent", name="A", system_prompt=PROMPT, tools=[broken])
    assert error["error"].startswith("tools[0].parameters: not a valid JSON Schema at type")


async def test_hostile_strings_come_back_as_they_were_stored(client: Client) -> None:
    hostile = [text for text in json.loads(shared_path("real/blns.json").read_text("utf-8")) if text.strip()]
    traits = {"list": hostile} | {f"key {text}": text for text in hostile[:50]}
    await call(client, "create_persona", name="P", identity_prompt="\n".join(hostile), behavior_traits=traits)
    get = partial(call, client, "get", kind="persona", id="P")
    assert await whole_part(lambda part: get(part=part), "behavior_traits") == traits
    assert await whole_part(lambda part: get(part=part), "identity_prompt") == "\n".join(hostile)


async def test_hostile_names_are_found_again(client: Client) -> None:
    names = [text for text in json.loads(shared_path("real/blns.json").read_text("utf-8")) if text.strip()]
    for name in names[::25]:
        created = await call(client, "create_suite", name=name)
        assert (await call(client, "get", kind="suite", id=created["suite_id"]))["name"] == name


async def test_changes_take_names_and_prefixes_as_creating_does(client: Client) -> None:
    case_id = await create_clinic(client)
    suite_id = (await call(client, "create_suite", name="Clinic calls"))["suite_id"]
    other = (await call(client, "create_persona", name="Dan", identity_prompt="You are Dan."))["persona_id"]
    for named, persona in (("clinic calls", "Dan"), (suite_id[:8], other[:8])):
        done = await call(
            client, "update", kind="case", id=case_id, changes={"suite_id": named, "persona_id": persona}
        )
        assert done["changed"] == {"suite_id": suite_id, "persona_id": other}
    done = await call(client, "update", kind="suite", id="Clinic calls", changes={"agent_id": "Clinic"})
    assert done["changed"]["agent_id"] == (await call(client, "get", kind="agent", id="Clinic"))["id"]
    left = await call(client, "update", kind="case", id=case_id, changes={"suite_id": None})
    assert left["changed"] == {"suite_id": None}


async def test_tools_that_agents_share_are_attached_by_their_names(settings: Settings) -> None:
    async with connect(settings) as link, Client(build_server(lambda: connect(settings))) as client:
        tool = await link.backend.create("tool", {"name": "lookUp"})
        await create_clinic(client)
        changes = {"tool_ids": ["lookUp"]}
        done = await call(client, "update", kind="agent", id="Clinic", changes=changes)
        assert done["changed"]["tool_ids"] == [tool.id]


async def test_what_cannot_be_changed_is_said_before_what_it_may_name(client: Client) -> None:
    case_id = await create_clinic(client)
    error = await refused(client, "update", kind="case", id=case_id, changes={"agent_id": "nobody"})
    assert "A case keeps its agent" in error["error"]
    error = await refused(client, "update", kind="agent", id="Clinic", changes={"suite_id": "nothing"})
    assert error["code"] == "BAD_REQUEST"


async def test_a_name_that_is_taken_is_warned_of(settings: Settings) -> None:
    async with Client(build_server(lambda: connect(settings))) as client:
        first = await call(client, "create_suite", name="Nightly")
        second = await call(client, "create_suite", name="nightly")
    assert "warnings" not in first
    assert second["warnings"] == ["Another suite has this name: use ids, or rename one of them."]


async def test_null_is_an_argument_that_was_not_given_but_for_where_it_means_something(
    client: Client,
) -> None:
    case_id = await create_clinic(client, max_turns=None, tool_policy=None, description=None)
    assert "max_turns" not in await call(client, "get", kind="case", id=case_id)
    await call(client, "create_agent", name="A", system_prompt="p", temperature=None)
    assert (await call(client, "get", kind="agent", id="A"))["temperature"] is None
    error = await refused(client, "create_suite", name=None)
    assert "name: " in error["error"]
