"""Finds which of several choices a caller's line is about. `offline` uses the same rule, so both take the same path."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_agent_eval.engine.flows.graph import Choice
from mcp_agent_eval.engine.matching.keywords import closest, keywords


def nearest(line: str, choices: Sequence[Choice]) -> Choice | None:
    """The choice that shares most with the line, the first in a tie; None when none is close enough."""
    meant = [keywords(f"{choice.label} {choice.description}") for choice in choices]
    best = closest(keywords(line), meant)
    return None if best is None else choices[best]
