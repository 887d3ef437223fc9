"""Finds which of several texts a line is about, by shared words. Deterministic, without an LLM."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

LEAST = 0.2
"""How similar a text must be to be chosen: 0 shares nothing, 1 has the same words."""

_WORD = re.compile(r"[^\W_]+")
_STOP_TEXT = (
    "a about all am an and any are as at be been but by can could d did do does for from get got had has "
    "have he her here him his how i if in into is it its just let like ll m me my of on or our out please "
    "re s shall she should so some than that the their them then there these they this those to too up us "
    "ve very wants want was we were what when where which who will with would you your user users caller "
    "callers customer customers"
)
_STOP_WORDS = frozenset(_STOP_TEXT.split())


def keywords(text: str) -> frozenset[str]:
    """The distinguishing words of a text, in lower case."""
    return frozenset(_WORD.findall(text.casefold())) - _STOP_WORDS


def closest(said: frozenset[str], meant: Sequence[frozenset[str]]) -> int | None:
    """The index of the keywords closest to what was said, the first in a tie; None when none is close enough."""
    best = max(range(len(meant)), key=lambda index: _nearness(said, meant[index]), default=None)
    return best if best is not None and _nearness(said, meant[best]) >= LEAST else None


def _nearness(said: frozenset[str], meant: frozenset[str]) -> float:
    """The cosine of the angle between two sets of words."""
    if not said or not meant:
        return 0.0
    return len(said & meant) / math.sqrt(len(said) * len(meant))
