"""Compares a new result with an earlier JSON report: which cases changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.reports.results import SuiteResult
from mcp_agent_eval.lab.statistics import Tally

Baseline = Mapping[str, Tally]
"""How many runs of each case passed, by name: ids differ between databases."""


class Change(NamedTuple):
    """A case whose pass rate differs, or that is in only one of the two results."""

    case: str
    before: Tally | None
    after: Tally | None

    def in_words(self) -> str:
        """`5 of 5 passed before, 3 of 5 now`."""
        if self.before is None:
            return f"new, {_of(self.after)} passed"
        return f"{_of(self.before)} passed before, {_of(self.after)} now"


def read_baseline(file: str) -> Baseline:
    """The cases of a report that `run-suite --json` wrote.

    Raises:
        InvalidInput: the file does not exist or is not such a report.
    """
    try:
        report = _Report.model_validate_json(Path(file).read_bytes())
    except OSError as exc:
        raise InvalidInput(f"The baseline {file} cannot be read: {exc.strerror}.") from None
    except ValidationError:
        raise InvalidInput(
            f"The baseline {file} is not a report from run-suite.",
            hint="Give a file written by run-suite --json.",
        ) from None
    return {case.case: Tally(case.passed, case.evaluated) for case in report.cases}


def changes(before: Baseline, result: SuiteResult) -> Iterator[Change]:
    """The differences, in the order of the cases, followed by missing cases. Cases without any verdict do not count."""
    after = {case.name: case.tally for case in result.cases}
    for name, tally in after.items():
        if tally.runs and _rate(before.get(name)) != _rate(tally):
            yield Change(name, before.get(name), tally)
    yield from (Change(name, tally, None) for name, tally in before.items() if name not in after)


def _rate(tally: Tally | None) -> float | None:
    return tally.passed / tally.runs if tally and tally.runs else None


def _of(tally: Tally | None) -> str:
    return f"{tally.passed} of {tally.runs}" if tally else "gone"


class _Case(BaseModel):
    case: str
    passed: int
    evaluated: int


class _Report(BaseModel):
    cases: list[_Case]
