"""The Tasks extension: a handle in the protocol's own words, for clients that declare it and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client import advertise
from mcp.client.extension import ClientExtension, ResultClaim
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.mcp_server.tasks import IDENTIFIER
from mcp_agent_eval.settings import Settings
from tests.behaviour.clinic import create_clinic
from tests.behaviour.test_tools_that_act import acting
from tests.http_clients import connected
from tests.legs import EMBEDDED, leg_connection, served
from tests.provider import Provider, provider
from tests.support import call


class _Camel(RequestParams):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class TaskParams(_Camel):
    task_id: str


class GetTask(Request[TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"
    params: TaskParams


class CancelTask(Request[TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"
    params: TaskParams


class UpdateTask(Request[TaskParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    name_param = "taskId"
    params: TaskParams


class Answer(Result):
    """Whatever comes back."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, populate_by_name=True)


class Task(Answer):
    result_type: Literal["task"] = "task"
    task_id: str


class FollowsTasks(ClientExtension):
    """A client that asks until a task has its result; `seen` holds each state."""

    identifier = IDENTIFIER

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self.finish)]

    async def finish(self, task: Any, context: Any) -> CallToolResult:
        self.seen.append(task.model_dump(by_alias=True))
        while True:
            answer = await context.session.send_request(
                GetTask(params=TaskParams(task_id=task.task_id)), Answer
            )
            state = answer.model_dump(by_alias=True)
            self.seen.append(state)
            if state["status"] != "working":
                return CallToolResult.model_validate(state["result"])


@pytest.fixture
async def held() -> AsyncIterator[Provider]:
    """A persona that says nothing until its gate is open."""
    async with provider(lambda _: "Bye. [END OF CALL]", open_gate=False) as model:
        yield model


@pytest.fixture
def slow(settings: Settings, held: Provider) -> Settings:
    return settings.model_copy(update={"persona_model": "openai:held", "model_base_url": held.url})


@asynccontextmanager
async def opened(settings: Settings, *extensions: Any, mode: str = "auto") -> AsyncIterator[Client]:
    server = build_server(lambda: leg_connection(EMBEDDED, settings))
    async with Client(server, mode=mode, extensions=list(extensions)) as client:
        yield client


async def asked(client: Client, kind: Callable[..., Any], task_id: str) -> dict[str, Any]:
    answer = await client.session.send_request(kind(params=TaskParams(task_id=task_id)), Answer)
    return answer.model_dump(by_alias=True)


