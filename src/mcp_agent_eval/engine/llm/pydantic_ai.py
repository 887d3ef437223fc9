"""Models of all other providers, played through pydantic-ai: an optional extra, imported only for such a model.

What goes over the wire is up to pydantic-ai: a reply's `sent` and `received` are what it was asked and how it read
the answer. What a failure means, and when to retry, is decided as for all other models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import anyio
from pydantic_ai import exceptions, messages
from pydantic_ai.direct import model_request
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from mcp_agent_eval.engine.llm.failures import Failure
from mcp_agent_eval.engine.llm.messages import Message, ModelReply, ModelRequest, ToolCall, ToolSpec, Usage
from mcp_agent_eval.engine.llm.retries import Call, Gate, RetryPolicy
from mcp_agent_eval.engine.llm.wire import OPENING, complaint, tool_arguments
from mcp_agent_eval.errors import FailureKind, NotConfigured
from mcp_agent_eval.types import Json

_SAMPLES = " To try Pydantic AI"
"""Where the part of pydantic-ai's messages begins that is meant for programmers."""


def open_model(name: str) -> Model:
    """One of pydantic-ai's models, by its name there, `provider:name`. Nothing is sent yet.

    Raises:
        NotConfigured: the provider is unknown, or its package or key is missing; the message says which.
    """
    try:
        return infer_model(name)
    # Each provider's package raises its own errors for a missing key.
    except Exception as exc:
        raise NotConfigured(
            f"pydantic-ai cannot use {name}: {str(exc).partition(_SAMPLES)[0]}",
            hint="Install what it names next to this server, or add the variable to the `env` of this MCP server in "
            "your host's configuration.",
        ) from exc


class PydanticAiModel:
    """A `Model` over one of pydantic-ai's; `name` is its name in runs."""

    def __init__(self, name: str, model: Model, *, policy: RetryPolicy, gate: Gate | None = None) -> None:
        self._name = name
        self._model = model
        self._policy = policy
        self._gate = gate
        self._is_open = False

    @property
    def name(self) -> str:
        """`pydantic-ai:provider:name`, as stored with a run."""
        return self._name

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Ask until there is an answer.

        Raises:
            ModelError: the request was refused, or attempts or time ran out.
        """
        await self._enter()
        call = Call(self.name, self._policy, self._gate, self._hint)
        history, settings, parameters = list(_history(request)), _settings(request), self._parameters(request)
        sent = _shown(self._model, history, settings, parameters)
        while True:
            outcome = await self._attempt(history, settings, parameters, await call.begin(sent))
            if isinstance(outcome, messages.ModelResponse):
                await call.answered()
                return self._reply(call, request, sent, outcome)
            await call.wait_after(sent, outcome)

    async def aclose(self) -> None:
        """Close the provider's connections, even while being cancelled, as servers are when they stop."""
        if self._is_open:
            self._is_open = False
            with anyio.CancelScope(shield=True):
                await self._model.__aexit__(None, None, None)

    async def _enter(self) -> None:
        """Enter the provider, which makes closing its connections our job."""
        if not self._is_open:
            self._is_open = True
            await self._model.__aenter__()

    async def _attempt(
        self,
        history: list[messages.ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        limit: float,
    ) -> messages.ModelResponse | Failure:
        try:
            with anyio.fail_after(limit):
                return await model_request(
                    self._model,
                    history,
                    model_settings=settings | self._only_once(),
                    model_request_parameters=parameters,
                )
        except TimeoutError:
            return Failure("timeout", f"gave no answer within {limit:.3g} s")
        except (exceptions.AgentRunError, exceptions.UserError) as exc:
            return _failure(exc)

    def _only_once(self) -> ModelSettings:
        """Turn off the provider's own retries: ours have to be reported to the other callers."""
        return {} if "max_retries" in self._model.unsupported_settings else {"max_retries": 0}

    def _parameters(self, request: ModelRequest) -> ModelRequestParameters:
        tools = [_tool(spec) for spec in request.tools]
        if request.schema is None or not self._takes_schemas():
            return ModelRequestParameters(function_tools=tools)
        answer = OutputObjectDefinition(request.schema, name="answer", strict=True)
        return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=answer)

    def _takes_schemas(self) -> bool:
        return bool(self._model.profile.get("supports_json_schema_output"))

    def _reply(
        self, call: Call, request: ModelRequest, sent: Json, response: messages.ModelResponse
    ) -> ModelReply:
        received = _dumped(response)
        return ModelReply(
            message=_message(response, received),
            usage=_usage(response.usage),
            model=response.model_name or self._model.model_name,
            stop=response.finish_reason or "",
            attempts=call.requests,
            latency_ms=call.milliseconds(),
            dropped=tuple(self._dropped(request)),
            sent=sent,
            received=received,
        )

    def _dropped(self, request: ModelRequest) -> Iterator[str]:
        """How the request had to differ, in the names of `QUIRKS`."""
        if _opens_bare(request):
            yield "bare_opening"
        if request.schema is not None and not self._takes_schemas():
            yield "schema"
        yield from sorted(_settings(request).keys() & self._model.unsupported_settings)

    def _hint(self, failure: Failure) -> str | None:
        if failure.kind == "auth":
            return "Check the provider's key in the server's environment."
        if failure.kind == "refused":
            return f"Check the model's name, {self._model.model_name!r}, and what it accepts."
        return None


