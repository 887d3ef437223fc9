"""The line to one endpoint for one conversation: sends a body and returns an answer or an error in our words.

What a body means is up to the protocol. Unlike a model behind `HttpModel`, an agent elsewhere remembers and acts: a
request is repeated only if it cannot have arrived, or if the agent itself said that it could not answer. Since an
answer may quote our headers, secrets are removed from everything that comes back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio
import httpx2

from mcp_agent_eval import __version__
from mcp_agent_eval.engine.llm.event_stream import read_body
from mcp_agent_eval.engine.llm.failures import Failure, refusal
from mcp_agent_eval.engine.llm.names import ELSEWHERE
from mcp_agent_eval.engine.llm.retries import RetryPolicy
from mcp_agent_eval.engine.secrets import fill_secrets, hidden, values_in
from mcp_agent_eval.errors import FailureKind, InvalidInput, ModelError, NotConfigured
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.endpoint import Endpoint
from mcp_agent_eval.validation import reject_unwritable


@dataclass(frozen=True, slots=True)
class Received:
    """An answer without secrets: its body as JSON, or as text if it is not JSON."""

    status: int
    headers: httpx2.Headers
    body: Any
    is_json: bool


class Line:
    """Sends requests, with secrets filled in. `shape` says what an answer must look like."""

    def __init__(
        self,
        endpoint: Endpoint,
        client: httpx2.AsyncClient,
        *,
        url: str,
        shape: str,
        conversation_id: str,
        environment: Mapping[str, str] = os.environ,
        base_delay: float = 0.5,
    ) -> None:
        """Raises NotConfigured: a secret is missing, or it or the address cannot be sent."""
        self.host = endpoint.host
        self.shape = shape
        self.policy = RetryPolicy(endpoint.timeout_seconds, endpoint.timeout_seconds, _ATTEMPTS, base_delay)
        self.secrets = values_in(endpoint.headers.values(), environment)
        self.conversation_id = conversation_id
        self._client = client
        self._url = _checked_url(url)
        self._headers = {
            "accept": "application/json, text/event-stream, text/plain;q=0.9",
            "user-agent": f"mcp-agent-eval/{__version__}",
            **_filled(endpoint, environment),
            "content-type": "application/json",
            "x-conversation-id": conversation_id,
        }

    @property
    def name(self) -> str:
        """The endpoint's name in places where models are named."""
        return f"{ELSEWHERE}:{self.host}"

    def begin(self, *, opens: bool = False) -> Exchange:
        """Start asking for an answer: its time limit starts now. `opens` when no one has spoken yet."""
        return Exchange(self, opens)

    async def send(self, body: Json) -> httpx2.Response:
        """One request. Built by hand: a shared client would add the cookies of other conversations."""
        request = httpx2.Request(
            "POST",
            self._url,
            headers={**_host_of(self._url), **self._headers},
            content=json.dumps(body).encode(),
            extensions={"timeout": _UNBOUNDED},
        )
        return await self._client.send(request, stream=True, follow_redirects=False)


class Exchange:
    """One answer that is being asked for: how many requests so far, and how much time is left."""

    def __init__(self, line: Line, opens: bool) -> None:
        self._line = line
        self._opens = opens
        self._started = time.monotonic()
        self._failures = 0
        self.requests = 0

    async def post(self, body: Json) -> Received:
        """The endpoint's answer.

        Raises:
            ModelError: it refused, broke off, did not answer in time, or failed every time it was asked.
        """
        while True:
            outcome = await self._attempt(body)
            if isinstance(outcome, Received):
                return outcome
            await self._wait(body, outcome)

    def failed(self, body: Json, failure: Failure, hint: str | None = None) -> ModelError:
        """The error that ends the run, in our words; the endpoint's own are in `received`."""
        tries = f" ({self.requests} attempts)" if self.requests > 1 else ""
        return ModelError(
            f"The endpoint at {self._line.host} {failure.reason}{tries}.",
            kind=failure.kind,
            hint=hint or self._hint(failure),
            status_code=failure.status,
            retry_after=failure.retry_after,
            attempts=self.requests,
            sent=body,
            received=failure.received,
        )

    def milliseconds(self) -> int:
        """How long it has taken so far."""
        return round((time.monotonic() - self._started) * 1000)

    def _left(self) -> float:
        return max(0.0, self._started + self._line.policy.deadline - time.monotonic())

    async def _attempt(self, body: Json) -> Received | Failure:
        self.requests += 1
        try:
            with anyio.fail_after(self._left()):
                response = await self._line.send(body)
                return self._read(response, await _content_of(response))
        except (TimeoutError, httpx2.TimeoutException):
            return Failure("timeout", f"gave no complete answer within {self._line.policy.deadline:g} s")
        except (httpx2.ConnectError, httpx2.ProxyError) as exc:
            return Failure("unreachable", f"could not be reached ({type(exc).__name__})")
        except httpx2.DecodingError:
            return Failure("malformed", "answered with a body that cannot be decompressed")
        except httpx2.RequestError:
            return Failure("malformed", "closed the connection before its answer was complete")

    def _read(self, response: httpx2.Response, content: bytes | None) -> Received | Failure:
        status = response.status_code
        if content is None:
            return Failure("malformed", f"answered {status} with more than {_LARGEST >> 20} MiB", status)
        try:
            received = _received(response, content, self._line.secrets)
        except (InvalidInput, RecursionError):
            return Failure("malformed", f"answered {status} with JSON that cannot be stored", status)
        if response.is_success:
            return received
        return replace(refusal(status, received.body, response.headers), reason=f"answered {_said(status)}")

    async def _wait(self, body: Json, failure: Failure) -> None:
        self._failures += 1
        policy = self._line.policy
        delay = policy.delay(self._failures) if failure.retry_after is None else failure.retry_after
        is_last = self._failures >= policy.attempts or not _may_ask_again(failure)
        if is_last or delay >= self._left():
            raise self.failed(body, failure)
        await anyio.sleep(delay)

    def _hint(self, failure: Failure) -> str:
        if failure.kind == "malformed":
            return f"{self._line.shape} The answer is in {_SEEN}."
        if self._opens and failure.status in _BEWILDERED:
            return "An agent that cannot open needs a greeting_message, or agent_speaks_first=false."
        return _HINTS_BY_STATUS.get(failure.status or 0) or _HINTS[failure.kind]


