"""The contract over HTTP, as a client of the hosted API would meet it: a real engine, offline models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_agent_eval import __version__
from mcp_agent_eval.api.app import build_api
from mcp_agent_eval.types import caller as callers
from tests.contract.rest_support import (
    NOWHERE,
    Caller,
    calling,
    create_agent,
    create_case,
    create_persona,
    create_suite,
    open_api,
    open_backend,
    open_held_api,
)

PATHS = {
    "persona": "/agent-eval/personas",
    "case": "/agent-eval/cases",
    "suite": "/agent-eval/suites",
    "agent": "/agents",
    "tool": "/tools",
}
DRAFTS: dict[str, dict[str, Any]] = {
    "persona": {"name": "Maya", "identity_prompt": "You are Maya."},
    "suite": {"name": "Clinic"},
    "agent": {"name": "Clinic", "system_prompt": "You are a receptionist."},
    "tool": {"name": "bookAppointment"},
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Caller]:
    async with open_api(tmp_path) as caller:
        yield caller


async def _create(api: Caller, kind: str, **fields: Any) -> dict[str, Any]:
    if kind == "case":
        return await create_case(api, **fields)
    return await api.post(PATHS[kind], DRAFTS[kind] | fields)


# Discovery


async def test_the_root_lists_every_endpoint_with_its_scope(api: Caller) -> None:
    welcome = await api.get("/")
    listed = {(one["method"], one["path"]): one["scope"] for one in welcome["endpoints"]}

    assert (welcome["name"], welcome["version"]) == ("mcp-agent-eval", __version__)
    assert set(welcome["extensions"]) == {
        "idempotency_key",
        "respond_async",
        "model_calls",
        "judge",
        "create_agents",
    }
    assert len(listed) == 37
    assert listed["GET", "/"] is None
    assert listed["POST", "/agents"] == "agent_eval:create"
    assert listed["POST", "/agent-eval/runs/{id}/cancel"] == "agent_eval:run"
    assert listed["DELETE", "/tools/{id}"] == "agent_eval:delete"
    assert all(one["summary"] for one in welcome["endpoints"])


async def test_the_document_says_what_each_operation_may_answer_and_takes(api: Caller) -> None:
    document = await api.get("/openapi.json")
    operations = [one for path in document["paths"].values() for one in path.values()]

    assert len({one["operationId"] for one in operations}) == len(operations)
    assert "422" not in {status for one in operations for status in one["responses"]}
    assert document["paths"]["/agent-eval/cases/{case_id}/run"]["post"]["security"] == [
        {"bearer": ["agent_eval:run"]}
    ]
    changes = document["components"]["schemas"]["CaseChanges"]
    assert "agent_id" not in changes["properties"]
    assert "required" not in changes


async def test_the_examples_of_the_document_work_as_they_stand(api: Caller) -> None:
    schemas = (await api.get("/openapi.json"))["components"]["schemas"]
    made = {}
    for kind in ("agent", "persona", "tool", "suite"):
        made[kind] = (await api.post(PATHS[kind], schemas[f"{kind.title()}Draft"]["examples"][0]))["id"]
    ids = {"agent_id": made["agent"], "persona_id": made["persona"]}
    case = await api.post("/agent-eval/cases", schemas["CaseDraft"]["examples"][0] | ids)
    await api.post(f"/agent-eval/cases/{case['id']}/run", schemas["RunOptions"]["examples"][0], status=200)


async def test_the_root_answers_whoever_only_looks_whether_it_is_there(api: Caller) -> None:
    for path in ("/", "/openapi.json"):
        response = await api.http.head(path)
        assert (response.status_code, response.content) == (200, b"")


async def test_there_are_no_pages_that_load_scripts_from_elsewhere(api: Caller) -> None:
    for path in ("/docs", "/redoc"):
        await api.refused("GET", path, status=404)


# The five verbs


@pytest.mark.parametrize("kind", PATHS)
async def test_a_noun_is_created_read_changed_and_deleted(api: Caller, kind: str) -> None:
    created = await _create(api, kind)
    path = f"{PATHS[kind]}/{created['id']}"
    assert await api.get(path) == created
    assert (await api.get(PATHS[kind]))["data"] == [created]

    changed = await api.send("PATCH", path, {"name": "other"}, status=200)
    assert changed["updated_at"] > created["updated_at"]
    assert changed == created | {"name": "other", "updated_at": changed["updated_at"]}

    assert await api.send("DELETE", path, status=200) == {"success": True}
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await api.refused(method, path, body, status=404))["code"] == "NOT_FOUND"
    assert (await api.get(PATHS[kind]))["data"] == []


@pytest.mark.parametrize("kind", PATHS)
async def test_a_list_is_cut_into_pages(api: Caller, kind: str) -> None:
    shared = {}
    if kind == "case":
        shared = {
            "agent_id": (await create_agent(api))["id"],
            "persona_id": (await create_persona(api))["id"],
        }
    created = [(await _create(api, kind, name=f"n{number}", **shared))["name"] for number in range(5)]
    first = await api.get(f"{PATHS[kind]}?limit=2")
    last = await api.get(f"{PATHS[kind]}?limit=2&offset=4")

    order = created if kind == "persona" else created[::-1]
    assert [one["name"] for one in first["data"]] == order[:2]
    assert [one["name"] for one in last["data"]] == order[4:]
    assert first["pagination"] == {"total": 5, "limit": 2, "offset": 0, "has_more": True}
    assert last["pagination"] == {"total": 5, "limit": 2, "offset": 4, "has_more": False}
    assert first["company_id"] == first["data"][0]["company_id"]


async def test_personas_come_by_name(api: Caller) -> None:
    for name in ("Zoe", "Anna", "Maya"):
        await create_persona(api, name=name)
    assert [one["name"] for one in (await api.get("/agent-eval/personas"))["data"]] == ["Anna", "Maya", "Zoe"]


async def test_a_page_has_20_by_default_and_100_at_most(api: Caller) -> None:
    assert (await api.get("/agents"))["pagination"] == {
        "total": 0,
        "limit": 20,
        "offset": 0,
        "has_more": False,
    }
    await api.get("/agents?limit=100")
    for query in ("limit=101", "limit=0", "limit=-1", "limit=ten", "limit=1.0", "limit=", "offset=-1"):
        refused = await api.refused("GET", f"/agents?{query}", status=400)
        assert refused["error"].startswith(query.partition("=")[0])


async def test_an_unknown_query_parameter_is_refused_with_those_there_are(api: Caller) -> None:
    refused = await api.refused("GET", "/agent-eval/cases?agent=x", status=400)
    assert "'agent'" in refused["error"]
    assert "limit, offset, agent_id, persona_id, suite_id" in refused["error"]
    assert "takes none" in (await api.refused("GET", "/?verbose=1", status=400))["error"]
    assert "twice" in (await api.refused("GET", "/agents?limit=1&limit=2", status=400))["error"]


async def test_cases_are_filtered_by_what_they_refer_to(api: Caller) -> None:
    suite = await create_suite(api, cases=2)
    other = await create_case(api)

    assert (await api.get(f"/agent-eval/cases?suite_id={suite['id'].upper()}"))["pagination"]["total"] == 2
    for name in ("agent_id", "persona_id"):
        found = await api.get(f"/agent-eval/cases?{name}={other[name]}")
        assert [case["id"] for case in found["data"]] == [other["id"]]
    assert (await api.get(f"/agent-eval/cases?suite_id={NOWHERE}"))["data"] == []
    refused = await api.refused("GET", "/agent-eval/cases?agent_id=clinic", status=400)
    assert refused["error"] == "agent_id: must be a UUID."


async def test_a_suite_of_500_cases_is_listed_filtered_and_paged(tmp_path: Path) -> None:
    async with open_backend(tmp_path) as backend, calling(build_api(backend)) as api:
        suite, outside = await create_suite(api, cases=0), await create_case(api)
        ids = {"agent_id": outside["agent_id"], "persona_id": outside["persona_id"], "suite_id": suite["id"]}
        for number in range(500):
            await backend.create("case", {"name": f"Case {number}", "scenario": "You call."} | ids)

        names: list[str] = []
        for offset in range(0, 500, 100):
            page = await api.get(f"/agent-eval/cases?suite_id={suite['id']}&limit=100&offset={offset}")
            assert page["pagination"] == {
                "total": 500,
                "limit": 100,
                "offset": offset,
                "has_more": offset < 400,
            }
            names += [case["name"] for case in page["data"]]
        beyond = await api.get(f"/agent-eval/cases?suite_id={suite['id']}&offset=500")

    assert names == [f"Case {number}" for number in reversed(range(500))]
    assert (beyond["data"], beyond["pagination"]["has_more"]) == ([], False)


async def test_a_case_comes_with_its_agent_and_persona_everywhere(api: Caller) -> None:
    agent, persona = await create_agent(api), await create_persona(api)
    case = await create_case(api, agent_id=agent["id"], persona_id=persona["id"])
    listed = (await api.get("/agent-eval/cases"))["data"][0]
    for shown in (case, listed, await api.get(f"/agent-eval/cases/{case['id']}")):
        assert (shown["agent"], shown["persona"]) == (agent, persona)


async def test_what_has_been_deleted_still_serves_the_cases_that_use_it(api: Caller) -> None:
    case = await create_case(api)
    await api.send("DELETE", f"/agent-eval/personas/{case['persona_id']}", status=200)

    shown = await api.get(f"/agent-eval/cases/{case['id']}")
    assert shown["persona"]["deleted_at"]
    run = await api.post(f"/agent-eval/cases/{case['id']}/run", status=200)
    assert run["status"] == "completed"
    await api.refused("PATCH", f"/agent-eval/cases/{case['id']}", {"name": "x"}, status=404)

    await api.send("DELETE", f"/agents/{case['agent_id']}", status=200)
    await api.refused("POST", f"/agent-eval/cases/{case['id']}/run", status=404)


async def test_a_case_keeps_its_agent_and_an_agent_its_type(api: Caller) -> None:
    case = await create_case(api)
    path = f"/agent-eval/cases/{case['id']}"
    refused = await api.refused("PATCH", path, {"agent_id": case["agent_id"]}, status=400)
    assert "create another case" in refused["error"]
    await api.refused("PATCH", f"/agents/{case['agent_id']}", {"type": "flow"}, status=400)


@pytest.mark.parametrize("kind", PATHS)
async def test_an_id_may_be_written_in_upper_case_and_must_be_one(api: Caller, kind: str) -> None:
    created = await _create(api, kind)
    assert await api.get(f"{PATHS[kind]}/{created['id'].upper()}") == created
    for wrong in (created["id"][:8], created["name"], created["id"] + "0", f"{{{created['id']}}}"):
        refused = await api.refused("GET", f"{PATHS[kind]}/{wrong}", status=404)
        assert refused["code"] == "RESOURCE_ID_INVALID"
    assert (await api.refused("GET", f"{PATHS[kind]}/{NOWHERE}", status=404))["code"] == "NOT_FOUND"


async def test_what_is_wrong_with_a_field_is_said_as_over_mcp(api: Caller) -> None:
    refused = await api.refused("POST", "/agent-eval/personas", {"nam": "x"}, status=400)
    assert "nam: there is no such field" in refused["error"]
    assert "identity_prompt: is required" in refused["error"]
    refused = await api.refused(
        "POST",
        "/agent-eval/cases",
        {"name": "x", "scenario": "y", "agent_id": NOWHERE, "persona_id": NOWHERE},
        status=404,
    )
    assert NOWHERE in refused["error"]


# Idempotency


@pytest.mark.parametrize("kind", PATHS)
async def test_a_repeated_creation_is_answered_with_what_the_first_one_made(api: Caller, kind: str) -> None:
    body = DRAFTS.get(kind) or {
        "name": "Books",
        "agent_id": (await create_agent(api))["id"],
        "persona_id": (await create_persona(api))["id"],
        "scenario": "You want to book.",
    }
    first = await api.post(PATHS[kind], body, idempotency_key="k1")
    again = await api.post(PATHS[kind], body | {"name": "ignored"}, status=200, idempotency_key="k1")
    other = await api.post(PATHS[kind], body, idempotency_key="k2")

    assert again == first
    assert other["id"] != first["id"]


@pytest.mark.parametrize("kind", ["agent", "tool"])
async def test_agents_and_tools_take_the_key_in_their_body_too(api: Caller, kind: str) -> None:
    body = DRAFTS[kind] | {"idempotency_key": "k1"}
    first = await api.post(PATHS[kind], body)
    assert await api.post(PATHS[kind], body, status=200) == first
    assert await api.post(PATHS[kind], DRAFTS[kind], status=200, idempotency_key="k1") == first

    await api.send("POST", PATHS[kind], body, status=400, idempotency_key="k2")
    for wrong in ("", 7, None, "k" * 201):
        refused = await api.refused("POST", PATHS[kind], body | {"idempotency_key": wrong}, status=400)
        assert refused["error"].startswith("idempotency_key: ")


async def test_a_key_has_200_characters_at_most_and_is_no_field_of_other_nouns(api: Caller) -> None:
    await api.post("/agent-eval/suites", {"name": "x"}, idempotency_key="k" * 200)
    await api.post("/agent-eval/suites", {"name": "x"}, status=400, idempotency_key="k" * 201)
    await api.refused("POST", "/agent-eval/suites", {"name": "x", "idempotency_key": "k"}, status=400)


async def test_a_repeated_start_starts_nothing(api: Caller) -> None:
    suite = await create_suite(api)
    case = (await api.get("/agent-eval/cases"))["data"][0]
    run, suite_run = f"/agent-eval/cases/{case['id']}/run", f"/agent-eval/suites/{suite['id']}/run"

    first = await api.post(run, status=200, idempotency_key="k1")
    assert await api.post(run, status=200, idempotency_key="k1") == first
    started = await api.post(suite_run, status=202, idempotency_key="k1")
    assert await api.post(suite_run, status=202, idempotency_key="k1") == started
    assert (await api.get("/agent-eval/runs"))["pagination"]["total"] == 2


# Runs


async def test_a_run_that_settles_in_time_is_answered_whole(api: Caller) -> None:
    case = await create_case(api)
    run = await api.post(f"/agent-eval/cases/{case['id']}/run", status=200)

    assert (run["status"], run["queue_status"], run["mode"]) == ("completed", "done", "text")
    assert (run["case"]["agent"], run["case"]["persona"]) == (case["agent"], case["persona"])
    assert run["total_cost_cents"] == 0
    assert await api.get(f"/agent-eval/runs/{run['id']}") == run
    assert (await api.get("/agent-eval/runs"))["data"] == [run]


async def test_a_run_that_takes_longer_is_answered_with_what_there_is(tmp_path: Path) -> None:
    async with open_held_api(tmp_path, block_seconds=0.01) as (api, held):
        case = await create_case(api)
        run = await api.post(f"/agent-eval/cases/{case['id']}/run", status=202)
        held.gate.set()
        settled = await api.settled(f"/agent-eval/runs/{run['id']}")

    assert run["queue_status"] != "done"
    assert run["case"]["agent"] == case["agent"]
    assert settled["status"] == "completed"


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        ("respond-async", 202, "respond-async"),
        ("Respond-Async; x=1", 202, "respond-async"),
        ("handling=strict, wait=0", 202, "wait=0"),
        ("respond-async, wait=30", 200, "respond-async, wait=30"),
        ("wait=61", 200, None),
        ("wait=soon", 200, None),
        ("wait=-1", 200, None),
        ("return=minimal", 200, None),
    ],
)
async def test_how_long_to_wait_is_the_callers_to_prefer(
    tmp_path: Path, prefer: str, status: int, applied: str | None
) -> None:
    async with open_held_api(tmp_path) as (api, held):
        if status == 200:
            held.gate.set()
        case = await create_case(api)
        response = await api.http.post(f"/agent-eval/cases/{case['id']}/run", headers={"Prefer": prefer})
    assert response.status_code == status
    assert response.headers.get("Preference-Applied") == applied


async def test_a_run_goes_on_when_its_caller_goes_away(tmp_path: Path) -> None:
    async with open_held_api(tmp_path) as (api, held):
        case = await create_case(api)
        async with anyio.create_task_group() as caller:
            caller.start_soon(api.http.post, f"/agent-eval/cases/{case['id']}/run")
            await held.arrived.wait()
            caller.cancel_scope.cancel()
        held.gate.set()
        run = (await api.get("/agent-eval/runs"))["data"][0]
        assert (await api.settled(f"/agent-eval/runs/{run['id']}"))["status"] == "completed"


async def test_overrides_of_a_run_lie_on_top_of_those_of_its_case(api: Caller) -> None:
    case = await create_case(api, agent_overrides={"greeting_message": "Hi.", "temperature": 1})
    body = {"agent_overrides": {"greeting_message": "Good morning."}}
    run = await api.post(f"/agent-eval/cases/{case['id']}/run", body, status=200)
    turns = await api.get(f"/agent-eval/runs/{run['id']}/turns")

    assert run["agent_overrides"] == {"greeting_message": "Good morning.", "temperature": 1}
    assert turns["data"][0]["text"] == "Good morning."
    assert run["case"]["agent"] == case["agent"]


async def test_a_start_takes_nothing_but_overrides(api: Caller) -> None:
    case = await create_case(api)
    path = f"/agent-eval/cases/{case['id']}/run"
    refused = await api.refused("POST", path, {"overrides": {}}, status=400)
    assert "The fields are: agent_overrides" in refused["error"]
    for body in ([], 1, {"agent_overrides": []}, {"agent_overrides": {"colour": "red"}}):
        await api.refused("POST", path, body, status=400)
    for empty in ({}, {"agent_overrides": None}, {"agent_overrides": {}}):
        await api.post(path, empty, status=200)


async def test_runs_are_filtered_and_come_newest_first(api: Caller) -> None:
    suite = await create_suite(api, cases=2)
    started = await api.post(f"/agent-eval/suites/{suite['id']}/run", status=202)
    await api.settled(f"/agent-eval/suites/{suite['id']}/runs/{started['suite_run_id']}")
    case = await create_case(api)
    alone = await api.post(f"/agent-eval/cases/{case['id']}/run", status=200)

    async def found(query: str) -> list[str]:
        return [run["id"] for run in (await api.get(f"/agent-eval/runs?{query}"))["data"]]

    assert (await found("limit=1")) == [alone["id"]]
    assert (await found(f"case_id={case['id']}")) == [alone["id"]]
    assert set(await found(f"suite_id={suite['id']}")) == set(started["run_ids"])
    assert set(await found(f"suite_run_id={started['suite_run_id'].upper()}")) == set(started["run_ids"])
    assert len(await found("status=completed")) == 3
    assert await found("status=failed") == []
    await api.refused("GET", "/agent-eval/runs?status=done", status=400)
    await api.refused("GET", "/agent-eval/runs?suite_run_id=latest", status=400)


async def test_a_transcript_comes_whole_and_in_order(api: Caller) -> None:
    case = await create_case(api)
    run = await api.post(f"/agent-eval/cases/{case['id']}/run", status=200)
    turns = await api.get(f"/agent-eval/runs/{run['id']}/turns")

    assert turns.keys() == {"data", "company_id"}
    assert [turn["turn_number"] for turn in turns["data"]] == list(range(len(turns["data"])))
    assert {turn["run_id"] for turn in turns["data"]} == {run["id"]}
    assert turns["data"][0].keys() >= {"role", "text", "tool_calls", "flow_event", "cost_cents", "latency_ms"}


async def test_model_calls_are_shown_in_order(api: Caller) -> None:
    case = await create_case(api)
    run = await api.post(f"/agent-eval/cases/{case['id']}/run", status=200)
    path = f"/agent-eval/runs/{run['id']}/calls"
    calls = await api.get(path)

    assert calls.keys() == {"data", "company_id"}
    assert [call["seq"] for call in calls["data"][:3]] == [0, 1, 2]
    assert (await api.get(f"{path}?start=1&limit=1"))["data"] == [calls["data"][1]]
    assert (await api.get(f"{path}?start=1000"))["data"] == []


async def test_an_evaluation_has_nulls_until_the_run_is_settled(tmp_path: Path) -> None:
    async with open_held_api(tmp_path) as (api, held):
        case = await create_case(api, success_criteria=[{"type": "must_say", "pattern": "xyzzy"}])
        path = f"/agent-eval/cases/{case['id']}/run"
        run = await api.post(path, status=202, Prefer="respond-async")
        early = await api.get(f"/agent-eval/runs/{run['id']}/evaluation")
        held.gate.set()
        settled = await api.settled(f"/agent-eval/runs/{run['id']}")
        late = await api.get(f"/agent-eval/runs/{run['id']}/evaluation")

    assert (early["score"], early["pass_fail"], early["results"]) == (None, None, None)
    assert early["status"] in ("queued", "running")
    assert (late["score"], late["pass_fail"]) == (0, False)
    assert late["results"] == settled["evaluation"]["results"]
    assert late["results"][0]["assertion"] == {"type": "must_say", "weight": 1, "pattern": "xyzzy"}
    assert late["termination_reason"] == settled["termination_reason"]


async def test_a_run_is_cancelled_once_and_not_after_its_end(tmp_path: Path) -> None:
    async with open_held_api(tmp_path) as (api, held):
        case = await create_case(api)
        path = f"/agent-eval/cases/{case['id']}/run"
        run = await api.post(path, status=202, Prefer="respond-async")
        await held.arrived.wait()
        cancelled = await api.post(f"/agent-eval/runs/{run['id']}/cancel", status=200)
        held.gate.set()
        settled = await api.settled(f"/agent-eval/runs/{run['id']}")
        refused = await api.refused("POST", f"/agent-eval/runs/{run['id']}/cancel", status=400)

    assert (cancelled["id"], cancelled["case"]["id"]) == (run["id"], case["id"])
    assert (settled["status"], settled["termination_reason"]) == ("cancelled", "cancelled")
    assert refused["error"] == (
        'Cannot cancel run in status "cancelled". Only queued or running runs can be cancelled.'
    )


@pytest.mark.parametrize("suffix", ["", "/turns", "/evaluation", "/calls"])
async def test_of_a_run_that_is_not_there_nothing_is_shown(api: Caller, suffix: str) -> None:
    assert (await api.refused("GET", f"/agent-eval/runs/{NOWHERE}{suffix}", status=404))[
        "code"
    ] == "NOT_FOUND"
    refused = await api.refused("GET", f"/agent-eval/runs/latest{suffix}", status=404)
    assert refused["code"] == "RESOURCE_ID_INVALID"


# Suite runs


async def test_a_suite_run_is_queued_listed_and_added_up(api: Caller) -> None:
    suite = await create_suite(api, cases=3, parallelism=2)
    path = f"/agent-eval/suites/{suite['id']}"
    first = await api.post(f"{path}/run", status=202)
    second = await api.post(f"{path}/run", {"agent_overrides": {"temperature": 0}}, status=202)
    aggregate = await api.settled(f"{path}/runs/{first['suite_run_id']}")
    listed = await api.get(f"{path}/runs")

    assert first.keys() == {"suite_run_id", "run_ids", "company_id"}
    assert [run["id"] for run in aggregate["runs"]] == first["run_ids"]
    assert (aggregate["total_runs"], aggregate["completed"], aggregate["errored"]) == (3, 3, 0)
    assert (aggregate["pass_rate"], aggregate["score_avg"]) == (1, 100)
    assert aggregate["company_id"] == suite["company_id"]
    assert all(run["case"]["agent"] and run["case"]["persona"] for run in aggregate["runs"])

    assert listed.keys() == {"data", "company_id"}
    assert [one["suite_run_id"] for one in listed["data"]] == [second["suite_run_id"], first["suite_run_id"]]
    assert listed["data"][1] == {name: value for name, value in aggregate.items() if name != "runs"}


async def test_a_suite_without_cases_cannot_be_run(api: Caller) -> None:
    suite = await create_suite(api, cases=0)
    refused = await api.refused("POST", f"/agent-eval/suites/{suite['id']}/run", status=400)
    assert refused["error"] == "The suite has no cases."
    await api.refused("POST", f"/agent-eval/suites/{NOWHERE}/run", status=404)
    await api.refused("GET", f"/agent-eval/suites/{NOWHERE}/runs", status=404)


async def test_a_suite_run_is_found_under_its_own_suite_only(api: Caller) -> None:
    suite, other = await create_suite(api), await create_suite(api)
    started = await api.post(f"/agent-eval/suites/{suite['id']}/run", status=202)
    id = started["suite_run_id"]

    await api.get(f"/agent-eval/suites/{suite['id'].upper()}/runs/{id.upper()}")
    await api.refused("GET", f"/agent-eval/suites/{other['id']}/runs/{id}", status=404)
    await api.refused("GET", f"/agent-eval/suites/{suite['id']}/runs/{NOWHERE}", status=404)
    refused = await api.refused("GET", f"/agent-eval/suites/{suite['id']}/runs/latest", status=400)
    assert refused["code"] == "BAD_REQUEST"


# What is refused


async def test_a_path_that_is_not_there_says_where_to_look(api: Caller) -> None:
    for path in ("/agent-eval", "/agents/", "/agent-eval/personas/", "/agent-eval/runs/x/y"):
        refused = await api.refused("GET", path, status=404)
        assert (refused["code"], refused["hint"]) == ("NOT_FOUND", "GET / lists the endpoints.")


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_does(api: Caller) -> None:
    for path, methods in (("/agents", "GET, POST"), (f"/tools/{NOWHERE}", "DELETE, GET, PATCH")):
        response = await api.http.put(path)
        assert (response.status_code, response.headers["allow"]) == (405, methods)
        assert response.json()["code"] == "METHOD_NOT_ALLOWED"
        assert response.json()["error"] == f"PUT is not allowed here; use {methods.replace(', ', ' or ')}."


async def test_a_client_of_mcp_that_asks_elsewhere_is_told_the_path(api: Caller) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for method, path in (("POST", "/"), ("GET", "/sse"), ("POST", "/messages/"), ("POST", "/messages")):
        refused = (await api.http.request(method, path, json=ping)).json()
        assert refused["hint"] == "MCP is at /mcp. GET / lists the endpoints."
    accepts = {"accept": "application/json, text/event-stream"}
    refused = (await api.http.post("/elsewhere", json=ping, headers=accepts)).json()
    assert refused["hint"].startswith("MCP is at /mcp.")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_must_call_itself_json(api: Caller, content_type: str) -> None:
    response = await api.http.post(
        "/agent-eval/suites", content=b'{"name": "x"}', headers={"content-type": content_type}
    )
    assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_variants_of_json_are_json(api: Caller) -> None:
    for content_type in (
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/merge-patch+json",
    ):
        response = await api.http.post(
            "/agent-eval/suites", content=b'{"name": "x"}', headers={"content-type": content_type}
        )
        assert response.status_code == 201


async def test_a_fault_of_ours_says_nothing_of_the_inside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_backend(tmp_path) as backend, calling(build_api(backend)) as api:
        backend.get = None  # type: ignore[method-assign]
        refused = await api.refused("GET", f"/agents/{NOWHERE}", status=500)
    assert refused == {
        "error": "The server failed unexpectedly.",
        "code": "INTERNAL_ERROR",
        "hint": "Its log has the details.",
    }
    assert "TypeError" in caplog.text


async def test_a_caller_who_hangs_up_while_sending_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []

    async def hung_up() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/agents", "query_string": b""}
    async with open_backend(tmp_path) as backend:
        await build_api(backend)(scope | {"headers": []}, hung_up, send)
    assert sent == []
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/agents", "read"),
        ("POST", "/tools", "create"),
        ("PATCH", f"/agent-eval/cases/{NOWHERE}", "update"),
        ("DELETE", f"/agent-eval/personas/{NOWHERE}", "delete"),
        ("POST", f"/agent-eval/cases/{NOWHERE}/run", "run"),
        ("POST", f"/agent-eval/suites/{NOWHERE}/run", "run"),
        ("POST", f"/agent-eval/runs/{NOWHERE}/cancel", "run"),
    ],
)
async def test_a_key_without_the_scope_is_refused_and_told_which(
    tmp_path: Path, method: str, path: str, scope: str
) -> None:
    wanted = f"agent_eval:{scope}"
    others = {f"agent_eval:{one}" for one in ("read", "create", "update", "delete", "run")} - {wanted}
    async with open_backend(tmp_path) as backend:
        app = build_api(backend)

        async def granted(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {"state": {"caller": callers.Caller("ci", frozenset(others))}}, receive, send)

        async with calling(granted) as api:
            refused = await api.refused(method, path, status=401)
    assert refused["code"] == "INSUFFICIENT_SCOPE"
    assert repr(wanted) in refused["error"]
