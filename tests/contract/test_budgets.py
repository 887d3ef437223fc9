"""Ceilings on costs, on both databases: never passed, waited for while others' calls may cost less, and kept when
workers are lost."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from functools import partial

import anyio
import pytest

from mcp_agent_eval.engine.limits.billing import NANO, Prices
from mcp_agent_eval.engine.limits.budget import Budget
from mcp_agent_eval.engine.llm.messages import ModelRequest
from mcp_agent_eval.engine.store import queue, spending
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.opening import open_database
from mcp_agent_eval.engine.store.queue import Claim
from mcp_agent_eval.engine.store.spending import Standing
from mcp_agent_eval.errors import BudgetExceeded
from mcp_agent_eval.settings import Price, Settings
from tests.contract import store_support as support
from tests.contract.store_support import claim, finish, later, new_run, queued

database = support.database

PRICES = Prices({"m": Price(input=0, output=1)})
DAY = "day 2026-11-21"


def budget(database: Database, claim: Claim, day: float = 0.1) -> Budget:
    """Of so many dollars a day."""
    clock = partial(datetime, 2026, 11, 21, tzinfo=UTC)
    return Budget(Settings.read(day_budget=day), database, PRICES, claim, None, clock)


def call_for(dollars: float) -> ModelRequest:
    """A call that may cost so much."""
    return ModelRequest("agent", system="", messages=(), max_tokens=round(dollars * 1_000_000))


async def claimed(database: Database, runs: int) -> list[Claim]:
    await queued(database, *(new_run() for _ in range(runs)))
    return await claim(database)


async def stands(database: Database) -> tuple[float, float]:
    """Dollars that the day has spent and set aside."""
    standing: Standing = await database.read(partial(spending.standing, scope=DAY))
    return standing.spent / NANO, standing.reserved / NANO


async def reserves_at_once(ours: Budget, dollars: float) -> bool:
    """Whether nothing has to be waited for. A cancelled wait sets nothing aside."""
    with anyio.move_on_after(0.1):
        await ours.reserve("m", call_for(dollars), 0)
        return True
    return False


async def test_what_is_spent_never_passes_the_ceiling_whoever_spends(database_url: str) -> None:
    databases = [await open_database(database_url) for _ in range(3)]
    runs = await claimed(databases[0], 30)
    spent: list[float] = []

    async def spend(number: int) -> None:
        ours = budget(databases[number % 3], runs[number])
        with contextlib.suppress(BudgetExceeded):
            reservation = await ours.reserve("m", call_for(0.02), 0)
            await ours.settle(reservation, round(0.007 * NANO))
            spent.append(0.007)

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(spend, number)
    # The twelfth left 0.016, which the next call might have passed.
    assert len(spent) == 12
    assert await stands(databases[0]) == (pytest.approx(0.084), 0)
    for database in databases:
        await database.aclose()


async def test_a_call_waits_while_others_may_leave_enough(database: Database) -> None:
    first, second = (budget(database, run) for run in await claimed(database, 2))
    reservation = await first.reserve("m", call_for(0.08), 0)
    assert not await reserves_at_once(second, 0.08)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second.reserve, "m", call_for(0.08), 0)
        await first.settle(reservation, round(0.01 * NANO))
    assert await stands(database) == (0.01, 0.08)


async def test_a_call_that_what_is_spent_leaves_no_room_for_is_refused_at_once(database: Database) -> None:
    first, second = (budget(database, run) for run in await claimed(database, 2))
    await first.settle(await first.reserve("m", call_for(0.05), 0), round(0.05 * NANO))
    assert await first.reserve("m", call_for(0.05), 0)
    with pytest.raises(BudgetExceeded, match=r"\$0\.1, is used up: the next call may cost \$0\.0600"):
        await second.reserve("m", call_for(0.06), 0)
    with pytest.raises(BudgetExceeded):
        await budget(database, second_claim(), day=0.01).reserve("m", call_for(0.02), 0)
    assert await stands(database) == (0.05, 0.05)


def second_claim() -> Claim:
    return Claim("another", "worker", 1, 1)


@pytest.mark.parametrize("how", ["is another's", "waits again", "is over", "asks again"])
async def test_what_a_lost_call_may_have_cost_counts_as_spent(database: Database, how: str) -> None:
    (lost,) = await claimed(database, 1)
    await budget(database, lost).reserve("m", call_for(0.04), 0)
    if how == "is over":
        assert await finish(database, lost)
    elif how != "asks again":
        await database.write(partial(queue.release, worker=lost.worker, now=later(1)))
    if how == "is another's":
        (lost,) = await claim(database)
    if how != "asks again":
        (other,) = await claimed(database, 1) if how != "waits again" else [second_claim()]
    else:
        other = lost
    await budget(database, other).reserve("m", call_for(0.06), 0)
    assert await stands(database) == (0.04, 0.06)


async def test_a_worker_that_comes_back_too_late_settles_nothing_twice(database: Database) -> None:
    (slow,) = await claimed(database, 1)
    reservation = await budget(database, slow).reserve("m", call_for(0.04), 0)
    await database.write(partial(queue.release, worker=slow.worker, now=later(1)))
    (again,) = await claim(database)
    await budget(database, again).reserve("m", call_for(0.03), 0)
    await budget(database, slow).settle(reservation, round(0.01 * NANO))
    assert await stands(database) == (0.04, 0.03)
