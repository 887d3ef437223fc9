"""A run that was interrupted goes on from where it was: with the same conversation, the same verdicts, and nothing
paid for or done a second time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_agent_eval.backend.embedded import EmbeddedBackend, open_embedded
from mcp_agent_eval.engine.running import journal
from mcp_agent_eval.engine.store.sqlite import SqliteDatabase
from mcp_agent_eval.errors import StoreError
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json, Run, Turn
from tests.provider import Provider, provider
from tests.running import running
from tests.support import OFFLINE

MODEL = "openai:p"
PRICES = {"p": {"input": 1.0, "output": 10.0}}
VERDICT = '{"reasoning": "It did.", "turns": [], "passed": true}'
JUDGED = [
    {"type": "custom_llm_judge", "rubric": "The agent is polite."},
    {"type": "custom_llm_judge", "rubric": "The agent is quick."},
    {"type": "must_say", "pattern": "line 4"},
]
"""Two verdicts of a model, and a word that the agent says in its last turn."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'evals.db'}"


@asynccontextmanager
async def opened(url: str, model: Provider, **changes: Any) -> AsyncGenerator[EmbeddedBackend]:
    """An engine of which the provider plays every part, and that is closed without a moment of grace."""
    given = OFFLINE | dict.fromkeys(("agent_model", "persona_model", "judge_model"), MODEL)
    given |= {"model_base_url": model.url, "prices": PRICES, "model_attempts": 1, "grace_seconds": 0}
    async with open_embedded(Settings.read(database_url=url, **given | changes)) as backend:
        yield backend


async def started(backend: EmbeddedBackend, agent: Json | None = None, **case: Any) -> str:
    """The id of a run of which nobody but `case` decides when it ends."""
    draft = {"name": "A", "system_prompt": "Be brief.", "greeting_message": "Hello."} | (agent or {})
    made = await backend.create("agent", draft)
    caller = await backend.create("persona", {"name": "P", "identity_prompt": "You are Ann."})
    about = {"name": "C", "agent_id": made.id, "persona_id": caller.id, "scenario": "You want the time."}
    return (await backend.start_run((await backend.create("case", about | case)).id)).id


async def final(backend: EmbeddedBackend, id: str) -> Run:
    with anyio.fail_after(30):
        while not (run := await backend.wait_run(id, 5)).is_final:
            pass
    return run


def role_of(body: Json) -> str:
    text = str(body["messages"][0]["content"])
    return "judge" if "decide whether" in text else "persona" if "You are Ann" in text else "agent"


def speaker(body: Json) -> str:
    """Numbers what it says, as both sides count it."""
    said = sum(message["role"] != "system" for message in body["messages"])
    return f"This is line {said}."


def spoken(turns: list[Turn]) -> list[str | None]:
    return [turn.text for turn in turns if turn.role in ("agent", "persona")]


