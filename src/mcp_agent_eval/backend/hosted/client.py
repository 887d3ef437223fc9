"""Sends requests to the hosted API: paced, retried where that is safe, with every failure as one of our errors."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, cast

import anyio
import httpx2

from mcp_agent_eval import __version__
from mcp_agent_eval.backend.hosted.failures import body_of, failure, no_contract
from mcp_agent_eval.backend.hosted.pace import Pace
from mcp_agent_eval.errors import ApiError, EvalError, NotFound, OutcomeUnknown
from mcp_agent_eval.types import Json

Method = Literal["GET", "POST", "PATCH", "DELETE"]

_ATTEMPTS = 4
_FIRST_PAUSE = 0.5
_MAY_PASS = (500, 502, 503, 504)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_TIMEOUT = httpx2.Timeout(30, connect=10)


class ApiClient:
    """The only way to the hosted API."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        pace: Pace | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        pause: float = _FIRST_PAUSE,
    ) -> None:
        headers = {"User-Agent": f"mcp-agent-eval/{__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx2.AsyncClient(
            base_url=base_url, headers=headers, timeout=_TIMEOUT, transport=transport
        )
        self._pace = pace or Pace()
        self._pause = pause

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, value, trace)

    async def get(
        self, path: str, params: Mapping[str, object] | None = None, *, background: bool = False
    ) -> Json:
        """Send a GET request; parameters that are None are left out."""
        given = {name: str(value) for name, value in (params or {}).items() if value is not None}
        return await self.send("GET", path, params=given, repeatable=True, background=background)

    async def send(
        self,
        method: Method,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
        background: bool = False,
        seconds: float | None = None,
    ) -> Json:
        """The JSON object of a successful answer. A `repeatable` request may be sent again when its answer was
        lost; one that was never sent, or was rejected by the rate limit, always may.

        Raises:
            OutcomeUnknown: a request that must not be repeated was sent and its answer was lost.
            RateLimited: the limit is used up for too long to wait.
            EvalError: the API's error, by its code.
        """
        request = self._request(method, path, params, body, headers, seconds)
        for attempt in range(1, _ATTEMPTS + 1):
            await self._pace.turn(background=background)
            outcome = await self._once(request, repeatable)
            if not isinstance(outcome, _Again):
                return outcome
            if outcome.is_gone and method == "DELETE" and attempt > 1:
                return {}
            if outcome.is_gone or attempt == _ATTEMPTS:
                raise outcome.error
            await self._wait(attempt, outcome.after)
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None,
        body: Json | None,
        headers: Mapping[str, str] | None,
        seconds: float | None,
    ) -> httpx2.Request:
        # ASCII JSON can express everything, even half of a surrogate pair: it is up to the API to refuse it.
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._http.build_request(
            method,
            path,
            params=params,
            content=content,
            headers={**kind, **(headers or {})},
            timeout=_timeout(seconds),
        )

    async def _once(self, request: httpx2.Request, repeatable: bool) -> Json | _Again:
        """One attempt: its result, or that it may be retried. Raises errors that a retry would not change."""
        try:
            response = await self._http.send(request)
        except _NEVER_SENT as exc:
            return _Again(_unreachable(exc, request))
        except (httpx2.TransportError, httpx2.DecodingError) as exc:
            if repeatable:
                return _Again(_unreachable(exc, request))
            raise _lost(request) from exc
        self._pace.learn(response.headers)
        return self._judge(response, request, repeatable)

    def _judge(self, response: httpx2.Response, request: httpx2.Request, repeatable: bool) -> Json | _Again:
        if response.is_success:
            return _object(response)
        error = failure(response)
        if isinstance(error, NotFound):
            return _Again(error, is_gone=True)
        if response.status_code == 429:
            return _Again(error, self._told_to_wait(response))
        if response.status_code in _MAY_PASS:
            if not repeatable:
                raise _lost(request) from error
            return _Again(error)
        raise error

    def _told_to_wait(self, response: httpx2.Response) -> float:
        """Seconds until the next attempt, which other requests have to respect as well."""
        told = response.headers.get("retry-after", "")
        seconds = float(told) if told.isdecimal() else 1.0
        self._pace.pause(seconds)
        return seconds

    async def _wait(self, attempt: int, after: float | None) -> None:
        """Wait before another attempt. How long the rate limit lasts is known to the pace."""
        if after is None:
            await anyio.sleep(self._pause * math.pow(2, attempt - 1) * random.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class _Again:
    """An attempt that failed in a way that may pass, `after` that many seconds if the server said so; or one that
    found nothing, like a repeated deletion whose first answer was lost."""

    error: EvalError
    after: float | None = None
    is_gone: bool = False


def _timeout(seconds: float | None) -> httpx2.Timeout:
    return _TIMEOUT if seconds is None else httpx2.Timeout(seconds, connect=10)


def _object(response: httpx2.Response) -> Json:
    body = body_of(response)
    if not isinstance(body, dict):
        raise no_contract(response)
    return cast(Json, body)


class Unreachable(ApiError):
    """The error when no attempt got an answer."""


def _unreachable(exc: Exception, request: httpx2.Request) -> Unreachable:
    return Unreachable(
        f"The hosted API at {_where(request)} could not be reached ({type(exc).__name__}).",
        hint="Check AGENT_EVAL_API_URL and the network, then call again: nothing was lost.",
    )


def _lost(request: httpx2.Request) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{request.method} {request.url.path} was sent and its answer was lost: it may have been carried out.",
        hint="Check with list or list_runs before you call again.",
    )


def _where(request: httpx2.Request) -> str:
    return f"{request.url.scheme}://{request.url.host}:{request.url.port or _port(request)}"


def _port(request: httpx2.Request) -> int:
    return 443 if request.url.scheme == "https" else 80
