"""Spans, as whoever collects them sees them: over real runs, with the SDK's exporters."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_agent_eval import telemetry
from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.mcp_server.server import build_server
from mcp_agent_eval.settings import Settings
from mcp_agent_eval.telemetry import _is_wanted, flush_spans
from tests.behaviour.clinic import CALLS_TOOL, create_clinic
from tests.e2e.test_processes import start_raw
from tests.provider import Provider, provider
from tests.running import running
from tests.support import OFFLINE, call, stdio_server

JUDGED = {"type": "custom_llm_judge", "rubric": "The agent asks how it can help."}
VERDICT = json.dumps({"reasoning": "It asked for the zebra.", "turns": [0], "passed": True})


class Spans:
    """What was exported."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> Sequence[ReadableSpan]:
        """Every span, in the order in which they ended."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of one name, in the order in which they began."""
        return sorted(
            (span for span in self.all() if span.name == name), key=lambda span: span.start_time or 0
        )

    def tree(self, root: ReadableSpan) -> dict[str, Any]:
        """Names of the spans below one, each with its own; spans of one name stand together."""
        below: dict[str, Any] = {}
        for span in sorted(self.all(), key=lambda span: span.start_time or 0):
            if span.parent and span.parent.span_id == root.context.span_id:
                below.setdefault(span.name, {}).update(self.tree(span))
        return below

    def said(self) -> str:
        """Everything that spans hold, as text."""
        return "\n".join(span.to_json() for span in self.all())


@functools.cache
def tracer_provider() -> TracerProvider:
    """The one of this process, which can be set only once."""
    made = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(made)
    return made


@pytest.fixture
def spans() -> Iterator[Spans]:
    exporter = InMemorySpanExporter()
    tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    yield Spans(exporter)
    exporter.shutdown()


@asynccontextmanager
async def client(tmp_path: Path, **changed: Any) -> AsyncIterator[Client]:
    settings = Settings.read(database_url=f"sqlite:///{tmp_path / 'evals.db'}", **OFFLINE | changed)
    async with Client(build_server(lambda: connect(settings))) as opened:
        yield opened


def over(model: Provider) -> dict[str, Any]:
    """Settings that let a test's provider play every role."""
    return {f"{role}_model": "openai:zed" for role in ("agent", "persona", "judge")} | {
        "model_base_url": model.url,
        "model_attempts": 1,
    }


def everybody(body: dict[str, Any]) -> str | dict[str, Any]:
    """A caller, an agent that books once, and a judge."""
    if "response_format" in body:
        return VERDICT
    if any(tool["function"]["name"] == "bookAppointment" for tool in body.get("tools", [])):
        if body["messages"][-1]["role"] == "tool":
            return "Your zebra is booked."
        function = {"name": "bookAppointment", "arguments": '{"day": "zebra day"}'}
        return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    return "A zebra, please." if len(body["messages"]) < 3 else "Thanks for the zebra. [END OF CALL]"


async def test_a_run_is_a_tree_of_turns_with_their_calls_and_tools_and_of_verdicts(
    tmp_path: Path, spans: Spans
) -> None:
    async with client(tmp_path) as opened:
        case_id = await create_clinic(opened, success_criteria=[CALLS_TOOL, JUDGED])
        result = await call(opened, "run_case", case_id=case_id)
    [run] = spans.named("run")
    assert run.parent is None
    assert spans.tree(run) == {
        "turn persona": {"chat offline": {}},
        "turn agent": {"chat offline": {}, "execute_tool bookAppointment": {}},
        "judge": {"chat offline": {}},
    }
    assert run.attributes == {
        "gen_ai.conversation.id": result["run_id"],
        "agent_eval.run.id": result["run_id"],
        "agent_eval.case.id": case_id,
        "agent_eval.attempt": 1,
        "agent_eval.status": "completed",
        "agent_eval.termination_reason": result["termination_reason"],
        "agent_eval.end_detail": "end_signal",
        "agent_eval.score": result["score"],
        "agent_eval.pass": result["pass_fail"],
    }
    assert {
        span.attributes["gen_ai.conversation.id"] for span in spans.all() if span.name.startswith("turn")
    } == {result["run_id"]}


async def test_a_run_is_linked_to_the_tool_call_that_started_it_and_to_no_other(
    tmp_path: Path, spans: Spans
) -> None:
    async with client(tmp_path) as opened:
        case_id = await create_clinic(opened)
        for _ in range(2):
            await call(opened, "run_case", case_id=case_id)
    calls, runs = spans.named("tools/call run_case"), spans.named("run")
    assert [[link.context for link in run.links] for run in runs] == [[one.context] for one in calls]
    assert len({span.context.trace_id for span in [*runs, *calls]}) == 4


