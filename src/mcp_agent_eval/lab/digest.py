"""Summarises a run or a suite run for an assistant, in as few words as possible.

Plain values, ready for JSON. Guidance (`next`, `reason`) consists of our own words, counters and the caller's own
case data; conversation text appears only in fields that start with `untrusted_`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mcp_agent_eval.lab.fitting import clip
from mcp_agent_eval.types import Assertion, AssertionResult, Json, Run, SuiteRun

_OFFLINE = "offline"
LONGEST_NAME = 120
"""Most characters of a case's name in a row."""
_LONGEST_REASON = 200
NOT_AN_LLM = "played by the offline model: deterministic, not an LLM"


def run_digest(run: Run, *, full: bool = False) -> Json:
    """A run: its verdict with reasons, or its progress, and what to call next. In full, also what it ran with."""
    heading = {"run_id": run.id, "case": run.case.name if run.case else None} | standing(run)
    reached = _outcome(run) if run.is_final else _underway(run)
    return without_blanks(heading | reached | (_particulars(run) if full else {}))


def run_row(run: Run) -> Json:
    """A run as one of many."""
    return without_blanks({"run_id": run.id, "case": run.case.name if run.case else None} | standing(run))


def clipped(row: Json) -> Json:
    """The row of a run or a failure, with long names and reasons cut short."""
    shown = row | {"case": clip(row["case"], LONGEST_NAME)} if "case" in row else row
    reasons = [clip(reason, _LONGEST_REASON) for reason in row.get("failed", [])]
    return shown | {"failed": reasons} if reasons else shown


def standing(run: Run) -> Json:
    """A run's state: its status, and its verdict and score once these are final."""
    final = {"pass_fail": run.pass_fail, "score": run.score} if run.is_final else {}
    return {"status": run.status} | final


def _underway(run: Run) -> Json:
    return {
        "waiting_for": run.waiting_for,
        "turns": None if run.spoken_turns is None else f"{run.spoken_turns} of at most {run.max_turns}",
        "cost_usd": run.cost_usd,
        "next": f'get_run(run_id="{run.id}") waits for the rest',
    }


def _outcome(run: Run) -> Json:
    results = _results(run)
    failed = [result for result in results if not result.passed]
    return (
        {
            "pass_threshold": run.case.pass_threshold
            if run.case and run.score is not None and not run.pass_fail
            else None,
            "assertions": f"{len(results) - len(failed)} of {len(results)} passed" if results else None,
            "failed_assertions": [_verdict(result) for result in failed],
            "error": run.error,
            "termination_reason": run.termination_reason,
            "end_detail": None if run.end_detail == "end_signal" else run.end_detail,
            "turns": run.spoken_turns,
            "taken_over": _taken_over(run),
            "seconds": round(run.duration_ms / 1000, 1) if run.duration_ms is not None else None,
            "overrides": sorted(run.agent_overrides) if run.agent_overrides else None,
            "next": None if run.pass_fail else f'read_transcript(run_id="{run.id}"{_place(failed)})',
        }
        | _judged_here(run)
        | cost(run)
    )


def _taken_over(run: Run) -> str | None:
    """A note on crashed workers: each had at most one call in progress, which may have been made twice."""
    deaths = run.attempts - 1
    if deaths <= 0:
        return None
    crashes, calls = (
        ("1 worker crash", "1 call") if deaths == 1 else (f"{deaths} worker crashes", f"{deaths} calls")
    )
    return f"resumed after {crashes}; up to {calls} may have been made twice"


def _particulars(run: Run) -> Json:
    """What a run ran with, and what the summary leaves out."""
    return {
        "passed_assertions": [_verdict(result) for result in _results(run) if result.passed],
        "overrides": run.agent_overrides or None,
        "case_id": run.case_id,
        "agent_id": run.agent_id,
        "persona_id": run.persona_id,
        "suite_run_id": run.suite_run_id,
        "created_at": f"{run.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "models": without_blanks(
            {"agent": run.agent_model, "persona": run.persona_model, "judge": run.judge_model}
        )
        or None,
        "tokens": _tokens(run) or None,
    }


