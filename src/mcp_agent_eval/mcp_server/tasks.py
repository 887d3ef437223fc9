"""The Tasks extension: a client that declares it is handed a task where a run would outlast its patience.

A task is nothing of its own. Its id names a run or a suite run, so it is as durable as these are: it survives a
restart, and any server on the same store answers for it. Nobody needs it, since every result says how to ask again.
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
"""Which tools become tasks: of what kind, and where in their result the id stands."""

_POLL_MS = 2000
_MOMENT = 1.5
"""Seconds in which a short run is over: its result then needs no second request."""
_LONGEST_ID = 80
_HEADER_MISMATCH = -32020

RequestCtx = ServerRequestContext[App, Any]


class TaskParams(RequestParams):
    """Which task is asked for."""

    task_id: str = Field(alias="taskId")


class TaskUpdateParams(TaskParams):
    """Answers to a task's questions; ours ask none, since a tool asks before it begins."""

    input_responses: dict[str, Any] = Field(default_factory=dict[str, Any], alias="inputResponses")


class Tasks(Extension):
    """The server's half."""

    identifier = IDENTIFIER

    def methods(self) -> Sequence[MethodBinding]:
        """What clients may ask of a task."""
        return [
            MethodBinding("tasks/get", TaskParams, self.get, _VERSIONS),
            MethodBinding("tasks/update", TaskUpdateParams, self.update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, _VERSIONS),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Wait a moment only, and answer with a task unless it is over by then."""
        if params.name not in _KINDS or not _is_declared(ctx):
            return await call_next(ctx)
        # The handler is invoked with this very object, whatever context it is given.
        params.arguments = _hurried(params.arguments or {})
        result = await call_next(ctx)
        return await _as_task(ctx, params.name, result) or result

    async def get(self, ctx: RequestCtx, params: TaskParams) -> HandlerResult:
        """How far a task is, with the tool's result once there is one."""
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
    """The arguments with a wait that is no longer than a moment. A wait that is none is left to be refused."""
    asked = arguments.get("wait_seconds")
    if asked is None or (isinstance(asked, int | float) and asked > _MOMENT):
        return arguments | {"wait_seconds": _MOMENT}
    return arguments


def _is_declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in _VERSIONS and IDENTIFIER in (declared or {})


async def _as_task(ctx: RequestCtx, tool: str, result: HandlerResult) -> Json | None:
    """The task for what a tool has started; None where it has asked, failed or finished."""
    if not isinstance(result, CallToolResult) or result.is_error:
        return None
    kind, field = _KINDS[tool]
    id = cast(Json, result.structured_content)[field]
    state = await _state(ctx, kind, id)
    return {"resultType": "task"} | state if state["status"] == "working" else None


async def _look(ctx: RequestCtx, params: TaskParams) -> Json:
    """The state of the task that is asked for.

    Raises:
        MCPError: the client did not declare the extension, named two tasks, or there is no such task.
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
    """Over HTTP a header repeats the id, for those who route by it."""
    headers: Mapping[str, str] = getattr(ctx.request, "headers", None) or {}
    named = headers.get("mcp-name")
    if named is not None and named != task_id:
        told = f"The header Mcp-Name is {named[:_LONGEST_ID]!r}, and the task {task_id[:_LONGEST_ID]!r}."
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
    """What every state of a task has. It lives as long as its run does: there is no time to live."""
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
