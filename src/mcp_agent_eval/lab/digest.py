"""What an assistant needs to know of a run or a suite run, in as few words as will do.

Plain values, ready for JSON. Guidance (`next`, `reason`) is made of our own words, counters and the
caller's own case data; whatever was said in a conversation stands only in fields that start with `untrusted_`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mcp_agent_eval.types import Assertion, AssertionResult, Json, Run, SuiteRun

_MOST_FAILURES = 15
_OFFLINE = "offline"
NOT_AN_LLM = "played by the offline model: deterministic, not an LLM"


def run_digest(run: Run) -> Json:
    """A run: its verdict and why, or how far it is, and what to call next."""
    return without_blanks(_heading(run) | (_outcome(run) if run.is_final else _underway(run)))


def _heading(run: Run) -> Json:
    return {"run_id": run.id, "case": run.case.name if run.case else None} | standing(run)


def standing(run: Run) -> Json:
    """Where a run stands: its status, and its verdict and score once these are final."""
    final = {"pass_fail": run.pass_fail, "score": run.score} if run.is_final else {}
    return {"status": run.status} | final


def _underway(run: Run) -> Json:
    return {
        "turns": None if run.spoken_turns is None else f"{run.spoken_turns} of at most {run.max_turns}",
        "cost_usd": run.cost_usd,
        "next": f'get_run(run_id="{run.id}") waits for the rest',
    }


def _outcome(run: Run) -> Json:
    results = _results(run)
    failed = [result for result in results if not result.passed]
    return (
        {
            "pass_threshold": run.case.pass_threshold if run.case and not run.pass_fail else None,
            "assertions": f"{len(results) - len(failed)} of {len(results)} passed" if results else None,
            "failed_assertions": [_failed(result) for result in failed],
            "error": run.error,
            "termination_reason": run.termination_reason,
            "end_detail": None if run.end_detail == "end_signal" else run.end_detail,
            "turns": run.spoken_turns,
            "seconds": round(run.duration_ms / 1000, 1) if run.duration_ms is not None else None,
            "overrides": sorted(run.agent_overrides) if run.agent_overrides else None,
            "next": None if run.pass_fail else f'read_transcript(run_id="{run.id}"{_place(failed)})',
        }
        | _judged_here(run)
        | cost(run)
    )


def _judged_here(run: Run) -> Json:
    """What our own judge made of it, where the API's is a stub. Both verdicts are shown."""
    local = run.local_evaluation
    if local and local.score is not None:
        return {
            "score_judged_here": local.score,
            "pass_fail_judged_here": local.pass_fail,
            "judge": f"the API's judge is a stub; {run.judge_model} judged here, and the failures are by it",
        }
    is_open = run.evaluation is not None and run.evaluation.is_open
    return {"judge": STUB_JUDGE} if is_open else {}


STUB_JUDGE = (
    "the API's judge is a stub and fails every custom_llm_judge; "
    "with AGENT_EVAL_JUDGE_MODEL set, they are judged here"
)


def _results(run: Run) -> list[AssertionResult]:
    evaluation = run.local_evaluation or run.evaluation
    return (evaluation.results if evaluation else None) or []


def cost(run: Run) -> Json:
    """What a run cost, whose price is not known, and which roles no language model played."""
    offline = [
        role
        for role, model in (
            ("agent", run.agent_model),
            ("persona", run.persona_model),
            ("judge", run.judge_model),
        )
        if model == _OFFLINE
    ]
    return {
        "cost_usd": run.cost_usd,
        "cost_unknown_for": run.unpriced_models,
        "note": f"{', '.join(offline)} {NOT_AN_LLM}" if offline else None,
    }


def _failed(result: AssertionResult) -> Json:
    judged = result.assertion.type == "custom_llm_judge"
    return without_blanks(
        {
            "assertion": statement(result.assertion),
            "reason": None if judged else result.reason,
            "untrusted_judge_reason": result.reason if judged else None,
            "untrusted_evidence": [f"[{item.turn_number}] {item.quote}" for item in result.evidence],
        }
    )


def statement(assertion: Assertion) -> str:
    """An assertion as one line, with its weight where that is not 1."""
    subject = {
        "must_say": f"/{assertion.pattern}/",
        "must_not_say": f"/{assertion.pattern}/",
        "must_call_tool": f"{assertion.tool_name} {_compact(assertion.args_match)}".strip(),
        "must_reach_node": assertion.node_id,
        "custom_llm_judge": assertion.rubric,
    }[assertion.type]
    weight = f" (weight {assertion.weight:g})" if assertion.weight != 1 else ""
    return f"{assertion.type} {subject}{weight}"


def _compact(args: Json | None) -> str:
    return json.dumps(args, ensure_ascii=False) if args else ""


def _place(failed: list[AssertionResult]) -> str:
    """Where to start reading: two turns before the first piece of evidence, if that is not the beginning."""
    turns = [item.turn_number for result in failed for item in result.evidence]
    return f", from_turn={min(turns) - 2}" if turns and min(turns) > 4 else ""


def suite_run_digest(aggregate: SuiteRun, name: str | None) -> Json:
    """A suite run: the aggregate's figures, its failures with their reasons, and what to call next."""
    figures = aggregate.model_dump(exclude={"runs", "started_at", "ended_at", "agent_overrides", "suite_id"})
    for counter in ("in_flight", "cancelled", "errored", "unpriced_runs"):
        figures[counter] = figures[counter] or None
    failures = list(_failures(aggregate.runs))
    return without_blanks(
        {"suite_run_id": aggregate.suite_run_id, "suite": name}
        | figures
        | {
            "overrides": sorted(aggregate.agent_overrides) if aggregate.agent_overrides else None,
            "failures": failures[:_MOST_FAILURES],
            "more_failures": max(0, len(failures) - _MOST_FAILURES) or None,
            "note": _suite_note(aggregate.runs),
            "next": _suite_next(aggregate, failures),
        }
    )


def _failures(runs: list[Run]) -> Iterator[Json]:
    for run in runs:
        if run.is_final and not run.pass_fail and run.status != "cancelled":
            yield without_blanks(
                _heading(run)
                | {
                    "error": run.error,
                    "failed": [_reason(result) for result in _results(run) if not result.passed],
                }
            )


def _reason(result: AssertionResult) -> str:
    """One line; a judge's reason is untrusted text and is left to get_run."""
    line = statement(result.assertion)
    judged = result.assertion.type == "custom_llm_judge"
    return line if judged or not result.reason else f"{line}: {result.reason}"


def _suite_note(runs: list[Run]) -> str | None:
    return f"some roles were {NOT_AN_LLM}" if any(run.agent_model == _OFFLINE for run in runs) else None


def _suite_next(aggregate: SuiteRun, failures: list[Json]) -> str | None:
    if not aggregate.is_final:
        return f'get_aggregate(suite_run_id="{aggregate.suite_run_id}") waits for the rest'
    return f'get_run(run_id="{failures[0]["run_id"]}") shows why one failed' if failures else None


def without_blanks(value: Json) -> Json:
    """The fields that say something: no nulls, no empty lists or texts."""
    return {key: item for key, item in value.items() if item is not None and item != [] and item != ""}