async def test_the_runs_of_a_suite_are_linked_to_the_call_that_started_them(
    tmp_path: Path, spans: Spans
) -> None:
    async with client(tmp_path) as opened:
        suite_id = (await call(opened, "create_suite", name="Both"))["suite_id"]
        for _ in range(2):
            await create_clinic(opened, suite_id=suite_id)
        started = await call(opened, "run_suite", suite_id=suite_id)
    [began], runs = spans.named("tools/call run_suite"), spans.named("run")
    assert [[link.context for link in run.links] for run in runs] == [[began.context]] * 2
    assert {run.attributes["agent_eval.suite_run.id"] for run in runs} == {started["suite_run_id"]}


async def test_a_model_call_tells_whom_it_asked_and_what_that_took(tmp_path: Path, spans: Spans) -> None:
    async with provider(everybody) as model, client(tmp_path, **over(model)) as opened:
        case_id = await create_clinic(opened, success_criteria=[JUDGED])
        await call(opened, "run_case", case_id=case_id)
    calls = spans.named("chat zed")
    assert [span.attributes["agent_eval.role"] for span in calls] == [
        "persona",
        "agent",
        "agent",
        "persona",
        "judge",
    ]
    assert {span.kind for span in calls} == {SpanKind.CLIENT}
    assert dict(calls[-1].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "zed",
        "gen_ai.conversation.id": spans.named("run")[0].attributes["agent_eval.run.id"],
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "zed",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "agent_eval.role": "judge",
        "agent_eval.requests": 1,
    }


async def test_every_verdict_is_an_event_of_its_run_and_a_judge_has_a_span_of_its_own(
    tmp_path: Path, spans: Spans
) -> None:
    async with client(tmp_path) as opened:
        case_id = await create_clinic(
            opened, success_criteria=[{"type": "must_say", "pattern": "zebra"}, JUDGED]
        )
        await call(opened, "run_case", case_id=case_id)
    [run], [judge] = spans.named("run"), spans.named("judge")
    assert [(event.name, dict(event.attributes or {})) for event in run.events] == [
        (
            "gen_ai.evaluation.result",
            {
                "agent_eval.assertion": index,
                "gen_ai.evaluation.name": name,
                "gen_ai.evaluation.score.value": value,
                "gen_ai.evaluation.score.label": label,
            },
        )
        for index, (name, value, label) in enumerate(
            [("must_say", 0.0, "fail"), ("custom_llm_judge", 1.0, "pass")]
        )
    ]
    assert judge.attributes["gen_ai.evaluation.name"] == "custom_llm_judge"
    assert judge.attributes["gen_ai.evaluation.score.label"] == "pass"


async def test_what_was_said_stands_in_no_span(tmp_path: Path, spans: Spans) -> None:
    async with provider(everybody) as model, client(tmp_path, **over(model)) as opened:
        case_id = await create_clinic(opened, success_criteria=[CALLS_TOOL, JUDGED])
        await call(opened, "run_case", case_id=case_id)
    assert len(spans.named("chat zed")) == 5
    assert "zebra" not in spans.said()
    assert "HD-1" not in spans.said()
    assert "receptionist" not in spans.said()


async def test_what_was_said_stands_in_the_spans_when_the_user_wants_it_there(
    tmp_path: Path, spans: Spans
) -> None:
    async with provider(everybody) as model, client(tmp_path, trace_content=True, **over(model)) as opened:
        case_id = await create_clinic(opened, success_criteria=[CALLS_TOOL, JUDGED])
        await call(opened, "run_case", case_id=case_id)
    booked = spans.named("chat zed")[2].attributes
    assert "receptionist" in json.loads(booked["gen_ai.system_instructions"])[0]["content"]
    asked = json.loads(booked["gen_ai.input.messages"])
    assert [(message["role"], [part["type"] for part in message["parts"]]) for message in asked] == [
        ("assistant", ["text"]),
        ("user", ["text"]),
        ("assistant", ["tool_call"]),
        ("tool", ["tool_call_response"]),
    ]
    assert asked[2]["parts"][0] == {
        "type": "tool_call",
        "id": "call_1",
        "name": "bookAppointment",
        "arguments": {"day": "zebra day"},
    }
    assert json.loads(booked["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Your zebra is booked."}]}
    ]
    [tool] = spans.named("execute_tool bookAppointment")
    assert json.loads(tool.attributes["gen_ai.tool.call.arguments"]) == {"day": "zebra day"}
    assert json.loads(tool.attributes["gen_ai.tool.call.result"]) == {"confirmation_number": "HD-1"}
    [judge] = spans.named("judge")
    assert judge.attributes["gen_ai.evaluation.explanation"] == "It asked for the zebra."


