"""Chat completions: OpenAI's protocol, which many other servers also speak. Pure, like every wire."""

from __future__ import annotations

import json
import re
from typing import Any

from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec, Usage
from mcp_agent_eval.engine.llm.wire import (
    OPENING,
    Decoded,
    MalformedError,
    as_count,
    as_list,
    as_object,
    as_text,
    call_id,
    tool_arguments,
)
from mcp_agent_eval.types import Json

_NEVER_TAKEN_BACK = {"annotations", "audio", "function_call"}
_SPOKEN_PARTS = {"text", "output_text", ""}
_THINKING = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL)


class OpenAIWire:
    """`POST {base}/chat/completions`. An assistant message's `native` is the provider's message object."""

    provider: str = "openai"
    default_base_url: str = "https://api.openai.com/v1"
    key_variable: str = "OPENAI_API_KEY"

    def url(self, base_url: str) -> str:
        """The URL of the endpoint; a base normally ends in `/v1`."""
        return base_url.rstrip("/") + "/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        """A bearer token, if there is a key."""
        kind = {"content-type": "application/json"}
        return kind | {"authorization": f"Bearer {key}"} if key else kind

    def encode(self, model: str, request: ModelRequest, dropped: frozenset[str]) -> Json:
        """The body. The system prompt comes first, as a separate message."""
        body: Json = {"model": model, "messages": _messages(request, dropped)}
        if request.tools and "tools" not in dropped:
            body["tools"] = [_tool(spec) for spec in request.tools]
        if request.temperature is not None and "temperature" not in dropped:
            body["temperature"] = request.temperature
        if request.max_tokens is not None and (limit := _limit_name(dropped)):
            body[limit] = request.max_tokens
        if request.schema is not None and "schema" not in dropped:
            body["response_format"] = _response_format(request.schema)
        return body

    def decode(self, body: Json, *, structured: bool = False) -> Decoded:
        """The first choice. Its text is what was said: thinking stays in `native`."""
        choice = _first_choice(body)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise MalformedError("a choice without a message")
        return Decoded(
            _decode_message(as_object(message)),
            _decode_usage(as_object(body.get("usage"))),
            as_text(body.get("model")),
            as_text(choice.get("finish_reason")),
        )


def _limit_name(dropped: frozenset[str]) -> str | None:
    name = "max_completion_tokens" if "max_tokens" in dropped else "max_tokens"
    return None if name in dropped else name


def _tool(spec: ToolSpec) -> Json:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}


def _response_format(schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _messages(request: ModelRequest, dropped: frozenset[str]) -> list[Json]:
    plain = "native" in dropped
    history = [_encode_message(message, plain) for message in request.messages]
    if request.system:
        history.insert(0, {"role": _system_role(dropped), "content": request.system})
    if "bare_opening" in dropped:
        _open(history)
    return _joined(history) if "separate_messages" in dropped else history


def _system_role(dropped: frozenset[str]) -> str:
    if "system_role" not in dropped:
        return "system"
    return "user" if "developer_role" in dropped else "developer"


def _open(history: list[Json]) -> None:
    start = 1 if history and history[0]["role"] in ("system", "developer") else 0
    if not history[start:] or history[start]["role"] != "user":
        history.insert(start, {"role": "user", "content": OPENING})


def _joined(history: list[Json]) -> list[Json]:
    joined: list[Json] = []
    for message in history:
        if joined and _may_join(joined[-1], message):
            text = f"{joined[-1]['content']}\n\n{message['content']}"
            joined[-1] = {"role": message["role"], "content": text}
        else:
            joined.append(message)
    return joined


def _may_join(before: Json, after: Json) -> bool:
    return before["role"] == after["role"] != "tool" and all(
        isinstance(message.get("content"), str) and not message.get("tool_calls")
        for message in (before, after)
    )


def _encode_message(message: Message, plain: bool) -> Json:
    if message.role == "user":
        return {"role": "user", "content": message.text}
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    if (native := as_object(message.native)) and not plain:
        return native
    if not message.tool_calls:
        return {"role": "assistant", "content": message.text}
    calls = [_encode_call(call) for call in message.tool_calls]
    return {"role": "assistant", "content": message.text or None, "tool_calls": calls}


def _encode_call(call: ToolCall) -> Json:
    written = json.dumps(call.args) if call.raw is None else call.raw
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": written}}


def _first_choice(body: Json) -> Json:
    choices = as_list(body.get("choices"))
    if not choices:
        raise MalformedError("no choices")
    return as_object(choices[0])


def _decode_message(message: Json) -> Message:
    written = [_identified(call, index) for index, call in enumerate(as_list(message.get("tool_calls")))]
    native = _taken_back(message, written)
    calls = tuple(_decode_call(call) for call in written)
    return Message("assistant", _spoken(message), tool_calls=calls, native=native)


def _taken_back(message: Json, calls: list[Json]) -> Json:
    """The message without parts that servers send but then refuse: nulls, empty lists, unrequested extras."""
    kept = {
        key: value
        for key, value in message.items()
        if key not in _NEVER_TAKEN_BACK
        and value is not None
        and value != []
        and (key, value) != ("refusal", "")
    }
    content = message.get("content") or (None if calls or kept.get("refusal") else "")
    return kept | {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})


def _identified(call: Any, index: int) -> Json:
    written = {key: value for key, value in as_object(call).items() if key != "index"}
    return written | {"id": call_id(written.get("id"), index)}


def _decode_call(call: Json) -> ToolCall:
    function = as_object(call.get("function"))
    if not (name := as_text(function.get("name"))):
        raise MalformedError("a tool call without a name")
    args, raw = tool_arguments(function.get("arguments"))
    return ToolCall(call["id"], name, args, raw)


def _spoken(message: Json) -> str:
    content = message.get("content")
    text = "".join(map(_part_text, as_list(content))) if isinstance(content, list) else as_text(content)
    if "<think>" in text and (thinking := _THINKING.match(text)):
        text = text[thinking.end() :]
    return text or as_text(message.get("refusal"))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    written = as_object(part)
    return as_text(written.get("text")) if as_text(written.get("type")) in _SPOKEN_PARTS else ""


def _decode_usage(usage: Json) -> Usage:
    details = as_object(usage.get("prompt_tokens_details"))
    return Usage(
        input=as_count(usage.get("prompt_tokens")),
        output=as_count(usage.get("completion_tokens")),
        cache_read=as_count(details.get("cached_tokens")) or as_count(usage.get("prompt_cache_hit_tokens")),
        cache_write=as_count(details.get("cache_write_tokens")),
    )
