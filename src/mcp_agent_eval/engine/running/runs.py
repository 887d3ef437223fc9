"""Starts, reads, waits for and cancels runs and suite runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import uuid4

import anyio

from mcp_agent_eval.engine.records.catalogue import not_found
from mcp_agent_eval.engine.records.snapshot import CaseReader, Snapshot, layered
from mcp_agent_eval.engine.running.casting import Cast, Caster
from mcp_agent_eval.engine.running.workshop import Workshop
from mcp_agent_eval.engine.store import journal, nouns, queue, runs, suite_runs
from mcp_agent_eval.engine.store.database import QUEUE, Connection, Work
from mcp_agent_eval.engine.store.runs import NewRun
from mcp_agent_eval.engine.store.suite_runs import NewSuiteRun
from mcp_agent_eval.errors import InvalidInput, NotFound, RunFinished
from mcp_agent_eval.types import (
    Case,
    Json,
    ModelCall,
    Page,
    Run,
    RunFilter,
    StartedSuiteRun,
    Suite,
    SuiteRun,
    Turn,
    now,
)
from mcp_agent_eval.validation import key_of_another, key_of_other_overrides

_LOOK_AGAIN = 0.5
"""Seconds after which a waiter looks again: a run in another process rings no bell here."""

_PAUSE = 0.1
"""Seconds between two looks at a suite run, whose runs may all ring at once."""

S = TypeVar("S", Run, SuiteRun)


class Runs:
    """Executions of cases and suites in a database, carried out by any worker that claims them."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._database = workshop.database

    async def start(self, case_id: str, overrides: Json | None, key: str | None) -> Run:
        """Queue one execution of a case, or return the one already started with `key`."""
        started_here = self._workshop.origins.here()

        def work(connection: Connection) -> Run:
            if key and (earlier := runs.by_idempotency_key(connection, key)):
                return _same(_expanded(connection, earlier), case_id, overrides)
            case = nouns.get(connection, Case, case_id)
            if case is None:
                raise not_found("case", case_id)
            cast = Caster(connection, self._workshop.models).run(case, overrides)
            started_here(cast.run.id)
            runs.insert(connection, [_new(cast, key=key)])
            return _with_case(cast.run, cast.snapshot)

        run = await self._database.write(work)
        self._workshop.signals.hear(QUEUE)
        return run

    async def start_suite(self, suite_id: str, overrides: Json | None, key: str | None) -> StartedSuiteRun:
        """Queue one execution of every case of a suite, or return the suite run already started with `key`."""

        def look(connection: Connection) -> StartedSuiteRun | None:
            earlier = suite_runs.by_idempotency_key(connection, key) if key else None
            return _started(connection, _same_suite(earlier, suite_id, overrides)) if earlier else None

        def store(connection: Connection) -> StartedSuiteRun:
            return look(connection) or _store_suite_run(connection, *prepared)

        if earlier := await self._database.read(look):
            return earlier
        # Thousands of snapshots take seconds to build: other writers should not have to wait for that.
        prepared = await self._database.read(
            lambda connection: self._prepare(connection, suite_id, overrides, key)
        )
        started_here = self._workshop.origins.here()
        for member in prepared[1]:
            started_here(member.run.id)
        aggregate = await self._database.write(store)
        self._workshop.signals.hear(QUEUE)
        return aggregate

    async def get(self, id: str) -> Run:
        """One run with its case, agent and persona as they were."""
        return await self._database.read(lambda connection: _expanded(connection, _require(connection, id)))

    async def page(self, filter: RunFilter) -> Page[Run]:
        """A page of runs, newest first, expanded."""

        def work(connection: Connection) -> Page[Run]:
            page = runs.page(connection, filter)
            return page.model_copy(update={"data": _all_expanded(connection, page.data)})

        return await self._database.read(work)

    async def turns(self, run_id: str, start: int, limit: int) -> list[Turn]:
        """A transcript, starting at a turn."""

        def work(connection: Connection) -> list[Turn]:
            _require(connection, run_id)
            return journal.turns(connection, run_id, from_turn=start, limit=limit)

        return await self._database.read(work)

    async def calls(self, run_id: str, start: int, limit: int) -> list[ModelCall]:
        """Model calls, starting at one."""

        def work(connection: Connection) -> list[ModelCall]:
            _require(connection, run_id)
            return journal.calls(connection, run_id, from_seq=start, limit=limit)

        return await self._database.read(work)

    async def cancel(self, run_id: str) -> Run:
        """Stop a waiting run at once, and one in progress at its next turn."""
        at = now()

        def work(connection: Connection) -> Run:
            if queue.request_cancel(connection, run_id, at) == "finished":
                raise RunFinished(
                    f'Cannot cancel run in status "{_require(connection, run_id).status}". Only queued or running '
                    "runs can be cancelled.",
                    hint=f'get_run(run_id="{run_id}") shows its outcome.',
                )
            return _expanded(connection, _require(connection, run_id))

        run = await self._database.write(work)
        self._workshop.signals.ring(run.id, run.suite_run_id)
        return run

    async def suite_run(self, id: str, *, with_runs: bool) -> SuiteRun:
        """The aggregate, with its expanded runs if requested."""

        def work(connection: Connection) -> SuiteRun:
            aggregate = _aggregate(connection, id)
            if not with_runs:
                return aggregate
            members = suite_runs.runs_of(connection, id)
            return aggregate.model_copy(update={"runs": _all_expanded(connection, members)})

        return await self._database.read(work)

    async def suite_runs(self, suite_id: str) -> list[SuiteRun]:
        """The aggregates of a suite, newest first."""

        def work(connection: Connection) -> list[SuiteRun]:
            if nouns.get(connection, Suite, suite_id, deleted=True) is None:
                raise not_found("suite", suite_id)
            return suite_runs.of_suite(connection, suite_id)

        return await self._database.read(work)

    async def wait(self, id: str, seconds: float) -> Run:
        """The run once it is final or has moved on, or as it is after `seconds`; without its case until then."""
        run = await self._until_changed(id, seconds, 0, lambda connection: _require(connection, id))
        return await self.get(id) if run.is_final else run

    async def wait_suite(self, id: str, seconds: float) -> SuiteRun:
        """The aggregate once it is final or has moved on, or as it is after `seconds`."""
        return await self._until_changed(id, seconds, _PAUSE, lambda connection: _aggregate(connection, id))

    async def _until_changed(self, id: str, seconds: float, pause: float, look: Work[S]) -> S:
        first = state = await self._database.read(look)
        with anyio.move_on_after(seconds):
            while not state.is_final and state == first:
                # Take the bell before looking, so that a ring in between is not missed.
                bell = self._workshop.signals.event(id)
                state = await self._database.read(look)
                if state == first:
                    with anyio.move_on_after(_LOOK_AGAIN):
                        await bell.wait()
                    await anyio.sleep(pause)
        return state

    def _prepare(
        self, connection: Connection, suite_id: str, overrides: Json | None, key: str | None
    ) -> tuple[NewSuiteRun, list[NewRun]]:
        """A suite run, with a run for each of its cases."""
        suite = nouns.get(connection, Suite, suite_id)
        if suite is None:
            raise not_found("suite", suite_id)
        cases = nouns.cases_of_suite(connection, suite_id)
        if not cases:
            raise InvalidInput(
                "The suite has no cases.",
                hint=f'create_case(suite_id="{suite_id}", ...), or set suite_id of a case with update.',
            )
        execution = NewSuiteRun(str(uuid4()), suite.id, suite.parallelism, now(), overrides, key)
        caster = Caster(connection, self._workshop.models)
        members = [_member(caster, case, overrides) for case in cases]
        return execution, [
            _new(member, suite_run_id=execution.id, position=n) for n, member in enumerate(members)
        ]


