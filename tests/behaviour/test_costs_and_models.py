"""What a run costs by role, which models played, and what they refused."""

from __future__ import annotations

import json
from typing import Any

import anyio
from mcp import Client
from starlette.responses import JSONResponse, Response

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Price, Settings
from tests.behaviour.clinic import create_clinic
from tests.provider import Provider, provider
from tests.support import call

PRICES = {"caller": Price(input=1, output=10), "judge": Price(input=2, output=0)}
JUDGED = [{"type": "custom_llm_judge", "rubric": "The agent is polite."}]


def over(settings: Settings, model: Provider, **changes: Any) -> Settings:
    return settings.model_copy(
        update={"model_base_url": model.url, "persona_model": "openai:caller"} | changes
    )


def caller_and_judge(body: dict[str, Any]) -> str:
    if body["model"] == "judge":
        return json.dumps({"reasoning": "It is.", "turns": [0], "passed": True})
    return "Bye. [END OF CALL]"


async def test_costs_are_counted_by_role_the_judge_included(settings: Settings) -> None:
    async with provider(caller_and_judge) as model:
        changed = over(settings, model, judge_model="openai:judge", prices=PRICES)
        async with connect(changed) as link, Client(build_server(lambda: connect(changed))) as client:
            result = await call(
                client, "run_case", case_id=await create_clinic(client, success_criteria=JUDGED)
            )
            assert result["cost_usd"] == 0.004
            run = await link.backend.run(result["run_id"])
            assert (run.persona_input_tokens, run.persona_output_tokens) == (1000, 100)
            assert (run.judge_input_tokens, run.judge_output_tokens) == (1000, 100)
            assert (run.agent_cost_cents, run.persona_cost_cents, run.judge_cost_cents) == (0, 1, 1)
            assert run.total_cost_cents == 2
            turns = await link.backend.turns(run.id)
            assert [(turn.role, turn.cost_cents) for turn in turns] == [("agent", 0), ("persona", 1)]


async def test_an_unknown_price_is_told_and_no_silent_zero(settings: Settings) -> None:
    async with provider(caller_and_judge) as model:
        changed = over(settings, model)
        async with connect(changed) as link, Client(build_server(lambda: connect(changed))) as client:
            result = await call(client, "run_case", case_id=await create_clinic(client))
            assert result["cost_unknown_for"] == ["openai:caller"]
            run = await link.backend.run(result["run_id"])
            assert (run.persona_cost_cents, run.total_cost_cents) == (None, None)


async def test_a_judge_that_gives_no_verdict_fails_the_run_and_not_the_agent(settings: Settings) -> None:
    async with provider(lambda body: "no" if body["model"] == "judge" else "Bye. [END OF CALL]") as model:
        changed = over(settings, model, judge_model="openai:judge")
        async with Client(build_server(lambda: connect(changed))) as client:
            result = await call(
                client, "run_case", case_id=await create_clinic(client, success_criteria=JUDGED)
            )
            assert (result["status"], result["pass_fail"]) == ("failed", False)
            assert "A judge gave no verdict" in result["error"]


async def test_what_a_model_refuses_is_dropped_and_recorded(settings: Settings) -> None:
    def picky(body: dict[str, Any]) -> str | Response:
        if "tools" in body:
            error = {
                "message": f"model {body['model']!r} does not support tools",
                "type": "invalid_request_error",
            }
            return JSONResponse({"error": error}, status_code=400)
        return "Bye. [END OF CALL]"

    async with (
        provider(picky) as model,
        Client(build_server(lambda: connect(over(settings, model)))) as client,
    ):
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert result["termination_reason"] == "persona_goodbye"
        calls = await call(client, "read_transcript", run_id=result["run_id"], view="model_calls")
        assert calls["untrusted_model_calls"][0]["dropped"] == ["tools"]


async def test_a_suite_never_runs_more_cases_at_once_than_its_parallelism(settings: Settings) -> None:
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as held:
        async with Client(build_server(lambda: connect(over(settings, held)))) as client:
            await call(client, "create_suite", name="S", parallelism=2)
            await create_clinic(client, suite_id="S")
            for number in range(4):
                case = {"name": str(number), "agent_id": "Clinic", "persona_id": "Maya", "scenario": "s"}
                await call(client, "create_case", **case, suite_id="S")
            started = await call(client, "run_suite", suite_id="S", wait_seconds=0)
            with anyio.fail_after(5):
                while len(held.asked) < 2:
                    await anyio.lowlevel.checkpoint()
            listed = await call(client, "list_runs", suite_run_id=started["suite_run_id"], status="running")
            assert listed["total"] == 2
            held.gate.set()
            aggregate = await call(client, "get_aggregate", suite_run_id=started["suite_run_id"])
            assert aggregate["completed"] == 5


async def test_a_failed_call_is_kept_with_what_was_sent(settings: Settings) -> None:
    broken = JSONResponse({"error": {"message": "no such model", "code": "model_not_found"}}, status_code=404)
    async with provider(lambda _: broken) as model:
        async with Client(build_server(lambda: connect(over(settings, model)))) as client:
            result = await call(client, "run_case", case_id=await create_clinic(client))
            assert result["status"] == "failed"
            assert "openai:caller answered 404: no such model" in result["error"]
            calls = await call(client, "read_transcript", run_id=result["run_id"], view="model_calls")
            [failed] = calls["untrusted_model_calls"]
            assert failed["request"]["model"] == "caller"
            assert failed["error"]


async def test_a_run_that_another_process_could_not_reach_stays_with_its_own(settings: Settings) -> None:
    async with (
        provider(lambda _: "Bye. [END OF CALL]") as model,
        connect(settings),
        Client(build_server(lambda: connect(over(settings, model)))) as client,
    ):
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert result["termination_reason"] == "persona_goodbye"


async def test_a_suite_whose_caller_no_model_played_says_so(settings: Settings) -> None:
    async with provider(caller_and_judge) as model:
        changed = settings.model_copy(update={"model_base_url": model.url, "agent_model": "openai:agent"})
        async with Client(build_server(lambda: connect(changed))) as client:
            await call(client, "create_suite", name="S")
            await create_clinic(client, suite_id="S")
            aggregate = await call(client, "run_suite", suite_id="S")
    assert "offline model" in aggregate["note"]
