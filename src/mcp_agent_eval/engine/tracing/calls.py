"""The span of a model call, or of a message to an endpoint."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.trace import SpanKind

from mcp_agent_eval.engine.llm.messages import Message, Model, ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.names import ELSEWHERE, OFFLINE, split
from mcp_agent_eval.engine.tracing.spans import Attributes, as_json, open_span, shows_text
from mcp_agent_eval.types import Json

_KNOWN_AS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "google-cloud": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "xai": "x_ai",
}
"""Providers whose names in the conventions differ from those in model names."""


async def completed(model: Model, request: ModelRequest) -> ModelReply:
    """The model's answer, within a span for the call.

    Raises:
        ModelError: as from the model.
    """
    provider, name = split(model.name)
    operation = "invoke_agent" if provider == ELSEWHERE else "chat"
    with open_span(
        f"{operation} {name or provider}",
        _addressed(operation, provider, name or provider) | {"agent_eval.role": request.purpose},
        kind=SpanKind.INTERNAL if provider == OFFLINE else SpanKind.CLIENT,
    ) as span:
        if span.is_recording():
            span.set_attributes(_asked(request))
        reply = await model.complete(request)
        if span.is_recording():
            span.set_attributes(_answered(reply))
    return reply


def _addressed(operation: str, provider: str, name: str) -> Attributes:
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _KNOWN_AS.get(provider, provider),
        "server.address" if provider == ELSEWHERE else "gen_ai.request.model": name,
    }


def _asked(request: ModelRequest) -> Attributes:
    asked: Attributes = {}
    if request.temperature is not None:
        asked["gen_ai.request.temperature"] = request.temperature
    if request.max_tokens is not None:
        asked["gen_ai.request.max_tokens"] = request.max_tokens
    if request.schema is not None:
        asked["gen_ai.output.type"] = "json"
    if shows_text():
        asked["gen_ai.system_instructions"] = as_json([_text_part(request.system)])
        asked["gen_ai.input.messages"] = as_json([_as_parts(message) for message in request.messages])
    return asked


def _answered(reply: ModelReply) -> Attributes:
    usage = reply.usage
    answered: Attributes = {
        "gen_ai.response.model": reply.model,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "agent_eval.requests": reply.attempts,
    }
    if reply.stop:
        answered["gen_ai.response.finish_reasons"] = [reply.stop]
    if usage.cache_read:
        answered["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read
    if usage.cache_write:
        answered["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write
    if shows_text():
        answered["gen_ai.output.messages"] = as_json([_as_parts(reply.message)])
    return answered


def _as_parts(message: Message) -> Json:
    """A message in the shape that the conventions define."""
    return {"role": message.role, "parts": list(_parts(message))}


def _parts(message: Message) -> Iterator[Json]:
    if message.role == "tool":
        yield {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return
    if message.text:
        yield _text_part(message.text)
    for call in message.tool_calls:
        yield {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.raw or call.args}


def _text_part(text: str) -> Json:
    return {"type": "text", "content": text}
