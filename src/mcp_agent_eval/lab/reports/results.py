"""The result of a suite in one or more repeats: case by case, the pass rate, and whether that is enough.

A run that could not be evaluated says nothing about the agent. It counts for neither side, and the outcome is
decided only if it does not depend on how such runs would have ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mcp_agent_eval.lab.statistics import Interval, Tally, interval_of, rate_of
from mcp_agent_eval.types import Json, Run, SuiteRun

Verdict = Literal["passed", "failed", "errored", "cancelled", "unfinished"]
"""A verdict; `errored` means that the run broke or was not judged."""

Outcome = Literal["passed", "failed", "undecided"]

VERDICTS: tuple[Verdict, ...] = ("passed", "failed", "errored", "cancelled", "unfinished")


def verdict(run: Run) -> Verdict:
    """What a run counts as. If a stub stood in for the judge, our own judge's verdict counts."""
    if not run.is_final:
        return "unfinished"
    if run.status != "completed":
        return "cancelled" if run.status == "cancelled" else "errored"
    evaluation = run.local_evaluation or run.evaluation
    passed = run.local_evaluation.pass_fail if run.local_evaluation else run.pass_fail
    if passed is None or (evaluation and evaluation.is_open):
        return "errored"
    return "passed" if passed else "failed"


def score(run: Run) -> float | None:
    """The score that goes with the verdict."""
    return run.local_evaluation.score if run.local_evaluation else run.score


def case_name(run: Run) -> str:
    """The name of a run's case, or else an id."""
    return run.case.name if run.case else run.case_id or run.id


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case with its runs, one per repeat started. `name` is unique within the suite."""

    case_id: str | None
    name: str
    runs: tuple[Run, ...]

    @property
    def tally(self) -> Tally:
        """How many runs passed, of those with a verdict."""
        verdicts = [verdict(run) for run in self.runs]
        return Tally(verdicts.count("passed"), verdicts.count("passed") + verdicts.count("failed"))

    @property
    def undecided(self) -> int:
        """How many of its runs have no verdict."""
        return len(self.runs) - self.tally.runs

    @property
    def is_good(self) -> bool:
        """Whether every run of it passed."""
        return self.tally.passed == len(self.runs)

    def in_words(self) -> str:
        """`3 of 5 passed`, of the runs with a verdict."""
        passed, runs = self.tally
        more = f", {self.undecided} without a verdict" if self.undecided else ""
        return f"{passed} of {runs} passed{more}"


@dataclass(frozen=True)
class SuiteResult:
    """A suite's repeats. `size` is its number of cases, `fail_under` is in percent, and `seconds` is the total
    duration. `stopped` says why the caller cut it short, if so."""

    suite_id: str
    suite: str
    size: int
    repeats: int
    fail_under: float
    overrides: Json
    suite_runs: tuple[SuiteRun, ...]
    seconds: float
    stopped: str | None = None

    @cached_property
    def cases(self) -> list[CaseResult]:
        """Its cases, in order."""
        return list(_cases(self.suite_runs))

    @cached_property
    def counts(self) -> dict[Verdict, int]:
        """The number of runs with each verdict."""
        verdicts = [verdict(run) for run in self.runs]
        return {kind: verdicts.count(kind) for kind in VERDICTS}

    @property
    def runs(self) -> list[Run]:
        """All runs that were started."""
        return [run for suite_run in self.suite_runs for run in suite_run.runs]

    @property
    def evaluated(self) -> int:
        """How many runs have a verdict."""
        return self.counts["passed"] + self.counts["failed"]

    @property
    def planned(self) -> int:
        """The planned number of runs, including those never started."""
        started = sum(suite_run.total_runs for suite_run in self.suite_runs)
        return started + (self.repeats - len(self.suite_runs)) * self.size

    @property
    def outcome(self) -> Outcome:
        """`passed` or `failed` if that is certain regardless of the runs without a verdict."""
        wanted = self.fail_under * self.planned
        if not self.runs:
            return "undecided"
        if 100 * self.counts["passed"] >= wanted:
            return "passed"
        return "failed" if 100 * (self.planned - self.counts["failed"]) < wanted else "undecided"

    @property
    def stops(self) -> list[str]:
        """Why it did not run to its end, if it did not: stopped by the caller, or by a budget."""
        return [why for why in (self.stopped, *(one.stopped for one in self.suite_runs)) if why]

    @property
    def pass_rate(self) -> float | None:
        """From 0 to 1, of the runs with a verdict."""
        return rate_of([case.tally for case in self.cases])

    @property
    def interval(self) -> Interval | None:
        """The confidence interval of the pass rate."""
        return interval_of([case.tally for case in self.cases])

    @property
    def cost_usd(self) -> float:
        """What all runs cost, as far as prices are known."""
        return sum(run.cost_usd for run in self.runs)

    @property
    def unpriced_models(self) -> list[str]:
        """The models whose prices are unknown."""
        return sorted({model for run in self.runs for model in run.unpriced_models})


def _cases(suite_runs: Sequence[SuiteRun]) -> Iterator[CaseResult]:
    """Group runs by case; cases that share a name get the beginning of their ids added."""
    runs: dict[str, list[Run]] = {}
    for suite_run in suite_runs:
        for run in suite_run.runs:
            runs.setdefault(run.case_id or run.id, []).append(run)
    names = [case_name(members[0]) for members in runs.values()]
    for (key, members), name in zip(runs.items(), names, strict=True):
        own = name if names.count(name) == 1 else f"{name} ({key[:8]})"
        yield CaseResult(members[0].case_id, own, tuple(members))
