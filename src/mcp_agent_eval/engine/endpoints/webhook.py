"""An agent elsewhere that takes one JSON request per turn. The protocol is ours, and this is all of it.

    request   {"conversation_id": str, "message": str | null, "history": [{"role": "caller" | "agent", "text": str}],
               "turn": int, "agent": str, "variables": {str: str | null}}
    answer    {"text": str, "tool_calls": [{"name": str, "args": {}, "result": any, "error": str}], "ends": bool}

`message` is what the caller has just said, null if the agent is to open; `history` is what was said before it;
`turn` is how often the caller has spoken. An answer only needs `text`, and not even that if `ends` is true.
The text may be called `message`, `reply` or `response`, be a bare JSON string, or be a text/plain body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp_agent_eval.engine.endpoints.answers import Extras, Report, answer
from mcp_agent_eval.engine.endpoints.line import Line, Received
from mcp_agent_eval.engine.llm.failures import Failure
from mcp_agent_eval.engine.llm.messages import Message, ModelReply, ModelRequest, Usage
from mcp_agent_eval.engine.llm.wire import MalformedError, as_list, as_object, as_text, tool_arguments
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.endpoint import Endpoint

SHAPE = 'It must answer with JSON like {"text": "..."}.'
_TEXT_KEYS = ("text", "message", "reply", "response")
_SPEAKERS = {"user": "caller", "assistant": "agent"}


class WebhookEndpoint:
    """A `Model` for one conversation with an endpoint. `variables` go out as the agent's record has them."""

    def __init__(
        self,
        endpoint: Endpoint,
        line: Line,
        *,
        agent_name: str,
        variables: Mapping[str, str | None],
    ) -> None:
        self._sends_history = endpoint.send_history
        self._same: Json = {"agent": agent_name, "variables": dict(variables)}
        self._line = line

    @property
    def name(self) -> str:
        """`endpoint:HOST`, as stored with a run."""
        return self._line.name

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The agent's answer to the latest message.

        Raises:
            ModelError: it failed for good; the message names its host and what was wrong.
        """
        exchange = self._line.begin(opens=not request.messages)
        body = self._encode(request.messages)
        received = await exchange.post(body)
        try:
            message = _decoded(received)
        except MalformedError as exc:
            reason = f"answered {received.status} with {exc}"
            failure = Failure("malformed", reason, received.status, received=received.body)
            raise exchange.failed(body, failure) from None
        return ModelReply(
            message=message,
            usage=Usage(),
            model=self.name,
            attempts=exchange.requests,
            latency_ms=exchange.milliseconds(),
            sent=body,
            received=as_object(received.body) or {"body": received.body},
        )

    def _encode(self, messages: tuple[Message, ...]) -> Json:
        is_asked = bool(messages) and messages[-1].role == "user"
        before = messages[:-1] if is_asked else messages
        return {
            "conversation_id": self._line.conversation_id,
            "message": messages[-1].text if is_asked else None,
            "history": _history(before) if self._sends_history else [],
            "turn": sum(message.role == "user" for message in messages),
            **self._same,
        }


def _history(messages: tuple[Message, ...]) -> list[Json]:
    return [
        {"role": _SPEAKERS[message.role], "text": message.text}
        for message in messages
        if message.role in _SPEAKERS and message.text
    ]


def _decoded(received: Received) -> Message:
    """Raises MalformedError: it is not an answer; the error says which part is wrong."""
    body = received.body
    if isinstance(body, str):
        return answer(_spoken(_bare_text(received)))
    if not isinstance(body, dict):
        raise MalformedError("JSON that is neither an object nor a string")
    told = as_object(body)
    ends = _ends(told)
    return answer(_text(told, ends), extras=Extras(_reports(told), ends))


def _bare_text(received: Received) -> str:
    text = as_text(received.body)
    if not text:
        raise MalformedError("an empty body")
    if not received.is_json and not received.headers.get("content-type", "").startswith("text/plain"):
        raise MalformedError("a body that is neither JSON nor text/plain")
    return text


def _spoken(text: str) -> str:
    if not text.strip():
        raise MalformedError("an empty text")
    return text


def _ends(told: Json) -> bool:
    ends = told.get("ends")
    if ends is not None and not isinstance(ends, bool):
        raise MalformedError("an `ends` that is neither true nor false")
    return ends is True


def _text(told: Json, ends: bool) -> str:
    """The text under the first name that has one; an agent that hangs up need not say anything."""
    given = next((told[key] for key in _TEXT_KEYS if told.get(key) is not None), None)
    if given is None and ends:
        return ""
    if given is None:
        raise MalformedError("no `text`")
    if not isinstance(given, str):
        raise MalformedError("a `text` that is not a string")
    return given if ends and not given.strip() else _spoken(given)


def _reports(told: Json) -> tuple[Report, ...]:
    calls = told.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise MalformedError("a `tool_calls` that is not a list")
    return tuple(_report(call, f"tool_calls[{index}]") for index, call in enumerate(as_list(calls)))


def _report(call: Any, place: str) -> Report:
    told = as_object(call)
    name, error = as_text(told.get("name")), told.get("error")
    if not name:
        raise MalformedError(f"a `{place}` without a `name`")
    if error is not None and not isinstance(error, str):
        raise MalformedError(f"a `{place}.error` that is not a string")
    args, raw = tool_arguments(told.get("args"))
    return Report(name, args, raw, told.get("result"), error or None)