_ATTEMPTS = 3
_LARGEST = 8 << 20
_LONGEST_TEXT = 20_000
_BEWILDERED = (400, 422, 500)
_UNBOUNDED = {"connect": None, "read": None, "write": None, "pool": None}
_SEEN = 'read_transcript(view="model_calls")'

_HINTS: dict[FailureKind, str] = {
    "rate_limit": "Try again later, or lower AGENT_EVAL_MAX_CONCURRENCY.",
    "quota": "The endpoint's operator has no credit left with one of their providers.",
    "auth": "Check the endpoint's headers and the secrets that they refer to.",
    "refused": f"Its own message is in {_SEEN}.",
    "overloaded": "The endpoint is failing: its log says why.",
    "timeout": "Find out why it is slow, or raise the endpoint's timeout_seconds (at most 300).",
    "unreachable": "Check the endpoint's url, and that a server answers there.",
}

_HINTS_BY_STATUS = {
    404: "Check the endpoint's url and model.",
    405: "Check the endpoint's url: it must take POST.",
} | dict.fromkeys(
    (301, 302, 303, 307, 308), "Redirects are not followed: set the url to the redirect's target."
)


def _said(status: int) -> str:
    return f"{status}, a redirect" if 300 <= status < 400 else str(status)


def _may_ask_again(failure: Failure) -> bool:
    if failure.kind == "quota":
        return False
    return failure.kind == "unreachable" or failure.status == 429 or (failure.status or 0) >= 500


async def _content_of(response: httpx2.Response) -> bytes | None:
    """The body, or None when it is larger than any sensible answer."""
    content = bytearray()
    try:
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _LARGEST:
                return None
    finally:
        await response.aclose()
    return bytes(content)


def _received(response: httpx2.Response, content: bytes, secrets: Mapping[str, str]) -> Received:
    """Raises InvalidInput for values that JSON cannot express, RecursionError for too much nesting."""
    body = _body_of(content, response.headers.get("content-type", ""))
    reject_unwritable(body)
    is_json = not isinstance(body, str) or _is_json(content)
    if isinstance(body, str) and not response.is_success:
        body = body[:_LONGEST_TEXT]
    return Received(response.status_code, response.headers, hidden(body, secrets), is_json)


def _body_of(content: bytes, kind: str) -> Any:
    """The body as JSON or as text. A body declared as text may still be an object, but not a number."""
    body = read_body(content, kind)
    is_text = kind.startswith("text/plain") and type(body) not in (dict, str)
    return content.decode(errors="replace") if is_text else body


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _filled(endpoint: Endpoint, environment: Mapping[str, str]) -> dict[str, str]:
    """The endpoint's headers as they are sent, by lower-case name."""
    headers: dict[str, str] = {}
    for name, value in endpoint.headers.items():
        filled = fill_secrets(value, environment)
        if not (filled.isascii() and filled.isprintable()):
            raise NotConfigured(
                f"The header {name!r} of the endpoint at {endpoint.host} gets a secret with characters that "
                "a header cannot contain, such as a line break."
            )
        headers[name.lower()] = filled
    return headers


def _checked_url(url: str) -> httpx2.URL:
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL:
        raise NotConfigured("The endpoint's url is not an address that requests can be sent to.") from None


def _host_of(url: httpx2.URL) -> dict[str, str]:
    return {"host": url.netloc.decode("ascii")}
