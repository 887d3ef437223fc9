"""The span of a run, which is the root of its trace, and the link from it to where the run was started."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from opentelemetry.trace import Link, SpanContext, get_current_span

from mcp_agent_eval.engine.store.queue import Outcome
from mcp_agent_eval.engine.tracing.spans import Attributes, open_span, spans_of_run, tell_failure
from mcp_agent_eval.types import Run

_MOST = 10_000
_NO_VERDICT = "no_verdict"
_INTERRUPTED = "interrupted"
"""The outcome of an attempt that recorded none."""


class Origins:
    """Remembers the span in which this process started a run: usually that of a tool call, which may be over long
    before the run is. Only traced starts are kept, and only the newest."""

    def __init__(self) -> None:
        self._spans: dict[str, SpanContext] = {}

    def here(self) -> Callable[[str], None]:
        """A function that takes the ids of runs started in the current span; it may be called from another thread."""
        span = get_current_span().get_span_context()

        def remember(run_id: str) -> None:
            if span.is_valid:
                self._spans[run_id] = span
                while len(self._spans) > _MOST:
                    del self._spans[next(iter(self._spans))]

        return remember

    def of(self, run_id: str) -> list[Link]:
        """The link to where a run was started, if that is known."""
        span = self._spans.get(run_id)
        return [Link(span)] if span else []


@contextmanager
def run_span(run: Run, attempt: int, origin: Sequence[Link], *, with_text: bool) -> Generator[None]:
    """One attempt at a run, the first or one that takes over."""
    attributes: Attributes = {
        "agent_eval.run.id": run.id,
        "agent_eval.attempt": attempt,
        "agent_eval.status": _INTERRUPTED,
    }
    if run.case_id:
        attributes["agent_eval.case.id"] = run.case_id
    if run.suite_run_id:
        attributes["agent_eval.suite_run.id"] = run.suite_run_id
    with spans_of_run(run.id, with_text=with_text), open_span("run", attributes, links=origin):
        yield


def tell_outcome(outcome: Outcome) -> Outcome:
    """Write the run's outcome into the current span."""
    span = get_current_span()
    if span.is_recording():
        span.set_attributes(_settled(outcome))
        if outcome.error is not None:
            tell_failure(span, _failure(outcome), outcome.error)
    return outcome


def tell_unsettled(status: str) -> None:
    """Write into the current span why this attempt ended without an outcome."""
    get_current_span().set_attribute("agent_eval.status", status)


def _settled(outcome: Outcome) -> Attributes:
    settled = {
        "agent_eval.status": outcome.status,
        "agent_eval.termination_reason": outcome.termination_reason,
        "agent_eval.end_detail": outcome.end_detail,
        "agent_eval.score": outcome.score,
        "agent_eval.pass": outcome.pass_fail,
    }
    return {name: value for name, value in settled.items() if value is not None}


def _failure(outcome: Outcome) -> str:
    """The error type of a run. If its conversation went well, it can only fail for lack of a verdict."""
    if outcome.termination_reason != "error":
        return _NO_VERDICT
    return outcome.end_detail or outcome.termination_reason
