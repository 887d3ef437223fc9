"""Tools that act for real: the user is asked, the webhook gets what is documented, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitResult
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.types import Json
from tests.behaviour.clinic import BOOK, CALLS_TOOL, PROMPT, create_clinic
from tests.contract.test_backend import finished
from tests.running import running
from tests.support import call, refused


class Hook:
    """A webhook's server that remembers what it was sent, and answers when its gate is open."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        self.arrived = anyio.Event()
        self.gate = anyio.Event()
        self.url = ""

    async def take(self, request: Request) -> Response:
        self.received.append({"headers": dict(request.headers), "body": await request.json()})
        self.arrived.set()
        await self.gate.wait()
        return JSONResponse({"confirmation_number": "REAL-7"})


@asynccontextmanager
async def hook(*, open_gate: bool = True) -> AsyncIterator[Hook]:
    called = Hook()
    if open_gate:
        called.gate.set()
    app = Starlette(routes=[Route("/book", called.take, methods=["POST"])])
    async with running(app) as address:
        called.url = f"{address}/book"
        try:
            yield called
        finally:
            called.gate.set()


def acting(url: str) -> Json:
    """The clinic's tool with an address, and a secret in its header."""
    return BOOK | {"type": "webhook", "config": {"url": url, "headers": {"x-key": "{{secret.CLINIC}}"}}}


async def create_acting_case(client: Client, url: str, **case: Any) -> str:
    case_id = await create_clinic(client)
    await call(client, "update", kind="agent", id="Clinic", changes={"tools": [acting(url)]})
    await call(client, "update", kind="case", id=case_id, changes={"tool_policy": "real"} | case)
    return case_id


@pytest.fixture
def allowing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AGENT_EVAL_SECRET_CLINIC", "s3cret-of-the-clinic")
    return settings.model_copy(update={"allow_private_addresses": True})


async def test_a_webhook_fires_once_with_what_is_documented_and_its_answer_reaches_the_agent(
    allowing: Settings,
) -> None:
    async with hook() as target, Client(build_server(lambda: connect(allowing))) as client:
        case_id = await create_acting_case(client, target.url)
        run = await call(client, "run_case", case_id=case_id, allow_real_tools=True)
        assert run["pass_fail"] is True
        assert len(target.received) == 1
        sent = target.received[0]
        assert sent["headers"]["x-key"] == "s3cret-of-the-clinic"
        assert sent["body"]["day"] == "Tuesday"
        assert sent["body"]["call_id"] == run["run_id"]
        assert sent["body"]["agent_name"] == "Clinic"
        shown = await call(client, "read_transcript", run_id=run["run_id"])
        told = json.dumps(shown)
        assert "/book" in told
        assert "REAL-7" in told
        assert "mocked" not in told
        async with connect(allowing) as link:
            turns = await link.backend.turns(run["run_id"])
        use = next(use for turn in turns if turn.role == "tool_result" for use in turn.tool_calls or [])
        assert (use.mocked, use.response and use.response["status"]) == (False, 200)
        assert use.request is not None
        assert use.request["headers"] == {"x-key": "{{secret.CLINIC}}"}
        assert use.duration_ms is not None
    database = anyio.Path(allowing.database_url.removeprefix("sqlite:///"))
    assert b"s3cret-of-the-clinic" not in await database.read_bytes()


async def test_a_private_address_is_refused_unless_a_setting_allows_it(allowing: Settings) -> None:
    strict = allowing.model_copy(update={"allow_private_addresses": False})
    async with hook() as target, Client(build_server(lambda: connect(strict))) as client:
        case_id = await create_acting_case(client, target.url)
        run = await call(client, "run_case", case_id=case_id, allow_real_tools=True)
        shown = json.dumps(await call(client, "read_transcript", run_id=run["run_id"]))
        assert target.received == []
        assert "AGENT_EVAL_ALLOW_PRIVATE_ADDRESSES" in shown


async def test_an_allowlist_lets_only_the_named_tools_act(allowing: Settings) -> None:
    async with hook() as target, Client(build_server(lambda: connect(allowing))) as client:
        case_id = await create_acting_case(client, target.url, tool_policy="allowlist")
        run = await call(client, "run_case", case_id=case_id)
        assert run["pass_fail"] is True
        assert target.received == []
        await call(client, "update", kind="case", id=case_id, changes={"tool_allowlist": ["bookAppointment"]})
        await call(client, "run_case", case_id=case_id, allow_real_tools=True)
        assert len(target.received) == 1


