"""The spans of a run's parts other than model calls: turns, tools and verdicts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import get_current_span

from mcp_agent_eval.engine.llm.messages import ToolCall
from mcp_agent_eval.engine.tracing.spans import Attributes, as_json, open_span, shows_text, tell_failure
from mcp_agent_eval.types import AssertionResult, ModelRole, ToolUse


@contextmanager
def turn_span(role: ModelRole, number: int) -> Generator[None]:
    """One side's turn with everything in it; `number` is that of its first row."""
    with open_span(f"turn {role}", {"agent_eval.role": role, "agent_eval.turn": number}):
        yield


def tell_recalled() -> None:
    """Write into a turn's span that an earlier attempt paid for it."""
    get_current_span().set_attribute("agent_eval.recalled", True)


@contextmanager
def tool_span(call: ToolCall) -> Generator[None]:
    """A tool that acts, or the mock in its place."""
    attributes: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.type": "function",
    }
    with open_span(f"execute_tool {call.name}", attributes) as span:
        if span.is_recording() and shows_text():
            span.set_attribute("gen_ai.tool.call.arguments", call.raw or as_json(call.args))
        yield


def tell_use(use: ToolUse) -> ToolUse:
    """Write the tool's outcome into the current span."""
    span = get_current_span()
    if span.is_recording():
        span.set_attribute("agent_eval.mocked", bool(use.mocked))
        if use.error is not None:
            tell_failure(span, "tool_error")
        elif shows_text():
            span.set_attribute("gen_ai.tool.call.result", as_json(use.result))
    return use


@contextmanager
def judge_span(name: str) -> Generator[None]:
    """A verdict by a model, with its calls; `name` is the type of the assertion."""
    with open_span("judge", {"gen_ai.evaluation.name": name}):
        yield


def tell_verdict(result: AssertionResult) -> AssertionResult:
    """Write a verdict into the current span."""
    span = get_current_span()
    if span.is_recording():
        span.set_attributes(_verdict(result))
    return result


def tell_results(results: Sequence[AssertionResult]) -> None:
    """Write the verdicts on all assertions into the current span, as one event each."""
    span = get_current_span()
    for index, result in enumerate(results if span.is_recording() else ()):
        span.add_event("gen_ai.evaluation.result", {"agent_eval.assertion": index} | _verdict(result))


def _verdict(result: AssertionResult) -> Attributes:
    verdict: Attributes = {
        "gen_ai.evaluation.name": result.assertion.type,
        "gen_ai.evaluation.score.value": float(result.passed),
        "gen_ai.evaluation.score.label": "pass" if result.passed else "fail",
    }
    if result.reason and shows_text():
        verdict["gen_ai.evaluation.explanation"] = result.reason
    return verdict
