"""A provider that asks for patience or goes away costs time and no run; a ceiling on costs is never passed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import JSONResponse, Response

from mcp_agent_eval.backend.embedded import EmbeddedBackend, open_embedded
from mcp_agent_eval.engine.limits import lanes
from mcp_agent_eval.lab.digest import run_digest, suite_run_digest
from mcp_agent_eval.lab.packs.loading import load_pack
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Run, RunFilter, SuiteRun
from tests.provider import Provider, provider
from tests.support import OFFLINE

LINES = 3
PRICES = {"p": {"input": 1.0, "output": 10.0}}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_FIRST_PAUSE", 0.05)


@pytest.fixture
def one_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'evals.db'}"


@asynccontextmanager
async def opened(url: str, model: Provider, **changes: Any) -> AsyncGenerator[EmbeddedBackend]:
    """An engine whose personas the provider plays."""
    given: dict[str, Any] = {"persona_model": "openai:p", "model_base_url": model.url, "prices": PRICES}
    settings = Settings.read(database_url=url, **OFFLINE | given | {"model_attempts": 1} | changes)
    async with open_embedded(settings) as backend:
        yield backend


async def suite_of(backend: EmbeddedBackend, cases: int, parallelism: int = 16) -> str:
    ids = await load_pack(
        backend,
        {
            "agents": [{"name": "A", "system_prompt": "Be brief."}],
            "personas": [{"name": "P", "identity_prompt": "You are Ann."}],
            "suites": [{"name": "S", "parallelism": parallelism}],
            "cases": [
                {
                    "name": f"C{n}",
                    "agent": "A",
                    "persona": "P",
                    "suite": "S",
                    "scenario": "You want the time.",
                }
                for n in range(cases)
            ],
        },
    )
    return ids["suite"]["S"]


async def one_run(backend: EmbeddedBackend) -> Run:
    suite = await suite_of(backend, 1)
    cases = await backend.list("case", suite_id=suite)
    return await backend.start_run(cases.data[0].id)


async def final(backend: EmbeddedBackend, id: str) -> Run:
    with anyio.fail_after(30):
        while not (run := await backend.wait_run(id, 5)).is_final:
            pass
    return run


async def final_suite(backend: EmbeddedBackend, id: str) -> SuiteRun:
    with anyio.fail_after(30):
        while not (await backend.wait_suite_run(id, 5)).is_final:
            pass
    return await backend.suite_run(id)


def line_of(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def caller(body: dict[str, Any]) -> str:
    """A caller that says a few lines and hangs up."""
    number = line_of(body)
    return f"This is line {number}." + (" [END OF CALL]" if number == LINES else "")


def refusing(status: int, when: Callable[[int], bool], **headers: str) -> Callable[[dict[str, Any]], Any]:
    """The caller, except for those calls, counted from 0, of which `when` holds."""
    calls = 0

    def answer(body: dict[str, Any]) -> str | Response:
        nonlocal calls
        calls += 1
        if when(calls - 1):
            return JSONResponse({"error": {"message": "Not now."}}, status, headers)
        return caller(body)

    return answer


class TestPatience:
    async def test_a_provider_that_asks_for_patience_fails_no_run(self, database_url: str) -> None:
        answer = refusing(429, lambda call: call % 3 == 1, **{"retry-after-ms": "40"})
        async with provider(answer) as model, opened(database_url, model) as backend:
            started = await backend.start_suite_run(await suite_of(backend, 12))
            ended = await final_suite(backend, started.suite_run_id)
            assert (ended.completed, ended.errored) == (12, 0)
            calls = [call for run in ended.runs for call in await backend.calls(run.id)]
        assert sum(call.attempts for call in calls if call.model == "openai:p") == len(model.asked)

    async def test_one_call_that_is_refused_holds_back_the_calls_of_every_process(
        self, database_url: str
    ) -> None:
        """The second engine was never refused anything, and waits all the same."""
        answer = refusing(429, lambda call: call == 1, **{"retry-after": "60"})
        async with provider(answer) as model, opened(database_url, model) as first:
            run = await one_run(first)
            with anyio.fail_after(10):
                while not (run := await first.wait_run(run.id, 1)).waiting_for:
                    pass
            async with opened(database_url, model) as second:
                other = await second.start_run(run.case_id or "")
                assert (await second.wait_run(other.id, 1.5)).started_at is None
        assert len(model.asked) == 2


class TestOutages:
    async def test_a_run_goes_on_when_a_model_that_was_away_is_back(self, database_url: str) -> None:
        away = refusing(503, lambda call: call in (2, 3, 4))
        async with provider(away) as model, opened(database_url, model) as backend:
            run = await final(backend, (await one_run(backend)).id)
            assert (run.status, run.termination_reason) == ("completed", "persona_goodbye")
            said = [turn.text for turn in await backend.turns(run.id) if turn.role == "persona"]
            assert said == [f"This is line {n}." for n in range(LINES + 1)]
            assert run.attempts == 1
            failures = [call.error for call in await backend.calls(run.id) if call.error]
        # Every answer was paid for once: four lines, and the three calls that were refused.
        assert len(model.asked) == LINES + 1 + 3
        assert len(failures) == 3

    async def test_a_run_that_waits_says_for_what(
        self, one_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "_FIRST_PAUSE", 60)
        async with provider(refusing(503, lambda call: call > 0)) as model:
            async with opened(one_url, model) as backend:
                run = await one_run(backend)
                with anyio.fail_after(10):
                    while not (run := await backend.wait_run(run.id, 1)).waiting_for:
                        pass
                assert (run.status, run.queue_status) == ("queued", "pending")
                assert "openai:p answered 503" in run.waiting_for
                assert run_digest(run)["waiting_for"] == run.waiting_for
                assert (await backend.cancel(run.id)).status == "cancelled"

    async def test_a_model_that_never_answered_is_taken_for_a_mistake(self, one_url: str) -> None:
        async with provider(refusing(503, lambda _: True)) as model, opened(one_url, model) as backend:
            run = await final(backend, (await one_run(backend)).id)
        assert (run.status, run.end_detail) == ("failed", "model_failed")
        assert len(model.asked) == 1

    async def test_after_its_deadline_a_run_fails_and_says_why(self, one_url: str) -> None:
        async with provider(refusing(503, lambda call: call > 0)) as model:
            async with opened(one_url, model, run_deadline=0.2) as backend:
                run = await final(backend, (await one_run(backend)).id)
        assert run.status == "failed"
        assert "answered 503" in str(run.error)

    async def test_a_judge_that_was_away_judges_the_conversation_as_it_was(self, one_url: str) -> None:
        judged = 0

        def answer(body: dict[str, Any]) -> str | Response:
            nonlocal judged
            if "decide whether" not in str(body["messages"][0]["content"]):
                return caller(body)
            judged += 1
            verdict = '{"reasoning": "It did.", "turns": [], "passed": true}'
            return JSONResponse({"error": {"message": "Down."}}, 503) if judged == 1 else verdict

        async with provider(answer) as model, opened(one_url, model, judge_model="openai:p") as backend:
            suite = await suite_of(backend, 1)
            case = (await backend.list("case", suite_id=suite)).data[0]
            criteria = [{"type": "custom_llm_judge", "rubric": "The agent is polite."}]
            await backend.update("case", case.id, {"success_criteria": criteria})
            run = await final(backend, (await backend.start_run(case.id)).id)
        assert (run.status, run.pass_fail, judged) == ("completed", True, 2)
        assert len(model.asked) == LINES + 1 + 2

    async def test_while_a_model_is_away_other_runs_of_it_are_not_begun(
        self, one_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lanes, "_FIRST_PAUSE", 60)
        async with provider(refusing(503, lambda call: call > 0)) as model:
            async with opened(one_url, model, max_concurrency=1) as backend:
                started = await backend.start_suite_run(await suite_of(backend, 5))
                with anyio.fail_after(10):
                    while not any(run.waiting_for for run in (await backend.runs(RunFilter())).data):
                        await backend.wait_suite_run(started.suite_run_id, 1)
                assert (await backend.suite_run(started.suite_run_id)).in_flight == 5
        assert len(model.asked) == 2


class TestLimits:
    async def test_a_models_limit_holds_over_all_processes(self, database_url: str) -> None:
        at_once = most = 0

        async def answer(body: dict[str, Any]) -> str:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.01)
            at_once -= 1
            return caller(body)

        async with provider(answer) as model:
            limit = {"model_concurrency": {"openai:p": 2}}
            async with opened(database_url, model, **limit) as first, opened(database_url, model, **limit):
                started = await first.start_suite_run(await suite_of(first, 10))
                assert (await final_suite(first, started.suite_run_id)).completed == 10
        assert most == 2

    async def test_who_executes_nothing_leaves_runs_to_others(self, database_url: str) -> None:
        async with provider(caller) as model, opened(database_url, model, max_concurrency=0) as idle:
            run = await one_run(idle)
            async with opened(database_url, model):
                assert (await final(idle, run.id)).status == "completed"


class TestBudgets:
    async def test_no_run_costs_more_than_its_ceiling(self, one_url: str) -> None:
        async with provider(caller) as model, opened(one_url, model, run_budget=0.045) as backend:
            run = await final(backend, (await one_run(backend)).id)
            turns = await backend.turns(run.id)
        assert (run.status, run.end_detail, run.pass_fail) == ("failed", "budget_exceeded", None)
        assert "budget of this run, $0.045, is used up" in str(run.error)
        assert "AGENT_EVAL_RUN_BUDGET" in str(run.error)
        assert 0 < run.cost_usd <= 0.045
        assert turns
        assert all(body["max_tokens"] for body in model.asked)

    async def test_a_suite_run_stops_before_its_ceiling_and_says_what_was_run(
        self, database_url: str
    ) -> None:
        async with provider(caller) as model:
            async with opened(database_url, model, suite_budget=0.06, max_concurrency=2) as backend:
                started = await backend.start_suite_run(await suite_of(backend, 12))
                ended = await final_suite(backend, started.suite_run_id)
        assert ended.cost_usd <= 0.06
        assert ended.completed >= 1
        assert ended.cancelled >= 5
        assert ended.completed + ended.cancelled + ended.errored == 12
        assert "budget of this suite run, $0.06, is used up" in str(ended.stopped)
        digest = suite_run_digest(ended, "S")
        assert digest["stopped"] == ended.stopped

    async def test_one_ceiling_holds_for_whatever_is_started(self, one_url: str) -> None:
        async with provider(caller) as model, opened(one_url, model, max_cost_usd=0.06) as backend:
            suite = await suite_of(backend, 12)
            started = await backend.start_suite_run(suite)
            whole = await final_suite(backend, started.suite_run_id)
        async with (
            provider(caller) as model,
            opened(one_url, model, max_cost_usd=0.045, run_budget=1) as backend,
        ):
            run = await final(backend, (await one_run(backend)).id)
        assert "budget of this suite run, $0.06, is used up" in str(whole.stopped)
        assert 0 < whole.cost_usd <= 0.06
        assert "budget of this run, $0.045, is used up" in str(run.error)
        assert "Raise AGENT_EVAL_MAX_COST_USD" in str(run.error)

    async def test_the_days_ceiling_holds_for_all_runs_and_processes_together(
        self, database_url: str
    ) -> None:
        async with provider(caller) as model:
            async with (
                opened(database_url, model, day_budget=0.06) as first,
                opened(database_url, model, day_budget=0.06) as other,
            ):
                suite = await suite_of(first, 8)
                started = [await one.start_suite_run(suite) for one in (first, other)]
                ended = [await final_suite(first, one.suite_run_id) for one in started]
        assert 0 < sum(one.cost_usd for one in ended) <= 0.06

    async def test_a_budget_over_a_model_without_a_price_is_refused(self, one_url: str) -> None:
        async with provider(caller) as model:
            async with opened(one_url, model, prices={}, day_budget=1) as backend:
                run = await final(backend, (await one_run(backend)).id)
        assert (run.status, run.end_detail) == ("failed", "not_configured")
        assert "the price of openai:p is unknown" in str(run.error)
        assert model.asked == []
