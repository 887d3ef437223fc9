"""Formulas: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95


class Tally(NamedTuple):
    """How many runs of one case passed, of how many that have a verdict."""

    passed: int
    runs: int


class Interval(NamedTuple):
    """Between these two the true rate lies, with the confidence that was asked for."""

    low: float
    high: float


def wilson(rate: float, runs: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval for a rate (0 to 1) that was seen in so many independent runs, at least one of them. It
    says something sensible of few runs, and of rates of 0 and 1, too."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / runs
    centre = (rate + z * z / (2 * runs)) / scale
    half = z * sqrt(rate * (1 - rate) / runs + (z / (2 * runs)) ** 2) / scale
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def rate_of(tallies: Sequence[Tally]) -> float | None:
    """The rate over all runs; None where there are none."""
    runs = sum(tally.runs for tally in tallies)
    return sum(tally.passed for tally in tallies) / runs if runs else None


def interval_of(tallies: Sequence[Tally]) -> Interval | None:
    """Where the pass rate of cases like these lies; None without any run."""
    rate = rate_of(tallies)
    return None if rate is None else wilson(rate, independent_runs(tallies))


def independent_runs(tallies: Sequence[Tally]) -> float:
    """How many independent runs tell as much as these do: as many as there are cases when every repeat of a case
    says the same again, as many as there are runs when the cases do not differ, and mostly something in between.
    Of a single case all repeats are independent: they speak of that case only.
    """
    seen = [tally for tally in tallies if tally.runs]
    cases, runs = len(seen), sum(tally.runs for tally in seen)
    if cases < 2:
        return runs
    rate = sum(tally.passed for tally in seen) / runs
    squares = sum((tally.passed - rate * tally.runs) ** 2 for tally in seen)
    variance = cases / (cases - 1) * squares / runs**2
    return min(runs, max(cases, rate * (1 - rate) / variance)) if variance else cases
