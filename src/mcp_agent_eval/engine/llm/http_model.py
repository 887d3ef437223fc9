"""A model behind HTTP: a wire's bodies, carried to a provider and back until it answers or fails for good.

What a body says is the wire's affair. Here it is decided what a failure means: whether to try again, how long
to wait first, what to leave out of the next request, and what the caller is told in the end.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

import anyio
import httpx2

from mcp_agent_eval.engine.llm.event_stream import read_body
from mcp_agent_eval.engine.llm.failures import Failure, refusal
from mcp_agent_eval.engine.llm.messages import ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.wire import (
    Decoded,
    MalformedError,
    Wire,
    as_object,
    error_in,
    error_status,
    quirks_named_in,
)
from mcp_agent_eval.errors import FailureKind, ModelError, NotConfigured
from mcp_agent_eval.types import Json


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long an attempt and the whole call may take, in seconds, and how many attempts may fail."""

    timeout: float
    deadline: float
    attempts: int
    base_delay: float = 0.5
    longest_delay: float = 30.0

    def delay(self, failures: int) -> float:
        """Twice as long each time, and never quite the same: calls that failed together should part."""
        return min(self.longest_delay, self.base_delay * 2 ** (failures - 1)) * random.uniform(0.5, 1)


class Gate(Protocol):
    """Where calls to one model wait for each other, in whichever processes they are made."""

    def seconds_closed(self) -> float:
        """For how long nobody should call."""
        ...

    async def passed(self) -> None:
        """Wait until calls may go on."""
        ...

    async def answered(self) -> None:
        """An answer came."""
        ...

    async def refused(self, failure: ModelError) -> None:
        """The provider asked for patience: close the gate for everybody."""
        ...


class HttpModel:
    """A `Model` over a wire. What it learns of its model's quirks holds for every later call.

    Its calls go to the `clients` in turn. With a `gate`, a provider that asks for patience has it from
    everybody, and as often as it asks.
    """

    def __init__(
        self,
        wire: Wire,
        model: str,
        clients: Sequence[httpx2.AsyncClient],
        *,
        base_url: str,
        key: str | None,
        policy: RetryPolicy,
        gate: Gate | None = None,
    ) -> None:
        self._gate = gate
        self._wire = wire
        self._model = model
        self._clients = cycle(clients)
        self._key = _checked_key(wire, key)
        self._policy = policy
        self._template = clients[0].build_request(
            "POST", _checked_url(wire, base_url), headers=wire.headers(self._key)
        )
        self._learned: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """`provider:name`, as it is stored with a run."""
        return f"{self._wire.provider}:{self._model}"

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Ask until there is an answer.

        The reply's `received` is the provider's body; of a streamed answer, the body put together again. Its
        `attempts` counts every request that went out.

        Raises:
            ModelError: it was refused, or the attempts or the time are used up.
        """
        call = _Call(self._policy.deadline)
        dropped = self._learned
        while True:
            body = self._wire.encode(self._model, request, dropped)
            await self._pass_gate(call, body)
            outcome = await self._attempt(call, body, structured=request.schema is not None)
            if isinstance(outcome, _Answer):
                self._learned |= dropped
                if self._gate:
                    await self._gate.answered()
                return self._reply(call, request, body, dropped, outcome)
            if quirk := self._newly_refused(request, body, dropped, outcome):
                dropped |= {quirk}
            else:
                await self._wait(call, body, outcome)

    async def _attempt(self, call: _Call, body: Json, *, structured: bool) -> _Answer | Failure:
        call.requests += 1
        limit = max(0, min(self._policy.timeout, call.left()))
        try:
            with anyio.fail_after(limit):
                response = await next(self._clients).send(self._post(body))
        except (TimeoutError, httpx2.TimeoutException):
            return Failure("timeout", f"gave no answer within {limit:.3g} s")
        except httpx2.DecodingError:
            return Failure("malformed", "answered with a body that cannot be decompressed")
        except httpx2.RequestError as exc:
            return Failure("unreachable", f"could not be reached ({type(exc).__name__})")
        return self._read(response, structured)

    def _post(self, body: Json) -> httpx2.Request:
        """Made from a template: merging the client's settings anew costs more than all the rest of ours."""
        content = json.dumps(body).encode()
        headers = self._template.headers.copy()
        headers["content-length"] = str(len(content))
        return httpx2.Request(
            "POST",
            self._template.url,
            headers=headers,
            stream=httpx2.ByteStream(content),
            extensions={"timeout": _UNBOUNDED},
        )

    def _read(self, response: httpx2.Response, structured: bool) -> _Answer | Failure:
        status = response.status_code
        if not response.is_success:
            return refusal(status, _body_of(response, without=self._key), response.headers)
        received = _body_of(response)
        if not isinstance(received, dict):
            return Failure("malformed", f"answered {status} without a whole body", status, received=received)
        body = as_object(received)
        if error := error_in(body):
            return refusal(error_status(error) or status, body, response.headers, error)
        try:
            return _Answer(self._wire.decode(body, structured=structured), body)
        except MalformedError as exc:
            return Failure("malformed", f"answered {status} with {exc}", status, received=body)

    def _newly_refused(
        self, request: ModelRequest, body: Json, dropped: frozenset[str], failure: Failure
    ) -> str | None:
        """What a refusal is about: the first quirk it may name that is new and changes what would be sent."""
        if failure.status not in (400, 422):
            return None
        for name in quirks_named_in(failure.words):
            if name not in dropped and self._wire.encode(self._model, request, dropped | {name}) != body:
                return name
        return None

    async def _pass_gate(self, call: _Call, body: Json) -> None:
        """Wait for a short time. Who would have to wait for longer has better things to do."""
        if self._gate and (closed := self._gate.seconds_closed()) > 0:
            if closed > min(_PATIENCE, call.left()):
                raise self._error(call, body, Failure("rate_limit", f"asks for {closed:.0f} s of patience"))
            await self._gate.passed()

    async def _wait(self, call: _Call, body: Json, failure: Failure) -> None:
        if failure.kind == "rate_limit" and self._gate:
            await self._gate.refused(self._error(call, body, failure))
            return
        call.failures += 1
        delay = self._policy.delay(call.failures) if failure.retry_after is None else failure.retry_after
        is_last = failure.kind in _FINAL or call.failures >= self._policy.attempts
        if is_last or delay >= call.left():
            raise self._error(call, body, failure)
        await anyio.sleep(delay)

    def _error(self, call: _Call, body: Json, failure: Failure) -> ModelError:
        tries = f" ({call.requests} attempts)" if call.requests > 1 else ""
        return ModelError(
            f"{self.name} {failure.reason}{tries}",
            kind=failure.kind,
            hint=self._hint(failure),
            status_code=failure.status,
            retry_after=failure.retry_after,
            attempts=call.requests,
            sent=body,
            received=failure.received,
        )

    def _hint(self, failure: Failure) -> str | None:
        if failure.kind == "auth":
            return f"{'Check' if self._key else 'Set'} {self._wire.key_variable}."
        if failure.status in _ELSEWHERE:
            return f"Check the model's name, {self._model!r}, and the base URL."
        return _HINTS.get(failure.kind)

    def _reply(
        self, call: _Call, request: ModelRequest, body: Json, dropped: frozenset[str], answer: _Answer
    ) -> ModelReply:
        decoded = answer.decoded
        return ModelReply(
            message=decoded.message,
            usage=decoded.usage,
            model=decoded.model or self._model,
            stop=decoded.stop,
            attempts=call.requests,
            latency_ms=call.milliseconds(),
            dropped=self._left_out(request, body, dropped),
            sent=body,
            received=answer.received,
        )

    def _left_out(self, request: ModelRequest, body: Json, dropped: frozenset[str]) -> tuple[str, ...]:
        """Those of the known quirks that made this very request differ."""
        return tuple(
            name
            for name in sorted(dropped)
            if self._wire.encode(self._model, request, dropped - {name}) != body
        )


