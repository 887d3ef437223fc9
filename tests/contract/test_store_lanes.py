"""Lanes, turns and ceilings hold for all workers on a database together."""

from __future__ import annotations

from functools import partial

from mcp_agent_eval.engine.store import lanes, queue, suite_runs
from mcp_agent_eval.engine.store.database import Database
from mcp_agent_eval.engine.store.lanes import LaneState
from mcp_agent_eval.engine.store.queue import Spent, Totals
from tests.contract import store_support as support
from tests.contract.store_support import claim, finish, later, new_run, new_suite_run, queued, run

database = support.database

MODELS = ["fast", "slow", "judge"]


async def pause(database: Database, name: str, until: float, at: float = 0) -> None:
    work = partial(lanes.pause, name=name, now=later(at), until=later(until), reason="answered 429")
    await database.write(work)


async def answered(database: Database, name: str, at: float = 0) -> None:
    await database.write(partial(lanes.answered, name=name, now=later(at)))


async def claimed(database: Database, at: float = 0, room: int = 100, **limits: int) -> list[str]:
    held = await claim(database, room, at=at, offers=MODELS, limits=limits)
    return [one.run_id for one in held]


async def stop(database: Database, suite_run_id: str, reason: str) -> None:
    work = partial(queue.stop_suite_run, suite_run_id=suite_run_id, reason=reason, now=later(5))
    await database.write(work)


class TestLimits:
    async def test_a_model_is_used_by_no_more_runs_than_its_limit(self, database: Database) -> None:
        made = await queued(database, *(new_run(needs=["slow"]) for _ in range(5)))
        assert await claimed(database, slow=2) == made[:2]
        assert await claimed(database, slow=2) == []
        assert await claimed(database, slow=3) == made[2:3]

    async def test_a_run_needs_room_in_every_lane_that_it_uses(self, database: Database) -> None:
        await queued(
            database,
            new_run("both", needs=["fast", "slow"]),
            new_run("fast", needs=["fast"]),
            new_run("slow", needs=["slow"]),
            new_run("judged", needs=["fast", "judge", "slow"]),
        )
        assert await claimed(database, slow=1, fast=2) == ["both", "fast"]
        assert await claimed(database, slow=2, fast=2) == ["slow"]

    async def test_what_waits_for_a_full_lane_holds_up_nobody_else(self, database: Database) -> None:
        await queued(database, *(new_run(needs=["slow"]) for _ in range(40)), new_run("last", needs=["fast"]))
        assert (await claimed(database, room=3, slow=2))[-1] == "last"


class TestTurns:
    async def test_a_single_run_does_not_wait_for_a_whole_suite_run(self, database: Database) -> None:
        many = await new_suite_run(database, 16)
        old = await queued(database, *(new_run(suite_run_id=many) for _ in range(50)))
        await claimed(database, room=4)
        await queued(database, new_run("single"))
        assert await claimed(database, room=1) == ["single"]
        assert await claimed(database, room=1) == old[4:5]

    async def test_suite_runs_share_the_room(self, database: Database) -> None:
        first, second = await new_suite_run(database, 16), await new_suite_run(database, 16)
        one = await queued(database, *(new_run(suite_run_id=first) for _ in range(20)))
        two = await queued(database, *(new_run(suite_run_id=second) for _ in range(20)))
        assert sorted(await claimed(database, room=6)) == sorted(one[:3] + two[:3])


class TestPauses:
    async def test_nobody_claims_what_needs_a_lane_that_rests(self, database: Database) -> None:
        await queued(database, new_run("slow", needs=["fast", "slow"]), new_run("fast", needs=["fast"]))
        await pause(database, "slow", until=10)
        assert await claimed(database, at=9) == ["fast"]
        assert await claimed(database, at=11) == ["slow"]

    async def test_after_a_rest_one_run_tries_and_the_others_follow_its_success(
        self, database: Database
    ) -> None:
        made = await queued(database, *(new_run(needs=["slow"]) for _ in range(4)))
        await pause(database, "slow", until=10)
        assert await claimed(database, at=11) == made[:1]
        assert await claimed(database, at=12) == []
        await answered(database, "slow", at=13)
        assert await claimed(database, at=13) == made[1:]

    async def test_calls_that_fail_in_one_rest_count_once_and_the_longest_rest_holds(
        self, database: Database
    ) -> None:
        for until in (10, 30, 20):
            await pause(database, "slow", until)
        await pause(database, "slow", until=50, at=31)
        states = await database.read(lanes.all)
        assert states == {"slow": LaneState("slow", None, later(50), 2, "answered 429")}
        await answered(database, "slow", at=60)
        assert (await database.read(lanes.all))["slow"] == LaneState("slow", later(60))

    async def test_a_run_that_waits_for_a_model_says_so_and_keeps_its_place_and_its_attempts(
        self, database: Database
    ) -> None:
        await queued(database, new_run("one"), new_run("two"))
        (mine,) = await claim(database, 1, at=3)
        totals = Totals(4, Spent(10, 2, 3000))
        assert await database.write(
            partial(queue.postpone, claim=mine, totals=totals, waiting_for="It is down.")
        )
        waiting = await run(database, "one")
        assert (waiting.status, waiting.queue_status, waiting.attempts) == ("queued", "pending", 0)
        assert (waiting.waiting_for, waiting.spoken_turns, waiting.agent_input_tokens) == (
            "It is down.",
            4,
            10,
        )
        assert await claimed(database, room=1) == ["one"]
        again = await run(database, "one")
        assert (again.waiting_for, again.started_at) == (None, later(3))

    async def test_who_lost_a_run_cannot_put_it_back(self, database: Database) -> None:
        await queued(database, new_run("one"))
        (mine,) = await claim(database)
        stale = mine._replace(epoch=mine.epoch - 1)
        assert not await database.write(
            partial(queue.postpone, claim=stale, totals=Totals(), waiting_for="It is down.")
        )
        assert (await run(database, "one")).queue_status == "claimed"

    async def test_a_pause_that_only_a_wrong_clock_can_have_written_is_over(self, database: Database) -> None:
        await queued(database, new_run("one", needs=["slow"]))
        await pause(database, "slow", until=3620, at=3600)
        assert await claimed(database) == ["one"]


class TestStopping:
    async def test_a_suite_run_that_is_stopped_ends_what_has_not_begun_and_says_why(
        self, database: Database
    ) -> None:
        stopped, other = await new_suite_run(database, 1), await new_suite_run(database, 1)
        await queued(database, *(new_run(suite_run_id=stopped) for _ in range(3)))
        await queued(database, new_run("other", suite_run_id=other))
        mine = (await claim(database, 1))[0]
        await stop(database, stopped, "The money is gone.")
        await stop(database, stopped, "Said too late.")
        await finish(database, mine)
        aggregate = await database.read(partial(suite_runs.get, id=stopped))
        assert aggregate
        assert (aggregate.completed, aggregate.cancelled, aggregate.in_flight) == (1, 2, 0)
        assert aggregate.stopped == "The money is gone."
        assert (await run(database, "other")).queue_status == "pending"
