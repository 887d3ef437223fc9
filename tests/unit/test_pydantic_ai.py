"""Models that pydantic-ai plays: with its own models of functions, and over a real wire to a provider of the tests."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from pydantic_ai import exceptions
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel as ModelThatTests
from pydantic_ai.usage import RequestUsage
from starlette.responses import JSONResponse

from mcp_agent_eval.backend.checkup import offered_models
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.engine.limits.billing import Prices
from mcp_agent_eval.engine.llm.messages import (
    Message,
    ModelRequest,
    ToolCall,
    ToolSpec,
    Usage,
    reply_as_json,
    reply_from_json,
)
from mcp_agent_eval.engine.llm.models import Models
from mcp_agent_eval.engine.llm.pydantic_ai import PydanticAiModel
from mcp_agent_eval.engine.llm.retries import RetryPolicy
from mcp_agent_eval.engine.llm.wire import OPENING
from mcp_agent_eval.errors import ModelError, NotConfigured
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Price, Settings
from tests.behaviour.clinic import CALLS_TOOL, create_clinic
from tests.provider import Answer, Provider, provider
from tests.support import call

NAME = "pydantic-ai:function:f"
QUICK = RetryPolicy(timeout=10, deadline=20, attempts=3, base_delay=0.0001)
BOOK = ToolSpec("book", "Books.", {"type": "object", "properties": {"day": {"type": "string"}}})
SHAPE = {"type": "object", "properties": {"passed": {"type": "boolean"}}, "required": ["passed"]}
HELLO = ModelRequest("agent", "Be kind.", (Message("user", "Hello?"),))

Function = Callable[[list[ModelMessage], AgentInfo], ModelResponse]


def played(function: Function, **options: Any) -> PydanticAiModel:
    """A model whose answers a function gives."""
    return PydanticAiModel(NAME, FunctionModel(function), **{"policy": QUICK} | options)


def saying(*parts: Any, **fields: Any) -> Function:
    """A function that always gives the same answer."""
    return lambda *_: ModelResponse(parts=list(parts), **fields)


def raising(*failures: Exception) -> Function:
    """A function that fails in these ways, one after the other, before it answers."""
    left = list(failures)

    def answer(*_: Any) -> ModelResponse:
        if left:
            raise left.pop(0)
        return ModelResponse(parts=[TextPart("At last.")])

    return answer


# --- What it is asked


async def test_a_history_is_told_with_its_tools_and_their_results() -> None:
    asked: list[list[ModelMessage]] = []

    def answer(history: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked.append(history)
        assert [
            (tool.name, tool.description, tool.parameters_json_schema) for tool in info.function_tools
        ] == [(BOOK.name, BOOK.description, BOOK.parameters)]
        assert (info.model_settings or {}) | {"max_retries": 0} == info.model_settings
        assert (info.model_settings or {}).get("temperature") == 0.3
        assert (info.model_settings or {}).get("max_tokens") == 50
        return ModelResponse(parts=[TextPart("Done.")])

    request = ModelRequest(
        "agent",
        "Be kind.",
        (
            Message("user", "Tuesday."),
            Message("assistant", "One moment.", (ToolCall("c1", "book", {"day": "Tue"}),)),
            Message("tool", '{"ok": true}', tool_call_id="c1"),
            Message("user", "And?"),
        ),
        tools=(BOOK,),
        temperature=0.3,
        max_tokens=50,
    )
    await played(answer).complete(request)
    [[first, second, third]] = asked
    assert [type(part) for part in first.parts] == [SystemPromptPart, UserPromptPart]
    assert [type(part) for part in second.parts] == [TextPart, ToolCallPart]
    result, then = third.parts
    assert isinstance(result, ToolReturnPart)
    assert (result.tool_name, result.tool_call_id, result.content) == ("book", "c1", '{"ok": true}')
    assert isinstance(then, UserPromptPart)


async def test_an_agent_that_opens_is_given_a_first_message_to_answer_and_the_reply_says_so() -> None:
    asked: list[ModelMessage] = []

    def answer(history: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        asked.extend(history)
        return ModelResponse(parts=[TextPart("Good morning.")])

    reply = await played(answer).complete(ModelRequest("agent", "Be kind.", ()))
    assert [part.content for part in asked[0].parts] == ["Be kind.", OPENING]
    assert reply.dropped == ("bare_opening",)


async def test_a_schema_is_asked_for_where_the_model_takes_one_and_left_out_where_it_does_not() -> None:
    modes: list[str] = []

    def answer(_: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        modes.append(info.model_request_parameters.output_mode)
        return ModelResponse(parts=[TextPart('{"passed": true}')])

    request = ModelRequest("judge", "Judge.", (Message("user", "Well?"),), schema=SHAPE)
    takes = FunctionModel(answer, profile={"supports_json_schema_output": True})
    takes_none = FunctionModel(answer, profile={"supports_json_schema_output": False})
    replies = [
        await PydanticAiModel(NAME, one, policy=QUICK).complete(request) for one in (takes, takes_none)
    ]
    assert modes == ["native", "text"]
    assert [reply.dropped for reply in replies] == [(), ("schema",)]
    assert [reply.sent.get("schema") for reply in replies] == [SHAPE, None]


async def test_what_is_kept_of_a_request_begins_as_the_request_before() -> None:
    model = played(saying(TextPart("Yes."), ThinkingPart("Hm.", signature="s")))
    first = await model.complete(HELLO)
    longer = (*HELLO.messages, first.message, Message("user", "Really?"))
    second = await model.complete(ModelRequest("agent", "Be kind.", longer))
    assert second.sent["messages"][:1] == first.sent["messages"]
    assert "timestamp" not in json.dumps(second.sent)
    assert len(second.sent["messages"]) == 3


# --- What it answers


async def test_an_answer_has_its_words_its_calls_and_its_tokens_and_no_thoughts() -> None:
    model = played(
        saying(
            ThinkingPart("They want Tuesday.", signature="signed"),
            TextPart("I book "),
            TextPart("that."),
            ToolCallPart("book", {"day": "Tue"}, "c1"),
            ToolCallPart("book", '{"day": "Wed"}', "c2"),
            ToolCallPart("book", "Thursday!", "c3"),
            usage=RequestUsage(input_tokens=90, output_tokens=7, cache_read_tokens=60, cache_write_tokens=5),
            finish_reason="tool_call",
        )
    )
    reply = await model.complete(HELLO)
    assert reply.message.text == "I book that."
    assert reply.message.tool_calls == (
        ToolCall("c1", "book", {"day": "Tue"}),
        ToolCall("c2", "book", {"day": "Wed"}),
        ToolCall("c3", "book", {}, "Thursday!"),
    )
    assert reply.usage == Usage(90, 7, 60, 5)
    assert (reply.stop, reply.attempts, reply.dropped) == ("tool_call", 1, ())
    assert model.name == NAME


async def test_an_answer_goes_back_as_it_came_also_out_of_the_journal() -> None:
    came = [ThinkingPart("Hm.", signature="signed"), TextPart("Yes."), ToolCallPart("book", "no JSON", "c1")]
    asked: list[list[ModelMessage]] = []

    def answer(history: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        asked.append(history)
        return ModelResponse(parts=came)

    model = played(answer)
    journaled = json.loads(json.dumps(reply_as_json(await model.complete(HELLO))))
    spoken = reply_from_json(journaled).message
    rest = (*HELLO.messages, spoken, Message("tool", "done", tool_call_id="c1"))
    await model.complete(ModelRequest("agent", "Be kind.", rest))
    assert list(asked[1][1].parts) == came


async def test_pydantic_ais_own_test_model_plays_along() -> None:
    model = PydanticAiModel("pydantic-ai:test:test", ModelThatTests(call_tools=["book"]), policy=QUICK)
    reply = await model.complete(ModelRequest("agent", "Be kind.", HELLO.messages, tools=(BOOK,)))
    assert [made.name for made in reply.message.tool_calls] == ["book"]


# --- What goes wrong

QUOTED = "My secret is a zebra."


def http(category: Any, status: int, **told: Any) -> exceptions.ModelHTTPError:
    """An error with a status, of a category or of none."""
    return exceptions.ModelHTTPError.for_category(category, status_code=status, model_name="f", **told)


@pytest.mark.parametrize(
    ("failure", "kind", "status"),
    [
        (http(exceptions.ModelAuthenticationError, 401), "auth", 401),
        (http(exceptions.ModelQuotaExceededError, 429), "quota", 429),
        (http(exceptions.ModelNotFoundError, 404), "refused", 404),
        (http(exceptions.ModelRateLimitError, 429), "rate_limit", 429),
        (http(exceptions.ModelOverloadedError, 529), "overloaded", 529),
        (http(exceptions.ModelServerError, 500), "overloaded", 500),
        (http(None, 418), "refused", 418),
        (exceptions.ModelTimeoutError("f", QUOTED), "timeout", None),
        (exceptions.ModelConnectionError("f", QUOTED), "unreachable", None),
        (exceptions.ModelAPIError("f", QUOTED), "malformed", None),
        (exceptions.UnexpectedModelBehavior(QUOTED, QUOTED), "malformed", None),
        (exceptions.ContentFilterError(QUOTED), "refused", None),
        (exceptions.UserError("It takes no tools."), "refused", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_each_failure_is_of_a_kind_and_quotes_nobody(
    failure: Exception, kind: str, status: int | None
) -> None:
    with pytest.raises(ModelError) as raised:
        await played(raising(*[failure] * 3)).complete(HELLO)
    assert (raised.value.kind, raised.value.status_code) == (kind, status)
    assert raised.value.message.startswith(f"{NAME} ")
    assert QUOTED not in raised.value.message
    assert raised.value.sent is not None


async def test_every_category_of_errors_that_pydantic_ai_has_is_told_from_the_others() -> None:
    """A category that it adds is to be put somewhere, and not to pass for an answer that could not be read."""
    known = {
        error
        for error in vars(exceptions).values()
        if isinstance(error, type) and issubclass(error, exceptions.ModelAPIError)
    } - {exceptions.ModelAPIError}
    for error in known - {exceptions.ModelHTTPError, exceptions.ModelRequestTimeout}:
        with pytest.raises(ModelError) as raised:
            await played(raising(*[error("f", "said")] * 3)).complete(HELLO)
        assert raised.value.kind != "malformed", error


async def test_what_a_provider_says_of_a_refusal_is_told() -> None:
    body = {"error": {"message": "This model takes no temperature.", "type": "invalid_request_error"}}
    failure = http(exceptions.ModelRequestRejectedError, 400, body=body)
    with pytest.raises(ModelError, match=r"answered 400: This model takes no temperature\.") as raised:
        await played(raising(failure)).complete(HELLO)
    assert raised.value.received == body


async def test_what_passes_is_tried_again_and_what_does_not_is_not() -> None:
    trouble = http(exceptions.ModelServerError, 503)
    assert (await played(raising(trouble, trouble)).complete(HELLO)).attempts == 3
    with pytest.raises(ModelError, match=r"answered 503 \(3 attempts\)"):
        await played(raising(trouble, trouble, trouble)).complete(HELLO)
    with pytest.raises(ModelError) as raised:
        await played(raising(http(exceptions.ModelAuthenticationError, 401))).complete(HELLO)
    assert raised.value.attempts == 1


async def test_a_model_that_says_nothing_is_given_up_after_its_time() -> None:
    async def answer(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        await anyio.sleep_forever()
        raise AssertionError("forever has ended")

    model = PydanticAiModel(NAME, FunctionModel(answer), policy=RetryPolicy(0.01, 20, 2, base_delay=0.0001))
    with pytest.raises(ModelError, match=r"gave no answer within 0\.01 s \(2 attempts\)") as raised:
        await model.complete(HELLO)
    assert raised.value.kind == "timeout"


class CountingGate:
    """A gate that is never closed, and counts."""

    def __init__(self) -> None:
        self.refusals: list[float | None] = []
        self.answers = 0

    def seconds_closed(self) -> float:
        return 0

    async def passed(self) -> None:
        raise AssertionError("it is open")

    async def answered(self) -> None:
        self.answers += 1

    async def refused(self, failure: ModelError) -> None:
        self.refusals.append(failure.retry_after)


async def test_a_provider_that_asks_for_patience_has_it_from_everybody_on_the_lane() -> None:
    gate = CountingGate()
    limits = [http(exceptions.ModelRateLimitError, 429, headers={"retry-after": "7"})] * 5
    reply = await played(raising(*limits), gate=gate).complete(HELLO)
    assert (gate.refusals, gate.answers, reply.attempts) == ([7] * 5, 1, 6)


# --- Which models there are


def test_without_the_extra_one_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mcp_agent_eval.engine.llm.pydantic_ai", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    with pytest.raises(NotConfigured, match="needs the package pydantic-ai-slim") as raised:
        Models(Settings.read()).name_for("agent", "pydantic-ai:google:gemini-2.5-flash")
    assert "mcp-agent-eval[pydantic-ai]" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("openai-chat:gpt-4o", "`OPENAI_API_KEY` environment variable"),
        ("google:gemini-2.5-flash", r'pip install "pydantic-ai-slim\[google\]"'),
        ("nobody:x", "Unknown model: nobody:x"),
    ],
)
def test_what_is_missing_is_said_in_pydantic_ais_words(name: str, says: str) -> None:
    with pytest.raises(NotConfigured, match=says) as raised:
        Models(Settings.read()).name_for("agent", f"pydantic-ai:{name}")
    assert "Agent('test')" not in raised.value.message


@pytest.mark.parametrize("name", ["pydantic-ai", "pydantic-ai:", "pydantic-ai:google", "pydantic-ai::x"])
def test_a_name_without_a_provider_and_a_model_is_none(name: str) -> None:
    with pytest.raises(NotConfigured, match="is not a model") as raised:
        Models(Settings.read()).name_for("agent", name)
    assert "pydantic-ai:PROVIDER:NAME" in (raised.value.hint or "")


def test_who_executes_nothing_need_not_have_what_others_have() -> None:
    name = "pydantic-ai:google:gemini-2.5-flash"
    assert Models(Settings.read(max_concurrency=0)).name_for("agent", name) == name


def test_a_worker_claims_only_runs_of_models_that_it_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models(
        Settings.read(model_concurrency={"pydantic-ai:openai-chat:zed": 2, "gemini-2.5-flash": 3})
    )
    here, elsewhere = (
        models.lane(f"pydantic-ai:{name}") for name in ("openai-chat:zed", "google:gemini-2.5-flash")
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert [models.reaches(here), models.reaches(elsewhere), models.reaches(elsewhere)] == [
        True,
        False,
        False,
    ]
    assert [models.limit(here), models.limit(elsewhere)] == [2, 3]


def test_a_price_is_the_providers_however_it_is_reached() -> None:
    prices = Prices({"pydantic-ai:nobody:x": Price(input=1, output=0)})
    usage = Usage(1000, 100)
    through = [
        prices.nano(f"pydantic-ai:{name}", usage)
        for name in ("google:gemini-2.5-flash", "azure-responses:gpt-4o", "nobody:x", "nobody:y")
    ]
    assert through[:2] == [prices.nano(name, usage) for name in ("google:gemini-2.5-flash", "azure:gpt-4o")]
    assert through[0]
    assert through[2:] == [1_000_000, None]


async def test_the_doctor_knows_that_it_cannot_ask_for_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(ModelError, match="lists no models"):
        await offered_models(Settings.read(), "pydantic-ai:openai-chat:zed")


# --- Over a real wire, and in real runs


@asynccontextmanager
async def reached(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    """A provider that pydantic-ai's OpenAI provider is led to."""
    async with provider(answer) as running:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield running


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Any]:
    """The model as the engine has it."""
    models = Models(Settings.read(**settings))
    yield models.get("pydantic-ai:openai-chat:zed")
    await models.aclose()


