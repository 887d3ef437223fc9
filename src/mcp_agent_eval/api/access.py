"""Who may come in, and how often: keys and the rate limit, in front of the REST API.

It finds out what a key allows and hands that on as `scope["state"]["scopes"]`; whether it is enough for what was
asked is up to the routes. It wraps an ASGI app and reads no bodies.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_agent_eval.api.limits import RateLimit, Window
from mcp_agent_eval.api.responses import refusal
from mcp_agent_eval.backend.keyring import Keyring
from mcp_agent_eval.errors import EvalError, InvalidKey, MissingKey, RateLimited
from mcp_agent_eval.types.key import SCOPES

_PUBLIC_PATHS = {"/", "/openapi.json"}
_PUBLIC_METHODS = {"GET", "HEAD"}
_MAKE_ONE = "Make a key with: mcp-agent-eval keys create NAME"


@dataclass(frozen=True, slots=True)
class _Caller:
    """By what its requests are counted, and what it may do; None is everything."""

    name: str
    scopes: frozenset[str] | None


_ANYONE = _Caller("anyone", None)
_TOKEN_HOLDER = _Caller("token", frozenset(SCOPES))


class Access:
    """Lets requests with a good key through to `app`, within their limit.

    A good key is the `token` or one of the `keyring`. With neither of the two, everybody may come in, and all
    share one limit.
    """

    def __init__(self, app: ASGIApp, *, keyring: Keyring | None, token: str | None, limit: RateLimit) -> None:
        self._app = app
        self._keyring = keyring
        self._token = token
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_public(scope):
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(Headers(scope=scope))
        except EvalError as error:
            await refusal(error)(scope, receive, send)
            return
        await self._admit(caller, scope, receive, send)

    async def _caller(self, headers: Headers) -> _Caller:
        """Raises Unauthorized, or StoreError when the keys cannot be read."""
        if self._keyring is None and self._token is None:
            return _ANYONE
        secret = _bearer(headers)
        if self._is_token(secret):
            return _TOKEN_HOLDER
        if self._keyring is None:
            raise InvalidKey(
                "The API key is not the one that this server was started with.",
                hint="Send what AGENT_EVAL_TOKEN is set to where the server runs.",
            )
        key = await self._keyring.check(secret)
        return _Caller(key.id, frozenset(key.scopes))

    def _is_token(self, secret: str) -> bool:
        # Headers come as Latin-1, whatever the bytes were that the client sent.
        token = None if self._token is None else self._token.encode()
        return token is not None and hmac.compare_digest(secret.encode("latin-1"), token)

    async def _admit(self, caller: _Caller, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            window = self._limit.take(caller.name)
        except RateLimited as error:
            counted = _with_headers(send, self._limit.window(caller.name))
            await refusal(error)(scope, receive, counted)
            return
        await self._app(_granted(scope, caller), receive, _with_headers(send, window))


def _is_public(scope: Scope) -> bool:
    return scope["path"] in _PUBLIC_PATHS and scope["method"] in _PUBLIC_METHODS


def _bearer(headers: Headers) -> str:
    scheme, _, secret = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise MissingKey("This needs a key, sent as the header Authorization: Bearer KEY.", hint=_MAKE_ONE)
    return secret.strip()


def _granted(scope: Scope, caller: _Caller) -> Scope:
    """The scope with what the caller may do. Another one, since servers may share a state between requests."""
    if caller.scopes is None:
        return scope
    return {**scope, "state": {**scope.get("state", {}), "scopes": caller.scopes}}


def _with_headers(send: Send, window: Window) -> Send:
    """A `send` that tells with the response what is left of the caller's minute."""
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
