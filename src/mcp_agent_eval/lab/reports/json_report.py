"""Reports results as one JSON value, for programs: the figures, and every run as `get_run` shows it."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_agent_eval.lab.digest import run_digest
from mcp_agent_eval.lab.reports.baseline import Change
from mcp_agent_eval.lab.reports.results import CaseResult, SuiteResult
from mcp_agent_eval.types import Json

_DIGITS = 4


def as_json(result: SuiteResult, changes: Sequence[Change] = ()) -> Json:
    """The report described in docs/ci.md. Conversation text is only in fields named `untrusted_*`."""
    rate, interval = result.pass_rate, result.interval
    return {
        "suite": result.suite,
        "suite_id": result.suite_id,
        "outcome": result.outcome,
        "fail_under_percent": result.fail_under,
        "repeats": result.repeats,
        "planned": result.planned,
        **result.counts,
        "pass_rate": None if rate is None else round(rate, _DIGITS),
        "pass_rate_interval": None if interval is None else [round(end, _DIGITS) for end in interval],
        "cost_usd": round(result.cost_usd, 9),
        "cost_unknown_for": result.unpriced_models,
        "seconds": round(result.seconds, 1),
        "stopped": result.stops,
        "overrides": result.overrides,
        "suite_run_ids": [suite_run.suite_run_id for suite_run in result.suite_runs],
        "cases": [_case(case) for case in result.cases],
        "changes": [_change(change) for change in changes],
    }


def _case(case: CaseResult) -> Json:
    return {
        "case": case.name,
        "case_id": case.case_id,
        "passed": case.tally.passed,
        "evaluated": case.tally.runs,
        "runs": [run_digest(run) for run in case.runs],
    }


def _change(change: Change) -> Json:
    return {
        "case": change.case,
        "before": change.before and list(change.before),
        "after": change.after and list(change.after),
    }
