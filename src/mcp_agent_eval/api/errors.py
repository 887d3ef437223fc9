"""Turns failures into responses: every one of them, expected or not, has the contract's body."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import InitErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_agent_eval.api.mcp_path import PATH
from mcp_agent_eval.api.responses import answer, refusal
from mcp_agent_eval.errors import EvalError, InvalidInput
from mcp_agent_eval.validation import explain

logger = logging.getLogger(__name__)

_CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    410: "GONE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "UNPROCESSABLE_REQUEST",
    500: "INTERNAL_ERROR",
    502: "UPSTREAM_ERROR",
    503: "SERVICE_UNAVAILABLE",
}
_HINT = "GET / lists the endpoints."
_MCP_HINT = f"MCP is at {PATH}."
_GUESSES = ("/", "/sse", "/message", "/messages")
"""Paths requested by MCP clients that were given the address without its path, or that use the older transport."""


def install_handlers(app: FastAPI) -> None:
    """Give every failure of this app the contract's body."""
    app.add_exception_handler(EvalError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unroutable)
    app.add_middleware(LastResort)


class LastResort:
    """Answers unexpected exceptions with a 500 that reveals nothing internal, and logs the details. If the caller
    has disconnected, there is no answer and nothing to log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return
        except Exception:
            if started or scope["type"] != "http":
                raise
            logger.exception("A request failed unexpectedly.")
            await refusal(EvalError("The server failed unexpectedly.", hint="Its log has the details."))(
                scope, receive, send
            )


async def _refused(_: Request, error: Exception) -> Response:
    return refusal(cast(EvalError, error))


async def _invalid(_: Request, error: Exception) -> Response:
    """An invalid query parameter or header, worded like any other field."""
    problems = cast(RequestValidationError, error).errors()
    lines = [
        InitErrorDetails(type=problem["type"], loc=problem["loc"][1:], input=None, ctx=problem.get("ctx", {}))
        for problem in problems
    ]
    return refusal(InvalidInput(explain(ValidationError.from_exception_data("request", lines))))


async def _unroutable(request: Request, error: Exception) -> Response:
    """Refusals by the router itself."""
    failure = cast(HTTPException, error)
    status = failure.status_code
    body: dict[str, object] = {
        "error": _message(failure, request),
        "code": _CODES.get(status, "REQUEST_FAILED"),
    }
    if status in (404, 405):
        body["hint"] = f"{_MCP_HINT} {_HINT}" if _is_meant_for_mcp(request) else _HINT
    response = answer(body, status)
    if status == 405:
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _is_meant_for_mcp(request: Request) -> bool:
    """Whether a request looks like MCP: it names its version or accepts an event stream, which this API does not
    have."""
    headers = request.headers
    path = f"/{request.url.path.strip('/')}"
    return (
        path in _GUESSES or "mcp-protocol-version" in headers or "event-stream" in headers.get("accept", "")
    )


def _message(failure: HTTPException, request: Request) -> str:
    if failure.status_code == 404:
        return "There is nothing at this path."
    if failure.status_code == 405:
        return f"{request.method} is not allowed here; use {' or '.join(_allowed(request))}."
    return failure.detail


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path; the router itself only knows those of the first."""
    app = cast(FastAPI, request.app)
    routes = [route for route in app.routes if isinstance(route, Route)]
    found = {
        method
        for route in routes
        if route.matches(request.scope)[0] != Match.NONE
        for method in route.methods or ()
    }
    return sorted(found)
