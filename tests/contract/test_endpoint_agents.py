"""Agents that run elsewhere, over real sockets: what they are sent, what of their answers counts, how they fail."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.abc
import httpx2
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_agent_eval.engine.conversation.base import Said
from mcp_agent_eval.engine.conversation.endpoint_agent import EndpointAgent
from mcp_agent_eval.engine.endpoints.reach import endpoint_model
from mcp_agent_eval.engine.llm.messages import (
    Model,
    ModelReply,
    ModelRequest,
    reply_as_json,
    reply_from_json,
)
from mcp_agent_eval.engine.llm.wire import OPENING
from mcp_agent_eval.errors import ModelError, NotConfigured
from mcp_agent_eval.types import AgentDraft, Json, ToolUse
from mcp_agent_eval.types.endpoint import Endpoint
from tests.scripted import MemoryJournal
from tests.support import replayed_dialogues, shared_path

RUN = "0f2c5a52-6a83-4d0e-8f0a-0d3a3a1c5b11"
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRETS = {"AGENT_EVAL_SECRET_TOKEN": "s3cr3t-of-the-clinic"}
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Shared, since a client that makes its own takes longer over it than any test."""


@dataclass(frozen=True)
class Answer:
    """What a far agent sends, chunk by chunk; after that it ends the body, closes the connection, or hangs."""

    chunks: tuple[bytes, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    then: str = "end"


HANGS = Answer(then="hang")
DRIPS = Answer(then="drip")
CUT = Answer((b'{"text": "Good mor',), then="close")
CLOSES = Answer(status=0)


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((json.dumps(body).encode(),), status, {"content-type": "application/json"} | named)


def raw(body: bytes, content_type: str = "application/json", status: int = 200) -> Answer:
    return Answer((body,), status, {"content-type": content_type})


def completion(text: str | None = "Hello.", stop: str = "stop", **message: Any) -> Json:
    choice = {"message": {"role": "assistant", "content": text} | message, "finish_reason": stop}
    return {"model": "far-1", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def stream(*deltas: Json, stop: str | None = "stop", cut: bool = False) -> Answer:
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if stop and not cut:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": stop}]})
    lines = [json.dumps(chunk) for chunk in chunks] + ([] if cut else ["[DONE]"])
    pieces = tuple(f"data: {line}\n\n".encode() for line in lines)
    return Answer(pieces, headers={"content-type": "text/event-stream"})


def tool_call(name: str, arguments: str = "{}", call: str = "c1") -> Json:
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: Json


class FarAgent:
    """Gives the n-th request the n-th answer, and the last one for ever."""

    def __init__(self, answers: tuple[Answer, ...], port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.seen: list[Seen] = []
        self._answers = answers

    async def handle(self, connection: anyio.abc.ByteStream) -> None:
        async with connection:
            reader = BufferedByteReceiveStream(connection)
            try:
                while True:
                    await self._exchange(reader, connection)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return

    async def _exchange(self, reader: BufferedByteReceiveStream, connection: anyio.abc.ByteStream) -> None:
        lines = (await reader.receive_until(b"\r\n\r\n", 65536)).decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines[1:]]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = json.loads(await reader.receive_exactly(int(headers["content-length"])))
        answer = self._answers[min(len(self.seen), len(self._answers) - 1)]
        self.seen.append(Seen(lines[0].split()[1], headers, body))
        await _send(connection, answer)


async def _send(connection: anyio.abc.ByteStream, answer: Answer) -> None:
    if answer.then == "hang":
        await anyio.sleep_forever()
    if not answer.status:
        raise anyio.EndOfStream
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    await connection.send(f"HTTP/1.1 {answer.status} X\r\n{lines}transfer-encoding: chunked\r\n\r\n".encode())
    for chunk in answer.chunks:
        await connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    while answer.then == "drip":
        await connection.send(b"1\r\n \r\n")
        await anyio.sleep(0.01)
    if answer.then == "close":
        raise anyio.EndOfStream
    await connection.send(b"0\r\n\r\n")


@asynccontextmanager
async def far_agent(*answers: Answer) -> AsyncIterator[FarAgent]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = FarAgent(answers, listener.extra(anyio.abc.SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        yield server
        tasks.cancel_scope.cancel()


class KeepingJournal(MemoryJournal):
    """Gives every reply as it is after a restart, and keeps those that came from the model."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[ModelReply] = []

    async def ask(self, model: Model, request: ModelRequest) -> ModelReply:
        self.replies.append(await super().ask(model, request))
        return reply_from_json(json.loads(json.dumps(reply_as_json(self.replies[-1]))))


class Caller:
    """Speaks to an agent elsewhere as a conversation does."""

    def __init__(self, agent: AgentDraft, endpoint: Endpoint, client: httpx2.AsyncClient) -> None:
        self.journal = KeepingJournal()
        self.model = endpoint_model(
            endpoint, [client], agent, conversation_id=RUN, environment=SECRETS, base_delay=0.0001
        )
        self.agent = EndpointAgent(agent, endpoint, self.model, self.journal, run_id=RUN, at=AT)

    async def say(self, text: str) -> Said:
        self.agent.hear(text)
        return await self.agent.speak()


def record(**fields: Any) -> AgentDraft:
    given = {"name": "Clinic line", "system_prompt": "(elsewhere)", **fields}
    return AgentDraft.model_validate(given)


@asynccontextmanager
async def call(
    endpoint: Endpoint, agent: AgentDraft | None = None, client: httpx2.AsyncClient | None = None
) -> AsyncIterator[Caller]:
    async with client or httpx2.AsyncClient(verify=NO_TLS) as connected:
        yield Caller(agent or record(), endpoint, connected)


def openai(server: FarAgent, **fields: Any) -> Endpoint:
    return Endpoint(protocol="openai", url=f"http://{server.host}/v1", **fields)


def webhook(server: FarAgent, **fields: Any) -> Endpoint:
    return Endpoint(protocol="webhook", url=f"http://{server.host}/turn?version=2", **fields)


def hurried(endpoint: Endpoint, seconds: float = 0.5) -> Endpoint:
    return endpoint.model_copy(update={"timeout_seconds": seconds})


async def fails(caller: Caller, text: str = "Hi") -> ModelError:
    with anyio.fail_after(10), pytest.raises(ModelError) as caught:
        await caller.say(text)
    return caught.value


BOTH = pytest.mark.parametrize("reach", [openai, webhook])
GOOD = {openai: says(completion("Hello.")), webhook: says({"text": "Hello."})}


# What is sent


async def test_a_chat_endpoint_is_asked_as_a_model_is_with_the_conversation_id_on_it() -> None:
    async with far_agent(GOOD[openai]) as server:
        async with call(openai(server, headers={"X-Tenant": "clinic"})) as caller:
            said = await caller.say("Hi")
            await caller.say("A room, please.")
    first, second = server.seen
    assert said.text == "Hello."
    assert first.path == "/v1/chat/completions"
    assert first.body == {"messages": [{"role": "user", "content": "Hi"}], "user": RUN}
    assert (first.headers["x-conversation-id"], first.headers["x-tenant"]) == (RUN, "clinic")
    assert (first.headers["host"], first.headers["content-type"]) == (server.host, "application/json")
    assert second.body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "A room, please."},
    ]


async def test_model_and_declared_tools_go_out_and_the_prompt_of_the_record_does_not() -> None:
    agent = record(tools=[{"name": "book", "description": "Books."}])
    async with far_agent(GOOD[openai]) as server:
        async with call(openai(server, model="support"), agent) as caller:
            await caller.say("Hi")
    body = server.seen[0].body
    assert body["model"] == "support"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["book"]
    assert {"temperature", "stream"}.isdisjoint(body)
    assert "(elsewhere)" not in json.dumps(body)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("", "/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/deployments/a?api-version=1", "/deployments/a/chat/completions?api-version=1"),
    ],
)
async def test_the_address_of_a_chat_endpoint_is_a_base_or_whole(address: str, path: str) -> None:
    async with far_agent(GOOD[openai]) as server:
        async with call(Endpoint(protocol="openai", url=f"http://{server.host}{address}")) as caller:
            await caller.say("Hi")
    assert server.seen[0].path == path


async def test_a_webhook_is_sent_exactly_what_is_documented() -> None:
    agent = record(variables={"Clinic": "Elm Street", "Caller": None}, greeting_message="{{Clinic}}, hello.")
    async with far_agent(GOOD[webhook]) as server:
        async with call(webhook(server), agent) as caller:
            caller.agent.greet()
            await caller.say("Hi")
            await caller.say("A room, please.")
    seen = server.seen[1]
    assert seen.path == "/turn?version=2"
    assert seen.headers["x-conversation-id"] == RUN
    assert seen.body == {
        "conversation_id": RUN,
        "message": "A room, please.",
        "history": [
            {"role": "agent", "text": "Elm Street, hello."},
            {"role": "caller", "text": "Hi"},
            {"role": "agent", "text": "Hello."},
        ],
        "turn": 2,
        "agent": "Clinic line",
        "variables": {"Clinic": "Elm Street", "Caller": None},
    }


async def test_an_agent_that_remembers_is_sent_only_what_is_new() -> None:
    agent = record(tools=[{"name": "book"}])
    calls = says(completion(None, "tool_calls", tool_calls=[tool_call("book")]))
    async with far_agent(GOOD[openai], calls, GOOD[openai]) as server:
        async with call(openai(server, send_history=False), agent) as caller:
            await caller.say("Hi")
            await caller.say("A room, please.")
            caller.agent.take_results([ToolUse(id="c1", name="book", result={"ok": True})])
            await caller.agent.speak()
    assert [[message["role"] for message in seen.body["messages"]] for seen in server.seen] == [
        ["user"],
        ["user"],
        ["assistant", "tool"],
    ]


async def test_a_webhook_that_remembers_is_sent_no_history() -> None:
    async with far_agent(GOOD[webhook]) as server:
        async with call(webhook(server, send_history=False)) as caller:
            await caller.say("Hi")
            await caller.say("Still there?")
    body = server.seen[1].body
    assert (body["history"], body["message"], body["turn"]) == ([], "Still there?", 2)


@BOTH
async def test_no_cookie_of_another_conversation_is_sent(reach: Any) -> None:
    greedy = Answer(GOOD[reach].chunks, headers=GOOD[reach].headers | {"set-cookie": "session=1"})
    async with far_agent(greedy) as server:
        async with call(reach(server)) as caller:
            await caller.say("Hi")
            await caller.say("Still there?")
    assert not any("cookie" in seen.headers for seen in server.seen)


# Who opens


@BOTH
async def test_a_greeting_of_the_record_is_said_as_it_stands(reach: Any) -> None:
    async with far_agent(GOOD[reach]) as server:
        async with call(reach(server), record(greeting_message="It is {{CurrentTime}}.")) as caller:
            greeting = caller.agent.greet()
    assert greeting == Said("It is 09:30.")
    assert server.seen == []


async def test_a_webhook_without_a_greeting_is_asked_to_open() -> None:
    async with far_agent(GOOD[webhook]) as server:
        async with call(webhook(server)) as caller:
            assert caller.agent.greet() is None
            assert (await caller.agent.speak()).text == "Hello."
    body = server.seen[0].body
    assert (body["message"], body["history"], body["turn"]) == (None, [], 0)


async def test_a_chat_endpoint_that_refuses_to_open_from_nothing_is_given_an_opening_line() -> None:
    refuses = says({"error": {"message": "messages: at least one message is required"}}, 400)
    async with far_agent(refuses, GOOD[openai]) as server:
        async with call(openai(server)) as caller:
            assert (await caller.agent.speak()).text == "Hello."
            await caller.say("Hi")
    assert [seen.body["messages"][:1] for seen in server.seen] == [
        [],
        [{"role": "user", "content": OPENING}],
        [{"role": "user", "content": OPENING}],
    ]
    assert caller.journal.replies[0].dropped == ("bare_opening",)
    assert caller.journal.replies[0].attempts == 2


@BOTH
@pytest.mark.parametrize(
    ("status", "hint"), [(400, "greeting_message"), (500, "greeting_message"), (401, "headers")]
)
async def test_an_endpoint_that_cannot_open_at_all_is_told_what_to_set(
    reach: Any, status: int, hint: str
) -> None:
    async with far_agent(says({"oops": "no"}, status)) as server:
        async with call(reach(server)) as caller:
            with pytest.raises(ModelError) as caught:
                await caller.agent.speak()
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "complaint",
    [
        {"detail": [{"loc": ["body", "user"], "msg": "Extra inputs are not permitted"}]},
        {"error": {"message": "Unrecognized request argument supplied: user"}},
        {"error": {"message": "Unknown parameter: 'user'."}},
    ],
)
async def test_a_user_field_that_is_refused_is_left_out(complaint: Json) -> None:
    refuses = says(complaint, 422)
    async with far_agent(refuses, GOOD[openai]) as server:
        async with call(openai(server)) as caller:
            assert (await caller.say("Hi")).text == "Hello."
    assert ["user" in seen.body for seen in server.seen] == [True, False]
    assert caller.journal.replies[0].dropped == ("user",)


# What is said


async def test_a_streamed_answer_says_what_the_same_answer_says_in_one_piece() -> None:
    whole = stream({"role": "assistant", "content": "Good "}, {"content": "mor"}, {"content": "ning."})
    async with far_agent(whole) as server:
        async with call(openai(server, stream=True)) as caller:
            said = await caller.say("Hi")
    assert server.seen[0].body["stream"] is True
    assert said.text == "Good morning."
    assert caller.journal.replies[0].received["choices"][0]["message"]["content"] == "Good morning."


async def test_a_character_that_comes_in_two_halves_is_whole() -> None:
    in_bytes = b"".join(stream({"content": "@"}).chunks).replace(b"@", "🙂".encode())
    middle = in_bytes.index("🙂".encode()) + 2
    kind = {"content-type": "text/event-stream"}
    by_bytes = Answer((in_bytes[:middle], in_bytes[middle:]), headers=kind)
    by_escapes = stream({"content": "Yes \ud83d"}, {"content": "\ude42"})
    async with far_agent(by_bytes, by_escapes) as server:
        async with call(openai(server, stream=True)) as caller:
            assert (await caller.say("Hi")).text == "🙂"
            assert (await caller.say("Hi")).text == "Yes 🙂"


async def test_usage_is_what_the_endpoint_tells_and_else_nothing() -> None:
    untold = completion() | {"usage": None}
    async with far_agent(says(completion()), says(untold)) as server:
        async with call(openai(server)) as caller:
            await caller.say("Hi")
            await caller.say("Hi")
    told, silent = (reply.usage for reply in caller.journal.replies)
    assert ((told.input, told.output), (silent.input, silent.output)) == ((7, 2), (0, 0))
    assert caller.model.name == f"endpoint:{server.host}"


@pytest.mark.parametrize(
    "answer",
    [
        says({"text": "Hello."}),
        says({"message": "Hello.", "extra": [1]}),
        says({"text": None, "reply": "Hello."}),
        says({"response": "Hello."}),
        says("Hello."),
        raw(b"Hello.", "text/plain"),
        raw(b'{"text": "Hello."}', "text/plain; charset=utf-8"),
        raw(b'{"text": "Hello."}', "application/octet-stream"),
    ],
)
async def test_a_webhook_may_answer_in_several_shapes(answer: Answer) -> None:
    async with far_agent(answer) as server:
        async with call(webhook(server)) as caller:
            assert (await caller.say("Hi")).text == "Hello."


async def test_text_that_looks_like_json_stays_text() -> None:
    async with far_agent(raw(b"42", "text/plain"), raw("שלום 🙂".encode(), "text/plain")) as server:
        async with call(webhook(server)) as caller:
            assert (await caller.say("How many?")).text == "42"
            assert (await caller.say("Hello?")).text == "שלום 🙂"


async def test_a_webhook_can_hang_up_with_and_without_a_word() -> None:
    async with far_agent(says({"text": "Bye.", "ends": True}), says({"ends": True})) as server:
        async with call(webhook(server)) as caller:
            spoken, wordless = await caller.say("Bye"), await caller.say("Bye")
    assert [(said.text, said.ends) for said in (spoken, wordless)] == [("Bye.", "endpoint"), ("", "endpoint")]


# Tools


async def test_tools_that_a_webhook_has_used_are_reported_under_ids_of_ours() -> None:
    calls = [
        {"name": "findRoom", "args": {"day": "Tuesday"}, "result": {"room": 4}},
        {"name": "book", "args": '{"room": 4}', "error": "The room is taken."},
        {"name": "log"},
    ]
    async with far_agent(says({"text": "Sorry.", "tool_calls": calls})) as server:
        async with call(webhook(server)) as caller, call(webhook(server)) as resumed:
            first, second = await caller.say("Hi"), await caller.say("Hi")
            again = await resumed.say("Hi")
    assert [use.model_dump(exclude={"id"}, exclude_none=True) for use in first.reported] == [
        {"name": "findRoom", "args": {"day": "Tuesday"}, "result": {"room": 4}, "mocked": False},
        {"name": "book", "args": {"room": 4}, "error": "The room is taken.", "mocked": False},
        {"name": "log", "args": {}, "mocked": False},
    ]
    assert again.reported == first.reported
    assert len({use.id for use in (*first.reported, *second.reported)}) == 6
    assert (first.tool_calls, first.ends) == ((), None)


@pytest.mark.parametrize("stop", ["stop", "tool_calls"])
async def test_calls_of_unknown_tools_beside_a_text_are_reports(stop: str) -> None:
    told = completion("Booked.", stop, tool_calls=[tool_call("book", '{"room": 4}'), tool_call("note", "?")])
    async with far_agent(says(told), GOOD[openai]) as server:
        async with call(openai(server)) as caller:
            said = await caller.say("Hi")
            await caller.say("Thanks.")
    assert (said.text, said.tool_calls) == ("Booked.", ())
    assert [(use.name, use.args, use.raw_args) for use in said.reported] == [
        ("book", {"room": 4}, None),
        ("note", {}, "?"),
    ]
    assert server.seen[1].body["messages"][1] == {"role": "assistant", "content": "Booked."}


async def test_tools_that_a_server_lists_as_executed_are_reports() -> None:
    executed = [
        {"index": 0, "type": "search", "arguments": '{"query": "rooms"}', "output": '{"found": 2}'},
        {"index": 1, "type": "function", "name": "visit", "arguments": "{}", "output": "A page."},
        {"index": 2, "type": "note", "output": "[sic] broken"},
        {"index": 3},
    ]
    async with far_agent(says(completion("Two rooms.", executed_tools=executed))) as server:
        async with call(openai(server)) as caller:
            said = await caller.say("Hi")
    assert [(use.name, use.args, use.result) for use in said.reported] == [
        ("search", {"query": "rooms"}, {"found": 2}),
        ("visit", {}, "A page."),
        ("note", {}, "[sic] broken"),
    ]


@pytest.mark.parametrize("text", [None, "One moment."])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_declared_tool_that_waits_for_a_result_is_left_to_us(text: str | None, streams: bool) -> None:
    agent = record(tools=[{"name": "book"}])
    message = {"role": "assistant", "content": text, "tool_calls": [tool_call("book", '{"room": 4}')]}
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    in_parts = stream({"content": text}, {"tool_calls": message["tool_calls"]}, stop="tool_calls")
    async with far_agent(in_parts if streams else says(whole), GOOD[openai]) as server:
        async with call(openai(server, stream=streams), agent) as caller:
            said = await caller.say("Room 4, please.")
            caller.agent.take_results([ToolUse(id="c1", name="book", result={"ok": True})])
            after = await caller.agent.speak()
    assert (said.text, said.reported, after.text) == (text or "", (), "Hello.")
    assert [(called.id, called.name, called.args) for called in said.tool_calls] == [
        ("c1", "book", {"room": 4})
    ]
    assert server.seen[1].body["messages"][1:] == [
        message,
        {"role": "tool", "tool_call_id": "c1", "content": '{"ok": true}'},
    ]


async def test_a_declared_tool_beside_a_text_that_waits_for_nothing_was_used_already() -> None:
    told = says(completion("Bye.", "stop", tool_calls=[tool_call("endCall")]))
    async with far_agent(told) as server:
        async with call(openai(server), record(tools=[{"name": "endCall", "type": "system"}])) as caller:
            said = await caller.say("Bye")
    assert [use.name for use in said.reported] == ["endCall"]
    assert (said.tool_calls, said.ends) == ((), "endpoint")


@pytest.mark.parametrize("names", [["transfer"], ["book", "transfer"]])
async def test_an_undeclared_tool_instead_of_an_answer_ends_the_run_with_the_reason(names: list[str]) -> None:
    calls = [tool_call(name, call=name) for name in names]
    async with far_agent(says(completion(None, "tool_calls", tool_calls=calls))) as server:
        async with call(openai(server), record(tools=[{"name": "book"}])) as caller:
            error = await fails(caller)
    assert error.message == (
        f"The endpoint at {server.host} answered 200 with no text, and calls of tools that the agent's record "
        "does not declare."
    )
    assert "`tools`" in (error.hint or "")


# Secrets

BEARER = {"Authorization": "Bearer {{secret.TOKEN}}"}


@BOTH
async def test_a_secret_arrives_and_is_recorded_nowhere_even_if_it_is_sent_back(reach: Any) -> None:
    told = f"You are {SECRETS['AGENT_EVAL_SECRET_TOKEN']}."
    body = (
        completion(told) if reach is openai else {"text": told, "tool_calls": [{"name": "a", "args": told}]}
    )
    async with far_agent(says(body)) as server:
        async with call(reach(server, headers=BEARER)) as caller:
            said = await caller.say("Hi")
    assert server.seen[0].headers["authorization"] == "Bearer s3cr3t-of-the-clinic"
    assert said.text == "You are {{secret.TOKEN}}."
    assert "s3cr3t" not in repr((caller.journal.replies, said))


@BOTH
@pytest.mark.parametrize("status", [401, 500])
async def test_a_refusal_that_quotes_a_secret_gives_it_to_nobody(reach: Any, status: int) -> None:
    told = {"error": {"message": "Wrong token s3cr3t-of-the-clinic."}}
    async with far_agent(says(told, status), raw(b"s3cr3t-of-the-clinic", status=status)) as server:
        async with call(reach(server, headers=BEARER)) as caller:
            errors = [await fails(caller), await fails(caller)]
    for error in errors:
        assert "s3cr3t" not in repr((error, error.hint, error.sent, error.received, vars(error)))


@BOTH
async def test_a_secret_that_is_missing_is_named_before_anything_is_sent(reach: Any) -> None:
    async with far_agent(GOOD[reach]) as server:
        with pytest.raises(NotConfigured, match="AGENT_EVAL_SECRET_OTHER"):
            async with call(reach(server, headers={"X-Key": "{{secret.OTHER}}"})):
                pass
    assert server.seen == []


async def test_a_secret_that_no_header_can_hold_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SECRETS, "AGENT_EVAL_SECRET_TOKEN", "line one\nline two")
    async with far_agent(GOOD[webhook]) as server:
        with pytest.raises(NotConfigured, match="'Authorization'") as caught:
            async with call(webhook(server, headers=BEARER)):
                pass
    assert "line" not in caught.value.message.replace("a line break", "")


@BOTH
async def test_an_address_that_cannot_be_asked_is_told_before_anything_is_sent(reach: Any) -> None:
    with pytest.raises(NotConfigured, match="not an address"):
        async with call(reach(FarAgent((), 1)).model_copy(update={"url": "http://1.2.3.999/"})):
            pass


# Failures

BAD_ANSWERS: list[tuple[Any, Answer, str, str]] = [
    (openai, raw(b'{"choices": [{"mess'), "malformed", "answered 200 with a body that is not JSON"),
    (webhook, raw(b'{"text": "Zebra'), "malformed", "answered 200 with a body that is neither JSON nor"),
    (webhook, raw(b"<p>Zebra</p>", "text/html"), "malformed", "a body that is neither JSON nor text/plain"),
    (webhook, raw(b'data: {"text": "Zebra"}\n\n', "text/event-stream"), "malformed", "neither JSON nor"),
    (openai, raw(b""), "malformed", "answered 200 with an empty body"),
    (webhook, Answer(status=204), "malformed", "answered 204 with an empty body"),
    (openai, says({"text": "Zebra"}), "malformed", "answered 200 with no choices"),
    (openai, says(["Zebra"]), "malformed", "JSON that is not an object with an answer"),
    (openai, says(completion("  ")), "malformed", "answered 200 with no text"),
    (openai, says(completion(None)), "malformed", "answered 200 with no text"),
    (openai, says({"error": {"message": "Zebra", "code": 429}}), "rate_limit", "with an error instead"),
    (openai, says(completion("Zebra", "x", tool_calls=[{}])), "malformed", "a tool call without a name"),
    (webhook, says({"answer": "Zebra"}), "malformed", "answered 200 with no `text`"),
    (webhook, says({"text": ["Zebra"]}), "malformed", "answered 200 with a `text` that is not a string"),
    (webhook, says({"text": " "}), "malformed", "answered 200 with an empty text"),
    (webhook, says(" "), "malformed", "answered 200 with an empty text"),
    (webhook, says(["Zebra"]), "malformed", "JSON that is neither an object nor a string"),
    (
        webhook,
        says({"text": "Zebra", "ends": "yes"}),
        "malformed",
        "an `ends` that is neither true nor false",
    ),
    (webhook, says({"text": "Zebra", "tool_calls": {}}), "malformed", "a `tool_calls` that is not a list"),
    (webhook, says({"text": "Zebra", "tool_calls": [{}]}), "malformed", "`tool_calls[0]` without a `name`"),
    (
        webhook,
        says({"text": "Zebra", "tool_calls": [{"name": "a", "error": 1}]}),
        "malformed",
        "`tool_calls[0].error` that is not a string",
    ),
    (
        webhook,
        raw(b'{"text": "Zebra", "n": NaN}'),
        "malformed",
        "answered 200 with JSON that cannot be stored",
    ),
    (webhook, raw(b'{"a":' * 400 + b"[" * 500 + b"]" * 500 + b"}" * 400), "malformed", "answered 200 with"),
]


@pytest.mark.parametrize(("reach", "answer", "kind", "reason"), BAD_ANSWERS)
async def test_an_answer_that_is_none_is_told_by_what_is_wrong_with_it(
    reach: Any, answer: Answer, kind: str, reason: str
) -> None:
    async with far_agent(answer) as server:
        async with call(reach(server)) as caller:
            error = await fails(caller)
    assert error.message.startswith(f"The endpoint at {server.host} ")
    assert reason in error.message
    assert "Zebra" not in f"{error.message} {error.hint}"
    assert (error.kind, error.attempts, len(server.seen)) == (kind, 1, 1)
    assert error.sent == server.seen[0].body
    assert error.hint


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "asked"),
    [
        (400, "refused", 1),
        (401, "auth", 1),
        (404, "refused", 1),
        (307, "refused", 1),
        (429, "rate_limit", 3),
        (500, "overloaded", 3),
        (503, "overloaded", 3),
        (504, "timeout", 3),
    ],
)
async def test_only_what_says_that_it_could_not_answer_is_asked_again(
    reach: Any, status: int, kind: str, asked: int
) -> None:
    refuses = says({"error": {"message": "Zebra"}, "detail": "Zebra"}, status, location="http://127.0.0.1:1/")
    async with far_agent(refuses) as server:
        async with call(reach(server)) as caller:
            error = await fails(caller)
    assert (error.kind, error.status_code, error.attempts, len(server.seen)) == (kind, status, asked, asked)
    assert f"The endpoint at {server.host} answered {status}" in error.message
    assert "Zebra" not in f"{error.message} {error.hint}"
    assert "Zebra" in repr(error.received)


@BOTH
async def test_trouble_that_passes_is_survived(reach: Any) -> None:
    busy, broken = says({}, 429, retry_after="0"), says({}, 502)
    async with far_agent(busy, broken, GOOD[reach]) as server:
        async with call(reach(server)) as caller:
            assert (await caller.say("Hi")).text == "Hello."
    assert caller.journal.replies[0].attempts == 3


@BOTH
async def test_a_wait_beyond_the_timeout_fails_at_once_and_says_how_long(reach: Any) -> None:
    async with far_agent(says({}, 429, retry_after="3600")) as server:
        async with call(reach(server)) as caller:
            error = await fails(caller)
    assert (error.kind, error.retry_after, len(server.seen)) == ("rate_limit", 3600, 1)


async def test_an_endpoint_that_has_no_credit_is_not_asked_again() -> None:
    unpaid = says({"error": {"code": "insufficient_quota", "message": "You exceeded your quota."}}, 429)
    async with far_agent(unpaid) as server:
        async with call(openai(server)) as caller:
            assert (await fails(caller)).kind == "quota"
    assert len(server.seen) == 1


@BOTH
@pytest.mark.parametrize("answer", [HANGS, DRIPS], ids=["hangs", "drips"])
async def test_an_endpoint_that_is_too_slow_ends_the_run_at_its_timeout(reach: Any, answer: Answer) -> None:
    async with far_agent(answer) as server:
        async with call(hurried(reach(server))) as caller:
            error = await fails(caller)
    assert error.message == f"The endpoint at {server.host} gave no complete answer within 0.5 s."
    assert (error.kind, len(server.seen)) == ("timeout", 1)
    assert "timeout_seconds" in (error.hint or "")


@BOTH
@pytest.mark.parametrize("answer", [CUT, CLOSES], ids=["cut", "closed"])
async def test_a_connection_that_breaks_is_told_and_nothing_is_asked_twice(
    reach: Any, answer: Answer
) -> None:
    async with far_agent(answer) as server:
        async with call(reach(server)) as caller:
            error = await fails(caller)
    assert error.message == (
        f"The endpoint at {server.host} closed the connection before its answer was complete."
    )
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        stream({"content": "Good "}, {"content": "mor"}, cut=True),
        Answer(stream({"content": "Good "}).chunks[:1], headers={"content-type": "text/event-stream"}),
        raw(b'data: {"choices": [{"index"', "text/event-stream"),
        raw(b": nothing\n\n", "text/event-stream"),
    ],
)
async def test_a_stream_that_ends_in_the_middle_is_told(answer: Answer) -> None:
    async with far_agent(answer) as server:
        async with call(openai(server, stream=True)) as caller:
            error = await fails(caller)
    assert "answered 200 with a stream that was cut off or contains no answer" in error.message
    assert len(server.seen) == 1


async def test_an_error_in_the_middle_of_a_stream_is_told_without_its_words() -> None:
    broken = b'data: {"error": {"message": "Zebra", "type": "server_error"}}\n\n'
    first = stream({"content": "Good "}).chunks[:1]
    async with far_agent(Answer((*first, broken), headers={"content-type": "text/event-stream"})) as server:
        async with call(openai(server, stream=True)) as caller:
            error = await fails(caller)
    assert (error.kind, len(server.seen)) == ("overloaded", 1)
    assert "an error instead of an answer" in error.message
    assert "Zebra" not in error.message


@BOTH
async def test_an_answer_of_any_size_is_given_up(reach: Any) -> None:
    async with far_agent(Answer((b" " * (1 << 20),) * 9)) as server:
        async with call(reach(server)) as caller:
            error = await fails(caller)
    assert "answered 200 with more than 8 MiB" in error.message


@BOTH
async def test_a_body_that_cannot_be_decompressed_is_told(reach: Any) -> None:
    packed = Answer((b"not packed",), headers={"content-encoding": "gzip"})
    async with far_agent(packed) as server:
        async with call(reach(server)) as caller:
            assert "cannot be decompressed" in (await fails(caller)).message


@BOTH
async def test_an_endpoint_that_is_not_there_is_named(reach: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = FarAgent((), taken.getsockname()[1])
        async with call(reach(nobody)) as caller:
            error = await fails(caller)
    assert error.message == f"The endpoint at {nobody.host} could not be reached (ConnectError) (3 attempts)."
    assert error.kind == "unreachable"


# The recorded dialogues as the endpoint


def dialogues(count: int) -> list[Json]:
    lines = shared_path("real/dialogues_dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:: len(lines) // count]]


def declared(dialogue: Json) -> AgentDraft:
    names = {called["name"] for message in dialogue["messages"] for called in message.get("tool_calls") or []}
    return record(tools=[{"name": name} for name in sorted(names)])


async def replay(caller: Caller, dialogue: Json) -> list[tuple[str, list[str]]]:
    """The dialogue with its caller's words and its tools' results as recorded; what the agent said of it."""
    said: list[tuple[str, list[str]]] = []
    waiting: list[str] = []
    for message in dialogue["messages"]:
        match message["role"]:
            case "user" if message.get("content"):
                caller.agent.hear(message["content"])
            case "tool" if waiting:
                caller.agent.take_results([ToolUse(id=waiting.pop(0), name="t", result=message["content"])])
            case "assistant":
                step = await caller.agent.speak()
                waiting = [called.id for called in step.tool_calls]
                said.append((step.text, [called.name for called in step.tool_calls]))
            case _:
                pass
    return said


@pytest.mark.shared
@pytest.mark.parametrize("streams", [False, True])
async def test_recorded_dialogues_come_out_as_they_were_recorded(streams: bool) -> None:
    with replayed_dialogues("--strict") as address:
        for dialogue in dialogues(12):
            endpoint = Endpoint(
                protocol="openai", url=f"{address}/v1", model=f"{dialogue['id']}#agent", stream=streams
            )
            async with call(endpoint, declared(dialogue)) as caller:
                said = await replay(caller, dialogue)
            assert said == [
                (message.get("content") or "", [called["name"] for called in message.get("tool_calls") or []])
                for message in dialogue["messages"]
                if message["role"] == "assistant"
            ]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("429", "rate_limit", "answered 429"),
        ("500", "overloaded", "answered 500 (3 attempts)"),
        ("529", "overloaded", "answered 529 (3 attempts)"),
        ("hang", "timeout", "gave no complete answer within"),
        ("close", "malformed", "closed the connection before its answer was complete"),
        ("cut", "malformed", "a stream that was cut off"),
        ("badjson", "malformed", "a body that is not JSON"),
    ],
)
async def test_every_fault_of_the_recorded_server_is_told(fault: str, kind: str, reason: str) -> None:
    dialogue = dialogues(1)[0]
    with replayed_dialogues() as address:
        endpoint = Endpoint(
            protocol="openai",
            url=f"{address}/v1",
            model=f"{dialogue['id']}#agent",
            stream=True,
            headers={"X-Replay-Fault": fault},
        )
        # A server that asks for a second gets less than one.
        limit = 1 if fault in ("429", "hang") else 60
        async with call(hurried(endpoint, limit), declared(dialogue)) as caller:
            error = await fails(caller)
    assert error.message.startswith("The endpoint at 127.0.0.1:")
    assert (error.kind, reason in error.message) == (kind, True), error.message


@pytest.mark.shared
async def test_a_bad_minute_of_the_recorded_server_is_survived() -> None:
    dialogue = dialogues(1)[0]
    with replayed_dialogues("--faults", "1:500,2:503") as address:
        endpoint = Endpoint(protocol="openai", url=f"{address}/v1", model=f"{dialogue['id']}#agent")
        async with call(endpoint, declared(dialogue)) as caller:
            await caller.agent.speak()
    assert caller.journal.replies[0].attempts == 3