async def test_a_tool_that_fails_marks_its_own_span_and_not_the_turn(tmp_path: Path, spans: Spans) -> None:
    async with client(tmp_path) as opened:
        mocks = {"bookAppointment": {"error": "The zebra is ill."}}
        await call(opened, "run_case", case_id=await create_clinic(opened, tool_mocks=mocks))
    tool = spans.named("execute_tool bookAppointment")[0]
    assert tool.status.status_code is StatusCode.ERROR
    assert tool.attributes["error.type"] == "tool_error"
    assert tool.attributes["agent_eval.mocked"] is True
    assert {span.status.status_code for span in spans.named("turn agent")} == {StatusCode.UNSET}
    assert "zebra" not in spans.said()


async def test_a_model_that_refuses_marks_the_call_the_turn_and_the_run(tmp_path: Path, spans: Spans) -> None:
    def refuse(_: dict[str, Any]) -> Response:
        return JSONResponse({"error": {"message": "The model zed is not for you."}}, status_code=403)

    async with provider(refuse) as model, client(tmp_path, **over(model)) as opened:
        await call(opened, "run_case", case_id=await create_clinic(opened))
    [asked], [turn], [run] = spans.named("chat zed"), spans.named("turn persona"), spans.named("run")
    assert {span.status.status_code for span in (asked, turn, run)} == {StatusCode.ERROR}
    assert "not for you" in (asked.status.description or "")
    assert asked.attributes["error.type"] == "auth"
    assert asked.attributes["http.response.status_code"] == 403
    assert run.attributes["error.type"] == "model_failed"
    assert run.attributes["agent_eval.status"] == "failed"
    assert {event.name for event in run.events} == {"gen_ai.evaluation.result"}


async def test_a_judge_without_a_verdict_marks_its_span_and_the_run(tmp_path: Path, spans: Spans) -> None:
    async with provider(lambda _: "Who knows?") as model:
        async with client(tmp_path, judge_model="openai:zed", model_base_url=model.url) as opened:
            await call(opened, "run_case", case_id=await create_clinic(opened, success_criteria=[JUDGED]))
    [judge], [run] = spans.named("judge"), spans.named("run")
    assert spans.tree(run)["judge"] == {"chat zed": {}}
    assert (judge.attributes["error.type"], run.attributes["error.type"]) == ("malformed", "no_verdict")
    assert {judge.status.status_code, run.status.status_code} == {StatusCode.ERROR}


async def test_a_run_that_is_resumed_has_a_span_for_each_attempt_and_no_second_call_for_what_was_paid(
    tmp_path: Path, spans: Spans
) -> None:
    reached, go_on = anyio.Event(), anyio.Event()

    async def caller(body: dict[str, Any]) -> str:
        number = sum(message["role"] == "assistant" for message in body["messages"])
        if number == 2:
            reached.set()
            await go_on.wait()
        return f"Line {number}." + (" [END OF CALL]" if number == 3 else "")

    async with provider(caller) as model:
        settings = {"persona_model": "openai:zed", "model_base_url": model.url}
        async with client(tmp_path, **settings) as opened:
            case_id = await create_clinic(opened)
            run_id = (await call(opened, "run_case", case_id=case_id, wait_seconds=0))["run_id"]
            with anyio.fail_after(10):
                await reached.wait()
        go_on.set()
        async with client(tmp_path, **settings) as opened:
            await call(opened, "get_run", run_id=run_id, wait_seconds=20)
    first, second = spans.named("run")
    assert {run.attributes["agent_eval.run.id"] for run in (first, second)} == {run_id}
    assert [run.attributes["agent_eval.attempt"] for run in (first, second)] == [1, 2]
    assert [run.attributes["agent_eval.status"] for run in (first, second)] == ["interrupted", "completed"]
    calls = [span.context.trace_id for span in spans.named("chat zed")]
    assert calls == [first.context.trace_id] * 3 + [second.context.trace_id] * 2
    turns = [span for span in spans.named("turn persona") if span.context.trace_id == second.context.trace_id]
    assert ["agent_eval.recalled" in turn.attributes for turn in turns] == [True, True, False, False]


