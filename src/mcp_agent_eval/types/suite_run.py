"""A suite run: one execution of a whole suite, as an aggregate."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from mcp_agent_eval.types.base import Json, Model
from mcp_agent_eval.types.run import Run


class SuiteRun(Model):
    """The aggregate of a suite run. A run counts as `in_flight` until it is scored and billed, so at
    `in_flight == 0` every figure is final and total = completed + in_flight + cancelled + errored.

    `passed`, `failed`, `score_avg` (0 to 100) and `pass_rate` (0 to 1) speak of completed runs only.
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
    started_at: datetime | None
    ended_at: datetime | None
    score_avg: float | None
    pass_rate: float | None
    agent_overrides: Json | None = None
    runs: list[Run] = Field(default_factory=list[Run])

    @property
    def is_final(self) -> bool:
        """Whether no run of it can change any more."""
        return self.in_flight == 0
