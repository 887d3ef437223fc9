"""The MCP server over Streamable HTTP, as an ASGI app on a backend that is already open.

It keeps no sessions: every request stands alone in both protocol eras, and every handle that a tool returns is in
the store. So any of several servers on one store can answer any request; docs/http.md lists the drawbacks. Keys,
hosts, origins and sizes are checked before a request gets here.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult
from mcp.server.request_state import RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import SubscriptionsListenResult
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mcp_agent_eval.backend.connect import Connection
from mcp_agent_eval.mcp_server.app import App
from mcp_agent_eval.mcp_server.scopes import RequestCtx, check_scopes, state_of
from mcp_agent_eval.mcp_server.server import assemble
from mcp_agent_eval.settings import Settings

_KEY_BYTES = 32
_STREAMS = ("text/event-stream", "text/*", "*/*")


class McpOverHttp:
    """Answers POST requests on any path; `stop` ends those that wait or listen."""

    def __init__(
        self, app: App, streaming: StreamableHTTPSessionManager, plain: StreamableHTTPSessionManager
    ) -> None:
        self._app = app
        self._streaming = streaming
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            # Without sessions there is nothing to listen to or to end, and some hosts retry forever on any other
            # refusal.
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            return
        manager = self._streaming if _takes_streams(Headers(scope=scope)) else self._plain
        await manager.handle_request(scope, receive, send)

    def stop(self) -> None:
        """End all waiting with the state of each run, and end subscriptions, as the protocol requires."""
        self._app.stop()


@asynccontextmanager
async def open_http(connection: Connection, largest_body: int) -> AsyncGenerator[McpOverHttp]:
    """The app, until the block exits. It does not close the connection."""
    server, app = assemble(
        lambda: nullcontext(connection),
        middleware=[_end_in_order, check_scopes],
        request_state_security=_sealed(connection.settings),
        is_held=True,
    )
    streaming = _manager(server, largest_body, json_response=False)
    plain = _manager(server, largest_body, json_response=True)
    async with app.lifespan(server):
        # Runs started over REST also move on, whether or not a tool was ever called.
        await app.connection()
        async with streaming.run(), plain.run():
            yield McpOverHttp(app, streaming, plain)


def _manager(
    server: MCPServer[App], largest_body: int, *, json_response: bool
) -> StreamableHTTPSessionManager:
    server.streamable_http_app(
        stateless_http=True,
        json_response=json_response,
        max_request_body_size=largest_body,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return server.session_manager


def _takes_streams(headers: Headers) -> bool:
    """Whether a client accepts a streamed answer. One that only accepts JSON gets that, without progress."""
    kinds = (kind.partition(";")[0].strip().lower() for kind in headers.get("accept", "").split(","))
    return any(kind in _STREAMS for kind in kinds)


def _sealed(settings: Settings) -> RequestStateSecurity:
    """Seals the state of a question to the user, which comes back with the answer, from the same caller only.
    Servers that share a secret can open each other's."""
    secret = settings.shared_secret
    key = secret.get_secret_value() if secret else os.urandom(_KEY_BYTES)
    return RequestStateSecurity(keys=[key], bind_principal=_caller)


def _caller(ctx: RequestCtx) -> str:
    return state_of(ctx)["caller"].name


async def _end_in_order(ctx: RequestCtx, call_next: CallNext) -> HandlerResult:
    """A middleware that ends subscriptions with a result when the server stops."""
    if ctx.method != "subscriptions/listen":
        return await call_next(ctx)
    result = await ctx.lifespan_context.unless_stopped(call_next(ctx))
    return result or SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: ctx.request_id})
