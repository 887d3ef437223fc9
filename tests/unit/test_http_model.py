"""`HttpModel` against a real server on a socket: what it tries again, what it waits for, what it learns."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any, cast

import anyio
import anyio.abc
import httpx2
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_agent_eval.engine.llm.anthropic import AnthropicWire
from mcp_agent_eval.engine.llm.http_model import HttpModel
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolSpec
from mcp_agent_eval.engine.llm.openai import OpenAIWire
from mcp_agent_eval.engine.llm.retries import RetryPolicy
from mcp_agent_eval.engine.llm.wire import OPENING, Wire
from mcp_agent_eval.errors import ModelError, NotConfigured
from mcp_agent_eval.types import Json, now
from tests.support import shared_path


@dataclass(frozen=True)
class Answer:
    """What the server sends: whole, or its bytes one by one without end."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    drips: bool = False


HANG = "hang"
CLOSE = "close"
Script = Answer | str | Callable[[Json], Answer]


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: Json


class ScriptedServer:
    """Gives the n-th request the n-th entry of its script, and the last one for ever."""

    def __init__(self, script: tuple[Script, ...], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.seen: list[Seen] = []
        self.asked = anyio.Event()
        self._script = script

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        async with stream:
            reader = BufferedByteReceiveStream(stream)
            try:
                while True:
                    await self._exchange(reader, stream)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return

    async def _exchange(self, reader: BufferedByteReceiveStream, stream: anyio.abc.ByteStream) -> None:
        head = (await reader.receive_until(b"\r\n\r\n", 65536)).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = json.loads(await reader.receive_exactly(int(headers["content-length"])))
        entry = self._script[min(len(self.seen), len(self._script) - 1)]
        self.seen.append(Seen(head[0].split()[1], headers, body))
        self.asked.set()
        if entry == HANG:
            await anyio.sleep_forever()
        if entry == CLOSE:
            raise anyio.EndOfStream
        await _send(stream, entry(body) if callable(entry) else cast(Answer, entry))


async def _send(stream: anyio.abc.ByteStream, answer: Answer) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(answer.body))} | answer.headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    await stream.send(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode())
    while answer.drips:
        await stream.send(b" ")
        await anyio.sleep(0.01)
    await stream.send(answer.body)


@asynccontextmanager
async def scripted_server(*script: Script) -> AsyncIterator[ScriptedServer]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = ScriptedServer(script, listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        yield server
        tasks.cancel_scope.cancel()


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), named)


