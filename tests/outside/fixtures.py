"""What the conformance suite asks a server to have, so that it can be told right from wrong.

Names, addresses and texts are those that its scenarios look for. They say nothing about us; what carries them does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    InputResponse,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

Ctx = Context[Any, Any]
Asks = str | InputRequiredResult
R = TypeVar("R", bound=InputResponse)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def add_fixtures(server: MCPServer[Any]) -> None:
    """Put them all on a server."""
    for tool in (*PLAIN, *ASKING):
        server.add_tool(tool, structured_output=False)
    # The SDK makes schemas from signatures, and no signature makes this one.
    server._tool_manager._tools[json_schema_2020_12_tool.__name__].parameters = SCHEMA
    server.resource("test://static-text", mime_type="text/plain")(static_text)
    server.resource("test://static-binary", mime_type="image/png")(static_binary)
    server.resource("test://template/{id}/data", mime_type="application/json")(template)
    for prompt in PROMPTS:
        server.prompt()(prompt)


# --- Tools that answer at once


def test_simple_text() -> str:
    """A text."""
    return "This is a simple text response for testing."


def greet(name: str) -> str:
    """A greeting."""
    return f"Hello, {name}!"


def test_image_content() -> ImageContent:
    """An image."""
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def test_audio_content() -> AudioContent:
    """A sound."""
    return AudioContent(type="audio", data=SOUND, mime_type="audio/wav")


def test_embedded_resource() -> EmbeddedResource:
    """A resource within the result."""
    return embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")


def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Three kinds of content."""
    text = TextContent(type="text", text="Multiple content types test:")
    return [
        text,
        test_image_content(),
        embedded("test://mixed-content-resource", "application/json", '{"test":1}'),
    ]


def test_error_handling() -> str:
    """A failure."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_progress(ctx: Ctx) -> str:
    """Progress in three steps."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"{done} of 100")
        await anyio.sleep(0.05)
    return "done"


def test_logging_tool() -> str:
    """Logs nothing."""
    return "There is nothing to log."


def test_custom_headers(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """An argument that a header repeats."""
    return region


async def test_trigger_tool_change(ctx: Ctx) -> str:
    """Tells subscribers that tools have changed."""
    await ctx.notify_tools_changed()
    return "told"


async def test_trigger_prompt_change(ctx: Ctx) -> str:
    """Tells subscribers that prompts have changed."""
    await ctx.notify_prompts_changed()
    return "told"


def json_schema_2020_12_tool(name: str = "") -> str:
    """Has a schema with many of the words of its dialect."""
    return name


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def embedded(uri: str, kind: str, text: str) -> EmbeddedResource:
    """A text within a result."""
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=text)
    )


# --- Tools that ask in the middle of a call, in the SDK's own way


class Sure(BaseModel):
    ok: bool = Field(description="Go on?")


def ask_whether() -> Elicit[Sure]:
    """The question."""
    return Elicit("Go on?", Sure)


def ask_model() -> Sample:
    """The question."""
    return Sample([said("What is the capital of France?")], max_tokens=100)


def test_streaming_elicitation(sure: Annotated[ElicitationResult[Sure], Resolve(ask_whether)]) -> str:
    """Asks the user."""
    return "yes" if isinstance(sure, AcceptedElicitation) and sure.data.ok else "no"


def test_missing_capability(capital: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model."""
    return str(capital.content)


# --- Tools that answer with a question, and take the answer in the next call


def asking(text: str, **properties: Mapping[str, str]) -> ElicitRequest:
    """A form for the user."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=text, requested_schema=schema))


def sampling(text: str) -> CreateMessageRequest:
    """A question for the client's model."""
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said(text)], max_tokens=100))


def said(text: str) -> SamplingMessage:
    """What is said to a model."""
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


def answered(ctx: Ctx, key: str, kind: type[R]) -> R | None:
    """The answer under a key, where there is one of that kind."""
    found = (ctx.input_responses or {}).get(key)
    return found if isinstance(found, kind) else None


