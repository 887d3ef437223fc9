"""Controls access by keys and the rate limit, in front of REST and MCP.

It determines the caller and passes it on as `scope["state"]["caller"]`; whether that is enough for a request is
decided behind it. It wraps an ASGI app and reads no bodies.
"""

from __future__ import annotations

import hmac
from functools import partial
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_agent_eval.api.limits import RateLimit, Window
from mcp_agent_eval.api.mcp_path import is_mcp, refusal_of
from mcp_agent_eval.backend.keyring import Keyring
from mcp_agent_eval.errors import EvalError, InvalidKey, MissingKey, RateLimited, Unauthorized
from mcp_agent_eval.types.caller import Caller
from mcp_agent_eval.types.key import SCOPES

_PUBLIC_PATHS = {"/", "/openapi.json"}
_WELL_KNOWN = "/.well-known/"
_PUBLIC_METHODS = {"GET", "HEAD"}
_MAKE_ONE = "Create a key with: mcp-agent-eval keys create NAME"

_ANYONE = Caller("anyone")
_TOKEN_HOLDER = Caller("token", frozenset(SCOPES))


class Issuer(Protocol):
    """Another issuer of credentials for this server: an authorization server."""

    def challenge(self, error: Unauthorized) -> str:
        """The WWW-Authenticate header of a 401, which tells a client how to get a token."""
        ...

    async def check(self, token: str) -> Caller:
        """Raises InvalidKey or ExpiredKey for a token that is not accepted here, ApiError if it cannot be checked."""
        ...


class Access:
    """Passes requests with a valid key to `app`, within their limit.

    A valid key is the `token`, one from the `keyring`, or an access token of the `issuer`. Without any of these,
    everyone has access, and all share one limit. MCP messages are counted by the MCP server, depending on what each
    one asks for, with the function `scope["state"]["count"]`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyring: Keyring | None,
        token: str | None,
        limit: RateLimit,
        issuer: Issuer | None = None,
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._token = token
        self._limit = limit
        self._issuer = issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_public(scope):
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(Headers(scope=scope))
        except EvalError as error:
            await self._refuse(error, scope, receive, send)
            return
        await self._admit(caller, scope, receive, send)

    async def _caller(self, headers: Headers) -> Caller:
        """Raises Unauthorized, or StoreError or ApiError if keys or tokens cannot be checked."""
        if self._keyring is None and self._token is None and self._issuer is None:
            return _ANYONE
        secret = _bearer(headers)
        if self._is_token(secret):
            return _TOKEN_HOLDER
        if self._issuer and _looks_issued(secret):
            return await self._issuer.check(secret)
        if self._keyring is None:
            raise InvalidKey(
                "The API key is not the one that this server was started with.",
                hint="Send the value of AGENT_EVAL_TOKEN in the server's environment.",
            )
        key = await self._keyring.check(secret)
        return Caller(key.id, frozenset(key.scopes))

    def _is_token(self, secret: str) -> bool:
        # Headers arrive as Latin-1, whatever bytes the client sent.
        token = None if self._token is None else self._token.encode()
        return token is not None and hmac.compare_digest(secret.encode("latin-1"), token)

    async def _refuse(self, error: EvalError, scope: Scope, receive: Receive, send: Send) -> None:
        response = refusal_of(scope, error)
        if self._issuer and isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = self._issuer.challenge(error)
        await response(scope, receive, send)

    async def _admit(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        known = _with_state(scope, caller=caller)
        if is_mcp(scope):
            count = partial(self._limit.take, caller.name)
            await self._app(_with_state(known, count=count), receive, send)
            return
        try:
            window = self._limit.take(caller.name)
        except RateLimited as error:
            counted = _with_headers(send, self._limit.window(caller.name))
            await refusal_of(scope, error)(scope, receive, counted)
            return
        await self._app(known, receive, _with_headers(send, window))


def _is_public(scope: Scope) -> bool:
    # A client that looks for an authorization server must learn that there is none, not that it needs a key for it.
    path: str = scope["path"]
    return (path in _PUBLIC_PATHS or path.startswith(_WELL_KNOWN)) and scope["method"] in _PUBLIC_METHODS


def _looks_issued(secret: str) -> bool:
    """Whether this is a JWT; our own keys have no dots."""
    return secret.count(".") == 2


def _bearer(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise MissingKey("This needs a key, sent as the header Authorization: Bearer KEY.", hint=_MAKE_ONE)
    return secret.strip()


def _with_state(scope: Scope, **more: object) -> Scope:
    """A copy of the scope with more in its state, since servers may share a state between requests."""
    return {**scope, "state": {**scope.get("state", {}), **more}}


def _with_headers(send: Send, window: Window) -> Send:
    """A `send` that adds the remaining rate limit to the response."""
    told = [
        (b"x-ratelimit-limit", b"%d" % window.limit),
        (b"x-ratelimit-remaining", b"%d" % window.remaining),
        (b"x-ratelimit-reset", b"%d" % window.reset),
    ]

    async def send_counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *told]}
        await send(message)

    return send_counted