def completion(text: str = "Hello.", **message: Any) -> Json:
    choice = {"message": {"role": "assistant", "content": text} | message, "finish_reason": "stop"}
    return {"model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def spoken(text: str = "Hello.") -> Json:
    usage = {"input_tokens": 7, "output_tokens": 2}
    return {"content": [{"type": "text", "text": text}], "usage": usage, "stop_reason": "end_turn"}


def refusal(message: str, status: int = 400, **more: Any) -> Answer:
    return says({"error": {"message": message, **more}}, status)


OK = says(completion())
BUSY = refusal("Slow down.", 429)
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Shared, since a client that makes its own takes longer over it than any test."""
QUICK = RetryPolicy(timeout=10, deadline=20, attempts=3, base_delay=0.0001)
ASK = ModelRequest("agent", "Be brief.", (Message("user", "Hi"),))


@asynccontextmanager
async def model_at(
    base_url: str,
    policy: RetryPolicy = QUICK,
    wire: Wire | None = None,
    model: str = "m",
    key: str | None = "sk-test-0123456789",
) -> AsyncIterator[HttpModel]:
    async with httpx2.AsyncClient(verify=NO_TLS, limits=httpx2.Limits(max_connections=1)) as client:
        yield HttpModel(wire or OpenAIWire(), model, [client], base_url=base_url, key=key, policy=policy)


async def fails(model: HttpModel, request: ModelRequest = ASK) -> ModelError:
    with anyio.fail_after(10), pytest.raises(ModelError) as caught:
        await model.complete(request)
    return caught.value


async def test_a_reply_holds_what_was_sent_and_what_came_back() -> None:
    async with scripted_server(OK) as server, model_at(server.url) as model:
        reply = await model.complete(ASK)
    assert (reply.message.text, reply.model, reply.stop, reply.attempts) == ("Hello.", "m-1", "stop", 1)
    assert (reply.usage.input, reply.usage.output, reply.dropped) == (7, 2, ())
    assert reply.sent == server.seen[0].body
    assert reply.received == completion()


async def test_a_request_carries_its_path_key_and_kind() -> None:
    async with scripted_server(OK) as server, model_at(f"{server.url}/v1/") as model:
        await model.complete(ASK)
    seen = server.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer sk-test-0123456789"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["host"] == server.url.removeprefix("http://")


async def test_without_a_key_nothing_authenticates() -> None:
    async with scripted_server(OK) as server, model_at(server.url, key=None) as model:
        await model.complete(ASK)
    assert not {"authorization", "x-api-key"} & server.seen[0].headers.keys()


def test_a_model_is_named_after_its_provider() -> None:
    model = HttpModel(
        AnthropicWire(), "claude", [httpx2.AsyncClient()], base_url="http://x", key=None, policy=QUICK
    )
    assert model.name == "anthropic:claude"


@pytest.mark.parametrize(
    "base_url", ["localhost:8000", "ftp://x/v1", "http://", "", "x y", "http://host:port"]
)
def test_a_base_url_that_is_none_is_told_at_once(base_url: str) -> None:
    with pytest.raises(NotConfigured, match="base URL"):
        HttpModel(OpenAIWire(), "m", [httpx2.AsyncClient()], base_url=base_url, key=None, policy=QUICK)


@pytest.mark.parametrize("key", ["sk-\nabc", "sk-аbc"])
def test_a_key_that_no_header_can_carry_is_told_at_once_and_not_shown(key: str) -> None:
    with pytest.raises(NotConfigured, match="OPENAI_API_KEY") as caught:
        HttpModel(OpenAIWire(), "m", [httpx2.AsyncClient()], base_url="http://x", key=key, policy=QUICK)
    assert key not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
async def test_a_passing_failure_is_tried_again(status: int) -> None:
    async with scripted_server(refusal("Not now.", status), OK) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).attempts == 2


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (CLOSE, "unreachable"),
        (Answer(body=b'{"id":"chatcmpl-x","choices":[{"index":0,"mess'), "malformed"),
        (Answer(body=b"<html>hello</html>", headers={"content-type": "text/html"}), "malformed"),
        (Answer(body=b"\xff\xfe\xff"), "malformed"),
        (Answer(body=b"[" * 100_000), "malformed"),
        (Answer(body=b"not gzip", headers={"content-encoding": "gzip"}), "malformed"),
        (says([]), "malformed"),
        (says({"choices": []}), "malformed"),
        (says({"choices": [{"message": None}]}), "malformed"),
        (says({"error": "it broke"}), "malformed"),
        (Answer(204), "malformed"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again_and_then_told(trouble: Script, kind: str) -> None:
    async with scripted_server(trouble, OK) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).attempts == 2
    async with scripted_server(trouble) as server, model_at(server.url) as model:
        error = await fails(model)
    assert (error.kind, error.attempts, len(server.seen)) == (kind, 3, 3)
    assert error.hint


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (BUSY, "rate_limit", 429),
        (refusal("Trouble.", 500), "overloaded", 500),
        (refusal("Trouble.", 503), "overloaded", 503),
        (refusal("Overloaded", 529), "overloaded", 529),
        (refusal("Late.", 504), "timeout", 504),
    ],
)
async def test_a_failure_that_does_not_pass_is_told_after_the_last_attempt(
    answer: Answer, kind: str, status: int
) -> None:
    async with scripted_server(answer) as server, model_at(server.url) as model:
        error = await fails(model)
    assert (error.kind, error.status_code, error.attempts) == (kind, status, 3)
    assert error.sent == server.seen[-1].body
    assert error.received == json.loads(answer.body)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal("No such thing.", 400), "refused"),
        (refusal("No such model.", 404), "refused"),
        (refusal("Another order.", 409), "refused"),
        (refusal("Too long.", 413), "refused"),
        (Answer(308, headers={"location": "http://127.0.0.1:9/"}), "refused"),
        (refusal("Who are you?", 401), "auth"),
        (refusal("Not for you.", 403), "auth"),
        (refusal("Pay first.", 402), "quota"),
        (refusal("You exceeded your current quota.", 429, code="insufficient_quota"), "quota"),
        (refusal("Billing hard limit has been reached", 429), "quota"),
        (refusal("Your credit balance is too low to access the Anthropic API.", 400), "quota"),
        (refusal("Insufficient credits", 403), "quota"),
    ],
)
async def test_a_failure_that_cannot_pass_is_told_at_once(answer: Answer, kind: str) -> None:
    async with scripted_server(answer) as server, model_at(server.url) as model:
        error = await fails(model)
    assert (error.kind, len(server.seen)) == (kind, 1)


async def test_a_limit_per_minute_that_speaks_of_billing_is_tried_again() -> None:
    busy = refusal("You exceeded your quota, check your plan and billing.\nPlease retry in 0.1s.", 429)
    async with scripted_server(busy, OK) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).attempts == 2


async def test_a_tool_named_after_billing_is_no_matter_of_money() -> None:
    async with (
        scripted_server(refusal("Invalid schema for 'billing'.")) as server,
        model_at(server.url) as model,
    ):
        assert (await fails(model)).kind == "refused"


@pytest.mark.parametrize(
    ("wire", "variable"), [(OpenAIWire(), "OPENAI_API_KEY"), (AnthropicWire(), "ANTHROPIC_API_KEY")]
)
async def test_a_refused_key_is_told_with_the_variable_that_holds_it(wire: Wire, variable: str) -> None:
    async with scripted_server(refusal("No.", 401)) as server:
        async with model_at(server.url, wire=wire) as model:
            assert (await fails(model)).hint == f"Check {variable}."
        async with model_at(server.url, wire=wire, key=None) as model:
            assert (await fails(model)).hint == f"Set {variable}."


async def test_a_key_that_a_gateway_quotes_is_kept_out_of_the_error() -> None:
    answer = refusal("Invalid token sk-test-0123456789.", 401)
    async with scripted_server(answer) as server, model_at(server.url) as model:
        error = await fails(model)
    assert "sk-test" not in error.message + json.dumps(error.received)


@pytest.mark.parametrize("status", [301, 404, 405])
async def test_an_address_that_is_wrong_is_told_with_the_models_name(status: int) -> None:
    async with scripted_server(refusal("?", status)) as server, model_at(server.url, model="gpt-0") as model:
        assert "gpt-0" in ((await fails(model)).hint or "")


async def test_a_message_is_ours_and_the_providers_short_one() -> None:
    answer = refusal("x" * 1000, failed_generation="what the caller said")
    async with scripted_server(answer) as server, model_at(server.url) as model:
        error = await fails(model)
    assert error.message == "openai:m answered 400: " + "x" * 300
    assert error.received == json.loads(answer.body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"object": "error", "message": "Invalid model"}, "Invalid model"),
        ([{"error": {"code": 400, "message": "Bad"}}], "Bad"),
        ({"detail": [{"loc": ["body", "stop"], "msg": "Wrong type", "input": "hi"}]}, "body stop Wrong type"),
        ({"error": {"message": "Gateway", "metadata": {"raw": '{"error":{"message":"No"}}'}}}, "Gateway No"),
        ({"error": {"message": "Line\n  two"}}, "Line two"),
    ],
)
async def test_the_words_of_every_kind_of_error_body_are_found(body: Any, said: str) -> None:
    async with scripted_server(says(body, 418)) as server, model_at(server.url) as model:
        assert (await fails(model)).message == f"openai:m answered 418: {said}"


async def test_a_page_for_people_is_not_repeated() -> None:
    page = Answer(418, b"<html><body>Bad gateway</body></html>")
    async with scripted_server(page) as server, model_at(server.url) as model:
        assert (await fails(model)).message == "openai:m answered 418"


@pytest.mark.parametrize(
    ("error", "kind", "status", "requests"),
    [
        ({"code": 429, "message": "Busy"}, "rate_limit", 429, 3),
        ({"code": "502", "message": "Down"}, "overloaded", 502, 3),
        ({"code": "E17", "message": "Down"}, "malformed", 200, 3),
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded", 529, 3),
        ({"code": 400, "message": "Too long"}, "refused", 400, 1),
        ({"type": "authentication_error", "message": "Who?"}, "auth", 401, 1),
    ],
)
async def test_an_error_inside_a_200_counts_as_what_it_says(
    error: Json, kind: str, status: int, requests: int
) -> None:
    async with scripted_server(says({"error": error})) as server, model_at(server.url) as model:
        told = await fails(model)
    assert (told.kind, told.status_code, len(server.seen)) == (kind, status, requests)


async def test_an_error_inside_a_choice_is_one_as_well() -> None:
    body = {"choices": [{"error": {"code": 503, "message": "Down"}, "message": {"content": ""}}]}
    async with scripted_server(says(body), OK) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).attempts == 2


PATIENT = RetryPolicy(timeout=5, deadline=8, attempts=3, base_delay=60, longest_delay=60)
"""Its own wait would always pass the deadline, so only a server's can lead to a second attempt."""


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after-ms": "20"},
        {"retry-after": "0.02"},
        {"retry-after": "0"},
        {"retry-after": "-3"},
        {"retry-after-ms": "soon", "retry-after": "0"},
        {"retry-after": format_datetime(now() - timedelta(minutes=1), usegmt=True)},
        {"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"},
    ],
)
async def test_the_time_that_a_server_asks_for_is_waited(headers: dict[str, str]) -> None:
    busy = Answer(429, b"{}", headers)
    async with scripted_server(busy, OK) as server, model_at(server.url, PATIENT) as model:
        assert (await model.complete(ASK)).attempts == 2