class _Call:
    """One call to a model: how often it asked, and how much of its time is left."""

    def __init__(self, deadline: float) -> None:
        self._started = time.monotonic()
        self._deadline = self._started + deadline
        self.requests = 0
        self.failures = 0

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


@dataclass(frozen=True, slots=True)
class _Answer:
    decoded: Decoded
    received: Json


_PATIENCE = 10.0
"""Seconds that a call waits for a provider that asked for it; they count as time of its conversation."""

_UNBOUNDED = {"connect": None, "read": None, "write": None, "pool": None}
"""No limits of the client's: they are for each read, and ours is for the attempt, which a server may drip."""

_ELSEWHERE = {301, 302, 307, 308, 404, 405}

_FINAL: set[FailureKind] = {"auth", "quota", "refused"}

_HINTS: dict[FailureKind, str] = {
    "rate_limit": "Try again later, or lower AGENT_EVAL_MAX_CONCURRENCY.",
    "quota": "The provider's account has no credit left: see its plan and billing.",
    "overloaded": "The provider is in trouble: try again later.",
    "timeout": "A slow model needs a higher AGENT_EVAL_MODEL_TIMEOUT or AGENT_EVAL_MODEL_DEADLINE.",
    "unreachable": "Check the base URL, and that a server answers there.",
    "malformed": "Check that the base URL is that of the API, and that the server speaks this protocol.",
}


def _checked_key(wire: Wire, key: str | None) -> str | None:
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable()):
        raise NotConfigured(f"{wire.key_variable} holds characters that are in no key.")
    return key or None


def _checked_url(wire: Wire, base_url: str) -> httpx2.URL:
    try:
        url = httpx2.URL(wire.url(base_url))
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise NotConfigured(
            f"The base URL for {wire.provider} models is no HTTP address.",
            hint=f"Give one like {wire.default_base_url}.",
        )
    return url


def _body_of(response: httpx2.Response, without: str | None = None) -> Any:
    """The body as JSON, or as text. `without` is a key, which a gateway may quote when it refuses it."""
    content = response.content
    if without and len(without) >= 8:
        content = content.replace(without.encode(), b"***")
    return read_body(content, response.headers.get("content-type", ""))