def everybody(body: dict[str, Any]) -> JSONResponse:
    """A caller, an agent that books once, and a judge, in answers that are whole: pydantic-ai is strict."""
    said = part(body)
    message = {"role": "assistant", "content": said} if isinstance(said, str) else said
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    head = {"id": "c-1", "object": "chat.completion", "created": 1, "model": body["model"]}
    return JSONResponse(head | {"choices": [choice], "usage": usage})


def part(body: dict[str, Any]) -> str | dict[str, Any]:
    """What is said by whoever is asked."""
    if "response_format" in body:
        return json.dumps({"reasoning": "It did.", "turns": [0], "passed": True})
    if any(tool["function"]["name"] == "bookAppointment" for tool in body.get("tools", [])):
        if body["messages"][-1]["role"] == "tool":
            return "Your appointment is booked."
        function = {"name": "bookAppointment", "arguments": '{"day": "Tuesday"}'}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    return "On Tuesday, please." if len(body["messages"]) < 4 else "Thanks. [END OF CALL]"


async def test_a_run_with_a_tool_and_a_judge_is_played_by_it_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pydantic-ai:openai-chat:gpt-4o"
    roles = {f"{role}_model": name for role in ("agent", "persona", "judge")}
    settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **roles)
    judged = {"type": "custom_llm_judge", "rubric": "The agent books."}
    async with (
        reached(everybody, monkeypatch) as model,
        Client(build_server(lambda: connect(settings))) as client,
    ):
        case_id = await create_clinic(client, success_criteria=[CALLS_TOOL, judged])
        result = await call(client, "run_case", case_id=case_id)
        calls = await call(client, "read_transcript", run_id=result["run_id"], view="model_calls")
    assert (result["status"], result["score"], result["termination_reason"]) == (
        "completed",
        100,
        "persona_goodbye",
    )
    assert result["cost_usd"] > 0
    assert len(model.asked) == 5
    [persona, books, _, _, judge] = model.asked
    assert [message["role"] for message in persona["messages"]] == ["system", "user"]
    assert books["tools"][0]["function"]["name"] == "bookAppointment"
    assert judge["response_format"]["type"] == "json_schema"
    assert {one["model"] for one in calls["untrusted_model_calls"]} == {name}


