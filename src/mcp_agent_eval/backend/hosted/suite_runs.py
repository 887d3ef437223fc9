"""Suite runs executed by an API. While one is in progress, only its aggregate without runs is requested."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from mcp_agent_eval.backend.hosted import reading
from mcp_agent_eval.backend.hosted.client import ApiClient
from mcp_agent_eval.backend.hosted.finding import is_id, pick
from mcp_agent_eval.backend.hosted.runs import Runs
from mcp_agent_eval.backend.hosted.server import Server
from mcp_agent_eval.backend.hosted.watching import FIRST, Watches
from mcp_agent_eval.engine.records.references import nothing
from mcp_agent_eval.errors import EvalError, NotFound, NotSupported, OutcomeUnknown
from mcp_agent_eval.types import Json, RunFilter, StartedSuiteRun, SuiteRun
from mcp_agent_eval.validation import key_of_another


class SuiteRuns:
    """Executions of suites by an API."""

    def __init__(self, client: ApiClient, server: Server, runs: Runs, *, first: float = FIRST) -> None:
        self._client = client
        self._server = server
        self._runs = runs
        self._watches: Watches[SuiteRun] = Watches(self._look, lambda _: None, first=first)
        self._suites: dict[str, str] = {}
        self._keys: dict[str, tuple[str, _Started]] = {}

    async def start(self, suite_id: str, overrides: Json | None, key: str | None) -> StartedSuiteRun:
        """Start every case of a suite; return the aggregate at that point."""
        if not is_id(suite_id):
            raise nothing("suite", suite_id)
        if await self._server.has("idempotency_key"):
            headers = {"Idempotency-Key": key or str(uuid4())}
            started = await self._ask_for(suite_id, overrides, headers=headers)
        else:
            started = await self._start_once(suite_id, overrides, key)
        self._suites[started.id] = suite_id
        try:
            aggregate = await self.get(started.id, with_runs=False)
        except EvalError:
            # Without the id, the caller would start the suite again and pay for it twice.
            return _just_started(suite_id, started, overrides)
        return StartedSuiteRun.model_validate(dict(aggregate) | {"run_ids": list(started.run_ids)})

    async def get(self, id: str, *, with_runs: bool) -> SuiteRun:
        """The aggregate of a suite run."""
        suite_id = await self._suite_of(id)
        if not with_runs:
            return await self._without_runs(suite_id, id)
        try:
            row = await self._client.get(f"{_path(suite_id)}/{id}")
        except NotFound:
            raise nothing("suite_run", id) from None
        aggregate = reading.suite_run(row)
        return aggregate.model_copy(update={"runs": await self._runs.expanded(aggregate.runs)})

    async def of_suite(self, suite_id: str, *, background: bool = False) -> list[SuiteRun]:
        """The aggregates of a suite, newest first, without their runs."""
        if not is_id(suite_id):
            raise nothing("suite", suite_id)
        try:
            answer = await self._client.get(_path(suite_id), background=background)
        except NotFound:
            raise nothing("suite", suite_id) from None
        found = [reading.suite_run(row) for row in reading.rows_of(answer)]
        self._suites |= {aggregate.suite_run_id: suite_id for aggregate in found}
        return found

    async def wait(self, id: str, seconds: float) -> SuiteRun:
        """The aggregate, without runs, once it is final or has moved on, or as it is after `seconds`."""
        return await self._watches.wait(id, seconds)

    async def find(self, reference: str) -> str:
        """The id for an id or a prefix, among the newest suite runs."""
        if is_id(reference):
            await self._suite_of(reference.lower())
            return reference.lower()
        ids = {run.suite_run_id: "" for run in await self._runs.newest_of_all() if run.suite_run_id}
        return pick("suite_run", reference, ids.items())

    async def _look(self, id: str) -> SuiteRun:
        return await self._without_runs(await self._suite_of(id), id, background=True)

    async def _without_runs(self, suite_id: str, id: str, *, background: bool = False) -> SuiteRun:
        for aggregate in await self.of_suite(suite_id, background=background):
            if aggregate.suite_run_id == id:
                return aggregate
        raise nothing("suite_run", id)

    async def _suite_of(self, id: str) -> str:
        """The suite of a suite run, which is part of the suite run's address."""
        if id not in self._suites:
            self._suites[id] = await self._ask_suite_of(id)
        return self._suites[id]

    async def _ask_suite_of(self, id: str) -> str:
        if not is_id(id):
            raise nothing("suite_run", id)
        found = (await self._runs.page(RunFilter(suite_run_id=id, limit=1))).data
        if not found:
            raise nothing("suite_run", id)
        if found[0].suite_id is None:
            raise NotSupported(
                "The suite of this suite run is gone, and the hosted API has no other way to read its aggregate.",
                hint=f'list_runs(suite_run_id="{id}") shows its runs.',
            )
        return found[0].suite_id

    async def _start_once(self, suite_id: str, overrides: Json | None, key: str | None) -> _Started:
        """A start that must not be repeated. If its answer is lost, look for the suite run."""
        if key and key in self._keys:
            started_suite, started = self._keys[key]
            if started_suite != suite_id:
                raise key_of_another("suite")
            return started
        before = {one.suite_run_id for one in await self.of_suite(suite_id)}
        try:
            started = await self._ask_for(suite_id, overrides)
        except OutcomeUnknown as exc:
            started = await self._found(suite_id, before, exc)
        if key:
            self._keys[key] = (suite_id, started)
        return started

    async def _found(self, suite_id: str, before: set[str], lost: OutcomeUnknown) -> _Started:
        fresh = [one for one in await self.of_suite(suite_id) if one.suite_run_id not in before]
        if len(fresh) != 1:
            raise lost
        self._suites[fresh[0].suite_run_id] = suite_id
        whole = await self.get(fresh[0].suite_run_id, with_runs=True)
        return _Started(whole.suite_run_id, tuple(run.id for run in whole.runs))

    async def _ask_for(
        self, suite_id: str, overrides: Json | None, *, headers: dict[str, str] | None = None
    ) -> _Started:
        answer = await self._client.send(
            "POST",
            f"/agent-eval/suites/{suite_id}/run",
            body={"agent_overrides": overrides or {}},
            headers=headers,
            repeatable=headers is not None,
        )
        return _Started(reading.text(answer, "suite_run_id"), tuple(reading.texts(answer, "run_ids")))


@dataclass(frozen=True, slots=True)
class _Started:
    """Read the API's answer to a start."""

    id: str
    run_ids: tuple[str, ...]


def _just_started(suite_id: str, started: _Started, overrides: Json | None) -> StartedSuiteRun:
    """What the answer to a start alone says about its suite run."""
    # An API that does not list the runs has started at least one, and none of them is over.
    total = len(started.run_ids) or 1
    nothing_yet = dict.fromkeys(("completed", "cancelled", "errored", "passed", "failed"), 0)
    unknown = dict.fromkeys(("total_cost_cents", "started_at", "ended_at", "score_avg", "pass_rate"))
    return StartedSuiteRun.model_validate(
        {
            "suite_run_id": started.id,
            "suite_id": suite_id,
            "total_runs": total,
            "in_flight": total,
            "agent_overrides": overrides,
            "run_ids": list(started.run_ids),
            **nothing_yet,
            **unknown,
        }
    )


def _path(suite_id: str) -> str:
    return f"/agent-eval/suites/{suite_id}/runs"
