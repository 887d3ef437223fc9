"""Statistical formulas: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95


class Tally(NamedTuple):
    """The number of passed runs of one case, and the number of its runs with a verdict."""

    passed: int
    runs: int


class Interval(NamedTuple):
    """The lower and upper bound of the true rate, at the requested confidence."""

    low: float
    high: float


def wilson(rate: float, runs: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval for a rate (0 to 1) observed in that many independent runs, at least one. It is sensible
    even for few runs and for rates of 0 and 1."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / runs
    centre = (rate + z * z / (2 * runs)) / scale
    half = z * sqrt(rate * (1 - rate) / runs + (z / (2 * runs)) ** 2) / scale
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def rate_of(tallies: Sequence[Tally]) -> float | None:
    """The rate over all runs; None if there are none."""
    runs = sum(tally.runs for tally in tallies)
    return sum(tally.passed for tally in tallies) / runs if runs else None


def interval_of(tallies: Sequence[Tally]) -> Interval | None:
    """The confidence interval of the pass rate; None without any run."""
    rate = rate_of(tallies)
    return None if rate is None else wilson(rate, independent_runs(tallies))


def independent_runs(tallies: Sequence[Tally]) -> float:
    """The effective sample size: how many independent runs would say as much as these.

    It is the number of cases if all repeats of a case agree, the number of runs if the cases do not differ, and
    usually something in between. The repeats of a single case are independent: they only describe that case.
    """
    seen = [tally for tally in tallies if tally.runs]
    cases, runs = len(seen), sum(tally.runs for tally in seen)
    if cases < 2:
        return runs
    rate = sum(tally.passed for tally in seen) / runs
    squares = sum((tally.passed - rate * tally.runs) ** 2 for tally in seen)
    variance = cases / (cases - 1) * squares / runs**2
    return min(runs, max(cases, rate * (1 - rate) / variance)) if variance else cases
