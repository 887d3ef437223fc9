"""Words a suite's figures as sentences, the same in every report."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_agent_eval.lab.digest import NOT_AN_LLM
from mcp_agent_eval.lab.reports.results import SuiteResult
from mcp_agent_eval.lab.statistics import CONFIDENCE

_OFFLINE = "offline"


def headline(result: SuiteResult) -> str:
    """How many runs passed, the confidence interval, and the required rate."""
    passed, evaluated = result.counts["passed"], result.evaluated
    wanted = f"At least {result.fail_under:g}% was required."
    if result.pass_rate is None or result.interval is None:
        return f"No run could be evaluated. {wanted}"
    low, high = result.interval
    interval = f"{CONFIDENCE:.0%} interval {low:.0%} to {high:.0%}"
    return f"{passed} of {evaluated} runs passed: {result.pass_rate:.1%} ({interval}). {wanted}"


def figures(result: SuiteResult) -> Iterator[str]:
    """Further notes, one sentence each."""
    yield from result.stops
    if missing := list(_missing(result)):
        yield f"Without a verdict: {', '.join(missing)}."
    unpriced = result.unpriced_models
    unknown = f", without {', '.join(unpriced)}, whose prices are unknown" if unpriced else ""
    yield f"Cost ${result.cost_usd:.4f}{unknown}. Took {result.seconds:.1f} seconds."
    if any(_OFFLINE in (run.agent_model, run.persona_model, run.judge_model) for run in result.runs):
        yield f"Some roles were {NOT_AN_LLM}."


def _missing(result: SuiteResult) -> Iterator[str]:
    for kind in ("errored", "cancelled", "unfinished"):
        if number := result.counts[kind]:
            yield f"{number} {kind}"
    started = sum(suite_run.total_runs for suite_run in result.suite_runs)
    if unknown := started - len(result.runs):
        yield f"{unknown} unknown"
    if never := result.planned - started:
        yield f"{never} never started"
