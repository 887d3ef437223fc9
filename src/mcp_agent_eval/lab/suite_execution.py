"""Executes a suite one or more times, from the first start to the last verdict, or until it is stopped."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Protocol

import anyio

from mcp_agent_eval.backend.base import Backend
from mcp_agent_eval.errors import EvalError
from mcp_agent_eval.lab.cancelling import cancel_suite_run
from mcp_agent_eval.lab.packs.patience import patiently
from mcp_agent_eval.lab.waiting import wait_until_final
from mcp_agent_eval.types import Json, Run, SuiteRun


class Watcher(Protocol):
    """Receives the progress of an execution."""

    def ended(self, run: Run) -> None:
        """A run is over, with its verdict; called once per run."""
        ...

    def going(self, suite_run: SuiteRun) -> None:
        """Something has moved on, or a few seconds have passed; called without the runs."""
        ...


class SuiteExecution:
    """Repeats of a suite, one after the other, so that its `parallelism` holds."""

    def __init__(
        self,
        backend: Backend,
        suite_id: str,
        overrides: Json | None,
        repeats: int,
        watcher: Watcher,
    ) -> None:
        self._backend = backend
        self._suite_id = suite_id
        self._overrides = overrides
        self._repeats = repeats
        self._watcher = watcher
        self._started: list[str] = []
        self._seen: dict[str, SuiteRun] = {}
        self._ended: dict[str, Run] = {}
        self._told: set[str] = set()

    async def carry_out(self) -> None:
        """Start every repeat and wait for its end, unless a budget stops one: it would also stop the next. A caller
        that interrupts this has to `cancel` the rest."""
        for _ in range(self._repeats):
            id = await patiently(self._start)
            await self._settled(id)
            suite_run = await self._read(id)
            await self._tell(suite_run)
            if suite_run.stopped:
                return

    async def cancel(self) -> int:
        """Cancel every unfinished run; return how many. They end at their next turn."""
        return sum([await cancel_suite_run(self._backend, id) for id in self._started])

    async def settle(self) -> None:
        """Wait until every run that was started is over."""
        for id in self._started:
            await self._settled(id)

    @property
    def has_started(self) -> bool:
        """Whether anything was started."""
        return bool(self._started)

    async def suite_runs(self) -> list[SuiteRun]:
        """All repeats that were started, with the current state of their runs, or the last known state if they can
        no longer be read."""
        return [await self._whole(id) for id in self._started]

    async def _start(self) -> str:
        # A caller cancelled during a start would not know what to stop.
        with anyio.CancelScope(shield=True):
            started = await self._backend.start_suite_run(self._suite_id, agent_overrides=self._overrides)
            self._started.append(started.suite_run_id)
            self._seen[started.suite_run_id] = started
            self._told.clear()
        await anyio.lowlevel.checkpoint()
        return self._started[-1]

    async def _settled(self, id: str) -> None:
        async def wait(seconds: float) -> SuiteRun:
            return await patiently(lambda: self._backend.wait_suite_run(id, seconds))

        await wait_until_final(wait, math.inf, self._news)

    async def _news(self, aggregate: SuiteRun) -> None:
        """Report progress; the runs are only read if one of them has ended since the last time."""
        if aggregate.total_runs - aggregate.in_flight > len(self._told):
            await self._tell(await self._read(aggregate.suite_run_id))
        self._watcher.going(aggregate)

    async def _tell(self, suite_run: SuiteRun) -> None:
        for run in suite_run.runs:
            if run.is_final and run.id not in self._told:
                self._told.add(run.id)
                self._ended[run.id] = await self._judged(run)
                self._watcher.ended(self._ended[run.id])

    async def _read(self, id: str) -> SuiteRun:
        self._seen[id] = await patiently(lambda: self._backend.suite_run(id))
        return self._seen[id]

    async def _whole(self, id: str) -> SuiteRun:
        with suppress(EvalError):
            for run in (await self._read(id)).runs:
                if run.is_final and run.id not in self._ended:
                    self._ended[run.id] = await self._judged(run)
        seen = self._seen[id]
        return seen.model_copy(update={"runs": [self._ended.get(run.id, run) for run in seen.runs]})

    async def _judged(self, run: Run) -> Run:
        """The run with its evaluation, which some APIs leave out of suite runs or leave to our judge, and with its
        case, if the rate limit left no room to read it."""
        is_judged = run.status != "completed" or (run.evaluation and not run.evaluation.is_open)
        return run if is_judged and run.case else await patiently(lambda: self._backend.run(run.id))
