"""The formulas, against their definitions and against figures that others have published."""

from __future__ import annotations

from math import isclose, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_agent_eval.lab.statistics import Tally, independent_runs, interval_of, rate_of, wilson

Z = 1.959963984540054

TALLIES = st.lists(
    st.integers(1, 20).flatmap(
        lambda runs: st.integers(0, runs).map(lambda passed: Tally(passed, runs)),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("passed", "runs", "low", "high"),
    [
        (3, 3, 0.4385, 1.0),
        (5, 5, 0.5655, 1.0),
        (10, 10, 0.7225, 1.0),
        (20, 20, 0.8389, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilsons_interval_is_that_of_the_books(passed: int, runs: int, low: float, high: float) -> None:
    """The last is Newcombe's example of 1998; the others are the bounds of suites in which everything passed."""
    found = wilson(passed / runs, runs)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 1000).flatmap(lambda runs: st.tuples(st.integers(0, runs), st.just(runs))))
def test_an_end_of_the_interval_is_where_the_rate_would_just_be_credible(case: tuple[int, int]) -> None:
    passed, runs = case
    rate = passed / runs
    for end in wilson(rate, runs):
        if 0 < end < 1:
            assert isclose(abs(rate - end), Z * sqrt(end * (1 - end) / runs), rel_tol=1e-6, abs_tol=1e-8)


@given(TALLIES)
def test_repeats_tell_no_less_than_the_cases_and_no_more_than_the_runs(tallies: list[Tally]) -> None:
    runs = sum(tally.runs for tally in tallies)
    assert min(len(tallies), runs) <= independent_runs(tallies) <= runs
    rate, interval = rate_of(tallies), interval_of(tallies)
    assert rate is not None
    assert interval is not None
    assert interval.low - 1e-12 <= rate <= interval.high + 1e-12


def test_repeats_that_only_say_the_same_again_count_once() -> None:
    once = [Tally(1, 1)] * 6 + [Tally(0, 1)] * 2
    often = [Tally(10, 10)] * 6 + [Tally(0, 10)] * 2
    assert independent_runs(often) == independent_runs(once) == 8
    assert interval_of(often) == interval_of(once)


def test_repeats_of_cases_that_are_all_alike_count_in_full() -> None:
    assert independent_runs([Tally(5, 10), Tally(6, 10), Tally(5, 10), Tally(4, 10)]) == 40


def test_repeats_of_one_case_speak_of_that_case() -> None:
    assert independent_runs([Tally(3, 5)]) == 5


def test_a_case_without_a_verdict_does_not_count() -> None:
    assert interval_of([Tally(1, 1), Tally(0, 0), Tally(1, 2)]) == interval_of([Tally(1, 1), Tally(1, 2)])


def test_nothing_has_no_rate() -> None:
    assert rate_of([]) is None
    assert interval_of([Tally(0, 0)]) is None
