"""Old runs go for good and whole; what waits or is being carried out stays, and no aggregate is left that lies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, cast

import anyio
import pytest

from mcp_agent_eval.backend.connect import connect
from mcp_agent_eval.engine.limits.billing import Prices
from mcp_agent_eval.engine.limits.budget import Budget
from mcp_agent_eval.engine.llm.messages import ModelRequest
from mcp_agent_eval.engine.records import upkeep as engine_upkeep
from mcp_agent_eval.engine.records.upkeep import Upkeep
from mcp_agent_eval.engine.store import journal, nouns, runs, suite_runs, upkeep
from mcp_agent_eval.engine.store.database import Connection, Database
from mcp_agent_eval.engine.store.deltas import Requests
from mcp_agent_eval.engine.store.journal import NewCall
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.queue import Claim, Totals
from mcp_agent_eval.errors import StoreTooNew
from mcp_agent_eval.settings import Price, Settings
from mcp_agent_eval.types import Agent, RunFilter, RunStatus, Turn
from tests.contract import store_support as support
from tests.contract.store_support import (
    FOREVER,
    NOON,
    agent,
    claim,
    finish,
    later,
    new_id,
    new_run,
    new_suite_run,
    queued,
    stored,
)
from tests.contract.test_backend import make_case
from tests.support import OFFLINE

database = support.database

DAY = 24 * 3600.0
NOW = NOON + timedelta(days=100)


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_upkeep, "_PAUSE", 0)


@pytest.fixture
def care(database: Database, database_url: str) -> Upkeep:
    """Of the database, a hundred days after NOON."""
    return Upkeep(database, database_url, clock=lambda: NOW)


async def over(
    database: Database,
    day: float,
    suite_run_id: str | None = None,
    status: RunStatus = "completed",
    **more: Any,
) -> str:
    """A run that ended so many days after NOON; its id."""
    ended = {"queue_status": "done", "status": status, "ended_at": later(day * DAY)}
    return (await queued(database, new_run(suite_run_id=suite_run_id, **ended | more)))[0]


async def prune(
    care: Upkeep, days: float | None = None, keep: int | None = None, statuses: Sequence[RunStatus] = ()
) -> None:
    """Delete what is older than so many days, seen from a hundred days after NOON."""
    older_than = None if days is None else timedelta(days=days)
    await care.delete(await care.finished(older_than=older_than, keep=keep, statuses=statuses))


async def left(database: Database) -> set[str]:
    page = await database.read(partial(runs.page, wanted=RunFilter(limit=100)))
    return {run.id for run in page.data}


async def count(database: Database, table: str) -> int:
    def work(connection: Connection) -> int:
        return cast(Any, connection).raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    return await database.read(work)


class TestWhichRunsGo:
    async def test_those_that_ended_longer_ago(self, database: Database, care: Upkeep) -> None:
        await over(database, 9)
        young = {await over(database, day) for day in (11, 50)}
        await prune(care, days=90)
        assert await left(database) == young

    async def test_all_but_the_newest(self, database: Database, care: Upkeep) -> None:
        made = [await over(database, day) for day in (3, 1, 4, 2, 5)]
        await prune(care, keep=2)
        assert await left(database) == {made[2], made[4]}

    async def test_with_an_age_and_a_number_only_what_fits_both(
        self, database: Database, care: Upkeep
    ) -> None:
        made = [await over(database, day) for day in (1, 2, 50, 60)]
        await prune(care, days=90, keep=3)
        assert await left(database) == set(made[1:])
        await prune(care, days=90, keep=0)
        assert await left(database) == set(made[2:])

    async def test_only_those_of_a_status_of_which_the_newest_stay(
        self, database: Database, care: Upkeep
    ) -> None:
        failed = [await over(database, day, status="failed") for day in (1, 2)]
        good = await over(database, 0)
        await prune(care, keep=1, statuses=["failed"])
        assert await left(database) == {failed[1], good}

    async def test_what_waits_or_is_being_carried_out_stays(self, database: Database, care: Upkeep) -> None:
        waiting, working = await queued(database, new_run("waits"), new_run("works"))
        await claim(database, 1)
        await prune(care, keep=0)
        assert await left(database) == {waiting, working}

    async def test_a_run_that_was_over_before_it_began_is_as_old_as_it_is(
        self, database: Database, care: Upkeep
    ) -> None:
        await over(database, 0, status="failed", ended_at=None)
        young = await over(database, 0, status="failed", ended_at=None, created_at=NOW)
        await prune(care, days=90)
        assert await left(database) == {young}


class TestSuiteRuns:
    async def test_one_goes_as_a_whole_when_its_last_run_is_old_enough(
        self, database: Database, care: Upkeep
    ) -> None:
        group = await new_suite_run(database)
        members = {await over(database, day, group) for day in (1, 20)}
        await prune(care, days=90)
        assert await left(database) == members
        await prune(care, days=79)
        assert await left(database) == set()
        assert await database.read(partial(suite_runs.get, id=group)) is None

    async def test_one_that_is_not_over_stays_as_it_is(self, database: Database, care: Upkeep) -> None:
        group = await new_suite_run(database)
        members = {await over(database, 1, group), *await queued(database, new_run(suite_run_id=group))}
        await prune(care, keep=0)
        assert await left(database) == members

    async def test_one_that_begins_within_the_newest_stays_whole(
        self, database: Database, care: Upkeep
    ) -> None:
        group = await new_suite_run(database)
        await over(database, 1)
        members = {await over(database, 2, group) for _ in range(3)}
        newest = await over(database, 3)
        await prune(care, keep=2)
        assert await left(database) == {newest, *members}
        await prune(care, keep=1)
        assert await left(database) == {newest}

    async def test_one_with_a_run_of_another_status_stays(self, database: Database, care: Upkeep) -> None:
        group = await new_suite_run(database)
        members = {await over(database, 1, group, status=status) for status in ("failed", "completed")}
        await prune(care, keep=0, statuses=["failed", "cancelled"])
        assert await left(database) == members
        await prune(care, keep=0, statuses=["failed", "completed"])
        assert await left(database) == set()

    async def test_one_that_was_deleted_in_part_is_gone_and_the_rest_goes_the_next_time(
        self, database: Database, care: Upkeep
    ) -> None:
        group = await new_suite_run(database)
        for _ in range(5):
            await over(database, 1, group)
        found = await care.finished(older_than=None, keep=0)
        await database.write(partial(upkeep.delete, batch=found[:2]))
        assert len(await left(database)) == 3
        assert await database.read(partial(suite_runs.get, id=group)) is None
        await prune(care, keep=0)
        assert await left(database) == set()


class TestWhatGoesWithThem:
    async def test_nothing_is_left_of_a_run(self, database: Database, care: Upkeep) -> None:
        await queued(database, new_run("old"), new_run("young"))
        for mine in await claim(database):
            await database.write(
                partial(
                    journal.record,
                    claim=mine,
                    calls=[NewCall(0, "agent", "m", {"a": 1}, {"b": 2})],
                    turns=[Turn(id=new_id(), run_id=mine.run_id, turn_number=0, role="agent", text="Hi.")],
                    totals=Totals(),
                    requests=Requests(),
                )
            )
            await finish(database, mine, ended_at=later(0 if mine.run_id == "old" else 50 * DAY))
        await prune(care, days=90)
        tables = ("runs", "run_documents", "turns", "model_calls")
        assert [await count(database, table) for table in tables] == [1, 1, 1, 1]
        assert len(await database.read(partial(journal.turns, run_id="young"))) == 1
        assert len(await database.read(partial(journal.calls, run_id="young"))) == 1

    async def test_more_than_a_batch_goes_in_several(
        self, database: Database, care: Upkeep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_upkeep, "_BATCH", 3)
        groups = [await new_suite_run(database) for _ in range(3)]
        for group in (*groups, None):
            for _ in range(4):
                await over(database, 1, group)
        await prune(care, days=1)
        assert [await count(database, table) for table in ("runs", "suite_runs")] == [0, 0]

    async def test_a_key_that_started_a_deleted_run_may_start_another(
        self, database: Database, care: Upkeep
    ) -> None:
        group = await new_suite_run(database, idempotency_key="same")
        await over(database, 1, group, idempotency_key="same")
        await prune(care, keep=0)
        await over(database, 2, await new_suite_run(database, idempotency_key="same"), idempotency_key="same")
        assert await count(database, "runs") == 1

    async def test_nouns_stay(self, database: Database, care: Upkeep) -> None:
        clinic = agent()
        await stored(database, clinic)
        await over(database, 1, agent_id=clinic.id)
        await prune(care, keep=0)
        assert await database.read(partial(nouns.get, cls=Agent, id=clinic.id)) == clinic

    async def test_what_was_spent_long_ago_and_in_deleted_suite_runs_is_forgotten(
        self, database: Database, care: Upkeep
    ) -> None:
        gone, kept = await new_suite_run(database), await new_suite_run(database)
        await over(database, 1, gone)
        await over(database, 99, kept)
        for group, day in ((gone, NOON), (kept, NOW)):
            await spend(database, group, day)
        await prune(care, days=90)
        scopes = await database.read(
            lambda connection: [
                cast(Any, connection).raw.execute(f"SELECT scope FROM {table}").fetchall()
                for table in ("spending", "reservations")
            ]
        )
        assert scopes[0] == scopes[1]
        assert {scope for (scope,) in scopes[0]} == {f"suite run {kept}", f"day {NOW:%Y-%m-%d}"}

    async def test_a_database_that_a_newer_version_has_changed_is_left_alone(
        self, database: Database, care: Upkeep
    ) -> None:
        old = await over(database, 1)
        found = await care.finished(older_than=None, keep=0)
        await database.write(lambda connection: connection.run("add_step", name="9999_future", sha256=""))
        with pytest.raises(StoreTooNew):
            await care.delete(found)
        assert await left(database) == {old}


async def spend(database: Database, suite_run_id: str, day: Any) -> None:
    """Some money, as a run of that suite run does on that day."""
    prices = Prices({"m": Price(input=1, output=1)})
    settings = Settings.read(suite_budget=100, day_budget=100)
    budget = Budget(settings, database, prices, Claim("r", "w", 1, 1), suite_run_id, clock=lambda: day)
    request = budget.bounded(ModelRequest("agent", system="Be brief.", messages=()))
    await budget.settle(await budget.reserve("m", request, 0), 1)
    assert await budget.reserve("m", request, 0)


class TestBesideOthers:
    async def test_no_worker_loses_a_run_that_it_works_on(
        self, database: Database, database_url: str
    ) -> None:
        mine = await open_database(database_url)
        care = Upkeep(mine, database_url)
        await queued(database, *(new_run() for _ in range(200)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(prune_for_ever, care)
            for _ in range(20):
                held = await claim(database, 10)
                assert len(held) == 10
                for one in held:
                    assert await finish(database, one)
            tasks.cancel_scope.cancel()
        await prune(care, keep=0)
        assert await claim(database, FOREVER) == []
        assert [await count(database, table) for table in ("runs", "run_documents")] == [0, 0]
        await mine.aclose()

    async def test_runs_are_carried_out_while_others_are_deleted(self, database_url: str) -> None:
        settings = Settings.read(database_url=database_url, **OFFLINE)
        mine = await open_database(database_url)
        care = Upkeep(mine, database_url)
        async with connect(settings) as link, anyio.create_task_group() as tasks:
            suite = await link.backend.create("suite", {"name": "All"})
            for _ in range(3):
                await make_case(link.backend, suite_id=suite.id)
            tasks.start_soon(prune_for_ever, care, timedelta(hours=1))
            for _ in range(5):
                await over(mine, -1, await new_suite_run(mine))
                aggregate = await link.backend.start_suite_run(suite.id)
                with anyio.fail_after(20):
                    while not aggregate.is_final:
                        aggregate = await link.backend.wait_suite_run(aggregate.suite_run_id, 5)
                assert (aggregate.completed, aggregate.passed) == (3, 3)
            tasks.cancel_scope.cancel()
        await care.delete(await care.finished(older_than=timedelta(hours=1), keep=None))
        assert await count(mine, "runs") == 15
        await mine.aclose()


async def prune_for_ever(care: Upkeep, older_than: timedelta | None = None) -> None:
    while True:
        await care.delete(await care.finished(older_than=older_than, keep=None if older_than else 0))