async def begun(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a call is answered with, task or not."""
    request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
    return (await client.session.send_request(request, Answer)).model_dump(by_alias=True)


async def until(client: Client, task_id: str, status: str) -> dict[str, Any]:
    with anyio.fail_after(10):
        while (state := await asked(client, GetTask, task_id))["status"] != status:
            pass
    return state


async def test_a_run_becomes_a_task_and_its_result_is_the_tools(slow: Settings, held: Provider) -> None:
    follows = FollowsTasks()
    async with opened(slow, follows) as client:
        case_id = await create_clinic(client)
        held.gate.set()
        result = await call(client, "run_case", case_id=case_id, wait_seconds=0)
        assert result == await call(client, "get_run", run_id=result["run_id"])
    first, last = follows.seen[0], follows.seen[-1]
    assert (first["status"], last["status"]) == ("working", "completed")
    assert first["taskId"] == last["taskId"] == f"run:{result['run_id']}"
    assert (first["ttlMs"], first["pollIntervalMs"]) == (None, 2000)
    assert first["createdAt"] <= first["lastUpdatedAt"] <= last["lastUpdatedAt"]
    assert "turn" in first["statusMessage"]


async def test_a_suite_run_becomes_a_task(slow: Settings, held: Provider) -> None:
    follows = FollowsTasks()
    async with opened(slow, follows) as client:
        await call(client, "create_suite", name="S")
        await create_clinic(client, suite_id="S")
        held.gate.set()
        result = await call(client, "run_suite", suite_id="S", wait_seconds=0)
    assert (result["completed"], result["suite"]) == (1, "S")
    assert follows.seen[0]["taskId"] == f"suite_run:{result['suite_run_id']}"
    assert follows.seen[0]["statusMessage"].startswith("0 of 1 runs done")


async def test_a_task_survives_the_server_that_made_it(slow: Settings, held: Provider) -> None:
    async with opened(slow, advertise(IDENTIFIER)) as first:
        task = await begun(first, "run_case", case_id=await create_clinic(first), wait_seconds=0)
        assert task["resultType"] == "task"
    held.gate.set()
    async with opened(slow, advertise(IDENTIFIER)) as second:
        done = await until(second, task["taskId"], "completed")
    assert done["result"]["structuredContent"]["run_id"] == task["taskId"].partition(":")[2]
    assert done["createdAt"] == task["createdAt"]


async def test_what_is_over_at_once_is_no_task(slow: Settings, held: Provider) -> None:
    held.gate.set()
    async with opened(slow, advertise(IDENTIFIER)) as client:
        case_id = await create_clinic(client)
        task = await begun(client, "run_case", case_id=case_id, idempotency_key="k", wait_seconds=0)
        await until(client, task["taskId"], "completed")
        again = await begun(client, "run_case", case_id=case_id, idempotency_key="k")
    assert again["resultType"] == "complete"
    assert again["structuredContent"]["status"] == "completed"


async def test_a_call_that_fails_is_no_task(settings: Settings) -> None:
    async with opened(settings, advertise(IDENTIFIER)) as client:
        answer = await begun(client, "run_case", case_id="nothing")
    assert answer["resultType"] == "complete"
    assert answer["structuredContent"]["code"] == "NOT_FOUND"


async def test_consent_is_asked_for_before_there_is_a_task(slow: Settings) -> None:
    async with opened(slow, advertise(IDENTIFIER)) as client:
        case_id = await create_clinic(client)
        await call(
            client, "update", kind="agent", id="Clinic", changes={"tools": [acting("https://example.com/")]}
        )
        await call(client, "update", kind="case", id=case_id, changes={"tool_policy": "real"})
        answer = await begun(client, "run_case", case_id=case_id)
    assert answer["structuredContent"]["code"] == "CONSENT_NEEDED"


@pytest.mark.parametrize("tool", ["run_case", "run_suite"])
async def test_a_cancelled_task_is_cancelled_and_stays_so(slow: Settings, held: Provider, tool: str) -> None:
    async with opened(slow, advertise(IDENTIFIER)) as client:
        await call(client, "create_suite", name="S")
        case_id = await create_clinic(client, suite_id="S")
        arguments = {"case_id": case_id} if tool == "run_case" else {"suite_id": "S"}
        task = await begun(client, tool, **arguments, wait_seconds=0)
        with anyio.fail_after(10):
            await held.arrived.wait()
        assert (await asked(client, CancelTask, task["taskId"]))["resultType"] == "complete"
        held.gate.set()
        cancelled = await until(client, task["taskId"], "cancelled")
        assert "result" not in cancelled
        assert (await asked(client, CancelTask, task["taskId"]))["resultType"] == "complete"
        assert (await asked(client, UpdateTask, task["taskId"]))["resultType"] == "complete"


async def test_who_does_not_declare_tasks_gets_none_and_cannot_ask_for_one(settings: Settings) -> None:
    async with opened(settings) as client:
        result = await call(client, "run_case", case_id=await create_clinic(client))
        assert result["pass_fail"] is True
        with pytest.raises(MCPError) as caught:
            await asked(client, GetTask, f"run:{result['run_id']}")
    assert caught.value.error.code == -32021


async def test_before_2026_there_are_no_tasks(settings: Settings) -> None:
    async with opened(settings, advertise(IDENTIFIER), mode="legacy") as client:
        result = await call(client, "run_case", case_id=await create_clinic(client))
        with pytest.raises(MCPError) as caught:
            await asked(client, GetTask, f"run:{result['run_id']}")
    assert caught.value.error.code == -32601


@pytest.mark.parametrize("task_id", ["run:0", "suite_run:none", "nonsense", "case:1"])
async def test_a_task_that_does_not_exist_is_said_not_to(settings: Settings, task_id: str) -> None:
    async with opened(settings, advertise(IDENTIFIER)) as client:
        with pytest.raises(MCPError, match="no task") as caught:
            await asked(client, GetTask, task_id)
    assert caught.value.error.code == -32602


async def test_over_http_a_task_is_followed_without_a_session(slow: Settings, held: Provider) -> None:
    follows = FollowsTasks()
    held.gate.set()
    async with served(slow) as address, connected(address, era="auto", extensions=[follows]) as client:
        result = await call(client, "run_case", case_id=await create_clinic(client), wait_seconds=0)
    assert result["status"] == "completed"
    assert follows.seen[-1]["status"] == "completed"


async def test_a_run_that_ends_within_a_moment_is_no_task(settings: Settings) -> None:
    async with opened(settings, advertise(IDENTIFIER)) as client:
        answer = await begun(client, "run_case", case_id=await create_clinic(client))
    assert (answer["resultType"], answer["structuredContent"]["pass_fail"]) == ("complete", True)


@pytest.mark.parametrize("seconds", ["soon", -1, {}])
async def test_a_wait_that_is_none_is_refused_with_tasks_as_without(settings: Settings, seconds: Any) -> None:
    async with opened(settings, advertise(IDENTIFIER)) as client:
        answer = await begun(client, "run_case", case_id=await create_clinic(client), wait_seconds=seconds)
    assert "wait_seconds" in answer["structuredContent"]["error"]


async def test_a_task_without_end_is_told_in_short(settings: Settings) -> None:
    async with opened(settings, advertise(IDENTIFIER)) as client:
        with pytest.raises(MCPError) as caught:
            await asked(client, GetTask, "x" * 100_000)
    assert len(caught.value.error.message) < 200
