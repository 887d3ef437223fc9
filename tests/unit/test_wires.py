"""The two wires as pure functions: what goes out, what is read, and that nothing makes them fall over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agent_eval.engine.llm.anthropic import ANSWER_TOOL, DEFAULT_MAX_TOKENS, AnthropicWire
from mcp_agent_eval.engine.llm.event_stream import assemble, read_body
from mcp_agent_eval.engine.llm.messages import Message, ModelRequest, ToolCall, ToolSpec, Usage
from mcp_agent_eval.engine.llm.openai import OpenAIWire
from mcp_agent_eval.engine.llm.wire import (
    OPENING,
    QUIRKS,
    Decoded,
    MalformedError,
    Wire,
    complaint,
    error_in,
    error_status,
    quirks_named_in,
)
from mcp_agent_eval.types import Json

OPENAI, ANTHROPIC = OpenAIWire(), AnthropicWire()
NOTHING: frozenset[str] = frozenset()
SCHEMA: Json = {"type": "object", "properties": {"passed": {"type": "boolean"}}}
LOOK_UP = ToolSpec("look_up", "Looks up.", {"type": "object", "properties": {"day": {"type": "string"}}})
CALL = ToolCall("c1", "look_up", {"day": "Tuesday"})
HISTORY = (
    Message("assistant", "Good morning."),
    Message("user", "Hi."),
    Message("user", "Is Tuesday free?"),
    Message("assistant", tool_calls=(CALL, ToolCall("c2", "look_up", {}, raw="{day"))),
    Message("tool", '{"free": true}', tool_call_id="c1"),
    Message("tool", "", tool_call_id="c2"),
    Message("assistant", "It is."),
)


def asks(*messages: Message, system: str = "", **more: Any) -> ModelRequest:
    return ModelRequest("agent", system, messages, **more)


def openai_messages(request: ModelRequest, *dropped: str) -> list[Json]:
    return OPENAI.encode("m", request, frozenset(dropped))["messages"]


def anthropic_messages(request: ModelRequest, *dropped: str) -> list[Json]:
    return ANTHROPIC.encode("m", request, frozenset(dropped))["messages"]


@pytest.mark.parametrize(
    ("wire", "base", "url"),
    [
        (OPENAI, "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        (OPENAI, "http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
        (ANTHROPIC, "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        (ANTHROPIC, "https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
        (ANTHROPIC, "http://localhost:8080/v1", "http://localhost:8080/v1/messages"),
    ],
)
def test_a_base_url_leads_to_the_endpoint(wire: Wire, base: str, url: str) -> None:
    assert wire.url(base) == url


def test_each_wire_authenticates_in_its_own_way() -> None:
    assert OPENAI.headers("k")["authorization"] == "Bearer k"
    assert ANTHROPIC.headers("k")["x-api-key"] == "k"
    assert ANTHROPIC.headers(None).keys() == {"content-type", "anthropic-version"}


class TestChatCompletionsOut:
    def test_a_history_goes_out_as_it_is(self) -> None:
        assert openai_messages(asks(*HISTORY, system="Be brief.")) == [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "Good morning."},
            {"role": "user", "content": "Hi."},
            {"role": "user", "content": "Is Tuesday free?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": '{"day": "Tuesday"}'},
                    },
                    {"id": "c2", "type": "function", "function": {"name": "look_up", "arguments": "{day"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"free": true}'},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
            {"role": "assistant", "content": "It is."},
        ]

    def test_an_empty_history_stays_empty(self) -> None:
        assert OPENAI.encode("m", asks(), NOTHING) == {"model": "m", "messages": []}

    def test_what_is_asked_for_is_in_the_body(self) -> None:
        request = asks(tools=(LOOK_UP,), temperature=0, max_tokens=50, schema=SCHEMA)
        assert OPENAI.encode("m", request, NOTHING) == {
            "model": "m",
            "messages": [],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "look_up",
                        "description": "Looks up.",
                        "parameters": LOOK_UP.parameters,
                    },
                }
            ],
            "temperature": 0,
            "max_tokens": 50,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
        }

    def test_native_messages_go_back_as_they_came(self) -> None:
        native = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
        assert openai_messages(asks(Message("assistant", "Yes.", native=native))) == [native]
        assert openai_messages(asks(Message("assistant", "Yes.", native=native)), "native") == [
            {"role": "assistant", "content": "Yes."}
        ]

    def test_another_providers_blocks_are_not_sent(self) -> None:
        message = Message("assistant", "Yes.", native=[{"type": "text", "text": "Yes."}])
        assert openai_messages(asks(message)) == [{"role": "assistant", "content": "Yes."}]

    @pytest.mark.parametrize(
        ("dropped", "role"),
        [([], "system"), (["system_role"], "developer"), (["system_role", "developer_role"], "user")],
    )
    def test_the_system_prompt_takes_the_role_that_is_left(self, dropped: list[str], role: str) -> None:
        assert openai_messages(asks(system="Be brief."), *dropped)[0]["role"] == role

    @pytest.mark.parametrize("system", ["", "Be brief."])
    def test_an_opening_stands_before_an_assistant_and_in_an_empty_history(self, system: str) -> None:
        opening = {"role": "user", "content": OPENING}
        for history in [(), (Message("assistant", "Good morning."),)]:
            sent = openai_messages(asks(*history, system=system), "bare_opening")
            assert sent[1 if system else 0] == opening
        assert opening not in openai_messages(asks(Message("user", "Hi."), system=system), "bare_opening")

    def test_joining_neighbours_leaves_tool_calls_and_results_apart(self) -> None:
        sent = openai_messages(asks(*HISTORY, *HISTORY), "separate_messages")
        assert [message["role"] for message in sent] == [
            *("assistant", "user", "assistant", "tool", "tool", "assistant"),
            *("user", "assistant", "tool", "tool", "assistant"),
        ]
        assert sent[1]["content"] == "Hi.\n\nIs Tuesday free?"
        assert sent[5]["content"] == "It is.\n\nGood morning."


class TestMessagesOut:
    def test_tool_results_are_one_message_behind_their_calls(self) -> None:
        body = ANTHROPIC.encode("m", asks(*HISTORY, system="Be brief."), NOTHING)
        assert body["system"] == "Be brief."
        assert body["messages"] == [
            {"role": "assistant", "content": "Good morning."},
            {"role": "user", "content": "Hi."},
            {"role": "user", "content": "Is Tuesday free?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"day": "Tuesday"}},
                    {"type": "tool_use", "id": "c2", "name": "look_up", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": '{"free": true}'},
                    {"type": "tool_result", "tool_use_id": "c2", "content": ""},
                ],
            },
            {"role": "assistant", "content": "It is."},
        ]

    def test_a_limit_is_always_there(self) -> None:
        assert ANTHROPIC.encode("m", asks(), NOTHING) == {
            "model": "m",
            "max_tokens": DEFAULT_MAX_TOKENS,
            "messages": [],
        }
        assert ANTHROPIC.encode("m", asks(max_tokens=9), NOTHING)["max_tokens"] == 9
        assert (
            ANTHROPIC.encode("m", asks(max_tokens=9), frozenset({"max_tokens"}))["max_tokens"]
            == DEFAULT_MAX_TOKENS
        )

    def test_a_schema_becomes_the_tool_that_must_be_called(self) -> None:
        body = ANTHROPIC.encode("m", asks(tools=(LOOK_UP,), temperature=1, schema=SCHEMA), NOTHING)
        assert [tool["name"] for tool in body["tools"]] == ["look_up", ANSWER_TOOL]
        assert body["tools"][1]["input_schema"] == SCHEMA
        assert body["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL}
        assert body["temperature"] == 1

    def test_without_a_schema_no_tool_is_forced(self) -> None:
        body = ANTHROPIC.encode("m", asks(tools=(LOOK_UP,)), NOTHING)
        assert [tool["name"] for tool in body["tools"]] == ["look_up"]
        assert "tool_choice" not in body

    def test_native_blocks_go_back_as_they_came(self) -> None:
        native = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "Yes."}]
        message = Message("assistant", "Yes.", native=native)
        assert anthropic_messages(asks(message)) == [{"role": "assistant", "content": native}]
        assert anthropic_messages(asks(message), "native") == [{"role": "assistant", "content": "Yes."}]

    def test_text_beside_tool_calls_comes_first(self) -> None:
        [sent] = anthropic_messages(asks(Message("assistant", "One moment.", (CALL,))))
        assert [block["type"] for block in sent["content"]] == ["text", "tool_use"]

    def test_a_message_that_says_nothing_is_not_sent(self) -> None:
        assert anthropic_messages(asks(Message("user", " \n"), Message("assistant"))) == []

    def test_an_opening_stands_before_an_assistant_and_in_an_empty_history(self) -> None:
        opening = {"role": "user", "content": OPENING}
        assert anthropic_messages(asks(), "bare_opening") == [opening]
        assert anthropic_messages(asks(*HISTORY), "bare_opening")[0] == opening
        assert anthropic_messages(asks(*HISTORY[1:]), "bare_opening")[0] != opening


def completion(**message: Any) -> Json:
    return {"choices": [{"message": message}]}


class TestChatCompletionsIn:
    @pytest.mark.parametrize(
        ("message", "text"),
        [
            ({"content": "Hello."}, "Hello."),
            ({"content": None}, ""),
            ({}, ""),
            ({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]}, "Hello."),
            ({"content": [{"type": "thinking", "thinking": [{"text": "Hm."}]}, {"text": "Yes."}]}, "Yes."),
            ({"content": ["Hel", "lo."]}, "Hello."),
            ({"content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Yes."}]}, "Yes."),
            ({"content": "<think>\nHm.\n</think>\n\nYes."}, "Yes."),
            ({"content": "<think>cut off by the limit"}, ""),
            ({"content": "Say <think> and </think>."}, "Say <think> and </think>."),
            ({"content": "Yes.", "reasoning_content": "Hm.", "reasoning": "Hm."}, "Yes."),
            ({"content": None, "refusal": "I cannot help with that."}, "I cannot help with that."),
        ],
    )
    def test_text_is_what_was_said(self, message: Json, text: str) -> None:
        assert OPENAI.decode(completion(**message)).message.text == text

    @pytest.mark.parametrize(
        ("arguments", "args", "raw"),
        [
            ('{"day": "Tuesday"}', {"day": "Tuesday"}, None),
            ({"day": "Tuesday"}, {"day": "Tuesday"}, None),
            ("", {}, None),
            (None, {}, None),
            ("{day", {}, "{day"),
            ("[1]", {}, "[1]"),
            ("null", {}, "null"),
            ([1], {}, "[1]"),
            ("[" * 100_000, {}, "[" * 100_000),
        ],
    )
    def test_arguments_that_are_no_object_are_kept_as_written(
        self, arguments: Any, args: Json, raw: str | None
    ) -> None:
        call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
        assert OPENAI.decode(completion(tool_calls=[call])).message.tool_calls == (
            ToolCall("c", "look_up", args, raw),
        )

    def test_a_missing_id_is_made_from_the_place_and_goes_back_with_the_call(self) -> None:
        calls = [{"function": {"name": "a"}}, {"id": "", "index": 1, "function": {"name": "b"}}]
        message = OPENAI.decode(completion(tool_calls=calls)).message
        assert [call.id for call in message.tool_calls] == ["call_0", "call_1"]
        assert [call["id"] for call in openai_messages(asks(message))[0]["tool_calls"]] == [
            "call_0",
            "call_1",
        ]

    def test_what_servers_send_and_then_refuse_does_not_go_back(self) -> None:
        message = OPENAI.decode(
            completion(
                role="assistant",
                content="Yes.",
                refusal=None,
                annotations=[],
                audio={"id": ""},
                function_call=None,
                tool_calls=[],
                reasoning_content="",
                extra_content={"google": {"thought_signature": "s"}},
            )
        ).message
        assert message.native == {
            "role": "assistant",
            "content": "Yes.",
            "reasoning_content": "",
            "extra_content": {"google": {"thought_signature": "s"}},
        }

    def test_cached_tokens_are_part_of_the_input(self) -> None:
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 10},
        }
        assert OPENAI.decode(completion() | {"usage": usage}).usage == Usage(100, 5, 80, 10)
        assert OPENAI.decode(completion() | {"usage": {"prompt_cache_hit_tokens": 3}}).usage.cache_read == 3

    @pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": None, "completion_tokens": "7"}])
    def test_usage_that_is_missing_is_none(self, usage: Any) -> None:
        assert OPENAI.decode(completion() | {"usage": usage}).usage == Usage()

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"choices": []},
            {"choices": None},
            {"choices": [{}]},
            {"choices": [{"message": None}]},
            {"choices": ["text"]},
            completion(tool_calls=[{"id": "c", "function": {}}]),
            completion(tool_calls=["look_up"]),
        ],
    )
    def test_a_body_without_an_answer_is_malformed(self, body: Json) -> None:
        with pytest.raises(MalformedError):
            OPENAI.decode(body)


class TestMessagesIn:
    def test_text_is_every_text_block_and_calls_are_every_tool_use(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "text", "text": "One "},
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            {"type": "text", "text": "moment."},
            {"type": "tool_use", "id": "c1", "name": "look_up", "input": {"day": "Tuesday"}},
        ]
        decoded = ANTHROPIC.decode({"content": blocks, "model": "c", "stop_reason": "tool_use"})
        assert decoded == Decoded(
            Message("assistant", "One moment.", (CALL,), native=blocks), Usage(), "c", "tool_use"
        )

    def test_an_empty_answer_is_one(self) -> None:
        assert ANTHROPIC.decode({"content": []}).message.text == ""

    def test_blank_text_does_not_go_back(self) -> None:
        message = ANTHROPIC.decode({"content": [{"type": "text", "text": ""}]}).message
        assert anthropic_messages(asks(message)) == []

    def test_an_input_that_is_no_object_is_kept_as_written_but_does_not_go_back(self) -> None:
        block = {"type": "tool_use", "name": "look_up", "input": '{"day'}
        message = ANTHROPIC.decode({"content": [block]}).message
        assert message.tool_calls == (ToolCall("call_0", "look_up", {}, '{"day'),)
        assert message.native == [{"type": "tool_use", "id": "call_0", "name": "look_up", "input": {}}]

    def test_the_answer_tool_speaks_only_where_a_schema_was_asked_for(self) -> None:
        block = {"type": "tool_use", "id": "c", "name": ANSWER_TOOL, "input": {"reason": "é"}}
        structured = ANTHROPIC.decode({"content": [block]}, structured=True).message
        assert structured == Message("assistant", '{"reason": "é"}')
        assert ANTHROPIC.decode({"content": [block]}).message.tool_calls[0].name == ANSWER_TOOL

    def test_another_call_beside_the_answer_is_no_part_of_it(self) -> None:
        blocks = [
            {"type": "tool_use", "id": "a", "name": "look_up", "input": {}},
            {"type": "tool_use", "id": "b", "name": ANSWER_TOOL, "input": {"passed": True}},
        ]
        assert ANTHROPIC.decode({"content": blocks}, structured=True).message.text == '{"passed": true}'

    def test_a_model_that_was_not_forced_is_taken_at_its_word(self) -> None:
        blocks = [{"type": "text", "text": '{"passed": true}'}]
        assert ANTHROPIC.decode({"content": blocks}, structured=True).message.text == '{"passed": true}'

    def test_cached_tokens_are_added_to_the_input(self) -> None:
        usage = {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 80,
            "cache_creation_input_tokens": 10,
        }
        assert ANTHROPIC.decode({"content": [], "usage": usage}).usage == Usage(100, 5, 80, 10)

    @pytest.mark.parametrize("body", [{}, {"content": None}, {"content": [{"type": "tool_use"}]}])
    def test_a_body_without_an_answer_is_malformed(self, body: Json) -> None:
        with pytest.raises(MalformedError):
            ANTHROPIC.decode(body)

    def test_a_gateway_that_answers_with_plain_text_is_read(self) -> None:
        assert ANTHROPIC.decode({"content": "Hello."}).message.text == "Hello."


def events(*data: Any, done: bool = True) -> str:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in data]
    return "".join(f"data: {line}\n\n" for line in lines + ["[DONE]"] * done)


def delta(**piece: Any) -> Json:
    return {"choices": [{"index": 0, "delta": piece}]}


class TestStreams:
    def test_pieces_of_text_and_of_arguments_are_joined(self) -> None:
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
        body = assemble(
            events(
                {"id": "x", "model": "m"} | delta(role="assistant", content=None),
                delta(content="One "),
                delta(content="moment.", reasoning="H"),
                delta(reasoning="m.", tool_calls=[call]),
                delta(tool_calls=[{"index": 0, "function": {"arguments": '{"day": '}}]),
                delta(tool_calls=[{"index": 0, "function": {"arguments": '"Tuesday"}'}}]),
                {"choices": [{"index": 1, "delta": {"content": "another choice"}}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": None},
                {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
            )
        )
        decoded = OPENAI.decode(body)
        assert (decoded.message.text, decoded.message.tool_calls) == ("One moment.", (CALL,))
        assert (decoded.usage, decoded.model, decoded.stop) == (Usage(3, 2), "m", "tool_calls")
        assert body["choices"][0]["message"]["reasoning"] == "Hm."

    def test_calls_that_share_an_index_are_told_apart_by_their_ids(self) -> None:
        pieces = [
            {"index": 0, "id": "a", "function": {"name": "one", "arguments": ""}},
            {"index": 0, "function": {"arguments": "{}"}},
            {"index": 0, "id": "b", "function": {"name": "two", "arguments": '{"x"'}},
            {"index": 0, "function": {"arguments": ": 1}"}},
            {"id": "c", "function": {"name": "three", "arguments": "{}"}},
        ]
        calls = OPENAI.decode(assemble(events(*[delta(tool_calls=[p]) for p in pieces]))).message.tool_calls
        assert [(call.name, call.args) for call in calls] == [("one", {}), ("two", {"x": 1}), ("three", {})]

    def test_reasoning_details_keep_their_signature(self) -> None:
        pieces = [
            {"type": "reasoning.text", "index": 0, "text": "H", "signature": ""},
            {"type": "reasoning.text", "index": 0, "text": "m."},
            {"type": "reasoning.text", "index": 0, "signature": "s"},
            {"type": "reasoning.encrypted", "index": 0, "data": "d"},
        ]
        body = assemble(events(*[delta(reasoning_details=[p]) for p in pieces]))
        assert body["choices"][0]["message"]["reasoning_details"] == [
            {"type": "reasoning.text", "index": 0, "text": "Hm.", "signature": "s"},
            {"type": "reasoning.encrypted", "index": 0, "data": "d"},
        ]

    def test_lists_of_plain_values_grow(self) -> None:
        body = assemble(events(delta(content="Hi", citations=["a"]), delta(citations=["b"])))
        assert body["choices"][0]["message"]["citations"] == ["a", "b"]

    def test_usage_is_found_where_one_provider_hides_it(self) -> None:
        body = assemble(
            events(delta(content="Hi"), {"choices": [], "x_groq": {"usage": {"prompt_tokens": 3}}})
        )
        assert OPENAI.decode(body).usage.input == 3

    def test_blocks_are_built_from_their_deltas(self) -> None:
        def block(index: int, start: Json, *deltas: Json) -> list[Json]:
            at = {"index": index}
            return [
                {"type": "content_block_start", "content_block": start} | at,
                *[{"type": "content_block_delta", "delta": each} | at for each in deltas],
                {"type": "content_block_stop"} | at,
            ]

        body = assemble(
            events(
                {"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 9}}},
                {"type": "ping"},
                *block(
                    0,
                    {"type": "thinking", "thinking": "", "signature": ""},
                    {"type": "thinking_delta", "thinking": "Hm."},
                    {"type": "signature_delta", "signature": "s"},
                ),
                *block(
                    1,
                    {"type": "text", "text": ""},
                    {"type": "text_delta", "text": "One "},
                    {"type": "text_delta", "text": "moment."},
                    {"type": "citations_delta", "citation": {"url": "u"}},
                    {"type": "a delta of tomorrow"},
                ),
                *block(
                    2,
                    {"type": "tool_use", "id": "c1", "name": "look_up", "input": {}},
                    {"type": "input_json_delta", "partial_json": '{"day": '},
                    {"type": "input_json_delta", "partial_json": '"Tuesday"}'},
                ),
                *block(3, {"type": "tool_use", "id": "c2", "name": "look_up", "input": {}}),
                *block(
                    4,
                    {"type": "tool_use", "id": "c3", "name": "look_up", "input": {}},
                    {"type": "input_json_delta", "partial_json": "{day"},
                ),
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "tool_use"},
                    "usage": {"output_tokens": 4},
                },
                {"type": "message_stop"},
                done=False,
            )
        )
        decoded = ANTHROPIC.decode(body)
        assert body["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "s"}
        assert body["content"][1]["citations"] == [{"url": "u"}]
        assert decoded.message.text == "One moment."
        assert decoded.message.tool_calls == (
            CALL,
            ToolCall("c2", "look_up", {}),
            ToolCall("c3", "look_up", {}, "{day"),
        )
        assert (decoded.usage, decoded.model, decoded.stop) == (Usage(9, 4), "c", "tool_use")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            ": waiting\n\n",
            "data: [DONE]\n\n",
            events(delta(content="cut"), done=False),
            events({"type": "message_start", "message": {}}, done=False),
            'data: {"choices": [{"del',
        ],
    )
    def test_a_stream_that_was_cut_is_malformed(self, text: str) -> None:
        with pytest.raises(MalformedError):
            assemble(text)

    def test_an_error_event_is_an_error(self) -> None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        body = assemble(events(delta(content="Hi"), {"type": "error", "error": error}))
        assert error_in(body) == error

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_every_kind_of_line_end_and_a_split_event_are_read(self, end: str) -> None:
        lines = [
            ": a comment",
            "event: x",
            'data: {"choices": [{"delta":',
            'data:{"content": "Hi"}}]}',
            "",
            "data: [DONE]",
        ]
        assert OPENAI.decode(assemble(end.join(lines))).message.text == "Hi"

    def test_a_stream_is_known_by_its_label_or_its_first_line(self) -> None:
        text = events(delta(content="Hi")).encode()
        for content_type in ("text/event-stream; charset=utf-8", "application/json", ""):
            assert OPENAI.decode(read_body(text, content_type)).message.text == "Hi"
        assert read_body(b"hello", "text/plain") == "hello"


@pytest.mark.parametrize(
    "words",
    [
        "Tool choice is required, but model did not call a tool",
        "Tool call validation failed: parameters for tool x did not match schema",
        "Web search options not supported with this model.",
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        "'messages[0].role' does not support 'developer' with this model.",
        "prompt is too long: 201000 tokens > 200000 maximum",
        "Incorrect API key provided",
    ],
)
def test_words_about_something_else_change_nothing_that_is_sent(words: str) -> None:
    request = asks(Message("user", "Hi."), system="s", tools=(LOOK_UP,), temperature=0, max_tokens=5)
    for wire in (OPENAI, ANTHROPIC):
        plain = wire.encode("m", request, NOTHING)
        for name in quirks_named_in(words):
            assert wire.encode("m", request, frozenset({name})) == plain


def test_every_quirk_changes_what_some_wire_sends() -> None:
    native = [{"role": "assistant", "content": "Hm", "x": 1}, [{"type": "text", "text": "Hm"}]]
    histories = [HISTORY, *[(Message("user", "Hi."), Message("assistant", "Yes.", native=n)) for n in native]]
    for name in {quirk.name for quirk in QUIRKS}:
        needs = frozenset(
            {"max_completion_tokens": {"max_tokens"}, "developer_role": {"system_role"}}.get(name, set[str]())
        )
        assert any(
            wire.encode("m", request, needs) != wire.encode("m", request, needs | {name})
            for wire in (OPENAI, ANTHROPIC)
            for history in histories
            for request in [
                asks(*history, system="s", tools=(LOOK_UP,), temperature=0, max_tokens=5, schema=SCHEMA)
            ]
        ), name


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 429}, 429),
        ({"code": "503"}, 503),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"type": "not_found_error"}, 404),
        ({"code": None, "status": 500}, 500),
        ({"code": 7}, None),
        ({"code": "9" * 5000}, None),
        ("it broke", None),
        (None, None),
    ],
)
def test_an_error_has_the_status_that_it_names(error: Any, status: int | None) -> None:
    assert error_status(error) == status


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "{", "[1]"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["text", "type", "message", "code", "content"]), inner, max_size=2)
    ),
    max_leaves=4,
)
WHOLE: list[Json] = [
    {
        "model": "m",
        "error": None,
        "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hi"}],
                    "refusal": "",
                    "reasoning_details": [{"index": 0, "type": "t", "text": "Hm"}],
                    "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}],
                },
            }
        ],
    },
    {
        "model": "m",
        "usage": {"input_tokens": 1, "cache_read_input_tokens": 1},
        "stop_reason": "end_turn",
        "content": [
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "c", "name": ANSWER_TOOL, "input": {}},
        ],
    },
    {
        "error": {"message": "No", "code": 400, "type": "x", "metadata": {"raw": "{}"}},
        "detail": [{"loc": [1]}],
    },
]
CHUNKS: list[Json] = [
    {"choices": [{**choice, "delta": choice["message"]}]} for choice in WHOLE[0]["choices"]
] + [
    {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a value, and to itself."""
    yield at
    inside: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in inside:
        yield from places(inner, (*at, key))


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    changed = value.copy()
    changed[at[0]] = put(value[at[0]], at[1:], new)
    return changed


