"""Routes the one path that is not REST. The MCP app is passed in, since the surfaces do not know each other. A
request refused before it gets there is refused in MCP's protocol, so that a client can show why."""

from __future__ import annotations

from typing import Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_agent_eval.api.responses import answer, refusal
from mcp_agent_eval.errors import EvalError

PATH = "/mcp"
_INVALID_REQUEST, _INTERNAL_ERROR = -32600, -32603
"""JSON-RPC error codes, since this package does not import the SDK."""


class McpApp(Protocol):
    """An MCP server as an ASGI app on any path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def stop(self) -> None:
        """End all waiting and streaming requests now."""
        ...


class Fork:
    """Sends requests for `/mcp` to the MCP app and everything else to REST."""

    def __init__(self, rest: ASGIApp, mcp: ASGIApp) -> None:
        self._rest = rest
        self._mcp = mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._mcp if is_mcp(scope) else self._rest)(scope, receive, send)


def is_mcp(scope: Scope) -> bool:
    """Whether a request is for the MCP server; a trailing slash is accepted, since people paste one."""
    return scope["type"] == "http" and scope["path"] in (PATH, f"{PATH}/")


def refusal_of(scope: Scope, error: EvalError) -> Response:
    """A refusal in the form that the client can read: the contract's body, or a JSON-RPC error."""
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
