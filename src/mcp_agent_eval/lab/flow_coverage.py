"""Reads how a suite's runs cover the flows of its agents; `coverage` does the counting."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import InvalidInput
from mcp_agent_eval.lab.coverage import coverage, mermaid
from mcp_agent_eval.types import Json, Run, Turn

_MOST_ROWS = 10_000


async def flow_coverages(backend: Backend, suite_run_id: str) -> list[Json]:
    """For each flow in the suite run: its agent, its coverage, and a Mermaid diagram.

    Raises:
        InvalidInput: none of its agents is a flow.
    """
    by_flow: dict[str, list[Run]] = {}
    for run in (await backend.suite_run(suite_run_id)).runs:
        if flow := _flow(run):
            by_flow.setdefault(json.dumps(flow, sort_keys=True), []).append(run)
    if not by_flow:
        raise InvalidInput(
            "flow_coverage: no agent of this suite run is a flow.", hint="Call it without flow_coverage."
        )
    return [await _covered(backend, runs) for runs in by_flow.values()]


def _flow(run: Run) -> Json | None:
    """The flow that a run used, which may be an override of the agent's own."""
    saved = run.case.agent.flow_config if run.case and run.case.agent else None
    return run.agent_overrides.get("flow_config", saved)


async def _covered(backend: Backend, runs: Sequence[Run]) -> Json:
    turns: list[list[Turn]] = [await backend.turns(run.id, limit=_MOST_ROWS) for run in runs]
    found = coverage(_flow(runs[0]) or {}, turns)
    agent = runs[0].case.agent if runs[0].case else None
    return {"agent": agent.name if agent else None} | found.as_dict() | {"mermaid": mermaid(found)}
