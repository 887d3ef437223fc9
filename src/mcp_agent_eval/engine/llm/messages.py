"""Requests to models and their replies, in our own terms and no vendor's.

A wire turns a `ModelRequest` into a body and a body into a `ModelReply`; `offline` answers a request without any wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mcp_agent_eval.types import Json, ModelRole


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model asked for. `raw` is what it wrote if that is not a JSON object."""

    id: str
    name: str
    args: Json
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a history.

    `native` holds the provider's own blocks of an assistant message; they are sent back unchanged, since some carry
    signatures that the provider checks.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    native: Any = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that is offered to a model."""

    name: str
    description: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call: `purpose` says whose turn it is, `schema` asks for JSON of that shape."""

    purpose: ModelRole
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    schema: Json | None = None
    is_capped: bool = False
    """Whether `max_tokens` is mandatory: it may not be left out even if a server refuses it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input` includes the cached ones, however the provider counts them."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A model's answer, with the bodies as sent over the wire.

    `dropped` names what was left out because the model refused it; `stop` is the provider's own word for why it
    stopped. `lost` of the `attempts` may have been billed without an answer.
    """

    message: Message
    usage: Usage
    model: str
    stop: str = ""
    attempts: int = 1
    lost: int = 0
    latency_ms: int = 0
    dropped: tuple[str, ...] = ()
    sent: Json = field(default_factory=dict[str, Any])
    received: Json = field(default_factory=dict[str, Any])


class Model(Protocol):
    """Anything that answers a request: a wire to a provider, or `offline`."""

    @property
    def name(self) -> str:
        """`provider:name`, as stored with a run."""
        ...

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Answer, or raise `ModelError` when that failed for good."""
        ...


def reply_as_json(reply: ModelReply) -> Json:
    """The parts of a reply that the engine acts on, as journaled: enough to continue without asking again."""
    message = reply.message
    return {
        "text": message.text,
        "tool_calls": [[call.id, call.name, call.args, call.raw] for call in message.tool_calls],
        "native": message.native,
        "usage": [reply.usage.input, reply.usage.output, reply.usage.cache_read, reply.usage.cache_write],
        "model": reply.model,
        "stop": reply.stop,
        "latency_ms": reply.latency_ms,
    }


def reply_from_json(recorded: Json) -> ModelReply:
    """The reply behind the result of `reply_as_json`."""
    calls = tuple(ToolCall(*call) for call in recorded["tool_calls"])
    return ModelReply(
        message=Message("assistant", recorded["text"], calls, native=recorded["native"]),
        usage=Usage(*recorded["usage"]),
        model=recorded["model"],
        stop=recorded["stop"],
        latency_ms=recorded["latency_ms"],
    )