@pytest.mark.parametrize("in_seconds", [True, False], ids=["seconds", "date"])
async def test_a_wait_beyond_the_deadline_fails_at_once_and_says_how_long(in_seconds: bool) -> None:
    in_an_hour = format_datetime(now() + timedelta(hours=1), usegmt=True)
    busy = Answer(429, b"{}", {"retry-after": "3600" if in_seconds else in_an_hour})
    async with scripted_server(busy) as server, model_at(server.url) as model:
        error = await fails(model)
    assert (error.kind, len(server.seen)) == ("rate_limit", 1)
    assert error.retry_after == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("after", ["", "later", "nan", "inf", "1e999"])
async def test_a_wait_that_cannot_be_read_is_ours_to_choose(after: str) -> None:
    busy = Answer(429, b"{}", {"retry-after": after})
    async with scripted_server(busy, OK) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).attempts == 2


async def test_a_wait_of_ours_never_passes_the_deadline_either() -> None:
    async with scripted_server(BUSY) as server, model_at(server.url, PATIENT) as model:
        error = await fails(model)
    assert (error.kind, error.retry_after, len(server.seen)) == ("rate_limit", None, 1)


def test_waits_double_up_to_the_longest_and_differ() -> None:
    policy = RetryPolicy(1, 1, 20, base_delay=1, longest_delay=10)
    for failures, longest in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (19, 10)]:
        waits = {policy.delay(failures) for _ in range(20)}
        assert len(waits) > 1
        assert all(longest / 2 <= wait <= longest for wait in waits)


