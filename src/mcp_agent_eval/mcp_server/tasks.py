"""The Tasks extension: a client that declares it gets a task if a run takes longer than it would wait.

A task is not stored separately. Its id names a run or a suite run, so it is as durable as these: it survives a
restart, and any server on the same store answers for it. It is optional, since every result says how to ask again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.server import require_client_extension
from mcp.types import INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from pydantic import Field

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import EvalError, NotFound, RunFinished
from mcp_agent_eval.lab.cancelling import cancel_suite_run
from mcp_agent_eval.mcp_server.app import App
from mcp_agent_eval.mcp_server.tools.running import (
    run_progress,
    shown_run,
    shown_suite_run,
    suite_name,
    suite_run_progress,
)
from mcp_agent_eval.types import Json, Run, SuiteRun, now

IDENTIFIER = "io.modelcontextprotocol/tasks"

_VERSIONS = frozenset({"2026-07-28"})
_KINDS = {"run_case": ("run", "run_id"), "run_suite": ("suite_run", "suite_run_id")}
"""Which tools become tasks: the kind, and the field of the result that contains the id."""

_POLL_MS = 2000
_MOMENT = 1.5
"""Seconds to wait first: the result of a short run then needs no second request."""
_LONGEST_ID = 80
_HEADER_MISMATCH = -32020

RequestCtx = ServerRequestContext[App, Any]


class TaskParams(RequestParams):
    """The requested task."""

    task_id: str = Field(alias="taskId")


class TaskUpdateParams(TaskParams):
    """Answers to a task's questions; ours ask none, since a tool asks before it begins."""

    input_responses: dict[str, Any] = Field(default_factory=dict[str, Any], alias="inputResponses")


class Tasks(Extension):
    """The server's side of the extension."""

    identifier = IDENTIFIER

    def methods(self) -> Sequence[MethodBinding]:
        """The requests that clients may make about a task."""
        return [
            MethodBinding("tasks/get", TaskParams, self.get, _VERSIONS),
            MethodBinding("tasks/update", TaskUpdateParams, self.update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, _VERSIONS),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Wait only briefly, and answer with a task unless the run is over by then."""
        if params.name not in _KINDS or not _is_declared(ctx):
            return await call_next(ctx)
        # The handler is invoked with this same object, whatever context it is given.
        params.arguments = _hurried(params.arguments or {})
        result = await call_next(ctx)
        return await _as_task(ctx, params.name, result) or result

    async def get(self, ctx: RequestCtx, params: TaskParams) -> HandlerResult:
        """The state of a task, with the tool's result once there is one."""
        return {"resultType": "complete"} | await _look(ctx, params)

    async def update(self, ctx: RequestCtx, params: TaskUpdateParams) -> HandlerResult:
        """Acknowledged: no task waits for an answer."""
        await _look(ctx, params)
        return {"resultType": "complete"}

    async def cancel(self, ctx: RequestCtx, params: TaskParams) -> HandlerResult:
        """Ask the run to stop at its next turn. One that is over stays as it is."""
        await _look(ctx, params)
        backend = (await ctx.lifespan_context.connection()).backend
        kind, _, id = params.task_id.partition(":")
        with suppress(RunFinished):
            await (backend.cancel(id) if kind == "run" else cancel_suite_run(backend, id))
        return {"resultType": "complete"}


def _hurried(arguments: Json) -> Json:
    """The arguments with a short wait at most. An invalid wait is left to be refused."""
    asked = arguments.get("wait_seconds")
    if asked is None or (isinstance(asked, int | float) and asked > _MOMENT):
        return arguments | {"wait_seconds": _MOMENT}
    return arguments


def _is_declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in _VERSIONS and IDENTIFIER in (declared or {})


async def _as_task(ctx: RequestCtx, tool: str, result: HandlerResult) -> Json | None:
    """The task for the run that a tool started; None if the tool has asked a question, failed or finished."""
    if not isinstance(result, CallToolResult) or result.is_error:
        return None
    kind, field = _KINDS[tool]
    id = cast(Json, result.structured_content)[field]
    state = await _state(ctx, kind, id)
    return {"resultType": "task"} | state if state["status"] == "working" else None


async def _look(ctx: RequestCtx, params: TaskParams) -> Json:
    """The state of the requested task.

    Raises:
        MCPError: the client did not declare the extension, named two different tasks, or there is no such task.
    """
    require_client_extension(ctx, IDENTIFIER)
    _check_header(ctx, params.task_id)
    kind, _, id = params.task_id.partition(":")
    try:
        return await _state(ctx, kind, id)
    except NotFound as exc:
        raise MCPError(INVALID_PARAMS, f"There is no task {params.task_id[:_LONGEST_ID]!r}.") from exc
    except EvalError as exc:
        raise MCPError(INVALID_PARAMS, exc.message, exc.as_dict()) from exc


def _check_header(ctx: RequestCtx, task_id: str) -> None:
    """Check the header that repeats the id over HTTP, which proxies may route by."""
    headers: Mapping[str, str] = getattr(ctx.request, "headers", None) or {}
    named = headers.get("mcp-name")
    if named is not None and named != task_id:
        told = f"The header Mcp-Name is {named[:_LONGEST_ID]!r}, but the task is {task_id[:_LONGEST_ID]!r}."
        raise MCPError(_HEADER_MISMATCH, told)


async def _state(ctx: RequestCtx, kind: str, id: str) -> Json:
    backend = (await ctx.lifespan_context.connection()).backend
    if kind == "run":
        return await _of_run(await backend.run(id))
    if kind == "suite_run":
        return await _of_suite_run(backend, await backend.suite_run(id))
    raise NotFound(f"There is no task {kind!r}.")


async def _of_run(run: Run) -> Json:
    heading = _heading(f"run:{run.id}", run.created_at, run.ended_at, run_progress(run)[2])
    if not run.is_final:
        return heading | {"status": "working"}
    if run.status == "cancelled":
        return heading | {"status": "cancelled"}
    return heading | {"status": "completed", "result": _dumped(shown_run(run))}


async def _of_suite_run(backend: Backend, aggregate: SuiteRun) -> Json:
    began = min((run.created_at for run in aggregate.runs), default=now())
    heading = _heading(
        f"suite_run:{aggregate.suite_run_id}", began, aggregate.ended_at, suite_run_progress(aggregate)[2]
    )
    if not aggregate.is_final:
        return heading | {"status": "working"}
    if aggregate.cancelled == aggregate.total_runs:
        return heading | {"status": "cancelled"}
    result = shown_suite_run(aggregate, await suite_name(backend, aggregate))
    return heading | {"status": "completed", "result": _dumped(result)}


def _heading(id: str, created: datetime, ended: datetime | None, message: str) -> Json:
    """The fields that every state of a task has. It has no time to live: it exists as long as its run."""
    return {
        "taskId": id,
        "statusMessage": message,
        "createdAt": _moment(created),
        "lastUpdatedAt": _moment(ended or now()),
        "ttlMs": None,
        "pollIntervalMs": _POLL_MS,
    }


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def _dumped(result: CallToolResult) -> Json:
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)