_KINDS: tuple[tuple[type[Exception], FailureKind], ...] = (
    (exceptions.ModelRateLimitError, "rate_limit"),
    (exceptions.ModelQuotaExceededError, "quota"),
    (exceptions.ModelAuthenticationError, "auth"),
    (exceptions.ModelRequestRejectedError, "refused"),
    (exceptions.ModelUnavailableError, "overloaded"),
    (exceptions.ModelServerError, "overloaded"),
    (exceptions.ModelTimeoutError, "timeout"),
    (exceptions.ModelConnectionError, "unreachable"),
    (exceptions.ModelHTTPError, "refused"),
    (exceptions.ContentFilterError, "refused"),
    (exceptions.UserError, "refused"),
)
"""The kinds of failure, most specific class first. Anything else is an answer that could not be read."""


def _failure(exc: exceptions.AgentRunError | exceptions.UserError) -> Failure:
    if not isinstance(exc, exceptions.ModelAPIError):
        return Failure(_kind(exc), _reason(exc), received=str(exc))
    return Failure(
        _kind(exc),
        _reason(exc),
        status=exc.status_code if isinstance(exc, exceptions.ModelHTTPError) else None,
        retry_after=exc.retry_after,
        received=exc.body,
    )


def _kind(exc: Exception) -> FailureKind:
    for of, kind in _KINDS:
        if isinstance(exc, of):
            return kind
    return "malformed"


def _reason(exc: Exception) -> str:
    """The reason, continuing from the model's name. Most of pydantic-ai's messages may quote the answer."""
    if isinstance(exc, exceptions.ModelHTTPError):
        said = complaint(exc.body)
        return f"answered {exc.status_code}: {said}" if said else f"answered {exc.status_code}"
    if isinstance(exc, exceptions.ModelTimeoutError):
        return "gave no answer in time"
    if isinstance(exc, exceptions.ModelConnectionError):
        return f"could not be reached ({type(exc.__cause__ or exc).__name__})"
    if isinstance(exc, exceptions.UserError):
        return f"cannot be asked this: {exc.message}"
    return f"gave an answer that could not be read ({type(exc).__name__})"


def _history(request: ModelRequest) -> Iterator[messages.ModelMessage]:
    """The history in pydantic-ai's shape, where everything between two answers is one request."""
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    parts = list(_beginning(request))
    for message in request.messages:
        if message.role != "assistant":
            parts.append(_said(message, names))
        elif response := _response(message):
            if parts:
                yield messages.ModelRequest(parts)
            parts = []
            yield response
    if parts:
        yield messages.ModelRequest(parts)


def _beginning(request: ModelRequest) -> Iterator[messages.ModelRequestPart]:
    if request.system:
        yield messages.SystemPromptPart(request.system)
    if _opens_bare(request):
        yield messages.UserPromptPart(OPENING)


def _opens_bare(request: ModelRequest) -> bool:
    """Whether the assistant would speak first, which most of these providers refuse."""
    return not request.messages or request.messages[0].role == "assistant"


def _said(message: Message, names: Mapping[str, str]) -> messages.ModelRequestPart:
    if message.role == "user":
        return messages.UserPromptPart(message.text)
    id = message.tool_call_id or ""
    return messages.ToolReturnPart(names.get(id, ""), message.text, tool_call_id=id)


def _response(message: Message) -> messages.ModelResponse | None:
    """An earlier answer, unchanged if it came from here, since some contain signatures that are checked."""
    if message.native:
        [response] = messages.ModelMessagesTypeAdapter.validate_python([message.native])
        assert isinstance(response, messages.ModelResponse), "what is kept of an answer is an answer"
        return response
    parts: list[messages.ModelResponsePart] = [messages.TextPart(message.text)] if message.text else []
    parts += [messages.ToolCallPart(it.name, it.raw or it.args, it.id) for it in message.tool_calls]
    return messages.ModelResponse(parts) if parts else None


def _tool(spec: ToolSpec) -> ToolDefinition:
    """A tool definition. Not strict, or pydantic-ai would change the schema to what strict mode requires."""
    return ToolDefinition(
        name=spec.name,
        description=spec.description,
        parameters_json_schema=spec.parameters,
        strict=False,
    )


def _settings(request: ModelRequest) -> ModelSettings:
    settings: ModelSettings = {}
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    return settings


def _message(response: messages.ModelResponse, native: Json) -> Message:
    text = "".join(part.content for part in response.parts if isinstance(part, messages.TextPart))
    calls = tuple(_call(part) for part in response.parts if isinstance(part, messages.ToolCallPart))
    return Message("assistant", text, calls, native=native)


def _call(part: messages.ToolCallPart) -> ToolCall:
    args, raw = tool_arguments(part.args)
    return ToolCall(part.tool_call_id, part.tool_name, args, raw)


def _usage(usage: RequestUsage) -> Usage:
    return Usage(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_read=usage.cache_read_tokens,
        cache_write=usage.cache_write_tokens,
    )


def _dumped(message: messages.ModelMessage) -> Json:
    [dumped] = messages.ModelMessagesTypeAdapter.dump_python([message], mode="json", exclude_none=True)
    return dumped


def _shown(
    model: Model,
    history: list[messages.ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
) -> Json:
    """What pydantic-ai was asked, as JSON."""
    shown: Json = {"model": model.model_id, "messages": [_as_record(message) for message in history]}
    if settings:
        shown["settings"] = dict(settings)
    if parameters.function_tools:
        shown["tools"] = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters_json_schema}
            for tool in parameters.function_tools
        ]
    if parameters.output_object:
        shown["schema"] = parameters.output_object.json_schema
    return shown


def _as_record(message: messages.ModelMessage) -> Json:
    """The messages without timestamps, which would make every request look new."""
    dumped = _dumped(message)
    parts: list[dict[str, Any]] = dumped["parts"]
    return {
        "kind": dumped["kind"],
        "parts": [{key: part[key] for key in part if key != "timestamp"} for part in parts],
    }
