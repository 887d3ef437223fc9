"""Generates numbers that a reading of a schema allows, plausible ones first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import chain
from math import ceil, floor, lcm
from random import Random

from mcp_agent_eval.engine.tools.mocks.reading import TRIES, Parts, given
from mcp_agent_eval.engine.tools.mocks.strings import usual_range


def numbers(kind: str, reading: Parts, name: str, rng: Random) -> Iterator[int | float]:
    """Multiples of the schema's step within its bounds, and the bounds themselves."""
    usual = usual_range(name)
    for step in _steps(kind, reading):
        first, last = _span(usual, reading, step)
        for _ in range(TRIES if first <= last else 0):
            number = rng.randint(first, last) * step
            yield int(number) if step.denominator == 1 else float(number)
    yield from chain(given(reading, "minimum"), given(reading, "maximum"))


def _steps(kind: str, reading: Parts) -> list[Fraction]:
    """The schema's step; else cents, or finer if the bounds are too narrow for those."""
    asked = [_exact(step) for step in given(reading, "multipleOf")]
    if kind == "integer":
        asked.append(Fraction(1))
    return [reduce(_common_multiple, asked)] if asked else [Fraction(1, 10**digits) for digits in (2, 6, 12)]


def _exact(number: float) -> Fraction:
    return Fraction(Decimal(str(number)))


def _common_multiple(one: Fraction, other: Fraction) -> Fraction:
    whole = lcm(one.numerator * other.denominator, other.numerator * one.denominator)
    return Fraction(whole, one.denominator * other.denominator)


def _span(usual: tuple[int, int], reading: Parts, step: Fraction) -> tuple[int, int]:
    """The first and last multiple to draw from: the usual ones if allowed, else those next to a bound."""
    least, most = _least(reading, step), _most(reading, step)
    first = ceil(max([usual[0] / step, *least]))
    last = floor(min([usual[1] / step, *most]))
    if first <= last:
        return first, last
    if least:
        return max(least), min([max(least) + 99, *most])
    return (min(most) - 99, min(most)) if most else (1, 1)


def _least(reading: Parts, step: Fraction) -> list[int]:
    inclusive = [ceil(_exact(bound) / step) for bound in given(reading, "minimum")]
    return inclusive + [floor(_exact(bound) / step) + 1 for bound in given(reading, "exclusiveMinimum")]


def _most(reading: Parts, step: Fraction) -> list[int]:
    inclusive = [floor(_exact(bound) / step) for bound in given(reading, "maximum")]
    return inclusive + [ceil(_exact(bound) / step) - 1 for bound in given(reading, "exclusiveMaximum")]
