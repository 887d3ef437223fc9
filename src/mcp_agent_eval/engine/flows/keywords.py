"""Which of several choices a caller's line is about. `offline` picks by the same rule, so both go the same way."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_agent_eval.engine.flows.graph import Choice
from mcp_agent_eval.engine.matching.keywords import closest, keywords


def nearest(line: str, choices: Sequence[Choice]) -> Choice | None:
    """The choice that shares most with the line, the first of equals; None when none comes near enough."""
    meant = [keywords(f"{choice.label} {choice.description}") for choice in choices]
    best = closest(keywords(line), meant)
    return None if best is None else choices[best]
