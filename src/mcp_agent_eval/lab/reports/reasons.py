"""Explains why a run did not pass, in lines for a terminal, JUnit and Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_agent_eval.lab.digest import STUB_JUDGE, run_digest
from mcp_agent_eval.lab.reports.results import verdict
from mcp_agent_eval.lab.reports.texts import one_line
from mcp_agent_eval.types import Json, Run

_NO_VERDICT = {
    "cancelled": "The run was cancelled.",
    "unfinished": "The run was not over when this was written.",
}


def reasons(run: Run) -> list[str]:
    """Each failed assertion with its reason and the places in the transcript that show it; or why there is no
    verdict. Conversation text is included, each piece on its own line and without control characters."""
    kind = verdict(run)
    if kind in _NO_VERDICT:
        return [_NO_VERDICT[kind]]
    failed = [line for one in run_digest(run).get("failed_assertions", []) for line in _assertion(one)]
    return [*_error(run), *failed]


def headline(run: Run) -> str:
    """The first of the reasons."""
    found = reasons(run)
    return found[0] if found else f"Score {run.score or 0:g} is below the threshold."


def _error(run: Run) -> Iterator[str]:
    if run.error:
        yield f"error: {one_line(run.error)}"
    elif verdict(run) == "errored":
        yield f"error: {STUB_JUDGE}"


def _assertion(failed: Json) -> Iterator[str]:
    reason = failed.get("reason") or failed.get("untrusted_judge_reason")
    yield one_line(f"{failed['assertion']}: {reason}" if reason else failed["assertion"])
    yield from (f"    {one_line(quote)}" for quote in failed.get("untrusted_evidence", []))