def _store_suite_run(
    connection: Connection, execution: NewSuiteRun, members: list[NewRun]
) -> StartedSuiteRun:
    suite_runs.insert(connection, execution)
    runs.insert(connection, members)
    return _started(connection, _aggregate(connection, execution.id))


def _member(caster: Caster, case: Case, overrides: Json | None) -> Cast:
    """A suite's run of one case. A case that became impossible gets a failed run; overrides that fit no case are
    refused."""
    try:
        return caster.run(case, overrides)
    except (NotFound, InvalidInput) as exc:
        if overrides and _can_run(caster, case):
            raise
        return caster.failure(case, exc)


def _can_run(caster: Caster, case: Case) -> bool:
    try:
        caster.run(case, None)
    except (NotFound, InvalidInput):
        return False
    return True


def _new(cast: Cast, *, suite_run_id: str | None = None, position: int = 0, key: str | None = None) -> NewRun:
    run = cast.run.model_copy(update={"suite_run_id": suite_run_id})
    return NewRun(run, cast.snapshot.model_dump(mode="json"), cast.needs, position, key)


def _same(run: Run, case_id: str, overrides: Json | None) -> Run:
    """What an idempotency key started; one key must not stand for two different things."""
    if run.case_id != case_id:
        raise key_of_another("case")
    if run.case and run.agent_overrides != layered(run.case.agent_overrides, overrides):
        raise key_of_other_overrides()
    return run


def _same_suite(aggregate: SuiteRun, suite_id: str, overrides: Json | None) -> SuiteRun:
    if aggregate.suite_id != suite_id:
        raise key_of_another("suite")
    if (aggregate.agent_overrides or {}) != (overrides or {}):
        raise key_of_other_overrides()
    return aggregate


def _require(connection: Connection, id: str) -> Run:
    if run := runs.get(connection, id):
        return run
    raise NotFound(f"There is no run {id!r}.", hint="Call list_runs to see the newest.")


def _aggregate(connection: Connection, id: str) -> SuiteRun:
    if aggregate := suite_runs.get(connection, id):
        return aggregate
    raise NotFound(f"There is no suite run {id!r}.", hint="Call list_runs to see the newest.")


def _started(connection: Connection, aggregate: SuiteRun) -> StartedSuiteRun:
    ids = suite_runs.run_ids_of(connection, aggregate.suite_run_id)
    return StartedSuiteRun.model_validate(dict(aggregate) | {"run_ids": ids})


def _expanded(connection: Connection, run: Run) -> Run:
    """The run with its case, agent and persona as they were when it was created."""
    return _all_expanded(connection, [run])[0]


def _all_expanded(connection: Connection, found: Sequence[Run]) -> list[Run]:
    cases = CaseReader()
    return [
        run.model_copy(update={"case": cases.read(runs.snapshot(connection, run.id) or {})}) for run in found
    ]


def _with_case(run: Run, snapshot: Snapshot) -> Run:
    case = snapshot.case.model_copy(update={"agent": snapshot.agent, "persona": snapshot.persona})
    return run.model_copy(update={"case": case})
