"""The one path that is not REST. What answers there is handed in, since the surfaces do not know each other;
what is refused before it gets there is refused in its protocol, so that a client can show why."""

from __future__ import annotations

from typing import Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agent_eval.api.responses import answer, refusal
from mcp_agent_eval.errors import EvalError

PATH = "/mcp"
_INVALID_REQUEST, _INTERNAL_ERROR = -32600, -32603
"""Codes of JSON-RPC. This package does without the SDK."""


class McpApp(Protocol):
    """An MCP server as an ASGI app, whatever the path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def stop(self) -> None:
        """Let whatever waits or streams come to its end now."""
        ...


class Fork:
    """Sends what is asked at `/mcp` one way and everything else the other."""

    def __init__(self, rest: ASGIApp, mcp: ASGIApp) -> None:
        self._rest = rest
        self._mcp = mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._mcp if is_mcp(scope) else self._rest)(scope, receive, send)


def is_mcp(scope: Scope) -> bool:
    """Whether a request is for the MCP server; people paste its address with a slash at the end, too."""
    return scope["type"] == "http" and scope["path"] in (PATH, f"{PATH}/")


def refusal_of(scope: Scope, error: EvalError) -> Response:
    """A refusal as whoever sent the request can read it: the contract's body, or an error of JSON-RPC."""
    plain = refusal(error)
    if not is_mcp(scope):
        return plain
    spoken = answer(_json_rpc(error), error.status)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in plain.headers:
            spoken.headers[name] = plain.headers[name]
    return spoken


def _json_rpc(error: EvalError) -> dict[str, object]:
    code = _INTERNAL_ERROR if error.status >= 500 else _INVALID_REQUEST
    message = " ".join(filter(None, (error.message, error.hint)))
    return {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": code, "message": message, "data": error.as_dict()},
    }