async def test_a_hung_provider_ends_the_call_at_its_deadline() -> None:
    policy = RetryPolicy(timeout=60, deadline=0.1, attempts=9)
    async with scripted_server(HANG) as server, model_at(server.url, policy) as model:
        error = await fails(model)
    assert (error.kind, error.attempts) == ("timeout", 1)
    assert "gave no answer within" in error.message


async def test_an_attempt_that_hangs_is_given_up_and_the_next_one_answers() -> None:
    policy = RetryPolicy(timeout=0.2, deadline=20, attempts=20, base_delay=0.0001)
    async with scripted_server(HANG, OK) as server, model_at(server.url, policy) as model:
        assert (await model.complete(ASK)).attempts >= 2


async def test_a_server_that_drips_ends_the_call_at_its_deadline() -> None:
    policy = RetryPolicy(timeout=60, deadline=0.1, attempts=9)
    drip = Answer(headers={"content-length": "1000000"}, drips=True)
    async with scripted_server(drip) as server, model_at(server.url, policy) as model:
        assert (await fails(model)).kind == "timeout"


async def test_a_cancelled_call_is_cancelled_and_leaves_its_connection_free() -> None:
    async with scripted_server(HANG, OK) as server, model_at(server.url) as model:
        async with anyio.create_task_group() as calls:
            calls.start_soon(model.complete, ASK)
            await server.asked.wait()
            calls.cancel_scope.cancel()
        assert (await model.complete(ASK)).attempts == 1


