"""Messages: the protocol of Anthropic. Pure, like every wire."""

from __future__ import annotations

import json
from itertools import groupby
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

DEFAULT_MAX_TOKENS = 4096
"""This API requires a limit on every request; this is ours when the caller sets none."""

ANSWER_TOOL = "give_answer_of_this_shape"
"""The tool whose input is the answer, where a request asks for a schema."""


class AnthropicWire:
    """`POST {base}/v1/messages`. An assistant message's `native` is the provider's list of content blocks."""

    provider: str = "anthropic"
    default_base_url: str = "https://api.anthropic.com"
    key_variable: str = "ANTHROPIC_API_KEY"

    def url(self, base_url: str) -> str:
        """The URL of the endpoint, whether or not the base ends in `/v1`."""
        base = base_url.rstrip("/")
        return f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"

    def headers(self, key: str | None) -> dict[str, str]:
        """The version, and the key if there is one."""
        always = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        return always | {"x-api-key": key} if key else always

    def encode(self, model: str, request: ModelRequest, dropped: frozenset[str]) -> Json:
        """The body. A schema becomes a tool that the model must call, since its input then has that shape."""
        body: Json = {"model": model, "max_tokens": _limit(request, dropped)}
        if request.system:
            body["system"] = request.system
        body["messages"] = _messages(request.messages, dropped)
        if "tools" not in dropped:
            body |= _tools(request, dropped)
        if request.temperature is not None and "temperature" not in dropped:
            body["temperature"] = request.temperature
        return body

    def decode(self, body: Json, *, structured: bool = False) -> Decoded:
        """All text blocks, joined. Thinking and the results of the provider's own tools stay in `native`."""
        message = _decode_message(body.get("content"))
        return Decoded(
            _structured(message) if structured else message,
            _decode_usage(as_object(body.get("usage"))),
            as_text(body.get("model")),
            as_text(body.get("stop_reason")),
        )


def _limit(request: ModelRequest, dropped: frozenset[str]) -> int:
    if request.max_tokens is None or "max_tokens" in dropped:
        return DEFAULT_MAX_TOKENS
    return request.max_tokens


def _tools(request: ModelRequest, dropped: frozenset[str]) -> Json:
    tools = [_tool(spec) for spec in request.tools]
    if request.schema is None or "schema" in dropped:
        return {"tools": tools} if tools else {}
    tools.append(_tool(ToolSpec(ANSWER_TOOL, "Give the answer.", request.schema)))
    if "tool_choice" in dropped:
        return {"tools": tools}
    return {"tools": tools, "tool_choice": {"type": "tool", "name": ANSWER_TOOL}}


def _tool(spec: ToolSpec) -> Json:
    return {"name": spec.name, "description": spec.description, "input_schema": spec.parameters}


def _messages(history: tuple[Message, ...], dropped: frozenset[str]) -> list[Json]:
    messages: list[Json] = []
    for is_results, group in groupby(history, key=_is_tool_result):
        if is_results:
            messages.append({"role": "user", "content": [_tool_result(message) for message in group]})
        else:
            spoken = (_encode_message(message, "native" in dropped) for message in group)
            messages.extend(message for message in spoken if message["content"])
    if "bare_opening" in dropped and (not messages or messages[0]["role"] != "user"):
        messages.insert(0, {"role": "user", "content": OPENING})
    return messages


def _is_tool_result(message: Message) -> bool:
    return message.role == "tool"


def _tool_result(message: Message) -> Json:
    return {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}


def _encode_message(message: Message, plain: bool) -> Json:
    """A message, with empty content if nothing was said: the API refuses blank text."""
    text = message.text if message.text.strip() else ""
    if message.role == "user":
        return {"role": "user", "content": text}
    if (blocks := as_list(message.native)) and not plain:
        return {"role": "assistant", "content": blocks}
    if not message.tool_calls:
        return {"role": "assistant", "content": text}
    said: list[Json] = [{"type": "text", "text": text}] if text else []
    return {"role": "assistant", "content": said + [_tool_use(call) for call in message.tool_calls]}


def _tool_use(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": call.args}


def _decode_message(content: Any) -> Message:
    if isinstance(content, str):
        return Message("assistant", content)
    if not isinstance(content, list):
        raise MalformedError("no content")
    blocks = [_with_id(as_object(block), index) for index, block in enumerate(as_list(content))]
    text = "".join(as_text(block.get("text")) for block in blocks if block.get("type") == "text")
    calls = tuple(_decode_call(block) for block in blocks if block.get("type") == "tool_use")
    native = [_taken_back(block) for block in blocks if not _is_blank(block)]
    return Message("assistant", text, tool_calls=calls, native=native)


def _is_blank(block: Json) -> bool:
    return not block or (block.get("type") == "text" and not as_text(block.get("text")).strip())


def _with_id(block: Json, index: int) -> Json:
    if block.get("type") != "tool_use":
        return block
    return block | {"id": call_id(block.get("id"), index)}


def _taken_back(block: Json) -> Json:
    """The block as it came, except that the API would refuse an input that is not an object."""
    if block.get("type") != "tool_use" or isinstance(block.get("input"), dict):
        return block
    return block | {"input": {}}


def _decode_call(block: Json) -> ToolCall:
    if not (name := as_text(block.get("name"))):
        raise MalformedError("a tool call without a name")
    args, raw = tool_arguments(block.get("input"))
    return ToolCall(block["id"], name, args, raw)


def _structured(message: Message) -> Message:
    """The input of the answer tool as text; if the model only spoke, its text is the answer."""
    for call in message.tool_calls:
        if call.name == ANSWER_TOOL:
            written = json.dumps(call.args, ensure_ascii=False) if call.raw is None else call.raw
            return Message("assistant", written)
    return message


def _decode_usage(usage: Json) -> Usage:
    read = as_count(usage.get("cache_read_input_tokens"))
    write = as_count(usage.get("cache_creation_input_tokens"))
    return Usage(
        input=as_count(usage.get("input_tokens")) + read + write,
        output=as_count(usage.get("output_tokens")),
        cache_read=read,
        cache_write=write,
    )