async def agrees(context: object, params: object) -> ElicitResult:
    return ElicitResult(action="accept", content={"start": True})


async def refuses(context: object, params: object) -> ElicitResult:
    return ElicitResult(action="accept", content={"start": False})


async def turns_away(context: object, params: object) -> ElicitResult:
    return ElicitResult(action="cancel")


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize(
    "answer", [None, agrees, refuses, turns_away], ids=["cannot ask", "yes", "no", "cancel"]
)
async def test_the_user_is_asked_where_the_host_can_ask(allowing: Settings, era: Any, answer: Any) -> None:
    async with hook() as target:
        server = build_server(lambda: connect(allowing))
        async with Client(server, mode=era, elicitation_callback=answer) as client:
            case_id = await create_acting_case(client, target.url)
            if answer is not None:
                vouched = await client.call_tool("run_case", {"case_id": case_id, "allow_real_tools": True})
                assert vouched.is_error is (answer is not agrees)
                target.received.clear()
            if answer is agrees:
                assert (await call(client, "run_case", case_id=case_id))["pass_fail"] is True
                assert len(target.received) == 1
            else:
                error = await refused(client, "run_case", case_id=case_id)
                assert error["code"] == "CONSENT_NEEDED"
                assert ("declined" in error["error"]) is (answer is refuses)
                assert ("allow_real_tools=true" in error["hint"]) is (answer is not refuses)
                if answer is not None:
                    mocked = f'update(kind="case", id="{case_id}", changes={{"tool_policy": "mock"}})'
                    assert mocked in error["hint"]
                assert target.received == []


async def test_tools_that_overrides_bring_are_asked_for_too(allowing: Settings) -> None:
    async with hook() as target, Client(build_server(lambda: connect(allowing))) as client:
        case_id = await create_acting_case(client, target.url)
        await call(client, "update", kind="case", id=case_id, changes={"success_criteria": []})
        await call(client, "update", kind="agent", id="Clinic", changes={"tools": []})
        assert (await call(client, "run_case", case_id=case_id))["status"] == "completed"
        brought = {"tools": [acting(target.url)]}
        for way in (
            {"agent_overrides": brought},
            {"agent_overrides": {"tools": [{"function": acting(target.url)}]}},
        ):
            error = await refused(client, "run_case", case_id=case_id, **way)
            assert error["code"] == "CONSENT_NEEDED"
        await call(client, "update", kind="case", id=case_id, changes={"agent_overrides": brought})
        assert (await refused(client, "run_case", case_id=case_id))["code"] == "CONSENT_NEEDED"
        assert target.received == []


async def test_a_suite_with_a_case_that_acts_is_asked_for_too(allowing: Settings) -> None:
    async with hook() as target, Client(build_server(lambda: connect(allowing))) as client:
        await call(client, "create_suite", name="S")
        await create_acting_case(
            client, target.url, suite_id=(await call(client, "get", kind="suite", id="S"))["id"]
        )
        assert (await refused(client, "run_suite", suite_id="S"))["code"] == "CONSENT_NEEDED"
        assert (await call(client, "run_suite", suite_id="S", allow_real_tools=True))["passed"] == 1


async def test_a_tool_without_an_address_cannot_act(client: Client) -> None:
    case_id = await create_clinic(client)
    error = await refused(client, "update", kind="case", id=case_id, changes={"tool_policy": "real"})
    assert "bookAppointment" in error["error"]
    assert "url" in error["hint"]


async def test_what_a_mocked_tool_answers_can_be_chosen(client: Client) -> None:
    mocks = {"bookAppointment": {"error": "The calendar is down."}}
    case_id = await create_clinic(client, tool_mocks=mocks)
    run = await call(client, "run_case", case_id=case_id)
    shown = json.dumps(await call(client, "read_transcript", run_id=run["run_id"]))
    assert "The calendar is down." in shown
    unknown = await refused(
        client, "update", kind="case", id=case_id, changes={"tool_mocks": {"nope": {"result": 1}}}
    )
    assert unknown["code"] == "IMPOSSIBLE_ASSERTION"
    shape = await refused(
        client, "update", kind="case", id=case_id, changes={"tool_mocks": {"bookAppointment": {"value": 1}}}
    )
    assert '{"result": value}' in shape["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is not to be had there")