async def test_a_server_that_is_not_there_is_told_as_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with model_at(f"http://127.0.0.1:{taken.getsockname()[1]}/v1") as model:
            error = await fails(model)
    assert (error.kind, error.status_code, error.attempts) == ("unreachable", None, 3)
    assert error.message.endswith("could not be reached (ConnectError) (3 attempts)")


async def test_a_compressed_answer_is_read() -> None:
    packed = Answer(
        body=gzip.compress(json.dumps(completion()).encode()), headers={"content-encoding": "gzip"}
    )
    async with scripted_server(packed) as server, model_at(server.url) as model:
        assert (await model.complete(ASK)).message.text == "Hello."


async def test_halves_of_a_character_are_joined_or_replaced() -> None:
    body = json.dumps(completion("@")).replace("@", r"\ud83d\ude00 \ud83d")
    async with scripted_server(Answer(body=body.encode())) as server, model_at(server.url) as model:
        reply = await model.complete(ASK)
    assert reply.message.text == "😀 \ufffd"
    json.dumps(reply.received, ensure_ascii=False).encode()


async def test_text_of_every_language_arrives_as_it_was() -> None:
    request = ModelRequest("agent", "שלום", (Message("user", "naïve 😀 \x00 \ud800"),))
    async with scripted_server(says(completion("להתראות"))) as server, model_at(server.url) as model:
        assert (await model.complete(request)).message.text == "להתראות"
    assert [m["content"] for m in server.seen[0].body["messages"]] == ["שלום", "naïve 😀 \x00 \ud800"]


async def test_a_stream_that_nobody_asked_for_is_put_together() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Hel", "lo.")]
    lines = [json.dumps(chunk) for chunk in chunks] + ["[DONE]"]
    stream = "".join(f"data: {line}\n\n" for line in lines).encode()
    answer = Answer(body=stream, headers={"content-type": "text/event-stream"})
    async with scripted_server(answer) as server, model_at(server.url) as model:
        reply = await model.complete(ASK)
    assert reply.message.text == "Hello."
    assert reply.received["choices"][0]["message"]["content"] == "Hello."