async def test_a_refusal_over_the_wire_is_told_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: dict[str, Any]) -> JSONResponse:
        return JSONResponse({"error": {"message": "No such key.", "type": "x"}}, status_code=401)

    async with reached(refuse, monkeypatch) as server, opened() as model:
        with pytest.raises(
            ModelError, match=r"^pydantic-ai:openai-chat:zed answered 401: No such key\.$"
        ) as raised:
            await model.complete(HELLO)
    assert raised.value.kind == "auth"
    assert len(server.asked) == 1


async def test_trouble_over_the_wire_is_tried_again_by_us_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(_: dict[str, Any]) -> JSONResponse:
        return JSONResponse({}, status_code=503, headers={"retry-after": "0"})

    async with reached(trouble, monkeypatch) as server, opened(model_attempts=2) as model:
        with pytest.raises(ModelError, match=r"answered 503 \(2 attempts\)"):
            await model.complete(HELLO)
    assert len(server.asked) == 2


async def test_the_time_to_come_back_at_is_heard_over_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(_: dict[str, Any]) -> JSONResponse:
        error = {"message": "Slow down.", "code": "rate_limit_exceeded"}
        return JSONResponse({"error": error}, status_code=429, headers={"retry-after": "90"})

    async with reached(limited, monkeypatch), opened(model_deadline=20) as model:
        with pytest.raises(ModelError) as raised:
            await model.complete(HELLO)
    assert (raised.value.kind, raised.value.retry_after) == ("rate_limit", 90)


async def test_an_answer_that_is_none_and_a_server_that_is_not_there_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        reached(lambda _: JSONResponse({"choices": []}), monkeypatch),
        opened(model_attempts=1) as model,
    ):
        with pytest.raises(ModelError) as unreadable:
            await model.complete(HELLO)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    async with opened(model_attempts=1) as model:
        with pytest.raises(ModelError, match="could not be reached") as away:
            await model.complete(HELLO)
    assert [unreadable.value.kind, away.value.kind] == ["malformed", "unreachable"]
