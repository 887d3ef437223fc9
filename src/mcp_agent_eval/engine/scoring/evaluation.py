"""Evaluates a finished conversation: every assertion gets a verdict, even if the judge breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread

from mcp_agent_eval.engine.scoring.assertions import check, score
from mcp_agent_eval.engine.scoring.judge import Judge
from mcp_agent_eval.engine.tracing.steps import tell_results
from mcp_agent_eval.errors import ModelError
from mcp_agent_eval.types import Assertion, AssertionResult, Evaluation, Turn


@dataclass(frozen=True, slots=True)
class Scored:
    """The evaluation, and what kept a judge from giving a verdict, if anything did."""

    evaluation: Evaluation
    failure: ModelError | None = None


async def evaluate(
    assertions: Sequence[Assertion], turns: Sequence[Turn], threshold: float, judge: Judge
) -> Scored:
    """Check every assertion. One that no judge could decide counts as not passed, and the run fails."""
    # A search may take up to half a second before it is stopped, so keep it off the event loop.
    results = await to_thread.run_sync(_check_all, assertions, turns)
    failure: ModelError | None = None
    for index, assertion in enumerate(assertions):
        if assertion.type != "custom_llm_judge":
            continue
        try:
            results[index] = await judge.check(assertion, turns)
        except ModelError as exc:
            failure = exc
            results[index] = _undecided(assertion, f"not judged: {exc.message}")
    tell_results(results)
    return Scored(score(results, threshold), failure)


def _check_all(assertions: Sequence[Assertion], turns: Sequence[Turn]) -> list[AssertionResult]:
    return [
        _undecided(assertion, "not judged yet")
        if assertion.type == "custom_llm_judge"
        else check(assertion, turns)
        for assertion in assertions
    ]


def _undecided(assertion: Assertion, reason: str) -> AssertionResult:
    return AssertionResult(assertion=assertion, passed=False, weight=assertion.weight, reason=reason)
