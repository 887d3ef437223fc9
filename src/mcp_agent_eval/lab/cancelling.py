"""Cancels a suite run, run by run, since the contract has no other way."""

from __future__ import annotations

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import RunFinished
from mcp_agent_eval.lab.packs.patience import patiently


async def cancel_suite_run(backend: Backend, suite_run_id: str) -> int:
    """Cancel every unfinished run of a suite run; return how many. They end at their next turn. If an API's rate
    limit is used up on the way, wait for it."""
    suite_run = await patiently(lambda: backend.suite_run(suite_run_id))
    left = [run.id for run in suite_run.runs if not run.is_final]
    return sum([await _cancelled(backend, id) for id in left])


async def _cancelled(backend: Backend, run_id: str) -> bool:
    """Whether there was anything left to cancel."""
    try:
        await patiently(lambda: backend.cancel(run_id))
    except RunFinished:
        return False
    return True
