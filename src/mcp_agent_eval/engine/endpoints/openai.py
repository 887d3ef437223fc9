"""An agent elsewhere that speaks chat completions. Its words, its calls and its quirks are read like a model's.

Tool calls mean one of two things. Calls of declared tools that wait for a result are left to us, as the protocol
says. Calls next to a text that wait for nothing were carried out by the endpoint: they are reports, and so is the
list `executed_tools` of a message, in which servers with their own tools say what they did.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mcp_agent_eval.engine.endpoints.answers import Extras, Report, answer, as_reports, extras_of
from mcp_agent_eval.engine.endpoints.line import Exchange, Line, Received
from mcp_agent_eval.engine.llm.failures import Failure, refusal
from mcp_agent_eval.engine.llm.messages import Message, ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.openai import OpenAIWire
from mcp_agent_eval.engine.llm.wire import (
    Decoded,
    MalformedError,
    as_list,
    as_object,
    as_text,
    complaint_with_labels,
    error_in,
    error_status,
    quirks_named_in,
    tool_arguments,
)
from mcp_agent_eval.errors import ModelError
from mcp_agent_eval.types import Json
from mcp_agent_eval.types.endpoint import Endpoint

SHAPE = "It must answer in the chat completions format; `url` is the base before /chat/completions."
_UNDECLARED_HINT = (
    "Declare in the agent's `tools` what the endpoint leaves to its caller. Report tools that it runs itself "
    "next to a text, or not at all."
)
_PATH = "/chat/completions"
_COMPLAINT = r"\b(extra|unknown|unrecogni[sz]ed|unsupported|not )"
_REFUSES_USER = re.compile(rf"\buser\b.{{0,40}}{_COMPLAINT}|{_COMPLAINT}.{{0,40}}\buser\b", re.I | re.S)


class _Undeclared(MalformedError):
    """The endpoint asks us to run tools that are unknown here."""


class OpenAIEndpoint:
    """A `Model` for one conversation with an endpoint. What it learns about the endpoint lasts that long."""

    def __init__(self, endpoint: Endpoint, line: Line) -> None:
        self._endpoint = endpoint
        self._line = line
        self._wire = OpenAIWire()
        self._learned: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """`endpoint:HOST`, as stored with a run."""
        return self._line.name

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Ask until there is an answer; parts of a request that it refuses are left out of the next one.

        Raises:
            ModelError: it failed for good; the message names its host and what was wrong.
        """
        exchange = self._line.begin(opens=not request.messages)
        while True:
            body = self._encode(request, self._learned)
            try:
                received = await exchange.post(body)
            except ModelError as exc:
                self._learn(request, body, exc)
            else:
                return self._reply(exchange, request, body, received)

    def _encode(self, request: ModelRequest, dropped: frozenset[str]) -> Json:
        history = request.messages if self._endpoint.send_history else _newest(request.messages)
        sent = replace(request, messages=tuple(map(_as_it_came, history)))
        body = self._wire.encode(self._endpoint.model or "", sent, dropped)
        if self._endpoint.model is None:
            del body["model"]
        if "user" not in dropped:
            body["user"] = self._line.conversation_id
        return body | {"stream": True} if self._endpoint.stream else body

    def _learn(self, request: ModelRequest, body: Json, refused: ModelError) -> None:
        """Note the first quirk that a refusal may be about and that would change the request, or give up."""
        if refused.status_code in (400, 422):
            for name in _refused_parts(refused.received):
                if self._encode(request, self._learned | {name}) != body:
                    self._learned |= {name}
                    return
        raise refused

    def _reply(self, exchange: Exchange, request: ModelRequest, body: Json, received: Received) -> ModelReply:
        try:
            decoded = self._decoded(received)
            message = _settled(decoded, {tool.name for tool in request.tools})
        except MalformedError as exc:
            hint = _UNDECLARED_HINT if isinstance(exc, _Undeclared) else None
            raise exchange.failed(body, _failure(received, exc), hint) from None
        return ModelReply(
            message=message,
            usage=decoded.usage,
            model=decoded.model or self.name,
            stop=decoded.stop,
            attempts=exchange.requests,
            latency_ms=exchange.milliseconds(),
            dropped=self._left_out(request, body),
            sent=body,
            received=as_object(received.body),
        )

    def _left_out(self, request: ModelRequest, body: Json) -> tuple[str, ...]:
        """The refused parts that actually changed this request."""
        learned = self._learned
        return tuple(name for name in sorted(learned) if self._encode(request, learned - {name}) != body)

    def _decoded(self, received: Received) -> Decoded:
        if not (body := as_object(received.body)):
            raise MalformedError(_what_is_no_answer(received))
        if error_in(body):
            raise MalformedError("an error instead of an answer")
        return self._wire.decode(body)


def chat_address(url: str) -> str:
    """The address of chat completions, given it or the base before it. A query is kept."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))


def _as_it_came(message: Message) -> Message:
    """A message that waits for results is sent back as it came; for any other, the words are enough."""
    return replace(message, native=extras_of(message).own) if message.role == "assistant" else message


def _newest(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the endpoint has not seen yet: tool results with the calls that they answer, or what was said."""
    for index in reversed(range(len(messages))):
        if messages[index].role == "assistant":
            return messages[index if messages[index].tool_calls else index + 1 :]
    return messages


def _refused_parts(received: Any) -> list[str]:
    words = complaint_with_labels(received)
    named = list(quirks_named_in(words))
    return ["user", *named] if _REFUSES_USER.search(words) else named


def _settled(decoded: Decoded, declared: set[str]) -> Message:
    """The answer with its calls split into those left to us and those only reported."""
    said = decoded.message
    text = said.text if said.text.strip() else ""
    calls = said.tool_calls
    reports = _executed(as_object(said.native))
    waits = bool(calls) and (not text or decoded.stop == "tool_calls")
    if waits and all(call.name in declared for call in calls):
        return answer(text, calls, Extras(reports, own=said.native))
    if calls and not text:
        raise _Undeclared("no text, and calls of tools that the agent's record does not declare")
    if not text:
        raise MalformedError("no text")
    return answer(text, extras=Extras(reports + as_reports(calls)))


def _executed(message: Json) -> tuple[Report, ...]:
    entries = map(as_object, as_list(message.get("executed_tools")))
    return tuple(_executed_tool(entry) for entry in entries if _name_of(entry))


def _executed_tool(entry: Json) -> Report:
    args, raw = tool_arguments(entry.get("arguments"))
    return Report(_name_of(entry), args, raw, result=_as_result(entry.get("output")))


def _name_of(entry: Json) -> str:
    return as_text(entry.get("name")) or as_text(entry.get("type"))


def _as_result(output: Any) -> Any:
    """A tool's result; servers write it as JSON in a string, as they do with arguments."""
    if not (isinstance(output, str) and output.startswith(("{", "["))):
        return output
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return output


def _what_is_no_answer(received: Received) -> str:
    if received.body == "":
        return "an empty body"
    if "event-stream" in received.headers.get("content-type", ""):
        return "a stream that was cut off or contains no answer"
    return "JSON that is not an object with an answer" if received.is_json else "a body that is not JSON"


def _failure(received: Received, problem: MalformedError) -> Failure:
    """The failure behind a successful status; if the body contains an error, that error gives the kind."""
    told = error_in(as_object(received.body))
    status = error_status(told) or received.status
    kind = refusal(status, received.body, received.headers, told).kind if told else "malformed"
    reason = f"answered {received.status} with {problem}"
    return Failure(kind, reason, status, received=received.body)
