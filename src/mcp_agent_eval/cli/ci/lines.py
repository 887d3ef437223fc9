"""Writes a suite's result to standard error, in lines for a terminal or a build log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcp_agent_eval.cli.streams import say
from mcp_agent_eval.lab.reports.baseline import Change
from mcp_agent_eval.lab.reports.reasons import reasons
from mcp_agent_eval.lab.reports.results import CaseResult, SuiteResult, Verdict, case_name, score, verdict
from mcp_agent_eval.lab.reports.texts import one_line
from mcp_agent_eval.lab.reports.wording import figures, headline
from mcp_agent_eval.types import Run

_MARKS: dict[Verdict, tuple[str, str]] = {
    "passed": ("PASS", "green"),
    "failed": ("FAIL", "red"),
    "errored": ("ERROR", "yellow"),
    "cancelled": ("CANCELLED", "yellow"),
    "unfinished": ("UNFINISHED", "yellow"),
}
_COLOURS = {"passed": "green", "failed": "red", "undecided": "yellow"}


def run_line(run: Run) -> str:
    """The line for a run that has ended."""
    word, _ = _MARKS[verdict(run)]
    seconds = f", {run.duration_ms / 1000:.1f} s" if run.duration_ms is not None else ""
    points = "no score" if score(run) is None else f"score {score(run):g}"
    return f"{word}  {one_line(case_name(run))} ({points}{seconds}, run {run.id})"


def show_result(result: SuiteResult, changes: Sequence[Change] | None) -> None:
    """The failed cases with their reasons, the changes since a baseline if there is one, and the figures."""
    for case in result.cases:
        if not case.is_good:
            _show_case(case)
    if changes is not None and not changes:
        say("No case differs from the baseline.")
    for change in changes or ():
        say(f"Changed: {one_line(change.case)}: {change.in_words()}")
    say(f"Suite {one_line(result.suite)}: {result.outcome}", _COLOURS[result.outcome])
    for line in (headline(result), *figures(result)):
        say(line)


def _show_case(case: CaseResult) -> None:
    kind = "failed" if case.tally.passed < case.tally.runs else "errored"
    word, colour = _MARKS[kind]
    say(f"{word}  {one_line(case.name)}: {case.in_words()}", colour)
    for line in _lines(case):
        say(line)


def _lines(case: CaseResult) -> Iterator[str]:
    for run in case.runs:
        if verdict(run) != "passed":
            yield f"  run {run.id}"
            yield from (f"  | {line}" for line in reasons(run))
