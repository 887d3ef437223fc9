"""A model behind HTTP: sends a wire's bodies to a provider until it answers or fails for good.

What a body says is up to the wire. This module decides what a failure means: whether to try again, how long to wait
first, what to leave out of the next request, and what to report to the caller in the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import anyio
import httpx2

from mcp_agent_eval.engine.llm.event_stream import read_body
from mcp_agent_eval.engine.llm.failures import Failure, refusal
from mcp_agent_eval.engine.llm.messages import ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.retries import Call, Gate, RetryPolicy
from mcp_agent_eval.engine.llm.wire import (
    Decoded,
    MalformedError,
    Wire,
    as_object,
    error_in,
    error_status,
    quirks_named_in,
)
from mcp_agent_eval.errors import NotConfigured
from mcp_agent_eval.types import Json


class HttpModel:
    """A `Model` over a wire. What it learns about its model's quirks applies to all later calls.

    Its calls go to the `clients` in turn. With a `gate`, a provider that asks us to slow down pauses everyone's
    calls, as often as it asks.
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
        """`provider:name`, as stored with a run."""
        return f"{self._wire.provider}:{self._model}"

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Ask until there is an answer.

        The reply's `received` is the provider's body, reassembled if the answer was streamed. Its `attempts` counts
        every request that was sent.

        Raises:
            ModelError: the request was refused, or attempts or time ran out.
        """
        call = Call(self.name, self._policy, self._gate, self._hint)
        dropped = self._learned
        while True:
            body = self._wire.encode(self._model, request, dropped)
            outcome = await self._attempt(body, await call.begin(body), structured=request.schema is not None)
            if isinstance(outcome, _Answer):
                self._learned |= dropped
                await call.answered()
                return self._reply(call, request, body, dropped, outcome)
            if quirk := self._newly_refused(request, body, dropped, outcome):
                dropped |= {quirk}
            else:
                await call.wait_after(body, outcome)

    async def _attempt(self, body: Json, limit: float, *, structured: bool) -> _Answer | Failure:
        try:
            with anyio.fail_after(limit):
                response = await next(self._clients).send(self._post(body))
        except (TimeoutError, httpx2.TimeoutException):
            return Failure("timeout", f"gave no answer within {limit:.3g} s", may_be_billed=True)
        except httpx2.DecodingError:
            reason = "answered with a body that cannot be decompressed"
            return Failure("malformed", reason, may_be_billed=True)
        except httpx2.RequestError as exc:
            was_sent = not isinstance(exc, httpx2.ConnectError)
            reason = f"could not be reached ({type(exc).__name__})"
            return Failure("unreachable", reason, may_be_billed=was_sent)
        return self._read(response, structured)

    def _post(self, body: Json) -> httpx2.Request:
        """Build a request from a template: merging the client's settings each time costs more than all our other
        work."""
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
            reason = f"answered {status} without a complete body"
            return Failure("malformed", reason, status, received=received, may_be_billed=True)
        body = as_object(received)
        if error := error_in(body):
            return refusal(error_status(error) or status, body, response.headers, error)
        try:
            return _Answer(self._wire.decode(body, structured=structured), body)
        except MalformedError as exc:
            reason = f"answered {status} with {exc}"
            return Failure("malformed", reason, status, received=body, may_be_billed=True)

    def _newly_refused(
        self, request: ModelRequest, body: Json, dropped: frozenset[str], failure: Failure
    ) -> str | None:
        """The quirk that a refusal is about: the first one it may name that is new and changes the request."""
        if failure.status not in _UNFIT:
            return None
        for name in quirks_named_in(failure.words):
            changed = self._wire.encode(self._model, request, dropped | {name})
            if name not in dropped and changed != body and _keeps_limit(request, changed):
                return name
        return None

    def _hint(self, failure: Failure) -> str | None:
        if failure.kind == "auth":
            return f"{'Check' if self._key else 'Set'} {self._wire.key_variable}."
        if failure.status in _ELSEWHERE:
            return f"Check the model's name, {self._model!r}, and the base URL."
        if failure.status in _UNFIT and "max_" in failure.words:
            return "A budget limits the length of answers, which this server refuses: use another one, or no budget."
        return None

    def _reply(
        self, call: Call, request: ModelRequest, body: Json, dropped: frozenset[str], answer: _Answer
    ) -> ModelReply:
        decoded = answer.decoded
        return ModelReply(
            message=decoded.message,
            usage=decoded.usage,
            model=decoded.model or self._model,
            stop=decoded.stop,
            attempts=call.requests,
            lost=call.lost,
            latency_ms=call.milliseconds(),
            dropped=self._left_out(request, body, dropped),
            sent=body,
            received=answer.received,
        )

    def _left_out(self, request: ModelRequest, body: Json, dropped: frozenset[str]) -> tuple[str, ...]:
        """The known quirks that actually changed this request."""
        return tuple(
            name
            for name in sorted(dropped)
            if self._wire.encode(self._model, request, dropped - {name}) != body
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    decoded: Decoded
    received: Json


_UNBOUNDED = {"connect": None, "read": None, "write": None, "pool": None}
"""No timeouts of the client's: they apply to each read, and a server that drips could outlast them. Ours covers
the whole attempt."""


def _keeps_limit(request: ModelRequest, body: Json) -> bool:
    """Whether the answer is still limited, if it has to be."""
    return not request.is_capped or request.max_tokens in body.values()


_UNFIT = {400, 422}
_ELSEWHERE = {301, 302, 307, 308, 404, 405}


def _checked_key(wire: Wire, key: str | None) -> str | None:
    key = key.strip() if key else None
    if key and not (key.isascii() and key.isprintable()):
        raise NotConfigured(f"{wire.key_variable} contains characters that cannot be part of a key.")
    return key or None


def _checked_url(wire: Wire, base_url: str) -> httpx2.URL:
    try:
        url = httpx2.URL(wire.url(base_url))
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise NotConfigured(
            f"The base URL for {wire.provider} models is not an HTTP address.",
            hint=f"Give one like {wire.default_base_url}.",
        )
    return url


def _body_of(response: httpx2.Response, without: str | None = None) -> Any:
    """The body as JSON or text, with the key `without` removed, since a gateway may quote a key that it refuses."""
    content = response.content
    if without and len(without) >= 8:
        content = content.replace(without.encode(), b"***")
    return read_body(content, response.headers.get("content-type", ""))
