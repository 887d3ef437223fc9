"""A stand-in for the model behind a command-line host: it plays an assistant that tests an agent, step by step.

It speaks the two wires that the hosts speak, looks for our tools as their models do, and takes every id that it needs
from what a tool has answered. It knows nothing of us but the names of tools and their arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.running import running

Json = dict[str, Any]

SERVER = "agent-eval"
SAYS_AT_END = "The journey is over."
SEARCH = "create agent persona case, run case, read transcript"


@dataclass(frozen=True)
class Said:
    """What there is of a conversation: the tools that were called, and what they answered."""

    calls: Sequence[str]
    results: Sequence[str]

    def id(self, kind: str) -> str:
        """The first id of that kind in a result."""
        found = re.search(rf"{kind}_id\W+([0-9a-f-]{{8,}})", "\n".join(self.results))
        return found[1] if found else f"no {kind} was returned"


@dataclass(frozen=True)
class Call:
    """What the stand-in wants to do next."""

    tool: str
    arguments: Json


STEPS: tuple[tuple[str, Callable[[Said], Json]], ...] = (
    ("create_agent", lambda _: {"name": "Clinic", "system_prompt": "You are a receptionist."}),
    ("create_persona", lambda _: {"name": "Maya", "identity_prompt": "You are Maya, a nurse."}),
    (
        "create_case",
        lambda said: {
            "name": "Books a visit",
            "agent_id": said.id("agent"),
            "persona_id": said.id("persona"),
            "scenario": "You want an appointment.",
        },
    ),
    ("run_case", lambda said: {"case_id": said.id("case")}),
    ("read_transcript", lambda said: {"run_id": said.id("run")}),
)


def next_call(said: Said) -> Call | None:
    """The first step that was not made yet. None: all were."""
    for tool, arguments in STEPS:
        if tool not in said.calls:
            return Call(tool, arguments(said))
    return None


class StandIn:
    """Answers `/v1/messages` and `/v1/responses`; `said` is the conversation as it was last sent."""

    def __init__(self) -> None:
        self.said = Said((), ())
        self.searches = 0
        self._ids = count()

    async def messages(self, request: Request) -> Response:
        """The wire of Claude Code."""
        body = await request.json()
        if not body.get("tools"):
            return _anthropic(body, {"type": "text", "text": "Yes."})
        self.said = _said_in_messages(body["messages"])
        call = next_call(self.said)
        if call is None:
            return _anthropic(body, {"type": "text", "text": SAYS_AT_END})
        name = f"mcp__{SERVER}__{call.tool}"
        used: Json = {"name": name, "input": call.arguments}
        if name not in json.dumps([body["tools"], *_loaded(body["messages"])]):
            self.searches += 1
            names = ",".join(f"mcp__{SERVER}__{tool}" for tool, _ in STEPS)
            used = {"name": "ToolSearch", "input": {"query": f"select:{names}", "max_results": len(STEPS)}}
        return _anthropic(body, {"type": "tool_use", "id": f"toolu_{next(self._ids)}", **used})

    async def responses(self, request: Request) -> Response:
        """The wire of Codex."""
        body = await request.json()
        self.said = _said_in_items(body["input"])
        call = next_call(self.said)
        if call is None:
            said = {"type": "output_text", "text": SAYS_AT_END, "annotations": []}
            return _openai({"type": "message", "role": "assistant", "id": "msg_1", "content": [said]})
        id = f"call_{next(self._ids)}"
        space = _namespace_of(call.tool, [body["tools"], body["input"]])
        if space is None:
            self.searches += 1
            asked = {
                "execution": "client",
                "arguments": {"query": SEARCH, "limit": 20},
                "status": "completed",
            }
            return _openai({"type": "tool_search_call", "call_id": id, **asked})
        called = {"name": call.tool, "namespace": space, "arguments": json.dumps(call.arguments)}
        return _openai({"type": "function_call", "id": f"fc_{id}", "call_id": id, **called})


@asynccontextmanager
async def stand_in() -> AsyncIterator[tuple[StandIn, str]]:
    """A running stand-in, and its address."""
    model = StandIn()
    routes = [
        Route("/v1/messages", model.messages, methods=["POST"]),
        Route("/v1/responses", model.responses, methods=["POST"]),
    ]
    async with running(Starlette(routes=routes)) as address:
        yield model, address


# --- Anthropic Messages


def _blocks(messages: list[Json], kind: str) -> Iterator[Json]:
    for message in messages:
        content = message["content"]
        yield from (block for block in content if isinstance(block, dict) and block["type"] == kind)


def _said_in_messages(messages: list[Json]) -> Said:
    calls = [block["name"].rpartition("__")[2] for block in _blocks(messages, "tool_use")]
    return Said(calls, [json.dumps(block.get("content")) for block in _blocks(messages, "tool_result")])


def _loaded(messages: list[Json]) -> list[Json]:
    """What a search for tools has answered."""
    return list(_blocks(messages, "tool_result"))


def _anthropic(body: Json, block: Json) -> Response:
    """A message with one block, whole or as a stream."""
    reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
    usage = {"input_tokens": 10, "output_tokens": 10}
    id = f"msg_{block.get('id', 'last')}"
    message = {"id": id, "type": "message", "role": "assistant", "model": body["model"], "usage": usage}
    if not body.get("stream"):
        return JSONResponse(message | {"content": [block], "stop_reason": reason, "stop_sequence": None})
    return _stream(
        {
            "type": "message_start",
            "message": message | {"content": [], "stop_reason": None, "stop_sequence": None},
        },
        *_streamed(block),
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    )


def _streamed(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        start: Json = block | {"text": ""}
        delta: Json = {"type": "text_delta", "text": block["text"]}
    else:
        start = block | {"input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": 0, "content_block": start}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}


# --- OpenAI Responses


def _said_in_items(items: list[Json]) -> Said:
    calls = [item["name"] for item in items if item["type"] == "function_call"]
    outputs = [item for item in items if item["type"] == "function_call_output"]
    return Said(calls, [json.dumps(item.get("output")) for item in outputs])


def _namespace_of(tool: str, node: Any) -> str | None:
    """The namespace that holds a tool, wherever it is told of."""
    if isinstance(node, dict):
        held = [each.get("name") for each in node.get("tools") or [] if isinstance(each, dict)]
        if node.get("type") == "namespace" and tool in held:
            return str(node["name"])
        node = list(node.values())
    if not isinstance(node, list):
        return None
    return next((found for each in node if (found := _namespace_of(tool, each))), None)


def _openai(item: Json) -> Response:
    """A response with one item, as a stream."""
    usage = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    done = {"id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage}
    return _stream(
        {"type": "response.created", "response": done | {"status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    )


def _stream(*events: Json) -> Response:
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Response(text, media_type="text/event-stream")
