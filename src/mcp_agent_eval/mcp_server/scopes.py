"""What a caller over HTTP must be allowed for each tool and each method, asked before anything is done.

Where no key is asked for, and on stdio, everything is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.types import INVALID_REQUEST
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.mcp_server.app import App
from mcp_agent_eval.mcp_server.render import refusal
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.caller import Action, Caller

RequestCtx = ServerRequestContext[App, Request]

TOOLS: Mapping[str, Action] = {
    "create_agent": "create",
    "create_persona": "create",
    "create_case": "create",
    "create_suite": "create",
    "update": "update",
    "delete": "delete",
    "list": "read",
    "get": "read",
    "simulate_flow": "read",
    "run_case": "run",
    "run_suite": "run",
    "cancel_run": "run",
    "get_run": "read",
    "get_aggregate": "read",
    "read_transcript": "read",
    "list_runs": "read",
}
"""The scope that each tool takes, the same one that REST asks for."""

METHODS: Mapping[str, Action | None] = {
    "initialize": None,
    "server/discover": None,
    "ping": None,
    "tools/list": None,
    "resources/list": None,
    "resources/templates/list": None,
    "prompts/list": None,
    "resources/read": "read",
    "prompts/get": "read",
    "completion/complete": "read",
    "subscriptions/listen": "read",
    "tasks/get": "run",
    "tasks/update": "run",
    "tasks/cancel": "run",
}
"""The scope that every other method takes. None: any key will do, since it tells nothing of what is kept here. Tasks
are what comes of a run, so whoever may start one may follow it."""

_CALL = "tools/call"
_COUNTED = frozenset({_CALL, "resources/read"})
"""What the rate limit counts: what somebody asks for. What hosts do by themselves, to connect, list, complete and
listen, would use it up before the first question."""


async def check_scopes(ctx: RequestCtx, call_next: CallNext) -> HandlerResult:
    """A middleware that counts a message and lets it through when its sender may do what it asks."""
    try:
        _check(ctx)
    except EvalError as error:
        return _refused(ctx, error)
    return await call_next(ctx)


def state_of(ctx: RequestCtx) -> Mapping[str, Any]:
    """What was found out about the sender of a message before it got here."""
    assert ctx.request is not None, "over HTTP every message belongs to a request"
    return ctx.request.scope["state"]


def _check(ctx: RequestCtx) -> None:
    """Raises InsufficientScope and RateLimited."""
    state = state_of(ctx)
    if ctx.method in _COUNTED:
        state["count"]()
    action = _action(ctx)
    if action is not None:
        cast(Caller, state["caller"]).require(action)


def _action(ctx: RequestCtx) -> Action | None:
    """What the message asks for. A tool or method that does not exist needs no scope to be told so."""
    if ctx.method == _CALL:
        return TOOLS.get(str((ctx.params or {}).get("name")))
    return METHODS.get(ctx.method)


def _without_type(result: Json) -> Json:
    return {key: value for key, value in result.items() if key != "resultType"}


def _refused(ctx: RequestCtx, error: EvalError) -> HandlerResult:
    """A result where there is a model to read it, else an error of the protocol."""
    if ctx.method == _CALL:
        result = refusal(error).model_dump(by_alias=True, mode="json", exclude_none=True)
        # What a middleware answers with goes out as it is, and the handshake era knows no types of results.
        return result if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else _without_type(result)
    message = " ".join(filter(None, (error.message, error.hint)))
    raise MCPError(INVALID_REQUEST, message, error.as_dict())
