"""A suite run: one execution of a whole suite, as an aggregate."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mcp_agent_eval.types.base import Model, Moment
from mcp_agent_eval.types.case import Overrides
from mcp_agent_eval.types.run import Run


class SuiteRun(Model):
    """The aggregate of a suite run. A run counts as `in_flight` until it is scored and billed, so at
    `in_flight == 0` every figure is final and total = completed + in_flight + cancelled + errored.

    `passed`, `failed`, `score_avg` (0 to 100) and `pass_rate` (0 to 1) cover completed runs only.
    """

    suite_run_id: str
    suite_id: str | None
    total_runs: int
    completed: int
    in_flight: int
    cancelled: int
    errored: int
    passed: int
    failed: int
    total_cost_cents: int | None
    cost_usd: float = 0
    unpriced_runs: int = 0
    started_at: Moment | None
    ended_at: Moment | None
    score_avg: float | None
    pass_rate: float | None
    agent_overrides: Overrides = Field(default_factory=dict[str, Any])
    stopped: str | None = None
    """Why the runs that had not begun were cancelled, if they were: an exhausted budget."""
    runs: list[Run] = Field(default_factory=list[Run])

    @property
    def is_final(self) -> bool:
        """Whether none of its runs can change any more."""
        return self.in_flight == 0


class StartedSuiteRun(SuiteRun):
    """A suite run that was just started, with the ids of its runs in the order of its cases."""

    run_ids: list[str]