TOOLS = (ToolSpec("look_up", "Looks up.", {"type": "object", "properties": {}}),)
SCHEMA: Json = {"type": "object", "properties": {"passed": {"type": "boolean"}}}
FULL = ModelRequest("agent", "Be brief.", (Message("user", "Hi"),), TOOLS, 0.2, 300, SCHEMA)
GREETED = ModelRequest("agent", "Be brief.", (Message("assistant", "Good morning."), Message("user", "Hi")))
TWICE = ModelRequest("agent", "Be brief.", (Message("user", "Hi"), Message("user", "Are you there?")))
REASONED = ModelRequest(
    "agent",
    "",
    (
        Message("user", "Hi"),
        Message(
            "assistant", "Hello.", native={"role": "assistant", "content": "Hello.", "reasoning": "A call."}
        ),
        Message("user", "Well?"),
    ),
)


def first_role(body: Json) -> str:
    return next((m["role"] for m in body["messages"] if m["role"] not in ("system", "developer")), "")


def alternates(body: Json) -> bool:
    roles = [m["role"] for m in body["messages"] if m["role"] != "system"]
    return roles[0] == "user" and all(a != b for a, b in pairwise(roles))


OPENAI_REFUSALS: list[tuple[str, Callable[[Json], bool], ModelRequest, tuple[str, ...]]] = [
    (
        "Unsupported value: 'temperature' does not support 0.2 with this model.",
        lambda body: "temperature" in body,
        FULL,
        ("temperature",),
    ),
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
        lambda body: "max_tokens" in body,
        FULL,
        ("max_tokens",),
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 300.",
        lambda body: "max_tokens" in body or "max_completion_tokens" in body,
        FULL,
        ("max_completion_tokens", "max_tokens"),
    ),
    (
        "This response_format type is unavailable now",
        lambda body: "response_format" in body,
        FULL,
        ("schema",),
    ),
    ("registry.ollama.ai/gemma:2b does not support tools", lambda body: "tools" in body, FULL, ("tools",)),
    ("`tool calling` is not supported with this model", lambda body: "tools" in body, FULL, ("tools",)),
    ("Function calling is not enabled for this model", lambda body: "tools" in body, FULL, ("tools",)),
    (
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        lambda body: body["messages"][0]["role"] == "system",
        ASK,
        ("system_role",),
    ),
    (
        "System role not supported",
        lambda body: body["messages"][0]["role"] in ("system", "developer"),
        ASK,
        ("developer_role", "system_role"),
    ),
    (
        'messages: first message must use the "user" role',
        lambda body: first_role(body) != "user",
        GREETED,
        ("bare_opening",),
    ),
    (
        "A conversation must start with a user message.",
        lambda body: first_role(body) != "user",
        ModelRequest("agent", "Be brief.", ()),
        ("bare_opening",),
    ),
    (
        "After the optional system message, conversation roles must alternate user/assistant/user/...",
        lambda body: not alternates(body),
        GREETED,
        ("bare_opening",),
    ),
    (
        "Conversation roles must alternate user/assistant/user/assistant/...",
        lambda body: not alternates(body),
        TWICE,
        ("separate_messages",),
    ),
    (
        "property 'reasoning' is unsupported",
        lambda body: any("reasoning" in m for m in body["messages"]),
        REASONED,
        ("native",),
    ),
]


@pytest.mark.parametrize(("words", "offends", "request_", "dropped"), OPENAI_REFUSALS)
async def test_what_a_model_refuses_is_left_out_and_learned(
    words: str, offends: Callable[[Json], bool], request_: ModelRequest, dropped: tuple[str, ...]
) -> None:
    def server_says(body: Json) -> Answer:
        return refusal(words) if offends(body) else OK

    async with scripted_server(server_says) as server, model_at(server.url) as model:
        first, second = await model.complete(request_), await model.complete(request_)
    assert (first.dropped, first.attempts) == (dropped, 1 + len(dropped))
    assert (second.dropped, second.attempts) == (dropped, 1)
    assert first.sent == second.sent == server.seen[-1].body