@pytest.mark.parametrize("wire", [OPENAI, ANTHROPIC])
@given(
    spot=st.sampled_from([(body, place) for body in WHOLE for place in places(body) if place]),
    junk=JUNK,
    structured=st.booleans(),
)
def test_any_body_is_an_answer_or_malformed(
    wire: Wire, spot: tuple[Json, tuple[Any, ...]], junk: Any, structured: bool
) -> None:
    body = put(*spot, junk)
    error_status(error_in(body))
    assert len(complaint(body)) <= 300
    try:
        decoded = wire.decode(body, structured=structured)
    except MalformedError:
        return
    json.dumps(wire.encode("m", asks(decoded.message), NOTHING))


@given(
    spot=st.sampled_from([place for place in places(CHUNKS) if place]),
    junk=JUNK,
    ends=st.booleans(),
    first=st.integers(0, 1),
)
def test_any_stream_is_a_body_or_malformed(spot: tuple[Any, ...], junk: Any, ends: bool, first: int) -> None:
    try:
        body = assemble(events(*put(CHUNKS, spot, junk)[first:], done=ends))
    except MalformedError:
        return
    json.dumps(body)


@given(st.binary(max_size=50), st.sampled_from(["application/json", "text/event-stream", ""]))
def test_any_bytes_can_be_read(content: bytes, content_type: str) -> None:
    read_body(content, content_type)


@given(
    st.lists(
        st.builds(
            Message,
            st.sampled_from(["user", "assistant", "tool"]),
            st.text("aé\n\ud800", max_size=3),
            tool_call_id=st.just("c"),
        ),
        max_size=6,
    ),
    st.sets(st.sampled_from([quirk.name for quirk in QUIRKS])),
)
def test_no_quirk_loses_what_was_said(messages: list[Message], dropped: set[str]) -> None:
    request = asks(*messages, system="Be brief.")
    sent = json.dumps(openai_messages(request, *dropped))
    assert all(json.dumps(message.text)[1:-1] in sent for message in messages)