def test_input_required_result_elicitation(ctx: Ctx) -> Asks:
    """Asks for a name."""
    given = answered(ctx, "user_name", ElicitResult)
    if given is None or "name" not in (given.content or {}):
        return InputRequiredResult(
            input_requests={"user_name": asking("What is your name?", name={"type": "string"})}
        )
    return f"Hello, {(given.content or {})['name']}!"


def test_input_required_result_sampling(ctx: Ctx) -> Asks:
    """Asks the client's model."""
    given = answered(ctx, "capital_question", CreateMessageResult)
    if given is None:
        return InputRequiredResult(
            input_requests={"capital_question": sampling("What is the capital of France?")}
        )
    return str(given.content)


def test_input_required_result_list_roots(ctx: Ctx) -> Asks:
    """Asks for the roots."""
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
    return str(ctx.input_responses["client_roots"])


def test_input_required_result_request_state(ctx: Ctx) -> Asks:
    """Asks, and knows its state again."""
    if ctx.request_state is None or answered(ctx, "confirm", ElicitResult) is None:
        return InputRequiredResult(
            input_requests={"confirm": asking("Please confirm", ok={"type": "boolean"})},
            request_state="begun",
        )
    return "state-ok" if ctx.request_state == "begun" else "another state"


def test_input_required_result_multiple_inputs(ctx: Ctx) -> Asks:
    """Asks three things at once."""
    wanted = {
        "user_name": asking("What is your name?", name={"type": "string"}),
        "greeting": sampling("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    if ctx.request_state is None or set(wanted) - set(ctx.input_responses or {}):
        return InputRequiredResult(input_requests=wanted, request_state="begun")
    return "all there"


def test_input_required_result_multi_round(ctx: Ctx) -> Asks:
    """Asks twice."""
    if answered(ctx, "step2", ElicitResult):
        return "done"
    if answered(ctx, "step1", ElicitResult):
        color = asking("Step 2: What is your favorite color?", color={"type": "string"})
        return InputRequiredResult(input_requests={"step2": color}, request_state="round 2")
    name = asking("Step 1: What is your name?", name={"type": "string"})
    return InputRequiredResult(input_requests={"step1": name}, request_state="round 1")


def test_input_required_result_tampered_state(ctx: Ctx) -> Asks:
    """Asks, and takes back no state but its own."""
    return test_input_required_result_request_state(ctx)


def test_input_required_result_capabilities(ctx: Ctx) -> Asks:
    """Asks what the client can be asked."""
    capabilities = ctx.client_capabilities
    wanted: dict[str, Any] = {}
    if capabilities and capabilities.elicitation:
        wanted["ask"] = asking("What is your name?", name={"type": "string"})
    if capabilities and capabilities.sampling:
        wanted["sample"] = sampling("Generate a greeting")
    return InputRequiredResult(input_requests=wanted, request_state="begun")


PLAIN: tuple[Callable[..., Any], ...] = (
    test_simple_text,
    greet,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_progress,
    test_logging_tool,
    test_custom_headers,
    test_trigger_tool_change,
    test_trigger_prompt_change,
    json_schema_2020_12_tool,
    test_streaming_elicitation,
    test_missing_capability,
)
ASKING: tuple[Callable[..., Any], ...] = (
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_tampered_state,
    test_input_required_result_capabilities,
)


# --- Resources and prompts


def static_text() -> str:
    """A text."""
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    """A few bytes."""
    return b"\x89PNG"


def template(id: str) -> str:
    """A text with a part of its address."""
    return f'{{"id": "{id}", "templateTest": true, "data": "Data for ID: {id}"}}'


def test_simple_prompt() -> str:
    """A text."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """Its arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


# The argument's name is the suite's.
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
    """A resource."""
    held = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(held), UserMessage("Please process the embedded resource above.")]


def test_prompt_with_image() -> list[UserMessage]:
    """An image."""
    return [UserMessage(test_image_content()), UserMessage("Please analyze the image above.")]


def test_input_required_result_prompt(ctx: Ctx) -> Asks:
    """Asks before it answers."""
    given = answered(ctx, "user_context", ElicitResult)
    if given is None:
        question = asking("What context should the prompt use?", context={"type": "string"})
        return InputRequiredResult(input_requests={"user_context": question})
    return f"The context is {given.content}."


PROMPTS: tuple[Callable[..., Any], ...] = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)
