"""The scope that a caller over HTTP needs for each tool and method, checked before anything is done.

If no key is required, and on stdio, everything is allowed.
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
"""The scope that each tool needs, the same as in REST."""

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
"""The scope that every other method needs. None: any key will do, since the method reveals nothing that is stored
here. A task belongs to a run, so a caller that may start a run may follow it."""

_CALL = "tools/call"
_COUNTED = frozenset({_CALL, "resources/read"})
"""The methods that the rate limit counts: those that a user asks for. What hosts do by themselves, to connect,
list, complete and listen, would use it up before the first question."""


async def check_scopes(ctx: RequestCtx, call_next: CallNext) -> HandlerResult:
    """A middleware that counts a message and passes it on if its sender is allowed to send it."""
    try:
        _check(ctx)
    except EvalError as error:
        return _refused(ctx, error)
    return await call_next(ctx)


def state_of(ctx: RequestCtx) -> Mapping[str, Any]:
    """What `access` found out about a message's sender."""
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
    """The scope that a message needs. None for a tool or method that does not exist, so that the caller learns that."""
    if ctx.method == _CALL:
        return TOOLS.get(str((ctx.params or {}).get("name")))
    return METHODS.get(ctx.method)


def _without_type(result: Json) -> Json:
    return {key: value for key, value in result.items() if key != "resultType"}


def _refused(ctx: RequestCtx, error: EvalError) -> HandlerResult:
    """Refuse with a result if there is a model to read it, else with a protocol error."""
    if ctx.method == _CALL:
        result = refusal(error).model_dump(by_alias=True, mode="json", exclude_none=True)
        # A middleware's answer is sent unchanged, and the handshake era has no result types.
        return result if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else _without_type(result)
    message = " ".join(filter(None, (error.message, error.hint)))
    raise MCPError(INVALID_REQUEST, message, error.as_dict())
