"""Detects that both sides keep saying goodbye: the conversation is then over although no one hung up."""

from __future__ import annotations

import re
from collections.abc import Sequence

_FAREWELL = re.compile(
    r"\b(?:good\s?bye|bye|take care|farewell|see you|talk (?:to you )?soon"
    r"|(?:have|enjoy) (?:a|the|your)\b[\w\s]*\b(?:day|evening|night|weekend|week|one|rest))\b"
    r"|להתראות|ביי|יום טוב|ערב טוב|לילה טוב",
    re.IGNORECASE,
)
_LONGEST = 40
_REPEATED = 4


def is_farewell(text: str) -> bool:
    """Whether these words are only a farewell: short, with a parting phrase and without a question."""
    return "?" not in text and len(text.split()) <= _LONGEST and _FAREWELL.search(text) is not None


def parted_twice(spoken: Sequence[str]) -> bool:
    """Whether the last four spoken turns, two of each side, were all farewells."""
    last = spoken[-_REPEATED:]
    return len(last) == _REPEATED and all(map(is_farewell, last))