def verdicts_took_an_hour(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE model_calls SET latency_ms = 3600000 WHERE role = 'judge'")


class TestWhileItIsJudged:
    @pytest.mark.parametrize("how", ["max_turns", "timeout"])
    async def test_what_was_said_and_judged_stands(self, url: str, tmp_path: Path, how: str) -> None:
        asked: Counter[str] = Counter()
        judging, closed = anyio.Event(), anyio.Event()

        async def answer(body: Json) -> str:
            role = role_of(body)
            asked[role] += 1
            if role != "judge":
                if how == "timeout" and asked["persona"] == 3 and not judging.is_set():
                    await closed.wait()
                return speaker(body)
            if asked["judge"] == 2:
                judging.set()
                await closed.wait()
            return VERDICT

        limits = {"run_timeout": 2} if how == "timeout" else {}
        async with provider(answer) as model:
            async with opened(url, model, **limits) as backend:
                id = await started(backend, max_turns=6, success_criteria=JUDGED)
                with anyio.fail_after(20):
                    await judging.wait()
                before = await backend.turns(id)
            closed.set()
            verdicts_took_an_hour(tmp_path / "evals.db")
            async with opened(url, model, **limits) as backend:
                run = await final(backend, id)
                assert await backend.turns(id) == before
                calls = await backend.calls(id, limit=100)
        assert run.termination_reason == how
        assert run.evaluation
        assert [result.passed for result in run.evaluation.results or []] == [True, True, True]
        lost = Counter(judge=1, persona=how == "timeout")
        assert Counter(call.role for call in calls) == asked - lost
        assert run.cost_usd == pytest.approx(0.002 * len(calls))
        assert asked["judge"] == 3


class TestWhileAToolActs:
    async def test_one_that_no_model_asked_for_acts_once(self, url: str) -> None:
        async with desk() as hook, provider(speaker) as model:
            async with opened(url, model, allow_private_addresses=True) as backend:
                id = await started(backend, flow_that_looks_first(hook), tool_policy="real", max_turns=3)
                with anyio.fail_after(10):
                    await hook.arrived.wait()
            hook.gate.set()
            async with opened(url, model, allow_private_addresses=True) as backend:
                run = await final(backend, id)
                uses = outcomes(await backend.turns(id))
        assert hook.asked == ["look"]
        assert run.status == "completed"
        assert ["result is unknown" in str(use.error) for use in uses] == [True]

    async def test_of_several_those_that_acted_are_known_and_those_that_did_not_act_now(
        self, url: str
    ) -> None:
        names = ["first", "second", "third"]

        def answer(body: Json) -> Any:
            if role_of(body) == "persona" or any(message["role"] == "tool" for message in body["messages"]):
                return speaker(body)
            calls = [
                {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
                for name in names
            ]
            return {"role": "assistant", "content": None, "tool_calls": calls}

        async with desk(holds="second") as hook, provider(answer) as model:
            agent = {"tools": [hook.tool(name) for name in names]}
            async with opened(url, model, allow_private_addresses=True) as backend:
                id = await started(backend, agent, tool_policy="real", max_turns=4)
                with anyio.fail_after(10):
                    await hook.arrived.wait()
            hook.gate.set()
            async with opened(url, model, allow_private_addresses=True) as backend:
                await final(backend, id)
                uses = outcomes(await backend.turns(id))
        assert hook.asked == names
        assert [(use.name, use.result) for use in uses] == [
            ("first", {"done": "first"}),
            ("second", None),
            ("third", {"done": "third"}),
        ]
        assert "result is unknown" in str(uses[1].error)

    async def test_one_that_acts_when_time_is_over_is_in_the_transcript(self, url: str) -> None:
        def answer(body: Json) -> Any:
            if role_of(body) == "persona":
                return speaker(body)
            call = {"id": "c", "type": "function", "function": {"name": "charge", "arguments": "{}"}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}

        async with desk(holds="charge") as hook, provider(answer) as model:
            async with opened(url, model, allow_private_addresses=True, run_timeout=1.5) as backend:
                criteria = [{"type": "must_call_tool", "tool_name": "charge"}]
                agent = {"tools": [hook.tool("charge")]}
                id = await started(backend, agent, tool_policy="real", success_criteria=criteria)
                run = await final(backend, id)
                uses = outcomes(await backend.turns(id))
        assert (run.termination_reason, run.pass_fail) == ("timeout", True)
        assert ["ran out of time" in str(use.error) for use in uses] == [True]


class TestWhileAModelIsAway:
    async def test_time_in_which_it_fails_is_not_the_conversations(self, url: str) -> None:
        is_down = False

        def answer(body: Json) -> str | Response:
            nonlocal is_down
            if role_of(body) == "persona" and not answered:
                answered.append(body)
                is_down = True
                return speaker(body)
            return JSONResponse({"error": {"message": "Down."}}, 503) if is_down else speaker(body)

        answered: list[Json] = []
        async with provider(answer) as model:
            async with opened(url, model, run_timeout=1, model_attempts=20) as backend:
                id = await started(backend, max_turns=4)
                with anyio.fail_after(20):
                    while not (await backend.wait_run(id, 1)).waiting_for:
                        pass
                is_down = False
                run = await final(backend, id)
        assert (run.status, run.termination_reason) == ("completed", "max_turns")


class TestClosing:
    async def test_a_call_in_flight_may_end_and_is_not_made_again(self, url: str) -> None:
        async with provider(speaker, open_gate=False) as model:
            async with opened(url, model, grace_seconds=20) as backend:
                id = await started(backend, max_turns=4)
                with anyio.fail_after(10):
                    await model.arrived.wait()
                model.gate.set()
            asked = len(model.asked)
            async with opened(url, model, max_concurrency=0) as idle:
                waiting = await idle.run(id)
                stored = len(await idle.calls(id))
            async with opened(url, model) as backend:
                await final(backend, id)
        assert (waiting.queue_status, waiting.attempts) == ("pending", 0)
        assert stored == asked >= 1
        assert len(model.asked) == 3

    async def test_a_database_that_fails_for_a_while_costs_no_answer(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(journal, "_FIRST_PAUSE", 0.01)
        write_own, failures = SqliteDatabase.write_own, iter(range(5))

        async def failing(self: SqliteDatabase, work: Callable[..., Any]) -> Any:
            if next(failures, None) is not None:
                raise StoreError("The disk is full.")
            return await write_own(self, work)

        async with provider(speaker) as model, opened(url, model) as backend:
            monkeypatch.setattr(SqliteDatabase, "write_own", failing)
            run = await final(backend, await started(backend, max_turns=4))
        assert (run.status, run.attempts, len(model.asked)) == ("completed", 1, 3)


def outcomes(turns: list[Turn]) -> list[Any]:
    return [use for turn in turns if turn.role == "tool_result" for use in turn.tool_calls or []]


class Desk:
    """Where tools are taken: remembers what it was asked for, and holds up one of them."""

    def __init__(self, holds: str | None) -> None:
        self._holds = holds
        self.asked: list[str] = []
        self.arrived = anyio.Event()
        self.gate = anyio.Event()
        self.address = ""

    def tool(self, name: str) -> Json:
        nothing = {"type": "object", "properties": {}}
        return {
            "name": name,
            "type": "webhook",
            "parameters": nothing,
            "config": {"url": f"{self.address}/{name}"},
        }

    async def take(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.asked.append(name)
        if self._holds in (None, name):
            self.arrived.set()
            await self.gate.wait()
        return JSONResponse({"done": name})


@asynccontextmanager
async def desk(holds: str | None = None) -> AsyncGenerator[Desk]:
    opened = Desk(holds)
    async with running(Starlette(routes=[Route("/{name}", opened.take, methods=["POST"])])) as address:
        opened.address = address
        try:
            yield opened
        finally:
            opened.gate.set()


def flow_that_looks_first(hook: Desk) -> Json:
    """A flow that says a fixed greeting and uses a tool before any model is asked."""
    nodes = [
        {"id": "s", "type": "start", "greeting": "Hello.", "is_literal": True, "next_step_id": "t"},
        {"id": "t", "type": "tool_call", "tool_id": "look"},
        {
            "id": "c",
            "type": "conversation",
            "instructions": "Talk.",
            "transitions": [{"id": "x", "label": "bye", "description": "It is over.", "next_step_id": "e"}],
        },
        {"id": "e", "type": "end"},
    ]
    nodes[1]["transitions"] = {"success_next_step_id": "c", "error_next_step_id": "c"}
    return {
        "type": "flow",
        "flow_config": {"nodes": nodes},
        "tools": [hook.tool("look")],
        "greeting_message": None,
    }
