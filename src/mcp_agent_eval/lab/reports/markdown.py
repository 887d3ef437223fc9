"""Reports results as Markdown, for a comment on a pull request or the summary of a job.

Foreign text is put in code spans or blocks whose fence is longer than any run of backticks in them: there it cannot
become a link, a picture, a mention or our own Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mcp_agent_eval.lab.reports.baseline import Change
from mcp_agent_eval.lab.reports.reasons import reasons
from mcp_agent_eval.lab.reports.results import CaseResult, SuiteResult, score, verdict
from mcp_agent_eval.lab.reports.texts import for_a_log, one_line
from mcp_agent_eval.lab.reports.wording import figures, headline

MOST_CHARACTERS = 60_000
"""GitHub accepts 65,536 characters in a comment."""

_MOST_ROWS = 200
_MOST_OF_A_NAME = 120
_BACKTICKS = re.compile("`+")


def as_markdown(result: SuiteResult, changes: Sequence[Change] = ()) -> str:
    """A heading with the outcome, a table of the cases, and the reasons for failures: as many as fit."""
    parts = [
        f"## {code(result.suite)}: {result.outcome}",
        headline(result),
        *figures(result),
        _table(result.cases),
    ]
    if changes:
        parts.append("\n".join(["Changed since the baseline:", "", *map(_change, changes)]))
    return for_a_log("\n\n".join(_fitting(parts, list(_failures(result)))) + "\n")


def code(text: str) -> str:
    """A text as a code span that it cannot close."""
    line = one_line(text, _MOST_OF_A_NAME) or "?"
    ticks = "`" * (_longest(line) + 1)
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{edge}{line}{edge}{ticks}"


def block(lines: Sequence[str]) -> str:
    """Lines as a code block that they cannot close."""
    text = "\n".join(lines)
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def _table(cases: Sequence[CaseResult]) -> str:
    rows = ["| case | runs | average score |", "|---|---|---|", *map(_row, cases[:_MOST_ROWS])]
    if len(cases) > _MOST_ROWS:
        rows.append(f"| and {len(cases) - _MOST_ROWS} more | | |")
    return "\n".join(rows)


def _row(case: CaseResult) -> str:
    scores = [found for run in case.runs if (found := score(run)) is not None]
    average = f"{sum(scores) / len(scores):.1f}" if scores else ""
    words = case.in_words()
    return f"| {_cell(case.name)} | {words if case.is_good else f'**{words}**'} | {average} |"


def _cell(text: str) -> str:
    """Escape bars: one ends a cell, even in code, unless it follows a backslash."""
    return code(text).replace("|", "\\|")


def _change(change: Change) -> str:
    return f"- {code(change.case)}: {change.in_words()}"


def _failures(result: SuiteResult) -> Iterator[str]:
    for case in result.cases:
        bad = [run for run in case.runs if verdict(run) != "passed"]
        if bad:
            lines = [line for run in bad for line in (f"run {run.id}", *reasons(run))]
            yield f"### {code(case.name)}\n\n{block(lines)}"


def _fitting(parts: list[str], failures: list[str]) -> list[str]:
    """As many failures as there is room for, and the number of the others."""
    room = MOST_CHARACTERS - sum(len(part) + 2 for part in parts)
    for position, failure in enumerate(failures):
        room -= len(failure) + 2
        if room < 0:
            return [*parts, *failures[:position], f"And {len(failures) - position} more cases did not pass."]
    return [*parts, *failures]