async def test_a_tool_that_may_have_acted_when_the_worker_died_does_not_act_again(
    allowing: Settings, tmp_path: Path
) -> None:
    async with hook(open_gate=False) as target:
        async with connect(allowing) as link:
            agent = await link.backend.create(
                "agent", {"name": "Clinic", "system_prompt": PROMPT, "tools": [acting(target.url)]}
            )
            persona = await link.backend.create(
                "persona",
                {
                    "name": "Maya",
                    "identity_prompt": "You are Maya.",
                    "behavior_traits": {"known_info": ["You can come on Tuesday."]},
                },
            )
            case = await link.backend.create(
                "case",
                {
                    "name": "C",
                    "agent_id": agent.id,
                    "persona_id": persona.id,
                    "scenario": "You want to book an appointment.",
                    "tool_policy": "real",
                    "success_criteria": [CALLS_TOOL],
                },
            )
        worker = _start_elsewhere(allowing, case.id)
        with anyio.fail_after(20):
            await target.arrived.wait()
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        _let_leases_run_out(allowing)
        async with connect(allowing) as link:
            runs = await link.backend.runs(_everything())
            run = await finished(link.backend, runs.data[0])
            turns = await link.backend.turns(run.id)
        uses = [use for turn in turns if turn.role == "tool_result" for use in turn.tool_calls or []]
        assert len(target.received) == 1
        assert uses[0].error is not None
        assert "interrupted" in uses[0].error
        assert uses[0].mocked is False


def _everything() -> Any:
    from mcp_agent_eval.types import RunFilter

    return RunFilter()


_START = """
import sys, anyio
from mcp_agent_eval.backend.connect import connect
async def main():
    async with connect() as link:
        await link.backend.start_run(sys.argv[1])
        await anyio.sleep_forever()
anyio.run(main)
"""


def _start_elsewhere(settings: Settings, case_id: str) -> subprocess.Popen[bytes]:
    env = os.environ | {
        "AGENT_EVAL_DATABASE_URL": settings.database_url,
        "AGENT_EVAL_AGENT_MODEL": "offline",
        "AGENT_EVAL_PERSONA_MODEL": "offline",
        "AGENT_EVAL_ALLOW_PRIVATE_ADDRESSES": "true",
    }
    return subprocess.Popen([sys.executable, "-c", _START, case_id], env=env)


def _let_leases_run_out(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE runs SET lease_until = 0 WHERE queue_status = 'claimed'")


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_after_a_question_without_an_answer_the_caller_is_believed_once(
    allowing: Settings, era: Any
) -> None:
    async with hook() as target:
        server = build_server(lambda: connect(allowing))
        async with Client(server, mode=era, elicitation_callback=turns_away) as client:
            case_id = await create_acting_case(client, target.url)
            vouched = {"case_id": case_id, "allow_real_tools": True}
            assert "got no answer" in (await refused(client, "run_case", **vouched))["error"]
            assert target.received == []
            assert (await call(client, "run_case", **vouched))["pass_fail"] is True
            assert len(target.received) == 1
            assert "got no answer" in (await refused(client, "run_case", **vouched))["error"]


async def test_a_question_names_some_tools_and_counts_the_others(allowing: Settings) -> None:
    asked: list[str] = []

    async def listens(context: object, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="decline")

    tools = [acting("https://example.com/") | {"name": f"tool{number}"} for number in range(40)]
    async with Client(build_server(lambda: connect(allowing)), elicitation_callback=listens) as client:
        case_id = await create_acting_case(client, "https://example.com/", success_criteria=[])
        await refused(client, "run_case", case_id=case_id, agent_overrides={"tools": tools})
    assert "tool9 and 30 more tools act for real" in asked[0]


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_answer_that_fits_no_question_starts_nothing(allowing: Settings, era: Any) -> None:
    async def mumbles(context: object, params: object) -> ElicitResult:
        return ElicitResult(action="accept", content={"begin": "perhaps"})

    server = build_server(lambda: connect(allowing))
    async with Client(server, mode=era, elicitation_callback=mumbles) as client:
        case_id = await create_acting_case(client, "https://example.com/")
        error = await refused(client, "run_case", case_id=case_id)
    assert error["code"] == "CONSENT_NEEDED"
    assert "consent:" not in str(error)