@pytest.mark.parametrize("wire", [OpenAIWire(), AnthropicWire()])
async def test_a_limit_that_has_to_hold_is_not_left_out(wire: Wire) -> None:
    def server_says(body: Json) -> Answer:
        limits = [name for name in body if name.startswith("max_") and body[name] == 300]
        return refusal(f"{limits[0]} is not supported.") if limits else OK

    capped = ModelRequest("agent", "", (), max_tokens=300, is_capped=True)
    async with scripted_server(server_says) as server, model_at(server.url, wire=wire) as model:
        with pytest.raises(ModelError, match="not supported") as caught:
            await model.complete(capped)
    assert "budget" in str(caught.value.hint)
    assert all(300 in sent.body.values() for sent in server.seen)


async def test_attempts_that_may_have_been_billed_are_counted() -> None:
    script = (CLOSE, refusal("Slow down.", 503), OK)
    async with scripted_server(*script) as server, model_at(server.url) as model:
        reply = await model.complete(FULL)
    assert (reply.attempts, reply.lost) == (3, 1)


ANTHROPIC_REFUSALS: list[tuple[str, Callable[[Json], bool], ModelRequest, str]] = [
    ("temperature: Extra inputs are not permitted", lambda body: "temperature" in body, FULL, "temperature"),
    (
        "max_tokens: 9000 > 8192",
        lambda body: body["max_tokens"] > 8192,
        ModelRequest("agent", "", (), max_tokens=9000),
        "max_tokens",
    ),
    (
        "Thinking may not be enabled when tool_choice forces tool use.",
        lambda body: "tool_choice" in body,
        FULL,
        "tool_choice",
    ),
    ("tools.1.custom.input_schema: type", lambda body: len(body.get("tools", [])) > 1, FULL, "schema"),
    ("This model does not support tools.", lambda body: "tools" in body, FULL, "tools"),
    (
        "messages: at least one message is required",
        lambda body: not body["messages"],
        ModelRequest("agent", "", ()),
        "bare_opening",
    ),
    (
        'messages: first message must use the "user" role',
        lambda body: body["messages"][0]["role"] != "user",
        GREETED,
        "bare_opening",
    ),
]


@pytest.mark.parametrize(("words", "offends", "request_", "dropped"), ANTHROPIC_REFUSALS)
async def test_the_other_wire_learns_the_same_way(
    words: str, offends: Callable[[Json], bool], request_: ModelRequest, dropped: str
) -> None:
    def server_says(body: Json) -> Answer:
        return refusal(words, 422, type="invalid_request_error") if offends(body) else says(spoken())

    async with scripted_server(server_says) as server, model_at(server.url, wire=AnthropicWire()) as model:
        first, second = await model.complete(request_), await model.complete(request_)
    assert (first.dropped, first.attempts, second.attempts) == ((dropped,), 2, 1)


async def test_a_template_that_knows_two_roles_is_satisfied_in_the_end() -> None:
    def gemma(body: Json) -> Answer:
        if body["messages"][0]["role"] == "system":
            return refusal("System role not supported")
        return OK if alternates(body) else refusal("Conversation roles must alternate user/assistant/...")

    async with scripted_server(gemma) as server, model_at(server.url) as model:
        reply = await model.complete(TWICE)
        again = await model.complete(TWICE)
    assert reply.dropped == ("developer_role", "separate_messages", "system_role")
    assert again.sent["messages"] == [{"role": "user", "content": "Be brief.\n\nHi\n\nAre you there?"}]


async def test_an_opening_is_only_given_where_it_was_asked_for() -> None:
    picky = refusal("first message must be from a user")
    async with scripted_server(picky, OK) as server, model_at(server.url) as model:
        reply = await model.complete(GREETED)
    assert [m["role"] for m in server.seen[0].body["messages"]] == ["system", "assistant", "user"]
    assert reply.sent["messages"][1] == {"role": "user", "content": OPENING}