def _tokens(run: Run) -> Json:
    """Tokens in and out by role; roles without a model are left out."""
    counted = (
        ("agent", run.agent_input_tokens, run.agent_output_tokens),
        ("persona", run.persona_input_tokens, run.persona_output_tokens),
        ("judge", run.judge_input_tokens, run.judge_output_tokens),
    )
    return {role: f"{taken:,} in, {made:,} out" for role, taken, made in counted if taken or made}


def _judged_here(run: Run) -> Json:
    """Our own judge's verdict if the API's judge is a stub. Both verdicts are shown."""
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
    """What a run cost, the models whose price is unknown, and the roles that no language model played."""
    offline = _offline_roles(run)
    return {
        "cost_usd": run.cost_usd,
        "cost_unknown_for": run.unpriced_models,
        "note": f"{', '.join(offline)} {NOT_AN_LLM}" if offline else None,
    }


def _offline_roles(run: Run) -> list[str]:
    played = (("agent", run.agent_model), ("persona", run.persona_model), ("judge", run.judge_model))
    return [role for role, model in played if model == _OFFLINE]


def _verdict(result: AssertionResult) -> Json:
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
    """An assertion as one line, with its weight if that is not 1."""
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
    """Where to start reading: two turns before the first evidence, unless that is the beginning."""
    turns = [item.turn_number for result in failed for item in result.evidence]
    return f", from_turn={min(turns) - 2}" if turns and min(turns) > 4 else ""


def suite_run_digest(aggregate: SuiteRun, name: str | None, *, full: bool = False) -> Json:
    """A suite run: the aggregate's figures, its failures with their reasons, and what to call next. In full, also
    its runs one by one, and the overrides themselves."""
    figures = aggregate.model_dump(exclude={"runs", "started_at", "ended_at", "agent_overrides", "suite_id"})
    for counter in ("in_flight", "cancelled", "errored", "unpriced_runs"):
        figures[counter] = figures[counter] or None
    failures = list(_failures(aggregate.runs))
    overrides = aggregate.agent_overrides
    return without_blanks(
        {"suite_run_id": aggregate.suite_run_id, "suite": name}
        | figures
        | {
            "overrides": overrides if full and overrides else sorted(overrides),
            "failures": failures if full else [clipped(failure) for failure in failures],
            "runs": [run_row(run) for run in aggregate.runs] if full else None,
            "note": _suite_note(aggregate.runs),
            "next": _suite_next(aggregate, failures),
        }
    )


def _failures(runs: list[Run]) -> Iterator[Json]:
    """Failed runs as rows. The status is shown only if a run did not simply miss its pass threshold."""
    for run in runs:
        if run.is_final and not run.pass_fail and run.status != "cancelled":
            failed = [_reason(result) for result in _results(run) if not result.passed]
            row = {key: value for key, value in run_row(run).items() if key not in ("status", "pass_fail")}
            broke = {"status": run.status, "error": run.error} if run.status != "completed" else {}
            yield without_blanks(row | broke | {"failed": failed})


def _reason(result: AssertionResult) -> str:
    """One line; a judge's reason is untrusted text and is left to get_run."""
    line = statement(result.assertion)
    judged = result.assertion.type == "custom_llm_judge"
    return line if judged or not result.reason else f"{line}: {result.reason}"


def _suite_note(runs: list[Run]) -> str | None:
    return f"some roles were {NOT_AN_LLM}" if any(map(_offline_roles, runs)) else None


def _suite_next(aggregate: SuiteRun, failures: list[Json]) -> str | None:
    if not aggregate.is_final:
        return f'get_aggregate(suite_run_id="{aggregate.suite_run_id}") waits for the rest'
    return f'get_run(run_id="{failures[0]["run_id"]}") shows why one failed' if failures else None


def without_blanks(value: Json) -> Json:
    """The fields with a value: no nulls, no empty lists or texts."""
    return {key: item for key, item in value.items() if item is not None and item != [] and item != ""}
