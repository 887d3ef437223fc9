"""138 recorded exchanges with real providers, served again by a real server and read through `HttpModel`.

What each must give is worked out here from the recorded body alone, without the wires' own code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from mcp_agent_eval.engine.llm.anthropic import AnthropicWire
from mcp_agent_eval.engine.llm.messages import Message, ModelReply, ModelRequest
from mcp_agent_eval.engine.llm.openai import OpenAIWire
from mcp_agent_eval.engine.llm.retries import RetryPolicy
from mcp_agent_eval.engine.llm.wire import Wire
from mcp_agent_eval.errors import ModelError
from mcp_agent_eval.types import Json
from tests.support import shared_path
from tests.unit.test_http_model import Answer, fails, model_at, scripted_server

pytestmark = pytest.mark.shared

RECORDED = 138
FAILURES = {400: "refused", 404: "refused", 429: "rate_limit"}
ONCE = RetryPolicy(timeout=10, deadline=20, attempts=1)
ASK = ModelRequest("agent", "Be brief.", (Message("user", "Hi"),))


@cache
def exchanges() -> list[Json]:
    with shared_path("real/wire_cassettes.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def wire_of(exchange: Json) -> Wire:
    return OpenAIWire() if exchange["protocol"] == "openai.chat" else AnthropicWire()


def answer_of(exchange: Json) -> Answer:
    body, text = exchange["response_json"], exchange["response_text"]
    content = text if body is None else json.dumps(body, ensure_ascii=False)
    return Answer(exchange["status"], content.encode(), {"content-type": exchange["response_content_type"]})


async def ask(exchange: Json, request: ModelRequest = ASK) -> ModelReply | ModelError:
    """What the model makes of a recorded exchange."""
    server, wire = scripted_server(answer_of(exchange)), wire_of(exchange)
    async with server as serving, model_at(serving.url, ONCE, wire) as model:
        return await (model.complete(request) if is_answer(exchange) else fails(model, request))


def is_answer(exchange: Json) -> bool:
    if exchange["status"] != 200:
        return False
    if (body := exchange["response_json"]) is not None:
        return "choices" in body or "content" in body
    return not any("error" in event for event in stream_of(exchange)) and bool(stream_of(exchange))


def stream_of(exchange: Json) -> list[Json]:
    data = [line[6:] for line in exchange["response_text"].splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def expected(exchange: Json) -> tuple[str, list[tuple[str, Json]], tuple[int, int]]:
    """The text, the tool calls and the tokens in and out of a recorded answer."""
    is_openai, body = exchange["protocol"] == "openai.chat", exchange["response_json"]
    if body is None:
        return _openai_stream(exchange) if is_openai else _anthropic_stream(exchange)
    return _openai_body(body) if is_openai else _anthropic_body(body)


def _openai_body(body: Json) -> tuple[str, list[tuple[str, Json]], tuple[int, int]]:
    message = body["choices"][0]["message"]
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part["type"] == "text")
    if content.startswith("<think>"):
        content = content.partition("</think>")[2].lstrip()
    functions = [call["function"] for call in message.get("tool_calls") or []]
    calls = [(function["name"], json.loads(function["arguments"])) for function in functions]
    return content, calls, (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])


def _openai_stream(exchange: Json) -> tuple[str, list[tuple[str, Json]], tuple[int, int]]:
    events = stream_of(exchange)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    functions = [call["function"] for delta in deltas for call in delta.get("tool_calls") or []]
    names = [function["name"] for function in functions if function.get("name")]
    arguments = "".join(function["arguments"] for function in functions)
    usage = [event["usage"] for event in events if event.get("usage")][-1]
    assert len(names) <= 1, "several calls at once need a closer look"
    calls = [(name, json.loads(arguments)) for name in names]
    text = "".join(delta.get("content") or "" for delta in deltas)
    return text, calls, (usage["prompt_tokens"], usage["completion_tokens"])


def _anthropic_body(body: Json) -> tuple[str, list[tuple[str, Json]], tuple[int, int]]:
    text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
    calls = [(block["name"], block["input"]) for block in body["content"] if block["type"] == "tool_use"]
    return text, calls, _anthropic_tokens(body["usage"])


def _anthropic_stream(exchange: Json) -> tuple[str, list[tuple[str, Json]], tuple[int, int]]:
    events = stream_of(exchange)
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    text = "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta")
    usage = [event["usage"] for event in events if event["type"] == "message_delta"][-1]
    calls = [
        (event["content_block"]["name"], _streamed_input(events, event["index"]))
        for event in events
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use"
    ]
    return text, calls, _anthropic_tokens(usage)


def _streamed_input(events: list[Json], index: int) -> Json:
    deltas = [event["delta"] for event in events if "delta" in event and event.get("index") == index]
    return json.loads("".join(delta["partial_json"] for delta in deltas))


def _anthropic_tokens(usage: Json) -> tuple[int, int]:
    kinds = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage[kind] for kind in kinds), usage["output_tokens"]


def kept(exchange: Json) -> Iterator[Any]:
    """The parts of a recorded answer that must go back to its provider as they came."""
    if (body := exchange["response_json"]) is None:
        return
    if exchange["protocol"] != "openai.chat":
        yield from body["content"]
        return
    message = body["choices"][0]["message"]
    for key in ("reasoning", "reasoning_content", "reasoning_details", "extra_content"):
        if message.get(key):
            yield {key: message[key]}
    for call in message.get("tool_calls") or []:
        yield call["function"]


def holds(whole: Any, part: Any) -> bool:
    """Whether a part is in there somewhere, letter by letter."""
    if whole == part or (
        isinstance(whole, dict) and isinstance(part, dict) and part.items() <= whole.items()
    ):
        return True
    inside = whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ()
    return any(holds(value, part) for value in inside)


def test_every_recorded_exchange_is_here() -> None:
    statuses = [exchange["status"] for exchange in exchanges()]
    assert (len(statuses), statuses.count(200)) == (RECORDED, 125)
    assert sum(map(is_answer, exchanges())) == 122


@pytest.mark.parametrize("number", range(RECORDED))
async def test_a_recorded_exchange_is_read_as_it_was_meant(number: int) -> None:
    exchange = exchanges()[number]
    outcome = await ask(exchange)
    if isinstance(outcome, ModelError):
        assert not is_answer(exchange)
        assert outcome.kind == FAILURES.get(exchange["status"], outcome.kind)
        assert outcome.received
    else:
        text, calls, tokens = expected(exchange)
        assert outcome.message.text == text
        assert [(call.name, call.args) for call in outcome.message.tool_calls] == calls
        assert (outcome.usage.input, outcome.usage.output) == tokens
        assert all(call.id for call in outcome.message.tool_calls)


async def test_every_recorded_answer_goes_back_as_it_came() -> None:
    for exchange in filter(is_answer, exchanges()):
        reply = await ask(exchange)
        assert isinstance(reply, ModelReply)
        again = await ask(exchange, ModelRequest("agent", "", (Message("user", "Hi"), reply.message)))
        assert isinstance(again, ModelReply)
        sent = again.sent["messages"][1:]
        assert holds(sent, reply.message.native) or not reply.message.native
        assert all(holds(sent, part) for part in kept(exchange))


async def test_the_odd_ones_fail_for_what_they_are() -> None:
    odd = [exchange for exchange in exchanges() if exchange["status"] == 200 and not is_answer(exchange)]
    kinds = {exchange["cassette"].rsplit("/", 1)[-1]: await ask(exchange) for exchange in odd}
    told = {
        name: (error.kind, error.status_code)
        for name, error in kinds.items()
        if isinstance(error, ModelError)
    }
    assert told == {
        "test_text_response.yaml": ("malformed", 200),
        "test_openrouter_stream_error.yaml": ("refused", 400),
        "test_invalid_response.yaml": ("malformed", 200),
    }


async def test_what_a_model_said_in_a_failed_call_is_not_repeated_in_the_error() -> None:
    failed = [e for e in exchanges() if "failed_generation" in json.dumps(e["response_json"])]
    for exchange in failed:
        error = await ask(exchange)
        assert isinstance(error, ModelError)
        assert exchange["response_json"]["error"]["failed_generation"] not in error.message
        assert exchange["response_json"]["error"]["message"][:50] in error.message
    assert len(failed) == 2