async def test_a_reply_tells_only_what_its_own_request_had_to_do_without() -> None:
    def picky(body: Json) -> Answer:
        return refusal("temperature") if "temperature" in body else OK

    async with scripted_server(picky) as server, model_at(server.url) as model:
        assert (await model.complete(FULL)).dropped == ("temperature",)
        assert (await model.complete(ASK)).dropped == ()


async def test_a_refusal_that_stays_is_told_and_nothing_is_learned_from_it() -> None:
    script = (refusal("The temperature of this text is wrong."),) * 2 + (OK,)
    async with scripted_server(*script) as server, model_at(server.url) as model:
        error = await fails(model, FULL)
        reply = await model.complete(FULL)
    assert (error.kind, error.attempts) == ("refused", 2)
    assert (reply.dropped, reply.sent["temperature"]) == ((), 0.2)


@pytest.mark.parametrize("status", [401, 403, 404, 409])
async def test_only_a_400_or_422_is_about_a_parameter(status: int) -> None:
    async with scripted_server(refusal("temperature", status)) as server, model_at(server.url) as model:
        await fails(model, FULL)
    assert len(server.seen) == 1


async def test_calls_at_once_all_learn_what_the_model_refuses() -> None:
    def picky(body: Json) -> Answer:
        return refusal("temperature") if "temperature" in body else OK

    async with scripted_server(picky) as server, model_at(server.url) as model:
        async with anyio.create_task_group() as calls:
            for _ in range(8):
                calls.start_soon(model.complete, FULL)
        asked = len(server.seen)
        await model.complete(FULL)
    assert len(server.seen) == asked + 1


async def test_a_schema_on_the_other_wire_comes_back_as_json_text() -> None:
    def server_says(body: Json) -> Answer:
        tool = body["tool_choice"]["name"]
        return says({"content": [{"type": "tool_use", "id": "t", "name": tool, "input": {"passed": True}}]})

    async with scripted_server(server_says) as server, model_at(server.url, wire=AnthropicWire()) as model:
        reply = await model.complete(ModelRequest("judge", "", (Message("user", "Hi"),), schema=SCHEMA))
    assert json.loads(reply.message.text) == {"passed": True}
    assert reply.message.tool_calls == ()


@pytest.fixture
def replay() -> Iterator[Callable[[str], tuple[str, str]]]:
    """Starts the recorded dialogues' server with the given faults: its address, and a model of its."""
    started: list[subprocess.Popen[str]] = []
    tool, data = shared_path("tools/replay_llm.py"), shared_path("real/dialogues_dev.jsonl")

    def start(faults: str) -> tuple[str, str]:
        command = [sys.executable, str(tool), "--data", str(data), "--port", "0", "--faults", faults]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        listening = json.loads(process.stdout.readline())["listening"]
        with data.open(encoding="utf-8") as lines:
            return listening, f"{json.loads(next(lines))['id']}#agent"

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.shared
@pytest.mark.parametrize("wire", [OpenAIWire(), AnthropicWire()])
async def test_a_call_survives_every_fault_of_a_bad_minute(
    wire: Wire, replay: Callable[[str], tuple[str, str]]
) -> None:
    address, name = replay("1:500,2:badjson,3:close,4:529,5:503")
    policy = RetryPolicy(timeout=5, deadline=10, attempts=6, base_delay=0.001)
    async with model_at(f"{address}/v1", policy, wire, name) as model:
        reply = await model.complete(ASK)
    assert (reply.attempts, reply.model) == (6, name)
    assert reply.message.text or reply.message.tool_calls


@pytest.mark.shared
async def test_a_fault_that_asks_for_time_and_one_that_hangs_end_within_the_deadline(
    replay: Callable[[str], tuple[str, str]],
) -> None:
    address, name = replay("1:429,2:hang")
    async with model_at(f"{address}/v1", RetryPolicy(0.5, 0.7, 6), model=name) as model:
        busy, hung = await fails(model), await fails(model)
    assert (busy.kind, busy.retry_after) == ("rate_limit", 1.0)
    assert hung.kind == "timeout"
