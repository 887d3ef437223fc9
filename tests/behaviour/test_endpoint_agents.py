"""Agents that run elsewhere, as an assistant meets them: created, run, read, and told apart from a fault of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from tests.provider import provider
from tests.running import running
from tests.support import call, refused

Answer = Callable[[Json], Json | Response]


@asynccontextmanager
async def elsewhere(answer: Answer) -> AsyncIterator[tuple[str, list[Json]]]:
    """An agent behind a JSON webhook; yields its address and what it was asked."""
    asked: list[Json] = []

    async def take(request: Request) -> Response:
        body = await request.json()
        asked.append(body | {"headers": dict(request.headers)})
        told = answer(body)
        return told if isinstance(told, Response) else JSONResponse(told)

    async with running(Starlette(routes=[Route("/agent", take, methods=["POST"])])) as address:
        yield f"{address}/agent", asked


async def run_endpoint(client: Client, endpoint: Json, **case: Any) -> Json:
    """Create an agent of this kind with a case, and run it."""
    await call(
        client, "create_agent", name="Elsewhere", type="endpoint", endpoint=endpoint, agent_speaks_first=False
    )
    await call(client, "create_persona", name="Maya", identity_prompt="You are Maya.")
    draft: Json = {
        "name": "C",
        "agent_id": "Elsewhere",
        "persona_id": "Maya",
        "scenario": "You want an appointment.",
        "max_turns": 4,
        "success_criteria": [{"type": "must_call_tool", "tool_name": "book"}],
    }
    case_id = (await call(client, "create_case", **draft | case))["case_id"]
    return await call(client, "run_case", case_id=case_id)


def books(body: Json) -> Json:
    return {
        "text": "Booked. Goodbye.",
        "tool_calls": [{"name": "book", "args": {"day": "Tuesday"}, "result": {"ok": True}}],
        "ends": True,
    }


async def test_an_agent_behind_a_webhook_is_run_with_the_tools_that_it_reports(settings: Settings) -> None:
    async with elsewhere(books) as (url, asked), Client(build_server(lambda: connect(settings))) as client:
        run = await run_endpoint(client, {"protocol": "webhook", "url": url})
        assert (run["pass_fail"], run["termination_reason"], run["end_detail"]) == (
            True,
            "agent_ended",
            "endpoint",
        )
        assert (run["cost_usd"], run.get("cost_unknown_for")) == (0, None)
        assert asked[0]["conversation_id"] == run["run_id"]
        shown = await call(client, "read_transcript", run_id=run["run_id"])
        roles = [row["role"] for row in shown["untrusted_turns"]]
        assert roles == ["persona", "agent", "tool_result"]


async def test_an_agent_elsewhere_takes_nothing_from_a_budget(settings: Settings) -> None:
    tight = settings.model_copy(update={"run_budget": 0.001, "day_budget": 0.001})
    async with elsewhere(books) as (url, _), Client(build_server(lambda: connect(tight))) as client:
        run = await run_endpoint(client, {"protocol": "webhook", "url": url})
    assert (run["status"], run["pass_fail"]) == ("completed", True)


async def test_an_openai_compatible_agent_is_run(settings: Settings) -> None:
    async with provider(lambda _: "We are open from nine to five. Goodbye.") as model:
        async with Client(build_server(lambda: connect(settings))) as client:
            criteria = [{"type": "must_say", "pattern": "nine to five"}]
            run = await run_endpoint(
                client, {"protocol": "openai", "url": model.url}, success_criteria=criteria, max_turns=2
            )
            assert run["pass_fail"] is True
            assert "system" not in [message["role"] for message in model.asked[0]["messages"]]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: PlainTextResponse("<html>down</html>", 500),
        lambda _: PlainTextResponse("{", 200, media_type="application/json"),
        lambda _: {"nothing": 1},
        lambda _: PlainTextResponse("no", 404),
    ],
    ids=["500", "bad JSON", "no text", "404"],
)
async def test_an_endpoint_that_fails_ends_the_run_with_a_reason_that_names_it(
    settings: Settings, answer: Answer
) -> None:
    async with elsewhere(answer) as (url, _), Client(build_server(lambda: connect(settings))) as client:
        run = await run_endpoint(client, {"protocol": "webhook", "url": url, "timeout_seconds": 5})
        assert run["status"] == "failed"
        assert url.split("/")[2] in run["error"]
        assert "Traceback" not in json.dumps(run)


async def test_a_secret_that_is_not_set_fails_the_run_and_says_which(settings: Settings) -> None:
    async with elsewhere(books) as (url, asked), Client(build_server(lambda: connect(settings))) as client:
        headers = {"authorization": "Bearer {{secret.ELSEWHERE}}"}
        run = await run_endpoint(client, {"protocol": "webhook", "url": url, "headers": headers})
        assert run["status"] == "failed"
        assert "ELSEWHERE" in run["error"]
        assert asked == []


async def test_a_prompt_takes_no_endpoint_and_an_endpoint_needs_one(client: Client) -> None:
    endpoint = {"protocol": "webhook", "url": "http://localhost/x"}
    error = await refused(client, "create_agent", name="A", system_prompt="p", endpoint=endpoint)
    assert 'set type to "endpoint"' in error["error"]
    error = await refused(client, "create_agent", name="A", type="endpoint")
    assert "needs endpoint" in error["error"]