def test_tracing_md_names_every_attribute_and_event_and_no_other() -> None:
    root = Path(__file__).resolve().parents[2]
    names = re.compile(r"[`\"]((?:gen_ai|agent_eval|http|server|error)\.[a-z_.]+)[`\"]")
    sources = (root / "src/mcp_agent_eval/engine/tracing").glob("*.py")
    used = {name for source in sources for name in names.findall(source.read_text(encoding="utf-8"))}
    assert set(names.findall((root / "docs/tracing.md").read_text(encoding="utf-8"))) == used


# --- Over the wire, from real processes


class Collector:
    """Takes spans over OTLP."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[ExportTraceServiceRequest] = []

    async def take(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        self.requests.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(b"", media_type="application/x-protobuf")

    def services(self) -> set[str]:
        """Under which names spans came."""
        return {
            attribute.value.string_value
            for request in self.requests
            for batch in request.resource_spans
            for attribute in batch.resource.attributes
            if attribute.key == "service.name"
        }

    def names(self) -> list[str]:
        """The names of all spans that came."""
        return [
            span.name
            for request in self.requests
            for batch in request.resource_spans
            for scope in batch.scope_spans
            for span in scope.spans
        ]


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    collecting = Collector()
    app = Starlette(routes=[Route("/v1/traces", collecting.take, methods=["POST"])])
    async with running(app) as collecting.address:
        yield collecting


async def test_a_server_on_stdio_sends_its_spans_to_the_collector_of_the_environment(tmp_path: Path) -> None:
    async with collector() as spans:
        started = stdio_server(tmp_path, **OFFLINE)
        started.env = (started.env or {}) | {"OTEL_EXPORTER_OTLP_ENDPOINT": spans.address}
        async with Client(started) as opened:
            await call(opened, "run_case", case_id=await create_clinic(opened))
    assert spans.services() == {"mcp-agent-eval"}
    assert {"tools/call run_case", "run", "turn agent", "chat offline"} <= set(spans.names())


async def test_a_command_sends_its_spans_before_it_ends_under_the_name_that_the_user_chose(
    tmp_path: Path,
) -> None:
    environment = os.environ | {
        "OTEL_SERVICE_NAME": "evals of the clinic",
        "AGENT_EVAL_DATABASE_URL": f"sqlite:///{tmp_path / 'evals.db'}",
    }
    async with collector() as spans:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = spans.address
        command = [sys.executable, "-m", "mcp_agent_eval", "demo"]
        done = await anyio.run_process(command, env=environment)
    assert done.returncode == 0
    assert spans.services() == {"evals of the clinic"}
    assert spans.names().count("run") > 1


async def test_a_server_that_is_told_to_stop_sends_what_it_has(tmp_path: Path) -> None:
    async with provider(everybody, open_gate=False) as held, collector() as spans:
        server = stdio_server(
            tmp_path, **OFFLINE | {"persona_model": "openai:zed", "model_base_url": held.url}
        )
        async with Client(server) as opened:
            case_id = await create_clinic(opened)
        environment = (server.env or {}) | {"OTEL_EXPORTER_OTLP_ENDPOINT": spans.address}
        with start_raw(environment, case_id) as process, anyio.fail_after(20):
            await held.arrived.wait()
            process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(process.wait)
    assert {"run", "turn persona", "chat zed"} <= set(spans.names())


def test_a_collector_that_is_away_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        """Stands for an exporter that tries again and again."""

        def __init__(self) -> None:
            self.asked = 0
            self.back = threading.Event()

        def force_flush(self) -> bool:
            self.asked += 1
            return self.back.wait(10)

    provider = Away()
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    monkeypatch.setattr(telemetry, "_SECONDS", 0)
    flush_spans()
    flush_spans()
    assert provider.asked == 1
    provider.back.set()
    for thread in threading.enumerate():
        if thread.name == telemetry._SENDING:
            thread.join()


def test_without_the_extra_one_is_told_what_to_install_and_everything_goes_on() -> None:
    code = """
import sys
sys.modules["opentelemetry.sdk"] = None
sys.argv = ["mcp-agent-eval", "--version"]
from mcp_agent_eval.__main__ import main
main()
"""
    environment = os.environ | {"OTEL_TRACES_EXPORTER": "otlp"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("mcp-agent-eval, version ")
    assert 'pip install "mcp-agent-eval[otel]"' in done.stderr


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_spans_are_exported_only_when_the_environment_asks_for_what_we_can_do(
    environment: dict[str, str], wanted: bool
) -> None:
    assert _is_wanted(environment) is wanted
